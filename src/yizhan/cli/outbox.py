"""`yizhan outbox …`: everything we promised to send, with its state, reason and attempts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

import typer

from yizhan.cli.client import Api, Json, Query
from yizhan.cli.moments import since_time
from yizhan.cli.paper import local_time, reason_text, safe, table
from yizhan.cli.trouble import DONE, FAILED, ApiProblem, UsageMistake
from yizhan.cli.verb import Desk, verb

PAGE = 200
"""Messages asked for at once."""
ALL_MAX = 100_000
"""Messages changed by one command."""

MessageIds = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Message ids, as `outbox list` shows them.")
]
AccountFilter = Annotated[
    str | None, typer.Option("--account", metavar="ACCOUNT", help="Only of this account.")
]
ChatFilter = Annotated[str | None, typer.Option("--chat", metavar="TARGET", help="Only to this chat.")]
StateFilter = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="STATE", help="Only in this state; may be given several times."),
]
SinceFilter = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only from then on: 2h, 7d, or 2026-11-21T08:00:00Z."),
]
Everything = Annotated[bool, typer.Option("--all", help="All of them, of every account.")]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(group: typer.Typer) -> None:
    """Adds the verbs of the group `outbox`."""
    verb(group, "list")(list_messages)
    verb(group)(show)
    for change in CHANGES:
        verb(group, change.word, help=change.help)(change.verb())


def list_messages(
    desk: Desk,
    account: AccountFilter = None,
    chat: ChatFilter = None,
    state: StateFilter = None,
    since: SinceFilter = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")] = 50,
) -> None:
    """List messages, newest first."""
    with desk.api() as api:
        rows, more = _pages(api, _where(account, chat, state, since), limit)
    if desk.as_json:
        desk.show({"items": rows, "next": more})
        return
    if not rows:
        desk.note("no messages.")
        return
    table(("id", "to", "state", "created", "next attempt", "why"), map(_row, rows))
    if more:
        desk.note(f"there are more than these {len(rows)}; see --limit.")


def show(desk: Desk, message_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show one message with its parts and every attempt."""
    with desk.api() as api:
        message = api.call("GET", _path(message_id))
    desk.show(message, *_lines(message))


@dataclass(frozen=True, slots=True)
class Change:
    """A verb that changes messages: those whose ids are given, or all that filters name, without --state those in the
    states `by_default`. There is no way out of states other than `takes`."""

    word: str
    by_default: tuple[str, ...]
    takes: frozenset[str]
    help: str

    def verb(self) -> Callable[..., int]:
        """As a function with the options of the command line."""

        def change(
            desk: Desk,
            message_ids: MessageIds = None,
            account: AccountFilter = None,
            chat: ChatFilter = None,
            state: StateFilter = None,
            since: SinceFilter = None,
            everything: Everything = False,
            yes: Sure = False,
        ) -> int:
            chosen = bool(account or chat or state or since or everything)
            if not chosen or message_ids:
                return _each(desk, _given(message_ids, chosen), self.word)
            return _all(desk, _where(account, chat, state or list(self.by_default), since), self, yes)

        return change


CHANGES = (
    Change(
        "retry",
        ("failed", "expired"),  # neither what somebody cancelled nor what may be on a screen already
        frozenset({"failed", "expired", "cancelled", "unconfirmed", "waiting"}),
        """Send again what failed, expired, was cancelled or is unconfirmed; hurry what waits.

        Without ids: all that the filters name; without --state those that failed or expired.
        """,
    ),
    Change(
        "cancel",
        ("queued", "waiting"),
        frozenset({"queued", "waiting", "sending"}),
        """End messages that are not on the wire yet.

        Without ids: all that the filters name; without --state everything that waits.
        """,
    ),
)


def _given(message_ids: list[str] | None, chosen: bool) -> list[str]:
    if message_ids and chosen:
        raise UsageMistake("Both ids and filters are given.", "Give the ids alone, or the filters alone.")
    if not message_ids:
        fix = "Name them (yizhan outbox list shows ids), or choose by --state, --chat, --account, --since or --all."
        raise UsageMistake("It is not said which messages are meant.", fix)
    return message_ids


def _where(account: str | None, chat: str | None, state: list[str] | None, since: str | None) -> Query:
    return {
        "account": account,
        "chat": chat,
        "state": state or None,
        "since": since_time(since, "--since") if since else None,
    }


def _pages(api: Api, where: Query, limit: int) -> tuple[list[Json], str | None]:
    """Up to `limit` messages, and the cursor of what is left, None if nothing is."""
    rows: list[Json] = []
    cursor: str | None = None
    while True:
        page = api.call(
            "GET", "/v1/messages", query={**where, "cursor": cursor, "limit": min(PAGE, limit - len(rows))}
        )
        rows += page.get("items") or []
        cursor = page.get("next")
        if cursor is None or len(rows) >= limit:
            return rows, cursor


def _each(desk: Desk, message_ids: list[str], word: str) -> int:
    with desk.api() as api:
        for message_id in message_ids:
            message = api.call("POST", f"{_path(message_id)}/{word}")
            desk.show(message, f"{safe(message.get('id'))} {safe(message.get('state'))}")
        _note_nobody_sends(desk, api, word)
    return DONE


def _all(desk: Desk, where: Query, change: Change, yes: bool) -> int:
    """Every message of a filter, the oldest first. What cannot be changed is left alone, counted and explained."""
    word = change.word
    with desk.api() as api:
        rows, more = _pages(api, where, ALL_MAX)
        if rows and not yes and not desk.as_json and sys.stdin.isatty() and not _sure(word, len(rows)):
            return FAILED
        changed: list[Json] = []
        left: Counter[str] = Counter()
        for message in reversed(rows):
            answer = _attempt(api, change, message)
            if isinstance(answer, str):
                left[answer] += 1
            else:
                changed.append(answer)
        why = [{"count": count, "text": text} for text, count in left.items()]
        said = "".join(f", {count} left alone ({text})" for text, count in left.items())
        done = {"items": changed, "left_alone": left.total(), "why": why}
        desk.show(done, f"{word}: {len(changed)} {'message' if len(changed) == 1 else 'messages'}{said}")
        if more:
            desk.note(f"there are more than these {len(rows)}; run it again for the rest.")
        _note_nobody_sends(desk, api, word)
    return DONE


def _attempt(api: Api, change: Change, message: Json) -> Json | str:
    """The message as it is now, or why it was left alone."""
    try:
        return api.call("POST", f"{_path(str(message['id']))}/{change.word}")
    except ApiProblem as error:
        if error.status != 409:
            raise
        if message.get("state") in change.takes:
            return "changed meanwhile"
        return f"{safe(message.get('state'))}: {safe(error.fix).removesuffix('.')}"


def _sure(word: str, messages: int) -> bool:
    return typer.confirm(f"{word.capitalize()} {messages} messages?", err=True)


def _note_nobody_sends(desk: Desk, api: Api, word: str) -> None:
    if word == "retry" and not api.running:
        desk.note("no gateway is running; it is sent when one does: yizhan run")


def _path(message_id: str) -> str:
    return f"/v1/messages/{quote(message_id, safe='')}"


def _row(message: Json) -> tuple[object, ...]:
    return (
        message.get("id"),
        message.get("to"),
        _state(message),
        local_time(message.get("created_at")),
        local_time(message.get("next_attempt_at")),
        reason_text(message.get("reason")),
    )


def _state(row: Json) -> str:
    state = str(row.get("state"))
    state += f" ({row['waiting_for']})" if row.get("waiting_for") else ""
    return state + (" ≈2?" if row.get("possibly_doubled") else "")


def _lines(message: Json) -> list[str]:
    """A message as a few labelled lines, then its parts, each with its attempts."""
    facts: list[tuple[str, Callable[[object], str]]] = [
        ("to", safe),
        ("priority", safe),
        ("idempotency_key", safe),
        ("created_at", local_time),
        ("expires_at", local_time),
        ("next_attempt_at", local_time),
        ("in_reply_to", safe),
    ]
    head = f"{safe(message.get('id'))}  {_state(message)}  {reason_text(message.get('reason'))}".rstrip()
    lines = [head, *(f"  {name:16} {say(message[name])}" for name, say in facts if message.get(name))]
    for part in message.get("parts") or []:
        lines += _part_lines(part)
    return lines


def _part_lines(part: Json) -> list[str]:
    receipt = f"  receipt {safe(part['receipt'])}" if part.get("receipt") else ""
    why = reason_text(part.get("reason"))
    head = f"  part {part.get('no')}: {_state(part)}{receipt}{f'  {why}' if why else ''}"
    return [head, *(_attempt_line(attempt) for attempt in part.get("attempts") or [])]


def _attempt_line(attempt: Json) -> str:
    verdict = safe(attempt.get("verdict") or "on the wire")
    told = " ".join(safe(attempt[name]) for name in ("code", "text") if attempt.get(name))
    return f"    {attempt.get('n')}. {local_time(attempt.get('at'))}  {verdict}  {told}".rstrip()
