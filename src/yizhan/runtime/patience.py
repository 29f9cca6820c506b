"""What must be written is asked of the store until it is: a disk that is full or a database that restarts costs time
and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from yizhan.errors import StoreError
from yizhan.ports import Clock

T = TypeVar("T")

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
