"""Virtual time: an event loop that jumps to the next timer when everybody waits.

A day passes in a second, and the same seed gives the same run. When nothing is ready and no timer is set,
nobody will ever wake: that is a deadlock, and an error.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

START_MS = 1_790_000_000_000
"""Where virtual time begins: some day in September 2026."""


class Deadlock(RuntimeError):
    """Everybody waits and no timer is set."""


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        self.now_s += max(timeout, 0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose clock is the selector's."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in virtual time, to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class VirtualClock:
    """`ports.Clock` over the loop's time. `jump_ms` plays a host that slept."""

    def __init__(self) -> None:
        self.jump_ms = 0
        self._told_ms = 0

    def now_ms(self) -> int:
        return START_MS + self.jump_ms + int(asyncio.get_running_loop().time() * 1000)

    def resync(self) -> int:
        told, self._told_ms = self._told_ms, self.jump_ms
        return self.jump_ms - told

    async def sleep_until(self, at_ms: int) -> None:
        await self.sleep_ms(at_ms - self.now_ms())

    async def sleep_ms(self, wait_ms: int) -> None:
        await asyncio.sleep(max(0, wait_ms) / 1000)


class SeededChance:
    """`ports.Chance` from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = 0

    def jitter(self) -> float:
        return self._random.random()

    def new_id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count:06d}{self._random.getrandbits(32):08x}"

    def token_hex(self, size: int) -> str:
        return self._random.randbytes(size).hex()
