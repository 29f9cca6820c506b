"""Agents and scenes for the tests of turns. An agent of these works until the test lets it go on, never for so many
seconds: time that jumps must not decide what is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from simulation.station import Station, target
from yizhan.model import AccountId, Turn
from yizhan.ports import Later, Piece, Question, Session, Text, TurnFilter

PATIENCE_S = 600
"""Virtual seconds after which a test gives up waiting."""


class Gated:
    """Answers `re: …`, each question as soon as the test has let it. `calls_it`: its own name of the conversation;
    `goodbye_s`: how long it goes on after it was told to end."""

    def __init__(self, name: str = "gated") -> None:
        self.name = name
        self.calls_it = ""
        self.later = False
        self.goodbye_s = 0.0
        self.asked: list[Question] = []
        self.gone = 0
        self._released = 0

    @property
    def texts(self) -> list[str]:
        return [question.text for question in self.asked]

    def release(self, questions: int = 1) -> None:
        """So many more questions may be answered, in the order in which they were asked."""
        self._released += questions

    async def answer(self, question: Question) -> AsyncIterator[Piece]:
        self.asked.append(question)
        place = len(self.asked)
        try:
            while place > self._released:
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            await asyncio.sleep(self.goodbye_s)
            self.gone += 1
            raise
        if self.calls_it:
            yield Session(self.calls_it)
        if self.later:
            yield Later()
            return
        yield Text(f"re: {question.text}")

    async def close(self) -> None:
        pass


@asynccontextmanager
async def ann_at(home: Path, **settings: Any) -> AsyncIterator[tuple[Station, str, AccountId]]:
    """A station with one account, and Ann, who may talk to it."""
    async with Station(home, **settings) as station:
        ann = station.world.add_user("Ann")
        yield station, ann, await station.link(ann)


async def turns_of(station: Station, account: AccountId, user: str) -> list[Turn]:
    """Every turn of a chat, oldest first."""
    place = target(account, user)
    page = await station.gateway.store.turns(TurnFilter(place.account, place.chat), None, 200)
    return list(page.rows[::-1])


async def until(so: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Waits for something to be so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = so()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)


async def until_shown(station: Station, user: str, *texts: str) -> None:
    """Waits until exactly these stand on a screen."""
    async with asyncio.timeout(PATIENCE_S):
        while station.shown(user) != list(texts):
            await asyncio.sleep(0.05)
