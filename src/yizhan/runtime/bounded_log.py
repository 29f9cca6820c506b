"""A log that stays readable in a storm.

What a message, a reply or the store can cause two thousand times at once is said a few times a minute for each
account; how much was left out is said once a minute. So the number of lines follows from minutes and accounts,
never from messages or refusals.
"""

from __future__ import annotations

from typing import Any

import structlog

MINUTE_MS = 60_000
BURST = 5
"""Lines of one event for one account in a minute."""

Key = tuple[str, str]


class BoundedLog:
    """Says a line or counts it. Lines are told apart by their event and account."""

    def __init__(self, room: str) -> None:
        self._log = structlog.get_logger(room)
        self._said: dict[Key, int] = {}

    def info(self, event: str, **facts: Any) -> None:
        self._say("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._say("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._say("error", event, facts)

    def turn_over(self) -> None:
        """A new minute begins; what the last one left out is said."""
        said, self._said = self._said, {}
        for (event, account), lines in said.items():
            if lines > BURST:
                self._log.warning("lines.left_out", lines=lines - BURST, of=event, account=account or None)

    def _say(self, level: str, event: str, facts: dict[str, Any]) -> None:
        key = event, str(facts.get("account") or "")
        lines = self._said[key] = self._said.get(key, 0) + 1
        if lines <= BURST:
            getattr(self._log, level)(event, **facts)
