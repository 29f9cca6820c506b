"""`python -m benchmarks limits`: the limiter against an all-knowing sender, with plain back-off beside it.

Sets of worlds (benchmarks/worlds.py): those the parameters were chosen on, a set that was held out, random ones by a
printed seed, long penalties, and chats that share an account's limit, these through the real lanes.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks import shared_limit, worlds
from benchmarks.figure import Figure
from benchmarks.senders import BACKLOG, Drained, Sender, all_knowing, ours, plain_backoff
from benchmarks.worlds import World

SEEDS = range(12)
RANDOM_SEED = 20_261_121
RANDOM_COUNT = 200
RANDOM_PHASES = range(3)
SHOWN_WORST = 8


@dataclass(frozen=True)
class Score:
    """A sender in one world, mean over the seeds: time by that of the all-knowing one, refusals per 100 sent."""

    world: str
    ratio: float
    refusals: float
    worst_row: int
    lost: int


@dataclass(frozen=True)
class Summary:
    """Over the worlds of a set."""

    mean: float
    worst: float
    refusals: float
    worst_row: int
    lost: int


def score(sender: Sender, world: World, seeds: Iterable[int]) -> Score:
    ratios, runs = [], []
    for seed in seeds:
        phase = random.Random(seed).random()
        run = sender(world, phase, seed, BACKLOG)
        ratios.append(run.took_ms / all_knowing(world, phase, seed, BACKLOG).took_ms)
        runs.append(run)
    return Score(world.name, sum(ratios) / len(ratios), *_refusals(runs))


def _refusals(runs: Sequence[Drained]) -> tuple[float, int, int]:
    per_hundred = 100 * sum(run.refused for run in runs) / (BACKLOG * len(runs))
    return per_hundred, max(run.worst_row for run in runs), sum(BACKLOG - run.sent for run in runs)


def summary(scores: Sequence[Score]) -> Summary:
    return Summary(
        mean=math.exp(sum(math.log(each.ratio) for each in scores) / len(scores)),
        worst=max(each.ratio for each in scores),
        refusals=max(each.refusals for each in scores),
        worst_row=max(each.worst_row for each in scores),
        lost=sum(each.lost for each in scores),
    )


def compare(title: str, tried: Sequence[World], seeds: Sequence[int], shown: int | None = None) -> Summary:
    """Prints the table of a set, the worst `shown` worlds of it, and answers our summary."""
    print(f"\n{title}\n  {'':52} plain back-off      ours     (time / all-knowing, refusals per 100)")
    theirs = [score(plain_backoff, world, seeds) for world in tried]
    own = [score(ours, world, seeds) for world in tried]
    rows = sorted(zip(theirs, own, strict=True), key=lambda pair: -pair[1].ratio)[:shown] if shown else None
    for their, our in rows or zip(theirs, own, strict=True):
        print(
            f"  {our.world:52} {their.ratio:6.2f} {their.refusals:6.0f}   {our.ratio:6.2f} {our.refusals:6.1f}"
        )
    for name, scores in (("plain back-off", theirs), ("ours", own)):
        sums = summary(scores)
        print(
            f"  {name}: geometric mean {sums.mean:.3f}, worst {sums.worst:.2f}, worst refusals per 100 "
            f"{sums.refusals:.1f}, lost {sums.lost}"
        )
    sys.stdout.flush()
    return summary(own)


def penalties() -> tuple[int, int]:
    """Most refused sends within one penalty, and messages lost."""
    print(f"\nlong penalties{'':40} refused per penalty, at most (plain back-off: not run, it never ends)")
    own = [score(ours, world, range(3)) for world in worlds.PENALTIES]
    for each in own:
        print(f"  {each.world:52} {each.worst_row:6}")
    return max(each.worst_row for each in own), sum(each.lost for each in own)


def crowds() -> list[shared_limit.CrowdScore]:
    """Ten chats of one account, through the real lanes."""
    print(f"\nten chats of one account, real lanes{'':18} time / all-knowing, refusals per 100")
    scores = [shared_limit.score(each) for each in shared_limit.CROWDS]
    for each in scores:
        print(f"  {each.name:52} {each.ratio:6.2f} {each.refusals:6.1f}")
    return scores


def all_sets() -> tuple[Summary, Summary, Summary]:
    tuning = compare("the worlds the parameters were chosen on", worlds.TUNING, SEEDS)
    held_out = compare("held out, never used for tuning", worlds.HELD_OUT, SEEDS)
    tried = worlds.random_worlds(RANDOM_SEED, RANDOM_COUNT)
    title = (
        f"{RANDOM_COUNT} random worlds, seed {RANDOM_SEED}, {len(RANDOM_PHASES)} phases; worst {SHOWN_WORST}"
    )
    return tuning, held_out, compare(title, tried, RANDOM_PHASES, SHOWN_WORST)


async def limits() -> list[Figure]:
    """The limiter against an all-knowing sender; prints its tables."""
    tuning, held_out, chosen = all_sets()
    worst_row, lost = penalties()
    crowd = crowds()
    sets = (("chosen on", tuning, 1.10, 1.6, 11), ("held out", held_out, 1.15, 1.7, 14))
    figures = []
    for name, sums, mean, worst, refusals in (*sets, ("random", chosen, 1.15, 1.7, 14)):
        figures += [
            Figure(f"limits, worlds {name}: time / all-knowing, mean", sums.mean, mean, "x", digits=3),
            Figure(f"limits, worlds {name}: time / all-knowing, worst", sums.worst, worst, "x", digits=2),
            Figure(f"limits, worlds {name}: refusals per 100, worst", sums.refusals, refusals, ""),
        ]
    lost += tuning.lost + held_out.lost + chosen.lost + sum(each.lost for each in crowd)
    return [
        *figures,
        Figure("limits, long penalties: refused sends in one, at most", worst_row, 5, ""),
        Figure("limits, all worlds: messages lost", lost, 0, ""),
    ]
