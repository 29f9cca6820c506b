"""What is done to the entries of a message, as functions: one is replaced, all are changed, what waits is ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from yizhan.errors import UnknownMessage
from yizhan.model import Entry, Message, MessageState, Reason, WaitingFor

OFF_THE_WIRE = frozenset({MessageState.QUEUED, MessageState.WAITING})
_GIVEN_UP_BY_US = frozenset({MessageState.CANCELLED, MessageState.EXPIRED})


def change_entries(message: Message, change: Callable[[Entry], Entry]) -> Message:
    return replace(message, entries=tuple(change(entry) for entry in message.entries))


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


def end_waiting(message: Message, state: MessageState, reason: Reason) -> Message:
    """Ends every entry that is not on the wire."""
    return change_entries(
        message, lambda entry: ended(entry, state, reason) if entry.state in OFF_THE_WIRE else entry
    )


def entry_at(message: Message, no: int) -> Entry:
    """Entry number `no` of a message. Raises UnknownMessage."""
    if not 1 <= no <= len(message.entries):
        raise UnknownMessage(f"Message {message.id} has no part {no}.")
    return message.entries[no - 1]


def entries_with(message: Message, entry: Entry) -> tuple[Entry, ...]:
    """The message's entries, one of them replaced."""
    return (*message.entries[: entry.no - 1], entry, *message.entries[entry.no :])
