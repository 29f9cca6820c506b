"""`yizhan webhook …`: addresses that events are posted to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

import typer

from yizhan.cli.client import Json, Query
from yizhan.cli.once import Key, make
from yizhan.cli.paper import local_time, reason_text, safe, table
from yizhan.cli.trouble import DONE, FAILED
from yizhan.cli.verb import Desk, verb

POST_MAX_S = 10
Id = Annotated[str, typer.Argument(metavar="ID", help="As `webhook list` shows it.")]


def register(group: typer.Typer) -> None:
    """Adds the verbs of the group `webhook`."""
    verb(group, "list")(list_webhooks)
    verb(group)(add)
    verb(group, "pause", help="Post nothing there until it is resumed.")(_switch(True))
    verb(group, "resume", help="Go on where it was; what waits is tried at once.")(_switch(False))
    verb(group)(test)
    verb(group)(deliveries)
    verb(group)(replay)
    verb(group)(remove)


def list_webhooks(desk: Desk) -> None:
    """List webhooks, how far each has come, and what is wrong."""
    with desk.api() as api:
        page = api.call("GET", "/v1/webhooks")
    rows = page.get("items") or []
    if desk.as_json:
        desk.show(page)
    elif not rows:
        desk.note("no webhooks; add one with yizhan webhook add URL.")
    else:
        table(("id", "url", "state", "cursor", "next attempt", "why"), map(_row, rows))


def add(
    desk: Desk,
    url: Annotated[str, typer.Argument(metavar="URL", help="http or https.")],
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="EVENT", help="Only these; several times.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Only events of this one.")] = None,
    private: Annotated[bool, typer.Option("--private", help="message.received too, with its text.")] = False,
    key: Key = None,
) -> None:
    """Post events to an address from now on; prints the secret that signs them, once."""
    body = {"url": url, "types": types or [], "account": account, "private": private}
    with desk.api() as api:
        made = make(api, "/v1/webhooks", key, body)
    desk.note("this is the only time the secret is shown.")
    desk.show(made, f"{safe(made.get('id'))}  {safe(made.get('secret'))}")


def _switch(paused: bool) -> Callable[..., None]:
    def switch(desk: Desk, webhook_id: Id) -> None:
        with desk.api() as api:
            changed = api.call("PATCH", _path(webhook_id), body={"paused": paused})
        desk.show(changed, f"{safe(changed.get('id'))}  {safe(changed.get('state'))}")

    return switch


def test(desk: Desk, webhook_id: Id) -> int:
    """Post a signed test once, and show what was answered."""
    with desk.api() as api:
        post = api.call("POST", f"{_path(webhook_id)}/test", wait_s=POST_MAX_S)
    reason = post.get("reason")
    answered = f"taken ({post.get('status')})" if reason is None else f"not taken: {reason_text(reason)}"
    desk.show(post, f"{safe(webhook_id)}  {answered}")
    return DONE if reason is None else FAILED


def deliveries(
    desk: Desk,
    webhook_id: Id,
    failed: Annotated[bool, typer.Option("--failed", help="Only what was not taken.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, the latest first.")] = 20,
) -> None:
    """Show what became of each event at an address."""
    query: Query = {"limit": limit, "state": "failed" if failed else None}
    with desk.api() as api:
        page = api.call("GET", f"{_path(webhook_id)}/deliveries", query=query)
    rows = page.get("items") or []
    if desk.as_json:
        desk.show(page)
    elif not rows:
        desk.note("nothing was posted yet." if not failed else "everything that was posted was taken.")
    else:
        table(("event", "type", "posted", "status", "posts", "why"), map(_post_row, rows))


def replay(
    desk: Desk,
    webhook_id: Id,
    after: Annotated[str, typer.Option("--after", metavar="EVENT", help="Behind this event's id; 0: all.")],
) -> None:
    """Post events once more, from behind one of them on."""
    with desk.api() as api:
        changed = api.call("POST", f"{_path(webhook_id)}/replay", body={"after": after})
    desk.show(changed, f"{safe(changed.get('id'))}  goes on behind event {safe(changed.get('cursor'))}")


def remove(desk: Desk, webhook_id: Id) -> None:
    """Post nothing there any more."""
    with desk.api() as api:
        api.call("DELETE", _path(webhook_id))
    desk.show({"id": webhook_id, "removed": True}, f"removed {safe(webhook_id)}")


def _path(webhook_id: str) -> str:
    return f"/v1/webhooks/{quote(webhook_id, safe='')}"


def _post_row(post: Json) -> tuple[object, ...]:
    return (
        post.get("event"),
        post.get("type"),
        local_time(post.get("at")),
        post.get("status"),
        post.get("tries"),
        reason_text(post.get("reason")) or "taken",
    )


def _row(row: Json) -> tuple[object, ...]:
    return (
        row.get("id"),
        row.get("url"),
        row.get("state"),
        row.get("cursor"),
        local_time(row.get("next_attempt_at")),
        reason_text(row.get("reason")),
    )
