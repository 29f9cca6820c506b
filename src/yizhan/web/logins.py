"""/v1/accounts/weixin/login: a QR login, driven by whoever looks at it. Its code is a secret while it lives."""

from __future__ import annotations

import io
from functools import lru_cache

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from yizhan.core.contract import JsonObject
from yizhan.ports import LoginView
from yizhan.web import shapes
from yizhan.web.exchange import Body, Word, answer, gateway_of, read_body, takes

router = APIRouter(tags=["accounts"])

PLATFORM = "weixin"


class VerifyBody(Body):
    """The digits that the phone shows."""

    code: str = Field(min_length=1, max_length=32, pattern=r"^\s*[0-9]+\s*$")


@router.post("/v1/accounts/weixin/login", status_code=201, responses={201: {"model": shapes.LoginStarted}})
async def start_login(request: Request) -> Response:
    """Begin a login; look at it until it ends."""
    return answer({"id": await gateway_of(request).logins.start(PLATFORM)}, 201)


@router.get("/v1/accounts/weixin/login/{login}", responses={200: {"model": shapes.Login}})
async def get_login(request: Request, login: Word) -> Response:
    """Status, the QR code as text and SVG while there is one to scan, and the account at the end."""
    return answer(login_object(login, gateway_of(request).logins.view(login)))


@router.post(
    "/v1/accounts/weixin/login/{login}/verify",
    responses={200: {"model": shapes.Login}},
    openapi_extra=takes(VerifyBody),
)
async def verify_login(request: Request, login: Word) -> Response:
    """Hand over the number that the phone shows."""
    logins = gateway_of(request).logins
    body = await read_body(request, VerifyBody)
    logins.verify(login, body.code.strip())
    return answer(login_object(login, logins.view(login)))


@router.delete("/v1/accounts/weixin/login/{login}", status_code=204)
async def cancel_login(request: Request, login: Word) -> Response:
    """Give a login up."""
    gateway_of(request).logins.cancel(login)
    return Response(status_code=204)


def login_object(login: str, view: LoginView) -> JsonObject:
    return {
        "id": login,
        "status": view.status.value,
        "note": view.note,
        "account": view.account,
        "refreshes": view.refreshes,
        "qr": {"text": view.qr_text, "svg": qr_svg(view.qr_text)} if view.qr_text else None,
    }


@lru_cache(maxsize=4)
def qr_svg(text: str) -> str:
    """The code as an SVG document for a page. Drawing takes some ms; whoever waits asks every second."""
    import segno

    canvas = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        canvas, kind="svg", scale=5, border=4, light="#ffffff", xmldecl=False, omitsize=True
    )
    return canvas.getvalue().decode("utf-8")
