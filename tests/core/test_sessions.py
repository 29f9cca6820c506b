"""When a conversation is over by itself."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from yizhan.core.sessions import SessionRules, over

SHANGHAI = "Asia/Shanghai"
HOUR_MS = 3_600_000


def _ms(text: str, zone: str = SHANGHAI) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def test_by_default_a_session_lasts_until_somebody_ends_it() -> None:
    assert not over(SessionRules(), 1, 10**13)


@pytest.mark.parametrize(("quiet_ms", "expected"), [(0, False), (HOUR_MS - 1, False), (HOUR_MS, True)])
def test_a_quiet_time_ends_it(quiet_ms: int, expected: bool) -> None:
    """From one turn to the next message; one that was never used has nothing to forget."""
    rules = SessionRules(idle_ms=HOUR_MS)
    assert expected is over(rules, 10**12, 10**12 + quiet_ms)
    assert not over(rules, 0, 10**12)
    assert not over(rules, 10**12, 10**12 - 5 * HOUR_MS)


@pytest.mark.parametrize(
    ("used", "now", "expected"),
    [
        ("2026-11-21T03:59:59", "2026-11-21T04:00:00", True),
        ("2026-11-21T04:00:00", "2026-11-22T03:59:59", False),
        ("2026-11-20T23:00:00", "2026-11-21T01:00:00", False),
        ("2026-11-20T12:00:00", "2026-11-25T04:00:00", True),
    ],
)
def test_a_new_day_begins_at_the_hour(used: str, now: str, expected: bool) -> None:
    """In the zone of the operator: midnight is in the middle of an evening."""
    assert expected is over(SessionRules(daily_hour=4, zone=SHANGHAI), _ms(used), _ms(now))


def test_the_hour_is_that_of_the_zone_also_where_clocks_are_set() -> None:
    """The night of 29 March 2026 in Berlin has no half past two."""
    rules = SessionRules(daily_hour=3, zone="Europe/Berlin")
    used, now = _ms("2026-03-29T01:59:00", "Europe/Berlin"), _ms("2026-03-29T03:01:00", "Europe/Berlin")
    assert 2 * 60_000 == now - used
    assert over(rules, used, now)
