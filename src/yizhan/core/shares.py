"""Who may use an account's limited room: interactive messages before bulk, and never all of it to bulk.

While an account keeps to a learned limit, a thousand pushes could use up what fits into each period before an
answer comes. So pushes wait behind what people are waiting for, and take at most three quarters of the room, as
long as people have written or been written to lately. Where nothing is limited nothing is held back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from yizhan.core.pace import Pace
from yizhan.model import MessageClass

BULK_PERCENT = 75
LIVELY_MS = 60_000
"""For so long after an interactive message more of them are expected."""
_REMEMBERED = 160


def is_bulk(klass: MessageClass) -> bool:
    return klass in (MessageClass.PUSH, MessageClass.PROGRESS)


@dataclass(slots=True)
class Share:
    """What an account has lately sent of each kind; kept only while it is limited."""

    bulk_ms: deque[int] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    lively_ms: int | None = None

    def note(self, bulk: bool, now_ms: int) -> None:
        if bulk:
            self.bulk_ms.append(now_ms)
        else:
            self.lively_ms = now_ms

    def bulk_ready_at(self, pace: Pace, now_ms: int) -> int:
        """When bulk may take room again; `<= now_ms` means now."""
        limit = pace.limit
        if limit is None or not limit.known or limit.interval_ms or self.lively_ms is None:
            return now_ms
        if now_ms - self.lively_ms > LIVELY_MS:
            return now_ms
        most, period_ms = max(1, limit.fits * BULK_PERCENT // 100), limit.pause_ms()
        if len(self.bulk_ms) < most:
            return now_ms
        return min(self.bulk_ms[-most] + period_ms, now_ms + period_ms, self.lively_ms + LIVELY_MS + 1)
