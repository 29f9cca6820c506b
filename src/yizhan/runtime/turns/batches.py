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


async def next_batch(desk: Desk, clock: Clock, numbers: TurnNumbers) -> tuple[Inbound, ...]:
    """Waits until nothing new has come for the debounce time; empty if there is nothing to answer any more."""
    while desk.pending:
        at_ms = due_ms(desk.pending[-1], numbers)
        if at_ms <= clock.now_ms():
            return desk.take_pending()
        await clock.sleep_until(at_ms)
    return ()
