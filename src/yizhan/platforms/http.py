"""Requests to platforms over aiohttp. One session for all accounts; what comes back is a value, never an error.

Two questions are answered here and nowhere else, because everything after depends on them:

- *Did the request leave?* A reply can be missing for two reasons. Name resolution, connection or TLS failed:
  then no byte of the request left, and trying again costs nothing and doubles nothing (`NOT_SENT`).
  Or the connection stood when it happened: then the request may have been carried out (`NO_ANSWER`). The
  line between both is the moment the connector hands out a connection; in doubt it is `NO_ANSWER`.
- *Was the answer read to its end, within bounds?* A body that breaks off, that is larger than the request
  allows (before or after decompression), or that is encoded in a way nobody asked for is no answer.

What it never does: follow a redirect, keep a cookie, read a proxy or a password from the environment, try a
POST again, write a URL or a header into a text.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import zlib
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from yizhan import __version__
from yizhan.ports import Absence, AbsenceKind, Answer, Reply, Request

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

CONNECT_TIMEOUT_MS = 5_000
"""Name resolution, connection and TLS together; a shorter time-out of the request wins."""
IDLE_CONNECTION_S = 15.0
"""An unused connection is closed after this long: sooner than servers do it, for a request that crosses with
the server's closing is in doubt."""
PROBE_IDLE_S, PROBE_EVERY_S, PROBES = 30, 10, 3
"""TCP keep-alive. A long poll whose path has died in silence ends after about a minute."""

LAST_MOMENT_S = 0.5
"""The end of a time-out, counted only from when its beginning is noticed (`_Deadline`)."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PLAIN = frozenset({"", "identity"})
_ZIPPED = frozenset({"gzip", "x-gzip", "deflate"})


@dataclass(slots=True)
class _Progress:
    """How far a call has come. `connected`: bytes of it may have left."""

    connected: bool = False


_progress: ContextVar[_Progress] = ContextVar("yizhan_http_progress")


class _Unreadable(Exception):
    """The answer came and is not one that we read; the text says why."""


class _Connector(aiohttp.TCPConnector):
    """Notes the moment from which on a request may be on the wire."""

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        _progress.get().connected = True
        return connection


class AiohttpHttp:
    """`ports.Http` over one aiohttp session, made at the first call in the loop of that call.

    Args:  proxy               URL of an HTTP proxy for every request, None for direct connections
           connect_timeout_ms  bound of name resolution + connection + TLS
           tls                 a TLS context in place of the default one (system certificates)
           socket_for          makes the sockets, or refuses an address by an OSError that has a reason
    """

    def __init__(
        self,
        *,
        proxy: str | None = None,
        connect_timeout_ms: int = CONNECT_TIMEOUT_MS,
        tls: ssl.SSLContext | None = None,
        socket_for: Callable[[aiohttp.AddrInfoType], socket.socket] | None = None,
    ) -> None:
        self._proxy = proxy
        self._connect_timeout_ms = connect_timeout_ms
        self._tls = tls
        self._socket_for = socket_for or lasting_socket
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def call(self, request: Request) -> Reply:
        """Carries the request there and the answer back. Header names of the answer are in lower case.

        Raises:  nothing but CancelledError.
        """
        refusal = self._unsendable(request)
        if refusal:
            return Absence(AbsenceKind.NOT_SENT, refusal)
        progress = _Progress()
        _progress.set(progress)
        try:
            async with asyncio.timeout(None) as limit:
                deadline = _Deadline(limit, request.timeout_ms / 1_000)
                try:
                    return await self._exchange(request)
                finally:
                    deadline.cancel()
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError, _Unreadable) as error:
            kind = AbsenceKind.NO_ANSWER if progress.connected else AbsenceKind.NOT_SENT
            return Absence(
                kind, f"{host_of(request.url)}: {words_of(error, request.timeout_ms, progress.connected)}"
            )

    async def close(self) -> None:
        """Ends every connection; calls that still run or come later end as Absence."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _unsendable(self, request: Request) -> str:
        """Why nobody could send this; empty if one can."""
        if self._closed:
            return "this gateway is stopping"
        for name, value in request.headers.items():
            if _CONTROL.search(value):
                return (
                    f"the value for the header {name} contains control characters; check the account's secret"
                )
        return ""

    async def _exchange(self, request: Request) -> Answer:
        session = self._session or self._open()
        async with session.request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body or None,
            headers=request.headers,
            allow_redirects=False,
            timeout=_connecting(min(self._connect_timeout_ms, request.timeout_ms)),
            proxy=self._proxy,
        ) as response:
            try:
                body = await _read(response, request.max_reply_bytes)
            except _Unreadable:
                response.close()
                raise
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, _decompressed(headers, body, request.max_reply_bytes))

    def _open(self) -> aiohttp.ClientSession:
        tls: dict[str, Any] = {"ssl": self._tls} if self._tls is not None else {}
        connector = _Connector(
            limit=0,  # a long poll per account: a limit would make sends wait for polls
            ttl_dns_cache=30,
            keepalive_timeout=IDLE_CONNECTION_S,
            socket_factory=self._socket_for,
            **tls,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": f"Yizhan/{__version__}", "Accept-Encoding": "identity"},
        )
        return self._session


@lru_cache(maxsize=256)
def _connecting(connect_ms: int) -> aiohttp.ClientTimeout:
    """The library's share of the time-outs; the whole call's is `_Deadline`."""
    return aiohttp.ClientTimeout(total=None, connect=connect_ms / 1000)


class _Deadline:
    """Ends a call at its time, by two timers: the second, for the last moment, is set when the first has fired.

    A process that was frozen with its machine, or starved, wakes up with its time-outs over and an answer unread on
    the socket. One timer would throw that answer away: a poll's, with all its messages. Two leave time to read it.
    """

    def __init__(self, limit: asyncio.Timeout, timeout_s: float) -> None:
        self._limit = limit
        self._last_s = min(LAST_MOMENT_S, timeout_s / 2)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(timeout_s - self._last_s, self._nearly)

    def cancel(self) -> None:
        self._timer.cancel()

    def _nearly(self) -> None:
        self._timer = self._loop.call_later(self._last_s, self._limit.reschedule, 0)


def lasting_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A TCP socket that notices a dead path."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (("TCP_KEEPIDLE", PROBE_IDLE_S), ("TCP_KEEPINTVL", PROBE_EVERY_S), ("TCP_KEEPCNT", PROBES))
    for name, value in options:
        if hasattr(socket, name):  # macOS lacks some of them in older Pythons
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


async def _read(response: aiohttp.ClientResponse, bound: int) -> bytes:
    """The body as it came, at most `bound` bytes. Raises _Unreadable for more, before reading it."""
    if (response.content_length or 0) > bound:
        raise _Unreadable(f"announces {response.content_length} bytes, more than the {bound} that we read")
    chunks: list[bytes] = []
    size = 0
    while chunk := await response.content.readany():
        size += len(chunk)
        if size > bound:
            raise _Unreadable(f"sends more than the {bound} bytes that we read")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _decompressed(headers: dict[str, str], body: bytes, bound: int) -> bytes:
    """The body in clear, at most `bound` bytes. Raises _Unreadable for bombs, broken and unknown encodings."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in _PLAIN or not body:
        return body
    if encoding not in _ZIPPED:
        raise _Unreadable("the answer is compressed in a way that we did not ask for")
    # 47: gzip or zlib, told apart by their first bytes; -15: the bare deflate that some servers send.
    bare = encoding == "deflate" and body[0] & 0x0F != 8
    inflater = zlib.decompressobj(-15 if bare else 47)
    try:
        plain = inflater.decompress(body, bound + 1)
    except zlib.error:
        raise _Unreadable("the compressed answer is damaged") from None
    if len(plain) > bound:
        raise _Unreadable(f"unpacks to more than the {bound} bytes that we read")
    if not inflater.eof:
        raise _Unreadable("the compressed answer breaks off")
    if inflater.unused_data:
        raise _Unreadable("the compressed answer goes on after its end")
    return plain


def host_of(url: str) -> str:
    """Host and port of a URL, nothing else of it."""
    try:
        parsed = URL(url, encoded=True)
        host = parsed.host or "no host"
        return f"{host}:{parsed.port}" if parsed.explicit_port else host
    except ValueError:
        return "not an address"


def words_of(error: BaseException, timeout_ms: int, connected: bool) -> str:
    """The error for people. Built from its kind: the libraries' own texts carry URLs."""
    match error:
        case _Unreadable():
            return str(error)
        case aiohttp.ConnectionTimeoutError():
            return "no connection in time"
        case aiohttp.ClientConnectorDNSError():
            return "the name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate is not accepted ({_certificate_fault(error.certificate_error)})"
        case aiohttp.ClientSSLError():
            return "the TLS handshake failed"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refused (http {error.status})"
        case aiohttp.InvalidURL():
            return "not an http or https address"
        case aiohttp.ClientPayloadError():
            return "the answer broke off"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.ClientResponseError():
            return "the answer is not HTTP"
        case aiohttp.ClientConnectorError() if _is_ours(error.os_error):
            return f"the address may not be called: {error.os_error}"
        case TimeoutError() if error.errno is None:
            return f"no {'answer' if connected else 'connection'} within {timeout_ms / 1000:g} s"
        case OSError():
            return os.strerror(error.errno).lower() if error.errno else "the connection failed"
        case _:
            return f"the request failed ({type(error).__name__})"


def _is_ours(error: OSError) -> bool:
    """Whether it was raised where sockets are made: the system's own have numbers."""
    return type(error) is not OSError and error.errno is None and bool(str(error))


def _certificate_fault(error: BaseException) -> str:
    return (
        error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else "it is not the server's"
    )
