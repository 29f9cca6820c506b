"""The moments of a cron expression, on the clock of a zone, also where that clock is set.

How to think of it. Between two settings a clock runs as one that is never set, and for such a clock the library is
asked. A time of day (neither minute nor hour begins with `*`) is the library's matter altogether: it names one moment
of each day, whatever is done to the clock. Everything else goes on in real time: it is due whenever the clock shows
what is meant, so what lies between two settings is asked for by itself. The library alone takes every setting for one
of a whole hour; on Lord Howe it is half of one.

Both directions name the same moments: `ticks` from a moment on, `ticks_back` from one back.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

LAST_MS = 253_370_764_800_000
"""The year 9999; what is due later is never due."""
_EPOCH = datetime(1970, 1, 1)
_DAY_S = 86_400
"""No clock is set and set back within a day."""


def ticks(expression: str, zone: ZoneInfo, after_ms: int) -> Iterator[int]:
    """Every moment later than `after_ms`, in order."""
    if _goes_on(expression):
        yield from (at_s * 1_000 for at_s in _shown(expression, zone, after_ms // 1_000, 1))
        return
    for moment in CronSim(expression, local(after_ms, zone)):
        at_ms = ms_of(moment)
        if at_ms > after_ms:  # an hour that comes twice makes the library go back for a moment
            after_ms = at_ms
            yield at_ms


def ticks_back(expression: str, zone: ZoneInfo, until_ms: int) -> Iterator[int]:
    """Every moment from `until_ms` back, that included."""
    if _goes_on(expression):
        yield from (at_s * 1_000 for at_s in _shown(expression, zone, until_ms // 1_000 + 1, -1))
        return
    before_ms = until_ms + 1
    for moment in CronSim(expression, local(until_ms + 1_000, zone), reverse=True):
        at_ms = ms_of(moment)
        if at_ms < before_ms:
            before_ms = at_ms
            yield at_ms


def local(at_ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).astimezone(zone)


def ms_of(moment: datetime) -> int:
    try:
        return int(moment.timestamp()) * 1_000
    except (OverflowError, ValueError):
        return LAST_MS + 1


def _goes_on(expression: str) -> bool:
    minute, hour, *_ = expression.split()
    return minute.startswith("*") or hour.startswith("*")


def _shown(expression: str, zone: ZoneInfo, from_s: int, step: int) -> Iterator[int]:
    """Every second behind one (step -1: before it) at which the clock shows what is meant. Ends with the calendar."""
    seen_s, set_s = from_s, None
    while True:
        offset_s = _offset_s(zone, seen_s)
        begin_s = seen_s if set_s is None else set_s - step  # the moment of the setting itself counts
        set_s = None
        for wall in CronSim(expression, _EPOCH + timedelta(seconds=begin_s + offset_s), reverse=step < 0):
            at_s = (wall - _EPOCH) // timedelta(seconds=1) - offset_s
            if at_s * 1_000 > LAST_MS:
                return
            if (set_s := _setting(zone, seen_s, at_s)) is not None:
                break
            seen_s = at_s
            yield at_s
        if set_s is None:
            return
        seen_s = set_s


def _setting(zone: ZoneInfo, from_s: int, to_s: int) -> int | None:
    """The first second on the way at which the clock is set otherwise than at `from_s`; None: it is not set."""
    offset_s, day_s = _offset_s(zone, from_s), _DAY_S if to_s > from_s else -_DAY_S
    for near_s in range(from_s, to_s, day_s):
        far_s = near_s + day_s if abs(to_s - near_s) > _DAY_S else to_s
        if _offset_s(zone, far_s) != offset_s:
            return _narrowed(zone, near_s, far_s, offset_s)
    return None


def _narrowed(zone: ZoneInfo, near_s: int, far_s: int, offset_s: int) -> int:
    while abs(far_s - near_s) > 1:
        middle_s = (near_s + far_s) // 2
        if _offset_s(zone, middle_s) == offset_s:
            near_s = middle_s
        else:
            far_s = middle_s
    return far_s


def _offset_s(zone: ZoneInfo, at_s: int) -> int:
    """What the clock of the zone is ahead."""
    offset = datetime.fromtimestamp(at_s, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
