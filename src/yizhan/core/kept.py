"""A pace as text for the store, and back.

What the search is doing is not kept, only what it has found; so the text changes when something was learned, not
with every message. It is used for a week. What cannot be read (another version's words, another hand) is
forgotten, since the first refusal teaches it again, and no number is trusted further than it makes sense: a clock
may have jumped meanwhile.
"""

from __future__ import annotations

import json

from yizhan.core.pace import OPEN, TRUST_MAX, Limit, Pace, PaceNumbers
from yizhan.core.silence import PENALTIES_MAX, WARY_MAX_MS

KEPT_MS = 7 * 86_400_000
_VERSION = 3
_TENTHS = 10
_FITS_MAX = 160


def encode(pace: Pace) -> str:
    """The pace as text; empty when there is nothing to remember."""
    if pace.limit is None and not pace.refusals:
        return ""
    limit = pace.limit or Limit()
    row = (
        pace.refusals,
        pace.not_before_ms if pace.refusals else 0,
        pace.quiet_ms,
        pace.since_ms,
        pace.refused_ms,
    )
    learned = (limit.fits, limit.lo_ms, limit.hi_ms, limit.interval_ms, limit.quiet_ms)
    judged = (max(0, limit.budget) // _TENTHS, limit.trust, limit.penalties, limit.wary_until_ms)
    return json.dumps([_VERSION, *row, *learned, *judged], separators=(",", ":"))


def decode(text: str, numbers: PaceNumbers, now_ms: int) -> Pace:
    """The pace as it was stored; OPEN if there was none, if it is too old, or if it cannot be read."""
    if not text:
        return OPEN
    try:
        version, *values = (int(number) for number in json.loads(text))
        refusals, not_before_ms, quiet_ms, since_ms, refused_ms, *rest = values
        fits, lo_ms, hi_ms, interval_ms, light_ms, budget, trust, penalties, wary_until_ms = rest
    except (ValueError, TypeError, OverflowError, RecursionError):
        return OPEN
    if version != _VERSION or min(values) < 0 or max(refused_ms, not_before_ms) + KEPT_MS < now_ms:
        return OPEN
    longest_ms = numbers.max_quiet_ms
    hi_ms = min(hi_ms, 2 * longest_ms)
    interval_ms = min(interval_ms, longest_ms)
    limit = Limit(
        fits=min(fits, _FITS_MAX),
        lo_ms=min(lo_ms, hi_ms),
        hi_ms=hi_ms,
        interval_ms=interval_ms,
        safe_ms=interval_ms,
        budget=min(budget, numbers.reject_budget) * _TENTHS,
        trust=min(trust, TRUST_MAX),
        quiet_ms=min(light_ms, longest_ms),
        penalties=min(penalties, PENALTIES_MAX),
        wary_until_ms=min(wary_until_ms, now_ms + WARY_MAX_MS),
    )
    return Pace(
        refusals=refusals,
        not_before_ms=min(not_before_ms, now_ms + longest_ms),
        quiet_ms=min(quiet_ms, longest_ms),
        since_ms=min(since_ms, now_ms),
        refused_ms=min(refused_ms, now_ms),
        run_ms=min(since_ms, now_ms) if refusals else 0,
        limit=limit,
    )
