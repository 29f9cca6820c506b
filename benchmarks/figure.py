"""A figure: one number, measured, beside the target that it has to reach."""

from __future__ import annotations

import os
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

FULL = bool(os.environ.get("FULL"))
"""`make bench FULL=1`: more seeds, longer runs; without it the whole takes less than five minutes."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `value` is compared with `target`: at most it, or at least it; without a target it is told
    for information only."""

    name: str
    value: float
    target: float | None
    unit: str
    at_least: bool = False
    digits: int = 1

    @property
    def holds(self) -> bool:
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target

    def line(self) -> str:
        """The figure for people: name, value, target, and a plain word about it."""
        told = f"{self.name:64} {self.value:10.{self.digits}f} {self.unit:4}"
        if self.target is None:
            return f"{told}            for information"
        sign = "≥" if self.at_least else "≤"
        return f"{told} {sign} {self.target:6g}   {'holds' if self.holds else 'FALLS SHORT'}"


Measure = Callable[[], Awaitable[list[Figure]]]
"""One run that makes some figures; its name is what `python -m benchmarks NAME` takes."""


def quantile_ms(waits_s: Sequence[float], share: float) -> float:
    return statistics.quantiles(waits_s, n=100, method="inclusive")[round(share * 100) - 1] * 1000
