"""Every call of QQ's API as a request: address, body, bounds. Pure. The access token is put on by `api.py`.

Source of addresses and fields: bot-docs (2025-04-21), the wiki bot.q.qq.com (2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from yizhan.model import Account
from yizhan.platforms.qq.chats import Chat, Scope
from yizhan.platforms.qq.policy import API_URL, POLICY, SIGN_MS, TOKEN_URL
from yizhan.ports import Request

CALL_MS = 10_000
TYPING_S, TYPING_SEQ = 60, 60_000
QUICK_MS = 4_000
"""An interaction is to be acknowledged within about five seconds. Source: qqbot-nodejs."""
_SMALL_BYTES = 256 * 1024
_encode = msgspec.json.Encoder().encode

_PATHS = {
    Scope.C2C: "/v2/users/{}/messages",
    Scope.GROUP: "/v2/groups/{}/messages",
    Scope.CHANNEL: "/channels/{}/messages",
    Scope.DM: "/dms/{}/messages",
}


def access_token(account: Account) -> Request:
    """`token_url` may be the host's address or that of the endpoint itself."""
    given = account.credentials.token_url or TOKEN_URL
    url = given if urlsplit(given).path.strip("/") else f"{given.rstrip('/')}/app/getAppAccessToken"
    body = {"appId": account.external_id, "clientSecret": account.credentials.secret}
    return _request("getAppAccessToken", "POST", url, body, CALL_MS)


def gateway(account: Account) -> Request:
    """Where to connect, and how many new sessions are left."""
    return _request("gateway", "GET", f"{_api(account)}/gateway/bot", None, CALL_MS)


def myself(account: Account) -> Request:
    """Proves that token, app and address are accepted; takes no messages and no session."""
    return _request("me", "GET", f"{_api(account)}/users/@me", None, CALL_MS)


def send(account: Account, chat: Chat, body: Mapping[str, Any]) -> Request:
    path = _PATHS[chat.scope].format(quote(chat.id, safe=""))
    return _request("send", "POST", _api(account) + path, body, POLICY.send_timeout_ms - SIGN_MS)


def typing(account: Account, chat: Chat, message_id: str, now_ms: int) -> Request:
    """The sign ends by itself, or with the answer. Its number must be none of an answer's, and another each time.
    Source: the wiki bot.q.qq.com (2026), `msg_type` 6."""
    body = {
        "msg_type": 6,
        "input_notify": {"input_type": 1, "input_second": TYPING_S},
        "msg_id": message_id,
        "msg_seq": TYPING_SEQ + now_ms // 1_000 % 5_000,
    }
    path = _PATHS[chat.scope].format(quote(chat.id, safe=""))
    return _request("typing", "POST", _api(account) + path, body, QUICK_MS)


def acknowledge(account: Account, interaction_id: str) -> Request:
    """Ends the spinner on the button that somebody pressed."""
    url = f"{_api(account)}/interactions/{quote(interaction_id, safe='')}"
    return _request("interaction", "PUT", url, {"code": 0}, QUICK_MS)


def _api(account: Account) -> str:
    return account.credentials.base_url or API_URL


def _request(call: str, method: str, url: str, body: Mapping[str, Any] | None, timeout_ms: int) -> Request:
    return Request(
        call=call,
        method=method,
        url=url,
        headers={"Content-Type": "application/json"},
        body=_encode(body) if body is not None else b"",
        timeout_ms=timeout_ms,
        max_reply_bytes=_SMALL_BYTES,
    )
