"""Whether a host can be reached, for everything in this process that talks to it.

Around core/hosts.py: who finds a host shut waits here, one of them probes, and all go on when it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from yizhan.core.hosts import Hosts
from yizhan.ports import Absence, AbsenceKind, Chance, Clock, Reply

log = structlog.get_logger("reach")


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

    async def turn(self, host: str) -> bool:
        """Waits until the caller may talk to the host. True: it was shut, and the caller is its probe now."""
        while (breaker := self.hosts.breaker(host)).shut:
            now_ms = self._clock.now_ms()
            ready_ms = breaker.ready_at(now_ms)
            if ready_ms <= now_ms and self.hosts.free(host):
                self.hosts.claim(host)
                return True
            await self._change(host, ready_ms - now_ms if ready_ms > now_ms else None)
        return False

    async def _change(self, host: str, within_ms: int | None) -> None:
        changed = self._changed.setdefault(host, asyncio.Event())
        try:
            async with asyncio.timeout(None if within_ms is None else within_ms / 1000):
                await changed.wait()
        except TimeoutError:
            pass

    def _tell(self, host: str) -> None:
        changed = self._changed.pop(host, None)
        if changed is not None:
            changed.set()
        self.on_change(host)
