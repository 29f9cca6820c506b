"""The line of one QQ bot: connects when it is asked for news and has none, and hands out what it has heard.

One owner, one link: whatever ended the last connection, the next one is made in `_connect` and nowhere else, by
the next `receive`. An attempt goes through all its steps each time (token, address, socket, greeting, session),
each within a time of its own; who calls decides when the next attempt is made.

Once a day a new session is begun beside the living one, in a quiet moment: the old link goes on until the new
one is in, so that nothing said between them is lost. What both heard is known by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace

import structlog

from yizhan.core.connection import Lost, LostKind, NotGranted
from yizhan.model import Account, ChatId, ReplyToken
from yizhan.platforms.qq import calls
from yizhan.platforms.qq import memory as memories
from yizhan.platforms.qq.access import Access
from yizhan.platforms.qq.api import Api, sent
from yizhan.platforms.qq.callbacks import NO_WEBHOOK
from yizhan.platforms.qq.closes import ending_of
from yizhan.platforms.qq.discovery import Gateway, read_gateway
from yizhan.platforms.qq.events import Interaction, batch_of, read_event
from yizhan.platforms.qq.frames import FRAME_MAX_BYTES
from yizhan.platforms.qq.intents import missing, not_granted
from yizhan.platforms.qq.line import Deliver, Entered, Part
from yizhan.platforms.qq.link import Link
from yizhan.platforms.qq.memory import Memory
from yizhan.platforms.qq.policy import POLICY, SOCKET_MS
from yizhan.platforms.qq.session import Session, read_cursor, write_cursor
from yizhan.ports import (
    Absence,
    Answer,
    Batch,
    Callback,
    CallbackRefused,
    Chance,
    Clock,
    Http,
    Reply,
    Request,
    Sockets,
)

log = structlog.get_logger("qq")

BATCH_MAX = 200
FRESH_MS = 2_000
"""A sign of life that is no older when a message goes out shows that QQ sees us."""
RENEW_QUIET_MS = 5_000
"""A session is renewed when nothing was heard for so long …"""
RENEW_AGAIN_MS = 900_000
"""… and tried again so long after it failed."""


class QqTransport:
    """`ports.Transport` for QQ."""

    def __init__(
        self, account: Account, http: Http, sockets: Sockets, access: Access, clock: Clock, chance: Chance
    ) -> None:
        self._account = account
        self._access = access
        self._api = Api(http, access)
        self._sockets = sockets
        self._clock = clock
        self._spread = chance.jitter()
        self._chance = chance
        self._memory = Memory()
        self._link: Link | None = None
        self._renewal: asyncio.Task[Link | Lost] | None = None
        self._renewed_ms = 0
        self._hoped = False
        self._urgent: set[asyncio.Task[None]] = set()

    @property
    def not_granted(self) -> NotGranted | None:
        return not_granted(self._memory.rung)

    async def open(self) -> None:
        """Connecting is announcing enough."""

    async def receive(self, cursor: str, hold_ms: int) -> Batch | Lost:
        """News of the line; see `ports.Transport`. Cancelled while it connects, it leaves nothing behind."""
        if self._link is None:
            resumes = memories.to_resume(self._memory, read_cursor(cursor), self._clock.now_ms())
            if resumes is not None:
                self._memory = replace(self._memory, rung=resumes.rung)
            made = await self._connect(resumes)
            if isinstance(made, Lost):
                return made
            self._link = made
        while True:
            link = self._link
            if link.news:
                return self._batch(link)
            if link.over is not None:
                return await self._lose(link, link.over)
            await self._news_or_renewal(link)

    def look(self) -> None:
        if self._link is not None:
            self._link.look()

    async def called_back(self, callback: Callback) -> CallbackRefused:
        """Of a bot that keeps a socket, nothing comes by another way."""
        return NO_WEBHOOK

    async def send(self, request: Request) -> Reply:
        """A socket may be dead on one side and not be known to be: while the request is on its way, a line that has
        been silent for a moment is asked for a sign; and once more if the host has slept meanwhile."""
        link, since_ms = self._link, self._fresh_since_ms(FRESH_MS)
        if link is not None:
            link.ask(since_ms)
        reply = sent(await self._api.call(request))
        if link is None or not isinstance(reply, Answer) or reply.status >= 300:
            return reply
        since_ms = max(since_ms, self._fresh_since_ms(FRESH_MS + POLICY.send_timeout_ms))
        link.ask(since_ms)
        return replace(reply, seen=await link.vouches(since_ms))

    def _fresh_since_ms(self, old_ms: int) -> int:
        """Since when a sign of life counts; after the host has slept, only from now on."""
        now_ms = self._clock.now_ms()
        return now_ms if self._clock.has_slept() else now_ms - old_ms

    async def typing(self, chat: ChatId, token: ReplyToken | None, on: bool) -> None:
        """Not shown: each notice counts as one of the few answers that a message permits.
        Source: openclaw #104634."""

    async def close(self, announce: bool) -> None:
        """Ends the socket; what was heard and not taken is told again."""
        await self._drop_renewal()
        link, self._link = self._link, None
        if link is not None:
            await link.close()
        for task in self._urgent:
            task.cancel()

    # one attempt

    async def _connect(self, resumes: Session | None) -> Link | Lost:
        """From nothing to READY or RESUMED, or how far it came."""
        link = await self._dial(resumes, self._memory.rung)
        if isinstance(link, Lost):
            self._memory, lost = memories.failed(
                self._memory, link, self._clock.now_ms(), self._chance.jitter()
            )
            return lost
        try:
            entered = await link.entered()
        except asyncio.CancelledError:
            await link.close()
            raise
        if (
            entered or link.news
        ):  # what was replayed before it broke off is kept, and brings the place forward
            return link
        return await self._lose(link, link.over or Part("broken", ending_of(None)))

    async def _dial(self, resumes: Session | None, rung: int) -> Link | Lost:
        gateway = await self._gateway()
        if isinstance(gateway, Lost):
            return gateway
        token = await self._access.get()  # after the first call that proves one
        if isinstance(token, Lost):
            return token
        rationed = gateway.may_identify() if resumes is None else None
        if rationed is not None:
            return rationed
        socket = await self._sockets.open(gateway.url, SOCKET_MS, FRAME_MAX_BYTES)
        if isinstance(socket, Absence):
            return Lost(LostKind.NETWORK, "no-socket", socket.text)
        if resumes is None:
            self._memory = memories.identifying(self._memory, self._clock.now_ms())
        return Link(socket, self._clock, token, rung, resumes, self._heard)

    async def _gateway(self) -> Gateway | Lost:
        reply = await self._api.call(calls.gateway(self._account))
        return reply if isinstance(reply, Lost) else read_gateway(reply)

    async def _lose(self, link: Link, part: Part) -> Lost:
        """The connection is over; what follows from that."""
        await self._drop_renewal()
        self._link = None
        await link.close()
        if link.fault is not None:
            raise link.fault
        if part.ending.new_token or (part.code == "op 9" and link.talk.resumes is None):
            self._access.drop(link.token)
        now_ms, jitter = self._clock.now_ms(), self._chance.jitter()
        self._memory, lost = memories.after(self._memory, link.talk, part, now_ms, jitter)
        return lost

    # news

    def _batch(self, link: Link) -> Batch:
        """What the link has heard, in order, and the place in the session that covers it."""
        taken = [link.news.popleft() for _ in range(min(BATCH_MAX, len(link.news)))]
        sessions = [news.session for news in taken if isinstance(news, Deliver | Entered)]
        landmark = any(isinstance(news, Entered) for news in taken)
        if landmark:
            self._tell_intents()
        batch = batch_of(read_event(news.frame) for news in taken if isinstance(news, Deliver))
        return replace(batch, cursor=write_cursor(sessions[-1]) if sessions else None, landmark=landmark)

    def _tell_intents(self) -> None:
        if self._memory.rung:
            log.warning("qq.fewer_events", account=self._account.id, not_granted=missing(self._memory.rung))

    def _heard(self, news: Deliver) -> None:
        """As it comes: only what cannot wait for the store. A button that was pressed spins until we say so."""
        event = read_event(news.frame)
        if isinstance(event, Interaction):
            self._hasten(self._acknowledge(event.id))

    async def _acknowledge(self, interaction_id: str) -> None:
        await self._api.call(calls.acknowledge(self._account, interaction_id))

    def _hasten(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._urgent.add(task)
        task.add_done_callback(self._urgent.discard)

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
        if memories.is_due(session, now_ms, self._spread) and now_ms - link.event_ms >= RENEW_QUIET_MS:
            self._renewed_ms = now_ms
            self._renewal = asyncio.create_task(self._beside())

    async def _beside(self) -> Link | Lost:
        """A new session while the old one lives. Its failure is no failure of the line.

        Where less was granted than we ask for, all is asked for again first: somebody may have changed that."""
        memory = self._memory
        rung, self._hoped = (memory.rung if self._hoped else 0), not self._hoped
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
        self._memory = replace(memory, identified=self._memory.identified)
        return Lost(LostKind.SERVER, "not-renewed", "the session could not be renewed")

    async def _switch(self, link: Link, renewed: Link | Lost) -> None:
        """The old link ends; what it still has goes before what the new one has heard."""
        self._renewal = None
        if isinstance(renewed, Lost):
            log.info("qq.not_renewed", account=self._account.id, code=renewed.code, detail=renewed.text)
            return
        link.heir = renewed
        await link.close()
        renewed.news.extendleft(reversed([news for news in link.news if isinstance(news, Deliver)]))
        self._link, self._hoped = renewed, False
        self._memory = replace(self._memory, rung=renewed.talk.rung)
        log.info("qq.session_renewed", account=self._account.id)

    async def _drop_renewal(self) -> None:
        renewal, self._renewal = self._renewal, None
        if renewal is None:
            return
        renewal.cancel()
        await asyncio.wait({renewal})
        if not renewal.cancelled() and isinstance(made := renewal.result(), Link):
            await made.close()
