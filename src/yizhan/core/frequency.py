"""How often one person may ask: so many messages in a minute, so many in a day. Pure; the windows slide."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MINUTE_MS = 60_000
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class FrequencyNumbers:
    """0: no limit."""

    per_minute: int = 0
    per_day: int = 0

    @property
    def any(self) -> bool:
        return bool(self.per_minute or self.per_day)

    @property
    def remembered_ms(self) -> int:
        """How far back it matters what was asked."""
        return DAY_MS if self.per_day else MINUTE_MS if self.per_minute else 0


@dataclass(slots=True)
class Frequency:
    """When one person asked and was heard, oldest first. Never longer than the larger limit."""

    asked_ms: deque[int] = field(default_factory=deque)

    @property
    def last_ms(self) -> int:
        return self.asked_ms[-1] if self.asked_ms else 0

    def refusal(self, numbers: FrequencyNumbers, now_ms: int) -> str | None:
        """The rule by which a message now is refused; None: it may pass."""
        self._forget(numbers, now_ms)
        if numbers.per_day and len(self.asked_ms) >= numbers.per_day:
            return "per-day"
        lately = sum(at_ms > now_ms - MINUTE_MS for at_ms in self.asked_ms)
        return "per-minute" if numbers.per_minute and lately >= numbers.per_minute else None

    def note(self, at_ms: int) -> None:
        """It passed."""
        self.asked_ms.append(at_ms)

    def _forget(self, numbers: FrequencyNumbers, now_ms: int) -> None:
        while self.asked_ms and self.asked_ms[0] <= now_ms - numbers.remembered_ms:
            self.asked_ms.popleft()
