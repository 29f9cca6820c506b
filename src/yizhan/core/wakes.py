"""Who sleeps until when. A sleeper costs one place in a heap and no time.

Waking somebody early leaves the old place behind; it is passed over when its time comes, and when more than
half of the heap is left over, the heap is built anew. So it stays proportional to the sleepers, however
often they are woken and sleep again.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)

_SPARE = 64


class Wakes(Generic[S]):
    """Wake times of sleepers, each at most once. Sleepers are told apart by their hash and equality."""

    def __init__(self) -> None:
        self._until: dict[S, int] = {}
        self._heap: list[tuple[int, int, S]] = []
        self._ticket = 0

    def sleep(self, who: S, at_ms: int) -> None:
        """Until `at_ms`, whatever was asked before."""
        if self._until.get(who) == at_ms:
            return
        self._until[who] = at_ms
        if len(self._heap) > 2 * len(self._until) + _SPARE:
            self._rebuild()
            return
        self._ticket += 1
        heapq.heappush(self._heap, (at_ms, self._ticket, who))

    def wake(self, who: S) -> None:
        """Before its time; nothing happens to somebody awake."""
        self._until.pop(who, None)

    def until(self, who: S) -> int | None:
        """When it wakes, None if it is awake."""
        return self._until.get(who)

    def due(self, now_ms: int) -> Iterator[S]:
        """Wakes those whose time has come, the earliest first."""
        while self._heap and self._heap[0][0] <= now_ms:
            at_ms, _, who = heapq.heappop(self._heap)
            if self._until.get(who) == at_ms:
                del self._until[who]
                yield who

    def next_ms(self) -> int | None:
        """When the next one wakes."""
        while self._heap and self._until.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _rebuild(self) -> None:
        self._heap = [(at_ms, n, who) for n, (who, at_ms) in enumerate(self._until.items())]
        self._ticket = len(self._heap)
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        """Places in the heap, those left over included."""
        return len(self._heap)
