"""One process, as far as a simulation can tell: the tasks that were begun in it, and their sudden end.

Whoever calls a gateway from outside must not die with it, and what a gateway begins while it serves a call is the
gateway's. So every task belongs to the process in whose context it was created.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

_HERE: ContextVar[Process | None] = ContextVar("process", default=None)


class Crash(BaseException):
    """The process is gone."""


class Process:
    """`died` is set at the moment of death; what runs afterwards is only Python tidying up."""

    def __init__(self) -> None:
        self.died = asyncio.Event()
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._context = copy_context()
        self._context.run(_HERE.set, self)
        asyncio.get_running_loop().set_task_factory(_made)

    @property
    def dead(self) -> bool:
        return self.died.is_set()

    @property
    def tasks(self) -> int:
        return len(self._tasks)

    def die(self) -> None:
        """SIGKILL: from now on nothing reaches the disk or the wire."""
        self.died.set()
        if not self._end.done():
            self._end.set_result(None)

    def refuse_the_dead(self) -> None:
        """Stands before everything that would have an effect outside. Raises Crash."""
        if self.dead:
            raise Crash

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Does something in the process, on behalf of somebody outside. Raises Crash if the process dies first."""
        task = self._context.copy().run(asyncio.get_running_loop().create_task, work)
        task.add_done_callback(_unheard)
        try:
            ends: list[asyncio.Future[Any]] = [task, self._end]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if self.dead or task.cancelled():
            raise Crash
        return task.result()

    async def sweep(self) -> None:
        """Removes what is left of the dead."""
        self.die()
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        self._tasks[task] = None
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if self.dead and not task.cancelled():
            task.exception()  # whatever it was, it came after death


def _unheard(task: asyncio.Task[Any]) -> None:
    """It may fail just when nobody waits any more."""
    if not task.cancelled():
        task.exception()


def _made(loop: asyncio.AbstractEventLoop, work: Any, context: Context | None = None) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    home = _HERE.get() if context is None else context.get(_HERE)
    if home is not None:
        home.adopt(task)
    return task
