"""When something is due: what people write, and the moments that it means.

    0 9 * * 1-5            every working day at nine, on the clock of the zone
    every 2h               every two hours, counted from when it was written
    30m                    once, half an hour after it was written
    at 2026-12-24T18:00    once, on the clock of the zone; an offset wins over the zone
    at 18:00               once, the next time that the clock shows it

How to think of it. A timetable is a set of moments on the line of time, fixed by three values: the text, the zone and
the moment of writing. Nothing is remembered between two questions, so a restart asks again and is told the same.
An interval is counted in real time. A cron expression follows the clock on the wall: where that is set forward, a time
of day that does not exist is due when the gap is over; where it is set back, one that comes twice is due the first
time only. Expressions with `*` in minute or hour go on in real time, as cron has always done it (core/ticks.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from yizhan.core.ticks import LAST_MS, local, ms_of, ticks, ticks_back

MINUTE_MS = 60_000
LONGEST_MS = 366 * 86_400_000
"""Longest interval, and longest time ahead that is written as a length of time."""

CROWD = 1_024
"""Answers that are kept: at nine o'clock, thousands ask the same question."""

_UNITS_MS = {"s": 1_000, "m": MINUTE_MS, "h": 3_600_000, "d": 86_400_000}
_LENGTH = re.compile(r"(?:(\d{1,9})([smhd]))+")
_PIECE = re.compile(r"(\d{1,9})([smhd])")
_TIME_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})")
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
FORMS = "Write a cron expression (0 9 * * 1-5), every 2h, 30m, at 18:00 or at 2026-12-24T18:00."


class Unreadable(ValueError):
    """`text` says what cannot be understood, `fix` how to write it."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(f"{text} {fix}")
        self.text = text
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Cron:
    """Five fields, on the clock of a zone."""

    expression: str
    zone: str


@dataclass(frozen=True, slots=True)
class Every:
    """Again and again after the same time, counted from a moment at which nothing is due yet."""

    interval_ms: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class Once:
    at_ms: int


Timetable = Cron | Every | Once


def read(when: str, zone: str, written_ms: int) -> Timetable:
    """What a person means.

    Args:    when        as in the table above
             zone        a name of the IANA data base, for example Asia/Shanghai
             written_ms  when it was written: lengths of time are counted from then
    Raises:  Unreadable
    """
    words = when.split()
    place = zone_of(zone)
    if not words:
        raise Unreadable("It is not said when.", FORMS)
    match words:
        case ["every", length]:
            return _every(length, written_ms)
        case ["at", *moment] if moment:
            return Once(_moment(" ".join(moment), place, written_ms))
        case [length] if _LENGTH.fullmatch(length):
            return Once(written_ms + _length_ms(length))
    return Cron(_checked(" ".join(words), zone), zone)


def zone_of(name: str) -> ZoneInfo:
    """Raises Unreadable."""
    try:
        return _zone(name)
    except (KeyError, ValueError, OSError):
        raise Unreadable(
            f"There is no time zone {name!r}.", "Use a name such as Asia/Shanghai, Europe/Berlin or UTC."
        ) from None


@lru_cache(maxsize=CROWD)
def due_after(timetable: Timetable, at_ms: int) -> int | None:
    """The first moment later than `at_ms`; None: never again."""
    return next(upcoming(timetable, at_ms), None)


def upcoming(timetable: Timetable, at_ms: int) -> Iterator[int]:
    """Every moment later than `at_ms`, in order."""
    match timetable:
        case Cron(expression, zone):
            moments = ticks(expression, _zone(zone), at_ms)
        case Every(interval_ms, since_ms):
            first = max(1, (at_ms - since_ms) // interval_ms + 1)
            moments = (since_ms + (first + number) * interval_ms for number in _forever())
        case Once(moment):
            moments = iter((moment,) if moment > at_ms else ())
    return takewhile(lambda moment: moment <= LAST_MS, moments)


def latest(timetable: Timetable, since_ms: int, until_ms: int, most: int) -> list[int]:
    """The last moments from `since_ms` to `until_ms`, both included, at most so many, in order."""
    match timetable:
        case Cron(expression, zone):
            back = ticks_back(expression, _zone(zone), until_ms)
        case Every(interval_ms, first_ms):
            last = (until_ms - first_ms) // interval_ms
            back = (first_ms + number * interval_ms for number in range(last, 0, -1))
        case Once(moment):
            back = iter((moment,) if moment <= until_ms else ())
    return list(islice(takewhile(lambda moment: moment >= since_ms, back), most))[::-1]


def _every(length: str, written_ms: int) -> Every:
    interval_ms = _length_ms(length)
    if interval_ms < MINUTE_MS:
        raise Unreadable(f"every {length} is too often.", "The shortest interval is a minute: every 1m.")
    return Every(interval_ms, written_ms)


def _length_ms(text: str) -> int:
    """`90m`, `2h`, `1h30m`, `1d` → ms. Raises Unreadable."""
    if not _LENGTH.fullmatch(text):
        raise Unreadable(f"{text!r} is no length of time.", "Write it as 30m, 2h, 1h30m or 1d.")
    length_ms = sum(int(number) * _UNITS_MS[unit] for number, unit in _PIECE.findall(text))
    if not 0 < length_ms <= LONGEST_MS:
        raise Unreadable(f"{text} is no usable length of time.", "It may be from a second to a year.")
    return length_ms


def _moment(text: str, zone: ZoneInfo, written_ms: int) -> int:
    """A date and a time, or a time of day, on the zone's clock unless an offset is given. Raises Unreadable."""
    if clock := _TIME_OF_DAY.fullmatch(text):
        return _next_time_of_day(int(clock[1]), int(clock[2]), zone, written_ms)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable(f"{text!r} is no time.", "Write at 18:00 or at 2026-12-24T18:00.") from None
    if len(text) <= 10:
        raise Unreadable(f"{text!r} names a day and no time.", "Write at 2026-12-24T18:00.")
    at_ms = ms_of(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    if not written_ms < at_ms <= LAST_MS:
        raise Unreadable(f"{text} is no time to come.", "Choose a later time, before the year 9999.")
    return at_ms


def _next_time_of_day(hour: int, minute: int, zone: ZoneInfo, written_ms: int) -> int:
    if hour > 23 or minute > 59:
        raise Unreadable(f"{hour}:{minute:02} is no time of day.", "Write it from 00:00 to 23:59.")
    today = local(written_ms, zone).date()
    for days in range(3):
        at_ms = ms_of(datetime.combine(today + timedelta(days), time(hour, minute), zone))
        if at_ms > written_ms:
            return at_ms
    raise AssertionError("one of three days is to come")


@lru_cache(maxsize=CROWD)
def _checked(expression: str, zone: str) -> str:
    """The expression that is meant. Raises Unreadable."""
    meant = _NICKNAMES.get(expression.lower(), expression)
    if len(meant.split()) != 5:
        raise Unreadable(f"{expression!r} says no time.", FORMS)
    try:
        CronSim(meant, datetime(2026, 1, 1, tzinfo=zone_of(zone)))
    except (CronSimError, ValueError, AssertionError) as error:
        which = str(error) if isinstance(error, CronSimError) else "cannot be read"
        raise Unreadable(
            f"{expression!r} is no cron expression ({which[:1].lower()}{which[1:]}).",
            "Its five fields are minute, hour, day of the month, month and day of the week: 0 9 * * 1-5.",
        ) from None
    return meant


def _forever() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
