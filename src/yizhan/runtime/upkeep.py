"""What must be looked at now and then: a clock that jumps, rows that have outlived their use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from yizhan.errors import StoreError
from yizhan.ports import Clock, Store
from yizhan.settings import Settings

log = structlog.get_logger("upkeep")

EVERY_MS = 1_000
PRUNE_EVERY_MS = 60_000
PRUNE_LIMIT = 500
PRUNE_PAUSE_MS = 200
"""Between full batches: a store that has fallen behind catches up, and leaves room for messages meanwhile."""
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class UpkeepNumbers:
    """How long finished things are kept, in ms."""

    messages_ms: int
    events_ms: int

    @classmethod
    def of(cls, settings: Settings) -> UpkeepNumbers:
        retention = settings.retention
        return cls(int(retention.messages_days * DAY_MS), int(retention.events_days * DAY_MS))


class Upkeep:
    """One quiet loop. `on_jump` is called when the clock has moved forward, so that what is due goes now."""

    def __init__(
        self, store: Store, clock: Clock, numbers: UpkeepNumbers, on_jump: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._numbers = numbers
        self._on_jump = on_jump
        self._pruned_ms = 0
        self._more_to_prune = False
        self._behind = False

    async def run(self) -> None:
        while True:
            await self._clock.sleep_ms(PRUNE_PAUSE_MS if self._more_to_prune else EVERY_MS)
            self._check_clock()
            if self._more_to_prune or self._clock.now_ms() - self._pruned_ms >= PRUNE_EVERY_MS:
                await self._prune()

    def _check_clock(self) -> None:
        """Says each jump once. A wall clock set back leaves us ahead of it until it has caught up."""
        jump_ms = self._clock.resync()
        if jump_ms > 0:
            log.warning("clock.jumped", forward_ms=jump_ms)
            self._on_jump()
        elif jump_ms < 0 and not self._behind:
            log.warning("clock.set_back", by_ms=-jump_ms, note="times stay ahead until the clock catches up")
        self._behind = jump_ms < 0

    async def _prune(self) -> None:
        """One batch. Less than PRUNE_LIMIT rows over all kinds means that no kind was cut short."""
        now_ms = self._clock.now_ms()
        self._pruned_ms, self._more_to_prune = now_ms, False
        try:
            removed = await self._store.prune(
                now_ms, now_ms - self._numbers.messages_ms, now_ms - self._numbers.events_ms, PRUNE_LIMIT
            )
            self._more_to_prune = removed >= PRUNE_LIMIT
        except StoreError as error:
            log.info("prune.later", error=error.detail)
