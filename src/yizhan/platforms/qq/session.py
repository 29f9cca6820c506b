"""A session of QQ's gateway as it is kept: the account's cursor.

The cursor names the session and the place up to which everything is stored. It moves in the transaction of the
messages it covers and never before; so a process that dies resumes at what it really has.
Source: openclaw #109996: a place that ran ahead of the store lost every message between.
"""

from __future__ import annotations

from dataclasses import dataclass

_VERSION = "q1"
_ID_MAX = 256


@dataclass(frozen=True, slots=True)
class Session:
    """`seq`: the place of the last event; `born_ms`: when we identified, which began it."""

    id: str
    seq: int
    born_ms: int


def write_cursor(session: Session) -> str:
    return f"{_VERSION} {session.seq} {session.born_ms} {session.id}"


def read_cursor(cursor: str) -> Session | None:
    """The session that a cursor names; None where it names none that we can read."""
    version, _, rest = cursor.partition(" ")
    numbers = rest.split(" ", 2)
    if version != _VERSION or len(numbers) != 3 or not 0 < len(numbers[2]) <= _ID_MAX:
        return None
    seq, born = numbers[0], numbers[1]
    if not all(text.isascii() and text.isdigit() and len(text) < 17 for text in (seq, born)):
        return None
    return Session(numbers[2], int(seq), int(born))
