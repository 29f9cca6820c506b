"""What one reply teaches about a scope's limit: how much fits, how long the pause is, whether refusals prolong it.

Three questions sort a refusal. Did it come *inside* a run (then so much fits, or less than was thought) or at its
*opening* (then the pause was too short, or a proven one is no longer true)? Was anything unproven tried, so that
the refusal only ends the try? Was there enough traffic to learn from at all? Nothing is learned from a handful of
messages but how long to be quiet: their rhythm says nothing about the platform's.

Every function answers the limit as it is now known and the wait it suggests; core/limiter.py has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from yizhan.core.pace import COSTLY_MS, Limit, Pace, PaceNumbers, Search

DENSE_MS = 3_000
"""Acceptances closer than this belong to one run."""
LEARNING_MIN = 4
"""So many must be waiting for a refusal to teach more than a quiet time."""
LIGHT_MIN_MS, LIGHT_MAX_MS = 1_000, 60_000
LONG_RUN_MS = 10_000
"""A run that goes on longer than this before its first refusal has seen several windows: it tells no pause."""
LOG_MIN, LOG_MAX = 24, 160
HOLD, HOLD_MAX, RUNS_HELD = 15, 160, 3
"""An unproven move is tried after so many acceptances and runs; when it fails, twice as many, up to the second."""
LOOSEN_PERCENT = 85
BELIEVED_MAX = 64
WARY_MS, WARY_MAX_MS, PENALTIES_MAX = 3_600_000, 86_400_000, 6
"""A first long penalty is remembered for so long, each that follows twice as long, up to the second; so many count."""
INTERVAL_MIN_MS = 50
SMALL_HOLD, LARGE_HOLD = 8, 20
_MORE = 1.3
"""A burst that finds so much more room has found another limit: the pause is searched anew."""

_OUTAGE_PARTS = (120, 24, 5, 2, 1)
"""Of the longest wait: 30 s, 2 min 30 s, 12, 30 and 60 min by default."""

Lesson = tuple[Limit, int]


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


# acceptances


def logged(limit: Limit, now_ms: int) -> Limit:
    """An acceptance is written down and earns a tenth of a refusal back (the caller knows the most)."""
    keep = LOG_MAX if limit.search.bursting else min(LOG_MAX, max(LOG_MIN, limit.fits))
    return replace(limit, log=(*limit.log, now_ms)[-keep:])


def flowed(pace: Pace, limit: Limit, now_ms: int) -> Pace:
    """Another request went through while the scope was open."""
    if limit.interval_ms:
        return replace(pace, run_count=pace.run_count + 1, last_ms=now_ms, limit=_quicker(limit))
    if not limit.known:
        return _in_run(pace, limit, now_ms)
    search = replace(limit.search, to_burst=limit.search.to_burst + 1, to_loosen=limit.search.to_loosen + 1)
    if pace.run_count >= limit.fits and not search.bursting:
        return _opened(pace, replace(limit, search=search), now_ms)
    if now_ms - pace.run_ms >= limit.hi_ms and not search.bursting:  # it was never full; this is another one
        limit = replace(limit, search=replace(search, trial_ms=0))
        return replace(pace, run_ms=now_ms, run_count=1, last_ms=now_ms, limit=limit)
    limit = _confirmed(replace(limit, search=search), pace.run_count + 1)
    return replace(pace, run_count=pace.run_count + 1, last_ms=now_ms, limit=limit)


def recovered(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int) -> Limit:
    """The probe after a row of refusals went through."""
    search, quiet_ms = limit.search, min(now_ms - pace.refused_ms, pace.quiet_ms)
    if out_of_the_blue(pace, limit, numbers, now_ms):
        pass
    elif search.light:
        gentler_ms = max(LIGHT_MIN_MS, min(LIGHT_MAX_MS, quiet_ms * 85 // 100))
        limit = replace(limit, quiet_ms=gentler_ms)
    elif silent(pace, numbers):
        limit = _after_penalty(pace, limit, numbers, now_ms)
    elif limit.interval_ms or _late(pace, now_ms):
        pass
    elif not limit.hi_ms:
        limit = _first_pause(pace, limit, numbers, now_ms)
    elif search.proven:
        limit = _contradicted(pace, limit, now_ms)
    elif search.early and not search.extending and quiet_ms < limit.lo_ms:
        limit = replace(limit, search=replace(search, plain=True))
    return replace(limit, search=replace(limit.search, proven=False, early=False, light=False))


def silent(pace: Pace, numbers: PaceNumbers) -> bool:
    """The wait before now was one that only a long penalty gets."""
    return pace.quiet_ms >= max(COSTLY_MS, numbers.max_quiet_ms // 2)


def _after_penalty(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int) -> Limit:
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


def while_wary(pace: Pace, limit: Limit) -> Lesson:
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


def _late(pace: Pace, now_ms: int) -> bool:
    """The probe went long after it might have, since nothing was there to send: its time says nothing."""
    return now_ms - pace.refused_ms > 2 * pace.quiet_ms + LIGHT_MIN_MS


def _in_run(pace: Pace, limit: Limit | None, now_ms: int) -> Pace:
    if now_ms - pace.last_ms <= DENSE_MS:
        return replace(pace, run_count=pace.run_count + 1, last_ms=now_ms, limit=limit)
    return replace(pace, run_ms=now_ms, run_count=1, last_ms=now_ms, limit=limit)


def _opened(pace: Pace, limit: Limit, now_ms: int) -> Pace:
    """The first request of a new run: what it tried is proven when the run has gone through."""
    search = replace(
        limit.search,
        trial_ms=now_ms - pace.run_ms,
        extending=max(0, limit.search.extending - 1),
        odd=limit.search.odd if limit.search.loosened else 0,
        loosened=False,
    )
    limit = _confirmed(_tried(replace(limit, search=search)), 1)
    return replace(pace, run_ms=now_ms, run_count=1, last_ms=now_ms, limit=limit)


def _confirmed(limit: Limit, count: int) -> Limit:
    if not limit.search.trial_ms or count < limit.fits:
        return limit
    hi_ms = min(limit.hi_ms, max(limit.search.trial_ms, limit.lo_ms + 1))
    return replace(limit, hi_ms=hi_ms, search=replace(limit.search, trial_ms=0))


def _tried(limit: Limit) -> Limit:
    """Now and then something unproven: a run without a bound, or a shorter pause."""
    search = limit.search
    if search.extending or limit.penalties or limit.hi_ms > COSTLY_MS or limit.budget < 20:
        return limit
    if search.to_burst >= _held(search.burst_hold, limit.fits):
        return replace(limit, search=replace(search, bursting=True, to_burst=0))
    if search.to_loosen >= _held(search.loosen_hold, limit.fits) and limit.settled:
        lo_ms = limit.hi_ms * LOOSEN_PERCENT // 100
        return replace(limit, lo_ms=lo_ms, search=replace(search, loosened=True, to_loosen=0))
    return limit


def _held(hold: int, fits: int) -> int:
    return max(hold, fits * RUNS_HELD * (hold // HOLD))


def _first_pause(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int) -> Limit:
    """The first pause ever: counted from the start of the run, unless that was not the start of a window."""
    quiet_ms, age_ms = now_ms - pace.refused_ms, now_ms - pace.run_ms
    if pace.since_ms - pace.run_ms > max(LONG_RUN_MS, quiet_ms):
        return replace(limit, fits=0, lo_ms=0, hi_ms=quiet_ms)
    hi_ms = min(age_ms, quiet_ms) if quiet_ms >= numbers.soft_cap_ms else age_ms
    return replace(limit, hi_ms=hi_ms, lo_ms=pace.refused_ms - pace.run_ms if pace.refusals > 1 else 0)


def _contradicted(pace: Pace, limit: Limit, now_ms: int) -> Limit:
    """A proven pause was refused, and now the scope is open: refusals prolong the pause, or it has changed."""
    search, quiet_ms, age_ms = limit.search, now_ms - pace.refused_ms, now_ms - pace.run_ms
    refused_age_ms = max(1, pace.refused_ms - pace.run_ms)
    if search.extending and not search.early:
        longer_ms, lo_ms = (age_ms, refused_age_ms) if pace.refusals < 3 else (quiet_ms, limit.lo_ms)
        hi_ms = max(limit.hi_ms, longer_ms)
        return replace(limit, hi_ms=hi_ms, lo_ms=max(1, lo_ms), search=replace(search, extending=0))
    if search.extending:
        return replace(limit, hi_ms=max(limit.hi_ms, quiet_ms))
    whole = quiet_ms >= limit.hi_ms * 9 // 10
    if search.early and whole and pace.refusals <= 3 and not search.plain:
        believed = min(BELIEVED_MAX, 2 * search.believed)
        return replace(limit, search=replace(search, extending=search.believed, believed=believed))
    return replace(limit, hi_ms=age_ms, lo_ms=refused_age_ms)


# refusals


def inside(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int, waiting: int) -> Lesson:
    """Refused in the middle of a run."""
    search = limit.search
    if not limit.hi_ms:
        if waiting < LEARNING_MIN:
            return _light(pace, limit, numbers, now_ms)
        return replace(limit, fits=max(1, pace.run_count)), quiet_step_ms(pace, numbers, now_ms)
    if not limit.fits:
        return replace(limit, fits=max(1, pace.run_count)), limit.hi_ms
    pause_ms = limit.pause_ms()
    within = sum(1 for time_ms in limit.log if time_ms > now_ms - pause_ms)
    if search.bursting:
        limit = _burst_over(limit, within)
    elif within < limit.fits:
        fits, odd = max(1, within, limit.fits // 2), search.odd + 1
        limit = replace(limit, fits=fits, search=replace(search, odd=odd))
        if fits <= 2 and odd >= 2:
            return spaced(limit, now_ms, SMALL_HOLD)
    elif pause_ms < limit.hi_ms:
        limit = replace(limit, lo_ms=pause_ms)
    else:
        limit = replace(limit, hi_ms=limit.hi_ms * 11 // 10)
    if not search.plain:
        return limit, limit.hi_ms
    return limit, max(500, pace.run_ms + limit.pause_ms() - now_ms)


def at_opening(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int, nth: int) -> Lesson:
    """Refused when a run was to open: the first request after a pause, or a probe. `nth` of its row."""
    search = limit.search
    if limit.interval_ms:
        return _too_quick(limit, numbers, nth)
    if search.light or not limit.hi_ms:
        return limit, quiet_step_ms(pace, numbers, now_ms)
    age_ms, hi_ms = now_ms - pace.run_ms, limit.hi_ms
    if search.extending:
        limit = replace(limit, search=replace(search, proven=True))
        return limit, hi_ms * 51 // 50 if nth == 1 else max(numbers.soft_cap_ms, hi_ms * 3 // 2)
    if age_ms < hi_ms - 50 and nth == 1:
        return _too_early(limit, age_ms), hi_ms - age_ms
    odd = search.odd + (0 if search.proven else 1)
    limit = replace(limit, search=replace(search, proven=True, odd=odd))
    if limit.fits <= 2 and odd >= 2:
        return spaced(limit, now_ms, SMALL_HOLD)
    if nth == 1:
        return limit, max(500, hi_ms // 4)
    if nth == 2 and search.early and not search.plain:
        return limit, hi_ms * 51 // 50
    if nth == 2:
        return limit, max(min(8_000, 3 * hi_ms), hi_ms // 2)
    return limit, max(numbers.soft_cap_ms, hi_ms * 11 // 10)


def spaced(limit: Limit, now_ms: int, last: int) -> Lesson:
    """From now on one at a time, as fast as the last ones went through."""
    most = min(last, len(limit.log))
    interval_ms = max(INTERVAL_MIN_MS, (now_ms - limit.log[-most]) // most) if most > 1 else 2_000
    return replace(
        limit,
        interval_ms=interval_ms,
        safe_ms=interval_ms,
        search=replace(limit.search, clean=0, interval_hold=SMALL_HOLD, bursting=False),
    ), interval_ms


def _light(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int) -> Lesson:
    quiet_ms = limit.quiet_ms or quiet_step_ms(pace, numbers, now_ms)
    longer_ms = max(LIGHT_MIN_MS, min(LIGHT_MAX_MS, quiet_ms * 3 // 2))
    return replace(limit, quiet_ms=longer_ms, search=replace(limit.search, light=True)), quiet_ms


def _burst_over(limit: Limit, within: int) -> Limit:
    """The burst has read off how much fits, exactly."""
    more = within > limit.fits
    hold = HOLD if more else min(HOLD_MAX, 2 * limit.search.burst_hold)
    return replace(
        limit,
        fits=max(1, within),
        lo_ms=0 if within > _MORE * limit.fits else limit.lo_ms,
        search=replace(limit.search, bursting=False, burst_hold=hold),
    )


def _too_early(limit: Limit, age_ms: int) -> Limit:
    search = limit.search
    hold = min(HOLD_MAX, 2 * search.loosen_hold) if search.loosened else search.loosen_hold
    return replace(
        limit,
        lo_ms=max(limit.lo_ms, age_ms),
        search=replace(search, early=True, loosened=False, loosen_hold=hold),
    )


def _quicker(limit: Limit) -> Limit:
    """Spaced requests go well: after a while, a little closer."""
    search = replace(limit.search, clean=limit.search.clean + 1)
    if search.clean < search.interval_hold or limit.budget < 20:
        return replace(limit, search=search)
    percent = 80 if search.interval_hold <= SMALL_HOLD else 94
    interval_ms = max(INTERVAL_MIN_MS, limit.interval_ms * percent // 100)
    return replace(limit, safe_ms=limit.interval_ms, interval_ms=interval_ms, search=replace(search, clean=0))


def _too_quick(limit: Limit, numbers: PaceNumbers, nth: int) -> Lesson:
    """A spaced request was refused: back to what went well, and slower if that was it."""
    tried = limit.safe_ms > limit.interval_ms and nth == 1
    interval_ms = limit.safe_ms if tried else limit.interval_ms * (115 if nth == 1 else 125) // 100
    interval_ms = min(interval_ms, numbers.max_quiet_ms)
    hold = max(LARGE_HOLD, limit.search.interval_hold)
    search = replace(limit.search, clean=0, interval_hold=min(HOLD_MAX, 2 * hold) if tried else hold)
    limit = replace(limit, interval_ms=interval_ms, safe_ms=interval_ms, search=search)
    return limit, interval_ms if nth < 3 else max(4 * interval_ms, numbers.soft_cap_ms)


def nothing_tried(search: Search) -> bool:
    """Neither a burst nor a shorter pause is being tried."""
    return not search.bursting and not search.loosened and not search.trial_ms
