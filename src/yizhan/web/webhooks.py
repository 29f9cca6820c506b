"""/webhooks: what platforms post to us. No key opens this; the platform signs what it says, or it is refused.

The answer comes when what was said is on disk. All else is a problem document, and a platform that gets one sends
the same again later.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from yizhan.model import AccountId
from yizhan.ports import Callback, CallbackRefused, RefusedBecause
from yizhan.web.exchange import gateway_of
from yizhan.web.problems import BodyTooLarge, Problem

router = APIRouter(tags=["webhooks"])

PATH = "/webhooks/{platform}/{account}"
BODY_MAX_BYTES = 1024 * 1024
"""No event of a chat comes near to this, and whoever posts more has shown nothing yet."""

_PROBLEMS = {
    RefusedBecause.UNEXPECTED: ("not-found", 404),
    RefusedBecause.UNPROVEN: ("not-signed", 401),
    RefusedBecause.UNREADABLE: ("invalid-request", 422),
    RefusedBecause.NOT_STORED: ("busy", 503),
}


@router.post(PATH, responses={200: {"description": "stored; the body is what the platform wants to read"}})
async def take_callback(request: Request, platform: str, account: str) -> Response:
    """Take what a platform posts for an account that was added with a webhook. Signed by the platform; no key."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    callback = Callback(headers, await _body(request))
    told = await gateway_of(request).called_back(AccountId(f"{platform}:{account}"), callback)
    if isinstance(told, CallbackRefused):
        return _problem(told).response()
    return Response(told.body, told.status, dict(told.headers))


async def _body(request: Request) -> bytes:
    """Raises BodyTooLarge as soon as too much has come."""
    read = bytearray()
    async for piece in request.stream():
        read += piece
        if len(read) > BODY_MAX_BYTES:
            raise BodyTooLarge
    return bytes(read)


def _problem(refused: CallbackRefused) -> Problem:
    name, status = _PROBLEMS[refused.because]
    again = {"Retry-After": "5"} if refused.because is RefusedBecause.NOT_STORED else {}
    return Problem(name, status, refused.text, refused.fix, again)
