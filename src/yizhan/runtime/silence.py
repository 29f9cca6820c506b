"""A host that takes requests and answers none: who notices that it answers again.

A host that cannot be reached has its one probe (runtime/reach.py). Worse is one that takes connections and is
silent, or answers like a gateway whose server is gone: the poll that hangs there ends after three quarters of a
minute, and sends in doubt are repeated ever more rarely, so nobody would notice the end for a long time. So the
first doubt starts a watch over its host: a short request, again and again, none waiting for those before it. If
the first of them is answered, the host is well and the doubt had another cause. If only a later one is, the
silence is over, and what waited for it may try at once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import structlog

from yizhan.core.connection import LostKind
from yizhan.ports import Clock, Lost
from yizhan.runtime.lines import OpenLine

log = structlog.get_logger("silence")

KNOCK_MS = 1_000
QUICK_FOR_MS = 120_000
SLOW_KNOCK_MS = 10_000
"""Between knocks, and between them when the silence has lasted so long."""
_SILENT = frozenset({LostKind.UNREACHABLE, LostKind.NETWORK, LostKind.SERVER})


class Silence:
    """At most one watch per host. `on_end` is told the host when it answers again after it had not."""

    def __init__(self, clock: Clock, on_end: Callable[[str], None]) -> None:
        self._clock = clock
        self._on_end = on_end
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._stopped = False

    def suspect(self, line: OpenLine) -> None:
        """The answer to a send of this line was lost, or was none."""
        if line.host not in self._watches and not self._stopped:
            watch = asyncio.create_task(self._watch(line))
            self._watches[line.host] = watch
            watch.add_done_callback(lambda _: self._watches.pop(line.host, None))

    def stop(self) -> None:
        self._stopped = True
        for watch in self._watches.values():
            watch.cancel()

    async def _watch(self, line: OpenLine) -> None:
        began_ms = self._clock.now_ms()
        if await self._answered_knock(line, began_ms) > 1:
            log.warning("host.answers_again", host=line.host, silent_ms=self._clock.now_ms() - began_ms)
            self._on_end(line.host)

    async def _answered_knock(self, line: OpenLine, began_ms: int) -> int:
        """Knocks until one is answered; answers its number."""
        answered: asyncio.Queue[int] = asyncio.Queue()
        knocks = set[asyncio.Task[None]]()
        try:
            for number in itertools.count(1):
                knocks = {knock for knock in knocks if not knock.done()}
                knocks.add(asyncio.create_task(self._knock(line, number, answered)))
                first = await self._first(answered, self._clock.now_ms() - began_ms)
                if first is not None:
                    return first
        finally:
            for knock in knocks:
                knock.cancel()
        raise AssertionError("counting never ends")

    async def _knock(self, line: OpenLine, number: int, answered: asyncio.Queue[int]) -> None:
        found = await line.platform.probe(line.account)
        if not isinstance(found, Lost) or found.kind not in _SILENT:
            answered.put_nowait(number)

    async def _first(self, answered: asyncio.Queue[int], since_ms: int) -> int | None:
        """The number of the knock that was answered before the next one is due; None if none was."""
        wait_ms = KNOCK_MS if since_ms < QUICK_FOR_MS else SLOW_KNOCK_MS
        try:
            async with asyncio.timeout(wait_ms / 1_000):
                return await answered.get()
        except TimeoutError:
            return None
