"""QQ's four kinds of chat, and how a chat's id names its kind.

The kind is part of the id, so that it can never be forgotten: a group's id sent to the road of single chats is
answered "does not exist". Source: hermes-agent #119805.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from yizhan.model import ChatId


class Scope(StrEnum):
    C2C = "c2c"
    GROUP = "group"
    CHANNEL = "channel"
    DM = "dm"


_CHAT = re.compile(r"(c2c|group|channel|dm)/([A-Za-z0-9_-]{1,128})")
"""Openids are 32 hexadecimal digits, channels and sessions of guilds are numbers; both are said to be opaque."""


@dataclass(frozen=True, slots=True)
class Chat:
    """`id`: the user's openid, the group's openid, the channel, or the guild of the direct session."""

    scope: Scope
    id: str

    @property
    def in_guild(self) -> bool:
        return self.scope in (Scope.CHANNEL, Scope.DM)


def read_chat(chat: ChatId) -> Chat | None:
    """The chat that an id names, None if it names none."""
    found = _CHAT.fullmatch(chat)
    return Chat(Scope(found[1]), found[2]) if found else None


def chat_id(scope: Scope, name: str) -> ChatId | None:
    """The id of a chat that the platform calls `name`; None if nobody could write that down."""
    made = ChatId(f"{scope.value}/{name}")
    return made if _CHAT.fullmatch(made) else None
