"""Turns: who is being answered, who was not, and what a person may do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui
from starlette.requests import Request

from yizhan.errors import RequestError
from yizhan.model import InboundId, Turn, TurnId
from yizhan.web.console import controls, turns
from yizhan.web.console.feed import Watch
from yizhan.web.console.frame import Act, Frame, open_frame, watch_for
from yizhan.web.console.markup import join, tag
from yizhan.web.console.turns import Wish

CALM_GAP_MS = 500


@ui.page("/turns")
async def turns_page(request: Request, state: str = "", account: str = "", chat: str = "") -> None:
    frame = open_frame(request, "turns", "turns")
    await TurnsPage(frame, await _wish(frame, state[:20], account.strip()[:400], chat.strip()[:800])).open()


async def _wish(frame: Frame, state: str, account: str, chat: str) -> Wish:
    state = state if state in turns.GROUPS else ""
    try:
        target = await frame.console.gateway.resolve(chat) if chat else None
    except RequestError:
        target = None
    return Wish(state, account, target, chat)


class TurnsPage:
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
            ui.html(join(words("turns")), tag="h1")
            ui.html(tag("p", words("turns.how"), class_="about"))
            ui.html(turns.filter_form(words, self._wish, accounts))
            if self._wish.wrong:
                ui.html(tag("p", words("filter.chat.wrong"), class_="banner wait", role="alert"))
            self._table = ui.html("")
            self._pager = ui.html("")
        frame.on_click({"older": self._older, "newer": self._newer} | turn_acts(frame, self._watch))
        await frame.attempt(self._refresh)
        frame.keep_true(self._watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> None:
        words = self._frame.words
        rows = await self._read()
        asked = await self._asked(rows)
        self._table.set_content(turns.turn_table(words, rows, asked))
        pager = controls.pager(words, len(self._cursors) > 1, self._next is not None)
        self._pager.set_content(pager)

    async def _read(self) -> tuple[Turn, ...]:
        """None where the wish names a chat that is not."""
        if self._wish.wrong:
            return ()
        store = self._frame.console.gateway.store
        page = await store.turns(self._wish.filter, self._cursors[-1], turns.PAGE_ROWS)
        self._next = page.next
        return page.rows

    async def _asked(self, rows: tuple[Turn, ...]) -> turns.Asked:
        """The first message that each of them answers."""
        first: list[InboundId] = [turn.inbound_ids[0] for turn in rows if turn.inbound_ids]
        found = await self._frame.console.gateway.store.inbound(first) if first else ()
        return {inbound.id: inbound for inbound in found}

    async def _older(self, _: str) -> None:
        if self._next is not None:
            self._cursors.append(self._next)
            self._next = None
            self._watch.notice()

    async def _newer(self, _: str) -> None:
        if len(self._cursors) > 1:
            self._cursors.pop()
            self._watch.notice()


def turn_acts(frame: Frame, watch: Watch) -> dict[str, Act]:
    """What a person may do to a turn, in the list and in a chat's timeline: the same doors as /v1/turns."""
    gateway = frame.console.gateway

    def act(do: Callable[[TurnId], Awaitable[Turn]], told: str) -> Act:
        async def done(turn: str) -> None:
            await do(TurnId(turn))
            frame.tell(frame.words(told))
            watch.notice()

        return done

    return {
        "rerun": act(gateway.rerun, "turns.rerun.done"),
        "stop_turn": act(gateway.stop_turn, "turns.stop.done"),
    }
