"""From the states of its entries to the state of a message (docs/states.md). Pure, used by store and runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yizhan.model import Entry, Message, MessageState

_WORST_FIRST = (
    MessageState.FAILED,
    MessageState.EXPIRED,
    MessageState.CANCELLED,
    MessageState.UNCONFIRMED,
    MessageState.DELIVERED,
)


def message_state(entries: Sequence[Entry]) -> MessageState:
    """Any entry sending → sending; any live one → waiting (queued before the first attempt); else the worst."""
    states = {entry.state for entry in entries}
    if MessageState.SENDING in states:
        return MessageState.SENDING
    if any(state.live for state in states):
        untouched = states == {MessageState.QUEUED} and not any(entry.attempts_made for entry in entries)
        return MessageState.QUEUED if untouched else MessageState.WAITING
    return next(state for state in _WORST_FIRST if state in states)


def derive(message: Message, now_ms: int, entries: tuple[Entry, ...] | None = None) -> Message:
    """The message with state, reason, waiting and doubt as its entries have them now; with `entries`, as these do."""
    entries = message.entries if entries is None else entries
    state = message_state(entries)
    telling = _telling(entries, state)
    return replace(
        message,
        entries=entries,
        state=state,
        waiting_for=telling.waiting_for if state.live else None,
        next_attempt_at_ms=telling.next_attempt_at_ms if state.live else None,
        reason=telling.reason,
        possibly_doubled=any(entry.possibly_doubled for entry in entries),
        finished_at_ms=None if state.live else (message.finished_at_ms or now_ms),
    )


def _telling(entries: Sequence[Entry], state: MessageState) -> Entry:
    """The entry that speaks for the message: the first live one, else the first in the message's state."""
    if state.live:
        return next(entry for entry in entries if entry.state.live)
    return next(entry for entry in entries if entry.state == state)
