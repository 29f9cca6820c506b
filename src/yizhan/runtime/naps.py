"""Waits for a next attempt, which end early when the host has slept: what was waited for may be long over then.

A sleep of the loop stands still while the host sleeps, so that what was to be tried again in ten minutes would come
ten minutes after the lid is opened.
"""

from __future__ import annotations

import asyncio

from yizhan.ports import Clock


class Naps:
    """Any number of waits, woken together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Ends those that there are."""
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()

    async def rest(self, wait_ms: int) -> bool:
        """Answers whether it was woken before its time."""
        woken = self._woken
        waits = [asyncio.create_task(self._clock.sleep_ms(wait_ms)), asyncio.create_task(woken.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return woken.is_set()
