"""What rows are to the store: the shapes that drivers take, and nouns with what only the store knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from yizhan.model import Chat, Inbound, Message, Reason, ReplyToken, Suppressed, Turn, WaitingFor

Row = Sequence[Any]
"""What a driver gives: the columns of one table, in the table's order."""
Values = Mapping[str, Any]
"""What a driver takes: a value for each column, text, integer or None."""


class KeptMessage(NamedTuple):
    """A message with what only the store needs: the hash of the body that its key was first used with."""

    message: Message
    body_sha256: str


class KeptChat(NamedTuple):
    """A chat with the next position it hands out."""

    chat: Chat
    next_seq: int


class KeptInbound(NamedTuple):
    """An inbound message with its position and the hash that recognises its content."""

    inbound: Inbound
    seq: int
    content_sha256: str


class KeptTurn(NamedTuple):
    turn: Turn
    seq: int


class KeptSuppressed(NamedTuple):
    suppressed: Suppressed
    seq: int


class KeptToken(NamedTuple):
    """A reply token with its position: the newest of a chat has the highest. The hash finds it, also when the token
    itself is erased."""

    token: ReplyToken
    seq: int
    sha256: str


def reason_of(code: str | None, text: str | None) -> Reason | None:
    return None if code is None else Reason(code, text or "")


def waiting_of(word: str | None) -> WaitingFor | None:
    return None if word is None else WaitingFor(word)
