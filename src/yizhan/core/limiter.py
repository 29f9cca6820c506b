"""The pace of one scope after refusals: probe, learn, keep to it, and now and then try for more.

How to think of it: a scope is open until the platform refuses. Then it is quiet, lets exactly one probe through,
and opens again when a probe is accepted. What the refusals taught (core/lessons.py) keeps the next ones away:
the scope sends as much as fits, waits out the pause, and opens with one request before the rest follows.

Three bounds hold whatever is believed. *Refusals are paid for*: twelve, and a tenth back per acceptance; who has
none left tries nothing, sends one by one and waits long after each refusal. *A long penalty is left alone*: a
refusal after a wait longer than any window silences the scope for most of an hour, for attempts prolong it.
*No wait is longer than the operator allows.* An inbound message permits one probe at once in any case.

A `Pace` is a frozen value; the caller keeps it, stores it with the attempt that changed it, and hands it back.
Nothing here waits, or decides about a message.
Source: windows of 15 to 30 s and refusals without a hint, hermes-agent #21011, #31131; penalties of an hour that
every attempt prolongs, claude-code-channels #1640, #1643.
"""

from __future__ import annotations

from dataclasses import replace

from yizhan.core import hints, lessons, silence
from yizhan.core.backoff import backoff
from yizhan.core.kept import decode, encode
from yizhan.core.pace import LEARNING_MIN, OPEN, Limit, Pace, PaceNumbers

__all__ = [
    "OPEN", "Pace", "PaceNumbers", "accepted", "decode", "doubted", "encode", "hurried", "refused", "spared",
]  # fmt: skip

TENTHS = 10
_VOLLEY = 3
"""So many refused together have cost what the shortest wait would cost in vain: it is passed over."""
_WAIT_MIN_MS = 50
"""However small an operator makes the waits, a refused scope is no hot loop."""


def accepted(pace: Pace, numbers: PaceNumbers, now_ms: int, sent_ms: int | None = None) -> Pace:
    """A request of the scope went through.

    Args:  sent_ms  when it left, None for now: one that left before the last refusal says nothing about now
    """
    limit = pace.limit
    if limit is None:
        dense = now_ms - pace.last_ms <= lessons.DENSE_MS
        run_ms, count = (pace.run_ms, pace.run_count + 1) if dense else (now_ms, 1)
        return Pace(run_ms=run_ms, run_count=count, last_ms=now_ms)
    budget = min(numbers.reject_budget * TENTHS, limit.budget + 1)
    limit = lessons.logged(replace(limit, budget=budget), now_ms)
    if not pace.refusals:
        limit = silence.relaxed(limit, now_ms)
        return lessons.flowed(replace(pace, doubts=0, spared=False), limit, now_ms, sent_ms or now_ms)
    if sent_ms is not None and sent_ms < pace.refused_ms:
        return replace(pace, run_count=pace.run_count + 1, last_ms=now_ms, limit=limit)
    limit = hints.proved(
        lessons.recovered(pace, limit, numbers, now_ms, sent_ms or now_ms), pace.refused_ms, now_ms
    )
    return Pace(refused_ms=pace.refused_ms, run_ms=now_ms, run_count=1, last_ms=now_ms, limit=limit)


def refused(
    pace: Pace,
    numbers: PaceNumbers,
    now_ms: int,
    hint_ms: int | None,
    jitter: float,
    waiting: int = 0,
    sent_ms: int | None = None,
) -> Pace:
    """A request of the scope was refused.

    Args:    hint_ms  the server's wait, None without one; clamped (core/hints.py)
             jitter   in [0, 1); adds up to 2 %, late only
             waiting  how many more wait for the scope: a handful teaches nothing but a quiet time
             sent_ms  when it left, None for now: of several that were on the wire together one counts
    """
    limit = pace.limit or Limit(budget=numbers.reject_budget * TENTHS)
    limit = replace(limit, budget=limit.budget - TENTHS)
    if pace.not_before_ms > now_ms and sent_ms is not None and sent_ms <= pace.refused_ms:
        return _one_more(replace(pace, together=pace.together + 1, limit=limit), limit, numbers, now_ms)
    nth = pace.refusals + 1
    limit, own_ms = _learned(
        pace, hints.lied(limit, now_ms), numbers, now_ms, nth, waiting, sent_ms or now_ms
    )
    since_ms = pace.since_ms if pace.refusals else now_ms
    if silence_ms := silence.silence_ms(pace, limit, numbers, now_ms, own_ms):
        wait_ms = silence_ms
    elif hint_ms is not None:
        longest_ms = numbers.max_quiet_ms
        limit, wait_ms = hints.follow(limit, hint_ms, own_ms, pace.run_ms, now_ms, nth > 1, longest_ms)
    else:
        wait_ms = own_ms
    if limit.budget < TENTHS:
        wait_ms = max(wait_ms, numbers.soft_cap_ms)
    wait_ms = max(_WAIT_MIN_MS, min(int(wait_ms * (1 + 0.02 * jitter)), numbers.max_quiet_ms))
    return replace(
        pace,
        refusals=nth,
        not_before_ms=now_ms + wait_ms,
        quiet_ms=wait_ms,
        doubts=0,
        since_ms=since_ms,
        refused_ms=now_ms,
        together=1,
        limit=limit,
    )


def spared(pace: Pace) -> Pace:
    """A refusal is not counted: the reply token may be to blame, and the next request goes without it at once."""
    return pace if pace.spared else replace(pace, spared=True)


def hurried(pace: Pace, now_ms: int) -> Pace:
    """The other side wrote: evidence of health, so one probe may go at once."""
    return replace(pace, not_before_ms=now_ms) if pace.not_before_ms > now_ms else pace


def doubted(pace: Pace, now_ms: int, base_ms: int, cap_ms: int, jitter: float) -> Pace:
    """The answer to a request of the scope was lost: back off, without calling it a refusal."""
    doubts = pace.doubts + 1
    not_before_ms = max(pace.not_before_ms, now_ms + backoff(doubts, base_ms, cap_ms, jitter))
    return replace(pace, doubts=doubts, not_before_ms=not_before_ms)


def testing(pace: Pace) -> bool:
    """Something unproven is being tried, so that a refusal now would be no surprise."""
    return pace.limit is not None and not lessons.nothing_tried(pace.limit.search)


def _one_more(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int) -> Pace:
    """Another one of those that were on the wire together; it counts where nothing else tells how long to wait."""
    told = limit.hi_ms or limit.search.light or limit.search.claimed_ms
    if pace.together != _VOLLEY or told or silence.out_of_the_blue(pace, limit, numbers, now_ms):
        return pace
    pace = replace(pace, spared=True)
    quiet_ms = max(pace.quiet_ms, silence.quiet_step_ms(pace, numbers, now_ms))
    return replace(pace, not_before_ms=pace.refused_ms + quiet_ms, quiet_ms=quiet_ms)


def _learned(
    pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int, nth: int, waiting: int, sent_ms: int
) -> lessons.Lesson:
    if silence.out_of_the_blue(pace, limit, numbers, now_ms):
        return limit, silence.outage_step_ms(pace, numbers, now_ms)
    if limit.penalties and limit.hi_ms:
        return silence.while_wary(pace, limit)
    opening = limit.known and not limit.search.bursting and pace.run_count >= limit.fits
    if nth > 1 or opening or limit.interval_ms:
        limit, wait_ms = lessons.at_opening(pace, limit, numbers, now_ms, nth, sent_ms)
    else:
        limit, wait_ms = lessons.inside(pace, limit, numbers, now_ms, waiting)
    if limit.budget < TENTHS and not limit.interval_ms and len(limit.log) >= LEARNING_MIN:
        limit, _ = lessons.spaced(limit, now_ms, 2 * lessons.SMALL_HOLD)
    return limit, wait_ms
