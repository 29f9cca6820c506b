"""The one who commits: takes writes from the event loop, carries them out together, tells the callers.

One thread, one queue. While a commit waits for the disk, the next writes gather; then all of them share the
next commit. Alone, a write is committed at once: there is no pause to gather company. The queue is bounded,
and a full one refuses at once (StoreBusy) instead of letting memory grow.

A caller that is cancelled while it waits does not take its write back.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from yizhan.errors import StoreBusy, StoreUnavailable
from yizhan.model import Event, Reason
from yizhan.store.operation import Operation
from yizhan.store.writer import Committed, Done, Outcome, Writer

R = TypeVar("R")
Listener = Callable[[Sequence[Event]], None]

BATCH_MAX = 256
QUEUE_MAX = 4096
PROBE_INTERVAL_S = 1.0
"""How often an idle committer whose last write failed looks whether it can write again."""

CLOSED = StoreUnavailable("The store is closed.", "The gateway is stopping.")


class Committer(Protocol):
    async def submit(self, operation: Operation[R]) -> R:
        """Returns after the commit. Raises StoreBusy or StoreUnavailable if nothing was written, and what the
        operation raises."""
        ...

    def writable(self) -> Reason | None: ...

    def subscribe(self, listener: Listener) -> None: ...

    async def close(self) -> None:
        """Commits what was submitted and ends."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    operation: Operation[Any]
    future: asyncio.Future[Any]


class _Bell:
    """Calls the listeners with the events of a commit. One that fails does not keep the others from hearing."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def ring(self, events: Sequence[Event], loop: asyncio.AbstractEventLoop) -> None:
        if not events:
            return
        for listener in self._listeners:
            try:
                listener(events)
            except Exception as error:
                loop.call_exception_handler({"message": "A listener of the store failed", "exception": error})


class ThreadCommitter:
    """Group commit in a thread of its own. Made and used in one event loop."""

    def __init__(self, writer: Writer, queue_max: int = QUEUE_MAX) -> None:
        self._writer = writer
        self._queue_max = queue_max
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._queued = 0
        self._closing = False
        self._bell = _Bell()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="yizhan-committer", daemon=True)
        self._thread.start()

    async def submit(self, operation: Operation[R]) -> R:
        if self._closing:
            raise CLOSED
        if self._queued >= self._queue_max:
            raise StoreBusy(
                f"{self._queued} writes are waiting for the disk already.", "Try again in a moment."
            )
        future: asyncio.Future[R] = self._loop.create_future()
        self._queued += 1
        self._queue.put(_Waiting(operation, future))
        return await future

    def writable(self) -> Reason | None:
        return self._writer.trouble()

    def subscribe(self, listener: Listener) -> None:
        self._bell.subscribe(listener)

    async def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    # In the thread.

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            batch, open_for_more = self._take()
            if batch:
                committed = self._commit(batch)
                self._in_loop(self._tell, batch, committed)
        self._in_loop(self._ended.set_result, None)

    def _take(self) -> tuple[list[_Waiting], bool]:
        """The writes that are waiting now, at least one unless the committer is to end."""
        first = self._first()
        batch: list[_Waiting] = []
        while first is not None:
            batch.append(first)
            if len(batch) == BATCH_MAX:
                return batch, True
            try:
                first = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _first(self) -> _Waiting | None:
        while self._writer.trouble() is not None:
            try:
                return self._queue.get(timeout=PROBE_INTERVAL_S)
            except queue.Empty:
                self._probe()
        return self._queue.get()

    def _probe(self) -> None:
        """Whatever happens to a probe, the thread lives on; the next one comes soon."""
        with contextlib.suppress(BaseException):
            self._writer.probe()

    def _commit(self, batch: Sequence[_Waiting]) -> Committed | BaseException:
        try:
            return self._writer.commit([waiting.operation for waiting in batch])
        except BaseException as error:
            return error

    def _in_loop(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            """The loop is closed: nobody waits for the answer any more."""

    # In the loop.

    def _tell(self, batch: Sequence[_Waiting], committed: Committed | BaseException) -> None:
        self._queued -= len(batch)
        if isinstance(committed, BaseException):
            for waiting in batch:
                if not waiting.future.done():
                    waiting.future.set_exception(committed)
            return
        self._bell.ring(committed.events, self._loop)
        for waiting, outcome in zip(batch, committed.outcomes, strict=True):
            _resolve(waiting.future, outcome)


def _resolve(future: asyncio.Future[Any], outcome: Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, Done):
        future.set_result(outcome.value)
    else:
        future.set_exception(outcome.error)


class InlineCommitter:
    """Commits in the caller's own step, without a thread: for stories in virtual time.

    What the gate raises at a commit reaches the caller, rolled back before the commit, committed after it.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._bell = _Bell()
        self._closed = False

    async def submit(self, operation: Operation[R]) -> R:
        if self._closed:
            raise CLOSED
        committed = self._writer.commit([operation])
        self._bell.ring(committed.events, asyncio.get_running_loop())
        await asyncio.sleep(0)
        (outcome,) = committed.outcomes
        if isinstance(outcome, Done):
            value: R = outcome.value
            return value
        raise outcome.error

    def writable(self) -> Reason | None:
        self._writer.probe()
        return self._writer.trouble()

    def subscribe(self, listener: Listener) -> None:
        self._bell.subscribe(listener)

    async def close(self) -> None:
        self._closed = True
