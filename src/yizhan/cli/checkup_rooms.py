"""Checks of the chats that the configuration names: a name that is written wrongly fits none, and its rule keeps
nobody out."""

from __future__ import annotations

from collections.abc import Iterator

from yizhan.cli.client import Api
from yizhan.cli.findings import Finding, warn
from yizhan.settings import Settings

MOST = 200
"""Chats that are looked through for one name."""


def check_rooms(api: Api, settings: Settings) -> Iterator[Finding]:
    """Each chat that is named, and that nobody has ever heard of."""
    for key, name in _named(settings):
        found = api.call("GET", "/v1/chats", query={"search": name, "limit": MOST}).get("items") or []
        if not any(name in _names(str(row.get("chat"))) for row in found):
            yield warn(
                key,
                f"{name} is no chat that has ever been heard of",
                "Unless the bot is new there, copy the id from the console; QQ's groups begin with group/.",
            )


def _named(settings: Settings) -> Iterator[tuple[str, str]]:
    """(key, chat id or TARGET), each once."""
    access = settings.access
    yield from (("access.group_allow", name) for name in dict.fromkeys(access.group_allow))
    yield from (("access.group_people", name) for name in access.group_people)
    chats = dict.fromkeys(route.chat for route in settings.routes if route.chat is not None)
    yield from (("routes", name) for name in chats)


def _names(target: str) -> tuple[str, str]:
    """A chat's TARGET, and its id alone."""
    return target, target.split(":", 2)[-1]
