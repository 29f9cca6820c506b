"""One socket to QQ's gateway, alive: it reads, beats and keeps what it hears until somebody takes it.

The decisions are in `line.py`; here they are carried out. Reading never waits for anything but the socket, so
that a busy store does not look like a dead server; what is heard meanwhile is kept up to a bound, and beyond it
the connection is given up, to be resumed from what was stored.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import assert_never

from yizhan.platforms.fields import Odd
from yizhan.platforms.qq import closes, frames
from yizhan.platforms.qq import line as lines
from yizhan.platforms.qq.intents import LADDER
from yizhan.platforms.qq.line import (
    Action,
    Alive,
    Deliver,
    Entered,
    Part,
    SayHeartbeat,
    SayIdentify,
    SayResume,
)
from yizhan.platforms.qq.session import Session
from yizhan.ports import Clock, Hangup, Socket

NEWS_MAX = 5_000
STARVED_MS = 1_000
GRACE_S = 0.25
"""A timer that fires so late means that this process did not run; what has come meanwhile is read first."""

News = Deliver | Entered | Alive


class Link:
    """A connection from its open socket to its end.

    Args:  token     what it opens with
           shard     which part of the bot's guilds it hears: number, and of how many
           rung      which events a new session is asked for with
           resumes   the session to come back to; None: a new one
           on_event  told of every event as it comes, before it is stored
    """

    def __init__(
        self,
        socket: Socket,
        clock: Clock,
        token: str,
        shard: tuple[int, int],
        rung: int,
        resumes: Session | None,
        on_event: Callable[[Deliver], None],
    ) -> None:
        self.token = token
        self.shard = shard
        self.news: deque[News] = deque()
        self.over: Part | None = None
        self.fault: BaseException | None = None
        self.changed = asyncio.Event()
        self.talk = lines.opened(resumes, clock.now_ms(), rung)
        self.event_ms = clock.now_ms()
        self.sign_ms = 0
        self.heir: Link | None = None
        """The link that was in before this one was closed for it."""
        self._socket = socket
        self._clock = clock
        self._on_event = on_event
        self._woken = asyncio.Event()
        self._signed = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    @property
    def up(self) -> bool:
        return self.over is None and self.talk.phase is lines.Phase.UP

    def look(self) -> None:
        """The host has slept."""
        self._woken.set()

    def ask(self, since_ms: int) -> None:
        """Asks for a sign of life, unless one came since then or is being waited for."""
        if self.up and self.sign_ms < since_ms and self.talk.probe_ms is None:
            self._woken.set()

    async def vouches(self, since_ms: int) -> bool:
        """Whether the server has shown since then that it sees us, and still does; waits for a sign, or for the end."""
        while self.up and self.sign_ms < since_ms:
            self._signed.clear()
            await self._signed.wait()
        if self.up:
            return True
        return self.heir is not None and await self.heir.vouches(since_ms)

    async def entered(self) -> bool:
        """Waits until we are in; False if it ended before."""
        while not self.up and self.over is None:
            self.changed.clear()
            await self.changed.wait()
        return self.up

    async def close(self) -> None:
        """Ends the socket, within a moment."""
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._socket.close()
        self._end(Part("left", closes.LEFT))

    async def _run(self) -> None:
        receiving = asyncio.create_task(self._socket.receive())
        waking = asyncio.create_task(self._woken.wait())
        try:
            while self.over is None:
                await self._wait(receiving, waking)
                if receiving.done():
                    await self._take(receiving.result())
                    receiving = asyncio.create_task(self._socket.receive())
                elif waking.done():
                    self._woken.clear()
                    waking = asyncio.create_task(self._woken.wait())
                    await self._do(lines.woken(self.talk, self._clock.now_ms()))
                else:
                    await self._do(lines.ticked(self.talk, self._clock.now_ms()))
        finally:
            receiving.cancel()
            waking.cancel()

    async def _wait(self, receiving: asyncio.Task[str | bytes | Hangup], waking: asyncio.Task[bool]) -> None:
        due_ms = lines.next_ms(self.talk)
        wait_s = max(0, due_ms - self._clock.now_ms()) / 1_000
        done, _ = await asyncio.wait({receiving, waking}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if not done and self._clock.now_ms() - due_ms > STARVED_MS:
            await asyncio.wait({receiving}, timeout=GRACE_S)

    async def _take(self, received: str | bytes | Hangup) -> None:
        if isinstance(received, Hangup):
            self._end(lines.closed(self.talk, received.code))
            return
        self.sign_ms = self._clock.now_ms()
        self._signed.set()
        frame = frames.read_frame(received)
        if not isinstance(frame, Odd):  # what nobody can read changes nothing
            await self._do(lines.heard(self.talk, frame, self._clock.now_ms()))

    async def _do(self, said: lines.Said) -> None:
        self.talk, actions = said
        for action in actions:
            await self._act(action)

    async def _act(self, action: Action) -> None:
        match action:
            case SayIdentify():
                await self._socket.send(frames.identify(self.token, LADDER[self.talk.rung], self.shard))
            case SayResume(session):
                await self._socket.send(frames.resume(self.token, session.id, session.seq))
            case SayHeartbeat(seq):
                await self._socket.send(frames.heartbeat(seq))
            case Deliver():
                self.event_ms = self._clock.now_ms()
                self._on_event(action)
                self._keep(action)
            case Entered() | Alive():
                self._keep(action)
            case Part():
                self._end(action)
            case _:
                assert_never(action)

    def _keep(self, news: News) -> None:
        if len(self.news) >= NEWS_MAX:
            self._end(Part("full", closes.FULL))
            return
        self.news.append(news)
        self.changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whatever broke in here is told to whoever waits: a line without a reader is deaf."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fault = error
            self._end(Part("fault", closes.ending_of(None)))

    def _end(self, part: Part) -> None:
        self.over = self.over or part
        self.changed.set()
        self._signed.set()
