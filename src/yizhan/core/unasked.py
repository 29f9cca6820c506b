"""Messages that nobody asked for just now: where a platform takes them, how many, and from whom not.

Some platforms take a send without a reply token beside those that answer somebody, and count it apart: so many
a minute and a day for a chat, and only while the chat allows it. Such a send is the fallback of an answer that
came too late, and the way of a push; it is tried once and never in a loop, since the platform's refusal is meant.

What is known of a chat is one small value: it is kept with the chat, for the switch must outlive the process.
Nothing here waits or sends.
Source: QQ, see platforms/qq/README.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from yizhan.model import Reason, WaitingFor

MINUTE_MS = 60_000
DAY_MS = 86_400_000 + MINUTE_MS
"""A platform that counts the last 24 hours forgets one message after the other, as late as they came; what went out
within a minute is forgotten a minute after the first."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a platform takes from one chat unasked; 0: no bound."""

    per_minute: int = 0
    per_day: int = 0


@dataclass(frozen=True, slots=True)
class Unasked:
    """What is known of a chat.

    refused    it takes none until it says otherwise (the platform's word, or its switch)
    minute_ms / in_minute  since when we count by the minute, and how many went since
    day_ms / in_day        likewise by the day
    """

    refused: bool = False
    minute_ms: int = 0
    in_minute: int = 0
    day_ms: int = 0
    in_day: int = 0


NOTHING = Unasked()


@dataclass(frozen=True, slots=True)
class Shut:
    """Why none may go, and when one may again; None: not by time alone."""

    waiting_for: WaitingFor
    reason: Reason
    at_ms: int | None


NOT_TAKEN = Reason(
    "unasked-refused",
    "the chat takes only answers just now; the other side's next message, or its switch, releases this",
)
QUOTA_SPENT = Reason("unasked-quota", "the platform takes only so many messages that nobody asked for")


def shut(known: Unasked, quota: Quota, now_ms: int) -> Shut | None:
    """Why a message that nobody asked for may not go, None if it may."""
    if known.refused:
        return Shut(WaitingFor.USER, NOT_TAKEN, None)
    minute, day = _counted(known, now_ms)
    if quota.per_day and day >= quota.per_day:
        return Shut(WaitingFor.ALLOWANCE, QUOTA_SPENT, known.day_ms + DAY_MS)
    if quota.per_minute and minute >= quota.per_minute:
        return Shut(WaitingFor.LIMIT, QUOTA_SPENT, known.minute_ms + MINUTE_MS)
    return None


def left(known: Unasked, quota: Quota, now_ms: int) -> int | None:
    """How many may still go today; None: without a bound."""
    if known.refused:
        return 0
    return max(0, quota.per_day - _counted(known, now_ms)[1]) if quota.per_day else None


def took(known: Unasked, now_ms: int) -> Unasked:
    """One is about to leave."""
    minute, day = _counted(known, now_ms)
    return replace(
        known,
        minute_ms=known.minute_ms if minute else now_ms,
        in_minute=minute + 1,
        day_ms=known.day_ms if day else now_ms,
        in_day=day + 1,
    )


def given_back(known: Unasked) -> Unasked:
    """It was refused, or never left."""
    return replace(known, in_minute=max(0, known.in_minute - 1), in_day=max(0, known.in_day - 1))


def switched(known: Unasked, granted: bool | None) -> Unasked:
    """The chat has said whether it takes them; None: it begins anew, and we shall see."""
    return replace(known, refused=granted is False)


def _counted(known: Unasked, now_ms: int) -> tuple[int, int]:
    minute = known.in_minute if now_ms - known.minute_ms < MINUTE_MS else 0
    return minute, known.in_day if now_ms - known.day_ms < DAY_MS else 0


# the store


def encode(known: Unasked) -> str:
    """As text for the store; empty when nothing is known."""
    if known == NOTHING:
        return ""
    told = [int(known.refused), known.minute_ms, known.in_minute, known.day_ms, known.in_day]
    return json.dumps(told, separators=(",", ":"))


def decode(text: str) -> Unasked:
    """As it was stored; what cannot be read is forgotten, and learned again."""
    try:
        told = json.loads(text) if text else None
    except ValueError:
        return NOTHING
    if (
        not isinstance(told, list)
        or len(told) != 5
        or not all(type(each) is int and each >= 0 for each in told)
    ):
        return NOTHING
    return Unasked(bool(told[0]), *told[1:])
