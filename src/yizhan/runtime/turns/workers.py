"""Workers: so many agents may be at work at the same time, over all chats.

A chat stands in line with one turn only, behind all who came before: one that has asked a hundred questions gets its
second answer after everybody else has had a first.
"""

from __future__ import annotations

import asyncio


class Seat:
    """A place among the workers for one turn. To leave it twice does no harm."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._taken = False

    async def take_free(self) -> bool:
        """Sits down if there is a place for which nobody waits."""
        if not self._free.locked():
            await self.take()
        return self._taken

    async def take(self) -> None:
        """Sits down, when it is our turn."""
        if not self._taken:
            await self._free.acquire()
            self._taken = True

    def leave(self) -> None:
        if self._taken:
            self._taken = False
            self._free.release()


class Workers:
    def __init__(self, number: int) -> None:
        self._free = asyncio.Semaphore(number)

    def seat(self) -> Seat:
        return Seat(self._free)
