"""Schedules and their runs as they are kept: a run happens once, with all that belongs to it; on both engines."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.store.conftest import ACCOUNT, DAY_MS, T0
from yizhan.errors import IdempotencyConflict, InvalidRequest, UnknownSchedule
from yizhan.model import (
    AccountId,
    ChatId,
    Missed,
    Run,
    RunCause,
    RunId,
    RunState,
    Schedule,
    ScheduleId,
    Target,
)
from yizhan.ports import Claim, Firing, PlannedRun

Desk = Any
HOUR_MS = 3_600_000


def schedule(number: int = 1, fire_at_ms: int | None = T0 + HOUR_MS, **more: Any) -> Schedule:
    shape: dict[str, Any] = {
        "id": ScheduleId(f"sch_{number:03d}"),
        "name": "晨报",
        "when": "every 1h",
        "zone": "Asia/Shanghai",
        "text": "good morning",
        "targets": (Target(ACCOUNT, ChatId("o1@im.wechat")),),
        "created_at_ms": T0,
        "written_ms": T0,
        "planned_ms": T0,
        "next_due_ms": fire_at_ms,
        "fire_at_ms": fire_at_ms,
    }
    return Schedule(**(shape | more))


def run(of: Schedule, number: int = 1, key: str = "", **more: Any) -> Run:
    due_ms = of.next_due_ms or T0
    key = key or f"due:{due_ms}"
    return Run(RunId(f"r_{number:03d}"), of.id, key, RunCause.DUE, RunState.FIRED, due_ms, due_ms + 5, **more)


def firing(desk: Desk, of: Schedule, number: int = 1, **draft: Any) -> Firing:
    """The schedule says its text and is due an hour later next."""
    assert of.next_due_ms is not None
    next_ms = of.next_due_ms + HOUR_MS
    following = replace(of, next_due_ms=next_ms, fire_at_ms=next_ms, last_due_ms=of.next_due_ms)
    return Firing(following, (PlannedRun(run(of, number), (desk.draft(**draft),)),))


async def test_a_schedule_is_kept_as_it_was_written_and_written_over(desk: Desk) -> None:
    """Every field, the empty ones too."""
    plain = schedule(1)
    rich = schedule(
        2,
        targets=(Target(ACCOUNT, ChatId("a")), Target(AccountId("qq:1"), ChatId("c2c/b"))),
        missed=Missed.ALL,
        missed_most=3,
        jitter_ms=5,
        lifetime_ms=6,
        ends_at_ms=T0 + DAY_MS,
        prompt=True,
        last_due_ms=T0 - 1,
    )
    for each in (plain, rich):
        assert each == await desk.store.add_schedule(each)
    assert (rich, plain) == (await desk.store.schedules(None, 10)).rows
    paused = await desk.store.change_schedule(replace(plain, paused=True, next_due_ms=None, fire_at_ms=None))
    assert paused == await desk.store.schedule(plain.id)
    assert (2, True) == (paused.revision, paused.paused)
    first = await desk.store.schedules(None, 1)
    assert ((rich,), (paused,)) == (first.rows, (await desk.store.schedules(first.next, 1)).rows)
    with pytest.raises(InvalidRequest, match="cursor"):
        await desk.store.schedules("nonsense", 1)


async def test_a_change_of_what_has_changed_meanwhile_is_not_written(desk: Desk) -> None:
    """Two people press a button, or the schedule runs while somebody edits it."""
    first = await desk.store.add_schedule(schedule())
    assert (await desk.store.change_schedule(replace(first, name="a"))).revision == 2
    assert await desk.store.change_schedule(replace(first, name="b")) is None
    assert "a" == (await desk.store.schedule(first.id)).name
    with pytest.raises(UnknownSchedule):
        await desk.store.change_schedule(schedule(9))


async def test_what_is_due_is_found_in_its_order_and_what_rests_is_not(desk: Desk) -> None:
    """The question that is asked every time."""
    assert await desk.store.next_schedule_ms() is None
    for number, at_ms in ((1, T0 + 30), (2, T0 + 10), (3, None), (4, T0 + 20)):
        await desk.store.add_schedule(schedule(number, at_ms))
    found = [each.id for each in await desk.store.due_schedules(T0 + 20, 10)]
    assert (["sch_002", "sch_004"], T0 + 10) == (found, await desk.store.next_schedule_ms())
    assert ["sch_002"] == [each.id for each in await desk.store.due_schedules(T0 + 99, 1)]


async def test_a_run_its_message_its_event_and_the_next_time_are_one(desk: Desk) -> None:
    """Whoever sees one of them sees all."""
    added = await desk.store.add_schedule(schedule())
    (fired,) = await desk.store.fire([firing(desk, added)])
    message = fired.accepted[0].message
    assert (True, (message.id,)) == (fired.created, fired.run.messages)
    after = await desk.store.schedule(added.id)
    assert (T0 + 2 * HOUR_MS, T0 + HOUR_MS, 2) == (after.fire_at_ms, after.last_due_ms, after.revision)
    (view,) = (await desk.store.runs(added.id, None, 10)).rows
    assert (fired.run, [message.id]) == (view.run, [each.id for each in view.messages])
    told = [json.loads(event.data) for event in await desk.events() if event.type == "schedule.run"]
    assert [("晨报", [message.id])] == [(each["name"], each["run"]["messages"]) for each in told]
    assert "good morning" not in json.dumps(told, ensure_ascii=False)


async def test_a_due_time_happens_once_whoever_asks_again(desk: Desk) -> None:
    """A planner with an old row, and one whose clock has been set back: the key is in the table."""
    added = await desk.store.add_schedule(schedule())
    await desk.store.fire([firing(desk, added)])
    assert () == await desk.store.fire([firing(desk, added, 2)]), "its row is an old one"
    back = replace(await desk.store.schedule(added.id), next_due_ms=added.next_due_ms)
    (again,) = await desk.store.fire([firing(desk, back, 3)])
    assert (False, "r_001", ()) == (again.created, again.run.id, again.accepted)
    assert 1 == len((await desk.store.runs(added.id, None, 10)).rows)


async def test_two_planners_at_the_same_moment_let_it_happen_once(desk: Desk) -> None:
    """In one commit as in two."""
    added = await desk.store.add_schedule(schedule())
    both = await asyncio.gather(
        desk.store.fire([firing(desk, added, 1)]), desk.store.fire([firing(desk, added, 2)])
    )
    assert [0, 1] == sorted(map(len, both))
    assert 1 == len((await desk.store.runs(added.id, None, 10)).rows)


async def test_a_target_that_takes_nothing_is_told_in_the_run(desk: Desk) -> None:
    """The account of one of two was removed; the other gets its message."""
    added = await desk.store.add_schedule(schedule())
    lost = desk.draft(target=Target(AccountId("weixin:gone@im.bot"), ChatId("x")))
    mine = firing(desk, added)
    both = replace(mine, runs=(replace(mine.runs[0], drafts=(lost, *mine.runs[0].drafts)),))
    (fired,) = await desk.store.fire([both])
    assert [("weixin:gone@im.bot:x", "unknown-account")] == [
        (str(target), why.code) for target, why in fired.run.refused
    ]
    assert 1 == len(fired.accepted)
    assert fired.run == (await desk.store.runs(added.id, None, 10)).rows[0].run


async def test_many_schedules_share_a_commit_and_a_removed_one_does_not_sink_them(desk: Desk) -> None:
    """One is removed while the batch is on its way."""
    added = [await desk.store.add_schedule(schedule(number)) for number in range(1, 6)]
    planned = [firing(desk, each, number, chat=f"o{number}@x") for number, each in enumerate(added, 1)]
    await desk.store.remove_schedule(added[2].id)
    fired = await desk.store.fire(planned)
    assert [1, 2, 4, 5] == [int(each.run.id[-1]) for each in fired]
    with pytest.raises(UnknownSchedule):
        await desk.store.schedule(added[2].id)


async def test_removing_a_schedule_keeps_what_it_has_said(desk: Desk) -> None:
    """History of messages is not the schedule's to take along."""
    added = await desk.store.add_schedule(schedule())
    (fired,) = await desk.store.fire([firing(desk, added)])
    await desk.store.remove_schedule(added.id)
    assert "queued" == (await desk.store.message(fired.run.messages[0])).state.value
    for gone in (desk.store.runs(added.id, None, 10), desk.store.run(added.id, fired.run.id)):
        with pytest.raises(UnknownSchedule):
            await gone
    with pytest.raises(UnknownSchedule):
        await desk.store.remove_schedule(added.id)


async def test_old_runs_are_removed_with_old_messages(desk: Desk) -> None:
    """History is bounded; the schedule is not history."""
    added = await desk.store.add_schedule(schedule())
    await desk.store.fire([firing(desk, added)])
    later = await desk.store.schedule(added.id)
    await desk.store.fire([firing(desk, later, 2)])
    await desk.store.prune(T0 + DAY_MS, T0 + HOUR_MS + 6, T0, 100)
    assert ["r_002"] == [view.run.id for view in (await desk.store.runs(added.id, None, 10)).rows]


async def test_what_was_planned_under_a_later_clock_is_found(desk: Desk) -> None:
    """For the start after a clock was set back."""
    for number, planned_ms in ((1, T0), (2, T0 + 1)):
        await desk.store.add_schedule(schedule(number, planned_ms=planned_ms))
    await desk.store.add_schedule(schedule(3, None, planned_ms=T0 + 1))
    assert ["sch_002"] == [each.id for each in await desk.store.schedules_planned_after(T0, 10)]


async def test_an_idempotency_key_stands_for_what_it_was_used_for_first(desk: Desk) -> None:
    """Until it is old; keys of another kind are others."""
    first = Claim("schedule", "k", "sha", "sch_1", desk.tick())
    assert "sch_1" == await desk.store.claim(first)
    assert "sch_1" == await desk.store.claim(replace(first, id="sch_2", at_ms=desk.tick()))
    assert "wh_1" == await desk.store.claim(replace(first, kind="webhook", id="wh_1"))
    with pytest.raises(IdempotencyConflict, match="sch_1"):
        await desk.store.claim(replace(first, body_sha256="other", id="sch_2"))
    await desk.store.unclaim(replace(first, id="sch_2"))
    assert "sch_1" == await desk.store.claim(first), "that was not its claim"
    await desk.store.unclaim(replace(first, kind="webhook", id="wh_1"))
    assert "wh_2" == await desk.store.claim(replace(first, kind="webhook", id="wh_2"))
    await desk.store.prune(desk.tick(), desk.now_ms, 0, 10)
    assert "sch_3" == await desk.store.claim(replace(first, id="sch_3"))
