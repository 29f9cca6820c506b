"""What a schedule does when its time has come, and when that is long ago."""

from __future__ import annotations

from dataclasses import replace

import pytest

from yizhan.core.schedule import (
    AGAIN_MS,
    COUNTED_MAX,
    LATE_MS,
    MISSED_MOST,
    failing,
    fires_at,
    plan,
    planned,
    rest,
)
from yizhan.model import Missed, Reason, Schedule, ScheduleId

HOUR_MS = 3_600_000
T0 = 1_800_000_000_000  # a full hour


def schedule(when: str = "every 1h", now_ms: int = T0, **more: object) -> Schedule:
    blank = Schedule(ScheduleId("sch_1"), "", when, "UTC", "hi", (), now_ms, now_ms, now_ms)
    return planned(replace(blank, **more), now_ms, now_ms)  # type: ignore[arg-type]


def hours(due: tuple[int, ...]) -> list[float]:
    return [(due_ms - T0) / HOUR_MS for due_ms in due]


def test_what_is_due_is_run_and_the_next_time_is_known() -> None:
    """The ordinary case."""
    found = plan(schedule(), T0 + HOUR_MS)
    assert ([1.0], 0) == (hours(found.due), found.missed)
    assert (T0 + 2 * HOUR_MS, T0 + HOUR_MS) == (found.following.next_due_ms, found.following.last_due_ms)


def test_before_its_time_nothing_changes() -> None:
    """A look that comes too early."""
    early = schedule()
    found = plan(early, T0 + HOUR_MS - 1)
    assert ((), early) == (found.due, found.following)


def test_what_cannot_be_carried_out_keeps_what_is_due_and_is_tried_again() -> None:
    """Its zone has gone and comes back: it was missed meanwhile, and its own rule decides."""
    trouble = Reason("unreadable", "no such zone")
    broken = failing(schedule(), trouble, T0 + HOUR_MS)
    assert (trouble, T0 + HOUR_MS, T0 + HOUR_MS + AGAIN_MS) == (
        broken.reason,
        broken.next_due_ms,
        broken.fire_at_ms,
    )
    found = plan(broken, T0 + HOUR_MS + AGAIN_MS)
    assert ([1.0], None) == (hours(found.due), found.following.reason)
    early = failing(schedule(), trouble, T0)
    found = plan(early, T0 + AGAIN_MS)
    assert ((), schedule()) == (found.due, found.following), "well again before its time"


@pytest.mark.parametrize(
    ("missed", "late_ms", "due", "passed_over"),
    [
        (Missed.SKIP, LATE_MS, [5], 4),
        (Missed.SKIP, LATE_MS + 1, [], 5),
        (Missed.ONCE, LATE_MS, [5], 4),
        (Missed.ONCE, LATE_MS + 1, [5], 4),
        (Missed.ALL, LATE_MS, [3, 4, 5], 2),
        (Missed.ALL, LATE_MS + 1, [4, 5], 3),
    ],
)
def test_what_was_missed_is_made_up_for_as_was_said(
    missed: Missed, late_ms: int, due: list[float], passed_over: int
) -> None:
    """Five due times while nobody was there; the last of them just in time, or just not."""
    found = plan(schedule(missed=missed, missed_most=2), T0 + 5 * HOUR_MS + late_ms)
    assert (due, passed_over) == (hours(found.due), found.missed)
    assert T0 + 6 * HOUR_MS == found.following.next_due_ms
    assert T0 + 5 * HOUR_MS == found.last_ms


def test_a_year_of_minutes_costs_no_more_than_a_thousand_of_them() -> None:
    """A laptop from the drawer must not work through half a million due times."""
    found = plan(schedule("* * * * *", missed=Missed.ALL, missed_most=MISSED_MOST), T0 + 365 * 24 * HOUR_MS)
    assert MISSED_MOST <= len(found.due) <= MISSED_MOST + 2
    assert COUNTED_MAX == found.missed


def test_once_is_once() -> None:
    """Also when it is late."""
    found = plan(schedule("30m"), T0 + 5 * HOUR_MS)
    assert ([0.5], None) == (hours(found.due), found.following.next_due_ms)


def test_nothing_is_due_behind_the_end() -> None:
    """The end itself still counts."""
    ending = schedule(ends_at_ms=T0 + 2 * HOUR_MS, missed=Missed.ALL)
    assert [1, 2] == hours(rest(ending, 5, T0))
    found = plan(ending, T0 + 9 * HOUR_MS)
    assert ([1, 2], None) == (hours(found.due), found.following.next_due_ms)


def test_jitter_is_bounded_and_follows_from_the_due_time() -> None:
    """A restart must not roll the dice again."""
    jitter_ms = 600_000
    begins = {
        fires_at(ScheduleId("sch_1"), T0 + n * HOUR_MS, jitter_ms) - T0 - n * HOUR_MS for n in range(50)
    }
    assert len(begins) > 40
    assert all(0 <= late_ms <= jitter_ms for late_ms in begins)
    late = schedule(jitter_ms=jitter_ms)
    assert late.fire_at_ms == fires_at(late.id, T0 + HOUR_MS, jitter_ms)
    assert late.fire_at_ms is not None
    assert () == plan(late, late.fire_at_ms - 1).due
    assert [1] == hours(plan(late, late.fire_at_ms).due)


def test_jitter_longer_than_the_interval_leaves_nothing_out_and_nothing_twice() -> None:
    """Due times wait for each other."""
    one = schedule("every 1m", jitter_ms=600_000, missed=Missed.ALL, missed_most=100)
    due: list[int] = []
    for minute in range(1, 61):
        found = plan(one, T0 + minute * 60_000)
        due += found.due
        one = found.following
    assert due == [T0 + number * 60_000 for number in range(1, len(due) + 1)]
    assert len(due) >= 50


def test_a_paused_one_is_never_due() -> None:
    """And resumed, it goes on in its old beat without what was due meanwhile."""
    resting = planned(replace(schedule(), paused=True), T0, T0)
    assert resting.next_due_ms is None
    assert () == plan(resting, T0 + 9 * HOUR_MS).due
    resumed = planned(replace(resting, paused=False), T0 + int(9.5 * HOUR_MS), T0)
    assert T0 + 10 * HOUR_MS == resumed.next_due_ms
