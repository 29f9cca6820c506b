"""The writes around the wire: an attempt begins and is settled, a part waits, an audit is heard of; and what was on
the wire when the gateway ended is in doubt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, assert_never

from yizhan.core.reaction import policy_for
from yizhan.model import (
    AccountId,
    Attempt,
    Entry,
    InDoubtPolicy,
    Message,
    MessageState,
    Reason,
    Target,
    WaitingFor,
)
from yizhan.ports import Audit, Intent, Parking, Settlement
from yizhan.store.entries import OFF_THE_WIRE, change_entries, ended, entries_with, entry_at
from yizhan.store.queries import road_out
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet

_SENT = frozenset({MessageState.DELIVERED, MessageState.UNCONFIRMED})

NOT_PASSED = Reason("audit", "the platform has looked at it and will not show it")
CRASHED = Reason("crash", "The gateway ended while it was on the wire; whether it arrived is not known.")


@dataclass(frozen=True, slots=True)
class BeginAttempt:
    """The same attempt may be begun again before it is settled: a caller whose commit got lost asks again. What the
    platform holds back is there already, whatever the caller has last heard of it."""

    label: ClassVar[str] = "begin_attempt"
    alone: ClassVar[bool] = False
    intent: Intent

    def wants(self, wants: Wants) -> None:
        wants.messages.add(self.intent.message)
        if self.intent.unasked is not None:
            wants.chats.add(self.intent.unasked[0])

    def apply(self, rows: WorkingSet) -> bool:
        intent = self.intent
        message = rows.message(intent.message)
        entry = entry_at(message, intent.no)
        if entry.state is MessageState.SENDING:
            return entry.attempts_made == intent.n
        if entry.state not in OFF_THE_WIRE or entry.waiting_for is WaitingFor.AUDIT:
            return False
        rows.begin_attempt(message.id, intent.no, Attempt(intent.n, intent.at_ms, intent.with_token))
        begun = replace(
            entry,
            state=MessageState.SENDING,
            attempts_made=intent.n,
            waiting_for=None,
            next_attempt_at_ms=None,
            reason=None,
            sent_as=intent.sent_as,
        )
        rows.change_message(message, intent.at_ms, entries_with(message, begun))
        if intent.ledger is not None:
            rows.keep_ledger(message.target, intent.ledger)
        if intent.unasked is not None:
            note_unasked(*intent.unasked, rows)
        return True


@dataclass(frozen=True, slots=True)
class Settle:
    """Ends the attempt that was begun. One that has ended already stays as it is; the truth about an entry that
    was cancelled while it was on the wire is still written down."""

    label: ClassVar[str] = "settle"
    alone: ClassVar[bool] = False
    settlement: Settlement

    def wants(self, wants: Wants) -> None:
        wants.messages.add(self.settlement.message)
        wants.chats.add(self.settlement.target)
        wants.accounts.add(self.settlement.target.account)
        if self.settlement.pardoned is not None:
            wants.chats.add(replace(self.settlement.target, chat=self.settlement.pardoned[0]))

    def apply(self, rows: WorkingSet) -> Message:
        settlement = self.settlement
        message = rows.message(settlement.message)
        entry = entry_at(message, settlement.entry.no)
        on_the_wire = entry.state is MessageState.SENDING and entry.attempts_made == settlement.n
        if not on_the_wire and not rows.is_open_attempt(message, entry.no, settlement.n):
            return message
        rows.end_attempt(message.id, entry.no, _attempt_of(settlement))
        self._learn(rows)
        if on_the_wire or settlement.entry.state in _SENT:
            news = _as_accepted(settlement.entry, entry)
            message = rows.change_message(message, settlement.at_ms, entries_with(message, news))
        return message

    def _learn(self, rows: WorkingSet) -> None:
        settlement = self.settlement
        if settlement.token is not None:
            rows.judge_token(settlement.token)
        kept = rows.chats.get(settlement.target)
        if kept is not None:
            chat = kept.chat
            if settlement.chat_gate is not None:
                chat = replace(chat, gate=settlement.chat_gate)
            if settlement.unasked is not None:
                chat = replace(chat, unasked=settlement.unasked)
            if settlement.ghost is not None:
                chat = replace(chat, ghosts=chat.ghosts + 1 if settlement.ghost else 0)
            if settlement.entry.state in _SENT:
                chat = replace(chat, last_outbound_at_ms=max(settlement.at_ms, chat.last_outbound_at_ms or 0))
            if chat != kept.chat:
                rows.put_chat(chat)
        self._pardon(rows)
        self._teach_account(rows)

    def _pardon(self, rows: WorkingSet) -> None:
        if self.settlement.pardoned is None:
            return
        chat_id, gate = self.settlement.pardoned
        kept = rows.chats.get(replace(self.settlement.target, chat=chat_id))
        if kept is not None and kept.chat.gate != gate:
            rows.put_chat(replace(kept.chat, gate=gate))

    def _teach_account(self, rows: WorkingSet) -> None:
        account = rows.accounts.get(self.settlement.target.account)
        if account is None:
            return
        if self.settlement.ledger is not None:
            rows.keep_ledger(self.settlement.target, self.settlement.ledger)
        gate = account.gate if self.settlement.account_gate is None else self.settlement.account_gate
        learned = self.settlement.account_allowance
        allowance = account.allowance if learned is None else learned
        gives_receipts = account.gives_receipts or self.settlement.gives_receipts
        ghosts = account.ghosts
        if self.settlement.ghost is not None:
            ghosts = ghosts + 1 if self.settlement.ghost else 0
        unfit = account.unfit_forms.split()
        if self.settlement.unfit_form and self.settlement.unfit_form not in unfit:
            unfit.append(self.settlement.unfit_form)
        taught = replace(
            account,
            gate=gate,
            gives_receipts=gives_receipts,
            ghosts=ghosts,
            allowance=allowance,
            unfit_forms=" ".join(unfit),
        )
        if taught != account:
            rows.put_account(taught)


def _as_accepted(news: Entry, entry: Entry) -> Entry:
    """The new row with what was fixed when the message was accepted."""
    if news.text == entry.text and news.client_id == entry.client_id and news.attempts == entry.attempts:
        return news
    return replace(news, text=entry.text, client_id=entry.client_id, attempts=entry.attempts)


def _attempt_of(settlement: Settlement) -> Attempt:
    return Attempt(
        n=settlement.n,
        at_ms=settlement.at_ms,
        with_token=False,
        ended_at_ms=settlement.at_ms,
        verdict=settlement.verdict,
        code=settlement.code,
        text=settlement.text,
    )


def note_unasked(target: Target, unasked: str, rows: WorkingSet) -> None:
    kept = rows.chats.get(target)
    if kept is not None and kept.chat.unasked != unasked:
        rows.put_chat(replace(kept.chat, unasked=unasked))


@dataclass(frozen=True, slots=True)
class SettleAudit:
    """The platform has looked at a part that it held back. Rare, so it runs alone; told twice, it changes nothing."""

    label: ClassVar[str] = "settle_audit"
    alone: ClassVar[bool] = True
    account: AccountId
    audit: Audit
    at_ms: int

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> Message | None:
        held = road_out.parts_with_receipt(self.account, self.audit.id)
        for message_id, no in rows.connection.execute(held).all():
            rows.load(Wants(messages={message_id}))
            message = rows.message(message_id)
            entry = entry_at(message, no)
            if entry.waiting_for is WaitingFor.AUDIT:
                news = entries_with(message, _audited(entry, self.audit))
                return rows.change_message(message, self.at_ms, news)
        return None


def _audited(entry: Entry, audit: Audit) -> Entry:
    if not audit.passed:
        return replace(ended(entry, MessageState.FAILED, NOT_PASSED), receipt=None)
    delivered = replace(entry, state=MessageState.DELIVERED, receipt=audit.receipt or audit.id)
    return replace(delivered, waiting_for=None, next_attempt_at_ms=None, reason=None)


@dataclass(frozen=True, slots=True)
class Park:
    """A part that was not tried waits for the other side. Its neighbours wait behind it, and need no row for that."""

    label: ClassVar[str] = "park"
    alone: ClassVar[bool] = False
    parking: Parking

    def wants(self, wants: Wants) -> None:
        wants.messages.add(self.parking.message)

    def apply(self, rows: WorkingSet) -> Message:
        parking = self.parking
        message = rows.message(parking.message)
        entry = entry_at(message, parking.no)
        if entry.state not in OFF_THE_WIRE:
            return message
        waits = replace(
            entry,
            state=MessageState.WAITING,
            waiting_for=parking.waiting_for,
            reason=parking.reason,
            next_attempt_at_ms=parking.next_attempt_at_ms,
        )
        return rows.change_message(message, parking.at_ms, entries_with(message, waits))


@dataclass(frozen=True, slots=True)
class Recover:
    """What was on the wire when the gateway ended is in doubt from now on, and fares as the policy says."""

    label: ClassVar[str] = "recover"
    alone: ClassVar[bool] = True
    at_ms: int
    in_doubt: InDoubtPolicy

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> int:
        ids = rows.connection.scalars(road_out.sending_messages()).all()
        rows.load(Wants(messages=set(ids)))
        return sum(self._doubt(rows, rows.message(message_id)) for message_id in ids)

    def _doubt(self, rows: WorkingSet, message: Message) -> int:
        sending = [entry for entry in message.entries if entry.state is MessageState.SENDING]
        for entry in sending:
            end = Attempt(
                entry.attempts_made, self.at_ms, False, self.at_ms, "InDoubt", CRASHED.code, CRASHED.text
            )
            rows.end_attempt(message.id, entry.no, end)
        rows.change_message(change_entries(message, lambda entry: doubted(entry, self.in_doubt)), self.at_ms)
        return len(sending)


def doubted(entry: Entry, policy: InDoubtPolicy = InDoubtPolicy.RESEND) -> Entry:
    """An entry that was on the wire and whose fate is not known; others as they are."""
    if entry.state is not MessageState.SENDING:
        return entry
    in_doubt = replace(entry, reason=CRASHED, in_doubt=True, possibly_doubled=True)
    match policy_for(entry, policy):
        case InDoubtPolicy.RESEND:
            return replace(in_doubt, state=MessageState.WAITING, waiting_for=WaitingFor.CONNECTION)
        case InDoubtPolicy.HOLD:
            return replace(in_doubt, state=MessageState.WAITING, waiting_for=WaitingFor.OPERATOR)
        case InDoubtPolicy.DROP_VISIBLY:
            return ended(in_doubt, MessageState.UNCONFIRMED, CRASHED)
        case _:
            assert_never(policy)
