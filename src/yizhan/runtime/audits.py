"""Ends of audits: what became of a part that the platform held back to look at it first.

A quick audit may overtake the answer that says that there is one: its end is heard while the send is still on its way,
names a part that nobody knows by that name yet, and is told once. So an end that finds nothing is kept for a while,
and whoever has written down that a part is held back asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog

from yizhan.errors import StoreError
from yizhan.model import AccountId, Target
from yizhan.ports import Audit, Clock, Store
from yizhan.runtime.patience import persist

log = structlog.get_logger("audits")

EARLY_MAX = 1_000
"""Ends that found nothing, most of them of other programs' messages; beyond it the oldest are forgotten."""


class Audits:
    """`on_end` is told the chat of a part that has ended."""

    def __init__(self, store: Store, clock: Clock, on_end: Callable[[Target], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_end = on_end
        self._early: dict[tuple[AccountId, str], Audit] = {}

    async def ended(self, account: AccountId, audit: Audit) -> None:
        """The platform has looked at it. May be told again. Raises StoreError: then it is to be told again."""
        self._early[account, audit.id] = audit
        if len(self._early) > EARLY_MAX:
            del self._early[next(iter(self._early))]
        await self._settle(account, audit)

    async def held(self, account: AccountId, audit_id: str) -> None:
        """A part waits for this audit, on disk."""
        audit = self._early.get((account, audit_id))
        if audit is None:
            return

        def tell(error: StoreError) -> None:
            log.warning("audit.not_stored", account=account, error=error.detail)

        await persist(self._clock, partial(self._settle, account, audit), tell)

    async def _settle(self, account: AccountId, audit: Audit) -> None:
        message = await self._store.settle_audit(account, audit, self._clock.now_ms())
        if message is not None:
            self._early.pop((account, audit.id), None)
            self._on_end(message.target)
