"""`yizhan login weixin`: the QR code in the terminal, and each step of the login on its own line.

Works with and without a running gateway; without one the login runs in this process until it ends.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote

import typer

from yizhan.cli.client import Api, Json, pause
from yizhan.cli.paper import safe
from yizhan.cli.trouble import DONE, FAILED, UsageMistake
from yizhan.cli.verb import Desk, print_line, verb
from yizhan.errors import YizhanError

LOOK_EVERY_S = 0.5
CODE_NEEDED = "verify_code_needed"
ENDS = {"confirmed": DONE, "already_linked": DONE, "expired": FAILED, "failed": FAILED}
LINES = {
    "scanned": "Scanned. Confirm on the phone.",
    CODE_NEEDED: "The phone shows a number.",
    "expired": "The code has expired.",
    "failed": "The login failed.",
}

FAREWELLS = {
    "confirmed": "{account} is logged in. Whoever confirmed on the phone is allowed to talk to it.",
    "already_linked": "{account} was linked already and goes on as it was.",
}


def register(group: typer.Typer) -> None:
    """Adds the verbs of the group `login`."""

    @verb(group)
    def weixin(desk: Desk) -> int:
        """Log in a WeChat account by a QR code, shown here."""
        with desk.api() as api:
            login = str(api.call("POST", "/v1/accounts/weixin/login")["id"])
            path = f"/v1/accounts/weixin/login/{quote(login, safe='')}"
            with _given_up_on_error(api, path):
                end = _follow(desk, api, path)
            return _farewell(desk, end, api.running)


@contextmanager
def _given_up_on_error(api: Api, path: str) -> Iterator[None]:
    """Whoever leaves early (Ctrl-C too) leaves no open code behind."""
    try:
        yield
    except BaseException:
        with suppress(YizhanError):
            api.call("DELETE", path)
        raise


def _follow(desk: Desk, api: Api, path: str) -> Json:
    """Tells every change until the login ends; answers its last view."""
    told: Json = {}
    while True:
        view = api.call("GET", path)
        _tell(desk, told, view)
        if view.get("status") in ENDS:
            return view
        if view.get("status") == CODE_NEEDED and _is_new(told, view):
            view = api.call("POST", f"{path}/verify", body={"code": _ask_digits()})
        told = view
        pause(LOOK_EVERY_S)


def _is_new(told: Json, view: Json) -> bool:
    """Whether something is to be told or asked: another status, or another sentence about the same one."""
    return (told.get("status"), told.get("note")) != (view.get("status"), view.get("note"))


def _tell(desk: Desk, told: Json, view: Json) -> None:
    """Draws a code that is new and says what is new. With `--json` the caller draws: the code is in the event."""
    code = _qr_text(view)
    fresh_code = bool(code) and code != _qr_text(told)
    changed = _is_new(told, view)
    if desk.as_json:
        if fresh_code or changed:
            print_line(_without_svg(view))
        return
    if fresh_code:
        _draw(code, refreshed=bool(_qr_text(told)))
    line = view.get("note") or LINES.get(str(view.get("status")))
    if changed and line:
        print(safe(line), flush=True)


def _draw(code: str, refreshed: bool) -> None:
    print("The code was refreshed; scan this one:" if refreshed else "Scan this code with WeChat:")
    print(drawn(code))
    print(f"If it does not scan, open this address in WeChat: {safe(code)}", flush=True)


def drawn(code: str) -> str:
    """A QR code of half blocks, for a terminal."""
    import segno

    canvas = io.StringIO()
    segno.make(code, error="l", micro=False).terminal(out=canvas, compact=True, border=2)
    return canvas.getvalue()


def _ask_digits() -> str:
    """The number that the phone shows, typed by a person; asked again until it is one."""
    while True:
        print("The number on the phone: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise UsageMistake(
                "No number was given.", "Log in again and type the number that the phone shows."
            )
        if (digits := line.strip()).isascii() and digits.isdigit():
            return digits


def _farewell(desk: Desk, view: Json, running: bool) -> int:
    if not desk.as_json and (line := FAREWELLS.get(str(view["status"]))):
        print(line.format(account=safe(view.get("account"))), flush=True)
    code = ENDS[str(view["status"])]
    if code == FAILED:
        desk.note("no login. Try again: yizhan login weixin")
    if code == DONE and not running:
        desk.note("no gateway is running; messages arrive when one does: yizhan run")
    return code


def _qr_text(view: Json) -> str:
    qr = view.get("qr")
    return str(qr.get("text") or "") if isinstance(qr, dict) else ""


def _without_svg(view: Json) -> Json:
    qr = view.get("qr")
    return view | {"qr": {"text": qr.get("text")}} if isinstance(qr, dict) else view
