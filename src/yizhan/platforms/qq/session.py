"""A session of QQ's gateway as it is kept: the account's cursor.

The cursor names the session and the place up to which everything is stored. It moves in the transaction of the
messages it covers and never before; so a process that dies resumes at what it really has.
Source: openclaw #109996: a place that ran ahead of the store lost every message between.
"""

from __future__ import annotations

from dataclasses import dataclass

from yizhan.platforms.qq.intents import LADDER

_VERSION = "q1"
_ID_MAX = 256


@dataclass(frozen=True, slots=True)
class Session:
    """`seq`: the place of the last event; `born_ms`: when we identified, which began it; `rung`: with which events, see
    `intents.LADDER`."""

    id: str
    seq: int
    born_ms: int
    rung: int = 0


def write_cursor(session: Session) -> str:
    return f"{_VERSION} {session.seq} {session.born_ms} {session.rung} {session.id}"


def read_cursor(cursor: str) -> Session | None:
    """The session that a cursor names; None where it names none that we can read."""
    version, _, rest = cursor.partition(" ")
    *numbers, name = rest.split(" ", 3)
    if version != _VERSION or len(numbers) != 3 or not 0 < len(name) <= _ID_MAX:
        return None
    if not all(text.isascii() and text.isdigit() and len(text) < 17 for text in numbers):
        return None
    seq, born_ms, rung = map(int, numbers)
    return Session(name, seq, born_ms, rung) if rung < len(LADDER) else None
