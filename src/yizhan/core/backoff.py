"""Attempt number → delay. Exponential, capped, with jitter; never an index that grows without bound."""

from __future__ import annotations

_MAX_DOUBLINGS = 30  # 2**30 ms is 12 days; beyond it the cap has long decided


def backoff(n: int, base_ms: int, cap_ms: int, jitter: float) -> int:
    """Delay before try n+1 after n failures in a row.

    Args:    n       failures so far, at least 1
             jitter  a number in [0, 1); spreads the delay over [50 %, 100 %]
    Returns: ms, at most `cap_ms`.
    """
    full = min(cap_ms, base_ms * 2 ** min(max(n, 1) - 1, _MAX_DOUBLINGS))
    return int(full * (0.5 + 0.5 * jitter))
