"""`ports.Http` over the simulator's pure core: what a socket would have carried, in virtual time."""

from __future__ import annotations

import asyncio
import random

from yizhan.ports import Absence, AbsenceKind, Answer, Clock, Reply, Request
from yizhan_simulator import Hold, SimReply, SimRequest, WireKind, World

_UNREADABLE = {
    WireKind.RESET: "connection reset by the server",
    WireKind.CUT: "the reply ended in the middle",
    WireKind.WRONG_LENGTH: "the reply did not have the announced length",
    WireKind.DRIP: "the reply came too slowly",
}


class SimHttp:
    """Carries requests into a World. Each way takes a few milliseconds, drawn from the seed."""

    def __init__(self, world: World, clock: Clock, seed: int, latency_ms: tuple[int, int] = (5, 60)) -> None:
        self.world = world
        self._clock = clock
        self._random = random.Random(seed)
        self._latency_ms = latency_ms
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._unlisten = world.listen(self._heard)

    async def call(self, request: Request) -> Reply:
        try:
            async with asyncio.timeout(request.timeout_ms / 1000):
                return await self._carried(request)
        except TimeoutError:
            return Absence(AbsenceKind.NO_ANSWER, f"{request.call}: no answer in {request.timeout_ms} ms")

    async def close(self) -> None:
        self._unlisten()
        if self._keeper is not None:
            self._keeper.cancel()

    async def _carried(self, request: Request) -> Reply:
        self._keeper = self._keeper or asyncio.create_task(self._keep_time())
        await self._travel()
        asked = SimRequest.of(request.method, request.url, dict(request.headers), request.body)
        answer = self.world.handle(asked, self._clock.now_ms())
        while isinstance(answer, Hold):
            answer = await self._held(answer)
        return await self._delivered(answer)

    async def _held(self, hold: Hold) -> SimReply | Hold:
        woken = asyncio.Event()
        self._waiting.setdefault(hold.key, set()).add(woken)
        try:
            async with asyncio.timeout(max(0, hold.until_ms - self._clock.now_ms()) / 1000):
                await woken.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self.world.abandon(hold)
            raise
        finally:
            self._waiting.get(hold.key, set()).discard(woken)
        return self.world.resume(hold, self._clock.now_ms())

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
        keys = list(self._waiting) if key == "*" else [key]
        for each in keys:
            for woken in self._waiting.get(each, ()):
                woken.set()

    async def _keep_time(self) -> None:
        """Lets the world's own events happen when their time comes."""
        while True:
            next_ms = self.world.next_event_at()
            now_ms = self._clock.now_ms()
            wait_ms = 250 if next_ms is None else min(250, max(1, next_ms - now_ms))
            await asyncio.sleep(wait_ms / 1000)
            self.world.advance(self._clock.now_ms())
