"""`ports.Sockets` over the simulator's QQ: what a network would have carried, in virtual time.

Frames travel a few milliseconds each way, in order. A muted socket gives no sign: what is put on it is lost, and
nobody tells. A socket whose process dies is gone for the platform as well.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import deque
from typing import Any

from simulation.process import Process
from simulation.virtual import Host
from yizhan.ports import Absence, AbsenceKind, Hangup, Socket
from yizhan_simulator import SimReply, SimRequest, WireKind, World
from yizhan_simulator.qq.side import SocketLine
from yizhan_simulator.qq.socket import HangUp

_BROKEN = {1005, 1006}
_MENTION = re.compile(r"<@!?[^>]*>")


class SimSockets:
    """Opens sockets of one process into a World.

    heard       what people said, in frames that the process has taken, and when
    entered_ms  when it was last told of a new session
    """

    def __init__(
        self,
        world: World,
        host: Host,
        process: Process,
        seed: int,
        latency_ms: tuple[int, int] = (5, 40),
    ) -> None:
        self.opened: list[SimSocket] = []
        self.attempts_ms: list[int] = []
        self.heard: list[tuple[int, str]] = []
        self.entered_ms = 0
        self._world = world
        self._host = host
        self._process = process
        self._random = random.Random(seed)
        self._latency_ms = latency_ms
        self._unlisten = world.listen(self._heard)

    async def open(self, url: str, timeout_ms: int, max_frame_bytes: int) -> Socket | Absence:
        self._process.refuse_the_dead()
        self.attempts_ms.append(self._host.true_ms())
        if words := self._host.knocks(url):
            await self.travel()
            return Absence(AbsenceKind.NOT_SENT, words)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self.travel()
                line = self._world.qq.connect(SimRequest.of("GET", url, {}), self._host.true_ms())
                if isinstance(line, SimReply) and line.wire.kind is WireKind.HANG:
                    await asyncio.Event().wait()
        except TimeoutError:
            return Absence(AbsenceKind.NOT_SENT, "no connection in time")
        if isinstance(line, SimReply):
            return Absence(AbsenceKind.NOT_SENT, f"no WebSocket there (http {line.status})")
        self._process.refuse_the_dead()
        self.opened.append(SimSocket(self, line, self._host))
        return self.opened[-1]

    async def close(self) -> None:
        """What the operating system does when a process has ended."""
        self._unlisten()
        for socket in self.opened:
            await socket.close()

    def taken(self, frame: str) -> None:
        """The process has a frame."""
        told = _event_in(frame)
        if told.get("t") == "READY":
            self.entered_ms = self._host.true_ms()
        body = told.get("d")
        if str(told.get("t")).endswith("MESSAGE_CREATE") and isinstance(body, dict):
            self.heard.append((self._host.true_ms(), _MENTION.sub("", str(body.get("content", ""))).strip()))

    def alive(self) -> int:
        """How many sockets our side has not closed."""
        return sum(not socket.closed for socket in self.opened)

    async def travel(self) -> None:
        await asyncio.sleep(self._random.randint(*self._latency_ms) / 1000)

    def _heard(self, key: str) -> None:
        for socket in self.opened:
            if key in (socket.line.key, "*"):
                socket.moved.set()


class SimSocket:
    """`ports.Socket`."""

    def __init__(self, sockets: SimSockets, line: SocketLine, host: Host) -> None:
        self.line = line
        self.moved = asyncio.Event()
        self.closed = False
        self._sockets = sockets
        self._host = host
        self._waiting: deque[str | Hangup] = deque()
        self._end: Hangup | None = None

    async def send(self, text: str) -> None:
        await self._sockets.travel()
        if not self.closed and self._end is None:
            self.line.deliver(text, self._host.true_ms())

    async def receive(self) -> str | bytes | Hangup:
        while True:
            self._take()
            if self._waiting:
                await self._sockets.travel()
                came = self._waiting.popleft()
                self._sockets.taken(str(came))
                return came
            if self._end is not None:
                return self._end
            self.moved.clear()
            await self.moved.wait()

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.line.hang_up(self._host.true_ms())
            self._end = self._end or Hangup(None, "closed here")
            self.moved.set()

    def _take(self) -> None:
        for outgoing in [] if self.closed else self.line.take():
            if isinstance(outgoing, HangUp):
                code = None if outgoing.code in _BROKEN else outgoing.code
                self._end = Hangup(code, outgoing.reason)
            else:
                self._waiting.append(outgoing.text)


def _event_in(frame: str) -> dict[str, Any]:
    """The event in a frame; empty where there is none."""
    try:
        told = json.loads(frame)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) and told.get("op") == 0 else {}
