"""From the states of parts to the state of a message."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.states import derive, message_state
from yizhan.model import (
    AccountId,
    ChatId,
    Entry,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Reason,
    WaitingFor,
)

QUEUED, SENDING, WAITING, DELIVERED, UNCONFIRMED, FAILED, EXPIRED, CANCELLED = MessageState


def entries(*states: MessageState, attempts: int = 0) -> tuple[Entry, ...]:
    return tuple(Entry(no, "", "", state, attempts_made=attempts) for no, state in enumerate(states, start=1))


def a_message(*parts: Entry) -> Message:
    return Message(
        MessageId("m"), AccountId("weixin:a"), ChatId("c"), 1, MessageClass.PUSH, "api", "", 0, 9, parts
    )


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((QUEUED, QUEUED), QUEUED),
        ((DELIVERED, SENDING, QUEUED), SENDING),
        ((WAITING, SENDING), SENDING),
        ((DELIVERED, QUEUED), WAITING),
        ((WAITING, QUEUED), WAITING),
        ((FAILED, WAITING), WAITING),
        ((DELIVERED, DELIVERED), DELIVERED),
        ((DELIVERED, UNCONFIRMED), UNCONFIRMED),
        ((UNCONFIRMED, CANCELLED), CANCELLED),
        ((CANCELLED, EXPIRED), EXPIRED),
        ((EXPIRED, FAILED, DELIVERED), FAILED),
    ],
)
def test_a_message_is_what_its_parts_are(states: tuple[MessageState, ...], expected: MessageState) -> None:
    """Any part sending: sending; any live: waiting; else the worst, so that no failure hides behind a success."""
    assert expected is message_state(entries(*states))


def test_queued_means_before_the_first_attempt() -> None:
    """A revived part has been tried before: it waits."""
    assert WAITING is message_state(entries(QUEUED, attempts=1))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(MessageState), min_size=1, max_size=5), st.integers(0, 1))
def test_a_message_is_live_exactly_as_long_as_a_part_is(states: list[MessageState], attempts: int) -> None:
    """Every message ends, and none ends before its last part."""
    message = derive(a_message(*entries(*states, attempts=attempts)), 77)
    assert any(state.live for state in states) is message.state.live
    assert (None if message.state.live else 77) == message.finished_at_ms


def test_the_first_live_part_speaks_for_the_message() -> None:
    failed = Entry(1, "", "", FAILED, reason=Reason("-5", "never"), possibly_doubled=True)
    waiting = Entry(2, "", "", WAITING, WaitingFor.LIMIT, 55, Reason("-2", "limited"), attempts_made=1)
    message = derive(a_message(failed, waiting), 7)
    assert (WAITING, WaitingFor.LIMIT, 55) == (message.state, message.waiting_for, message.next_attempt_at_ms)
    assert Reason("-2", "limited") == message.reason
    assert message.possibly_doubled, "one doubtful part makes the message doubtful"


def test_an_ended_message_waits_for_nothing_and_keeps_the_reason_of_its_worst_part() -> None:
    delivered = Entry(1, "", "", DELIVERED)
    failed = Entry(2, "", "", FAILED, reason=Reason("-5", "never"))
    message = derive(a_message(delivered, failed), 7)
    assert (FAILED, None, None) == (message.state, message.waiting_for, message.next_attempt_at_ms)
    assert Reason("-5", "never") == message.reason


def test_the_end_is_dated_once() -> None:
    """The age of a finished message counts from its end, not from the last look at it."""
    ended = derive(a_message(*entries(DELIVERED)), 7)
    assert 7 == derive(ended, 99).finished_at_ms
