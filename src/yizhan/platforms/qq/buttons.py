"""Buttons that people press: each spins on their screen until QQ is told that it was heard, within seconds.

So that is told at once, beside everything else; what follows from the button goes the same road as any word.
"""

from __future__ import annotations

import asyncio

from yizhan.model import Account
from yizhan.platforms.qq import calls
from yizhan.platforms.qq.api import Api
from yizhan.platforms.qq.events import Event, Interaction


class Buttons:
    """Acknowledges for one account."""

    def __init__(self, account: Account, api: Api) -> None:
        self._account = account
        self._api = api
        self._telling: set[asyncio.Task[None]] = set()

    def heard(self, event: Event | None) -> None:
        """If it is a button, QQ is told so in a moment."""
        if isinstance(event, Interaction):
            task = asyncio.create_task(self._acknowledge(event.id))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    def close(self) -> None:
        for task in self._telling:
            task.cancel()

    async def _acknowledge(self, interaction_id: str) -> None:
        await self._api.call(calls.acknowledge(self._account, interaction_id))
