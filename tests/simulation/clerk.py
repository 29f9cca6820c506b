"""Who keeps schedules in a voyage: adds them, pauses them, runs them by hand, and knows what was asked and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from simulation.books_schedules import Kept
from simulation.plan_schedules import Schedules, Timed
from simulation.station import Crash, Station
from yizhan.errors import RequestError, StoreError
from yizhan.model import Missed, ScheduleId, Target
from yizhan.runtime.views import ScheduleWish

T = TypeVar("T")

PATIENCE_S = 5
"""How long somebody waits for an answer before he asks again."""


class Clerk:
    """`of_place`: the chat of a place in the plan."""

    def __init__(self, station: Station, told: Schedules, of_place: Callable[[Any], Target]) -> None:
        self.kept: list[Kept] = []
        self._station = station
        self._told = told
        self._of_place = of_place
        self._fired = 0

    async def work(self, began_s: float) -> None:
        """Everything that the plan says, from the beginning of the chaos on."""
        async with asyncio.TaskGroup() as desks:
            for timed in self._told.timed:
                desks.create_task(self._look_after(timed, began_s))

    def fatal(self, label: str, after: bool) -> bool:
        """Whether the process dies at this commit."""
        if "fire_schedules" not in label.split("+"):
            return False
        self._fired += not after
        return (self._fired, after) in self._told.deaths

    async def _look_after(self, timed: Timed, began_s: float) -> None:
        await _until(began_s + timed.at_s)
        targets = tuple(dict.fromkeys(map(self._of_place, timed.places)))
        kept = Kept(timed, ScheduleId(f"sch_{timed.name}"), targets, self._now_ms())
        if await self._insist(lambda: self._add(kept)) is None:
            return
        self.kept.append(kept)
        async with asyncio.TaskGroup() as deeds:
            for at_s, key in timed.by_hand:
                deeds.create_task(self._run(kept, began_s + at_s, key))
            for from_s, to_s in timed.pauses:
                deeds.create_task(self._pause(kept, began_s + from_s, began_s + to_s))

    async def _add(self, kept: Kept) -> object:
        timed = kept.timed
        wish = ScheduleWish(
            name=timed.name,
            when=str(timed.when),
            zone="UTC",
            to=tuple(map(str, kept.targets)),
            text=f"said by {timed.name}",
            missed=Missed(timed.missed),
            missed_most=timed.missed_most,
            jitter_ms=int(timed.jitter_s * 1_000),
            lifetime_ms=None if timed.lives_s is None else int(timed.lives_s * 1_000),
            ends_at_ms=kept.ends_ms,
        )
        return await self._station.gateway.schedules.add(wish, kept.id)

    async def _run(self, kept: Kept, at_s: float, key: str) -> None:
        """Pressed, and pressed again until there is an answer."""
        await _until(at_s)
        told = await self._insist(lambda: self._station.gateway.schedules.run(kept.id, key))
        if told is not None:
            view, _ = told
            kept.by_hand.setdefault(key, set()).add(view.run.id)

    async def _pause(self, kept: Kept, from_s: float, to_s: float) -> None:
        await _until(from_s)
        begins_ms = self._now_ms()
        await self._insist(lambda: self._change(kept, True))
        await _until(to_s)
        await self._insist(lambda: self._change(kept, False))
        kept.paused.append((begins_ms, self._now_ms()))

    def _change(self, kept: Kept, paused: bool) -> Coroutine[Any, Any, object]:
        return self._station.gateway.schedules.change(kept.id, ScheduleWish(paused=paused))

    def _now_ms(self) -> int:
        return self._station.clock.now_ms()

    async def _insist(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Until there is an answer; None: it was no."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await self._station.ask(ask())
            except RequestError:
                return None
            except (Crash, StoreError, TimeoutError):
                await asyncio.sleep(0.3)


async def _until(at_s: float) -> None:
    await asyncio.sleep(max(0, at_s - asyncio.get_running_loop().time()))
