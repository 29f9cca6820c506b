"""Signing in to the console: a one-time ticket, or a key that may do everything, becomes a cookie.

`yizhan console` asks for a ticket (scope admin) and prints its address; whoever opens it within five
minutes gets the session, once. The cookie says until when it is good and is signed with a secret derived
from the API key, so that a new key ends all sessions and nothing about them needs storing. It is HttpOnly
and SameSite=Strict; its name is the gateway's own, for cookies know no ports and two gateways may share a host.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qs

from fastapi import APIRouter, FastAPI, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from yizhan.core.contract import time_text
from yizhan.ports import Chance, Clock
from yizhan.web import shapes
from yizhan.web.exchange import answer
from yizhan.web.keys import NO_SCOPES, ring_of

router = APIRouter(tags=["console"])

TICKET_MS = 5 * 60 * 1000
SESSION_MS = 7 * 24 * 60 * 60 * 1000
TICKETS_MAX = 32
"""Tickets open at the same time; a further one ends the oldest."""

TYPED_MAX = 400
"""Characters of a code or key that somebody types."""

LOGIN_PATH = "/console/login"
HOME_PATH = "/console/"


class Sessions:
    """Makes and checks tickets and cookies."""

    def __init__(self, clock: Clock, chance: Chance, api_key: str) -> None:
        self._clock = clock
        self._chance = chance
        self._secret = hmac.digest(api_key.encode(), b"yizhan console session", "sha256")
        self._tickets: dict[str, int] = {}
        self.cookie_name = "yizhan_session_" + hashlib.sha256(self._secret).hexdigest()[:8]
        self._cookie_prefix = f"{self.cookie_name}=".encode()

    def ticket(self) -> tuple[str, int]:
        """A new one-time ticket, and until when (ms) it is good."""
        ticket = self._chance.token_hex(24)
        expires_at_ms = self._clock.now_ms() + TICKET_MS
        while len(self._tickets) >= TICKETS_MAX:
            del self._tickets[next(iter(self._tickets))]
        self._tickets[_hash(ticket)] = expires_at_ms
        return ticket, expires_at_ms

    def redeem(self, ticket: str) -> bool:
        """Uses a ticket up. False if there is no such ticket (any more)."""
        return self._tickets.pop(_hash(ticket), 0) > self._clock.now_ms()

    def set_cookie(self, response: Response, secure: bool) -> None:
        """Puts a new session into the answer."""
        told = f"{self._clock.now_ms() + SESSION_MS}.{self._chance.token_hex(8)}"
        response.set_cookie(
            self.cookie_name,
            f"{told}.{self._sign(told)}",
            max_age=SESSION_MS // 1000,
            path="/",
            secure=secure,
            httponly=True,
            samesite="strict",
        )

    def valid(self, cookies: bytes) -> bool:
        """Whether a Cookie header carries a session of ours that is not over."""
        for cookie in cookies.split(b";"):
            if cookie.strip().startswith(self._cookie_prefix):
                return self._genuine(cookie.strip()[len(self._cookie_prefix) :].decode("latin-1"))
        return False

    def _genuine(self, value: str) -> bool:
        told, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(told).encode()):
            return False
        return int(told.split(".")[0]) > self._clock.now_ms()

    def _sign(self, told: str) -> str:
        return hmac.new(self._secret, told.encode(), "sha256").hexdigest()


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode("utf-8", "replace")).hexdigest()


def console_path(app: FastAPI) -> str:
    """A one-time sign-in address, without scheme and host, for whoever starts the gateway."""
    return _path(sessions_of(app).ticket()[0])


def sessions_of(app: FastAPI) -> Sessions:
    sessions = app.state.sessions
    assert isinstance(sessions, Sessions)
    return sessions


def _path(ticket: str) -> str:
    return f"{LOGIN_PATH}?ticket={ticket}"


@router.post("/v1/console/ticket", status_code=201, responses={201: {"model": shapes.Ticket}})
async def make_ticket(request: Request) -> Response:
    """A one-time sign-in address for the console, good for five minutes."""
    ticket, expires_at_ms = sessions_of(request.app).ticket()
    base = f"{request.url.scheme}://{request.headers['host']}"
    return answer({"url": base + _path(ticket), "expires_at": time_text(expires_at_ms)}, 201)


@router.get(LOGIN_PATH, include_in_schema=False)
async def sign_in(request: Request, ticket: str = Query("", max_length=200)) -> Response:
    """Turns a ticket into a session and goes on to the console; without one it asks for it, or for a key."""
    if not ticket:
        return sign_in_page(200)
    return _let_in(request) if sessions_of(request.app).redeem(ticket) else sign_in_page(403, _USED_UP)


@router.post(LOGIN_PATH, include_in_schema=False)
async def sign_in_by_key(request: Request) -> Response:
    """Takes what was typed: a one-time code, its whole address, or a key that may do everything."""
    typed = (
        parse_qs((await request.body()).decode("utf-8", "replace")).get("key", [""])[0].strip()[:TYPED_MAX]
    )
    if sessions_of(request.app).redeem(typed.rpartition("ticket=")[2]):
        return _let_in(request)
    scopes = await ring_of(request).scopes_of(typed.encode()) if typed else NO_SCOPES
    return _let_in(request) if "admin" in scopes else sign_in_page(403, _WRONG)


def _let_in(request: Request) -> Response:
    response = RedirectResponse(
        HOME_PATH, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )
    sessions_of(request.app).set_cookie(response, secure=request.url.scheme == "https")
    return response


_USED_UP = (
    "这个登录地址已经用过或过期了。",
    "This sign-in address is used up or too old.",
)
_WRONG = (
    "这不是有效的一次性代码，也不是有管理权限的密钥。",
    "That is neither a one-time code that is still good, nor a key that may do everything.",
)


def sign_in_page(status: int, wrong: tuple[str, str] | None = None) -> HTMLResponse:
    """A short page for a person who came without a session, in both languages: nobody has chosen one yet."""
    told = "".join(
        f'<p role="alert" lang="{lang}">{text}</p>'
        for lang, text in zip(("zh", "en"), wrong or (), strict=False)
    )
    return HTMLResponse(_PAGE.replace("<!-- wrong -->", told), status, {"Cache-Control": "no-store"})


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Yizhan</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 30rem; margin: 16vh auto; padding: 0 1.2rem; }
  h1 { font-size: 1.4rem; } p { margin: .5rem 0; }
  form { display: flex; gap: .5rem; margin: 1.2rem 0; }
  input { flex: 1; min-width: 0; } input, button { font: inherit; padding: .45rem .8rem; }
</style>
<main>
<h1><span lang="zh">请登录</span> · Please sign in.</h1>
<!-- wrong -->
<p lang="zh">在终端运行 <code>yizhan console</code>，会得到一个五分钟内有效、只能用一次的登录地址。</p>
<p>The command <code>yizhan console</code> prints an address that signs you in, once, within five minutes.</p>
<form method="post" action="/console/login">
<input type="password" name="key" required maxlength="400" autocomplete="current-password"
  aria-label="一次性代码或管理密钥 · one-time code, or a key with the scope admin"
  placeholder="一次性代码或管理密钥 · one-time code or admin key">
<button type="submit"><span lang="zh">登录</span> · Sign in</button>
</form>
</main>
"""
