"""`yizhan key …`: keys of the API for other programs. A key is shown once, when it is made."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from yizhan.cli.client import Json
from yizhan.cli.once import Key, make
from yizhan.cli.paper import local_time, safe, table
from yizhan.cli.verb import Desk, verb


def register(group: typer.Typer) -> None:
    """Adds the verbs of the group `key`."""

    @verb(group, "list")
    def list_keys(desk: Desk) -> None:
        """List the keys; none is shown itself."""
        with desk.api() as api:
            page = api.call("GET", "/v1/keys")
        if desk.as_json:
            desk.show(page)
            return
        rows = page.get("items") or []
        if not rows:
            desk.note("no keys beside the one in the home's api-key file.")
            return
        table(("id", "name", "scopes", "created", "revoked"), map(_row, rows))

    @verb(group)
    def add(
        desk: Desk,
        name: Annotated[str, typer.Argument(help="What the key is for.")],
        scope: Annotated[
            list[str] | None,
            typer.Option(metavar="read|send|admin", help="What it may do; may be given several times."),
        ] = None,
        key: Key = None,
    ) -> None:
        """Make a key and print it, once. Without --scope it may read and send."""
        with desk.api() as api:
            made = make(api, "/v1/keys", key, {"name": name, "scopes": scope or ["read", "send"]})
        desk.note("this is the only time the key is shown.")
        desk.show(made, safe(made.get("key")))

    @verb(group)
    def revoke(
        desk: Desk, key_id: Annotated[str, typer.Argument(metavar="ID", help="As `key list` shows it.")]
    ) -> None:
        """Revoke a key; programs that use it are refused from now on."""
        with desk.api() as api:
            answer = api.call("DELETE", f"/v1/keys/{quote(key_id, safe='')}")
        desk.show(answer or {"id": key_id, "revoked": True}, f"revoked {safe(key_id)}")


def _row(row: Json) -> tuple[object, ...]:
    scopes = ", ".join(map(str, row.get("scopes") or []))
    return (
        row.get("id"),
        row.get("name"),
        scopes,
        local_time(row.get("created_at")),
        local_time(row.get("revoked_at")),
    )
