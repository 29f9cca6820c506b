"""The first page: is everything well, and if not, who must act."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from yizhan.errors import RequestError
from yizhan.model import Message, TurnState
from yizhan.ports import TurnFilter
from yizhan.runtime.views import AccountView
from yizhan.web.console import alert_rows, controls, day, overview, turns
from yizhan.web.console.frame import Frame, Rows, open_frame, watch_for
from yizhan.web.console.login import LoginDialog
from yizhan.web.console.markup import Html, join

ACCOUNTS_SHOWN = 50
OLDEST_SHOWN = 10
"""Accounts of which the oldest waiting message is told; those that need somebody come first."""
LOOK_AGAIN_MS = 5_000
"""When the overview looks again unasked: server answers and gates are no events."""
CALM_GAP_MS = 1_000
"""It need not move faster than this."""
DAY_MS = 86_400_000
TURNS_COUNTED = 99
DAY_EVERY_MS = 5_000
"""The picture of the day is drawn anew at most so often."""


@ui.page("/")
async def overview_page(request: Request) -> None:
    await OverviewPage(open_frame(request, "overview", "overview")).open()


class OverviewPage:
    """Accounts, those that need somebody first."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._first = 0
        self._day_at_ms = 0

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        self._watch = watch_for(frame)
        with frame.main:
            with ui.element("div").classes("title-line"):
                ui.html(join(words("overview")), tag="h1")
                if "weixin" in frame.console.gateway.platforms:
                    ui.html(controls.button("login", words("login.open"), "primary"))
            self._summary = ui.html("")
            self._trouble = ui.html("")
            self._alerts = ui.html("")
            self._turns = ui.html("")
            self._day = ui.html("")
            self._cards = Rows(ui.element("div").classes("cards"))
            self._pager = ui.html("")
            self._login = LoginDialog(frame)
        frame.on_click({"older": self._older, "newer": self._newer, "login": self._login.open})
        await frame.attempt(self._refresh)
        frame.keep_true(self._watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> int:
        gateway, words = self._frame.console.gateway, self._frame.words
        views = overview.by_urgency(await gateway.accounts())
        ready = await gateway.readiness()
        self._summary.set_content(overview.summary(words, views))
        self._trouble.set_content(overview.trouble(words, ready, gateway.settings.agent == "none"))
        self._alerts.set_content(alert_rows.alerts(words, await gateway.open_alerts()))
        self._first = min(self._first, max(0, len(views) - 1) // ACCOUNTS_SHOWN * ACCOUNTS_SHOWN)
        self._cards.show(await self._shown(views))
        self._pager.set_content(
            controls.pager(words, self._first > 0, self._first + ACCOUNTS_SHOWN < len(views))
        )
        await self._draw_day(bool(views))
        return LOOK_AGAIN_MS

    async def _draw_day(self, anybody: bool) -> None:
        """What was accepted in the last day, by hours; read from the store now and then."""
        now_ms = self._frame.now_ms()
        if not anybody or now_ms < self._day_at_ms + DAY_EVERY_MS:
            return
        since_ms = day.day_since_ms(now_ms)
        await self._count_turns(now_ms)
        tallies = await self._frame.console.gateway.store.tallies(since_ms, day.HOUR_MS)
        self._day.set_content(day.picture(self._frame.words, day.day_of(tallies, since_ms)))
        self._day_at_ms = now_ms

    async def _count_turns(self, now_ms: int) -> None:
        """Who is being answered, and who was not in the last day."""
        store = self._frame.console.gateway.store
        lately = TurnFilter(states=frozenset({TurnState.FAILED}), since_ms=now_ms - DAY_MS)
        failed = (await store.turns(lately, None, TURNS_COUNTED + 1)).rows
        opened = await store.open_turns()
        self._turns.set_content(turns.summary(self._frame.words, len(opened), len(failed), TURNS_COUNTED))

    async def _shown(self, views: list[AccountView]) -> list[tuple[str, Html]]:
        words, now_ms = self._frame.words, self._frame.now_ms()
        if not views:
            return [("", overview.no_accounts(words))]
        page = views[self._first : self._first + ACCOUNTS_SHOWN]
        oldest = [await self._oldest(view) for view in page[:OLDEST_SHOWN]] + [None] * len(page)
        return [
            (view.account.id, overview.account_card(words, view, now_ms, message))
            for view, message in zip(page, oldest, strict=False)
        ]

    async def _oldest(self, view: AccountView) -> Message | None:
        if view.oldest_live is None:
            return None
        try:
            return await self._frame.console.gateway.message(view.oldest_live)
        except RequestError:
            return None  # it has ended meanwhile, and was removed

    async def _older(self, _: str) -> None:
        self._first += ACCOUNTS_SHOWN
        self._watch.notice()

    async def _newer(self, _: str) -> None:
        self._first = max(0, self._first - ACCOUNTS_SHOWN)
        self._watch.notice()
