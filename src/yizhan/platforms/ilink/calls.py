"""Every call of the iLink API as a request: address, headers, body, bounds. Pure but for the drawn header.

Source of addresses, fields and headers: @tencent-weixin/openclaw-weixin 2.4.9 (MIT), its README and `src/api`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from yizhan import __version__
from yizhan.model import Account, ChatId
from yizhan.platforms.ilink.policy import POLICY
from yizhan.ports import Chance, Request

CHANNEL_VERSION = "2.4.9"
"""The official client's version that we follow. Old ones are refused on the phone ("please upgrade").
Source: MiniMax-AI/minimax-code #105, Tencent/openclaw-weixin #85."""
_MAJOR, _MINOR, _PATCH = (int(part) for part in CHANNEL_VERSION.split("."))
APP_HEADERS = {
    "iLink-App-Id": "bot",
    "iLink-App-ClientVersion": str((_MAJOR << 16) | (_MINOR << 8) | _PATCH),
}
BASE_INFO = {"channel_version": CHANNEL_VERSION, "bot_agent": f"Yizhan/{__version__}"}

BOT_TYPE = 3
"""The only kind of bot that any client asks for."""
TOKENS_LISTED = 10
"""At most this many known tokens go along with the wish for a QR code. Source: 2.4.9."""

QR_HOLD_MS = 35_000
"""The server holds a question for the code's status about this long."""
SHORT_MS = 5_000
GOODBYE_MS = 1_500
_SMALL_BYTES = 256 * 1024
_POLL_BYTES = 16 * 1024 * 1024
"""A backlog of a thousand long messages; what is larger cannot be read and is not lost by that."""

_encode = msgspec.json.Encoder().encode


class Calls:
    """Builds requests. `chance` fills the header that changes with every request."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    def send_text(self, account: Account, chat: ChatId, client_id: str, text: str, token: str) -> Request:
        """One finished text message; `token` empty sends without a context token.

        All fields but `context_token` are always there: leaving out `from_user_id`, `client_id` or
        `message_type` made the API accept and show nothing (clowder-ai F137, March 2026). Exactly one item.
        """
        message: dict[str, Any] = {
            "from_user_id": "",
            "to_user_id": chat,
            "client_id": client_id,
            "message_type": 2,
            "message_state": 2,
            "item_list": [{"type": 1, "text_item": {"text": text}}],
        }
        if token:
            message["context_token"] = token
        return self._post(account, "sendmessage", {"msg": message}, POLICY.send_timeout_ms)

    def poll(self, account: Account, cursor: str, hold_ms: int) -> Request:
        """The long poll; `cursor` empty on the first call. Our time-out is longer than the server's hold."""
        body = {"get_updates_buf": cursor}
        return self._post(account, "getupdates", body, hold_ms + POLICY.poll_margin_ms, _POLL_BYTES)

    def start(self, account: Account) -> Request:
        return self._post(account, "msg/notifystart", {}, SHORT_MS)

    def stop(self, account: Account) -> Request:
        return self._post(account, "msg/notifystop", {}, GOODBYE_MS)

    def config(self, account: Account, user_id: str, token: str = "") -> Request:
        """Asks for a typing ticket. Takes no messages, uses no allowance: also the probe of a login."""
        body = {"ilink_user_id": user_id} | ({"context_token": token} if token else {})
        return self._post(account, "getconfig", body, SHORT_MS)

    def typing(self, account: Account, user_id: str, ticket: str, on: bool) -> Request:
        body = {"ilink_user_id": user_id, "typing_ticket": ticket, "status": 1 if on else 2}
        return self._post(account, "sendtyping", body, SHORT_MS)

    def qr_code(self, base_url: str, tokens: Sequence[str]) -> Request:
        """A new login code. `tokens`: those of accounts that may be linked already, newest first."""
        body = {"local_token_list": list(tokens[:TOKENS_LISTED])}
        url = _url(base_url, f"get_bot_qrcode?bot_type={BOT_TYPE}")
        headers = self._headers()
        return Request("get_bot_qrcode", "POST", url, headers, _bytes(body), 2 * SHORT_MS, _SMALL_BYTES)

    def qr_status(self, host_url: str, handle: str, verify_code: str = "") -> Request:
        """What became of a code; held by the server until something did."""
        query = f"get_qrcode_status?qrcode={quote(handle, safe='')}"
        if verify_code:
            query += f"&verify_code={quote(verify_code, safe='')}"
        timeout_ms = QR_HOLD_MS + SHORT_MS
        url = _url(host_url, query)
        return Request("get_qrcode_status", "GET", url, APP_HEADERS, b"", timeout_ms, _SMALL_BYTES)

    def _post(
        self,
        account: Account,
        call: str,
        body: dict[str, Any],
        timeout_ms: int,
        reply_bytes: int = _SMALL_BYTES,
    ) -> Request:
        headers = self._headers()
        headers["Authorization"] = f"Bearer {account.credentials.secret}"
        body["base_info"] = BASE_INFO
        url = _url(account.credentials.base_url, call)
        return Request(call.rpartition("/")[2], "POST", url, headers, _bytes(body), timeout_ms, reply_bytes)

    def _headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "AuthorizationType": "ilink_bot_token",
            "X-WECHAT-UIN": wechat_uin(int(self._chance.token_hex(4), 16)),
            **APP_HEADERS,
        }


def wechat_uin(number: int) -> str:
    """The header's form of a uint32: base64 of its decimal digits. 305419896 → `MzA1NDE5ODk2`."""
    return base64.b64encode(str(number).encode()).decode()


def _url(base_url: str, call: str) -> str:
    return f"{base_url.rstrip('/')}/ilink/bot/{call}"


def _bytes(body: dict[str, Any]) -> bytes:
    """UTF-8. A lone surrogate, which JSON could carry and UTF-8 cannot, becomes a question mark."""
    try:
        return _encode(body)
    except UnicodeEncodeError:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
