"""What goes over the line: a request as the simulator sees it, and what its driver must do with the answer.

The core never touches a socket. It says *what* shall happen on the line (`Wire`), a driver does it: the real
server in `server.py`, or a test that runs everything in virtual time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json"}


class WireKind(StrEnum):
    """How the answer travels. Whether the request took *effect* is decided before, and stands in the ledger."""

    NORMAL = "normal"
    REFUSED = "refused"
    """No connection: the request never arrived."""
    RESET = "reset"
    """The connection is reset (RST) instead of an answer."""
    HANG = "hang"
    """Accepted, and never answered."""
    CUT = "cut"
    """Full length announced, half of the body sent, then the connection closes."""
    DRIP = "drip"
    """`chunk` bytes every `every_ms`."""
    WRONG_LENGTH = "wrong_length"
    """`announced` bytes promised, the body sent, then silence."""


@dataclass(frozen=True, slots=True)
class Wire:
    kind: WireKind = WireKind.NORMAL
    delay_ms: int = 0
    """Time before the first byte; the effect, if any, has already happened."""
    chunk: int = 1
    every_ms: int = 1000
    announced: int = 0


PLAIN = Wire()


@dataclass(frozen=True, slots=True)
class SimRequest:
    """One HTTP request. Header names are lower-case; `path` is without the query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @classmethod
    def of(
        cls, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> SimRequest:
        """From a whole URL (or a path), with any spelling of header names. Adds `host` if it is missing."""
        parts = urlsplit(url)
        folded = {name.lower(): value for name, value in (headers or {}).items()}
        if parts.netloc:
            folded.setdefault("host", parts.netloc)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(method.upper(), parts.path, query, folded, body)


@dataclass(frozen=True, slots=True)
class SimReply:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)
    body: bytes = field(default=b"", repr=False)
    wire: Wire = PLAIN


@dataclass(frozen=True, slots=True)
class Hold:
    """A long poll under way: call `World.resume` when `key` is signalled or at `until_ms`, whichever is first.

    If the client goes away before, call `World.abandon`; nothing is consumed for it.
    """

    until_ms: int
    key: str
    ticket: int
