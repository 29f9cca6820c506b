"""Time for verbs: "in 15 minutes" and "since 2 hours" as times of the API, and deadlines.

The clock is the house's one clock; it is imported where it is used, because most verbs need none.
"""

from __future__ import annotations

import re

from yizhan.cli.trouble import UsageMistake

UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_S = 3650 * 86_400
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)([smhd]?)")


class Deadline:
    """A number of seconds from now on."""

    def __init__(self, wait_s: float) -> None:
        from yizhan.runtime.clock import SystemClock

        self._clock = SystemClock()
        self._end_ms = self._clock.now_ms() + wait_s * 1000

    def left_s(self) -> float:
        """Seconds left, 0 when it is over."""
        return max(0.0, (self._end_ms - self._clock.now_ms()) / 1000)


def seconds_of(text: str) -> float | None:
    """`90`, `90s`, `15m`, `12h`, `7d` → seconds, more than 0 and at most ten years; None for anything else."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * UNIT_S[match[2]] if match else 0
    return seconds if 0 < seconds <= LONGEST_S else None


def time_in(text: str, option: str) -> str:
    """A length of time from now → RFC 3339. Raises UsageMistake."""
    seconds = seconds_of(text)
    if seconds is None:
        raise UsageMistake(f"{option} {text!r} is no length of time.", "Write it as 90s, 15m, 12h or 7d.")
    return _from_now(seconds)


def since_time(text: str, option: str) -> str:
    """A length of time before now, or a time with an offset → RFC 3339. Raises UsageMistake."""
    from yizhan.core.contract import parse_time, time_text

    seconds = seconds_of(text)
    if seconds is not None:
        return _from_now(-seconds)
    try:
        return str(time_text(parse_time(text)))
    except (ValueError, OverflowError):
        fix = "Write it as 2h, 7d, or 2026-11-21T08:00:00Z."
        raise UsageMistake(f"{option} {text!r} is no time.", fix) from None


def _from_now(seconds: float) -> str:
    from yizhan.core.contract import time_text
    from yizhan.runtime.clock import SystemClock

    return str(time_text(SystemClock().now_ms() + int(seconds * 1000)))
