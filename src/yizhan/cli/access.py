"""`yizhan access …`: who may talk to the agent; unknown senders are listed, never answered."""

from __future__ import annotations

from typing import Annotated

import typer

from yizhan.cli.client import Api, Json
from yizhan.cli.paper import local_time, safe, short, table
from yizhan.cli.trouble import UsageMistake
from yizhan.cli.verb import Desk, verb

AccountOption = Annotated[
    str | None, typer.Option("--account", metavar="ACCOUNT", help="For example weixin:ab12@im.bot.")
]
Sender = Annotated[str, typer.Argument(metavar="SENDER", help="The sender's id, as `access list` shows it.")]


def register(group: typer.Typer) -> None:
    """Adds the verbs of the group `access`."""

    @verb(group, "list")
    def list_senders(desk: Desk, account: AccountOption = None) -> None:
        """List who is allowed, blocked, or waiting for a decision."""
        with desk.api() as api:
            page = api.call("GET", "/v1/access", query={"account": account})
        if desk.as_json:
            desk.show(page)
            return
        rows = page.get("items") or []
        if not rows:
            desk.note("nobody is listed yet; whoever writes to an account appears here.")
            return
        table(
            ("account", "sender", "name", "rule", "last refused", "refused", "by", "code", "first words"),
            map(_row, rows),
        )

    @verb(group)
    def allow(desk: Desk, sender: Sender, account: AccountOption = None) -> None:
        """Let a sender talk to the agent."""
        _decide(desk, sender, account, "allow")

    @verb(group)
    def approve(
        desk: Desk, code: Annotated[str, typer.Argument(metavar="CODE", help="What the sender was told.")]
    ) -> None:
        """Let in the sender who was told this code."""
        with desk.api() as api:
            answer = api.call("POST", "/v1/access/approve", body={"code": code})
        desk.show(answer, f"{safe(_sender_id(answer))} on {safe(answer.get('account'))}: allow")

    @verb(group)
    def block(desk: Desk, sender: Sender, account: AccountOption = None) -> None:
        """Refuse a sender."""
        _decide(desk, sender, account, "block")


def _decide(desk: Desk, sender: str, account: str | None, rule: str) -> None:
    with desk.api() as api:
        chosen = account or _account_of(api, sender)
        answer = api.call("POST", "/v1/access", body={"account": chosen, "sender": sender, "rule": rule})
    desk.show(answer, f"{safe(sender)} on {safe(chosen)}: {rule}")


def _account_of(api: Api, sender: str) -> str:
    """The account meant when none is named: the one that knows the sender, else the only one."""
    known = {row["account"] for row in _items(api, "/v1/access") if _sender_id(row) == sender}
    chosen = known or {row["id"] for row in _items(api, "/v1/accounts")}
    if len(chosen) != 1:
        there = ", ".join(sorted(map(safe, chosen))) or "none yet"
        raise UsageMistake(f"It is not clear which account is meant ({there}).", "Name it: --account ACCOUNT")
    return str(chosen.pop())


def _items(api: Api, path: str) -> list[Json]:
    return list(api.call("GET", path).get("items") or [])


def _sender_id(row: Json) -> object:
    sender = row.get("sender")
    return sender.get("id") if isinstance(sender, dict) else sender


def _row(row: Json) -> tuple[object, ...]:
    sender = row.get("sender")
    name = sender.get("name") if isinstance(sender, dict) else None
    seen = local_time(row.get("last_seen_at"))
    words = short(row.get("first_text"))
    told = row.get("refused"), row.get("refused_by"), row.get("code")
    return row.get("account"), _sender_id(row), short(name), row.get("rule"), seen, *told, words
