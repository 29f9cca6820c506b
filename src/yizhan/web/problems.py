"""Problem documents (RFC 9457): every error of the API is one, and this page alone says which.

    {"type": "urn:yizhan:problem:NAME", "title", "status", "detail", "fix"}

`NAME` and status are for programs, `detail` says what is wrong here, `fix` what to do about it. None of
them repeats what was sent in a text; validation errors name the place and the rule, not the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from yizhan.errors import PlatformError, RequestError, StoreBusy, StoreError, YizhanError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:yizhan:problem:"
SHOWN_ERRORS = 5
"""Validation errors named in one detail."""

TITLES = {
    "unknown-account": "No such account",
    "unknown-chat": "No such chat",
    "unknown-message": "No such message",
    "unknown-turn": "No such turn",
    "unknown-login": "No such login",
    "unknown-key": "No such API key",
    "unknown-code": "Nobody was told this code",
    "unknown-schedule": "No such schedule",
    "unknown-webhook": "No such webhook",
    "text-empty": "The text is empty",
    "text-too-long": "The text is too long",
    "idempotency-conflict": "The idempotency key was used for another message",
    "not-revivable": "The message cannot be revived",
    "not-cancellable": "The message cannot be cancelled",
    "turn-open": "The turn has not ended",
    "turn-ended": "The turn has ended",
    "cursor-gone": "The events after this id are no longer kept",
    "invalid-request": "The request is not valid",
    "busy": "Nothing can be stored at the moment",
    "unauthorized": "A key is needed",
    "forbidden": "This is not allowed",
    "too-many-requests": "Too many requests",
    "not-signed": "The platform's signature is missing, wrong or old",
    "not-found": "No such address",
    "method-not-allowed": "The address does not know this method",
    "platform": "The platform did not do its part",
    "internal-error": "The gateway made a mistake",
}
"""Every problem there is: name → title."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem document, with the headers that go with it."""

    name: str
    status: int
    detail: str
    fix: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The document as UTF-8 JSON."""
        return msgspec.json.encode(
            {
                "type": TYPE_PREFIX + self.name,
                "title": TITLES[self.name],
                "status": self.status,
                "detail": self.detail,
                "fix": self.fix,
            }
        )

    def response(self) -> Response:
        return Response(self.body(), self.status, dict(self.headers), MEDIA_TYPE)


_RULES = {
    "missing": "is missing",
    "extra_forbidden": "is no field of this request",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "holds characters that it must not hold",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "json_invalid": "is not valid JSON",
}
"""pydantic's kinds of mistakes → what to say to somebody who does not know pydantic."""
_SHOULD = re.compile(r"^(?:\w+ )?should ")

INTERNAL = Problem(
    "internal-error",
    500,
    "An unexpected error ended the request.",
    "See the gateway's log; repeat the request with the same idempotency key.",
)

TOO_LARGE = Problem(
    "text-too-long",
    413,
    "The body of the request is larger than the gateway reads.",
    "Send a shorter text, or cut it into several messages.",
    {"Connection": "close"},
)


class BodyTooLarge(HTTPException):
    """More bytes came than were announced or allowed. Raised while the body is read."""

    def __init__(self) -> None:
        super().__init__(413)


def problem_of(error: YizhanError) -> Problem:
    """Which problem an error of ours is. What is neither the caller's nor the store's shows no details."""
    if isinstance(error, RequestError):
        return Problem(error.name, error.status, error.detail, error.fix)
    if isinstance(error, StoreError):
        again_s = "1" if isinstance(error, StoreBusy) else "5"
        return Problem("busy", 503, error.detail, error.fix, {"Retry-After": again_s})
    if isinstance(error, PlatformError):
        return Problem("platform", 502, error.detail, error.fix)
    return INTERNAL


def invalid(errors: Sequence[Any]) -> Problem:
    """Validation errors as pydantic lists them → one problem that names places and rules, never values."""
    told = [f"{_place(error['loc'])} {_rule(error)}" for error in errors[:SHOWN_ERRORS]]
    more = len(errors) - len(told)
    detail = "; ".join(told) + (f"; and {more} more" if more else "") + "."
    return Problem("invalid-request", 422, detail, "The fields and their types are listed in /openapi.json.")


def _place(location: Sequence[int | str]) -> str:
    """The field's name; where it stands (body, query) goes without saying."""
    inside = location[1:] if location[:1] and location[0] in ("body", "query", "path", "header") else location
    return ".".join(str(step)[:100] for step in inside) or "the body"


def _rule(error: Mapping[str, Any]) -> str:
    """What is wrong with a field, in a caller's words."""
    if (known := _RULES.get(str(error["type"]))) is not None:
        return known
    said = str(error["msg"]).removeprefix("Value error, ")
    ours, replaced = _SHOULD.subn("must ", said)
    return ours if replaced else f"is not valid: {said}"


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem document."""
    app.add_exception_handler(YizhanError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def problem_of_any(error: YizhanError | BodyTooLarge) -> Problem:
    """The problem of a refusal, ours or of a body beyond its bound."""
    return TOO_LARGE if isinstance(error, BodyTooLarge) else problem_of(error)


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, YizhanError)
    return problem_of(error).response()


async def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors()).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _of_status(error, request).response()


async def _unexpected(_: Request, __: Exception) -> Response:
    return INTERNAL.response()


def _of_status(error: HTTPException, request: Request) -> Problem:
    """The framework's own refusals: no such route, wrong method, body too large, unreadable body."""
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            return Problem(
                "not-found", 404, "Nothing is served here.", "The routes are listed in /openapi.json."
            )
        case 405:
            fix = "The methods of every address are listed in /openapi.json."
            return Problem("method-not-allowed", 405, f"{request.method} is not served here.", fix, headers)
        case 413:
            return TOO_LARGE
        case status if status < 500:
            return Problem("invalid-request", 422, "The request could not be read.", "See /openapi.json.")
        case _:
            return INTERNAL
