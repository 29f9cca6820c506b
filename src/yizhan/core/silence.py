"""How long to be quiet where no window explains the refusals, and what is remembered of a long penalty.

Nothing known, the first waits are as long as windows are. Refused again after the longest of them it is a penalty,
or an outage: then attempts may prolong it, and five of them have to outlast one of an hour to which each adds ten
minutes. Refused out of the blue no window was filled; there the waits grow evenly, so that the end of a block of
any length is noticed within a few times its length.

A penalty says that what ran into it was too much, and nothing about a pause. So the scope goes on more gently,
tries nothing for a while, and is given back what was taken in the same steps.
Source: penalties of an hour that every attempt prolongs, claude-code-channels #1640, #1643.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from yizhan.core.pace import COSTLY_MS, LEARNING_MIN, Limit, Pace, PaceNumbers

_OUTAGE_PARTS = (120, 24, 5, 2, 1)
"""Of the longest wait: 30 s, 2 min 30 s, 12, 30 and 60 min by default."""

WARY_MS, WARY_MAX_MS, PENALTIES_MAX = 3_600_000, 86_400_000, 6
"""A first long penalty is remembered for so long, each that follows twice as long, up to the second; so many count."""
UNHINTED = 4
"""A wait of so many times the longest window is for a penalty, and no hint shortens it."""


# waits


def out_of_the_blue(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int) -> bool:
    """Nothing had gone through before the row of refusals for longer than windows last: no limit was met."""
    first_ms = pace.since_ms if pace.refusals else now_ms
    return first_ms - pace.last_ms > max(numbers.soft_cap_ms, 2 * max(limit.hi_ms, limit.interval_ms))


def quiet_step_ms(pace: Pace, numbers: PaceNumbers, now_ms: int) -> int:
    """The wait where nothing is known: the first steps end nearly every window that was seen in the field."""
    return _step_ms(_window_steps(numbers), pace, now_ms)


def outage_step_ms(pace: Pace, numbers: PaceNumbers, now_ms: int) -> int:
    """The wait after a refusal out of the blue: from seconds to the longest, so that the end of a block is noticed
    within a few times its length, and five of them outlast the longest penalty."""
    parts = (numbers.max_quiet_ms // part for part in _OUTAGE_PARTS)
    return _step_ms((max(1, numbers.first_quiet_ms, part_ms) for part_ms in parts), pace, now_ms)


def _window_steps(numbers: PaceNumbers) -> Iterator[int]:
    quiet_ms, over_ms = max(1, numbers.first_quiet_ms), 0
    while quiet_ms < numbers.soft_cap_ms and over_ms < numbers.soft_cap_ms:
        yield quiet_ms
        over_ms += quiet_ms
        quiet_ms = min(int(quiet_ms * numbers.growth), numbers.soft_cap_ms)
    yield max(quiet_ms, numbers.soft_cap_ms)


def _step_ms(steps: Iterator[int], pace: Pace, now_ms: int) -> int:
    """By the time since the first refusal, so that waits cut short by a hint or by an inbound message do not use up
    the steps. The first is passed over for a refusal that the reply token answered for."""
    elapsed_ms = now_ms - pace.since_ms if pace.refusals else 0
    step_ms = over_ms = next(steps)
    if not pace.spared and elapsed_ms < over_ms * 9 // 10:
        return step_ms
    elapsed_ms += step_ms if pace.spared else 0
    for step_ms in steps:
        over_ms += step_ms
        if elapsed_ms < over_ms * 9 // 10:
            break
    return step_ms


def silence_ms(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int, own_ms: int) -> int:
    """The wait of a long penalty: refused again after a wait that ends any window. 0 where it is none."""
    if out_of_the_blue(pace, limit, numbers, now_ms):
        return own_ms if own_ms > UNHINTED * numbers.soft_cap_ms else 0
    if not pace.refusals:
        return 0
    if silent(pace, numbers):
        return numbers.max_quiet_ms
    waited = now_ms - pace.refused_ms >= max(numbers.soft_cap_ms * 97 // 100, limit.hi_ms)
    return numbers.max_quiet_ms * 13 // 20 if waited else 0


# memory


def silent(pace: Pace, numbers: PaceNumbers) -> bool:
    """The wait before now was one that only a long penalty gets."""
    return pace.quiet_ms >= max(COSTLY_MS, numbers.max_quiet_ms // 2)


def after_penalty(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int) -> Limit:
    """What ran into it was too much: less from now on, for a while, and less again the next time. A handful of
    messages tells nothing."""
    if pace.run_count < LEARNING_MIN and not limit.penalties:
        return replace(limit, fits=limit.fits if limit.hi_ms else 0, interval_ms=0)
    fits = min(limit.fits or pace.run_count, max(1, pace.run_count)) * 3 // 4
    pause_ms = max(numbers.soft_cap_ms, limit.hi_ms * (2 if limit.penalties else 1))
    return _wary(limit, limit.penalties + 1, max(1, fits), min(pause_ms, numbers.max_quiet_ms // 2), now_ms)


def _wary(limit: Limit, penalties: int, fits: int, pause_ms: int, now_ms: int) -> Limit:
    penalties = min(penalties, PENALTIES_MAX)
    until_ms = now_ms + min(WARY_MAX_MS, WARY_MS << penalties - 1)
    return replace(
        limit,
        fits=fits,
        lo_ms=pause_ms,
        hi_ms=pause_ms,
        interval_ms=0,
        penalties=penalties,
        wary_until_ms=until_ms,
        search=replace(limit.search, bursting=False, loosened=False, trial_ms=0, extending=0),
    )


def while_wary(pace: Pace, limit: Limit) -> tuple[Limit, int]:
    """Refused again after a long penalty: no more than went through now, and no try before a whole pause."""
    fits = limit.fits if pace.refusals else max(1, min(limit.fits, pace.run_count))
    return replace(limit, fits=fits), limit.hi_ms


def relaxed(limit: Limit, now_ms: int) -> Limit:
    """A penalty is remembered for a bounded time: then half the pause will do, and in the end nothing is held back."""
    if not limit.penalties or now_ms < limit.wary_until_ms:
        return limit
    if limit.penalties == 1:
        return replace(limit, penalties=0, fits=0, lo_ms=0, hi_ms=0, interval_ms=0)
    return _wary(limit, limit.penalties - 1, limit.fits, limit.hi_ms // 2, now_ms)
