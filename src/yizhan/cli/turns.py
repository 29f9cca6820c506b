"""`yizhan turn …`: answers in the making, and what became of them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from yizhan.cli.client import Api, Json, Query
from yizhan.cli.moments import since_time
from yizhan.cli.once import Key, make
from yizhan.cli.outbox import PAGE, AccountFilter, SinceFilter, StateFilter
from yizhan.cli.paper import local_time, reason_text, safe, table
from yizhan.cli.verb import Desk, verb

ChatFilter = Annotated[str | None, typer.Option("--chat", metavar="TARGET", help="Only of this chat.")]
TurnName = Annotated[str, typer.Argument(metavar="ID", help="The turn's id, as `turn list` shows it.")]


def register(group: typer.Typer) -> None:
    """Adds the verbs of the group `turn`."""
    verb(group, "list")(list_turns)
    verb(group)(show)
    verb(group)(rerun)
    verb(group)(stop)


def list_turns(
    desk: Desk,
    account: AccountFilter = None,
    chat: ChatFilter = None,
    state: StateFilter = None,
    since: SinceFilter = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")] = 50,
) -> None:
    """List turns, newest first."""
    where: Query = {
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
        desk.note("no turns.")
        return
    table(("id", "chat", "agent", "state", "opened", "ended", "outputs", "why"), map(_row, rows))
    if more:
        desk.note(f"there are more than these {len(rows)}; see --limit.")


def show(desk: Desk, turn_id: TurnName) -> None:
    """Show one turn: what it answers, who answers, and why it ended as it did."""
    with desk.api() as api:
        turn = api.call("GET", _path(turn_id))
    desk.show(turn, *_lines(turn))


def rerun(desk: Desk, turn_id: TurnName, key: Key = None) -> None:
    """Ask the agent again about the messages of a turn that has ended."""
    with desk.api() as api:
        turn = make(api, f"{_path(turn_id)}/rerun", key)
        desk.show(turn, f"{safe(turn.get('id'))} {safe(turn.get('state'))}")
        if not api.running:
            desk.note("no gateway is running; it is asked when one does: yizhan run")


def stop(desk: Desk, turn_id: TurnName) -> None:
    """End a turn that has not ended."""
    with desk.api() as api:
        turn = api.call("POST", f"{_path(turn_id)}/stop")
    desk.show(turn, f"{safe(turn.get('id'))} {safe(turn.get('state'))}")


def _pages(api: Api, where: Query, limit: int) -> tuple[list[Json], str | None]:
    """Up to `limit` turns, and the cursor of what is left, None if nothing is."""
    rows: list[Json] = []
    cursor: str | None = None
    while True:
        size = min(PAGE, limit - len(rows))
        page = api.call("GET", "/v1/turns", query={**where, "cursor": cursor, "limit": size})
        rows += page.get("items") or []
        cursor = page.get("next")
        if cursor is None or len(rows) >= limit:
            return rows, cursor


def _path(turn_id: str) -> str:
    return f"/v1/turns/{quote(turn_id, safe='')}"


def _row(turn: Json) -> tuple[object, ...]:
    return (
        turn.get("id"),
        turn.get("chat"),
        turn.get("agent"),
        turn.get("state"),
        local_time(turn.get("created_at")),
        local_time(turn.get("ended_at")),
        turn.get("outputs"),
        reason_text(turn.get("reason")),
    )


def _lines(turn: Json) -> list[str]:
    """A turn as a few labelled lines."""
    why = reason_text(turn.get("reason"))
    head = f"{safe(turn.get('id'))}  {safe(turn.get('state'))}  {why}".rstrip()
    facts = [("chat", safe(turn.get("chat"))), ("agent", safe(turn.get("agent")))]
    facts += [
        (name, local_time(turn[name])) for name in ("created_at", "started_at", "ended_at") if turn.get(name)
    ]
    facts += [
        ("answers", ", ".join(map(safe, turn.get("inbound") or []))),
        ("outputs", safe(turn.get("outputs"))),
    ]
    return [head, *(f"  {name:12} {text}" for name, text in facts)]
