"""How many new sessions a bot asks for: all of its shards share one ration. Pure.

QQ lets a bot begin so many sessions a day, and so many within five seconds; a loop of two seconds burns a day's
thousand in half an hour. So they are spaced as QQ says, and after fifty in an hour they come once a minute at most.
Source: bot-docs (2025-04-21), `session_start_limit`; openclaw-qqbot #18.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

HOUR_MS = 3_600_000
PER_HOUR = 50
GAP_MS = 6_000
"""Within so long, so many sessions may begin as the gateway says: within five seconds, and one for the way there.
Source: D25, `max_concurrency`."""
_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Ration:
    """`asked`: when new sessions were asked for within the last hour, oldest first."""

    asked: tuple[int, ...] = ()


def asking(ration: Ration, now_ms: int) -> Ration:
    """A new session is being asked for."""
    recent = tuple(at_ms for at_ms in ration.asked if now_ms - at_ms < HOUR_MS)
    return replace(ration, asked=(*recent, now_ms)[-_KEPT:])


def wait_ms(ration: Ration, at_once: int, now_ms: int) -> int:
    """How long until the next one may be asked for, if so many may be at once."""
    due_ms = ration.asked[-at_once] + GAP_MS if len(ration.asked) >= at_once else 0
    return max(0, min(GAP_MS, due_ms - now_ms))


def is_stretched(ration: Ration, now_ms: int, shards: int = 1) -> bool:
    """Whether so many were asked for within the hour that the next must wait. A bot of many shards needs one for each,
    and perhaps a second."""
    asked = sum(now_ms - at_ms < HOUR_MS for at_ms in ration.asked)
    return asked >= max(PER_HOUR, 2 * shards)
