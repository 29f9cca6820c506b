"""`yizhan outbox …`: everything we promised to send, with its state, reason and attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

import typer

from yizhan.cli.client import Api, Json, Query
from yizhan.cli.moments import since_time
from yizhan.cli.paper import local_time, reason_text, safe, table
from yizhan.cli.verb import Desk, verb

PAGE = 200
"""Messages asked for at once."""

MessageIds = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Message ids, as `outbox list` shows them.")
]


def register(group: typer.Typer) -> None:
    """Adds the verbs of the group `outbox`."""

    @verb(group, "list")
    def list_messages(
        desk: Desk,
        account: Annotated[str | None, typer.Option(metavar="ACCOUNT", help="Only of this account.")] = None,
        chat: Annotated[str | None, typer.Option(metavar="TARGET", help="Only to this chat.")] = None,
        state: Annotated[
            list[str] | None,
            typer.Option(metavar="STATE", help="Only in this state; may be given several times."),
        ] = None,
        since: Annotated[
            str | None,
            typer.Option(metavar="TIME", help="Only from then on: 2h, 7d, or 2026-11-21T08:00:00Z."),
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")] = 50,
    ) -> None:
        """List messages, newest first."""
        where: dict[str, str | int | list[str] | None] = {
            "account": account,
            "chat": chat,
            "state": state or None,
            "since": since_time(since, "--since") if since else None,
        }
        with desk.api() as api:
            rows, more = _pages(api, where, limit)
        if desk.as_json:
            desk.show({"items": rows, "next": more})
            return
        if not rows:
            desk.note("no messages.")
            return
        table(("id", "to", "state", "created", "next attempt", "why"), map(_row, rows))
        if more:
            desk.note(f"there are more than these {len(rows)}; see --limit.")

    @verb(group)
    def show(desk: Desk, message_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
        """Show one message with its parts and every attempt."""
        with desk.api() as api:
            message = api.call("GET", _path(message_id))
        desk.show(message, *_lines(message))

    @verb(group)
    def retry(desk: Desk, message_ids: MessageIds) -> None:
        """Send again what failed, expired, was cancelled or is unconfirmed; hurry what waits."""
        _each(desk, message_ids, "retry")

    @verb(group)
    def cancel(desk: Desk, message_ids: MessageIds) -> None:
        """End messages that are not on the wire yet."""
        _each(desk, message_ids, "cancel")


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


def _each(desk: Desk, message_ids: list[str], word: str) -> None:
    with desk.api() as api:
        for message_id in message_ids:
            message = api.call("POST", f"{_path(message_id)}/{word}")
            desk.show(message, f"{safe(message.get('id'))} {safe(message.get('state'))}")
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
