"""The QR login: one code's life, seen from the client (long poll) and from the phone (scan, confirm, cancel).

    wait ──scan──► scaned ──confirm──► confirmed (credentials, once)
      │              ▲  a verify code, if asked: need_verifycode ──right──► scaned, too often wrong ──► blocked
      │              │  another data centre: scaned_but_redirect until the client calls at that host
      └─ttl──► expired     a user already linked to a listed token: binded_redirect

A status is told at once when it is new to the client; after that the poll is held.
Source: @tencent-weixin/openclaw-weixin 2.4.9, src/auth/login-qr.ts.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from yizhan_simulator.knobs import Refusal
from yizhan_simulator.ledger import Draft, Effect
from yizhan_simulator.people import SimError, User
from yizhan_simulator.polling import base_url
from yizhan_simulator.replies import INVALID, refuse
from yizhan_simulator.state import Exchange, Json, Login, Outcome, State, Told, Waiting

_DONE = ("expired", "confirmed", "verify_code_blocked", "binded_redirect", "cancel")


def get_bot_qrcode(state: State, ex: Exchange) -> Outcome:
    """New form POST with `local_token_list`, old form GET; no authorisation."""
    tokens = ex.body.get("local_token_list", [])
    if ex.request.query.get("bot_type") != "3":
        return refuse(state, ex, "bot_type", INVALID)
    if (
        not isinstance(tokens, list)
        or len(tokens) > 10
        or not all(isinstance(token, str) for token in tokens)
    ):
        return refuse(state, ex, "local_token_list", Refusal(ret=-3, errmsg=None))
    handle = f"{state.rng.getrandbits(128):032x}"
    expires_ms = ex.now_ms + round(state.knobs.qr.ttl_s * 1000)
    version = ex.request.headers.get("ilink-app-clientversion", "")
    login = Login(
        handle,
        ex.now_ms,
        expires_ms,
        tuple(tokens),
        int(version) if version.isdecimal() and len(version) <= 10 else 0,
    )
    _forget_old(state, ex.now_ms)
    state.logins[handle] = login
    state.later(expires_ms, lambda at_ms: _expire(state, login, at_ms))
    ex.draft.receipt = handle
    _by_itself(state, login, ex.now_ms)
    state.changed()
    link = f"{base_url(ex)}/q/{handle[:6]}?qrcode={handle}&bot_type=3"
    return Told({"ret": 0, "qrcode": handle, "qrcode_img_content": link})


def _forget_old(state: State, now_ms: int) -> None:
    for handle in [h for h, login in state.logins.items() if login.expires_at_ms < now_ms - 3_600_000]:
        del state.logins[handle]


def _by_itself(state: State, login: Login, now_ms: int) -> None:
    if not state.knobs.qr.auto:
        return
    users = list(state.people.users.values())
    if not users:
        raise SimError("knob qr.auto needs a user")
    user = state.people.user(state.knobs.qr.auto_user) if state.knobs.qr.auto_user else users[0]
    scan(state, login, user, now_ms)
    if login.status == "scaned":
        confirm(state, login, now_ms)


def _expire(state: State, login: Login, at_ms: int) -> None:
    if login.status not in _DONE:
        _turn(state, login, "expired")


def _turn(state: State, login: Login, status: str) -> None:
    login.status = status
    state.signal(f"qr:{login.handle}")
    state.changed()


def get_qrcode_status(state: State, ex: Exchange) -> Outcome:
    handle = ex.draft.receipt = ex.request.query.get("qrcode", "")
    login = state.logins.get(handle)
    if login is None:
        return _status(ex, "expired")
    first = not ex.until_ms
    if first:
        ex.until_ms = ex.now_ms + state.knobs.qr.hold_ms
        _at_host(state, login, ex.request.headers.get("host", ""))
        code = ex.request.query.get("verify_code")
        if code and login.status == "need_verifycode":
            _check_code(state, login, code)
            login.reported = ""
    if login.status == login.reported and ex.now_ms < ex.until_ms and login.status not in _DONE:
        return Waiting(f"qr:{handle}", ex.until_ms)
    login.reported = login.status
    return _tell(state, ex, login)


def _at_host(state: State, login: Login, host: str) -> None:
    target = state.knobs.qr.redirect_host
    if login.status != "scaned_but_redirect" or not target:
        return
    wanted = urlsplit(target).netloc if "//" in target else target
    if host.lower() == wanted.lower():
        login.redirected = True
        _after_scan(state, login)
    else:
        login.reported = ""


def _check_code(state: State, login: Login, code: str) -> None:
    if code == login.verify_code:
        login.verify_code = ""
        return _turn(state, login, "scaned")
    login.tries += 1
    if login.tries >= state.knobs.qr.verify_tries:
        _turn(state, login, "verify_code_blocked")
    return None


def _tell(state: State, ex: Exchange, login: Login) -> Told:
    if login.status == "confirmed":
        return _hand_over(state, ex, login)
    status = login.status
    if status == "cancel":
        login.status = "expired"
    if status == "scaned_but_redirect":
        return _status(ex, status, {"redirect_host": state.knobs.qr.redirect_host})
    return _status(ex, status)


def _hand_over(state: State, ex: Exchange, login: Login) -> Told:
    """Credentials are released once; whoever asks again hears `expired`."""
    bot = state.people.bot(login.confirmed_bot)
    ex.draft.bot_id, ex.draft.user_id = bot.bot_id, bot.user_id
    login.status = "expired"
    credentials = {"bot_token": bot.token, "ilink_bot_id": bot.bot_id, "ilink_user_id": bot.user_id}
    return _status(ex, "confirmed", {**credentials, "baseurl": base_url(ex)})


def _status(ex: Exchange, status: str, more: Json | None = None) -> Told:
    ex.draft.detail = status
    return Told({"ret": 0, "status": status, **(more or {})})


# The phone's side.


def pending(state: State) -> list[Login]:
    """Codes a phone could scan or is busy with, newest last."""
    return [login for login in state.logins.values() if login.status not in _DONE]


def scan(state: State, login: Login, user: User, now_ms: int) -> None:
    """Raises: SimError when the code cannot be scanned (any more), or the client is too old."""
    if login.status != "wait":
        raise SimError(f"this code is already {login.status}")
    if login.client_version < state.knobs.qr.min_client_version:
        raise SimError("please upgrade the WeChat interface version of this client")
    login.user_id = user.user_id
    _note(state, login, "scan", now_ms)
    bound = state.people.bound_bot(user.user_id)
    if bound is not None and bound.token in login.local_tokens:
        return _turn(state, login, "binded_redirect")
    if state.knobs.qr.redirect_host and not login.redirected:
        return _turn(state, login, "scaned_but_redirect")
    return _after_scan(state, login)


def _after_scan(state: State, login: Login) -> None:
    wanted = state.knobs.qr.verify_code
    if not wanted:
        return _turn(state, login, "scaned")
    login.verify_code = f"{state.rng.randrange(10**6):06d}" if wanted == "random" else wanted
    return _turn(state, login, "need_verifycode")


def confirm(state: State, login: Login, now_ms: int) -> None:
    """A new bot is bound to the user who scanned; the old one's token dies and its poll ends with -14."""
    if login.status != "scaned":
        raise SimError(f"nothing to confirm: this code is {login.status}")
    user = state.people.user(login.user_id)
    bot, old = state.people.bind(user, now_ms, None, None)
    login.confirmed_bot = bot.bot_id
    _note(state, login, "confirm", now_ms)
    if old is not None:
        state.signal(f"bot:{old.bot_id}")
    _turn(state, login, "confirmed")


def cancel(state: State, login: Login, now_ms: int) -> None:
    if login.status in _DONE:
        raise SimError(f"nothing to cancel: this code is {login.status}")
    _note(state, login, "cancel", now_ms)
    _turn(state, login, "cancel")


def _note(state: State, login: Login, what: str, now_ms: int) -> None:
    draft = Draft(Effect.PHONE, login.confirmed_bot, login.user_id, receipt=login.handle)
    state.ledger.note(now_ms, what, draft)
