"""Schedules of a world: who says what at which times, and what people do to them. Drawn apart from everything else.

How they are written is ours to say, and when that is due is worked out here, in whole minutes of UTC and lengths of
time, by other means than the gateway's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from simulation.places import Place

MINUTE_MS = 60_000
OFTEN = 0.25
"""So many plans have schedules."""

Form = Literal["cron", "every", "in"]


@dataclass(frozen=True, slots=True)
class When:
    """`number` minutes between two times of `cron` (a divisor of 60) or `every`, or seconds from now, once."""

    form: Form
    number: int

    def __str__(self) -> str:
        match self.form:
            case "cron":
                return f"*/{self.number} * * * *"
            case "every":
                return f"every {self.number}m"
            case "in":
                return f"{self.number}s"

    def due(self, written_ms: int, until_ms: int) -> list[int]:
        """Every due time behind the moment of writing, up to `until_ms`."""
        if self.form == "in":
            once_ms = written_ms + self.number * 1_000
            return [once_ms] if once_ms <= until_ms else []
        beat_ms = self.number * MINUTE_MS
        first_ms = written_ms + beat_ms
        if self.form == "cron":
            first_ms -= first_ms % beat_ms
        return list(range(first_ms, until_ms + 1, beat_ms))


@dataclass(frozen=True, slots=True)
class Timed:
    """One schedule: added at `at_s` of the plan, over `ends_s` later; `pauses` are (from, to), `by_hand` (when, key) of
    the plan. `lives_s`: how long what it says may wait."""

    name: str
    when: When
    places: tuple[Place, ...]
    at_s: float
    ends_s: float
    missed: str = "once"
    missed_most: int = 10
    jitter_s: float = 0
    lives_s: float | None = None
    pauses: tuple[tuple[float, float], ...] = ()
    by_hand: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Schedules:
    """`deaths`: the process dies at the n-th commit in which something fires, before it or after it. `jumps`: the host
    sleeps so long at such a time, or its clock is set by so much: (when, sleeps, set), in seconds."""

    timed: tuple[Timed, ...]
    deaths: tuple[tuple[int, bool], ...] = ()
    jumps: tuple[tuple[float, float, float], ...] = ()


def draw_schedules(seed: int, places: Sequence[Place], qq: int | None, chaos_s: float) -> Schedules | None:
    """The schedules in the world of a seed, None: there are none. `qq`: the account that is on QQ."""
    rng = Random(f"schedules {seed}")
    if rng.random() >= OFTEN:
        return None
    usual = [place for place in places if place[0] != qq]
    timed = tuple(_timed(rng, number, usual or places, chaos_s) for number in range(rng.choice([1, 2, 4])))
    if not usual:
        timed = tuple(map(_said_once, timed))
    deaths = {(rng.randint(1, 4), rng.random() < 0.5) for _ in range(rng.choice([0, 1, 1, 2]))}
    return Schedules(timed, tuple(sorted(deaths)), _jumps(rng, chaos_s))


def _jumps(rng: Random, chaos_s: float) -> tuple[tuple[float, float, float], ...]:
    """So that there is something to be missed, also where little time passes."""
    if rng.random() < 0.4:
        return ()
    at_s = round(rng.uniform(chaos_s / 3, chaos_s), 1)
    if rng.random() < 0.6:
        return ((at_s, rng.choice([70.0, 200.0, 900.0, 7_200.0]), 0.0),)
    return ((at_s, 0.0, rng.choice([-200.0, -70.0, 70.0, 400.0])),)


def _said_once(timed: Timed) -> Timed:
    """On QQ, where what was sent is known by its words, the same words may not be said again."""
    return replace(timed, when=When("in", timed.when.number + 9), by_hand=())


def _timed(rng: Random, number: int, places: Sequence[Place], chaos_s: float) -> Timed:
    at_s = round(rng.uniform(0, chaos_s / 3), 1)
    pauses: tuple[tuple[float, float], ...] = ()
    if rng.random() < 0.25:
        first_s = rng.uniform(at_s, chaos_s)
        pauses = ((round(first_s, 1), round(first_s + rng.uniform(1, 90), 1)),)
    key = f"by hand {number}"
    by_hand = [(round(rng.uniform(at_s, chaos_s), 1), key) for _ in range(rng.choice([0, 0, 1, 2]))]
    return Timed(
        name=f"timed {number}",
        when=_when(rng),
        places=tuple(sorted(rng.sample(list(places), rng.randint(1, min(3, len(places)))))),
        at_s=at_s,
        ends_s=round(rng.uniform(60, 2 * chaos_s + 240), 1),
        missed=rng.choice(["skip", "once", "all"]),
        missed_most=rng.choice([2, 5, 20]),
        jitter_s=rng.choice([0, 0, 0, 5, 90]),
        lives_s=rng.choice([None, None, 45, 300]),
        pauses=pauses,
        by_hand=tuple(sorted(by_hand)),
    )


def _when(rng: Random) -> When:
    form: Form = rng.choice(("cron", "every", "in"))
    return When(form, rng.choice([3, 10, 40, 90]) if form == "in" else rng.choice([1, 1, 2, 5]))
