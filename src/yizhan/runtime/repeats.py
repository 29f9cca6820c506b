"""Repeats: what is asked for under an idempotency key is made once, however often it is asked.

The id is settled first: under the same key it is the same for ever, and whoever makes something under an id that
exists already adds nothing. So neither a crash between the two nor an impatient program makes two.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from yizhan.errors import RequestError
from yizhan.ports import Claim, Clock, Store


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that carries an idempotency key. `kind`: what is to be made; each has keys of its own."""

    kind: str
    key: str
    body_sha256: str


class Repeats:
    """One for each kind of thing; what is asked under a key is done one at a time."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._turnstile = asyncio.Lock()

    @asynccontextmanager
    async def settled(self, asked: Asked | None, name: str) -> AsyncIterator[str]:
        """The id to make it under: `name`, or that of the first time. What is refused the first time has not used the
        key. Raises IdempotencyConflict, StoreError."""
        if asked is None:
            yield name
            return
        async with self._turnstile:
            claim = Claim(asked.kind, asked.key, asked.body_sha256, name, self._clock.now_ms())
            settled = await self._store.claim(claim)
            try:
                yield settled
            except RequestError:
                if settled == name:
                    await self._store.unclaim(claim)
                raise
