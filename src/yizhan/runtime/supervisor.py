"""Keeps alive what must stay alive: a loop that raises is recorded, announced and started again.

A loop that returns has ended on purpose and is left alone; one that breaks off with a CancelledError which
nobody sent it has failed like any other. The one place with a catch-all handler. Waits between restarts grow
from 0.1 s to 30 s and are forgotten after a minute of good health; there is no limit on their number, since
giving up in silence is the one thing a gateway must not do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from yizhan.core.backoff import backoff
from yizhan.ports import Chance, Clock

log = structlog.get_logger("supervisor")

_HEALTHY_MS = 60_000


class Supervisor:
    """A set of named loops. `keep` starts one, `stop` ends them all."""

    def __init__(self, clock: Clock, chance: Chance) -> None:
        self._clock = clock
        self._chance = chance
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._resting: set[asyncio.Task[None]] = set()
        self.restarts: dict[str, int] = {}

    def keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Runs `loop` under `name` until it returns. A second loop of the same name replaces the first."""
        self.drop(name)
        self._tasks[name] = asyncio.create_task(self._keep(name, loop), name=name)

    def drop(self, name: str) -> asyncio.Task[None] | None:
        """Ends one loop; answers its task, for those who want to see it end."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
        return task

    def alive(self, name: str) -> bool:
        """Whether the loop runs now; one that has failed and waits to be started again does not."""
        task = self._tasks.get(name)
        return task is not None and not task.done() and task not in self._resting

    async def stop(self) -> None:
        """Cancels every loop and waits until all have ended."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            began_ms = self._clock.now_ms()
            try:
                await loop()
                log.info("loop.ended", loop=name)
                return
            except asyncio.CancelledError as error:
                if _this_task().cancelling():
                    raise
                failure: BaseException = error
            except Exception as error:
                failure = error
            healthy = self._clock.now_ms() - began_ms > _HEALTHY_MS
            failures = 1 if healthy else failures + 1
            await self._rest(name, failures, failure)

    async def _rest(self, name: str, failures: int, failure: BaseException) -> None:
        """Says what went wrong, with a traceback the first time, and waits."""
        self.restarts[name] = self.restarts.get(name, 0) + 1
        wait_ms = backoff(failures, 200, 30_000, self._chance.jitter())
        trace = failure if failures == 1 else None
        log.error("loop.failed", loop=name, error=repr(failure), wait_ms=wait_ms, exc_info=trace)
        self._resting.add(_this_task())
        try:
            await self._clock.sleep_ms(wait_ms)
        finally:
            self._resting.discard(_this_task())


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task
