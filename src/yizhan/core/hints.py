"""The waits that a server names: clamped, never obeyed, and believed as long as they prove right."""

from __future__ import annotations

from dataclasses import replace

from yizhan.core.pace import TRUST_MAX, Limit

HINT_MIN_MS = 500
FIRST_MAX_MS = 30_000
"""The longest hint that is followed where nothing is known …"""
LATER_MAX_MS = 65_000
"""… and after our own first wait was refused: longer than the windows met in the field, shorter than a penalty."""
_LIE = 40
_PROOF = 10
_IGNORED = 20


def follow(
    limit: Limit, hint_ms: int, own_ms: int, run_ms: int, now_ms: int, again: bool, longest_ms: int
) -> tuple[Limit, int]:
    """The wait in the light of a hint, and the limit remembering whether it was followed.

    Args:  own_ms      what would be waited without the hint
           run_ms      start of the run that was refused
           again       the refusal was not the first of its row
           longest_ms  no clamp is wider than this
    """
    if limit.trust <= _IGNORED:
        return limit, own_ms
    low_ms, high_ms = HINT_MIN_MS, LATER_MAX_MS if again else FIRST_MAX_MS
    if limit.hi_ms:
        low_ms = max(HINT_MIN_MS, limit.lo_ms - (now_ms - run_ms))
        high_ms = max(low_ms, limit.hi_ms * 21 // 20)
    wait_ms = max(low_ms, min(hint_ms, high_ms, longest_ms))
    if wait_ms < hint_ms or limit.search.extending:
        wait_ms = max(wait_ms, own_ms)
    return replace(limit, search=replace(limit.search, claimed_ms=max(1, now_ms + hint_ms))), wait_ms


def lied(limit: Limit, now_ms: int) -> Limit:
    """Refused: a hint that was waited out has lied."""
    claimed_ms = limit.search.claimed_ms
    if not claimed_ms:
        return limit
    trust = limit.trust - _LIE if now_ms >= claimed_ms else limit.trust
    return replace(limit, trust=max(0, trust), search=replace(limit.search, claimed_ms=0))


def proved(limit: Limit, refused_ms: int, now_ms: int) -> Limit:
    """Accepted: a hint that was waited out was right, one that named a much longer wait has lied."""
    claimed_ms = limit.search.claimed_ms
    if not claimed_ms:
        return limit
    waited_ms, named_ms = now_ms - refused_ms, claimed_ms - refused_ms
    change = (
        _PROOF
        if now_ms >= claimed_ms
        else -2 * _LIE
        if named_ms - waited_ms > max(1_500, named_ms // 20)
        else 0
    )
    trust = max(0, min(TRUST_MAX, limit.trust + change))
    return replace(limit, trust=trust, search=replace(limit.search, claimed_ms=0))
