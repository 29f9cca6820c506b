"""The header Idempotency-Key: the same key asks for the same thing, which is done once."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import Request

from yizhan.errors import InvalidRequest
from yizhan.runtime.repeats import Asked
from yizhan.web.exchange import Body

KEY_HEADER = "Idempotency-Key"
KEY_MAX_CHARS = 255
KEY_PARAMETER: dict[str, Any] = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "the same key asks for the same thing, which is done once",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX_CHARS},
}
ONCE: dict[str, Any] = {"parameters": [KEY_PARAMETER]}
"""`openapi_extra` of a route that takes the header."""
SAME = "the same idempotency key again: what was made the first time"


def asked_of(request: Request, kind: str, body: Body | None = None) -> Asked | None:
    """What is asked for under a key; None: it may be asked again. Raises InvalidRequest."""
    key = key_of(request)
    if key is None:
        return None
    content = "" if body is None else body.model_dump_json(exclude_unset=True)
    return Asked(kind, key, hashlib.sha256(content.encode()).hexdigest())


def key_of(request: Request) -> str | None:
    """The idempotency key in the header. Raises InvalidRequest if it is not usable."""
    given = request.headers.get(KEY_HEADER)
    return None if given is None else usable(given)


def usable(header: str) -> str:
    """Raises InvalidRequest."""
    key = _as_utf8(header)
    if not key or len(key) > KEY_MAX_CHARS or not key.isprintable():
        raise InvalidRequest(
            f"The header {KEY_HEADER} is not usable.", f"Give 1 to {KEY_MAX_CHARS} printable characters."
        )
    return key


def _as_utf8(header: str) -> str:
    """Headers arrive as Latin-1; most clients mean UTF-8."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header
