"""The road in: what a platform said becomes rows, tokens, cursor and events in ONE transaction.

The cursor moves with the messages it covers or not at all. While the store takes nothing, the commit is
tried again and the poller does not poll: nothing is acknowledged that is not on disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from yizhan.core.commands import command_of
from yizhan.core.text import clean
from yizhan.errors import StoreError
from yizhan.model import Access, Account, AccountId, Dispatch, Inbound, InboundId, Target
from yizhan.ports import Arrival, Batch, Chance, Clock, Heard, InboundCommit, InboundCommitted, Store
from yizhan.runtime.door import Admission, Door, new_code
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.patience import persist
from yizhan.runtime.turns import Turns

T = TypeVar("T")

IDLE_CURSOR_MS = 180_000
"""An idle poll's cursor is written at most this often: an older one only repeats what is recognised."""


class InboundRoad:
    """Commits batches and hands what is new to the turns."""

    def __init__(
        self, store: Store, clock: Clock, chance: Chance, door: Door, outbound: Outbound, turns: Turns
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._door = door
        self._outbound = outbound
        self._turns = turns
        self._cursor_saved_ms: dict[AccountId, int] = {}

    async def commit(self, account: Account, batch: Batch) -> None:
        """Stores a batch, however long the store takes, then passes on what is new."""
        now_ms = self._clock.now_ms()
        arrivals = tuple([await self._arrival(account, heard, now_ms) for heard in batch.heard])
        cursor = batch.cursor
        idle = not arrivals and not batch.landmark
        if idle and now_ms - self._cursor_saved_ms.get(account.id, 0) < IDLE_CURSOR_MS:
            cursor = None
        await self._tell_outbound(account.id, batch, now_ms)
        if not arrivals and cursor is None:
            return
        commit = InboundCommit(account.id, arrivals, cursor, now_ms)
        committed = await self._insist(account.id, partial(self._store.commit_inbound, commit))
        if cursor is not None:
            self._cursor_saved_ms[account.id] = now_ms
        for sender in _told_nothing(arrivals, committed):
            self._door.untold(account.id, sender)
        self._pass_on(committed, {arrival.id for arrival in arrivals if arrival.heard.addressed})

    async def recover(self) -> None:
        """What was stored and not yet handed on, after a restart."""
        for inbound in await self._store.pending_inbound():
            self._dispatch(inbound)

    async def _arrival(self, account: Account, heard: Heard, now_ms: int) -> Arrival:
        is_command = command_of(heard.text) is not None
        heard = _cleaned(await self._with_quote(account, heard))
        repeats = self._door.counts and await self._repeats(account, heard)
        admission = self._door.ask(account, heard, now_ms, counted=not (is_command or repeats))
        return Arrival(
            id=InboundId(self._chance.new_id("in")),
            heard=heard,
            received_at_ms=now_ms,
            access=admission.ruling.access,
            dispatch=self._dispatch_of(account.id, admission, heard, is_command),
            rule=admission.ruling.rule,
            code=new_code(self._chance.token_hex(8)) if admission.stranger else "",
        )

    async def _repeats(self, account: Account, heard: Heard) -> bool:
        """Whether the platform says again what is stored: nobody is asking twice."""
        try:
            return await self._store.heard_before(account.id, heard)
        except StoreError:
            return False  # the commit will wait for the store, and recognises it

    async def _with_quote(self, account: Account, heard: Heard) -> Heard:
        """Newer phones tell only the id of what is quoted; the text is in our store, if it ever was here."""
        if heard.quoted_id is None:
            return heard
        try:
            text = await self._store.quoted(account.id, heard.quoted_id)
        except StoreError:
            return heard  # the commit will wait for the store; a message is worth more than its quote
        return heard if text is None else replace(heard, quoted_text=text)

    def _dispatch_of(
        self, account: AccountId, admission: Admission, heard: Heard, is_command: bool
    ) -> Dispatch:
        if admission.ruling.access is not Access.ALLOWED or not admission.asks:
            told = self._turns.shows_codes and admission.stranger and heard.addressed
            return Dispatch.COMMAND if told else Dispatch.DONE
        if is_command:
            return Dispatch.COMMAND
        target = Target(account, heard.chat)
        return Dispatch.TURN if self._turns.answers(target, heard.text) else Dispatch.DONE

    async def _insist(self, account: AccountId, write: Callable[[], Awaitable[T]]) -> T:
        """Until the store takes it: nothing is acknowledged that is not on disk."""

        def tell(error: StoreError) -> None:
            self._outbound.log.warning("inbound.not_stored", account=account, error=error.detail)

        return await persist(self._clock, write, tell)

    async def _tell_outbound(self, account: AccountId, batch: Batch, now_ms: int) -> None:
        """What a platform says beside messages goes to disk before the cursor passes it; told twice it does no harm."""
        for consent in batch.consents:
            await self._insist(account, partial(self._store.note_consent, account, consent, now_ms))
            self._outbound.consents(Target(account, consent.chat), consent.granted)
        for audit in batch.audits:
            await self._insist(account, partial(self._outbound.audits.ended, account, audit))

    def _pass_on(self, committed: InboundCommitted, addressed: set[InboundId]) -> None:
        now_ms = self._clock.now_ms()
        tokens = {(token.account, token.chat): token for token in committed.tokens}
        for inbound in committed.new:
            if inbound.id in addressed:
                token = tokens.get((inbound.account, inbound.chat))
                self._outbound.heard(inbound, token, now_ms)
            self._dispatch(inbound)
        for repeat in committed.suppressed:
            self._outbound.log.info(
                "inbound.repeat", account=repeat.account, same_as=repeat.original_id, rule=repeat.rule
            )

    def _dispatch(self, inbound: Inbound) -> None:
        match inbound.dispatch:
            case Dispatch.TURN:
                self._turns.offer(inbound)
            case Dispatch.COMMAND:
                self._turns.command(inbound)
            case Dispatch.DONE:
                if inbound.access is not Access.ALLOWED:
                    self._outbound.log.info(
                        "inbound.refused",
                        account=inbound.account,
                        access=inbound.access.value,
                        rule=inbound.rule,
                    )


def _told_nothing(arrivals: Sequence[Arrival], committed: InboundCommitted) -> set[str]:
    """Senders whose code came with a repeat: it is not kept, and nobody is told it."""
    new = {inbound.id for inbound in committed.new}
    return {arrival.heard.sender_id for arrival in arrivals if arrival.code and arrival.id not in new}


def _cleaned(heard: Heard) -> Heard:
    return replace(heard, text=clean(heard.text), quoted_text=clean(heard.quoted_text))
