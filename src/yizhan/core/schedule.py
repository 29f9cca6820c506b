"""What a schedule does now, and what of that it does not do: late runs, jitter, the end.

How to think of it. A schedule keeps one moment, the next at which it is due. When the time has come, everything due
from that moment up to now is looked at together. What is at most a minute late is simply run. What is later was missed,
because no gateway ran or the host slept, and the schedule's own rule decides: not at all, once for all of it, or each
up to a number. What is not run leaves one row that says how much it was.

A schedule that cannot be carried out keeps what is due, says why, and is looked at again after a while; then its rule
for missed runs decides.

Jitter is no chance: it follows from the schedule and the due time, so that a restart changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import assert_never

from yizhan.core.timetable import Timetable, due_after, latest, read, upcoming
from yizhan.model import Missed, Reason, Schedule, ScheduleId

LATE_MS = 60_000
"""What begins later than this was missed."""
JITTER_MAX_MS = 3_600_000
MISSED_MOST = 100
AGAIN_MS = 900_000
"""What could not be carried out is tried again so much later."""
COUNTED_MAX = 1_000
"""Missed runs that are counted; the row of a longer outage says this number."""
_LOOKED_AT = MISSED_MOST + JITTER_MAX_MS // 60_000 + 2
"""Due times looked at together: as many as can be run, and as many as jitter can hold back."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from a look at the clock.

    due        what is to be run now, the oldest first
    missed     due times before the first of them that are not run, counted up to COUNTED_MAX
    last_ms    the last due time that was looked at; None: nothing was due
    following  the schedule as it is afterwards
    """

    due: tuple[int, ...]
    missed: int
    last_ms: int | None
    following: Schedule


def timetable_of(schedule: Schedule) -> Timetable:
    return read(schedule.when, schedule.zone, schedule.written_ms)


def next_due(schedule: Schedule, after_ms: int, timetable: Timetable | None = None) -> int | None:
    """The first due time later than `after_ms` and not behind the end; None: none is left."""
    due_ms = due_after(timetable or timetable_of(schedule), after_ms)
    over = due_ms is None or (schedule.ends_at_ms is not None and due_ms > schedule.ends_at_ms)
    return None if over else due_ms


def rest(schedule: Schedule, count: int, now_ms: int) -> tuple[int, ...]:
    """The next due times, at most so many."""
    ends_ms = schedule.ends_at_ms
    to_come = upcoming(timetable_of(schedule), now_ms)
    within = takewhile(lambda due_ms: ends_ms is None or due_ms <= ends_ms, to_come)
    return tuple(islice(within, count))


def planned(schedule: Schedule, after_ms: int, now_ms: int, timetable: Timetable | None = None) -> Schedule:
    """The schedule with its next due time after `after_ms`; none while it is paused."""
    due_ms = None if schedule.paused else next_due(schedule, after_ms, timetable)
    return _due_at(replace(schedule, planned_ms=now_ms), due_ms)


def failing(schedule: Schedule, reason: Reason, now_ms: int) -> Schedule:
    """The schedule, which cannot be carried out now: what is due stays due."""
    return replace(schedule, reason=reason, fire_at_ms=now_ms + AGAIN_MS)


def _due_at(schedule: Schedule, due_ms: int | None) -> Schedule:
    fire_at_ms = None if due_ms is None else fires_at(schedule.id, due_ms, schedule.jitter_ms)
    return replace(schedule, next_due_ms=due_ms, fire_at_ms=fire_at_ms, reason=None)


def fires_at(schedule: ScheduleId, due_ms: int, jitter_ms: int) -> int:
    """When a run begins: due, and then the jitter of just this run."""
    if jitter_ms <= 0:
        return due_ms
    digest = hashlib.sha256(f"{schedule}:{due_ms}".encode()).digest()
    return due_ms + int.from_bytes(digest[:8]) % (jitter_ms + 1)


def plan(schedule: Schedule, now_ms: int) -> Plan:
    """What is to be done at `now_ms`."""
    timetable = timetable_of(schedule)
    ripe = _ripe(schedule, timetable, now_ms)
    if not ripe:
        return Plan((), 0, None, _due_at(schedule, schedule.next_due_ms))
    chosen = _chosen(schedule, ripe, now_ms)
    following = replace(planned(schedule, ripe[-1], now_ms, timetable), last_due_ms=ripe[-1])
    before_ms = chosen[0] if chosen else ripe[-1] + 1
    return Plan(chosen, _count(schedule, timetable, before_ms), ripe[-1], following)


def _ripe(schedule: Schedule, timetable: Timetable, now_ms: int) -> list[int]:
    """The last due times that begin now or should have begun, in order."""
    first_ms = schedule.next_due_ms
    if first_ms is None:
        return []
    until_ms = now_ms if schedule.ends_at_ms is None else min(now_ms, schedule.ends_at_ms)
    second_ms = due_after(timetable, first_ms)
    if second_ms is None or second_ms > until_ms:
        return _begun(schedule, [first_ms], now_ms)  # as nearly always: back to last year is a long way
    return _begun(schedule, latest(timetable, first_ms, until_ms, _LOOKED_AT), now_ms)


def _begun(schedule: Schedule, due: list[int], now_ms: int) -> list[int]:
    """Those whose jitter is over, up to the first that still waits for it."""
    return list(takewhile(lambda due_ms: _begins(schedule, due_ms) <= now_ms, due))


def _chosen(schedule: Schedule, ripe: list[int], now_ms: int) -> tuple[int, ...]:
    """Which of the due times are run."""
    missed = list(takewhile(lambda due_ms: _begins(schedule, due_ms) < now_ms - LATE_MS, ripe))
    in_time = ripe[len(missed) :]
    match schedule.missed:
        case Missed.SKIP:
            return tuple(in_time)
        case Missed.ONCE:
            return tuple(in_time or missed[-1:])
        case Missed.ALL:
            return (*missed[-schedule.missed_most :], *in_time)
        case _:
            assert_never(schedule.missed)


def _count(schedule: Schedule, timetable: Timetable, before_ms: int) -> int:
    """How many due times from the schedule's next one on lie before a moment; COUNTED_MAX stands for more."""
    assert schedule.next_due_ms is not None
    if before_ms <= schedule.next_due_ms:
        return 0
    from_next_on = upcoming(timetable, schedule.next_due_ms - 1)
    return sum(1 for _ in islice(takewhile(lambda due_ms: due_ms < before_ms, from_next_on), COUNTED_MAX))


def _begins(schedule: Schedule, due_ms: int) -> int:
    return fires_at(schedule.id, due_ms, schedule.jitter_ms)
