"""The "typing…" of one account's chats: a ticket per chat, shown at most every 5 s, ended with a fresh ticket.

Whoever answers calls `show` as often as he likes and `end` once. The signal is a courtesy: whatever fails
is forgotten, and a chat whose tickets cannot be had is left alone for 2 s, 4 s … up to an hour.

Source: @tencent-weixin/openclaw-weixin 2.4.9 (calls, growing pause); hermes-agent #38085: a ticket ends after
about 10 min, and a stop that is sent with a dead one leaves the signal on the phone for ever.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from yizhan.model import Account, ChatId
from yizhan.platforms.ilink.calls import Calls
from yizhan.platforms.ilink.listening import read
from yizhan.ports import Clock, Http, Lost, Request

TICKET_LIVES_MS = 540_000
"""A minute less than the 10 min that tickets were seen to live."""
SHOWN_EVERY_MS = 5_000
PAUSE_MIN_MS, PAUSE_MAX_MS = 2_000, 3_600_000
CHATS_KEPT = 1_000


@dataclass(slots=True)
class _Chat:
    """What is known of one chat's signal. `shown_at_ms` is None while none is believed to be on the phone."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    ticket: str = field(repr=False, default="")
    ticket_at_ms: int = 0
    shown_at_ms: int | None = None
    pause_ms: int = 0
    ready_at_ms: int = 0


class TypingSignal:
    """Shows and ends the signal. Never raises for what the network or the server does."""

    def __init__(self, account: Account, http: Http, calls: Calls, clock: Clock) -> None:
        self._account = account
        self._http = http
        self._calls = calls
        self._clock = clock
        self._chats: OrderedDict[ChatId, _Chat] = OrderedDict()

    async def show(self, chat: ChatId, token: str) -> None:
        """Shows the signal unless it was shown a moment ago, is just being shown, or its chat is left alone."""
        row = self._row(chat)
        if row.turn.locked() or not self._due(row):
            return
        async with row.turn:
            row.shown_at_ms = self._clock.now_ms()
            self._learn(row, await self._say(row, chat, token, on=True))

    async def end(self, chat: ChatId, token: str) -> None:
        """Ends the signal if it may be on; with a second, fresh ticket if the first is refused."""
        row = self._row(chat)
        async with row.turn:
            if row.shown_at_ms is None:
                return
            row.shown_at_ms = None
            if not await self._say(row, chat, token, on=False):
                await self._say(row, chat, token, on=False)

    def _row(self, chat: ChatId) -> _Chat:
        row = self._chats.setdefault(chat, _Chat())
        self._chats.move_to_end(chat)
        if len(self._chats) > CHATS_KEPT:
            self._chats.popitem(last=False)
        return row

    def _due(self, row: _Chat) -> bool:
        now_ms = self._clock.now_ms()
        again_at_ms = 0 if row.shown_at_ms is None else row.shown_at_ms + SHOWN_EVERY_MS
        return now_ms >= max(again_at_ms, row.ready_at_ms)

    def _learn(self, row: _Chat, shown: bool) -> None:
        if shown:
            row.pause_ms = 0
            return
        row.pause_ms = min(PAUSE_MAX_MS, max(PAUSE_MIN_MS, 2 * row.pause_ms))
        row.ready_at_ms = self._clock.now_ms() + row.pause_ms

    async def _say(self, row: _Chat, chat: ChatId, token: str, on: bool) -> bool:
        """One call with a living ticket; a refused ticket is thrown away. True if the server took it."""
        if not await self._has_ticket(row, chat, token):
            return False
        taken = await self._taken(self._calls.typing(self._account, chat, row.ticket, on))
        if not taken:
            row.ticket = ""
        return taken

    async def _has_ticket(self, row: _Chat, chat: ChatId, token: str) -> bool:
        now_ms = self._clock.now_ms()
        if row.ticket and now_ms - row.ticket_at_ms < TICKET_LIVES_MS:
            return True
        envelope = read(await self._http.call(self._calls.config(self._account, chat, token)))
        row.ticket = (
            "" if isinstance(envelope, Lost) or envelope.code else envelope.fields.text("typing_ticket")
        )
        row.ticket_at_ms = now_ms
        return bool(row.ticket)

    async def _taken(self, request: Request) -> bool:
        envelope = read(await self._http.call(request))
        return not isinstance(envelope, Lost) and not envelope.code
