"""From a line's hands into the store: what a line has read is stored, also when the line ends meanwhile, and the
account's next line begins behind it.

A line may be ended while the store takes nothing: an operator resumes the account, or gives it other credentials. What
was read by then is nobody's but ours, since the platform need not tell it again, and the place behind it may be the
only way back to what came after it. So it is stored behind the back of whoever ended the line, however long that
takes, and what begins where it ends waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import structlog

from yizhan.model import Account, AccountId
from yizhan.ports import Batch
from yizhan.runtime.inbound import InboundRoad
from yizhan.runtime.lines import Lines, OpenLine

log = structlog.get_logger("connections")

Storing = asyncio.Task[None]
MOMENT_S = 1
"""A line that is told to end gets this long to store what it has read."""


class Custody:
    """For each account at most one batch after the other is on its way into the store; `_last` is the latest."""

    def __init__(self, lines: Lines, inbound: InboundRoad) -> None:
        self._lines = lines
        self._inbound = inbound
        self._last: dict[AccountId, Storing] = {}

    async def store(self, line: OpenLine, batch: Batch) -> None:
        """Returns when it is stored. Whoever is told to end meanwhile gives it a moment."""
        storing = self._begin(line, self._store(line, batch))
        try:
            await asyncio.shield(storing)
        except asyncio.CancelledError:
            await self._moment(line, batch, storing)
            raise

    async def store_last(self, line: OpenLine, batch: Batch) -> None:
        """As a line ends: gives it a moment."""
        await self._moment(line, batch, self._begin(line, self._store(line, batch)))

    async def store_rest(self, line: OpenLine, rest: Batch) -> None:
        """What an ended line had heard and nobody had taken; gives it a moment."""
        earlier = self._last.get(line.account.id)
        await self._moment(line, rest, self._begin(line, self._store_behind(earlier, line, rest)))

    async def begins_at(self, line: OpenLine) -> str:
        """The place at which a line begins: behind all that the account's last line has read, once that is stored. So
        a stored place never goes back."""
        earlier = self._last.get(line.account.id)
        if earlier is not None:
            await asyncio.wait({earlier})
        return self._lines.get(line.account.id, line).account.cursor

    def as_far_as_it_came(self, account: Account) -> Account:
        """An account as it is to be opened, at the place that was reached in this process: who read it from the store
        may have done so before that was stored."""
        known = self._lines.get(account.id)
        if known is None or not _same_login(known.account, account):
            return account
        return replace(account, cursor=known.account.cursor)

    def forget(self, account: AccountId) -> None:
        self._last.pop(account, None)

    def _begin(self, line: OpenLine, work: Coroutine[Any, Any, None]) -> Storing:
        storing = self._last[line.account.id] = asyncio.create_task(work)
        return storing

    async def _store_behind(self, earlier: Storing | None, line: OpenLine, rest: Batch) -> None:
        """Behind what was taken before it, or not at all: its place covers both."""
        if earlier is not None:
            await asyncio.wait({earlier})
            if earlier.cancelled() or earlier.exception() is not None:
                return
        await self._store(line, rest)

    async def _store(self, line: OpenLine, batch: Batch) -> None:
        await self._inbound.commit(line.account, batch)
        known = self._lines.get(line.account.id)
        if batch.cursor is None or known is None or not _same_login(known.account, line.account):
            return
        self._lines[line.account.id] = replace(known, account=replace(known.account, cursor=batch.cursor))

    async def _moment(self, line: OpenLine, batch: Batch, storing: Storing) -> None:
        """What cannot be stored in it is, if the process ends too, told again by the platform after the next start, if
        it has not forgotten what it handed over."""
        await asyncio.wait({storing}, timeout=MOMENT_S)
        if not storing.done() and batch.heard:
            log.warning("inbound.abandoned", account=line.account.id, messages=len(batch.heard))


def _same_login(one: Account, other: Account) -> bool:
    """With other credentials a place leads nowhere."""
    return one.credentials.secret == other.credentials.secret
