"""The writes that end a message without sending it, or give it another life: withdrawn, cancelled, expired, retried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from yizhan.errors import NotCancellable, NotRevivable
from yizhan.model import Entry, Message, MessageId, MessageState, Reason, Target, WaitingFor
from yizhan.ports import Expired
from yizhan.store.entries import OFF_THE_WIRE, change_entries, end_waiting, ended
from yizhan.store.queries import road_out
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet

_REVIVABLE = frozenset(
    {MessageState.UNCONFIRMED, MessageState.FAILED, MessageState.EXPIRED, MessageState.CANCELLED}
)

CANCELLED = Reason("cancelled", "A person cancelled it.")
POINTLESS = Reason("superseded", "what it says was no longer so before it was sent")
EXPIRED = Reason("expired", "Its time was over before it could be sent.")
UNHEARD_OF = Reason(
    "audit-unheard",
    "the platform took it, held it back to look at it first, and has not said what became of it",
)


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
        if not any(entry.state in OFF_THE_WIRE for entry in message.entries):
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
