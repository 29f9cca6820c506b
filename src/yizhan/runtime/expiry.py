"""Ends what has outlived its time. Its own loop, so that a blocked lane's messages expire too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yizhan.errors import StoreError
from yizhan.model import Target
from yizhan.ports import Clock, Store

SWEEP_MS = 1_000
LOOK_MS = 60_000
"""Between looks into the table while nothing is known to be due."""
UNHEARD_MS = 86_400_000
"""What the platform holds back for an audit is given up when it has not said for so long what became of it …"""
UNHEARD_LOOK_MS = 3_600_000
"""… which is looked for so often."""
_MOST = 500
"""Messages in one commit."""


class Expiry:
    """One quiet loop. `on_expired` is told the chats of which something has ended; `on_doubt`, that something may have
    ended: the store says that it failed, and only its answer may have been lost."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        on_expired: Callable[[Sequence[Target]], None],
        on_doubt: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_expired = on_expired
        self._on_doubt = on_doubt
        self._look_ms = 0
        self._unheard_look_ms = 0

    def expects(self, at_ms: int) -> None:
        """A message has been accepted whose time is over then."""
        self._look_ms = min(self._look_ms, at_ms)

    async def run(self) -> None:
        """For ever, until cancelled."""
        while True:
            await self._clock.sleep_ms(SWEEP_MS)
            if self._look_ms <= self._clock.now_ms():
                await self._sweep()

    async def _sweep(self) -> None:
        now_ms = self._clock.now_ms()
        self._look_ms = now_ms + LOOK_MS  # first, for what is accepted meanwhile
        try:
            expired = await self._store.expire_due(now_ms, _MOST, self._unheard_since_ms(now_ms))
        except StoreError:
            self.expects(now_ms)
            self._on_doubt()  # the store's own state says so; nothing is lost by expiring later
            return
        if expired.chats:
            self.expects(now_ms)  # there may be more
            self._on_expired(expired.chats)
        elif expired.next_at_ms is not None:
            self.expects(expired.next_at_ms)

    def _unheard_since_ms(self, now_ms: int) -> int | None:
        if now_ms < self._unheard_look_ms:
            return None
        self._unheard_look_ms = now_ms + UNHEARD_LOOK_MS
        return now_ms - UNHEARD_MS
