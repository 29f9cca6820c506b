"""Three senders of one backlog against a platform that refuses: one that knows its state, plain back-off, and ours.

All are serial and need a full round trip per request; the platform decides half-way. The measure is the time at
which the last message is through, and how many requests were refused.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.worlds import Server, World
from yizhan.core import limiter
from yizhan.core.pace import OPEN, PaceNumbers

BACKLOG = 300
ROUND_TRIP_MS = 120
GIVEN_UP_MS = 30 * 86_400_000


@dataclass(frozen=True)
class Drained:
    """How it went. `worst_row`: the most refusals without an acceptance between; `sent`: what got through."""

    took_ms: int
    refused: int
    worst_row: int
    sent: int


Sender = Callable[[World, float, int, int], Drained]


def server_of(world: World, phase: float, seed: int) -> Server:
    return Server(world, phase, random.Random(seed))


def all_knowing(world: World, phase: float, seed: int, backlog: int = BACKLOG) -> Drained:
    """Greedy: sends in the very millisecond in which there is room, and is never refused."""
    server, now_ms = server_of(world, phase, seed), 0
    for _ in range(backlog):
        asked_ms = server.free_at(now_ms + ROUND_TRIP_MS // 2)
        accepted, _hint = server.ask(asked_ms)
        assert accepted
        now_ms = asked_ms + ROUND_TRIP_MS // 2
    return Drained(now_ms, 0, 0, backlog)


def plain_backoff(world: World, phase: float, seed: int, backlog: int = BACKLOG) -> Drained:
    """Exponential with full jitter, 1 to 60 s, per message: what most gateways have."""
    server, chance, now_ms, refused, worst = server_of(world, phase, seed), random.Random(seed), 0, 0, 0
    for number in range(backlog):
        row = 0
        while not server.ask(now_ms + ROUND_TRIP_MS // 2)[0]:
            row, refused = row + 1, refused + 1
            now_ms += ROUND_TRIP_MS + int(chance.uniform(0, min(60_000, 1_000 * 2 ** min(row, 6))))
            if now_ms > GIVEN_UP_MS:
                return Drained(now_ms, refused, row, number)
        now_ms, worst = now_ms + ROUND_TRIP_MS, max(worst, row)
    return Drained(now_ms, refused, worst, backlog)


def ours(world: World, phase: float, seed: int, backlog: int = BACKLOG) -> Drained:
    """core/limiter.py with its defaults."""
    server, chance, now_ms, refused, worst = server_of(world, phase, seed), random.Random(seed), 0, 0, 0
    pace, numbers, row, sent = OPEN, PaceNumbers(), 0, 0
    while sent < backlog:
        now_ms = pace.ready_at(now_ms)
        if now_ms > GIVEN_UP_MS:
            break
        accepted, hint_ms = server.ask(now_ms + ROUND_TRIP_MS // 2)
        sent_ms, now_ms = now_ms, now_ms + ROUND_TRIP_MS
        if accepted:
            pace, row, sent = limiter.accepted(pace, numbers, now_ms, sent_ms), 0, sent + 1
        else:
            row, refused = row + 1, refused + 1
            waiting = backlog - sent
            pace = limiter.refused(pace, numbers, now_ms, hint_ms, chance.random(), waiting, sent_ms)
        worst = max(worst, row)
    return Drained(now_ms, refused, worst, sent)
