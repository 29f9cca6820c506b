"""An upper bound for requests per second, whatever the backlog.

A bucket that holds a tenth of a second's worth: short bursts pass, a storm does not. The bound of last resort:
pace comes from the limiter, this one holds even if everything else is wrong.
"""

from __future__ import annotations

_BURST_S = 0.1


class Ceiling:
    """`take` one for each request; `ready_at` says when the next may go. `per_s` 0: no bound."""

    def __init__(self, per_s: float) -> None:
        self._gap_ms = 1_000 / per_s if per_s else 0.0
        self._slack_ms = max(self._gap_ms, _BURST_S * 1_000)
        self._full_at_ms = 0.0

    def ready_at(self, now_ms: int) -> int:
        """The earliest time of the next request; `<= now_ms` means now."""
        if not self._gap_ms:
            return now_ms
        late_ms = self._full_at_ms + self._gap_ms - self._slack_ms
        return max(now_ms, -int(-late_ms // 1))

    def take(self, now_ms: int) -> None:
        """One request goes now."""
        self._full_at_ms = max(self._full_at_ms, float(now_ms)) + self._gap_ms
