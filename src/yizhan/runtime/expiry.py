"""Ends what has outlived its time. Its own loop, so that a blocked lane's messages expire too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yizhan.errors import StoreError
from yizhan.model import Target
from yizhan.ports import Clock, Store

SWEEP_MS = 1_000
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

    async def run(self) -> None:
        """For ever, until cancelled."""
        while True:
            await self._clock.sleep_ms(SWEEP_MS)
            try:
                touched = await self._store.expire_due(self._clock.now_ms(), _MOST)
            except StoreError:
                self._on_doubt()  # the store's own state says so; nothing is lost by expiring later
                continue
            if touched:
                self._on_expired(touched)
