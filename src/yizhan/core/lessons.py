"""What one reply teaches about a scope's limit: how much fits, how long the pause is, whether refusals prolong it.

Three questions sort a refusal. Did it come *inside* a run (then so much fits, or less than was thought) or at its
*opening* (then the pause was too short, or a proven one is no longer true)? Was anything unproven tried, so that
the refusal only ends the try? Was there enough traffic to learn from at all? Nothing is learned from a handful of
messages but how long to be quiet: their rhythm says nothing about the platform's.

Every function answers the limit as it is now known and the wait it suggests; core/limiter.py has the last word.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from yizhan.core.pace import COSTLY_MS, LEARNING_MIN, Limit, Pace, PaceNumbers, Search
from yizhan.core.silence import after_penalty, out_of_the_blue, quiet_step_ms, silent

DENSE_MS = 3_000
"""Acceptances closer than this belong to one run."""
LIGHT_MIN_MS, LIGHT_MAX_MS = 1_000, 60_000
LONG_RUN_MS = 10_000
"""A run that goes on longer than this before its first refusal has seen several windows: it tells no pause."""
LOG_MIN, LOG_MAX = 24, 160
HOLD, HOLD_MAX, RUNS_HELD = 15, 160, 3
"""An unproven move is tried after so many acceptances and runs; when it fails, twice as many, up to the second."""
LOOSEN_PERCENT = 75
BELIEVED_MAX = 64
STORED_MS = 4_000
"""Where the pause is shorter and next to nothing fits, a burst would only read off what a bucket has stored."""
INTERVAL_MIN_MS = 50
SMALL_HOLD, LARGE_HOLD = 8, 20
_MORE = 1.3
"""A burst that finds so much more room has found another limit: the pause is searched anew."""

Lesson = tuple[Limit, int]


# acceptances


def logged(limit: Limit, now_ms: int) -> Limit:
    """An acceptance is written down and earns a tenth of a refusal back (the caller knows the most)."""
    keep = LOG_MAX if limit.search.bursting else min(LOG_MAX, max(LOG_MIN, limit.fits))
    return replace(limit, log=(*limit.log, now_ms)[-keep:])


def flowed(pace: Pace, limit: Limit, now_ms: int, sent_ms: int) -> Pace:
    """Another request went through while the scope was open."""
    if limit.interval_ms:
        return replace(pace, run_count=pace.run_count + 1, last_ms=now_ms, limit=_quicker(limit))
    if not limit.known:
        return _in_run(pace, limit, now_ms)
    search = replace(limit.search, to_burst=limit.search.to_burst + 1, to_loosen=limit.search.to_loosen + 1)
    if pace.run_count >= limit.fits and not search.bursting:
        return _opened(pace, replace(limit, search=search), now_ms, sent_ms)
    if now_ms - pace.run_ms >= limit.hi_ms and not search.bursting:  # it was never full; this is another one
        limit = replace(limit, search=replace(search, trial_ms=0))
        return replace(pace, run_ms=now_ms, run_count=1, last_ms=now_ms, limit=limit)
    limit = _confirmed(replace(limit, search=search), pace.run_count + 1)
    return replace(pace, run_count=pace.run_count + 1, last_ms=now_ms, limit=limit)


def recovered(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int, sent_ms: int) -> Limit:
    """The probe after a row of refusals went through."""
    search, quiet_ms = limit.search, max(1, min(sent_ms - pace.refused_ms, pace.quiet_ms))
    whole = quiet_ms >= limit.whole_ms() * 9 // 10
    if limit.fits and not search.light:
        search = replace(search, whole_ms=min(search.whole_ms or quiet_ms, quiet_ms))
        limit = replace(limit, search=search)
    if out_of_the_blue(pace, limit, numbers, now_ms):
        pass
    elif search.light:
        gentler_ms = max(LIGHT_MIN_MS, min(LIGHT_MAX_MS, quiet_ms * 85 // 100))
        limit = replace(limit, quiet_ms=gentler_ms)
    elif silent(pace, numbers):
        limit = after_penalty(pace, limit, numbers, now_ms)
    elif limit.interval_ms or _late(pace, now_ms):
        pass
    elif not limit.hi_ms:
        limit = _first_pause(pace, limit, numbers, sent_ms)
    elif search.proven:
        limit = _contradicted(pace, limit, sent_ms, whole)
    elif search.early and not search.extending and quiet_ms < limit.lo_ms:
        limit = replace(limit, search=replace(search, plain=True))
    elif search.early and not search.extending and not search.plain and whole:
        limit = _prolonged(limit)
    return replace(limit, search=replace(limit.search, proven=False, early=False, light=False))


def _late(pace: Pace, now_ms: int) -> bool:
    """The probe went long after it might have, since nothing was there to send: its time says nothing."""
    return now_ms - pace.refused_ms > 2 * pace.quiet_ms + LIGHT_MIN_MS


def _in_run(pace: Pace, limit: Limit | None, now_ms: int) -> Pace:
    if now_ms - pace.last_ms <= DENSE_MS:
        return replace(pace, run_count=pace.run_count + 1, last_ms=now_ms, limit=limit)
    return replace(pace, run_ms=now_ms, run_count=1, last_ms=now_ms, limit=limit)


def _opened(pace: Pace, limit: Limit, now_ms: int, sent_ms: int) -> Pace:
    """The first request of a new run: what it tried is proven when the run has gone through."""
    search = replace(
        limit.search,
        trial_ms=max(limit.pause_ms(), sent_ms - pace.run_ms),
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
    stored = limit.fits <= 2 and limit.hi_ms < STORED_MS
    if not stored and search.to_burst >= _held(search.burst_hold, limit.fits):
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
    lo_ms = max(pace.since_ms - pace.run_ms, (pace.refused_ms - pace.since_ms) * 3 // 4)
    return replace(limit, hi_ms=hi_ms, lo_ms=min(lo_ms, hi_ms))


def _prolonged(limit: Limit) -> Limit:
    """Refusals are taken to prolong the pause, for some runs; for twice as many the next time."""
    search = limit.search
    believed = min(BELIEVED_MAX, 2 * search.believed)
    search = replace(search, extending=search.believed, believed=believed)
    return replace(limit, hi_ms=limit.whole_ms(), search=search)


def _contradicted(pace: Pace, limit: Limit, now_ms: int, whole: bool) -> Limit:
    """A proven pause was refused, and now the scope is open: refusals prolong the pause, or it has changed."""
    search, quiet_ms, age_ms = limit.search, now_ms - pace.refused_ms, now_ms - pace.run_ms
    refused_age_ms = max(1, pace.refused_ms - pace.run_ms)
    if search.extending and not search.early:
        longer_ms, lo_ms = (age_ms, refused_age_ms) if pace.refusals < 3 else (quiet_ms, limit.lo_ms)
        hi_ms = max(limit.hi_ms, longer_ms)
        return replace(limit, hi_ms=hi_ms, lo_ms=max(1, lo_ms), search=replace(search, extending=0))
    if search.extending:
        return replace(limit, hi_ms=max(limit.hi_ms, quiet_ms))
    if search.early and whole and pace.refusals <= 3 and not search.plain:
        return _prolonged(limit)
    hold = min(
        HOLD_MAX, 2 * search.loosen_hold
    )  # a try that was lucky with the platform's clock is one that failed
    return replace(limit, hi_ms=age_ms, lo_ms=refused_age_ms, search=replace(search, loosen_hold=hold))


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
    more = search.bursting and pace.run_count > _MORE * limit.fits
    less = not search.bursting and search.odd and pace.run_count < limit.fits // 2
    if (more or less) and limit.hi_ms > numbers.first_quiet_ms:
        return _anew(pace, limit), quiet_step_ms(pace, numbers, now_ms)
    if search.bursting:
        limit = _burst_over(limit, within)
    elif search.trial_ms and search.trial_ms < limit.hi_ms * 97 // 100 and pace.run_count < limit.fits:
        limit = replace(
            limit, lo_ms=max(limit.lo_ms, search.trial_ms), search=replace(search, trial_ms=0, loosened=False)
        )
        return limit, max(500, pace.run_ms + limit.hi_ms - now_ms)
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
        return limit, limit.whole_ms()
    return limit, max(500, pace.run_ms + limit.hi_ms - now_ms)


def at_opening(pace: Pace, limit: Limit, numbers: PaceNumbers, now_ms: int, nth: int, sent_ms: int) -> Lesson:
    """Refused when a run was to open: the first request after a pause, or a probe. `nth` of its row."""
    search = limit.search
    if limit.interval_ms:
        return _too_quick(limit, numbers, nth)
    if search.light or not limit.hi_ms:
        return limit, quiet_step_ms(pace, numbers, now_ms)
    age_ms, hi_ms = max(1, sent_ms - pace.run_ms), limit.hi_ms
    alone_ms = age_ms - hi_ms + 50 if nth == 1 else sent_ms - pace.refused_ms - limit.whole_ms()
    if search.extending and alone_ms >= 0:  # it was left alone for as long as had been enough
        search = replace(search, extending=0, plain=True)
        limit = replace(limit, search=search)
    if search.extending:
        lo_ms = max(limit.lo_ms, age_ms) if nth == 1 and age_ms < hi_ms - 50 else limit.lo_ms
        limit = replace(
            limit, lo_ms=lo_ms, search=replace(search, proven=lo_ms == limit.lo_ms or search.proven)
        )
        return limit, limit.whole_ms() * 51 // 50 if nth == 1 else max(numbers.soft_cap_ms, hi_ms * 3 // 2)
    if age_ms < hi_ms - 50 and nth == 1:
        return _too_early(limit, age_ms), pace.run_ms + hi_ms - now_ms
    odd = search.odd + (0 if search.proven else 1)
    limit = replace(limit, search=replace(search, proven=True, odd=odd))
    if limit.fits <= 2 and odd >= 2:
        return spaced(limit, now_ms, SMALL_HOLD)
    if nth == 1:
        return limit, max(500, hi_ms // 4)
    if nth == 2 and search.early and not search.plain:
        return limit, limit.whole_ms() * 51 // 50
    if nth == 2:
        return limit, max(min(8_000, 3 * hi_ms), hi_ms // 2)
    return limit, max(numbers.soft_cap_ms, hi_ms * 11 // 10)


def spaced(limit: Limit, now_ms: int, last: int) -> Lesson:
    """From now on one at a time, as fast as the last ones went through. A silence in which nothing was there to send
    counts as one window, two pauses at most: eight hours of sleep are no pace."""
    times = limit.log[-last:]
    gaps_ms = (after_ms - before_ms for before_ms, after_ms in pairwise((*times, now_ms)))
    took_ms = sum(min(gap_ms, 2 * limit.hi_ms or LIGHT_MAX_MS) for gap_ms in gaps_ms)
    interval_ms = max(INTERVAL_MIN_MS, took_ms // len(times)) if len(times) > 1 else 2_000
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


def _anew(pace: Pace, limit: Limit) -> Limit:
    """Quite another limit than before: the pause is searched from the start."""
    search = replace(limit.search, bursting=False, trial_ms=0, extending=0, plain=False, odd=0, whole_ms=0)
    return replace(limit, fits=max(1, pace.run_count), lo_ms=0, hi_ms=0, search=search)


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
        lo_ms=limit.hi_ms if search.loosened else max(limit.lo_ms, age_ms),  # what was known before holds
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
