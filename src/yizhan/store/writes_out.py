"""The writes of the road out: accept, begin, settle, and what people do to a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, assert_never

from yizhan.core.reaction import policy_for
from yizhan.errors import IdempotencyConflict, InvalidRequest, NotCancellable, NotRevivable, UnknownMessage
from yizhan.model import (
    AccountId,
    Attempt,
    Entry,
    InboundId,
    InDoubtPolicy,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Reason,
    Target,
    TurnState,
    WaitingFor,
)
from yizhan.ports import Accepted, Audit, Draft, Expired, Intent, Parking, Settlement
from yizhan.store.queries import road_out
from yizhan.store.rows import KeptMessage, KeptTurn
from yizhan.store.working_set import Wants, WorkingSet

_OFF_THE_WIRE = frozenset({MessageState.QUEUED, MessageState.WAITING})
_REVIVABLE = frozenset(
    {MessageState.UNCONFIRMED, MessageState.FAILED, MessageState.EXPIRED, MessageState.CANCELLED}
)
_SENT = frozenset({MessageState.DELIVERED, MessageState.UNCONFIRMED})

CANCELLED = Reason("cancelled", "A person cancelled it.")
SUPERSEDED = Reason("superseded", "the answer came before it was sent")
POINTLESS = Reason("superseded", "what it says was no longer so before it was sent")
EXPIRED = Reason("expired", "Its time was over before it could be sent.")
UNHEARD_OF = Reason(
    "audit-unheard",
    "the platform took it, held it back to look at it first, and has not said what became of it",
)
NOT_PASSED = Reason("audit", "the platform has looked at it and will not show it")
CRASHED = Reason("crash", "The gateway ended while it was on the wire; whether it arrived is not known.")


def want_draft(draft: Draft, wants: Wants) -> None:
    wants.accounts.add(draft.target.account)
    wants.chats.add(draft.target)
    wants.messages.add(draft.id)
    if draft.idempotency_key is not None:
        wants.keys.add((draft.target.account, draft.idempotency_key))
    if draft.in_reply_to is not None:
        wants.inbound.add(draft.in_reply_to)
    if draft.klass is MessageClass.REPLY:
        wants.progress.add(draft.target)


def existing_message(draft: Draft, rows: WorkingSet) -> KeptMessage | None:
    """What was accepted before under the draft's id or key, whatever its body."""
    existing = rows.messages.get(draft.id)
    if existing is None and draft.idempotency_key is not None:
        by_key = rows.by_key.get((draft.target.account, draft.idempotency_key))
        existing = None if by_key is None else rows.messages[by_key]
    return existing


def check_draft(draft: Draft, rows: WorkingSet) -> Message | None:
    """The message that exists already under the draft's id or key, None if it is new. Raises as accept."""
    existing = existing_message(draft, rows)
    if existing is not None:
        by_key = existing.message.id != draft.id
        if by_key and not draft.keep_first and existing.body_sha256 != draft.body_sha256:
            raise IdempotencyConflict(
                f"The idempotency key was used before, for message {existing.message.id} with another body.",
                "Use a new key for a new message.",
            )
        return existing.message
    rows.account(draft.target.account)
    if draft.in_reply_to is not None:
        _check_reply(draft.in_reply_to, draft.target, rows)
    return None


def _check_reply(inbound_id: InboundId, target: Target, rows: WorkingSet) -> None:
    kept = rows.inbound.get(inbound_id)
    if kept is None:
        raise UnknownMessage(
            f"There is no received message {inbound_id} to reply to.",
            "Use the id of a message.received event, or leave in_reply_to out.",
        )
    if (kept.inbound.account, kept.inbound.chat) != (target.account, target.chat):
        raise InvalidRequest(
            f"The received message {inbound_id} belongs to another chat than {target}.",
            "Reply in the chat in which it was received.",
        )


def accept_draft(draft: Draft, rows: WorkingSet) -> Accepted:
    """Accepts a draft that `check_draft` found new, or answers what there is. An answer ends the progress lines
    before it, in the same commit: neither a crash nor a full queue can come between."""
    existing = check_draft(draft, rows)
    if existing is not None:
        return Accepted(existing, created=False)
    rows.chat_for(draft.target, draft.created_at_ms)
    message = _message_of(draft, rows.next_seq(draft.target))
    rows.add_message(KeptMessage(message, draft.body_sha256))
    superseded = _supersede(draft, rows) if draft.klass is MessageClass.REPLY else ()
    return Accepted(message, created=True, superseded=superseded)


def _supersede(answer: Draft, rows: WorkingSet) -> tuple[MessageId, ...]:
    """The answer is there: what was to be said of its making need not be said any more."""
    pointless = tuple(rows.untouched_progress(answer.target))
    for message in pointless:
        rows.change_message(end_waiting(message, MessageState.CANCELLED, SUPERSEDED), answer.created_at_ms)
    return tuple(message.id for message in pointless)


def _message_of(draft: Draft, seq: int) -> Message:
    parts = enumerate(zip(draft.texts, draft.client_ids, strict=True), start=1)
    return Message(
        id=draft.id,
        account=draft.target.account,
        chat=draft.target.chat,
        seq=seq,
        klass=draft.klass,
        source=draft.source,
        text=draft.text,
        created_at_ms=draft.created_at_ms,
        expires_at_ms=draft.expires_at_ms,
        entries=tuple(Entry(no, text, client_id) for no, (text, client_id) in parts),
        idempotency_key=draft.idempotency_key,
        in_reply_to=draft.in_reply_to,
        turn_id=draft.turn_id,
        ordinal=draft.ordinal,
        not_before_ms=draft.not_before_ms,
    )


def change_entries(message: Message, change: Callable[[Entry], Entry]) -> Message:
    return replace(message, entries=tuple(change(entry) for entry in message.entries))


_GIVEN_UP_BY_US = frozenset({MessageState.CANCELLED, MessageState.EXPIRED})


def ended(entry: Entry, state: MessageState, reason: Reason) -> Entry:
    """The entry, over for good. What the platform has taken, and holds back for an audit, it may still show after we
    have given it up."""
    shown_yet = entry.waiting_for is WaitingFor.AUDIT and state in _GIVEN_UP_BY_US
    return replace(
        entry,
        state=state,
        reason=reason,
        waiting_for=None,
        next_attempt_at_ms=None,
        possibly_doubled=entry.possibly_doubled or shown_yet,
    )


@dataclass(frozen=True, slots=True)
class Accept:
    label: ClassVar[str] = "accept"
    alone: ClassVar[bool] = False
    draft: Draft

    def wants(self, wants: Wants) -> None:
        want_draft(self.draft, wants)

    def apply(self, rows: WorkingSet) -> Accepted:
        """An answer for which a turn has waited ends that turn, in the same commit."""
        waiting = _waiting_turn(self.draft, rows)
        if waiting is None:
            return accept_draft(self.draft, rows)
        turn, at_ms = waiting.turn, self.draft.created_at_ms
        accepted = accept_draft(replace(self.draft, turn_id=turn.id, ordinal=turn.outputs), rows)
        if accepted.created:
            over = replace(turn, state=TurnState.DONE, ended_at_ms=at_ms, outputs=turn.outputs + 1)
            rows.put_turn(waiting._replace(turn=over), at_ms)
        return accepted


def _waiting_turn(draft: Draft, rows: WorkingSet) -> KeptTurn | None:
    """The turn that waits for this answer, None if none does."""
    inbound = rows.inbound.get(draft.in_reply_to) if draft.in_reply_to else None
    turn_id = inbound.inbound.turn_id if inbound else None
    if turn_id is None or draft.turn_id is not None or draft.klass is MessageClass.PROGRESS:
        return None
    if turn_id not in rows.turns:
        rows.load(Wants(turns={turn_id}))
    kept = rows.turns.get(turn_id)
    return kept if kept is not None and kept.turn.state is TurnState.WAITING else None


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
        if entry.state not in _OFF_THE_WIRE or entry.waiting_for is WaitingFor.AUDIT:
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
        if entry.state not in _OFF_THE_WIRE:
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
class Withdraw:
    """What the gateway itself wanted to say is no longer so. Once it is on the wire it stays as it is."""

    label: ClassVar[str] = "withdraw"
    alone: ClassVar[bool] = False
    message: MessageId
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.messages.add(self.message)

    def apply(self, rows: WorkingSet) -> Message:
        message = rows.message(self.message)
        return rows.change_message(end_waiting(message, MessageState.CANCELLED, POINTLESS), self.at_ms)


@dataclass(frozen=True, slots=True)
class Cancel:
    label: ClassVar[str] = "cancel"
    alone: ClassVar[bool] = False
    message: MessageId
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.messages.add(self.message)
        wants.with_attempts.add(self.message)

    def apply(self, rows: WorkingSet) -> Message:
        message = rows.message(self.message)
        if not any(entry.state in _OFF_THE_WIRE for entry in message.entries):
            raise NotCancellable(
                f"Message {self.message} is {message.state.value}: nothing of it is still waiting.",
                "Only what has not been sent can be cancelled.",
            )
        return rows.change_message(end_waiting(message, MessageState.CANCELLED, CANCELLED), self.at_ms)


@dataclass(frozen=True, slots=True)
class Retry:
    label: ClassVar[str] = "retry"
    alone: ClassVar[bool] = False
    message: MessageId
    at_ms: int
    expires_at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.messages.add(self.message)
        wants.with_attempts.add(self.message)

    def apply(self, rows: WorkingSet) -> Message:
        message = rows.message(self.message)
        if not any(
            entry.state in _REVIVABLE or entry.state is MessageState.WAITING for entry in message.entries
        ):
            raise NotRevivable(
                f"Message {self.message} is {message.state.value}: there is nothing to try again.",
                "Only failed, expired, cancelled, unconfirmed or waiting messages can be retried.",
            )
        rows.account(message.account)
        revived = replace(
            change_entries(message, self._revive),
            expires_at_ms=max(message.expires_at_ms, self.expires_at_ms),
        )
        return rows.change_message(revived, self.at_ms)

    def _revive(self, entry: Entry) -> Entry:
        if entry.waiting_for is WaitingFor.AUDIT:  # the platform has it
            return entry
        if entry.state is MessageState.WAITING:
            held = entry.waiting_for is WaitingFor.OPERATOR
            return replace(
                entry,
                next_attempt_at_ms=self.at_ms,
                waiting_for=WaitingFor.CONNECTION if held else entry.waiting_for,
            )
        if entry.state not in _REVIVABLE:
            return entry
        return replace(
            entry,
            state=MessageState.QUEUED,
            waiting_for=None,
            next_attempt_at_ms=None,
            reason=None,
            receipt=None,
            possibly_doubled=entry.possibly_doubled or entry.state is MessageState.UNCONFIRMED,
        )


@dataclass(frozen=True, slots=True)
class ExpireDue:
    label: ClassVar[str] = "expire_due"
    alone: ClassVar[bool] = True
    at_ms: int
    limit: int
    unheard_since_ms: int | None = None

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> Expired:
        due = rows.connection.scalars(road_out.DUE_MESSAGES, {"at_ms": self.at_ms, "most": self.limit}).all()
        rows.load(Wants(messages=set(due)))
        touched: dict[Target, None] = {}
        for message_id in due:
            message = rows.message(message_id)
            rows.change_message(end_waiting(message, MessageState.EXPIRED, EXPIRED), self.at_ms)
            touched[message.target] = None
        for message in self._unheard_of(rows):
            rows.change_message(change_entries(message, _given_up), self.at_ms)
            touched[message.target] = None
        return Expired(tuple(touched), None if touched else rows.connection.scalar(road_out.NEXT_EXPIRY))

    def _unheard_of(self, rows: WorkingSet) -> list[Message]:
        """What is held back and still lives, sent so long ago that nobody will say what became of it."""
        if self.unheard_since_ms is None:
            return []
        asked = {"before_ms": self.unheard_since_ms, "most": self.limit}
        found = rows.connection.scalars(road_out.UNHEARD_OF, asked).all()
        rows.load(Wants(messages=set(found)))
        held = (rows.message(message_id) for message_id in found)
        return [message for message in held if message.waiting_for is WaitingFor.AUDIT]


def _given_up(entry: Entry) -> Entry:
    if entry.waiting_for is not WaitingFor.AUDIT:
        return entry
    return replace(ended(entry, MessageState.UNCONFIRMED, UNHEARD_OF), receipt=None)


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


def end_waiting(message: Message, state: MessageState, reason: Reason) -> Message:
    """Ends every entry that is not on the wire."""
    return change_entries(
        message, lambda entry: ended(entry, state, reason) if entry.state in _OFF_THE_WIRE else entry
    )


def entry_at(message: Message, no: int) -> Entry:
    """Entry number `no` of a message. Raises UnknownMessage."""
    if not 1 <= no <= len(message.entries):
        raise UnknownMessage(f"Message {message.id} has no part {no}.")
    return message.entries[no - 1]


def entries_with(message: Message, entry: Entry) -> tuple[Entry, ...]:
    """The message's entries, one of them replaced."""
    return (*message.entries[: entry.no - 1], entry, *message.entries[entry.no :])


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
