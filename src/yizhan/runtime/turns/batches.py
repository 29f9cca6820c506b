"""Batches: people write in bursts, and a platform splits what is long. What comes within the debounce time of the last
message becomes one question. The messages lie in the store; what is here is only the order to answer them."""

from __future__ import annotations

from yizhan.model import Inbound
from yizhan.ports import Clock
from yizhan.runtime.turns.desk import Desk
from yizhan.runtime.turns.numbers import TurnNumbers


def due_ms(last: Inbound, numbers: TurnNumbers) -> int:
    """When a batch that ends with this message is complete. After a long text there may be more of it."""
    long = len(last.text) >= numbers.debounce_long_chars
    return last.received_at_ms + (numbers.debounce_long_ms if long else numbers.debounce_ms)


async def next_batch(
    desk: Desk, clock: Clock, numbers: TurnNumbers, sender: str | None = None
) -> tuple[Inbound, ...]:
    """Waits until nothing new has come for the debounce time; empty if there is nothing to answer any more. Where each
    person has a session of his own a batch is one person's: the given, else whoever waits longest."""
    while desk.pending:
        if numbers.sessions.by_person and sender is None:
            sender = desk.pending[0].sender_id
        batch = desk.of(sender if numbers.sessions.by_person else None)
        if not batch:
            return ()
        at_ms = due_ms(batch[-1], numbers)
        if at_ms <= clock.now_ms():
            return desk.take(batch)
        await clock.sleep_until(at_ms)
    return ()
