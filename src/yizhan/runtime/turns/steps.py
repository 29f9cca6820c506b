"""The steps of a turn that must reach the store, however long it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from yizhan.errors import StoreError
from yizhan.model import Target
from yizhan.ports import Accepted, Clock
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.patience import persist, to_the_end

T = TypeVar("T")
A = TypeVar("A", bound=Accepted | tuple[Accepted, ...] | None)


class Steps:
    """Asks the store until it has answered."""

    def __init__(self, clock: Clock, outbound: Outbound) -> None:
        self._clock = clock
        self._outbound = outbound

    async def take(self, step: Callable[[], Awaitable[T]]) -> T:
        """A read, or a write that adds no messages."""
        return await persist(self._clock, step, self._tell)

    async def add(self, target: Target, step: Callable[[], Awaitable[A]]) -> A:
        """A write that adds messages: they enter their lane, so that a newer one of the chat does not overtake what is
        there, unheard of. A write that has begun is heard out, also if a turn is stopped meanwhile."""
        return await persist(self._clock, lambda: self._added(target, step), self._tell)

    @to_the_end
    async def _added(self, target: Target, step: Callable[[], Awaitable[A]]) -> A:
        with self._outbound.doubtful(target):
            added = await step()
        for accepted in added if isinstance(added, tuple) else (added,):
            if accepted is not None:
                self._outbound.admit(accepted)
        return added

    def _tell(self, error: StoreError) -> None:
        self._outbound.log.warning("turn.waits_for_store", error=error.detail)
