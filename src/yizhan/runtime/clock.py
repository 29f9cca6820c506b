"""The only reader of clock and entropy."""

from __future__ import annotations

import asyncio
import random
import secrets
import time

TOLERANCE_MS = 2_000
"""Time servers nudge clocks all day."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class SystemClock:
    """Wall-clock time that never goes back.

    Time advances with the monotonic clock from where the wall clock stood at the start. When the wall clock
    has run ahead (the host slept, or was set forward), `resync` follows it; when it was set back, we stay
    ahead of it, so that no order is reversed and no wait is repeated.
    """

    def __init__(self) -> None:
        self._offset_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000

    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self._offset_ms

    def resync(self) -> int:
        """Compares with the wall clock; answers by how many ms it has jumped (negative: set back), 0 within
        tolerance. Only a jump forward is followed."""
        ahead_ms = self._ahead_ms()
        if abs(ahead_ms) <= TOLERANCE_MS:
            return 0
        if ahead_ms > 0:
            self._offset_ms += ahead_ms
        return ahead_ms

    def has_slept(self) -> bool:
        """Whether the wall clock has run ahead, and nobody has followed it yet."""
        return self._ahead_ms() > TOLERANCE_MS

    def _ahead_ms(self) -> int:
        return time.time_ns() // 1_000_000 - self.now_ms()

    async def sleep_until(self, at_ms: int) -> None:
        await self.sleep_ms(at_ms - self.now_ms())

    async def sleep_ms(self, wait_ms: int) -> None:
        await asyncio.sleep(max(0, wait_ms) / 1000)


class SystemChance:
    """Secrets from the operating system; jitter and ids, which are none, from a generator that it has seeded."""

    def __init__(self) -> None:
        self._random = random.Random(secrets.randbits(256))
        self._last_ms = 0

    def jitter(self) -> float:
        return self._random.random()

    def new_id(self, kind: str) -> str:
        """`kind_` + 9 characters of time + 11 of chance, in an alphabet without look-alikes. They sort by their making
        also when the clock is set back."""
        self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
        return f"{kind}_{_base32(self._last_ms, 9)}{_base32(self._random.getrandbits(55), 11)}"

    def token_hex(self, size: int) -> str:
        return secrets.token_hex(size)


def _base32(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
