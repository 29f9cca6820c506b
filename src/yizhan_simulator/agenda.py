"""What will happen by itself, and when: a heap of due times. Time only comes in as an argument."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

Action = Callable[[int], None]
"""Called with the time it was due at, ms."""


class Agenda:
    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Action]] = []
        self._number = 0

    def at(self, at_ms: int, action: Action) -> None:
        self._number += 1
        heapq.heappush(self._heap, (at_ms, self._number, action))

    def next_at(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: int) -> Iterator[tuple[int, Action]]:
        """Takes out everything due at `now_ms`, in order of time, then of entering."""
        while self._heap and self._heap[0][0] <= now_ms:
            at_ms, _, action = heapq.heappop(self._heap)
            yield at_ms, action
