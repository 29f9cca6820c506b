"""When a conversation is over by itself. Pure.

A session is what an agent is to remember: of a chat, or in a group of one person. It ends by /new, after a quiet time,
or at an hour of the day. The new one begins right behind the last turn of the old one: what was pushed since then
belongs to it, so that "yes, do it" still means something.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class SessionRules:
    """`idle_ms` 0: never for quietness; `daily_hour` None: at no hour. `by_person`: in groups each has his own."""

    idle_ms: int = 0
    daily_hour: int | None = None
    zone: str = "UTC"
    by_person: bool = True


def over(rules: SessionRules, used_ms: int, now_ms: int) -> bool:
    """Whether a session that was last used then is over for a message of now. One that was never used is not."""
    if used_ms <= 0 or now_ms <= used_ms:
        return False
    if rules.idle_ms and now_ms - used_ms >= rules.idle_ms:
        return True
    if rules.daily_hour is None:
        return False
    return _day(rules, used_ms) != _day(rules, now_ms)


def _day(rules: SessionRules, at_ms: int) -> date:
    """The day of a time, where days begin at the hour."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(rules.zone))
    return (local.replace(tzinfo=None) - timedelta(hours=rules.daily_hour or 0)).date()
