"""Carries frames between real sockets and the world, and postings to webhooks. It decides nothing."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
from aiohttp import WSMsgType, web

from yizhan_simulator import line
from yizhan_simulator.clock import Clock
from yizhan_simulator.line import Sleep
from yizhan_simulator.qq import routes, webhook
from yizhan_simulator.qq.posting import Posting
from yizhan_simulator.qq.side import QqSide, SocketLine
from yizhan_simulator.qq.socket import HangUp, Outgoing, Text
from yizhan_simulator.wire import SimReply, SimRequest

_FOREVER_MS = 3_600_000
_MAX_FRAME_BYTES = 4 << 20


class Carrier:
    def __init__(self, side: QqSide, clock: Clock, sleep: Sleep) -> None:
        self._side, self._clock, self._sleep = side, clock, sleep
        self._moved: dict[str, asyncio.Event] = {}
        self._posting: set[asyncio.Task[None]] = set()
        self._client: aiohttp.ClientSession | None = None

    def heard(self, key: str) -> None:
        """For `World.listen`."""
        if key == webhook.KEY:
            for posting in self._side.postings():
                task = asyncio.get_running_loop().create_task(self._post(posting))
                self._posting.add(task)
                task.add_done_callback(self._posting.discard)
        elif (moved := self._moved.get(key)) is not None:
            moved.set()

    async def stop(self) -> None:
        for task in list(self._posting):
            task.cancel()
        await asyncio.gather(*self._posting, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    # Sockets.

    @staticmethod
    def wanted(request: web.BaseRequest) -> bool:
        found = routes.found(request.method, request.path)
        upgrade = request.headers.get("upgrade", "").lower() == "websocket"
        return upgrade and found is not None and found[0] == routes.SOCKET

    async def carry(self, request: web.BaseRequest) -> web.StreamResponse:
        """One WebSocket from its upgrade to its end."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = SimRequest(request.method, request.path, request.query, headers, b"")
        opened = self._side.connect(asked, self._clock.now_ms())
        if isinstance(opened, SimReply):
            return await line.send(request, opened, self._sleep)
        self._moved[opened.key] = asyncio.Event()
        try:
            return await self._carry(request, opened)
        finally:
            del self._moved[opened.key]
            opened.hang_up(self._clock.now_ms())

    async def _carry(self, request: web.BaseRequest, opened: SocketLine) -> web.StreamResponse:
        ws = web.WebSocketResponse(
            timeout=1, autoping=False, autoclose=False, compress=False, max_msg_size=_MAX_FRAME_BYTES
        )
        await ws.prepare(request)
        writing = asyncio.create_task(self._write(request, ws, opened))
        try:
            await self._read(ws, opened)
            if opened.muted:
                await self._sleep(_FOREVER_MS)
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writing
        await ws.close()
        return ws

    async def _read(self, ws: web.WebSocketResponse, opened: SocketLine) -> None:
        async for message in ws:
            if message.type is WSMsgType.PING and not opened.muted:
                await ws.pong(message.data)
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                text = (
                    message.data if isinstance(message.data, str) else message.data.decode(errors="replace")
                )
                opened.deliver(text, self._clock.now_ms())

    async def _write(self, request: web.BaseRequest, ws: web.WebSocketResponse, opened: SocketLine) -> None:
        moved = self._moved[opened.key]
        while True:
            moved.clear()
            for outgoing in opened.take():
                if await _put(request, ws, outgoing):
                    return
            await moved.wait()

    # Webhooks.

    async def _post(self, posting: Posting) -> None:
        if self._client is None:
            self._client = aiohttp.ClientSession()
        status, body = None, b""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with (
                asyncio.timeout(posting.timeout_ms / 1000),
                self._client.post(posting.url, data=posting.body, headers=posting.headers) as response,
            ):
                status, body = response.status, await response.content.read(1 << 16)
        self._side.posted(posting, status, body, self._clock.now_ms())


async def _put(request: web.BaseRequest, ws: web.WebSocketResponse, outgoing: Outgoing) -> bool:
    """Says whether that was the end."""
    match outgoing:
        case Text(text):
            await ws.send_str(text)
            return False
        case HangUp(1005, _):
            if isinstance(request.transport, asyncio.WriteTransport):
                request.transport.write(b"\x88\x00")
            await ws.close()
        case HangUp(1006, _):
            line.reset(request.transport)
        case HangUp(code, reason):
            await ws.close(code=code, message=reason.encode())
    return True
