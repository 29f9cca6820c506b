"""What a check found: a value, and three short ways to say it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    """Works, but not as one would want it."""
    FAIL = "fail"
    """Does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names what was looked at, `text` says what is so, `fix` what to change (empty: nothing)."""

    level: Level
    check: str
    text: str
    fix: str = ""


def ok(check: str, text: str) -> Finding:
    return Finding(Level.OK, check, text)


def warn(check: str, text: str, fix: str) -> Finding:
    return Finding(Level.WARN, check, text, fix)


def fail(check: str, text: str, fix: str) -> Finding:
    return Finding(Level.FAIL, check, text, fix)


def as_object(finding: Finding) -> dict[str, str]:
    """The finding for `--json`."""
    return {"level": finding.level.value, "check": finding.check, "text": finding.text, "fix": finding.fix}
