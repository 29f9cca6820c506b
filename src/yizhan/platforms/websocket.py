"""WebSockets to platforms over aiohttp: frames of a bounded size, an end that is a value, a close that ends.

What it never does: send pings of its own (a platform's heartbeat is its own matter, and an unanswered ping says
no more than that), read a proxy from the environment, wait for a goodbye that does not come.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp

from yizhan import __version__
from yizhan.platforms.http import host_of, lasting_socket, words_of
from yizhan.ports import Absence, AbsenceKind, Hangup, Socket

CLOSE_S = 1.0
"""For the other side's goodbye."""
SEND_S = 5.0
"""A socket that takes nothing for so long is over; its reader will find out."""


class AiohttpSockets:
    """`ports.Sockets` over one aiohttp session, made at the first use in its loop.

    Args:  proxy  URL of an HTTP proxy, None for direct connections
           tls    a TLS context in place of the default one
    """

    def __init__(self, *, proxy: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._proxy = proxy
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def open(self, url: str, timeout_ms: int, max_frame_bytes: int) -> Socket | Absence:
        """Connects. Raises nothing but CancelledError."""
        if self._closed:
            return Absence(AbsenceKind.NOT_SENT, "this gateway is stopping")
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                made = await self._made().ws_connect(
                    url,
                    max_msg_size=max_frame_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                    proxy=self._proxy,
                    compress=0,
                )
        except aiohttp.WSServerHandshakeError as error:
            return Absence(AbsenceKind.NOT_SENT, f"{host_of(url)}: no WebSocket there (http {error.status})")
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            return Absence(AbsenceKind.NOT_SENT, f"{host_of(url)}: {words_of(error, timeout_ms, False)}")
        return AiohttpSocket(made)

    async def close(self) -> None:
        """Ends every socket."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _made(self) -> aiohttp.ClientSession:
        if self._session is None:
            tls: dict[str, Any] = {"ssl": self._tls} if self._tls is not None else {}
            connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=30, socket_factory=lasting_socket, **tls)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                headers={"User-Agent": f"Yizhan/{__version__}"},
            )
        return self._session


class AiohttpSocket:
    """`ports.Socket`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._hangup: Hangup | None = None

    async def send(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError, RuntimeError):
            pass  # the reader tells the end, and how it came

    async def receive(self) -> str | bytes | Hangup:
        if self._hangup is not None:
            return self._hangup
        try:
            message = await self._socket.receive()
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            self._hangup = Hangup(None, words_of(error, 0, True))
            return self._hangup
        match message.type:
            case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                return message.data  # type: ignore[no-any-return]  # str or bytes, by its type
            case aiohttp.WSMsgType.CLOSE:
                self._hangup = Hangup(_code(message.data), "closed by the server")
            case aiohttp.WSMsgType.ERROR:
                self._hangup = Hangup(None, "the server broke the protocol, or sent too large a frame")
            case _:
                self._hangup = Hangup(_code(self._socket.close_code), "the connection ended")
        return self._hangup

    async def close(self) -> None:
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                await self._socket.close()
        except (aiohttp.ClientError, OSError, RuntimeError):
            pass  # it is over, one way or another


def _code(told: object) -> int | None:
    """The code of a close; 1006 and silence mean that the connection broke."""
    return told if type(told) is int and told not in (0, 1006) else None
