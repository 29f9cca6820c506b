"""The simulator's clocks. `real` follows the machine; `manual` stands still until somebody moves it."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int: ...

    def call_at(self, at_ms: int, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls `wake` once, at `at_ms` or soon after; gives back what cancels it."""
        ...


class RealClock:
    """Milliseconds since the epoch; never goes back."""

    def __init__(self) -> None:
        self._offset_ms = time.time() * 1000 - time.monotonic() * 1000

    def now_ms(self) -> int:
        return int(time.monotonic() * 1000 + self._offset_ms)

    def call_at(self, at_ms: int, wake: Callable[[], None]) -> Callable[[], None]:
        wait_s = max(0.0, (at_ms - self.now_ms()) / 1000)
        return asyncio.get_running_loop().call_later(wait_s, wake).cancel


class ManualClock:
    """Time moves by `advance` and `set` only; neither goes back."""

    def __init__(self, start_ms: int = 1_790_000_000_000) -> None:
        self._now_ms = start_ms
        self._number = 0
        self._due: list[tuple[int, int]] = []
        self._wakes: dict[int, Callable[[], None]] = {}

    def now_ms(self) -> int:
        return self._now_ms

    def set(self, now_ms: int) -> None:
        """Raises: ValueError when time would go back."""
        if now_ms < self._now_ms:
            raise ValueError(f"time does not go back: it is {self._now_ms}")
        self._now_ms = now_ms
        self._ring()

    def advance(self, by_ms: int) -> None:
        self.set(self._now_ms + by_ms)

    def call_at(self, at_ms: int, wake: Callable[[], None]) -> Callable[[], None]:
        self._number += 1
        number = self._number
        self._wakes[number] = wake
        heapq.heappush(self._due, (at_ms, number))
        if at_ms <= self._now_ms:
            asyncio.get_running_loop().call_soon(self._ring)
        return lambda: self._wakes.pop(number, None) and None

    def _ring(self) -> None:
        while self._due and self._due[0][0] <= self._now_ms:
            wake = self._wakes.pop(heapq.heappop(self._due)[1], None)
            if wake is not None:
                wake()
