"""What people write about time, and the moments that it means: also on the days when clocks are set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest

from yizhan.core.ticks import LAST_MS
from yizhan.core.timetable import Cron, Every, Once, Unreadable, due_after, latest, read, upcoming

NEW_YORK = "America/New_York"
WRITTEN = "2026-03-06T12:00"
HOUR_MS = 3_600_000


def ms(text: str, zone: str = NEW_YORK, fold: int = 0) -> int:
    moment = datetime.fromisoformat(text)
    return (
        int((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone), fold=fold)).timestamp())
        * 1000
    )


def shown(moments: list[int], zone: str = NEW_YORK) -> list[str]:
    return [f"{datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)):%m-%d %H:%M%z}" for at_ms in moments]


def first(when: str, after: str, count: int, zone: str = NEW_YORK) -> list[str]:
    timetable = read(when, zone, ms(WRITTEN, zone))
    return shown(list(islice(upcoming(timetable, ms(after, zone)), count)), zone)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("0 9 * * 1-5", ["03-06 09:00-0500", "03-09 09:00-0400"]),
        ("*/20 9 * * *", ["03-06 09:00-0500", "03-06 09:20-0500"]),
        ("0 0 L * *", ["03-31 00:00-0400", "04-30 00:00-0400"]),
        ("0 12 * * FRI#2", ["03-13 12:00-0400", "04-10 12:00-0400"]),
        ("@daily", ["03-07 00:00-0500", "03-08 00:00-0500"]),
        ("30m", ["03-06 12:30-0500"]),
        ("1h30m", ["03-06 13:30-0500"]),
        ("every 12h", ["03-07 00:00-0500", "03-07 12:00-0500"]),
        ("at 18:00", ["03-06 18:00-0500"]),
        ("at 9:00", ["03-07 09:00-0500"]),
        ("at 2026-12-24T18:00", ["12-24 18:00-0500"]),
        ("at 2026-12-24 18:00", ["12-24 18:00-0500"]),
        ("at 2026-12-24T18:00+08:00", ["12-24 05:00-0500"]),
        ("at 2026-12-24T18:00Z", ["12-24 13:00-0500"]),
    ],
)
def test_what_is_written_means_these_moments(when: str, expected: list[str]) -> None:
    """One line for each form that the documentation shows."""
    assert expected == first(when, "2026-03-06T08:00", 2)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("30 2 * * *", ["03-08 03:00-0400", "03-09 02:30-0400"]),
        ("15,45 2 * * *", ["03-08 03:00-0400", "03-09 02:15-0400"]),
        ("*/30 * * * *", ["03-08 01:00-0500", "03-08 01:30-0500", "03-08 03:00-0400"]),
        ("0 9 * * *", ["03-08 09:00-0400", "03-09 09:00-0400"]),
        ("at 2026-03-08T02:30", ["03-08 03:30-0400"]),
    ],
)
def test_where_the_clock_is_set_forward(when: str, expected: list[str]) -> None:
    """A time that does not exist is due once, when the gap is over; nothing is left out and nothing comes twice."""
    assert expected == first(when, "2026-03-08T00:30", len(expected))


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("30 1 * * *", ["11-01 01:30-0400", "11-02 01:30-0500"]),
        ("*/30 * * * *", ["11-01 01:00-0400", "11-01 01:30-0400", "11-01 01:00-0500", "11-01 01:30-0500"]),
        ("0 9 * * *", ["11-01 09:00-0500", "11-02 09:00-0500"]),
        ("at 2026-11-01T01:30", ["11-01 01:30-0400"]),
    ],
)
def test_where_the_clock_is_set_back(when: str, expected: list[str]) -> None:
    """An hour that comes twice: a time of day is due the first time only, an interval of minutes goes on."""
    assert expected == first(when, "2026-11-01T00:30", len(expected))


def test_in_the_second_of_two_equal_hours_what_was_due_in_the_first_is_over() -> None:
    """The library goes by the clock on the wall, which shows 01:10 for the second time now."""
    timetable = read("30 1 * * *", NEW_YORK, ms(WRITTEN))
    now_ms = ms("2026-11-01T01:10", fold=1)
    assert ["11-02 01:30-0500"] == shown(list(islice(upcoming(timetable, now_ms), 1)))


def test_an_interval_is_counted_in_real_time() -> None:
    """Neither a zone nor a clock that is set makes two hours longer or shorter."""
    timetable = read("every 2h", NEW_YORK, ms("2026-03-07T23:00"))
    due = list(islice(upcoming(timetable, ms("2026-03-08T00:00")), 30))
    assert {2 * HOUR_MS} == {late - early for early, late in pairwise(due)}
    assert due[0] == ms("2026-03-07T23:00") + 2 * HOUR_MS


LORD_HOWE = "Australia/Lord_Howe"
"""Its clock is set by half an hour, forward at two in October, back at two in April."""


@pytest.mark.parametrize("zone", [LORD_HOWE, NEW_YORK, "Asia/Shanghai", "Africa/Casablanca"])
@pytest.mark.parametrize(
    ("when", "meant"),
    [
        ("30 * * * *", lambda wall: wall.minute == 30),
        ("* 2 * * *", lambda wall: wall.hour == 2),
        ("*/10 1-3 * * *", lambda wall: wall.hour in (1, 2, 3) and wall.minute % 10 == 0),
        ("*/7 * 4 * *", lambda wall: wall.day == 4 and wall.minute % 7 == 0),
        ("45 */2 * * SUN", lambda wall: wall.hour % 2 == 0 and wall.minute == 45 and wall.weekday() == 6),
    ],
)
@pytest.mark.parametrize("around", ["2026-03-08", "2026-04-05", "2026-10-04", "2026-11-01"])
def test_what_goes_on_in_real_time_is_due_whenever_the_clock_shows_it(
    zone: str, when: str, meant: Callable[[datetime], bool], around: str
) -> None:
    """However much the clock is set by: no minute is left out, none comes twice. Looked up minute by minute."""
    begin_ms, end_ms = ms(f"{around}T00:00Z") - 16 * HOUR_MS, ms(f"{around}T00:00Z") + 12 * HOUR_MS
    place = ZoneInfo(zone)
    minutes = range(begin_ms + 60_000, end_ms + 1, 60_000)
    expected = [at_ms for at_ms in minutes if meant(datetime.fromtimestamp(at_ms // 1000, place))]
    timetable = read(when, zone, ms(WRITTEN, zone))
    assert expected == list(takewhile(lambda at_ms: at_ms <= end_ms, upcoming(timetable, begin_ms)))
    assert expected == latest(timetable, begin_ms + 1, end_ms, 10_000)


def test_what_goes_on_in_real_time_is_found_also_after_years() -> None:
    """Over many settings of the clock; only the second of two equal hours is meant here."""
    timetable = read("*/30 * 29 2 *", NEW_YORK, ms(WRITTEN))
    assert ms("2028-02-29T00:00") == next(upcoming(timetable, ms("2026-03-01T00:00")))
    assert [ms("2024-02-29T23:30")] == latest(timetable, 0, ms("2028-02-28T00:00"), 1)
    hours = read("*/30 1 1 11 SUN", NEW_YORK, ms(WRITTEN))
    expected = [ms("2026-11-01T01:30"), ms("2026-11-01T01:00", fold=1), ms("2026-11-01T01:30", fold=1)]
    assert expected == list(islice(upcoming(hours, ms("2026-11-01T01:00")), 3))


@pytest.mark.parametrize("zone", [NEW_YORK, LORD_HOWE, "Asia/Shanghai", "Europe/Berlin", "UTC"])
@pytest.mark.parametrize("when", ["*/30 * * * *", "15 2 * * *", "30 1 * * *", "0 */2 * * *", "every 7h"])
@pytest.mark.parametrize(
    "around", ["2026-03-07T12:00", "2026-04-04T12:00", "2026-10-03T12:00", "2026-10-31T12:00"]
)
def test_looked_at_backwards_it_is_the_same(zone: str, when: str, around: str) -> None:
    """What was missed is found from its end; both ways must agree, also where the clock is set."""
    timetable = read(when, zone, ms(WRITTEN, zone))
    due = list(islice(upcoming(timetable, ms(around, zone)), 40))
    assert due == sorted(set(due))
    assert due == latest(timetable, due[0], due[-1], 100)
    assert due[-7:] == latest(timetable, due[0], due[-1] + 1, 7)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("", "not said when"),
        ("61 * * * *", "bad minute"),
        ("* * * * 8", "bad day-of-week"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("* * * *", "says no time"),
        ("* * * * * *", "says no time"),
        ("tomorrow", "says no time"),
        ("every", "says no time"),
        ("every day", "no length of time"),
        ("every 5", "no length of time"),
        ("every 30s", "too often"),
        ("every 0h", "no usable length"),
        ("999999999d", "no usable length"),
        ("at", "says no time"),
        ("at noon", "no time"),
        ("at 25:00", "no time of day"),
        ("at 2026-12-24", "names a day"),
        ("at 2020-01-01T00:00", "no time to come"),
        ("at 9999-12-31T23:59", "no time to come"),
        ("* * * * 1#2/3", "no cron expression"),
        ("٣ * * * *", "bad minute"),
    ],
)
def test_what_cannot_be_understood_says_how_to_write_it(when: str, words: str) -> None:
    """Whoever typed it reads this."""
    with pytest.raises(Unreadable, match=words) as caught:
        read(when, "UTC", ms(WRITTEN))
    assert caught.value.fix


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "Asia", "\0", "x" * 300]
)
def test_a_zone_that_does_not_exist_is_named(zone: str) -> None:
    """And nothing outside of the data base is read."""
    with pytest.raises(Unreadable, match="no time zone"):
        read("0 9 * * *", zone, 0)


def test_what_is_never_due_ends() -> None:
    """The last day of February in a leap year is far, the end of the calendar farther."""
    assert due_after(Once(5), 5) is None
    assert due_after(Every(HOUR_MS, 0), LAST_MS) is None
    assert due_after(Cron("0 0 29 2 *", "UTC"), ms("2026-01-01T00:00Z")) == ms("2028-02-29T00:00Z")
