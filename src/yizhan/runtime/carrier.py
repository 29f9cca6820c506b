"""One attempt, from its intent to its settlement:

    begin → encode → send → classify → react → settle

One call per line; no step calls back up, and no step sleeps for a message: what must wait goes back to its lane with
a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from yizhan.core import allowance as allowances
from yizhan.core import limiter, spending
from yizhan.core import unasked as unaskeds
from yizhan.core.lanes import Lanes
from yizhan.core.reaction import Circumstances, Decision, Gates, Numbers, react
from yizhan.core.spending import Entered, Spent
from yizhan.core.tokens import UNTRIED, same, usable
from yizhan.core.verdict import Barred, Delivered, Ghost, InDoubt, Rejected, Verdict, name_of
from yizhan.errors import StoreError
from yizhan.model import (
    UNREPEATABLE,
    Account,
    AccountId,
    ChatId,
    Entry,
    InboundId,
    Message,
    MessageId,
    MessageState,
    ReplyToken,
    Target,
)
from yizhan.ports import Chance, Clock, Evidence, Intent, Settlement, Store
from yizhan.runtime.attempt_log import AttemptLog
from yizhan.runtime.bounded_log import BoundedLog
from yizhan.runtime.lines import Lines, OpenLine
from yizhan.runtime.patience import STORE_PAUSE_MS, persist
from yizhan.runtime.reach import Reach
from yizhan.runtime.silence import Silence

BROKEN = InDoubt("broken", "the attempt broke in the gateway; its log says how")


class Carrier:
    """Puts entries on the wire, one call of `carry` each. `on_held_back` is told the audit for which a part waits,
    `on_barred` when a platform forbids an account to send, `on_trouble` when something happened that a person may have
    to know."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Chance,
        lines: Lines,
        lanes: Lanes,
        reach: Reach,
        silence: Silence,
        numbers: Numbers,
        log: BoundedLog,
        *,
        on_held_back: Callable[[AccountId, str], Awaitable[None]],
        on_barred: Callable[[AccountId, Barred], None],
        on_trouble: Callable[[], None],
    ) -> None:
        self.attempts = AttemptLog(log, lanes, store, clock)
        self._store = store
        self._clock = clock
        self._chance = chance
        self._lines = lines
        self._lanes = lanes
        self._reach = reach
        self._silence = silence
        self._numbers = numbers
        self._log = log
        self._on_held_back = on_held_back
        self._on_barred = on_barred
        self._on_trouble = on_trouble
        self._unsettled: set[MessageId] = set()

    async def carry(self, message: Message, entry: Entry) -> None:
        """One attempt. What the table says was begun and cannot be sent any more is in doubt instead."""
        too_late = entry.state is MessageState.SENDING and message.expires_at_ms <= self._clock.now_ms()
        try:
            if too_late or message.id in self._unsettled:
                await self._doubt(message, entry)
            elif (begun := await self._begin(message, entry)) is not None:
                self._unsettled.add(message.id)  # until its settlement is kept
                await self._finish(*begun)
        except StoreError as error:
            self._log.warning(
                "attempt.not_begun", message=message.id, account=message.account, error=error.detail
            )
            self._lanes.put_back(message.target, self._clock.now_ms() + STORE_PAUSE_MS)

    async def _doubt(self, message: Message, entry: Entry) -> None:
        """An attempt was begun and not settled: it broke in the gateway, or that it was begun was learned too late.
        What is still on the wire in the table is in doubt. Nothing is sent here, so that a defect that stays does not
        repeat the message."""
        line = self._lines.get(message.account)
        if line is not None and entry.state is MessageState.SENDING:
            await self._conclude(line, message, entry, BROKEN, None, None)
            return
        if entry.state is not MessageState.SENDING:  # somebody has ended it meanwhile
            self._unsettled.discard(message.id)
        self._lanes.put_back(message.target, self._clock.now_ms() + STORE_PAUSE_MS)

    async def _begin(
        self, message: Message, entry: Entry
    ) -> tuple[OpenLine, Message, Entry, ReplyToken | None] | None:
        """Writes the intent. None: the entry does not want to be sent any more."""
        line = self._lines.get(message.account)
        if line is None:
            self._lanes.put_back(message.target, self._clock.now_ms() + STORE_PAUSE_MS)
            return None
        again = entry.state is MessageState.SENDING  # begun before, and its commit's answer got lost
        n = entry.attempts_made + (0 if again else 1)
        now_ms, lane, entered = self._clock.now_ms(), self._lanes.lane(message.target), Entered()
        kept = (entry.in_doubt or again) and bool(entry.sent_as)
        token = self._as_before(line, message, entry) if kept else self._token(line, message.target)
        if lane is not None:
            entered = spending.intended(lane, entry, token is not None, now_ms)
        number = entered.ledger.sent if entered.ledger else 0
        sent_as = entry.sent_as if kept else line.platform.codec.address(message.chat, token, number)
        intent = Intent(
            message=message.id,
            no=entry.no,
            n=n,
            at_ms=now_ms,
            with_token=token is not None,
            ledger=entered.ledger,
            sent_as=sent_as,
            unasked=(message.target, unaskeds.encode(entered.unasked)) if entered.unasked else None,
        )
        if not await self._store.begin_attempt(intent):
            self._lanes.put_back(message.target, self._clock.now_ms() + STORE_PAUSE_MS // 10)
            return None
        if lane is not None:
            spending.begun(lane, entered)
        form = line.platform.codec.dress(line.account, message.chat, entry)
        begun = replace(entry, state=MessageState.SENDING, attempts_made=n, sent_as=sent_as, form=form)
        return line, message, begun, token

    async def _finish(self, line: OpenLine, message: Message, entry: Entry, token: ReplyToken | None) -> None:
        """From here the entry is in doubt until it is settled."""
        known = self._usable_token(message.target)
        if entry.sent_as:  # the intent has fixed what it carries
            known = token or known
        else:  # read after the commit: a newer one may have come meanwhile
            token = self._token(line, message.target)
        try:
            request = line.platform.codec.encode(line.account, message.chat, entry, token)
            reply = await line.transport.send(request)
            verdict = line.platform.codec.classify(reply, self._evidence(line, message.target, entry, token))
            self._reach.note(line.host, reply)
            if isinstance(verdict, InDoubt) and not verdict.audit:
                self._silence.suspect(line)
        except Exception as error:  # a fault of ours: what was sent, if anything, is not known
            self._log.error("attempt.broke", message=message.id, account=message.account, exc_info=error)
            verdict = BROKEN
        await self._conclude(line, message, entry, verdict, token, known)

    async def _conclude(
        self,
        line: OpenLine,
        message: Message,
        entry: Entry,
        verdict: Verdict,
        token: ReplyToken | None,
        known: ReplyToken | None,
    ) -> None:
        """Reacts to a verdict, teaches the lane, settles. `known`: the token it could have carried."""
        before, now_ms = self._lanes.gates_of(message.target), self._clock.now_ms()
        decision = self._react(verdict, message, entry, token is not None, known)
        self._teach(message.target, verdict, decision, now_ms)
        spent, lane = Spent(), self._lanes.lane(message.target)
        if lane is not None:
            spent = spending.ended(lane, entry, verdict, decision.trial, token, now_ms)
            decision = spending.parked(lane, decision, now_ms)
        settlement = _settlement(message, entry.attempts_made, now_ms, verdict, decision, before, spent)
        settled = await self._settle(line, message, verdict, settlement)
        self._unsettled.discard(message.id)
        if isinstance(verdict, InDoubt) and verdict.audit:
            await self._on_held_back(message.account, verdict.audit)
        self._lanes.ended(settled)
        self._tell(message, verdict, decision)

    # what is known, and what follows

    def _token(self, line: OpenLine, target: Target) -> ReplyToken | None:
        """The newest token, if the next request of the chat is to carry one."""
        lane = self._lanes.lane(target)
        return lane.token_now(self._clock.now_ms(), line.platform.policy.token_old_ms) if lane else None

    def _as_before(self, line: OpenLine, message: Message, entry: Entry) -> ReplyToken | None:
        """What the last request carried; None if it carried none. A token that is not the newest any more is known by
        the request's words alone."""
        if entry.sent_as == UNREPEATABLE:
            return None
        lane, address = self._lanes.lane(message.target), line.platform.codec.address
        newest, sent = (lane.token, lane.ledger.sent) if lane and lane.ledger else (None, 0)
        if newest is not None and any(
            address(message.chat, newest, n) == entry.sent_as for n in range(1, sent + 1)
        ):
            return newest
        return ReplyToken(message.account, message.chat, InboundId(""), entry.sent_as, 0)

    def _usable_token(self, target: Target) -> ReplyToken | None:
        lane = self._lanes.lane(target)
        return lane.usable_token if lane else None

    def _evidence(self, line: OpenLine, target: Target, entry: Entry, token: ReplyToken | None) -> Evidence:
        """`token_sends`: the ledger's, without the one that is on the wire."""
        now_ms, lane = self._clock.now_ms(), self._lanes.lane(target)
        ledger = lane.ledger if lane else None
        return Evidence(
            with_token=token is not None,
            gives_receipts=line.account.gives_receipts,
            text_bytes=len(entry.text.encode()),
            token_sends=max(0, ledger.used - 1) if ledger else 0,
            token_age_ms=now_ms - token.issued_at_ms if token else None,
            now_ms=now_ms,
            repeated=entry.in_doubt and bool(entry.sent_as) and not entry.unrepeatable,
            form=entry.form,
        )

    def _react(
        self, verdict: Verdict, message: Message, entry: Entry, with_token: bool, known: ReplyToken | None
    ) -> Decision:
        lane = self._lanes.lane(message.target)
        newest = lane.token if lane else None
        seen = Circumstances(
            target=message.target,
            message=message.id,
            entry=entry,
            token=known,
            with_token=with_token,
            has_written=lane.has_written if lane else True,
            gates=self._lanes.gates_of(message.target),
            traffic=self._lanes.traffic(message.target),
            trial=lane.trial if lane else UNTRIED,
            superseded=newest is not None and usable(newest) and (known is None or not same(known, newest)),
        )
        return react(verdict, seen, self._numbers, self._clock.now_ms(), self._chance.jitter())

    def _teach(self, target: Target, verdict: Verdict, decision: Decision, now_ms: int) -> None:
        """What the lanes learn of a reply, before anything else is decided."""
        self._lanes.learned(target, decision.gates, decision.token, decision.trial)
        if (ghost := _ghost(verdict)) is not None:
            self._lanes.receipt(target, not ghost, now_ms, self._numbers.ghosts)
        if decision.pardoned is not None:
            self._lanes.pardoned(decision.pardoned)

    async def _settle(
        self, line: OpenLine, message: Message, verdict: Verdict, settlement: Settlement
    ) -> Message:
        """Ends the attempt in the store, however long the store takes: the outcome is known only here."""
        if _taught(line.account, verdict) is not line.account:
            unfit = verdict.unfit if isinstance(verdict, Rejected) else ""
            settlement = replace(settlement, gives_receipts=isinstance(verdict, Delivered), unfit_form=unfit)
            self._note_taught(message.account, verdict)

        def tell(error: StoreError) -> None:
            self._log.warning(
                "attempt.not_settled", account=message.account, message=message.id, error=error.detail
            )

        return await persist(self._clock, lambda: self._store.settle(settlement), tell)

    def _note_taught(self, account: AccountId, verdict: Verdict) -> None:
        """The line may be another one by now, with a newer login, or none."""
        line = self._lines.get(account)
        if line is not None:
            self._lines[account] = replace(line, account=_taught(line.account, verdict))

    def _tell(self, message: Message, verdict: Verdict, decision: Decision) -> None:
        """The log, and whoever must know at once."""
        self.attempts.ended(message, verdict, decision)
        match verdict:
            case Barred():
                self._on_barred(message.account, verdict)
            case Rejected(instead=form) if form:
                pass
            case InDoubt(audit=audit) if audit:
                pass
            case Rejected() | InDoubt() | Ghost(alarming=True):
                self._on_trouble()
            case _:
                pass


def _taught(account: Account, verdict: Verdict) -> Account:
    """The account with what this verdict says of all of its messages."""
    if isinstance(verdict, Delivered) and not account.gives_receipts:
        return replace(account, gives_receipts=True)
    if isinstance(verdict, Rejected) and verdict.unfit and verdict.unfit not in account.unfit_forms.split():
        return replace(account, unfit_forms=f"{account.unfit_forms} {verdict.unfit}".strip())
    return account


def _settlement(
    message: Message, n: int, at_ms: int, verdict: Verdict, decision: Decision, before: Gates, spent: Spent
) -> Settlement:
    gates = decision.gates
    code = "" if isinstance(verdict, Delivered) else verdict.code
    text = "" if isinstance(verdict, Delivered) else verdict.text
    chat_gate, account_gate = limiter.encode(gates.chat), limiter.encode(gates.account)
    return Settlement(
        message=message.id,
        target=message.target,
        n=n,
        at_ms=at_ms,
        verdict=name_of(verdict),
        code=code,
        text=text,
        entry=decision.entry,
        token=decision.token,
        chat_gate=chat_gate if chat_gate != limiter.encode(before.chat) else None,
        account_gate=account_gate if account_gate != limiter.encode(before.account) else None,
        ghost=_ghost(verdict),
        pardoned=_pardoned(decision),
        ledger=spent.ledger,
        account_allowance=None if spent.learned is None else allowances.encode(spent.learned),
        unasked=None if spent.unasked is None else unaskeds.encode(spent.unasked),
    )


def _ghost(verdict: Verdict) -> bool | None:
    """Whether a receipt was owed and did not come; None where the reply says nothing about that."""
    match verdict:
        case Delivered():
            return False
        case Ghost(alarming=True):
            return True
        case _:
            return None


def _pardoned(decision: Decision) -> tuple[ChatId, str] | None:
    """The chat that is not to blame any more, with its gate as it was."""
    blame = decision.pardoned
    return (blame.target.chat, limiter.encode(blame.before)) if blame else None
