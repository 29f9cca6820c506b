"""The watch: looks at how things are every few seconds, keeps the board of alerts, writes changes down.

core/alerts.py decides; here is only where a look comes from and where a change goes. While the store takes
nothing, the board in memory is the truth, and what it changed is written as soon as that is possible.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from yizhan.core.alerts import (
    REOPENED_MS,
    AlertChange,
    AlertNumbers,
    Board,
    Look,
    Troubles,
    concerns,
    unknown,
)
from yizhan.errors import StoreError
from yizhan.model import AccountId, Alert
from yizhan.ports import Clock, NotGranted, Page, Store
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.standing import Standing

log = structlog.get_logger("alerts")

LOOK_MS = 15_000
SOON_MS = 2_000
"""After something happened that a person may have to know; so long looks are apart in any case."""


class Watch:
    """Owns the board. `free_bytes` tells how much room the store has left, None where nobody knows; `not_granted`
    which accounts hear less than they could; `on_change` hears of each alert that is raised or cleared."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        standing: Standing,
        outbound: Outbound,
        numbers: AlertNumbers,
        free_bytes: Callable[[], int | None],
        not_granted: Callable[[], Mapping[AccountId, NotGranted]],
        on_change: Callable[[Alert], None] = lambda alert: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._standing = standing
        self._outbound = outbound
        self._numbers = numbers
        self._free_bytes = free_bytes
        self._not_granted = not_granted
        self._on_change = on_change
        self._board = Board()
        self._began_ms = 0
        self._limited_since: dict[AccountId, int] = {}
        self._unwritten: dict[str, AlertChange] = {}
        self._poked = asyncio.Event()

    async def open(self) -> None:
        """Takes up what was open when the last gateway ended."""
        now_ms = self._began_ms = self._clock.now_ms()
        self._board = Board(await self._store.alerts_since(now_ms - REOPENED_MS))

    def poke(self) -> None:
        """Something happened: look soon."""
        self._poked.set()

    async def run(self) -> None:
        """The watch: for ever, until cancelled."""
        while True:
            await self._clock.sleep_ms(SOON_MS)
            self._poked.clear()
            await self.look()
            await self._pause()

    async def look(self) -> None:
        """One look, and what follows from it."""
        look = await self._look()
        found = concerns(look, self._numbers)
        stored = look.troubles is not None
        for change in self._board.judge(found, unknown(look), stored, look.now_ms):
            self._tell(change)
            told = change.told or (
                change.alert.id in self._unwritten and self._unwritten[change.alert.id].told
            )
            self._unwritten[change.alert.id] = replace(change, told=told)
        await self._write_down()

    def open_alerts(self) -> tuple[Alert, ...]:
        """What is open now, the newest first."""
        return self._board.open()

    def known_alerts(self) -> tuple[Alert, ...]:
        """What is open now, and what was until lately."""
        return self._board.known()

    async def page(self, is_open: bool | None, after: str | None, limit: int) -> Page[Alert]:
        """As the store's, but true to the minute, and also while the store takes nothing. Raises StoreError where
        memory cannot help."""
        now = {alert.id: alert for alert in self._board.open()}
        try:
            page = await self._store.alerts(is_open, after, limit)
        except StoreError:
            if after is not None or is_open is False:
                raise
            return Page(tuple(now.values())[:limit], None)
        rows = tuple(now.get(alert.id, alert) for alert in page.rows)
        if after is None and is_open is not False:
            stored = {alert.id for alert in rows}
            fresh = [now[name] for name in self._unwritten if name in now and name not in stored]
            rows = (*fresh, *rows)
        return Page(rows, page.next)

    # inside

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout((LOOK_MS - SOON_MS) / 1000):
                await self._poked.wait()
        except TimeoutError:
            pass

    async def _look(self) -> Look:
        now_ms = self._clock.now_ms()
        accounts = tuple(self._standing.all())
        limited = [account.id for account in accounts if self._outbound.limited(account.id)]
        self._limited_since = {account: self._limited_since.get(account, now_ms) for account in limited}
        return Look(
            now_ms=now_ms,
            began_ms=self._began_ms,
            accounts=accounts,
            limited_since=self._limited_since,
            not_granted=self._not_granted(),
            troubles=await self._troubles(now_ms),
            store=self._store.writable(),
            free_bytes=self._free_bytes(),
        )

    async def _troubles(self, now_ms: int) -> Troubles | None:
        try:
            return await self._store.troubles(self._numbers, now_ms)
        except StoreError:
            return None

    async def _write_down(self) -> None:
        """In one commit; what cannot be written now is written after the next look."""
        if not self._unwritten:
            return
        changes = list(self._unwritten.values())
        try:
            await self._store.note_alerts(changes, self._clock.now_ms())
        except StoreError as error:
            self._outbound.log.warning("alerts.not_written", alerts=len(changes), error=error.detail)
            return
        self._unwritten = {name: change for name, change in self._unwritten.items() if change not in changes}

    def _tell(self, change: AlertChange) -> None:
        """One line for each change that is told."""
        alert = change.alert
        if not change.told:
            return
        self._on_change(alert)
        told = log.warning if alert.open else log.info
        told(
            "alert.raised" if alert.open else "alert.cleared",
            kind=alert.kind.value,
            severity=alert.severity.value,
            account=alert.account,
            chat=alert.chat,
            what=alert.text,
            action=alert.action or None,
            count=alert.count,
        )
