"""Loops that must not end: what is called alive, what is started again, and what may end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from simulation.virtual import SeededChance, VirtualClock, run
from yizhan.runtime.supervisor import Supervisor
from yizhan.runtime.upkeep import DAY_MS, PRUNE_EVERY_MS, PRUNE_LIMIT, Upkeep, UpkeepNumbers

NAME = "dispatcher"


def _supervised(story: Callable[[Supervisor], Coroutine[Any, Any, None]]) -> None:
    """Plays a story in virtual time, with a supervisor that is stopped at its end."""

    async def play() -> None:
        supervisor = Supervisor(VirtualClock(), SeededChance(1))
        try:
            await story(supervisor)
        finally:
            await supervisor.stop()

    run(play())


class _Loop:
    """Runs for `healthy_s`, then fails, again and again."""

    def __init__(self, healthy_s: float, failure: Callable[[], BaseException]) -> None:
        self.starts: list[float] = []
        self._healthy_s = healthy_s
        self._failure = failure

    async def __call__(self) -> None:
        self.starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._healthy_s)
        raise self._failure()


def _broken() -> BaseException:
    return RuntimeError("broken")


async def _share_alive(supervisor: Supervisor, for_s: int) -> float:
    """The share of looks, once in 0.1 s, that found the loop alive."""
    found = 0
    for _ in range(for_s * 10):
        await asyncio.sleep(0.1)
        found += supervisor.alive(NAME)
    return found / (for_s * 10)


def test_a_dispatcher_that_crashes_over_and_over_is_not_called_alive() -> None:
    """readyz and systemd's watchdog ask; nothing was sent for hours while both were told that all is well."""

    async def story(supervisor: Supervisor) -> None:
        supervisor.keep(NAME, _Loop(0.001, _broken))
        await asyncio.sleep(60)
        assert 0 == await _share_alive(supervisor, 300)

    _supervised(story)


def test_a_dispatcher_is_alive_while_it_runs_and_again_after_its_pause() -> None:
    """A stumble is over when it is over."""

    async def story(supervisor: Supervisor) -> None:
        loop = _Loop(100, _broken)
        supervisor.keep(NAME, loop)
        await asyncio.sleep(99)
        assert supervisor.alive(NAME)
        await asyncio.sleep(1.05)
        assert not supervisor.alive(NAME)
        await asyncio.sleep(1)
        assert supervisor.alive(NAME)
        assert 2 == len(loop.starts)

    _supervised(story)


def test_the_pauses_grow_and_are_forgotten_after_a_minute_of_health() -> None:
    """A broken disk is not hammered, and a rare failure costs nothing."""

    async def story(supervisor: Supervisor) -> None:
        ill, well = _Loop(0, _broken), _Loop(61, _broken)
        supervisor.keep("ill", ill)
        supervisor.keep("well", well)
        await asyncio.sleep(1_000)
        pauses = [after - before for before, after in zip(ill.starts, ill.starts[1:], strict=False)]
        assert pauses[0] <= 0.2
        assert 15 <= pauses[-1] <= 30
        assert all(
            after - before <= 61.2 for before, after in zip(well.starts, well.starts[1:], strict=False)
        )

    _supervised(story)


def test_a_loop_that_breaks_off_with_a_cancelled_error_nobody_sent_is_started_again() -> None:
    """A library's cancelled future ended the loop for ever, and in silence."""

    async def story(supervisor: Supervisor) -> None:
        loop = _Loop(1, asyncio.CancelledError)
        supervisor.keep(NAME, loop)
        await asyncio.sleep(10)
        assert len(loop.starts) > 3
        assert len(loop.starts) - 1 <= supervisor.restarts[NAME]

    _supervised(story)


def test_a_loop_that_returns_has_ended_on_purpose() -> None:
    """It is neither started again nor called alive."""

    async def story(supervisor: Supervisor) -> None:
        starts = []

        async def once() -> None:
            starts.append(1)

        supervisor.keep(NAME, once)
        await asyncio.sleep(100)
        assert (1, False, {}) == (len(starts), supervisor.alive(NAME), supervisor.restarts)

    _supervised(story)


def test_whoever_ends_a_loop_ends_it_at_work_and_in_its_pause() -> None:
    """A stop that starts things again would never come to an end."""

    async def story(supervisor: Supervisor) -> None:
        loops = {"works": _Loop(1_000, _broken), "rests": _Loop(0, _broken)}
        for name, loop in loops.items():
            supervisor.keep(name, loop)
        await asyncio.sleep(300)
        tasks = [supervisor.drop(name) for name in loops]
        await asyncio.wait([task for task in tasks if task], timeout=1)
        starts = [len(loop.starts) for loop in loops.values()]
        await asyncio.sleep(300)
        assert starts == [len(loop.starts) for loop in loops.values()]
        assert [True, True] == [task is not None and task.cancelled() for task in tasks]

    _supervised(story)


def test_a_loop_that_replaces_a_resting_one_is_alive_at_once() -> None:
    """An account that was opened anew does not inherit the pause of its predecessor."""

    async def story(supervisor: Supervisor) -> None:
        supervisor.keep(NAME, _Loop(0, _broken))
        await asyncio.sleep(100)
        assert not supervisor.alive(NAME)
        supervisor.keep(NAME, _Loop(1_000, _broken))
        assert 1.0 == await _share_alive(supervisor, 100)

    _supervised(story)


class _FullHouse:
    """The part of a store that forgets: `old` rows are there, and as many become old in every minute."""

    def __init__(self, old: int, per_minute: int) -> None:
        self.calls: list[float] = []
        self._old, self._per_minute = old, per_minute

    @property
    def old(self) -> int:
        """Rows that are there and could go."""
        return self._old + int(asyncio.get_running_loop().time() / 60 * self._per_minute)

    async def prune(self, now_ms: int, finished_before_ms: int, events_before_ms: int, limit: int) -> int:
        self.calls.append(asyncio.get_running_loop().time())
        removed = min(limit, self.old)
        self._old -= removed
        return removed


def _upkeep(store: Any) -> Awaitable[None]:
    return Upkeep(store, VirtualClock(), UpkeepNumbers(DAY_MS, DAY_MS), lambda: None).run()


def test_what_outlives_its_use_faster_than_one_batch_in_a_minute_is_still_removed() -> None:
    """At 500 rows a minute the tables of a busy gateway grew without end."""

    async def story() -> None:
        house = _FullHouse(old=100_000, per_minute=20_000)
        upkeep = asyncio.ensure_future(_upkeep(house))
        await asyncio.sleep(600)
        assert house.old <= 20_000
        upkeep.cancel()

    run(story())


def test_between_full_batches_there_is_a_pause_and_then_a_quiet_minute() -> None:
    """Removing what is old must not keep new messages from being written."""

    async def story() -> None:
        house = _FullHouse(old=3 * PRUNE_LIMIT + 7, per_minute=0)
        upkeep = asyncio.ensure_future(_upkeep(house))
        await asyncio.sleep(3 * PRUNE_EVERY_MS / 1000)
        upkeep.cancel()
        gaps = [after - before for before, after in zip(house.calls, house.calls[1:], strict=False)]
        assert 0 == house.old
        assert all(0.1 <= gap <= 1 for gap in gaps[:3])
        assert all(round(gap) >= PRUNE_EVERY_MS / 1000 for gap in gaps[3:])
        assert len(gaps) > 3

    run(story())
