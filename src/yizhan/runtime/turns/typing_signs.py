""" "typing…" in a chat: kept alive while the agent works, and always ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from yizhan.model import Target
from yizhan.ports import Clock
from yizhan.runtime.lines import Lines, OpenLine
from yizhan.runtime.outbound import Outbound

TYPING_EVERY_MS = 5_000
TYPING_FIRST_MS = 150
"""An answer that is there sooner needs no sign: two requests less, and none beside the question on its way."""
TYPING_AFTER_MS = 2_000
GOODBYE_S = 0.5
"""How long a stop of the gateway waits for signs to be taken down."""


class TypingSigns:
    def __init__(self, clock: Clock, lines: Lines, outbound: Outbound) -> None:
        self._clock = clock
        self._lines = lines
        self._outbound = outbound
        self._endings: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def shown(self, target: Target) -> AsyncIterator[None]:
        """While this is open, the other side sees that an answer is being written."""
        sign = asyncio.create_task(self._keep(target))
        try:
            yield
        finally:
            sign.cancel()

    async def stop(self) -> None:
        """The signs that are being taken down get a moment for it."""
        if self._endings:
            await asyncio.wait(self._endings, timeout=GOODBYE_S)

    async def _keep(self, target: Target) -> None:
        line = self._lines.get(target.account)
        if line is None:
            return
        if line.platform.policy.typing_costs:
            await self._show_once(line, target)
            return
        await self._clock.sleep_ms(TYPING_FIRST_MS)
        try:
            while True:
                await self._show(target, True)
                await self._clock.sleep_ms(TYPING_EVERY_MS)
        finally:
            ending = asyncio.create_task(self._show(target, False))
            self._endings.add(ending)
            ending.add_done_callback(self._ended)

    async def _show_once(self, line: OpenLine, target: Target) -> None:
        """Where it costs a send, an answer that comes soon needs none, and one sign must do. Where none can be shown,
        nothing is spent on one."""
        if target.chat.partition("/")[0] != line.platform.policy.typing_costs:
            return
        await self._clock.sleep_ms(TYPING_AFTER_MS)
        token = self._outbound.spare_token(target)
        if token is not None:
            await line.transport.typing(target.chat, token, True)

    async def _show(self, target: Target, on: bool) -> None:
        line = self._lines.get(target.account)
        if line is not None:
            await line.transport.typing(target.chat, self._outbound.usable_token(target), on)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._endings.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._outbound.log.error("typing.broke", exc_info=error)
