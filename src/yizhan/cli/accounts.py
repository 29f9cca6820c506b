"""`yizhan account …` and `yizhan chat …`: which bots this gateway speaks for, and what rests for a while."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote, urlsplit

import typer

from yizhan.cli.client import Json
from yizhan.cli.paper import local_time, reason_text, safe, table
from yizhan.cli.status import ADD_ONE, state_text
from yizhan.cli.trouble import DONE, FAILED, UsageMistake
from yizhan.cli.verb import Desk, verb

WEIXIN_ID_SUFFIX = "@im.bot"
"""Every iLink bot id ends so. Source: @tencent-weixin/openclaw-weixin 2.4.9, `ilink_bot_id` of a login."""
TOKEN_MAX_CHARS = 4096

AccountId = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="For example weixin:ab12@im.bot or qq:1020304.")
]

Target = Annotated[str, typer.Argument(metavar="TARGET", help="platform:account:chat, or platform:chat.")]


def register(account: typer.Typer, add: typer.Typer, chat: typer.Typer) -> None:
    """Adds the verbs of the groups `account`, `account add` and `chat`."""
    _register_add(add)
    _register_account(account)
    _register_chat(chat)


def _register_add(add: typer.Typer) -> None:
    @verb(add)
    def weixin(
        desk: Desk,
        account_id: Annotated[str, typer.Option(metavar="ID", help="The bot's id, for example ab12@im.bot.")],
        token: Annotated[
            str | None, typer.Option(help="Bot token. Others on this machine can see it in the process list.")
        ] = None,
        token_stdin: Annotated[
            bool, typer.Option("--token-stdin", help="Read the token from stdin.")
        ] = False,
        user_id: Annotated[
            str | None, typer.Option(metavar="U", help="Who confirmed the login; is allowed from the start.")
        ] = None,
        base_url: Annotated[str | None, typer.Option(metavar="URL", help="The iLink server.")] = None,
        cdn_base_url: Annotated[str | None, typer.Option(metavar="URL", help="Where its media lies.")] = None,
    ) -> None:
        """Add a WeChat account whose token you have, or replace its token. The queue is kept."""
        body = {
            "platform": "weixin",
            "account_id": _weixin_id(account_id),
            "token": _secret(desk, token, token_stdin, "token"),
            "user_id": user_id,
            "base_url": _url(base_url, "--base-url"),
            "cdn_base_url": _url(cdn_base_url, "--cdn-base-url"),
        }
        _add(desk, body)

    @verb(add)
    def qq(
        desk: Desk,
        app_id: Annotated[str, typer.Option(metavar="ID", help="The bot's app id on q.qq.com, a number.")],
        client_secret: Annotated[
            str | None,
            typer.Option(
                metavar="S", help="Client secret. Others on this machine can see it in the process list."
            ),
        ] = None,
        client_secret_stdin: Annotated[
            bool, typer.Option("--client-secret-stdin", help="Read the client secret from stdin.")
        ] = False,
        api_base_url: Annotated[str | None, typer.Option(metavar="URL", help="The API's address.")] = None,
        token_url: Annotated[
            str | None, typer.Option(metavar="URL", help="Where access tokens are issued.")
        ] = None,
        webhook: Annotated[
            bool, typer.Option("--webhook", help="QQ posts events to this gateway; no connection is kept.")
        ] = False,
    ) -> None:
        """Add a QQ bot, or replace its secret. The queue is kept."""
        body = {
            "platform": "qq",
            "account_id": _app_id(app_id),
            "token": _secret(desk, client_secret, client_secret_stdin, "client secret"),
            "base_url": _url(api_base_url, "--api-base-url"),
            "token_url": _url(token_url, "--token-url"),
            "webhook": webhook or None,
        }
        _add(desk, body)


def _add(desk: Desk, body: Mapping[str, str | bool | None]) -> None:
    with desk.api() as api:
        added = api.call("POST", "/v1/accounts", body={k: v for k, v in body.items() if v is not None})
    word = "added" if added.get("created") else "credentials replaced:"
    desk.show(added, f"{word} {safe(added.get('id'))}")
    if body.get("webhook"):
        path = f"/webhooks/{body['platform']}/{body['account_id']}"
        desk.note(
            f"enter https://YOUR-NAME{path} as callback address; YOUR-NAME stands in server.allowed_hosts."
        )


def _register_account(account: typer.Typer) -> None:
    @verb(account, "list")
    def list_accounts(desk: Desk) -> None:
        """List the accounts with their states."""
        with desk.api() as api:
            page = api.call("GET", "/v1/accounts")
            running = api.running
        if desk.as_json:
            desk.show(page)
            return
        rows = page.get("items") or []
        if not rows:
            desk.note(f"no accounts yet. Add one: {ADD_ONE}")
            return
        if not running:
            desk.note("no gateway is running; these are the states last written down.")
        table(("account", "state", "since", "next try", "why"), (_row(row, running) for row in rows))

    @verb(account)
    def remove(
        desk: Desk,
        account: AccountId,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    ) -> int:
        """Remove an account: its login is erased, what waits for it is cancelled, history stays."""
        if not yes and not desk.as_json and sys.stdin.isatty() and not _sure(account):
            return FAILED
        with desk.api() as api:
            answer = api.call("DELETE", _path(account))
        desk.show(answer or {"id": account, "removed": True}, f"removed {safe(account)}")
        return DONE

    @verb(account)
    def pause(desk: Desk, account: AccountId) -> None:
        """Stop receiving and sending for an account until `resume`."""
        _switch(desk, account, "pause")

    @verb(account)
    def resume(desk: Desk, account: AccountId) -> None:
        """Go on with a paused account."""
        _switch(desk, account, "resume")


def _register_chat(chat: typer.Typer) -> None:
    @verb(chat)
    def pause(desk: Desk, chat: Target) -> None:
        """Hold back what is to be sent to a chat until `resume`."""
        _switch_chat(desk, chat, True)

    @verb(chat)
    def resume(desk: Desk, chat: Target) -> None:
        """Go on sending to a paused chat."""
        _switch_chat(desk, chat, False)

    @verb(chat)
    def takeover(desk: Desk, chat: Target) -> None:
        """Answer a chat by hand: the agent is not asked there until `handback`."""
        _hand_chat(desk, chat, True)

    @verb(chat)
    def handback(desk: Desk, chat: Target) -> None:
        """Let the agent answer a chat again, from its next message on."""
        _hand_chat(desk, chat, False)


def _switch(desk: Desk, account: str, word: str) -> None:
    with desk.api() as api:
        answer = api.call("POST", f"{_path(account)}/{word}")
    desk.show(answer, f"{safe(account)}: {word}d")


def _switch_chat(desk: Desk, chat: str, paused: bool) -> None:
    with desk.api() as api:
        answer = api.call("PATCH", "/v1/chat", query={"chat": chat}, body={"paused": paused})
    desk.show(answer, f"{safe(answer.get('chat') or chat)}: {'paused' if paused else 'resumed'}")


def _hand_chat(desk: Desk, chat: str, taken_over: bool) -> None:
    with desk.api() as api:
        answer = api.call("PATCH", "/v1/chat", query={"chat": chat}, body={"taken_over": taken_over})
    told = "you answer it; the agent is not asked" if taken_over else "the agent answers it again"
    desk.show(answer, f"{safe(answer.get('chat') or chat)}: {told}")


def _row(account: Json, running: bool) -> tuple[object, ...]:
    why = reason_text(account.get("reason"))
    action = account.get("action")
    return (
        account.get("id"),
        state_text(account, running),
        local_time(account.get("since")),
        local_time(account.get("next_attempt_at")) if running else "",
        f"{why} → {safe(action)}" if action else why,
    )


def _path(account: str) -> str:
    return f"/v1/accounts/{quote(account, safe='')}"


def _sure(account: str) -> bool:
    return typer.confirm(f"Remove {safe(account)}? What waits for it is cancelled", err=True)


def _weixin_id(text: str) -> str:
    """The bare bot id. Raises UsageMistake for what cannot be one."""
    bare = text.strip().removeprefix("weixin:")
    name = bare.removesuffix(WEIXIN_ID_SUFFIX)
    if (
        name == bare
        or not name
        or any(char.isspace() or char in ":/@" or not char.isprintable() for char in name)
    ):
        raise UsageMistake(
            f"--account-id {safe(text)!r} is no WeChat bot id.",
            f"It looks like b0f5860fdecb{WEIXIN_ID_SUFFIX} and is the part of the bot token before the colon.",
        )
    return bare


def _app_id(text: str) -> str:
    bare = text.strip().removeprefix("qq:")
    if not (bare.isascii() and bare.isdigit() and len(bare) <= 32):
        raise UsageMistake(
            f"--app-id {safe(text)!r} is no app id.", "It is the number that q.qq.com shows as AppID."
        )
    return bare


def _secret(desk: Desk, given: str | None, from_stdin: bool, name: str) -> str:
    """The token or secret from where it was said to be, without the space around it."""
    option = "--" + name.replace(" ", "-")
    if (given is None) != from_stdin:
        raise UsageMistake(
            f"The {name} is needed once.", f"Give {option}-stdin (better) or {option} {name.upper()}."
        )
    if given is not None:
        desk.note(f"{option} can be seen in the process list; {option}-stdin cannot.")
    return _checked(given if given is not None else sys.stdin.read(TOKEN_MAX_CHARS + 1), name)


def _checked(text: str, name: str) -> str:
    secret = text.strip()
    if not secret:
        raise UsageMistake(f"The {name} is empty.", f"Give the whole {name}, as the platform showed it.")
    if len(text) > TOKEN_MAX_CHARS or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise UsageMistake(
            f"The {name} holds characters that none has (space, line break, not ASCII), or is too long.",
            f"Give the {name} alone, on one line.",
        )
    return secret


def _url(text: str | None, option: str) -> str | None:
    """An http(s) address without a trailing slash. Raises UsageMistake."""
    if text is None:
        return None
    url = text.strip().rstrip("/")
    if not _is_http(url):
        raise UsageMistake(
            f"{option} {safe(text)!r} is no address.", "Write it as https://host or https://host:port."
        )
    return url


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
