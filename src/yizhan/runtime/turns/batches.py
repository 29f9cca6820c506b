"""Batches: people write in bursts, and a platform splits what is long. What comes within the debounce time of the last
message becomes one question; who never pauses is answered all the same, after a multiple of that time. What a schedule
asks stands alone: nobody will add to it, and its run is to show its own answer. The messages lie in the store; what is
here is only the order to answer them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile

from yizhan.model import Inbound
from yizhan.ports import Clock
from yizhan.runtime.turns.desk import Desk
from yizhan.runtime.turns.numbers import TurnNumbers
from yizhan.runtime.turns.roster import Roster

DEBOUNCE_TIMES = 10
"""A batch is complete after so many debounce times, however many more messages come."""


def asked_with(
    first: Inbound, pending: Sequence[Inbound], by_person: bool, elsewhere: Callable[[Inbound], bool]
) -> list[Inbound]:
    """What of that which waits becomes one question with `first`.

    Args:  by_person  each has a session of his own
           elsewhere  a message begins with the word of another agent: a question to that one begins with it, and what
                      is behind it belongs to it
    """
    if first.asked_by_schedule:
        return [first]
    heard = [waiting for waiting in pending if not waiting.asked_by_schedule]
    own = [waiting for waiting in heard if not by_person or waiting.sender_id == first.sender_id]
    return list(takewhile(lambda waiting: not elsewhere(waiting), own))


def due_ms(batch: Sequence[Inbound], since_ms: int, numbers: TurnNumbers) -> int:
    """When a batch is complete that is waited for since then. After a long text there may be more of it."""
    if batch[0].asked_by_schedule:
        return batch[0].received_at_ms
    quiet_ms = batch[-1].received_at_ms + _debounce_ms(batch[-1], numbers)
    longest_ms = max(_debounce_ms(inbound, numbers) for inbound in batch)
    return min(quiet_ms, max(since_ms, batch[0].received_at_ms) + DEBOUNCE_TIMES * longest_ms)


async def next_batch(desk: Desk, clock: Clock, numbers: TurnNumbers, roster: Roster) -> tuple[Inbound, ...]:
    """Whoever waits longest, with what belongs to it; empty if there is nothing to answer any more."""
    since_ms, by_person = clock.now_ms(), numbers.sessions.by_person
    while desk.pending:
        first = desk.pending[0]
        elsewhere = partial(roster.elsewhere, roster.asked([first]).agent)
        batch = asked_with(first, desk.pending, by_person, elsewhere)
        if await _complete(batch, since_ms, clock, numbers):
            return desk.take(batch)
    return ()


async def more_of(desk: Desk, clock: Clock, numbers: TurnNumbers, roster: Roster) -> tuple[Inbound, ...]:
    """What has come since from whom the open turn answers, and for the agent that does."""
    since_ms, by_person = clock.now_ms(), numbers.sessions.by_person
    elsewhere = partial(roster.elsewhere, desk.agent)
    while waiting := [inbound for inbound in desk.pending if desk.concerns(inbound, by_person)]:
        batch = asked_with(waiting[0], waiting, by_person, elsewhere)
        if not batch:
            break
        if await _complete(batch, since_ms, clock, numbers):
            return desk.take(batch)
    return ()


async def _complete(batch: Sequence[Inbound], since_ms: int, clock: Clock, numbers: TurnNumbers) -> bool:
    """Whether it is; else it was waited for."""
    at_ms = due_ms(batch, since_ms, numbers)
    if at_ms <= clock.now_ms():
        return True
    await clock.sleep_until(at_ms)
    return False


def _debounce_ms(inbound: Inbound, numbers: TurnNumbers) -> int:
    long = len(inbound.text) >= numbers.debounce_long_chars
    return numbers.debounce_long_ms if long else numbers.debounce_ms
