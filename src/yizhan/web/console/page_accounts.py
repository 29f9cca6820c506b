"""The page on which accounts are added, logged in again, tested, paused and removed."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from yizhan.core.connection import Lost
from yizhan.model import AccountId
from yizhan.web.console import accounts
from yizhan.web.console.frame import Fields, Frame, open_frame, watch_for
from yizhan.web.console.login import LoginDialog
from yizhan.web.console.markup import join

LOOK_AGAIN_MS = 5_000
CALM_GAP_MS = 500


@ui.page("/accounts")
async def accounts_page(request: Request) -> None:
    await AccountsPage(open_frame(request, "accounts", "accounts")).open()


class AccountsPage:
    """The accounts with what may be done to each, and a place to add one of every platform."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        self._watch = watch_for(frame)
        with frame.main:
            ui.html(join(words("accounts")), tag="h1")
            self._table = ui.html("")
            ui.html(accounts.panels(words, list(frame.console.gateway.platforms))).classes("panels")
            self._login = LoginDialog(frame)
        frame.on_click(
            {
                "login": self._login.open,
                "test": self._test,
                "pause": self._pause,
                "resume": self._resume,
                "remove": self._remove,
            }
        )
        frame.on_submit({"qq": self._qq})
        await frame.attempt(self._refresh)
        frame.keep_true(self._watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> int:
        gateway = self._frame.console.gateway
        known = [gateway.standing.account(account) for account in await gateway.store.accounts()]
        self._table.set_content(accounts.account_table(self._frame.words, known))
        return LOOK_AGAIN_MS

    async def _test(self, account: str) -> None:
        """The login that is in use, asked about at the platform."""
        gateway = self._frame.console.gateway
        known = await gateway.store.account(AccountId(account))
        lost = await gateway.try_login(known.platform, known.external_id, known.credentials)
        self._say(lost, self._frame.words("accounts.tested", account=account), "accounts.tested.not")

    async def _pause(self, account: str) -> None:
        await self._frame.console.gateway.pause_account(AccountId(account), True)
        self._done("accounts.paused", account)

    async def _resume(self, account: str) -> None:
        await self._frame.console.gateway.pause_account(AccountId(account), False)
        self._done("accounts.resumed", account)

    async def _remove(self, account: str) -> None:
        await self._frame.console.gateway.remove_account(AccountId(account))
        self._done("accounts.removed", account)

    async def _qq(self, fields: Fields) -> None:
        """Tests what was typed, or keeps it. What was typed stays until it is kept."""
        gateway, words = self._frame.console.gateway, self._frame.words
        app, credentials = accounts.qq_of(fields, gateway.platforms["qq"].base_url)
        if "test" in fields.get("deed", ()):
            self._say(await gateway.try_login("qq", app, credentials), words("qq.works"), "qq.not")
            return
        account, created = await gateway.add_account("qq", app, credentials)
        self._frame.clear_form("qq")
        self._frame.tell(words("qq.added" if created else "qq.replaced", account=account.id))
        self._watch.notice()

    def _say(self, lost: Lost | None, good: str, refused: str) -> None:
        """That it works, or what is wrong and what to do about it. `refused`: a name of words."""
        if lost is None:
            self._frame.tell(good)
        else:
            self._frame.tell(accounts.refusal(self._frame.words, refused, lost), "bad")

    def _done(self, name: str, account: str) -> None:
        self._frame.tell(self._frame.words(name, account=account))
        self._watch.notice()
