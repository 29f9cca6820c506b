"""What every route does alike: find the gateway, read JSON, answer JSON.

Bodies are read here and not by the framework, because a client's broken JSON must become a clear refusal
and half a character (a lone surrogate, as programs make them that cut text in the middle of an emoji) must
not cost a message: it is replaced, everything else is taken as it came.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import msgspec
from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError
from starlette.responses import Response

from yizhan.core.contract import JsonObject, parse_time
from yizhan.errors import InvalidRequest
from yizhan.web.problems import invalid

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway

B = TypeVar("B", bound="Body")

Word = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""An id, a name, a key: one line without control characters."""

_encode = msgspec.json.Encoder().encode

_SURROGATES = re.compile("[\ud800-\udfff]")


class Body(BaseModel):
    """Base of all request bodies: unknown fields are refused, types are not guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def gateway_of(request: Request) -> Gateway:
    return cast("Gateway", request.app.state.gateway)


def answer(shape: JsonObject, status: int = 200) -> Response:
    """A JSON answer; nothing of it may be kept by a cache on the way."""
    return Response(_encode(shape), status, {"Cache-Control": "no-store"}, "application/json")


def takes(body: type[Body]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads this body with `read_body`."""
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def read_body(request: Request, kind: type[B]) -> B:
    """The request's JSON body. Raises InvalidRequest, which names places and rules, never values."""
    raw = await request.body()
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        if problems[0]["type"] != "json_invalid":
            raise _refusal(problems) from None
    return _mended(raw, kind)


def _mended(raw: bytes, kind: type[B]) -> B:
    """The body once more, with a byte order mark removed and lone surrogates replaced."""
    try:
        content = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not UTF-8.", "Send JSON, encoded as UTF-8.") from None
    except (ValueError, RecursionError):
        raise InvalidRequest(
            "The body is not valid JSON.", "Send one JSON object, encoded as UTF-8."
        ) from None
    clean = _SURROGATES.sub("\ufffd", json.dumps(content, ensure_ascii=False))
    try:
        return kind.model_validate_json(clean)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise _refusal(problems) from None


def _refusal(problems: Any) -> InvalidRequest:
    problem = invalid([problem | {"loc": ("body", *problem["loc"])} for problem in problems])
    return InvalidRequest(problem.detail, problem.fix)


def time_ms(text: str, field: str) -> int:
    """RFC 3339 with an offset → ms since the epoch. Raises InvalidRequest."""
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{field} is not a time.",
            "Write it as RFC 3339 with an offset, for example 2026-11-21T08:00:00Z.",
        ) from None


def _web_address(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text):
        raise ValueError("should be an http or https address without user, query and fragment")
    return text.rstrip("/")


WebAddress = Annotated[Word, AfterValidator(_web_address)]
"""http(s)://host[:port][/path], kept without a trailing slash."""
