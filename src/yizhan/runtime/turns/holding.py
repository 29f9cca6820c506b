"""Holding the line: a platform that takes answers for a few minutes only is told in time that one is on its way, so
that nobody takes the silence for the end. Once per turn, within what the chat permits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from yizhan.errors import RequestError
from yizhan.model import Inbound, Turn
from yizhan.ports import Clock, Store
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.turns.speaking import Speaking
from yizhan.runtime.turns.steps import Steps
from yizhan.runtime.views import ChatAllowanceView

PATIENCE_MS = 5_000
"""An answer that comes sooner costs no look at the allowance."""
NOTHING_KNOWN = ChatAllowanceView(0, None, None, None, None, None)


class Holding:
    """`before_ms`: so long before the window ends the chat is told; 0: never."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        steps: Steps,
        speaking: Speaking,
        outbound: Outbound,
        before_ms: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._steps = steps
        self._speaking = speaking
        self._outbound = outbound
        self._before_ms = before_ms

    @contextlib.asynccontextmanager
    async def told(self, turn: Turn, asked: Sequence[Inbound]) -> AsyncIterator[None]:
        """While this is open, the chat is told in time."""
        if not self._before_ms or not self._outbound.metered(turn.target):
            yield
            return
        watch = asyncio.create_task(self._watch(turn, asked))
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _watch(self, turn: Turn, asked: Sequence[Inbound]) -> None:
        """Sleeps until the window is about to end, and tells the chat if something is left beside the answer."""
        await self._clock.sleep_ms(PATIENCE_MS)
        if (until_ms := (await self._permits(turn)).until_ms) is None:
            return
        await self._clock.sleep_until(until_ms - self._before_ms)
        now = await self._permits(turn)
        draft = self._speaking.patience(turn, asked)
        if draft is None or now.waiting_for is not None or (now.left is not None and now.left < 2):
            return
        try:
            await self._steps.add(turn.target, lambda: self._store.say(turn.id, draft))
        except RequestError as error:
            self._outbound.log.warning("turn.unsaid", account=turn.account, turn=turn.id, code=error.name)

    async def _permits(self, turn: Turn) -> ChatAllowanceView:
        """What the chat may still be sent."""
        views = await self._steps.take(lambda: self._outbound.allowances.of_chats([turn.target]))
        return views.get(turn.target) or NOTHING_KNOWN
