"""The pace of one scope (a chat, or an account) after refusals.

How to think of it: a scope is open until the platform refuses. Then it is quiet for a while, lets exactly
one probe through, and opens again when a probe is accepted. Each refused probe makes the next quiet time
longer: times `growth` up to `soft_cap_ms` for the first six, doubling up to `max_quiet_ms` from then on,
because refused attempts can prolong a penalty. A server's hint is trusted only within bounds of our own.

`Pace` is a frozen value; the caller keeps it, stores it with the attempt that changed it, and hands it
back. It never waits by itself and never decides about a message.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from yizhan.core.backoff import backoff

_SOFT_PROBES = 6
_HINT_MIN_MS = 500
_WAIT_MIN_MS = 50
"""However small an operator makes the waits, a refused scope is no hot loop."""
_KEPT_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class PaceNumbers:
    """What an operator may set (docs/configuration.md, delivery.limiter)."""

    first_quiet_ms: int = 5_000
    growth: float = 1.5
    soft_cap_ms: int = 90_000
    max_quiet_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class Pace:
    """State of a scope. `refusals`: in a row; `doubts`: lost answers in a row."""

    refusals: int = 0
    not_before_ms: int = 0
    quiet_ms: int = 0
    doubts: int = 0

    @property
    def probing(self) -> bool:
        """Only one request at a time may pass, to learn whether the scope is open again."""
        return self.refusals > 0

    def ready_at(self, now_ms: int) -> int:
        """Earliest time the scope may send again; `<= now_ms` means now."""
        return max(now_ms, self.not_before_ms)


OPEN = Pace()


def accepted(pace: Pace) -> Pace:
    """A request of the scope went through; nothing that came before counts any more."""
    return OPEN


def refused(pace: Pace, numbers: PaceNumbers, now_ms: int, hint_ms: int | None, jitter: float) -> Pace:
    """A request of the scope was refused.

    Args:    hint_ms  the server's wait, None without one; clamped to [0.5 s, max(30 s, twice our own)]
             jitter   in [0, 1); adds up to 2 %, late only
    """
    quiet_ms = _next_quiet(pace, numbers)
    wait_ms = quiet_ms if hint_ms is None else _clamp(hint_ms, _HINT_MIN_MS, max(30_000, 2 * quiet_ms))
    wait_ms = _clamp(int(wait_ms * (1 + 0.02 * jitter)), _WAIT_MIN_MS, numbers.max_quiet_ms)
    return Pace(pace.refusals + 1, now_ms + wait_ms, quiet_ms, 0)


def hurried(pace: Pace, now_ms: int) -> Pace:
    """The other side wrote: evidence of health, so one probe may go at once."""
    return replace(pace, not_before_ms=min(pace.not_before_ms, now_ms)) if pace is not OPEN else pace


def doubted(pace: Pace, now_ms: int, base_ms: int, cap_ms: int, jitter: float) -> Pace:
    """The answer to a request of the scope was lost: back off, without calling it a refusal."""
    doubts = pace.doubts + 1
    not_before_ms = max(pace.not_before_ms, now_ms + backoff(doubts, base_ms, cap_ms, jitter))
    return replace(pace, doubts=doubts, not_before_ms=not_before_ms)


def encode(pace: Pace) -> str:
    """The pace as text for the store; empty when there is nothing to remember."""
    if pace == OPEN:
        return ""
    return json.dumps([pace.refusals, pace.not_before_ms, pace.quiet_ms], separators=(",", ":"))


def decode(text: str, numbers: PaceNumbers, now_ms: int) -> Pace:
    """The pace as it was stored. A wait that a clock jump has made absurd is cut to the longest allowed; what
    cannot be read (another version's words) is forgotten, since the first refusal teaches it again."""
    if not text:
        return OPEN
    try:
        refusals, not_before_ms, quiet_ms = (int(number) for number in json.loads(text))
    except (ValueError, TypeError, OverflowError):
        return OPEN
    if not_before_ms + _KEPT_MS < now_ms:
        return OPEN
    return Pace(refusals, min(not_before_ms, now_ms + numbers.max_quiet_ms), quiet_ms)


def _next_quiet(pace: Pace, numbers: PaceNumbers) -> int:
    if not pace.refusals:
        return numbers.first_quiet_ms
    quiet_ms = max(pace.quiet_ms, numbers.first_quiet_ms)
    if pace.refusals < _SOFT_PROBES:
        return max(quiet_ms, min(int(quiet_ms * numbers.growth), numbers.soft_cap_ms))
    return min(quiet_ms * 2, numbers.max_quiet_ms)


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))
