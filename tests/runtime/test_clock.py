"""Time that never goes back, and follows the host where it has run ahead."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulation.station import Station
from simulation.virtual import run
from yizhan.runtime import clock as clock_module
from yizhan.runtime.clock import SystemChance, SystemClock
from yizhan_simulator import Limit


class _Host:
    """A host's two clocks, moved by the test."""

    def __init__(self) -> None:
        self.wall_ms, self.monotonic_ms = 1_790_000_000_000, 5_000

    def time_ns(self) -> int:
        return self.wall_ms * 1_000_000

    def monotonic_ns(self) -> int:
        return self.monotonic_ms * 1_000_000

    def passes(self, ms: int) -> None:
        self.wall_ms += ms
        self.monotonic_ms += ms


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> _Host:
    made = _Host()
    monkeypatch.setattr(clock_module, "time", made)
    return made


def test_a_clock_set_back_never_turns_our_time_back(host: _Host) -> None:
    """Order and waits are kept by the time that has passed, not by what the clock on the wall says."""
    clock = SystemClock()
    before_ms = clock.now_ms()
    host.wall_ms -= 3_600_000
    host.passes(10_000)
    assert -3_600_000 == clock.resync()
    assert before_ms + 10_000 == clock.now_ms()


@pytest.mark.field("F55")
def test_after_a_host_slept_our_time_is_the_walls(host: _Host) -> None:
    """The monotonic clock stands still in sleep; what fell due meanwhile is due now."""
    clock = SystemClock()
    host.wall_ms += 8 * 3_600_000
    assert clock.has_slept()
    assert 8 * 3_600_000 == clock.resync()
    assert host.wall_ms == clock.now_ms()
    assert 0 == clock.resync()
    assert not clock.has_slept()


def test_small_corrections_of_the_clock_are_nobodys_business(host: _Host) -> None:
    """Time servers nudge clocks all day."""
    clock = SystemClock()
    host.wall_ms += 1_500
    assert 0 == clock.resync()
    assert not clock.has_slept()


def test_ids_sort_by_time_and_do_not_repeat() -> None:
    """They name rows for ever."""
    chance = SystemChance()
    made = [chance.new_id("m") for _ in range(2_000)]
    assert 2_000 == len(set(made))
    assert all(each.startswith("m_") for each in made)
    assert {22} == {len(each) for each in made}


@pytest.mark.field("F55")
def test_what_fell_due_while_the_host_slept_goes_out_at_once(home: Path) -> None:
    """A laptop that was closed for the night does not finish yesterday's wait in the morning."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            station.say(ann, "hi")
            await asyncio.sleep(2)
            limit = station.world.add_limit(Limit(count=1, per_s=3_600), station.clock.now_ms())
            await station.push(account, ann, "one")
            await station.push(account, ann, "two")
            await asyncio.sleep(20)
            assert ["one"] == station.shown(ann)
            station.world.remove(limit)
            station.host.sleep(8 * 3_600_000)
            await asyncio.sleep(3)
            assert ["one", "two"] == station.shown(ann)

    run(story())


def test_a_stored_wait_that_a_clock_jump_has_made_absurd_is_cut(home: Path) -> None:
    """A machine that once believed it was 2030 must not stay silent until then."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            station.say(ann, "hi")
            await asyncio.sleep(2)
            station.host.set_clock(4 * 365 * 86_400_000)
            await asyncio.sleep(3)
            limit = station.world.add_limit(Limit(count=1, per_s=3_600), station.clock.now_ms())
            await station.push(account, ann, "one")
            await station.push(account, ann, "two", expires_at_ms=station.clock.now_ms() + 10**12)
            await asyncio.sleep(20)
            station.world.remove(limit)
            await station.stop()
            station.host.set_clock(-4 * 365 * 86_400_000)
            await station.start()
            await asyncio.sleep(3_700)
            assert ["one", "two"] == station.shown(ann)

    run(story())
