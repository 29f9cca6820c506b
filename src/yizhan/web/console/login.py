"""The QR login as a dialog. The code is a secret while it lives; it stands in the dialog and nowhere else."""

from __future__ import annotations

import contextlib

from nicegui import ui

from yizhan.errors import InvalidRequest, RequestError, UnknownLogin
from yizhan.ports import LoginStatus, LoginView
from yizhan.web.console.frame import Frame
from yizhan.web.console.markup import Html, tag
from yizhan.web.logins import PLATFORM, qr_svg

LOOK_EVERY_S = 1.0

_OVER = frozenset(
    {LoginStatus.CONFIRMED, LoginStatus.ALREADY_LINKED, LoginStatus.EXPIRED, LoginStatus.FAILED}
)


class LoginDialog:
    """Starts a login when opened, shows it until it ends, gives it up when closed before."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._login: str | None = None
        words = frame.words
        with ui.dialog() as self._dialog, ui.element("div").classes("sheet"):
            ui.html(tag("h2", words("login.title")))
            self._code = ui.html("").classes("qr")
            self._status = ui.html("").props('role=status aria-live=polite')  # fmt: skip
            with ui.element("div").classes("digits") as self._digits:
                self._typed = ui.input(label=words("login.digits")).props(
                    'outlined dense inputmode=numeric autocomplete=one-time-code maxlength=12'
                )  # fmt: skip
                self._typed.on("keydown.enter", self._verify)
                ui.button(words("login.send"), on_click=self._verify, color=None).props("unelevated no-caps")
            with ui.element("div").classes("sheet-foot"):
                self._again = ui.button(words("login.again"), on_click=self._start, color=None).props(
                    "flat no-caps"
                )
                ui.button(words("close"), on_click=self._dialog.close, color=None).props("flat no-caps")
        self._dialog.on("hide", self._give_up)
        self._timer = ui.timer(LOOK_EVERY_S, self._look, active=False)
        self._digits.set_visibility(False)

    async def open(self, _: str = "") -> None:
        """Also for an account that is here already: until the new login works, the old one stays."""
        self._dialog.open()
        await self._start()

    async def _start(self) -> None:
        self._give_up()
        self._say(self._frame.words("login.starting"))
        self._code.set_content("")
        self._again.set_visibility(False)
        try:
            self._login = await self._frame.console.gateway.logins.start(PLATFORM)
        except RequestError as error:
            self._say(self._frame.complaint(error)[0], "bad")
            self._again.set_visibility(True)
            return
        self._timer.activate()

    def _look(self) -> None:
        if self._login is None:
            self._timer.deactivate()
            return
        try:
            self._show(self._frame.console.gateway.logins.view(self._login))
        except UnknownLogin:
            self._end()

    def _show(self, view: LoginView) -> None:
        asking = view.status is LoginStatus.VERIFY_CODE
        drawn = Html(qr_svg(view.qr_text)) if view.qr_text and not asking else Html("")
        self._code.set_content(
            tag("div", drawn, role="img", aria_label=self._frame.words("login.qr")) if drawn else ""
        )
        self._digits.set_visibility(asking)
        self._tell(view)
        if view.status in _OVER:
            self._end()

    def _tell(self, view: LoginView) -> None:
        words = self._frame.words
        starting = view.status is LoginStatus.WAIT and not view.qr_text
        name = "login.starting" if starting else f"login.{view.status}"
        tone = {LoginStatus.CONFIRMED: "good", LoginStatus.FAILED: "bad", LoginStatus.EXPIRED: "wait"}
        self._say(words(name, account=view.account or ""), tone.get(view.status, "calm"), view.note)

    def _say(self, text: str, tone: str = "calm", note: str = "") -> None:
        told = tag("span", note, class_="quiet", lang="en") if note else None
        self._status.set_content(tag("p", tag("strong", text), told, class_=f"login-status {tone}"))

    def _verify(self) -> None:
        if self._login is None:
            return
        try:
            self._frame.console.gateway.logins.verify(self._login, str(self._typed.value or ""))
        except InvalidRequest:
            self._say(self._frame.words("login.digits.wrong"), "bad")
            return
        except UnknownLogin:
            self._end()
            return
        self._typed.set_value("")

    def _end(self) -> None:
        """Over, one way or another: nothing to give up any more."""
        self._login = None
        self._timer.deactivate()
        self._again.set_visibility(True)

    def _give_up(self) -> None:
        """A login that nobody looks at any more is cancelled."""
        self._timer.deactivate()
        login, self._login = self._login, None
        if login is not None:
            with contextlib.suppress(UnknownLogin):
                self._frame.console.gateway.logins.cancel(login)
