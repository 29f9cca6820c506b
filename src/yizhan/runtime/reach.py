"""Whether a host can be reached, for everything in this process that talks to it.

Around core/hosts.py: who finds a host shut waits here, one of them probes, and all go on when it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from yizhan.core.connection import Lost, LostKind
from yizhan.core.hosts import Hosts
from yizhan.ports import Absence, AbsenceKind, Chance, Clock, Reply

log = structlog.get_logger("reach")

_SILENT = frozenset({LostKind.UNREACHABLE, LostKind.NETWORK})
LOOK_AGAIN_MS = 1_000
"""While somebody else probes, look again so often, whatever becomes of them."""


class Reach:
    """Shared knowledge about hosts. `on_change` is told the host whenever waiting for it may be over."""

    def __init__(self, hosts: Hosts, clock: Clock, chance: Chance) -> None:
        self.hosts = hosts
        self.on_change: Callable[[str], None] = lambda host: None
        self._clock = clock
        self._chance = chance
        self._changed: dict[str, asyncio.Event] = {}

    def note(self, host: str, reply: Reply) -> None:
        """What a reply, or its absence, says about the host it was asked of."""
        if isinstance(reply, Absence) and reply.kind is AbsenceKind.NOT_SENT:
            self.unreachable(host, reply.text)
        else:
            self.reachable(host)

    def reachable(self, host: str) -> None:
        if self.hosts.worked(host):
            log.info("host.reachable", host=host)
            self._tell(host)

    def unreachable(self, host: str, text: str) -> None:
        before = self.hosts.breaker(host)
        after = self.hosts.unreachable(host, self._clock.now_ms(), self._chance.jitter())
        if not before.shut:
            log.warning("host.unreachable", host=host, detail=text, next_attempt_at_ms=after.not_before_ms)
        self._tell(host)

    def look(self) -> None:
        """We have slept: nobody waits out what was left of a wait."""
        for host in self.hosts.woken(self._clock.now_ms()):
            self._tell(host)

    def shut(self, host: str) -> bool:
        return self.hosts.breaker(host).shut

    def next_attempt_at_ms(self, host: str) -> int:
        """When somebody looks for a shut host again; now, if somebody is looking."""
        return self.hosts.breaker(host).ready_at(self._clock.now_ms())

    async def probe(self, host: str, by: object, knock: Callable[[], Awaitable[Lost | None]]) -> bool:
        """One turn at a shut host: waits for the next attempt, and makes it if nobody else does. Answers whether it was
        made here.

        Args:  knock  a short request; one that got no answer means that nothing can connect
        """
        now_ms = self._clock.now_ms()
        ready_ms = self.hosts.breaker(host).ready_at(now_ms)
        if ready_ms > now_ms or not self.hosts.free(host):
            await self._change(host, ready_ms - now_ms if ready_ms > now_ms else LOOK_AGAIN_MS)
            return False
        self.hosts.claim(host, by)
        try:
            lost = await knock()
            if lost is not None and lost.kind in _SILENT:
                self.unreachable(host, lost.text)
            else:
                self.reachable(host)
        finally:
            self.give_back(host, by)
        return True

    def give_back(self, host: str, by: object) -> None:
        """`by` ends without having found out; somebody else may probe."""
        if self.hosts.release(host, by):
            self._tell(host)

    async def _change(self, host: str, within_ms: int) -> None:
        changed = self._changed.setdefault(host, asyncio.Event())
        try:
            async with asyncio.timeout(within_ms / 1000):
                await changed.wait()
        except TimeoutError:
            pass

    def _tell(self, host: str) -> None:
        changed = self._changed.pop(host, None)
        if changed is not None:
            changed.set()
        self.on_change(host)
