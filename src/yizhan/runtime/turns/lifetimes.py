"""Lifetimes: how long what a turn says may wait for its delivery, where a schedule has asked and says so itself."""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.errors import UnknownSchedule
from yizhan.model import Inbound
from yizhan.ports import Store
from yizhan.runtime.turns.steps import Steps


class Lifetimes:
    def __init__(self, store: Store, steps: Steps) -> None:
        self._store = store
        self._steps = steps

    async def of(self, asked: Sequence[Inbound]) -> int | None:
        """In ms, from when it is said; None: as long as any message of its class. Somebody who waits for an answer
        waits for it as for every other."""
        asking = {inbound.schedule for inbound in asked}
        schedule = asking.pop() if len(asking) == 1 else None
        if schedule is None:
            return None
        try:
            return (await self._steps.take(lambda: self._store.schedule(schedule))).lifetime_ms
        except UnknownSchedule:
            return None
