"""Logging in with a QR code: a pure state machine, and the shell that drives it.

`ask` says what to ask next, `step` what an answer changes; neither waits, reads a clock or raises. Three
rules keep a login alive that others lose: what goes wrong *while waiting* is a wait (one lost packet in
480 s must not cancel a scan); a code that expires is replaced by a new one, three in all; and what was
stored before stays untouched until a new login is complete.

        fetch a code ──► wait ──► scanned ──► confirmed
             ▲            │  ╲       │  ▲
             │ expired,   │   ╲      ▼  │ right digits
             └─ blocked ──┘    ╲  verify code needed
                                ╲
                                 already linked

Source: @tencent-weixin/openclaw-weixin 2.4.9, `src/auth/login-qr` (statuses, 480 s, 3 codes, pairing code,
redirect); bots that lost logins: chatgpt-on-wechat's channel, field reports on Tencent/openclaw-weixin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from yizhan.model import Account, AccountId, Credentials
from yizhan.platforms.fields import Fields
from yizhan.platforms.ilink.addresses import polling_address, trusted_address
from yizhan.platforms.ilink.body import Envelope
from yizhan.platforms.ilink.calls import Calls
from yizhan.platforms.ilink.listening import read
from yizhan.platforms.ilink.policy import PLATFORM
from yizhan.ports import Clock, Http, LoginStatus, LoginView, Lost, NewLogin, Reply, Request

TOTAL_MS = 480_000
CODES = 3
FETCH_TRIES = 4
WAIT_MS = 1_000
BAD_TOKEN_LIST = -3
"""A stale token in the list makes the wish for a code fail. Source: nanobot-ai 0.3.5."""

_FINAL = frozenset(
    {LoginStatus.CONFIRMED, LoginStatus.ALREADY_LINKED, LoginStatus.EXPIRED, LoginStatus.FAILED}
)
_ENDED_CODES = {
    "expired": "The code expired; this is a new one.",
    "cancel": "The login was cancelled on the phone; this is a new code.",
    "verify_code_blocked": "Too many wrong digits, the old code is dead; this is a new one.",
}


@dataclass(frozen=True, slots=True)
class LoginState:
    """A login as it stands.

    base      the gateway that hands out codes;  host: where this code's fate is asked, moved by a redirect
    known     accounts whose tokens may be listed;  listed: whether they still are
    handle    of the code to ask about, empty while one has to be fetched
    digits    typed by a person and not judged yet;  failures: fetches that failed in a row
    """

    base: str
    host: str
    known: tuple[Account, ...] = field(repr=False, default=())
    listed: bool = True
    handle: str = field(repr=False, default="")
    qr_text: str = field(repr=False, default="")
    digits: str = field(repr=False, default="")
    status: LoginStatus = LoginStatus.WAIT
    note: str = ""
    codes_shown: int = 0
    failures: int = 0
    made: NewLogin | None = None
    linked: AccountId | None = None

    @property
    def over(self) -> bool:
        return self.status in _FINAL

    @property
    def needs_digits(self) -> bool:
        return self.status is LoginStatus.VERIFY_CODE and not self.digits

    def view(self) -> LoginView:
        account = self.made.account if self.made else self.linked
        qr_text = "" if self.over else self.qr_text
        return LoginView(self.status, qr_text, self.note, account, max(0, self.codes_shown - 1))


def begin(base_url: str, known: Sequence[Account]) -> LoginState:
    """A login at that gateway. `known` in any order; the newest tokens are listed first."""
    newest_first = tuple(sorted(known, key=lambda account: account.created_at_ms, reverse=True))
    base = base_url.rstrip("/")
    return LoginState(base=base, host=base, known=newest_first)


def ask(state: LoginState, calls: Calls) -> Request:
    """What to ask next."""
    if state.handle:
        return calls.qr_status(state.host, state.handle, state.digits)
    tokens = [account.credentials.secret for account in state.known] if state.listed else []
    return calls.qr_code(state.base, [token for token in tokens if token])


def wait_ms(state: LoginState) -> int:
    """How long to wait after an answer that changed nothing: longer after each failed fetch."""
    if state.handle:
        return WAIT_MS
    return WAIT_MS << (state.failures - 1) if state.failures else 0


def step(state: LoginState, reply: Reply) -> LoginState:
    """The state after the answer to `ask`."""
    envelope = read(reply)
    if state.handle:
        # F.e. HTTP 524 comes from the gateway while it holds the question. Waiting goes on.
        return state if isinstance(envelope, Lost) else _answered(state, envelope)
    return _fetched(state, envelope)


def typed(state: LoginState, digits: str) -> LoginState:
    """The state after a person typed digits; unchanged if none are asked for, or some are being judged."""
    if not state.needs_digits:
        return state
    kept = "".join(letter for letter in digits if letter.isascii() and letter.isalnum())
    if not kept:
        return replace(state, note="Type the digits that the phone shows.")
    return replace(state, digits=kept[:32], note="")


def timed_out(state: LoginState) -> LoginState:
    return replace(
        state, status=LoginStatus.EXPIRED, note="Nobody finished the login in time. Start it again."
    )


def _fetched(state: LoginState, envelope: Envelope | Lost) -> LoginState:
    """A new code is on the screen, or it could not be had."""
    if isinstance(envelope, Lost):
        return _not_fetched(state, f"{envelope.text} ({envelope.code})")
    if envelope.code == BAD_TOKEN_LIST and state.listed:
        return replace(state, listed=False)
    handle, qr_text = envelope.fields.text("qrcode"), envelope.fields.text("qrcode_img_content")
    if envelope.code or not (handle and qr_text):
        words = envelope.words or "an answer without a code"
        return _not_fetched(state, f"{words} ({envelope.code or 'no error code'})")
    return replace(
        state,
        handle=handle,
        qr_text=qr_text,
        host=state.base,
        status=LoginStatus.WAIT,
        note=state.note if state.codes_shown and not state.failures else "",
        digits="",
        codes_shown=state.codes_shown + 1,
        failures=0,
    )


def _not_fetched(state: LoginState, why: str) -> LoginState:
    failures = state.failures + 1
    if failures >= FETCH_TRIES:
        note = f"{state.base} gives no login code: {why}. Check the network and the address."
        return replace(state, status=LoginStatus.FAILED, note=note, failures=failures)
    return replace(state, note=f"No code yet: {why}. Trying again.", failures=failures)


def _answered(state: LoginState, envelope: Envelope) -> LoginState:
    """The fate of a code. Unknown statuses, and codes without a status, are waits."""
    fields = envelope.fields
    match fields.text("status"):
        case "scaned":
            return replace(state, status=LoginStatus.SCANNED, digits="", note="Confirm on the phone.")
        case "scaned_but_redirect":
            host = polling_address(fields.text("redirect_host"), state.base) or state.host
            return replace(state, host=host, status=LoginStatus.SCANNED, note="Confirm on the phone.")
        case "need_verifycode":
            note = "Those digits were wrong. Type what the phone shows now." if state.digits else ""
            note = note or "Type the digits that the phone shows."
            return replace(state, status=LoginStatus.VERIFY_CODE, digits="", note=note)
        case "expired" | "cancel" | "verify_code_blocked" as ended:
            return _ended(state, _ENDED_CODES[ended])
        case "binded_redirect":
            return _already_linked(state, fields)
        case "confirmed":
            return _confirmed(state, fields)
        case _:
            return state


def _ended(state: LoginState, note: str) -> LoginState:
    """This code is dead: the next one, unless it was the last."""
    if state.codes_shown >= CODES:
        note = f"{CODES} codes in a row were not confirmed. Start the login again."
        return replace(state, status=LoginStatus.EXPIRED, note=note)
    return replace(
        state, handle="", qr_text="", digits="", host=state.base, status=LoginStatus.WAIT, note=note
    )


def _confirmed(state: LoginState, fields: Fields) -> LoginState:
    """Credentials are released once; what is missing cannot be asked for again.

    Source: 2.4.9 fails without `ilink_bot_id`; `ilink_user_id` may be missing, and `baseurl` empty.
    """
    token, bot_id = fields.text("bot_token").strip(), fields.text("ilink_bot_id").strip()
    missing = [name for name, value in (("bot_token", token), ("ilink_bot_id", bot_id)) if not value]
    if missing:
        note = f"WeChat confirmed the login but did not send {' and '.join(missing)}. Start the login again."
        return replace(state, status=LoginStatus.FAILED, note=note)
    credentials = Credentials(
        secret=token,
        base_url=trusted_address(fields.text("baseurl"), state.base) or state.host,
        user_id=fields.text("ilink_user_id").strip(),
    )
    made = NewLogin(AccountId(f"{PLATFORM}:{bot_id}"), credentials)
    return replace(state, status=LoginStatus.CONFIRMED, made=made, note="")


def _already_linked(state: LoginState, fields: Fields) -> LoginState:
    """The user of this phone is linked to one of the tokens that we listed; the old login goes on.

    Source: 2.4.3 and later count this as success. The answer need not say which account it is.
    """
    if not state.known:
        note = (
            "WeChat says that this user is linked already, but no account is known here. Remove the link on "
            "the phone (Me > Settings > Plugins > ClawBot) and start the login again."
        )
        return replace(state, status=LoginStatus.FAILED, note=note)
    linked = _named(state.known, fields)
    names = " or ".join(account.id for account in ([linked] if linked else state.known))
    note = f"This WeChat user is linked already: {names}. Nothing was changed."
    return replace(state, status=LoginStatus.ALREADY_LINKED, linked=linked.id if linked else None, note=note)


def _named(known: tuple[Account, ...], fields: Fields) -> Account | None:
    """The account that the answer names by bot or user, else the only one there is."""
    bot_id, user_id = fields.text("ilink_bot_id"), fields.text("ilink_user_id")
    for account in known:
        if bot_id and account.external_id == bot_id:
            return account
    mine = [account for account in known if user_id and account.credentials.user_id == user_id]
    mine = mine or list(known)
    return mine[0] if len(mine) == 1 else None


class IlinkLogin:
    """`ports.Login` for WeChat: asks, waits, and listens for typed digits, at most 480 s in all."""

    def __init__(
        self, http: Http, clock: Clock, calls: Calls, base_url: str, known: Sequence[Account]
    ) -> None:
        self._http = http
        self._clock = clock
        self._calls = calls
        self._state = begin(base_url, known)
        self._typed = asyncio.Event()

    def view(self) -> LoginView:
        return self._state.view()

    def verify(self, code: str) -> None:
        self._state = typed(self._state, code)
        if self._state.digits:
            self._typed.set()

    async def run(self) -> NewLogin | AccountId | None:
        """Runs the login to its end. None: failed, expired, or linked to one of several accounts (see the view)."""
        ends_at_ms = self._clock.now_ms() + TOTAL_MS
        while not self._state.over:
            left_ms = ends_at_ms - self._clock.now_ms()
            if left_ms <= 0:
                self._state = timed_out(self._state)
            elif self._state.needs_digits:
                await self._digits_or_end(ends_at_ms)
            else:
                await self._ask_once(left_ms)
        return self._state.made or self._state.linked

    async def _ask_once(self, left_ms: int) -> None:
        request = ask(self._state, self._calls)
        asked = self._state
        reply = await self._http.call(replace(request, timeout_ms=min(request.timeout_ms, left_ms)))
        self._state = step(self._state, reply)
        if not self._state.over and not self._state.needs_digits and self._state.handle == asked.handle:
            await self._clock.sleep_ms(min(wait_ms(self._state), left_ms))

    async def _digits_or_end(self, ends_at_ms: int) -> None:
        """Waits until somebody typed something or the login is over."""
        self._typed.clear()
        typing = asyncio.ensure_future(self._typed.wait())
        over = asyncio.ensure_future(self._clock.sleep_until(ends_at_ms))
        try:
            await asyncio.wait((typing, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            typing.cancel()
            over.cancel()
