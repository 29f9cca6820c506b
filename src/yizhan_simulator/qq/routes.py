"""Which path is which call, and who answers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from yizhan_simulator.qq import extras, gateway, sending, tokens
from yizhan_simulator.qq.state import QqState, Visit
from yizhan_simulator.state import Told

Endpoint = Callable[[QqState, Visit], Told]


@dataclass(frozen=True, slots=True)
class Route:
    endpoint: Endpoint
    needs_token: bool = True


SENDS = ("qq.send.c2c", "qq.send.group", "qq.send.channel", "qq.send.dm")
SOCKET = "qq.socket"
ROUTES: Mapping[str, Route] = {
    "qq.token": Route(tokens.token, needs_token=False),
    "qq.gateway": Route(gateway.gateway),
    "qq.gateway_bot": Route(gateway.gateway_bot),
    "qq.me": Route(gateway.me),
    "qq.send.c2c": Route(sending.c2c),
    "qq.send.group": Route(sending.group),
    "qq.send.channel": Route(sending.channel),
    "qq.send.dm": Route(sending.direct),
    "qq.open_dm": Route(extras.open_dm),
    "qq.files": Route(extras.files),
    "qq.recall": Route(extras.recall),
    "qq.interaction": Route(extras.interaction),
    "qq.bot_state": Route(extras.bot_state),
}
"""Call → endpoint. Calls without one (`qq.socket`, frames) are answered elsewhere."""

_BLANK = r"([^/]+)"
_PATHS = [
    (method, re.compile(f"/*{pattern.format(_BLANK, _BLANK)}/?"), call)
    for method, pattern, call in (
        ("POST", "app/getAppAccessToken", "qq.token"),
        ("GET", "gateway", "qq.gateway"),
        ("GET", "gateway/bot", "qq.gateway_bot"),
        ("GET", "users/@me", "qq.me"),
        ("POST", "users/@me/dms", "qq.open_dm"),
        ("GET", "websocket", SOCKET),
        ("POST", "v2/users/{}/messages", "qq.send.c2c"),
        ("POST", "v2/groups/{}/messages", "qq.send.group"),
        ("POST", "channels/{}/messages", "qq.send.channel"),
        ("POST", "dms/{}/messages", "qq.send.dm"),
        ("POST", "v2/users/{}/files", "qq.files"),
        ("POST", "v2/groups/{}/files", "qq.files"),
        ("GET", "v2/groups/{}/bot_state", "qq.bot_state"),
        ("DELETE", "v2/users/{}/messages/{}", "qq.recall"),
        ("DELETE", "v2/groups/{}/messages/{}", "qq.recall"),
        ("DELETE", "channels/{}/messages/{}", "qq.recall"),
        ("DELETE", "dms/{}/messages/{}", "qq.recall"),
        ("PUT", "interactions/{}", "qq.interaction"),
    )
]


@lru_cache(maxsize=1024)
def found(method: str, path: str) -> tuple[str, tuple[str, ...]] | None:
    """The call and what the path's blanks hold; None: not QQ's."""
    for verb, pattern, call in _PATHS:
        if verb == method and (match := pattern.fullmatch(path)) is not None:
            return call, match.groups()
    return None
