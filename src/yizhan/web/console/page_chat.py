"""One chat: its timeline, who answers it, and what a person may do there."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element
from starlette.requests import Request

from yizhan.errors import RequestError, StoreError
from yizhan.model import Chat, Message, MessageClass, MessageId, Target
from yizhan.ports import TimelineRow
from yizhan.runtime.views import Order
from yizhan.web.console import controls, desk, timeline
from yizhan.web.console.feed import Watch
from yizhan.web.console.frame import Act, Fields, Frame, Rows, open_frame, watch_for
from yizhan.web.console.markup import Html, tag
from yizhan.web.console.nowhere import no_such
from yizhan.web.console.page_turns import turn_acts

ROWS_FIRST = 50
ROWS_MAX = 100
STEP = 50
OPENED_MAX = 500
LIVE_AGAIN_MS = 2_000
"""When a timeline in which something waits looks again unasked: gates are no events."""


@ui.page("/chat")
async def chat_page(request: Request, chat: str = "", search: str = "") -> None:
    frame = open_frame(request, "timeline", "chats")
    gateway = frame.console.gateway
    try:
        target = await gateway.resolve(chat[:800])
        known = await gateway.store.chat(target)
    except (RequestError, StoreError):
        known = None
    if known is None:
        no_such(frame, "chat.unknown", "chat.unknown.how")
    else:
        await ChatPage(frame, known, search.strip()[:200]).open()


class ChatPage:
    """A window of at most ROWS_MAX rows into a chat's timeline.

    The window ends at the newest row (`before` None) or, after looking further back, above a row of the past.
    """

    def __init__(self, frame: Frame, chat: Chat, search: str) -> None:
        self._frame = frame
        self._chat = chat
        self._search = search
        self._before: str | None = None
        self._limit = ROWS_FIRST
        self._has_older = False
        self._to_end = False
        self._opened: dict[str, None] = {}
        self._drawn: dict[str, tuple[TimelineRow, Html]] = {}

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        self._watch = watch_for(frame, self._chat.target)
        frame.main.classes("chat-page")
        target = str(self._chat.target)
        with frame.main:
            self._head = ui.html("").classes("chat-head")
            with ui.element("div").classes("chat-tools"):
                ui.html(timeline.legend(words))
                ui.html(controls.search(words, "chat", words("timeline.search"), self._search, chat=target))
            with self._scroll(), ui.element("div").classes("timeline"):
                self._above = ui.html("").classes("above")
                self._rows = Rows(ui.element("ol").classes("rows"), "li")
            self._below = ui.html("").classes("below")
            with ui.element("div").classes("desk"):
                self._who = ui.html("").classes("answering")
                self._answer = ui.html(desk.answer_form(words))
        acts = {"older": self._older, "newest": self._newest, "open": self._open}
        of_chat = ChatActs(frame, self._chat.target, self._watch).by_name()
        frame.on_click({**acts, **of_chat, **turn_acts(frame, self._watch)})
        frame.on_submit({"answer": self._hand_over})
        await frame.attempt(self._refresh)
        frame.keep_true(self._watch, self._refresh)

    def _scroll(self) -> Element:
        """Laid out from its end, so that the browser keeps the newest row in sight by itself."""
        return ui.element("div").classes("scroll").props("tabindex=0 role=log aria-live=polite")

    async def _refresh(self) -> int | None:
        gateway = self._frame.console.gateway
        page = await gateway.store.timeline(self._chat.target, self._before, self._limit, self._search)
        self._chat = await gateway.store.chat(self._chat.target) or self._chat
        rows = [gateway.overlay(row) if isinstance(row, Message) else row for row in reversed(page.rows)]
        self._make_room(rows)
        self._has_older = page.next is not None
        self._rows.show(self._draw(rows))
        await self._show_standing()
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

    async def _show_standing(self) -> None:
        """The account's state, the allowance, and who answers."""
        gateway, words, chat = self._frame.console.gateway, self._frame.words, self._chat
        account = gateway.standing.account(await gateway.store.account(chat.account))
        left = (await gateway.outbound.allowances.of_chats([chat.target])).get(chat.target)
        self._head.set_content(desk.head(words, chat, account, left, self._search))
        self._who.set_content(desk.who_answers(words, chat, gateway.roster.of(chat.target).agent))
        self._answer.set_visibility(chat.taken_over_at_ms is not None)

    def _edge(self, any_rows: bool) -> Html:
        words = self._frame.words
        if not any_rows:
            return timeline.nothing_yet(words, self._search)
        if self._has_older:
            return tag("p", controls.button("older", words("timeline.older")), class_="edge")
        return tag("p", words("timeline.start"), class_="edge quiet")

    def _way_back(self) -> Html:
        words = self._frame.words
        if self._before is None:
            return tag(
                "p", tag("span", class_="pulse", aria_hidden="true"), words("timeline.live"), class_="live"
            )
        return tag(
            "p",
            words("timeline.past"),
            controls.button("newest", words("timeline.newest"), "primary"),
            class_="past",
        )

    async def _older(self, _: str) -> None:
        """Half a window further back; a full window loses its newest half."""
        if not self._has_older:
            return
        if self._limit >= ROWS_MAX:
            store = self._frame.console.gateway.store
            page = await store.timeline(self._chat.target, self._before, STEP, self._search)
            self._before = page.next or self._before
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

    async def _hand_over(self, fields: Fields) -> None:
        """A message of the person's own. Given twice by two presses, it is one."""
        text = "\n".join(fields.get("text", ())).replace("\r\n", "\n")
        if not text.strip():
            self._frame.tell(self._frame.words("answer.empty"), "wait")
            return
        once = "".join(fields.get("once", ()))[:64]
        order = Order(
            str(self._chat.target),
            text,
            MessageClass.REPLY,
            "console",
            idempotency_key=f"console:{once}" if once else None,
        )
        await self._frame.console.gateway.accept(order)
        self._frame.clear_form("answer")
        self._frame.tell(self._frame.words("answer.accepted"))
        await self._newest("")


class ChatActs:
    """What a person may do to a chat and to the messages in it."""

    def __init__(self, frame: Frame, target: Target, watch: Watch) -> None:
        self._frame = frame
        self._target = target
        self._watch = watch

    def by_name(self) -> dict[str, Act]:
        return {
            "takeover": self._take_over,
            "handback": self._hand_back,
            "pause": self._pause,
            "resume": self._resume,
            "retry": self._retry,
            "cancel": self._cancel,
        }

    async def _take_over(self, _: str) -> None:
        await self._frame.console.gateway.take_over(self._target, True)
        self._done("takeover.taken")

    async def _hand_back(self, _: str) -> None:
        await self._frame.console.gateway.take_over(self._target, False)
        self._done("takeover.handed")

    async def _pause(self, _: str) -> None:
        await self._frame.console.gateway.pause_chat(self._target, True)
        self._done("chat.paused.done")

    async def _resume(self, _: str) -> None:
        await self._frame.console.gateway.pause_chat(self._target, False)
        self._done("chat.resumed.done")

    async def _retry(self, message: str) -> None:
        await self._frame.console.gateway.retry(MessageId(message))
        self._done("retry.done")

    async def _cancel(self, message: str) -> None:
        await self._frame.console.gateway.cancel(MessageId(message))
        self._done("cancel.done")

    def _done(self, name: str) -> None:
        self._frame.tell(self._frame.words(name))
        self._watch.notice()
