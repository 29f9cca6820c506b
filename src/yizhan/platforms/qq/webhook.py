"""The line of one QQ bot whose events are posted to us: no socket, and the same road in.

    called_back ──► waiting ──receive──► the road in commits ──next receive──► answered: op 12
                        └── not within four seconds, or the line ends ──► refused: QQ sends it again

QQ is told that it has been heard when what it said is on disk and no sooner, so that a crash loses nothing. What was
refused for being late stays here and goes in when it can; that it comes again is known by its id.

A quiet webhook says nothing of QQ, so a short question once a minute does: it proves secret, address and bot. While it
is not answered, what is posted is taken all the same; nothing is sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from yizhan.core.connection import Line, Lost, LostKind, NotGranted, Step, step, woken
from yizhan.model import Account, AccountState, ChatId, Reason, ReplyToken
from yizhan.platforms.qq import callbacks, calls
from yizhan.platforms.qq.access import Access
from yizhan.platforms.qq.answers import read
from yizhan.platforms.qq.api import Api, sent, type_in
from yizhan.platforms.qq.buttons import Buttons
from yizhan.platforms.qq.callbacks import NOT_STORED, Challenge, Signet
from yizhan.platforms.qq.events import Event, batch_of, read_event
from yizhan.platforms.qq.frames import Frame, Op
from yizhan.ports import (
    Answer,
    Batch,
    Callback,
    CallbackRefused,
    Chance,
    Clock,
    Http,
    Lacking,
    Reply,
    Request,
)

ASK_MS = 60_000
"""QQ is asked whether it knows us after so long without a word."""
STORE_S = 4.0
"""How long QQ is kept waiting. Its patience is not documented; five seconds are what other receivers count on."""
BATCH_MAX = 200
WAITING_MAX = 1_000
WAITING_MAX_BYTES = 16 * 1024 * 1024
UNKNOWN = Step(Line(), AccountState.DEGRADED, 0, Reason("asking", "QQ has not said yet whether it knows us"))


@dataclass(frozen=True, slots=True)
class Post:
    """An event on its way to the store. `stored` becomes True, or False if it may not be."""

    event: Event
    stored: asyncio.Future[bool]


class QqWebhook:
    """`ports.Transport` for a QQ bot with a webhook."""

    def __init__(
        self,
        account: Account,
        http: Http,
        access: Access,
        clock: Clock,
        chance: Chance,
        *,
        typing: bool = False,
    ) -> None:
        self._typing = typing
        self._account = account
        self._api = Api(http, access, clock)
        self._clock = clock
        self._signet = Signet(account.credentials.secret)
        self._waiting: dict[bytes, Post] = {}
        self._waiting_bytes = 0
        self._handed: list[Post] = []
        self._changed = asyncio.Event()
        self._buttons = Buttons(account, self._api)
        self._chance = chance
        self._line = Line()
        self._after: Step | None = UNKNOWN
        self._asking: asyncio.Task[Lost | None] | None = None
        self._ask_ms = 0

    @property
    def not_granted(self) -> NotGranted | None:
        """Which events are posted is chosen in QQ's console, and told to nobody."""
        return None

    async def open(self) -> None:
        """The address stands in QQ's console."""

    async def receive(self, cursor: str, hold_ms: int) -> Batch | Lost:
        """What was posted. `cursor` says nothing here: QQ remembers what it was not answered."""
        self._answer_handed(True)
        while True:
            answer = self._asked()
            if answer is not None:
                return answer
            if self._waiting:
                return self._take()
            await self._wait()

    def look(self) -> None:
        """What QQ thought of us before the host slept is old."""
        self._ask_ms, self._line = 0, woken(self._line, self._clock.now_ms())
        self._changed.set()

    async def called_back(self, callback: Callback) -> Answer | CallbackRefused:
        said = callbacks.read_callback(callback, self._signet, self._clock.now_ms())
        match said:
            case CallbackRefused():
                return said
            case Challenge():
                return callbacks.proof(said, self._signet)
            case Frame(op=Op.HEARTBEAT):
                return callbacks.alive()
            case Frame():
                return await self._heard(said, callback.body)

    async def send(self, request: Request) -> Reply:
        return sent(await self._api.call(request))

    async def typing(self, chat: ChatId, token: ReplyToken | None, on: bool) -> None:
        """As with a socket."""
        if self._typing and on:
            await type_in(self._account, self._api, chat, token, self._clock.now_ms())

    async def close(self, announce: bool) -> Batch | None:
        """What is not stored by now is refused, and told again by QQ."""
        self._answer_handed(False)
        for post in self._waiting.values():
            post.stored.set_result(False)
        self._waiting.clear()
        self._waiting_bytes = 0
        asking, self._asking, self._ask_ms = self._asking, None, 0
        if asking is not None:
            asking.cancel()
        self._buttons.close()
        return None

    # what QQ posts

    async def _heard(self, frame: Frame, body: bytes) -> Answer | CallbackRefused:
        event = read_event(frame) if frame.op == Op.DISPATCH else None
        if event is None:
            return callbacks.taken()
        self._buttons.heard(event)
        post = self._keep(body, event)
        if post is None:
            return NOT_STORED
        await asyncio.wait({post.stored}, timeout=STORE_S)
        return callbacks.taken() if post.stored.done() and post.stored.result() else NOT_STORED

    def _keep(self, body: bytes, event: Event) -> Post | None:
        """The same body again, before the first is stored, is the same post. None: there is no room."""
        if (known := self._waiting.get(body)) is not None:
            return known
        if len(self._waiting) >= WAITING_MAX or self._waiting_bytes + len(body) > WAITING_MAX_BYTES:
            return None
        post = self._waiting[body] = Post(event, asyncio.get_running_loop().create_future())
        self._waiting_bytes += len(body)
        self._changed.set()
        return post

    def _take(self) -> Batch:
        for body in list(self._waiting)[:BATCH_MAX]:
            self._handed.append(self._waiting.pop(body))
            self._waiting_bytes -= len(body)
        return replace(batch_of(post.event for post in self._handed), lacking=self._lacking())

    def _answer_handed(self, stored: bool) -> None:
        for post in self._handed:
            post.stored.set_result(stored)
        self._handed = []

    # whether QQ knows us

    def _asked(self) -> Batch | Lost | None:
        """What the question under way has brought; None while there is no answer yet. QQ may reach us while we do not
        reach QQ, so only a ban ends the line: whatever else failed is asked again, and what is posted is taken."""
        if self._asking is None and self._clock.now_ms() >= self._ask_ms:
            self._asking = asyncio.create_task(self._ask())
        if self._asking is None or not self._asking.done():
            return None
        asking, self._asking = self._asking, None
        lost, now_ms = asking.result(), self._clock.now_ms()
        if lost is None:
            self._line, self._after, self._ask_ms = Line(), None, now_ms + ASK_MS
            return Batch(())
        self._after = step(self._line, lost, now_ms, self._chance.jitter())
        self._line, self._ask_ms = self._after.line, now_ms + self._after.wait_ms
        if lost.kind is LostKind.BARRED:
            self._ask_ms = now_ms
            return lost
        return Batch((), lacking=self._lacking(attempted=True))

    async def _ask(self) -> Lost | None:
        """Asks who we are."""
        reply = await self._api.call(calls.myself(self._account))
        answer = reply if isinstance(reply, Lost) else read(reply)
        return answer if isinstance(answer, Lost) else None

    def _lacking(self, attempted: bool = False) -> Lacking | None:
        """Our own calls, where they fail."""
        due_ms = self._ask_ms if self._asking is None else None
        return Lacking(self._after, due_ms, attempted, speaks=False) if self._after else None

    async def _wait(self) -> None:
        """Until something was posted, QQ has answered, or it is time to ask."""
        self._changed.clear()
        changed = asyncio.create_task(self._changed.wait())
        waits: set[asyncio.Task[Any]] = {changed} if self._asking is None else {changed, self._asking}
        due_s = max(0, self._ask_ms - self._clock.now_ms()) / 1_000 if self._asking is None else None
        try:
            await asyncio.wait(waits, timeout=due_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
