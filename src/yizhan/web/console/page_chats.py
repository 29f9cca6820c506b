"""The list of chats."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from yizhan.model import AccountId
from yizhan.web.console import chats, controls, links
from yizhan.web.console.frame import Frame, open_frame, watch_for
from yizhan.web.console.markup import join, tag

CALM_GAP_MS = 1_000
"""Lists need not move faster than this."""


@ui.page("/chats")
async def chats_page(request: Request, account: str = "", search: str = "") -> None:
    frame = open_frame(request, "chats", "chats")
    await ChatsPage(frame, AccountId(account[:400]) if account else None, search.strip()[:200]).open()


class ChatsPage:
    """Chats, the most recently used first, a page at a time."""

    def __init__(self, frame: Frame, account: AccountId | None, search: str) -> None:
        self._frame = frame
        self._account = account
        self._search = search
        self._cursors: list[str | None] = [None]
        self._next: str | None = None

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        self._watch = watch_for(frame)
        with frame.main:
            with ui.element("div").classes("title-line"):
                title = words("chats.of", account=self._account) if self._account else words("chats")
                ui.html(join(title), tag="h1")
                if self._account or self._search:
                    ui.html(tag("a", words("chats.all"), href=links.chats()))
            ui.html(
                controls.search(
                    words, "chats", words("chats.search"), self._search, account=self._account or ""
                )
            )
            self._table = ui.html("")
            self._pager = ui.html("")
        frame.on_click({"older": self._older, "newer": self._newer})
        await frame.attempt(self._refresh)
        frame.keep_true(self._watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> None:
        frame, gateway = self._frame, self._frame.console.gateway
        page = await gateway.store.chats(self._account, self._cursors[-1], chats.PAGE_ROWS, self._search)
        self._next = page.next
        self._table.set_content(
            chats.chat_list(frame.words, page.rows, gateway.outbound.waiting, self._search)
        )
        self._pager.set_content(controls.pager(frame.words, len(self._cursors) > 1, page.next is not None))

    async def _older(self, _: str) -> None:
        if self._next is not None:
            self._cursors.append(self._next)
            self._next = None
            self._watch.notice()

    async def _newer(self, _: str) -> None:
        if len(self._cursors) > 1:
            self._cursors.pop()
            self._watch.notice()
