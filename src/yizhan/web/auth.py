"""The guard in front of every route: Host, Origin, key or session, scope, size of the body.

One pure ASGI layer, for HTTP and WebSocket alike, so that nothing behind it (routes, mounted pages, their
sockets) can forget a check:

1. **Host** must be a name of ours. A page of a stranger whose name was rebound to 127.0.0.1 says its own name.
2. **Origin**, where a browser sends one, must be our own address. No other page may post or open a socket.
3. **Key or session**, except for what stands in EXEMPT. Routes that do not exist ask for a key as well.
4. **Scope**: the first row of SCOPES that fits; what stands in none needs `admin`.
5. **Size**: an announced body beyond the limit is refused before it is read, a chunked one when it passes it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yizhan.errors import StoreError
from yizhan.settings import Server
from yizhan.web.keys import ALL_SCOPES, NO_SCOPES, KeyRing, key_in
from yizhan.web.problems import TOO_LARGE, BodyTooLarge, Problem, problem_of
from yizhan.web.quotas import Quotas
from yizhan.web.sessions import Sessions, sign_in_page

READ = frozenset({"read", "admin"})
SEND = frozenset({"send", "admin"})
ANY = frozenset({"read", "send", "admin"})
ADMIN = frozenset({"admin"})

SCOPES: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("POST", "/v1/messages", SEND),
    ("GET", "/v1/messages/", ANY),
    ("GET", "/v1/keys", ADMIN),
    ("GET", "/v1/settings", ADMIN),
    ("GET", "/v1/webhooks", ADMIN),
    ("GET", "/v1/accounts/weixin/login/", ADMIN),
    ("GET", "/v1/", READ),
    ("GET", "/metrics", READ),
    ("GET", "/openapi.json", ANY),
)
"""Method, beginning of the path, scopes of which one is needed. The first row that fits decides."""

EXEMPT = re.compile(
    r"/(healthz|readyz|console/login|console/static/.+|webhooks/[^/]+/[^/]+"
    r"|console/_nicegui/[^/]+/(static|libraries|components|esm|resources)/.+)"
)
"""Paths that need neither key nor session: health, signing in, static files, and what brings its own signature."""

BODY_MAX_BYTES = 2 * 1024 * 1024
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_UNAUTHORIZED = Problem(
    "unauthorized",
    401,
    "This needs an API key or a console session.",
    "Send the header Authorization: Bearer KEY; the key lies in the file api-key of the gateway's home.",
    {"WWW-Authenticate": "Bearer"},
)
_FOREIGN_HOST = Problem(
    "forbidden",
    403,
    "The Host header names no address of this gateway.",
    "Use the address that `yizhan run` printed, or add the name to server.allowed_hosts.",
)
_FOREIGN_ORIGIN = Problem(
    "forbidden",
    403,
    "The request comes from a page of another origin.",
    "Call the API from a program, or open the console at the gateway's own address.",
)


@dataclass(slots=True)
class _Headers:
    """The headers that the guard looks at."""

    host: bytes | None = None
    hosts: int = 0
    origin: bytes | None = None
    authorization: bytes | None = None
    cookie: bytes = b""
    length: bytes | None = None
    accept: bytes = b""


def _headers_of(scope: Scope) -> _Headers:
    found = _Headers()
    for name, value in scope["headers"]:
        match name:
            case b"host":
                found.host = value
                found.hosts += 1
            case b"origin":
                found.origin = value
            case b"authorization":
                found.authorization = value
            case b"cookie":
                found.cookie += b";" + value
            case b"content-length":
                found.length = value
            case b"accept":
                found.accept = value
    return found


class HostNames:
    """Which Host headers are ours: loopback, the configured address, and `server.allowed_hosts`.

    A gateway that listens on every address is also reached by its numbers; those cannot be rebound.
    """

    def __init__(self, server: Server) -> None:
        self._names = LOOPBACK_NAMES | {_bare(name) for name in (server.host, *server.allowed_hosts)}
        self._any_number = server.host in ("0.0.0.0", "::")

    def known(self, header: bytes) -> bool:
        name = _bare(header.decode("latin-1"))
        return name in self._names or (self._any_number and _is_address(name)) or _is_loopback(name)


def _bare(host: str) -> str:
    """The name of `name`, `name:port`, `[v6]` or `[v6]:port`, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def same_origin(origin: bytes, host: bytes) -> bool:
    """Whether an Origin names the host that was asked. The scheme is left to proxies that end TLS."""
    scheme, separator, place = origin.lower().partition(b"://")
    port = {b"http": b":80", b"https": b":443"}.get(scheme)
    if not separator or port is None:
        return False
    return place.removesuffix(port) == host.strip().lower().removesuffix(port)


def scopes_needed(method: str, path: str) -> frozenset[str]:
    """Of these scopes a caller must have one."""
    method = "GET" if method == "HEAD" else method
    for known, beginning, scopes in SCOPES:
        if method == known and path.startswith(beginning):
            return scopes
    return ADMIN


class Guard:
    """The layer. `body_max_bytes` bounds what a route may read of a request."""

    def __init__(
        self,
        app: ASGIApp,
        keys: KeyRing,
        sessions: Sessions,
        names: HostNames,
        quotas: Quotas,
        body_max_bytes: int = BODY_MAX_BYTES,
    ) -> None:
        self._app = app
        self._quotas = quotas
        self._keys = keys
        self._sessions = sessions
        self._names = names
        self._body_max_bytes = body_max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = _headers_of(scope)
        problem = await self._problem(scope, headers)
        if problem is not None:
            await _refuse(scope, receive, send, problem, b"text/html" in headers.accept)
            return
        if headers.length is None and scope["type"] == "http":
            receive = _bounded(receive, self._body_max_bytes)
        await self._app(scope, receive, send)

    async def _problem(self, scope: Scope, headers: _Headers) -> Problem | None:
        """Why the request may not pass, or None."""
        if headers.host is None or headers.hosts > 1 or not self._names.known(headers.host):
            return _FOREIGN_HOST
        if headers.origin is not None and not same_origin(headers.origin, headers.host):
            return _FOREIGN_ORIGIN
        is_http = scope["type"] == "http"
        if not (is_http and EXEMPT.fullmatch(scope["path"])):
            try:
                scopes = await self._scopes(headers)
            except StoreError as error:
                return problem_of(error)
            if (too_often := self._too_often(scope, headers, scopes)) is not None:
                return too_often
            needed = scopes_needed(scope["method"] if is_http else "GET", scope["path"])
            if not scopes & needed:
                return _missing(needed) if scopes else _UNAUTHORIZED
        return TOO_LARGE if self._too_large(headers.length) else None

    async def _scopes(self, headers: _Headers) -> frozenset[str]:
        """What the caller may do. A key that is presented decides alone, also when it is wrong."""
        if headers.authorization is not None:
            key = key_in(headers.authorization)
            return NO_SCOPES if key is None else await self._keys.scopes_of(key)
        return ALL_SCOPES if self._sessions.valid(headers.cookie) else NO_SCOPES

    def _too_often(self, scope: Scope, headers: _Headers, scopes: frozenset[str]) -> Problem | None:
        """Nobody counts callers who show nothing: they cost nothing and learn nothing."""
        if headers.authorization is None:
            return None
        if scopes:
            return self._quotas.called(key_in(headers.authorization) or b"")
        client = scope.get("client")
        return self._quotas.failed(client[0] if client else "")

    def _too_large(self, length: bytes | None) -> bool:
        return length is not None and not (length.isdigit() and int(length[:20]) <= self._body_max_bytes)


def _missing(needed: frozenset[str]) -> Problem:
    names = " or ".join(sorted(needed))
    return Problem(
        "forbidden",
        403,
        f"The key lacks the scope for this ({names}).",
        "Use another key, or make one: yizhan key add",
    )


def _bounded(receive: Receive, limit: int) -> Receive:
    """`receive` that counts. Raises BodyTooLarge when more than `limit` bytes have come."""
    came = 0

    async def counted() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > limit:
            raise BodyTooLarge
        return message

    return counted


async def _refuse(scope: Scope, receive: Receive, send: Send, problem: Problem, for_a_person: bool) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    response = sign_in_page(401) if for_a_person and problem.status == 401 else problem.response()
    await response(scope, receive, send)
