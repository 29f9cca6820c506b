"""The outbox and its dead letters: found by state, account, chat and cause; acted on one by one, or many at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui
from starlette.requests import Request

from yizhan.errors import RequestError
from yizhan.model import Message, MessageId
from yizhan.web.console import controls, outbox
from yizhan.web.console.frame import Frame, open_frame, watch_for
from yizhan.web.console.markup import Html, join, tag
from yizhan.web.console.outbox import Wish

CALM_GAP_MS = 1_000
LOOK_AGAIN_MS = 5_000
"""What waiting messages wait for, changes without an event."""
AT_ONCE_MAX = 1_000
"""Messages that one press of a button concerns."""
READ_ROWS = 200

Deed = Callable[[MessageId], Awaitable[Message]]


@ui.page("/outbox")
async def outbox_page(
    request: Request, state: str = "", account: str = "", chat: str = "", cause: str = ""
) -> None:
    frame = open_frame(request, "outbox", "outbox")
    wish = await _wish(frame, state[:20], account.strip()[:400], chat.strip()[:800], cause.strip()[:80])
    await OutboxPage(frame, wish).open()


async def _wish(frame: Frame, state: str, account: str, chat: str, cause: str) -> Wish:
    state = state if state in outbox.GROUPS else ""
    try:
        target = await frame.console.gateway.resolve(chat) if chat else None
    except RequestError:
        target = None
    return Wish(state, account, target, chat, cause)


class OutboxPage:
    """One page of what fits the wish, newest first."""

    def __init__(self, frame: Frame, wish: Wish) -> None:
        self._frame = frame
        self._wish = wish
        self._cursors: list[str | None] = [None]
        self._next: str | None = None

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        self._watch = watch_for(frame)
        accounts = [account.id for account in await frame.console.gateway.store.accounts()]
        with frame.main:
            ui.html(join(words("outbox")), tag="h1")
            ui.html(outbox.filter_form(words, self._wish, accounts))
            if self._wish.wrong:
                ui.html(tag("p", words("filter.chat.wrong"), class_="banner wait", role="alert"))
            if self._wish.cause:
                ui.html(tag("p", words("filter.cause.means"), class_="banner calm"))
            ui.html(outbox.bulk_bar(words, self._wish)).classes("bulk")
            self._table = ui.html("")
            self._pager = ui.html("")
        frame.on_click(
            {
                "older": self._older,
                "newer": self._newer,
                "retry": self._retry,
                "cancel": self._cancel,
                "retry_all": self._retry_all,
                "cancel_all": self._cancel_all,
            }
        )
        await frame.attempt(self._refresh)
        frame.keep_true(self._watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> int:
        words = self._frame.words
        messages, self._next = await self._read(self._cursors[-1], outbox.PAGE_ROWS)
        self._table.set_content(outbox.message_table(words, messages))
        self._pager.set_content(self._where(len(messages)))
        return LOOK_AGAIN_MS

    async def _read(self, after: str | None, limit: int) -> tuple[list[Message], str | None]:
        """Messages as they stand now; none where the wish names a chat that is not."""
        if self._wish.wrong:
            return [], None
        gateway = self._frame.console.gateway
        page = await gateway.store.messages(self._wish.filter, after, limit)
        return [gateway.overlay(message) for message in page.rows], page.next

    def _where(self, shown: int) -> Html:
        words, first = self._frame.words, (len(self._cursors) - 1) * outbox.PAGE_ROWS
        if not shown:
            return controls.pager(words, first > 0, False)
        told = tag("p", words("outbox.total", from_=first + 1, to=first + shown), class_="quiet")
        return tag("div", told, controls.pager(words, first > 0, self._next is not None), class_="pager-line")

    async def _retry(self, ids: str) -> None:
        await self._each("retried", self._frame.console.gateway.retry, ids.split())

    async def _cancel(self, ids: str) -> None:
        await self._each("cancelled", self._frame.console.gateway.cancel, ids.split())

    async def _retry_all(self, _: str) -> None:
        ids, more = await self._all_that_fit()
        await self._each("retried", self._frame.console.gateway.retry, ids, more)

    async def _cancel_all(self, _: str) -> None:
        ids, more = await self._all_that_fit()
        await self._each("cancelled", self._frame.console.gateway.cancel, ids, more)

    async def _each(self, told: str, deed: Deed, ids: list[str], more: bool = False) -> None:
        """Done to each; what has changed its state meanwhile is left alone, and counted."""
        done = 0
        for message in ids[:AT_ONCE_MAX]:
            try:
                await deed(MessageId(message))
                done += 1
            except RequestError:
                pass
        left = min(len(ids), AT_ONCE_MAX) - done
        text = outbox.done_words(self._frame.words, told, done, left, more)
        self._frame.tell(text, "good" if done else "wait")
        self._watch.notice()

    async def _all_that_fit(self) -> tuple[list[str], bool]:
        """Ids, the oldest first, so that what is revived goes in its old order; and whether there are more."""
        ids, after = [], None
        while True:
            messages, after = await self._read(after, READ_ROWS)
            ids += [str(message.id) for message in messages]
            if after is None or len(ids) >= AT_ONCE_MAX:
                return ids[:AT_ONCE_MAX][::-1], after is not None

    async def _older(self, _: str) -> None:
        if self._next is not None:
            self._cursors.append(self._next)
            self._next = None
            self._watch.notice()

    async def _newer(self, _: str) -> None:
        if len(self._cursors) > 1:
            self._cursors.pop()
            self._watch.notice()
