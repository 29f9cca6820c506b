"""The disk under a gateway: it takes its time, it can be full, lose the answer to a commit, and see a crash.

`SlowDisk` is a committer without a thread, with the rules of the one in `store/committer.py`: writes that come
while a commit is under way share the next one, in order, and a caller that goes away does not take its write back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from simulation.process import Crash, Process
from yizhan.errors import StoreUnavailable
from yizhan.model import Event, Reason
from yizhan.store.committer import BATCH_MAX, CLOSED, Listener
from yizhan.store.operation import Operation
from yizhan.store.writer import Committed, Done, Writer

R = TypeVar("R")

UPKEEP = {"expire_due", "prune", "probe"}
"""Commits that come round by themselves and change nothing in most stories."""


class CrashGate:
    """Stands at every commit of the store and kills the process at a chosen one.

    `at` counts from 1 over all commits; `after` lets that commit reach the disk first. `full`: the disk takes
    nothing. `forgetful` answers whether the answer to a commit that was carried out gets lost on its way, `fatal`
    whether the process dies at a commit with this label, before it or after it.
    """

    def __init__(self, process: Process) -> None:
        self.seen: list[str] = []
        self.at: int | None = None
        self.after = False
        self.full = False
        self.forgetful: Callable[[], bool] = lambda: False
        self.fatal: Callable[[str, bool], bool] = lambda label, after: False
        self.process = process

    @property
    def struck(self) -> asyncio.Event:
        return self.process.died

    def before_commit(self, label: str) -> None:
        self.process.refuse_the_dead()
        if self.full:
            raise StoreUnavailable("The disk is full.", "It is tried again by itself.")
        if label in UPKEEP:
            return
        self.seen.append(label)
        if self.fatal(label, False) or (self.at == len(self.seen) and not self.after):
            self._strike()

    def after_commit(self, label: str) -> None:
        if label in UPKEEP:
            return
        if self.fatal(label, True) or (self.at == len(self.seen) and self.after):
            self._strike()
        if self.forgetful():
            raise StoreUnavailable("The answer to a commit was lost.", "It is tried again by itself.")

    def _strike(self) -> None:
        self.process.die()
        raise Crash


class SlowDisk:
    """`latency_s` is asked before each commit; half of it passes before, half after the write is durable."""

    def __init__(self, writer: Writer, process: Process, latency_s: Callable[[], float]) -> None:
        self._writer = writer
        self._process = process
        self._latency_s = latency_s
        self._waiting: list[tuple[Operation[Any], asyncio.Future[Any]]] = []
        self._work: asyncio.Task[None] | None = None
        self._listeners: list[Listener] = []
        self._closed = False

    async def submit(self, operation: Operation[R]) -> R:
        self._process.refuse_the_dead()
        if self._closed:
            raise CLOSED
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((operation, future))
        if self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._commit_all())
        return await future

    def writable(self) -> Reason | None:
        self._writer.probe()
        return self._writer.trouble()

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def close(self) -> None:
        while self._work is not None and not self._process.dead:
            await asyncio.wait({self._work})
        self._closed = True

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                half_s = self._latency_s() / 2
                await asyncio.sleep(half_s)
                committed = self._writer.commit([operation for operation, _ in batch])
                await asyncio.sleep(half_s)
                self._tell([future for _, future in batch], committed)
        finally:
            self._work = None

    def _tell(self, futures: Sequence[asyncio.Future[Any]], committed: Committed) -> None:
        self._ring(committed.events)
        for future, outcome in zip(futures, committed.outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Done):
                future.set_result(outcome.value)
            else:
                future.set_exception(outcome.error)

    def _ring(self, events: Sequence[Event]) -> None:
        if events and not self._process.dead:
            for listener in self._listeners:
                listener(events)
