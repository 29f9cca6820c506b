"""The pages: overview, chats, one chat's timeline. Each reads through the gateway and shows at most 100 rows."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element
from starlette.requests import Request

from yizhan.errors import RequestError, StoreError
from yizhan.model import AccountId, Chat, Message
from yizhan.ports import TimelineRow
from yizhan.runtime.views import AccountView
from yizhan.web.console import chats, links, overview, timeline
from yizhan.web.console.frame import Frame, Rows, open_frame, watch_for
from yizhan.web.console.login import LoginDialog
from yizhan.web.console.markup import Html, join, tag

ACCOUNTS_SHOWN = 50
ROWS_FIRST = 50
ROWS_MAX = 100
STEP = 50
OPENED_MAX = 500

LOOK_AGAIN_MS = 5_000
"""When the overview looks again unasked: server answers and gates are no events."""
LIVE_AGAIN_MS = 2_000
"""The same for a timeline in which something waits."""
CALM_GAP_MS = 1_000
"""Lists need not move faster than this."""


@ui.page("/")
async def overview_page(request: Request) -> None:
    frame = open_frame(request, "overview", "overview")
    await OverviewPage(frame).open()


@ui.page("/chats")
async def chats_page(request: Request, account: str = "") -> None:
    frame = open_frame(request, "chats", "chats")
    await ChatsPage(frame, AccountId(account[:400]) if account else None).open()


@ui.page("/chat")
async def chat_page(request: Request, chat: str = "") -> None:
    frame = open_frame(request, "timeline", "chats")
    gateway = frame.console.gateway
    try:
        target = await gateway.resolve(chat[:800])
        known = await gateway.store.chat(target)
    except (RequestError, StoreError):
        known = None
    if known is None:
        _no_such_chat(frame)
    else:
        await ChatPage(frame, known).open()


def _no_such_chat(frame: Frame) -> None:
    words = frame.words
    with frame.main:
        ui.html(
            tag(
                "div",
                tag("h1", words("chat.unknown")),
                tag("p", words("chat.unknown.how")),
                tag("p", tag("a", words("chats.all"), href=links.chats())),
                class_="empty",
            )
        )


class OverviewPage:
    """Accounts, those that need somebody first."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._first = 0

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        watch = watch_for(frame)
        with frame.main:
            with ui.element("div").classes("title-line"):
                ui.html(join(words("overview")), tag="h1")
                if "weixin" in frame.console.gateway.platforms:
                    ui.html(_button("login", words("login.open"), "primary"))
            self._summary = ui.html("")
            self._trouble = ui.html("")
            self._alerts = ui.html("")
            self._cards = Rows(ui.element("div").classes("cards"))
            self._pager = ui.html("")
            self._login = LoginDialog(frame)
        frame.on_click({"older": self._older, "newer": self._newer, "login": self._login.open})
        self._watch = watch
        await frame.attempt(self._refresh)
        frame.keep_true(watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> int:
        gateway, words = self._frame.console.gateway, self._frame.words
        views = overview.by_urgency(await gateway.accounts())
        ready = await gateway.readiness()
        self._summary.set_content(overview.summary(words, views))
        self._trouble.set_content(overview.trouble(words, ready, gateway.settings.agent == "none"))
        self._alerts.set_content(overview.alerts(words, await gateway.open_alerts()))
        self._first = min(self._first, max(0, len(views) - 1) // ACCOUNTS_SHOWN * ACCOUNTS_SHOWN)
        self._cards.show(self._shown(views))
        self._pager.set_content(
            _pager(self._frame, self._first > 0, self._first + ACCOUNTS_SHOWN < len(views))
        )
        return LOOK_AGAIN_MS

    def _shown(self, views: list[AccountView]) -> list[tuple[str, Html]]:
        words, now_ms = self._frame.words, self._frame.now_ms()
        if not views:
            return [("", overview.no_accounts(words))]
        page = views[self._first : self._first + ACCOUNTS_SHOWN]
        return [(view.account.id, overview.account_card(words, view, now_ms)) for view in page]

    async def _older(self, _: str) -> None:
        self._first += ACCOUNTS_SHOWN
        self._watch.notice()

    async def _newer(self, _: str) -> None:
        self._first = max(0, self._first - ACCOUNTS_SHOWN)
        self._watch.notice()


class ChatsPage:
    """Chats, the most recently used first, a page at a time."""

    def __init__(self, frame: Frame, account: AccountId | None) -> None:
        self._frame = frame
        self._account = account
        self._cursors: list[str | None] = [None]
        self._next: str | None = None

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        watch = self._watch = watch_for(frame)
        with frame.main:
            with ui.element("div").classes("title-line"):
                title = words("chats.of", account=self._account) if self._account else words("chats")
                ui.html(join(title), tag="h1")
                if self._account:
                    ui.html(tag("a", words("chats.all"), href=links.chats()))
            self._table = ui.html("")
            self._pager = ui.html("")
        frame.on_click({"older": self._older, "newer": self._newer})
        await frame.attempt(self._refresh)
        frame.keep_true(watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> None:
        frame = self._frame
        page = await frame.console.gateway.store.chats(self._account, self._cursors[-1], chats.PAGE_ROWS)
        self._next = page.next
        first = len(self._cursors) == 1
        table = chats.chat_table(frame.words, page.rows) if page.rows else chats.no_chats(frame.words)
        self._table.set_content(table)
        self._pager.set_content(_pager(frame, not first, page.next is not None))

    async def _older(self, _: str) -> None:
        if self._next is not None:
            self._cursors.append(self._next)
            self._next = None
            self._watch.notice()

    async def _newer(self, _: str) -> None:
        if len(self._cursors) > 1:
            self._cursors.pop()
            self._watch.notice()


class ChatPage:
    """A window of at most ROWS_MAX rows into a chat's timeline.

    The window ends at the newest row (`before` None) or, after looking further back, above a row of the past.
    """

    def __init__(self, frame: Frame, chat: Chat) -> None:
        self._frame = frame
        self._chat = chat
        self._before: str | None = None
        self._limit = ROWS_FIRST
        self._has_older = False
        self._to_end = False
        self._opened: dict[str, None] = {}
        self._drawn: dict[str, tuple[TimelineRow, Html]] = {}

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        watch = self._watch = watch_for(frame, self._chat.target)
        frame.main.classes("chat-page")
        with frame.main:
            self._head = ui.html("").classes("chat-head")
            ui.html(timeline.legend(words))
            with self._scroll(), ui.element("div").classes("timeline"):
                self._above = ui.html("").classes("above")
                self._rows = Rows(ui.element("ol").classes("rows"), "li")
            self._below = ui.html("").classes("below")
        frame.on_click({"older": self._older, "newest": self._newest, "open": self._open})
        await frame.attempt(self._refresh)
        frame.keep_true(watch, self._refresh)

    def _scroll(self) -> Element:
        """Laid out from its end, so that the browser keeps the newest row in sight by itself."""
        return ui.element("div").classes("scroll").props("tabindex=0 role=log aria-live=polite")

    async def _refresh(self) -> int | None:
        gateway = self._frame.console.gateway
        page = await gateway.store.timeline(self._chat.target, self._before, self._limit)
        self._chat = await gateway.store.chat(self._chat.target) or self._chat
        rows = [gateway.overlay(row) if isinstance(row, Message) else row for row in reversed(page.rows)]
        self._make_room(rows)
        self._has_older = page.next is not None
        self._rows.show(self._draw(rows))
        self._head.set_content(await self._title())
        self._above.set_content(self._edge(bool(rows)))
        self._below.set_content(self._way_back())
        self._scroll_to_end()
        waiting = any(isinstance(row, Message) and row.state.live for row in rows)
        return LIVE_AGAIN_MS if waiting else None

    def _scroll_to_end(self) -> None:
        """Once after a person asked for the newest row; otherwise whoever reads is left where they are."""
        if self._to_end:
            self._to_end = False
            self._frame.client.run_javascript("document.querySelector('.scroll').scrollTop = 0")

    def _draw(self, rows: list[TimelineRow]) -> list[tuple[str, Html]]:
        """The rows as HTML. A row that is as it was is not drawn again: that is most of the work of a refresh."""
        look, before = timeline.Look(self._frame.words, self._opened), self._drawn
        self._drawn = {}
        for row in rows:
            key = timeline.row_id(row)
            drawn = before.get(key)
            if drawn is None or drawn[0] != row:
                drawn = (row, timeline.timeline_row(look, row))
            self._drawn[key] = drawn
        return [(key, html) for key, (_, html) in self._drawn.items()]

    def _make_room(self, rows: list[TimelineRow]) -> None:
        """What comes in at the end pushes nothing out at the top until the window is full."""
        if self._before is None and len(self._rows):
            fresh = sum(timeline.row_id(row) not in self._rows for row in rows)
            self._limit = min(ROWS_MAX, self._limit + fresh)

    async def _title(self) -> Html:
        words, chat = self._frame.words, self._chat
        account = await self._frame.console.gateway.store.account(chat.account)
        live = self._frame.console.gateway.standing.account(account)
        named = chat.title and chat.title != chat.id
        return join(
            tag("h1", tag("bdi", chat.title or chat.id)),
            tag(
                "p",
                overview.state_mark(words, live.state),
                tag("a", tag("bdi", chat.account), href=links.chats(chat.account)),
                tag("bdi", chat.id, class_="quiet") if named else None,
                tag("span", words("chat.paused"), class_="tag wait") if chat.paused else None,
                class_="about",
            ),
        )

    def _edge(self, any_rows: bool) -> Html:
        words = self._frame.words
        if not any_rows:
            return timeline.nothing_yet(words)
        if self._has_older:
            return tag("p", _button("older", words("timeline.older")), class_="edge")
        return tag("p", words("timeline.start"), class_="edge quiet")

    def _way_back(self) -> Html:
        words = self._frame.words
        if self._before is None:
            return tag(
                "p", tag("span", class_="pulse", aria_hidden="true"), words("timeline.live"), class_="live"
            )
        return tag(
            "p", words("timeline.past"), _button("newest", words("timeline.newest"), "primary"), class_="past"
        )

    async def _older(self, _: str) -> None:
        """Half a window further back; a full window loses its newest half."""
        if not self._has_older:
            return
        if self._limit >= ROWS_MAX:
            store = self._frame.console.gateway.store
            self._before = (await store.timeline(self._chat.target, self._before, STEP)).next or self._before
        self._limit = min(ROWS_MAX, self._limit + STEP)
        self._watch.notice()

    async def _newest(self, _: str) -> None:
        self._before, self._limit, self._to_end = None, ROWS_FIRST, True
        self._watch.notice()

    async def _open(self, key: str) -> None:
        """Unfolds or folds what the key names. The oldest unfolded ones are forgotten beyond a bound."""
        if key in self._opened:
            del self._opened[key]
        else:
            self._opened[key] = None
            while len(self._opened) > OPENED_MAX:
                del self._opened[next(iter(self._opened))]
        self._drawn.clear()
        self._watch.notice()


def _button(act: str, text: str, look: str = "") -> Html:
    return tag("button", text, type="button", class_=f"button {look}".strip(), data_do=act)


def _pager(frame: Frame, newer: bool, older: bool) -> Html:
    words = frame.words
    if not (newer or older):
        return Html("")
    return tag(
        "nav",
        tag("button", words("newer"), type="button", class_="button", data_do="newer", disabled=not newer),
        tag("button", words("older"), type="button", class_="button", data_do="older", disabled=not older),
        class_="pager",
        aria_label=words("pages"),
    )
