"""The sessions of a bot at QQ's gateway as they are kept: the account's cursor.

The cursor names the session of each shard and the place up to which everything is stored. It moves in the
transaction of the messages it covers and never before; so a process that dies resumes at what it really has.
Source: openclaw #109996: a place that ran ahead of the store lost every message between.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from yizhan.platforms.qq.intents import LADDER

_VERSION, _SHARDED = "q1", "q2"
_ID_MAX = 256
_NUMBER_MAX = 2**53
SHARDS_MAX = 64
"""No bot that answers people is told to be more; a number beyond it is nonsense."""


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


@dataclass(frozen=True, slots=True)
class Places:
    """Where a bot of `of` shards stands: shard → session. One that is not there has none."""

    of: int = 1
    sessions: Mapping[int, Session] = field(default_factory=dict)


def write_places(places: Places) -> str:
    """Empty where there is no session."""
    if places.of == 1:
        return write_cursor(places.sessions[0]) if 0 in places.sessions else ""
    told = {
        str(shard): [each.seq, each.born_ms, each.rung, each.id] for shard, each in places.sessions.items()
    }
    return f"{_SHARDED} {json.dumps([places.of, told], separators=(',', ':'))}"


def read_places(cursor: str) -> Places:
    """What a cursor names; no session where it names none that we can read. Total."""
    version, _, rest = cursor.partition(" ")
    if version != _SHARDED:
        single = read_cursor(cursor)
        return Places(1, {0: single}) if single is not None else Places()
    try:
        of, told = json.loads(rest)
        sessions = {int(shard): _read_session(*values) for shard, values in told.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return Places()
    good = type(of) is int and 1 < of <= SHARDS_MAX and all(0 <= shard < of for shard in sessions)
    return Places(of, sessions) if good else Places()


def _read_session(seq: Any, born_ms: Any, rung: Any, name: Any) -> Session:
    """Raises ValueError for what is none."""
    numbers = (seq, born_ms, rung)
    if not all(type(each) is int and 0 <= each < _NUMBER_MAX for each in numbers) or rung >= len(LADDER):
        raise ValueError("not the numbers of a session")
    if not isinstance(name, str) or not 0 < len(name) <= _ID_MAX:
        raise ValueError("not the name of a session")
    return Session(name, seq, born_ms, rung)
