"""Tells alerts in a chat, if the operator has named one. core/bulletin.py says what, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from yizhan.core.bulletin import Bulletin
from yizhan.errors import RequestError, StoreError
from yizhan.model import AccountId, Alert, Target
from yizhan.ports import Clock, Store
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.patience import STORE_PAUSE_MS
from yizhan.runtime.views import Order

log = structlog.get_logger("crier")

LIFETIME_MS = 3_600_000
"""An alert that could not be told within the hour is history; the list of alerts has it."""
LOOK_MS = 60_000
SOURCE = "alert"


class Crier:
    """`to`: a TARGET; empty: nobody is told. `every_ms`: the least time between two messages."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        outbound: Outbound,
        resolve: Callable[[str], Awaitable[Target]],
        to: str,
        every_ms: int,
        language: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._outbound = outbound
        self._resolve = resolve
        self._to = to
        self._every_ms = every_ms
        self._language = language
        self._bulletin = Bulletin(AccountId(""))
        self._news = asyncio.Event()

    @property
    def wanted(self) -> bool:
        return bool(self._to)

    async def take_up(self, known: Iterable[Alert]) -> None:
        """What was open when the last gateway ended, told or not. Raises StoreError."""
        if self._to:
            self._bulletin = self._bulletin.taken_up(known, await self._last_said_ms(), self._clock.now_ms())

    async def _last_said_ms(self) -> int | None:
        """Whoever cannot be named now was told nothing."""
        try:
            target = await self._resolve(self._to)
        except RequestError:
            return None
        return await self._store.last_message_ms(target, SOURCE)

    def note(self, alert: Alert) -> None:
        """An alert was raised or cleared."""
        if self._to:
            self._bulletin = self._bulletin.noted(alert, self._clock.now_ms())
            self._news.set()

    async def run(self) -> None:
        """For ever, until cancelled."""
        while True:
            self._news.clear()
            due_ms = self._bulletin.due_ms(self._every_ms)
            if due_ms is not None and due_ms <= self._clock.now_ms():
                await self._cry()
                continue
            await self._wait(LOOK_MS if due_ms is None else min(LOOK_MS, due_ms - self._clock.now_ms()))

    async def _cry(self) -> None:
        """One message. What cannot be stored is said later; what nobody takes is not said."""
        try:
            target = await self._resolve(self._to)
        except RequestError as error:
            self._nobody_takes_it(error)
            self._bulletin = self._bulletin.said(self._clock.now_ms())
            return
        if self._without_its_own(target):
            await self._say(target, self._bulletin)

    async def _say(self, target: Target, bulletin: Bulletin) -> None:
        """What comes while the message is written down belongs to the next one."""
        now_ms = self._clock.now_ms()
        order = Order(
            self._to, bulletin.text(self._language), source=SOURCE, expires_at_ms=now_ms + LIFETIME_MS
        )
        self._bulletin = bulletin.said(now_ms)
        try:
            await self._outbound.accept(target, order)
        except StoreError:
            self._bulletin = self._bulletin.unsaid(bulletin, now_ms)
            await self._clock.sleep_ms(STORE_PAUSE_MS)
        except RequestError as error:
            self._nobody_takes_it(error)

    def _nobody_takes_it(self, error: RequestError) -> None:
        log.warning("alerts.not_told", to=self._to, code=error.name, fix="check alerts.tell")

    def _without_its_own(self, target: Target) -> bool:
        """Which account tells is known only now; answers whether anything is left to say."""
        if self._bulletin.teller != target.account:
            self._bulletin = self._bulletin.told_by(target.account)
        return bool(self._bulletin.pending)

    async def _wait(self, wait_ms: int) -> None:
        try:
            async with asyncio.timeout(max(0, wait_ms) / 1000):
                await self._news.wait()
        except TimeoutError:
            pass
