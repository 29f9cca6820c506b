"""The line of one QQ bot over its socket, or sockets: QQ divides a large bot's guilds among several shards.

    receive ──► each shard has a turn: connect, hear, renew ──► what all have heard, as one batch
                    └── lost: tried again when it is due, while the others go on; told with the next batch

Persons and groups belong to the first shard, so that nearly every bot is one shard and no more. The bot is up when
all of them are: a bot of which one part is deaf is not well, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from yizhan.core.connection import Line, Lost, NotGranted, Step
from yizhan.model import Account, AccountState, ChatId, Reason, ReplyToken
from yizhan.platforms.qq.access import Access
from yizhan.platforms.qq.api import Api, sent, type_in
from yizhan.platforms.qq.buttons import Buttons
from yizhan.platforms.qq.callbacks import NO_WEBHOOK
from yizhan.platforms.qq.dialling import Dialler
from yizhan.platforms.qq.events import batch_of, read_event
from yizhan.platforms.qq.intents import missing, not_granted
from yizhan.platforms.qq.line import PROBE_MS, Deliver, Entered
from yizhan.platforms.qq.link import News
from yizhan.platforms.qq.policy import POLICY, SIGN_MS
from yizhan.platforms.qq.session import Places, read_places, write_places
from yizhan.platforms.qq.shard import Shard
from yizhan.ports import (
    Answer,
    Batch,
    Callback,
    CallbackRefused,
    Chance,
    Clock,
    Http,
    Lacking,
    Reply,
    Request,
    Sockets,
)

log = structlog.get_logger("qq")

BATCH_MAX = 200
FRESH_MS = 2_000
"""A sign of life that is no older when a message goes out shows that QQ sees us."""
RENUMBERED = frozenset({"close 4010", "close 4011"})
"""The bot is to be divided otherwise. Source: D25, D26."""


class QqTransport:
    """`ports.Transport` for QQ."""

    def __init__(
        self,
        account: Account,
        http: Http,
        sockets: Sockets,
        access: Access,
        clock: Clock,
        chance: Chance,
        *,
        typing: bool = False,
        hopes: bool = False,
    ) -> None:
        """`hopes`: a person has just acted on the account; events that QQ did not grant are asked for again soon."""
        self._account = account
        self._api = Api(http, access, clock)
        self._clock = clock
        self._chance = chance
        self._dialler = Dialler(account, self._api, access, sockets, clock)
        self._shards: list[Shard] = []
        self._of: int | None = None
        self._anew = False
        self._ended: Lost | None = None
        self._left: list[Deliver] = []
        self._places = Places()
        self._typing = typing
        self._hopes = hopes
        self._rested = False
        self._woken = asyncio.Event()
        self._buttons = Buttons(account, self._api)

    @property
    def not_granted(self) -> NotGranted | None:
        return not_granted(max((shard.rung for shard in self._shards), default=0))

    async def open(self) -> None:
        """Connecting is announcing enough."""

    async def receive(self, cursor: str, hold_ms: int) -> Batch | Lost:
        """News of the line; see `ports.Transport`. After a loss of all shards each tries again at once."""
        if self._ended is not None:
            return self._end_of_division(self._ended)
        self._places = self._still_true(read_places(cursor))
        while True:
            self._begin_turns(self._places)
            await self._some_turn()
            over = [shard for shard in self._shards if shard.turn is not None and shard.turn.done()]
            if not over:
                continue
            ready = []
            for shard in over:
                lost = shard.end()
                if lost is not None:
                    return await self._lose(shard, lost)
                ready.append(shard)
            return self._batch(ready)

    def look(self) -> None:
        for shard in self._shards:
            shard.look()
        self._woken.set()

    async def called_back(self, callback: Callback) -> CallbackRefused:
        """Of a bot that keeps a socket, nothing comes by another way."""
        return NO_WEBHOOK

    async def send(self, request: Request) -> Reply:
        """A socket may be dead on one side and not be known to be: while the request is on its way, a line that has
        been silent for a moment is asked for a sign; and once more if the host has slept meanwhile. All of it takes no
        longer than a send may."""
        until_ms = self._clock.now_ms() + POLICY.send_timeout_ms
        link, since_ms = self._shards[0].link if self._shards else None, self._fresh_since_ms(FRESH_MS)
        if link is not None:
            link.ask(since_ms)
        reply = sent(await self._api.call(request))
        if link is None or not isinstance(reply, Answer) or reply.status >= 300:
            return reply
        since_ms = max(since_ms, self._fresh_since_ms(FRESH_MS + POLICY.send_timeout_ms))
        link.ask(since_ms)
        left_ms = max(SIGN_MS, min(PROBE_MS, until_ms - self._clock.now_ms()))
        try:
            async with asyncio.timeout(left_ms / 1_000):
                return replace(reply, seen=await link.vouches(since_ms))
        except TimeoutError:
            return replace(reply, seen=False)

    def _fresh_since_ms(self, old_ms: int) -> int:
        """Since when a sign of life counts; after the host has slept, only from now on."""
        now_ms = self._clock.now_ms()
        return now_ms if self._clock.has_slept() else now_ms - old_ms

    async def typing(self, chat: ChatId, token: ReplyToken | None, on: bool) -> None:
        """Shown where that was asked for: it may cost one of the answers that a message permits."""
        if self._typing and on:
            await type_in(self._account, self._api, chat, token, self._clock.now_ms())

    async def close(self, announce: bool) -> Batch | None:
        """Ends the sockets. A session that nobody has heard of cannot be resumed, so what was said in it is not told
        again unless its beginning is known; what comes behind the first of it is."""
        self._note_division()
        left, self._left = self._left, []
        dropped = await self._drop_shards()
        self._buttons.close()
        heard = {number: news[:BATCH_MAX] for number, news in dropped.items()}
        return self._news(heard, left) if left or any(heard.values()) else None

    # turns of the shards

    def _still_true(self, places: Places) -> Places:
        """What is stored of the shards that there are. Divided anew, nothing of the old division can be resumed."""
        if not self._shards and not self._anew and places.sessions:
            self._of = places.of
        return places if places.of == self._of else Places(self._of or 1)

    def _begin_turns(self, places: Places) -> None:
        """Each shard that is connected listens; the others try when they are due, or at once where whoever calls has
        waited already."""
        at_once, self._rested = self._rested, False
        self._note_division()
        for number in range(len(self._shards), self._of or 1):
            self._shards.append(self._shard(number))
        for shard in self._shards:
            if shard.link is not None or at_once or self._clock.now_ms() >= shard.due_ms:
                shard.begin(places.sessions.get(shard.number))

    def _note_division(self) -> None:
        if self._shards:
            self._of = self._shards[0].of or self._of

    def _shard(self, number: int) -> Shard:
        rung = self._shards[0].rung if self._shards else 0
        return Shard(
            self._account.id,
            number,
            self._of,
            rung,
            self._dialler,
            self._clock,
            self._chance,
            self._heard,
            self._hopes,
        )

    async def _some_turn(self) -> None:
        """Until a turn is over, or a shard is to be tried again: when it is due, or when the host has slept."""
        turns = [shard.turn for shard in self._shards if shard.turn is not None]
        dues_ms = [shard.due_ms for shard in self._shards if shard.turn is None]
        if not dues_ms:
            await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED)
            return
        self._woken.clear()
        woken = asyncio.create_task(self._woken.wait())
        wait_s = max(0, min(dues_ms) - self._clock.now_ms()) / 1_000
        try:
            await asyncio.wait({*turns, woken}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    async def _lose(self, shard: Shard, lost: Lost) -> Batch | Lost:
        """A shard is lost: the line, if nothing else stands or is about to."""
        if lost.code in RENUMBERED:
            dropped = await self._drop_shards()
            self._left = [each for news in dropped.values() for each in news if isinstance(each, Deliver)]
            self._of, self._anew, self._ended = None, True, lost
            return self._end_of_division(lost)
        if any(each.up or each.turn is not None for each in self._shards):
            return Batch((), lacking=self._lacking(attempted=True))
        self._rested = True
        return lost

    def _end_of_division(self, lost: Lost) -> Batch | Lost:
        """Nothing of it can be resumed: what was heard in it and not taken comes first, then how it ended."""
        taken, self._left = self._left[:BATCH_MAX], self._left[BATCH_MAX:]
        if taken:
            batch = batch_of(read_event(news.frame) for news in taken)
            return replace(batch, lacking=_out(Reason(lost.code, lost.text)))
        self._ended, self._rested = None, True
        return lost

    async def _drop_shards(self) -> dict[int, list[News]]:
        """What each has heard and nobody has taken."""
        shards, self._shards = self._shards, []
        return {shard.number: await shard.close() for shard in shards}

    # news

    def _batch(self, ready: Sequence[Shard]) -> Batch:
        self._note_division()
        batch = self._news({shard.number: shard.take(BATCH_MAX) for shard in ready})
        if batch.landmark:
            self._tell_intents()
        return replace(batch, lacking=self._lacking())

    def _news(self, heard: Mapping[int, Sequence[News]], left: Sequence[Deliver] = ()) -> Batch:
        """What the shards have heard, in order, and the places in their sessions that cover it. `left`: of an older
        division, where no place covers anything any more."""
        sessions = dict(self._places.sessions) if self._places.of == self._of else {}
        for number, news in heard.items():
            moves = [each.session for each in news if isinstance(each, Deliver | Entered)]
            sessions |= {number: moves[-1]} if moves else {}
        taken = [each for news in heard.values() for each in news]
        delivered = [each for each in taken if isinstance(each, Deliver)]
        landmark = any(isinstance(each, Entered) for each in taken)
        batch = batch_of(read_event(each.frame) for each in (*left, *delivered))
        if not landmark and not delivered:
            return batch
        self._places = Places(self._of or 1, sessions)
        return replace(batch, cursor=write_places(self._places), landmark=landmark)

    def _lacking(self, attempted: bool = False) -> Lacking | None:
        """What is not in; None: nothing. Of a bot of one shard a loss tells it, but where a replay broke off: what was
        heard of it comes before that, and nothing may be sent meanwhile."""
        of = self._of or 1
        out = [shard for shard in self._shards if not shard.up]
        if of == 1:
            part = self._shards[0].broke_off if self._shards else None
            return _out(Reason(part.code, part.ending.text)) if part is not None else None
        if not out and len(self._shards) == of:
            return None
        number = out[0].number if out else len(self._shards)
        name = f"shard {number + 1} of {of}"
        after = out[0].after if out else None
        if after is None or after.reason is None:
            reason = Reason("shard-connecting", f"{name} is not connected yet")
            return _out(reason, attempted, self._shards[0].up)
        told = replace(after, reason=Reason(after.reason.code, f"{name}: {after.reason.text}"))
        return Lacking(told, out[0].due_ms, attempted, self._shards[0].up)

    def _tell_intents(self) -> None:
        rung = max(shard.rung for shard in self._shards)
        if rung:
            log.warning("qq.fewer_events", account=self._account.id, not_granted=missing(rung))

    def _heard(self, news: Deliver) -> None:
        """As it comes: only what cannot wait for the store."""
        self._buttons.heard(read_event(news.frame))


def _out(reason: Reason, attempted: bool = False, speaks: bool = False) -> Lacking:
    """Something is out, and tried again at once."""
    return Lacking(Step(Line(), AccountState.DEGRADED, 0, reason), None, attempted, speaks)
