"""`ports.Http` over the simulator's pure core: what a socket would have carried, in virtual time.

What has left may arrive although nobody waits for the answer any more: a request that is cut off on its way, by a
time-out or by the death of its process, reaches the platform or does not, as the seed decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random

from simulation.process import Process
from simulation.virtual import Host
from yizhan.ports import Absence, AbsenceKind, Answer, Reply, Request
from yizhan_simulator import Hold, SimReply, SimRequest, WireKind, World

_UNREADABLE = {
    WireKind.RESET: "connection reset by the server",
    WireKind.CUT: "the reply ended in the middle",
    WireKind.WRONG_LENGTH: "the reply did not have the announced length",
    WireKind.DRIP: "the reply came too slowly",
}


class SimHttp:
    """Carries the requests of one process into a World. Each way takes a few milliseconds, drawn from the seed.

    read      texts of the inbound messages in replies that the process has read to their end
    unproven  of these, by login: those of the last reply, until the process polls again; a process that dies
              before may not have come to keep them
    """

    def __init__(
        self,
        world: World,
        host: Host,
        process: Process,
        seed: int,
        latency_ms: tuple[int, int] = (5, 60),
    ) -> None:
        self.world = world
        self.read: list[str] = []
        self.unproven: dict[str, list[str]] = {}
        self._host = host
        self._process = process
        self._random = random.Random(seed)
        self._latency_ms = latency_ms
        self._waiting: dict[str, dict[asyncio.Event, None]] = {}
        self._planned = asyncio.Event()
        self._unlisten = world.listen(self._heard)
        self._keeper = asyncio.create_task(self._keep_time())

    async def call(self, request: Request) -> Reply:
        self._process.refuse_the_dead()
        if request.call == "getupdates":
            self.unproven.pop(_login(request), None)
        if words := self._host.knocks(request.url):
            await self._travel()
            return Absence(AbsenceKind.NOT_SENT, words)
        try:
            async with asyncio.timeout(request.timeout_ms / 1000):
                reply = await self._carried(request)
        except TimeoutError:
            return Absence(AbsenceKind.NO_ANSWER, f"{request.call}: no answer in {request.timeout_ms} ms")
        self._process.refuse_the_dead()
        if request.call == "getupdates" and isinstance(reply, Answer):
            self.unproven[_login(request)] = texts = _texts_in(reply)
            self.read += texts
        return reply

    async def close(self) -> None:
        self._unlisten()
        self._keeper.cancel()

    async def _carried(self, request: Request) -> Reply:
        asked = SimRequest.of(request.method, request.url, dict(request.headers), request.body)
        try:
            await self._travel()
        except asyncio.CancelledError:
            self._arrive_perhaps(asked)
            raise
        answer = self.world.handle(asked, self._host.true_ms())
        while isinstance(answer, Hold):
            answer = await self._held(answer)
        return await self._delivered(answer)

    def _arrive_perhaps(self, asked: SimRequest) -> None:
        if self._random.random() < 0.5:
            answer = self.world.handle(asked, self._host.true_ms())
            if isinstance(answer, Hold):
                self.world.abandon(answer)

    async def _held(self, hold: Hold) -> SimReply | Hold:
        woken = asyncio.Event()
        self._waiting.setdefault(hold.key, {})[woken] = None
        try:
            async with asyncio.timeout(max(0, hold.until_ms - self._host.true_ms()) / 1000):
                await woken.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self.world.abandon(hold)
            raise
        finally:
            self._waiting.get(hold.key, {}).pop(woken, None)
        return self.world.resume(hold, self._host.true_ms())

    async def _delivered(self, reply: SimReply) -> Reply:
        wire = reply.wire
        if wire.kind is WireKind.REFUSED:
            return Absence(AbsenceKind.NOT_SENT, "connection refused")
        if wire.kind is WireKind.HANG:
            await asyncio.Event().wait()
        await asyncio.sleep(wire.delay_ms / 1000)
        await self._travel()
        if wire.kind in _UNREADABLE:
            return Absence(AbsenceKind.NO_ANSWER, _UNREADABLE[wire.kind])
        return Answer(
            reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.body
        )

    async def _travel(self) -> None:
        await asyncio.sleep(self._random.randint(*self._latency_ms) / 2000)

    def _heard(self, key: str) -> None:
        if key == "agenda":
            self._planned.set()
        keys = list(self._waiting) if key == "*" else [key]
        for each in keys:
            for woken in self._waiting.get(each, ()):
                woken.set()

    async def _keep_time(self) -> None:
        """Lets the world's own events happen when their time comes."""
        while True:
            self._planned.clear()
            next_ms = self.world.next_event_at()
            wait_s = None if next_ms is None else max(1, next_ms - self._host.true_ms()) / 1000
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._planned.wait()
            self.world.advance(self._host.true_ms())


def _login(request: Request) -> str:
    return next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")


def _texts_in(answer: Answer) -> list[str]:
    """What a careful reader finds in a poll's reply; nothing in one that makes no sense."""
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        return []
    messages = told.get("msgs") if isinstance(told, dict) and answer.status == 200 else None
    if not isinstance(messages, list):
        return []
    return [item["text_item"]["text"] for message in messages for item in message["item_list"]]
