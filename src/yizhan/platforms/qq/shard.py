"""One shard of a bot's line: connects when it is told to, keeps what it has heard, renews its session.

One owner, one link: whatever ended the last connection, the next one is made in `_connect` and nowhere else, by the
next turn; who begins the turns decides when.

Once a day a new session is begun beside the living one, in a quiet moment: the old link goes on until the new one is
in, so that nothing said between them is lost. What both heard is known by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from yizhan.core.connection import Line, Lost, LostKind, Step, step, woken
from yizhan.model import AccountId
from yizhan.platforms.qq import memory as memories
from yizhan.platforms.qq.closes import ending_of
from yizhan.platforms.qq.dialling import Dialler
from yizhan.platforms.qq.line import Deliver, Part, Phase
from yizhan.platforms.qq.link import Link, News
from yizhan.platforms.qq.memory import Memory
from yizhan.platforms.qq.session import Session
from yizhan.ports import Chance, Clock

log = structlog.get_logger("qq")

RENEW_QUIET_MS = 5_000
"""A session is renewed when nothing was heard for so long …"""
RENEW_AGAIN_MS = 900_000
"""… and tried again so long after it failed."""


class Shard:
    """`number`: from 0 on. `of`: of how many, None until the gateway has said it. `after`: why it is not in and what it
    waits for, None while it is, and before the first try."""

    def __init__(
        self,
        account: AccountId,
        number: int,
        of: int | None,
        rung: int,
        dialler: Dialler,
        clock: Clock,
        chance: Chance,
        on_event: Callable[[Deliver], None],
        hopes: bool = False,
    ) -> None:
        """`hopes`: somebody has just acted, and may have changed which events QQ grants."""
        self._log = log.bind(account=account, shard=number)
        self.number = number
        self.of = of
        self.link: Link | None = None
        self.after: Step | None = None
        self.due_ms = 0
        self.turn: asyncio.Task[Lost | None] | None = None
        self._dialler = dialler
        self._clock = clock
        self._chance = chance
        self._on_event = on_event
        self._spread = chance.jitter()
        self._memory = Memory(rung=rung)
        self._line = Line()
        self._renewal: asyncio.Task[Link | Lost] | None = None
        self._renewed_ms = 0
        self._hoped = False
        self._hopes = hopes

    @property
    def up(self) -> bool:
        return self.link is not None and self.link.up

    @property
    def broke_off(self) -> Part | None:
        """How a replay ended of which something was heard, if the server never let us in."""
        link = self.link
        return None if link is None or link.talk.phase is Phase.UP else link.over

    @property
    def rung(self) -> int:
        return self._memory.rung

    # turns

    def begin(self, kept: Session | None) -> None:
        """Starts a turn, which connects where there is no link, and ends when there is news or the link is lost.

        Args:  kept  the session that everything is stored of
        """
        if self.turn is None:
            self.turn = asyncio.create_task(self._turn(kept))

    def end(self) -> Lost | None:
        """What the turn that is over has brought: a loss, or news. Raises what broke in it."""
        assert self.turn is not None
        turn, self.turn = self.turn, None
        lost = turn.result()
        if lost is None:
            self.after, self._line = None, Line()
            return None
        self.after = step(self._line, lost, self._clock.now_ms(), self._chance.jitter())
        self._line, self.due_ms = self.after.line, self._clock.now_ms() + self.after.wait_ms
        return lost

    def look(self) -> None:
        """The host has slept: is it still in? If it waits for its next attempt, that is due now, and what failed before
        makes the ones after it wait no longer."""
        now_ms = self._clock.now_ms()
        self.due_ms = min(self.due_ms, now_ms)
        self._memory, self._line = memories.woken(self._memory), woken(self._line, now_ms)
        if self.link is not None:
            self.link.look()

    def take(self, most: int) -> list[News]:
        """What was heard, in order."""
        news = self.link.news if self.link is not None else None
        return [news.popleft() for _ in range(min(most, len(news)))] if news else []

    async def close(self) -> list[News]:
        """Ends the socket. What was heard and not taken, in order."""
        turn, self.turn = self.turn, None
        if turn is not None:
            turn.cancel()
            await asyncio.wait({turn})
        await self._drop_renewal()
        link, self.link = self.link, None
        if link is None:
            return []
        await link.close()
        return list(link.news)

    async def _turn(self, kept: Session | None) -> Lost | None:
        if self.link is None:
            made = await self._connect(memories.to_resume(self._memory, kept, self._clock.now_ms()))
            if isinstance(made, Lost):
                return made
            self._take_over(made)
        while True:
            link = self.link
            assert link is not None
            if link.news:
                return None
            if link.over is not None:
                return await self._lose(link, link.over)
            await self._news_or_renewal(link)

    # one attempt

    async def _connect(self, resumes: Session | None) -> Link | Lost:
        """From nothing to READY or RESUMED, or how far it came."""
        if resumes is not None:
            self._memory = replace(self._memory, rung=resumes.rung)
        link = await self._dial(resumes, self._memory.rung)
        if isinstance(link, Lost):
            self._memory, lost = memories.failed(self._memory, link, self._chance.jitter())
            return lost
        try:
            entered = await link.entered()
        except asyncio.CancelledError:
            await link.close()
            raise
        if entered or link.news:  # a replay that broke off is kept, and brings the place forward
            return link
        return await self._lose(link, link.over or Part("broken", ending_of(None)))

    async def _dial(self, resumes: Session | None, rung: int) -> Link | Lost:
        """A bot of one shard asks with each new session whether it is to be more."""
        of = None if resumes is None and self.number == 0 and self.of in (None, 1) else self.of or 1
        return await self._dialler.dial(self.number, of, rung, resumes, self._on_event)

    def _take_over(self, link: Link) -> None:
        self.link = link
        _, self.of = link.shard

    async def _lose(self, link: Link, part: Part) -> Lost:
        """The connection is over; what follows from that."""
        await self._drop_renewal()
        self.link = None
        await link.close()
        if link.fault is not None:
            raise link.fault
        if part.ending.new_token or (part.code == "op 9" and link.talk.resumes is None):
            self._dialler.drop(link.token)
        stretched = self._dialler.stretched(self.of or 1)
        now_ms, jitter = self._clock.now_ms(), self._chance.jitter()
        self._memory, lost = memories.after(self._memory, link.talk, part, now_ms, jitter, stretched)
        return lost

    # renewal

    async def _news_or_renewal(self, link: Link) -> None:
        """Until the link has something to say, or the one that replaces it is in."""
        link.changed.clear()
        self._renew_if_due(link)
        changed = asyncio.create_task(link.changed.wait())
        waits = {changed, self._renewal} if self._renewal is not None else {changed}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        if self._renewal is not None and self._renewal.done() and not link.news:
            await self._switch(link, self._renewal.result())

    def _renew_if_due(self, link: Link) -> None:
        session, now_ms = link.talk.session, self._clock.now_ms()
        if self._renewal is not None or session is None or now_ms - self._renewed_ms < RENEW_AGAIN_MS:
            return
        if now_ms - link.event_ms < RENEW_QUIET_MS:
            return
        if self._hopes and link.talk.rung > 0:
            self._renew(0, now_ms)
        elif memories.is_due(session, now_ms, self._spread):
            self._renew(self._memory.rung if self._hoped else 0, now_ms)
            self._hoped = not self._hoped

    def _renew(self, rung: int, now_ms: int) -> None:
        """Where less was granted than we ask for, all is asked for again first: somebody may have changed that."""
        self._renewed_ms, self._hopes = now_ms, False
        self._renewal = asyncio.create_task(self._beside(rung))

    async def _beside(self, rung: int) -> Link | Lost:
        """A new session while the old one lives. Its failure is no failure of the line."""
        link = await self._dial(None, rung)
        if isinstance(link, Lost):
            return link
        try:
            if await link.entered():
                return link
        except asyncio.CancelledError:
            await link.close()
            raise
        await link.close()
        return Lost(LostKind.SERVER, "not-renewed", "the session could not be renewed")

    async def _switch(self, link: Link, renewed: Link | Lost) -> None:
        """The old link ends; what it still has goes before what the new one has heard."""
        self._renewal = None
        if isinstance(renewed, Lost):
            self._log.info("qq.not_renewed", code=renewed.code, detail=renewed.text)
            return
        link.heir = renewed
        await link.close()
        renewed.news.extendleft(reversed([news for news in link.news if isinstance(news, Deliver)]))
        self._take_over(renewed)
        self._hoped, self._memory = False, replace(self._memory, rung=renewed.talk.rung)
        self._log.info("qq.session_renewed")

    async def _drop_renewal(self) -> None:
        renewal, self._renewal = self._renewal, None
        if renewal is None:
            return
        renewal.cancel()
        await asyncio.wait({renewal})
        if not renewal.cancelled() and isinstance(made := renewal.result(), Link):
            await made.close()
