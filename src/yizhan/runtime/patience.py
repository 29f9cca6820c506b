"""What must be written is asked of the store until it is: a disk that is full or a database that restarts costs time
and nothing else. And what follows from a write is carried out, whoever has stopped waiting for it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import structlog

from yizhan.errors import StoreError, YizhanError
from yizhan.ports import Clock

log = structlog.get_logger("gateway")

P = ParamSpec("P")
T = TypeVar("T")

_under_way: set[asyncio.Task[Any]] = set()
"""The loop itself keeps tasks only weakly."""
STORE_PAUSE_MS = 500
"""Between tries while the store takes nothing."""


async def persist(clock: Clock, write: Callable[[], Awaitable[T]], tell: Callable[[StoreError], None]) -> T:
    """The answer of `write`, however long the store takes; `tell` is told each time that it takes nothing."""
    while True:
        try:
            return await write()
        except StoreError as error:
            tell(error)
            await clock.sleep_ms(STORE_PAUSE_MS)


def to_the_end(verb: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """A verb that is carried out once it was begun, also if its caller is cancelled meanwhile. The store does not take
    a write back because a client has hung up; so what memory must learn of it may not hang on the client either."""

    @functools.wraps(verb)
    async def carried_out(*args: P.args, **kwargs: P.kwargs) -> T:
        work = asyncio.create_task(verb(*args, **kwargs))
        _under_way.add(work)
        work.add_done_callback(_under_way.discard)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(_unheard)
            raise

    return carried_out


def _unheard(work: asyncio.Task[Any]) -> None:
    """It ended when nobody listened any more: a refusal is nobody's news then, a fault of ours is."""
    error = None if work.cancelled() else work.exception()
    if isinstance(error, Exception) and not isinstance(error, YizhanError):
        log.error("verb.broke", error=repr(error), exc_info=error)
