"""The steps of a turn that must reach the store, however long it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from yizhan.errors import StoreError
from yizhan.model import Target
from yizhan.ports import Clock
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.patience import persist

T = TypeVar("T")


class Steps:
    """Asks the store until it has answered."""

    def __init__(self, clock: Clock, outbound: Outbound) -> None:
        self._clock = clock
        self._outbound = outbound

    async def take(self, step: Callable[[], Awaitable[T]]) -> T:
        """A read, or a write that adds no messages."""
        return await persist(self._clock, step, self._tell)

    async def add(self, target: Target, step: Callable[[], Awaitable[T]]) -> T:
        """A write that adds messages: a newer one of the chat must not overtake what is there, unheard of."""

        async def written() -> T:
            with self._outbound.doubtful(target):
                return await step()

        return await persist(self._clock, written, self._tell)

    def _tell(self, error: StoreError) -> None:
        self._outbound.log.warning("turn.waits_for_store", error=error.detail)
