"""`make sim`: one seed, or as many as there is time for.

    make sim SEED=7              plan 7, with everything it says
    make sim SEED=7 EVERY=1      and again with a crash before and after each of its commits
    make sim N=500               plans 1 to 500, and 125 with a bot on QQ, whose seeds begin at a million
    make sim MINUTES=10 SEED=5000  plans from 5000 on, for ten minutes
    make sim DAYS=7              a week of a bot on QQ (soak.py)

Ends with exit code 1 if any plan had a finding; every finding is printed with its seed and how to repeat it.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from simulation.plan import QQ_SEEDS, Act, Kill, Plan, draw
from simulation.soak import soak
from simulation.voyage import Outcome, sail

STUCK_S = 300
"""A plan takes about a second; one that takes so long says where it hangs, and ends the run."""
QQ_SHARE = 4
"""Where no seed is named, a world with a bot on QQ follows each fourth one."""
TWICE = 100
"""One seed in so many runs twice and must leave the same trace."""


def main(words: list[str] | None = None) -> int:
    asked = _arguments().parse_args(words)
    if asked.days is not None:
        return _soaked(asked.days, asked.seed or 1)
    one = asked.seed is not None and asked.n is None and asked.minutes is None
    began_s, cpu_s = time.monotonic(), time.process_time()
    failed: list[str] = []
    told: Counter[str] = Counter()
    plans = 0
    for plan in _plans(asked.seed, asked.n, asked.minutes, began_s, asked.every):
        faulthandler.dump_traceback_later(STUCK_S, exit=True)
        if one and not plans:
            print(plan)
        outcome = carry_out(plan, twice=one or plan.seed % TWICE == 0)
        plans += 1
        told += outcome.told
        if outcome.findings:
            failed.append(_label(plan))
            print("\n".join(complaint(outcome)), flush=True)
    faulthandler.cancel_dump_traceback_later()
    spent_s = max(time.process_time() - cpu_s, 0.001)
    print(f"{plans} plans, {len(failed)} with findings, {60 * plans / spent_s:.0f} a minute and core")
    if asked.told:
        print("\n".join(f"  {count:8d} {what}" for what, count in sorted(told.items())))
    return 1 if failed else 0


def _soaked(days: float, seed: int) -> int:
    week = soak(days, seed)
    print("\n".join(week.lines()))
    return 0 if week.good else 1


def carry_out(plan: Plan, twice: bool = False) -> Outcome:
    """Runs a plan; `twice`, to see whether it leaves the same trace again."""
    outcome = sail(plan)
    if not twice:
        return outcome
    again = sail(plan)
    if again.trace == outcome.trace:
        return outcome
    difference = f"the same seed left another trace: {outcome.trace}, then {again.trace}"
    return replace(outcome, findings=(*outcome.findings, difference))


def complaint(outcome: Outcome) -> Iterator[str]:
    """What a finding looks like to the one who has to repeat it."""
    yield f"seed {outcome.plan.seed}: {len(outcome.findings)} findings"
    yield from (f"  {finding}" for finding in outcome.findings[:10])
    yield f"  repeat it with: make sim SEED={outcome.plan.seed}"


def at_every_commit(plan: Plan) -> Iterator[Plan]:
    """The plan without its own crashes, and then with one before and after each of its commits."""
    calm = replace(plan, acts=tuple(act for act in plan.acts if not isinstance(act.deed, Kill)))
    commits = sail(calm).commits
    for number in range(1, commits + 1):
        for after in (False, True):
            kill = Act(0.0, Kill(commits=number, after=after))
            yield replace(calm, acts=(kill, *calm.acts))


def _plans(
    seed: int | None, n: int | None, minutes: float | None, began_s: float, every: bool
) -> Iterable[Plan]:
    first = 1 if seed is None else seed
    if every:
        yield from at_every_commit(draw(first))
        return
    count = n if n is not None else (10**9 if minutes is not None else 1 if seed is not None else 100)
    for number in range(first, first + count):
        if minutes is not None and time.monotonic() - began_s > 60 * minutes:
            return
        yield draw(number)
        if seed is None and number % QQ_SHARE == 0:
            yield draw(QQ_SEEDS + number // QQ_SHARE)


def _label(plan: Plan) -> str:
    return f"seed {plan.seed}"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "simulation", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="the plan to run, or the first one")
    parser.add_argument("--n", type=int, help="how many")
    parser.add_argument("--minutes", type=float, help="for how long")
    parser.add_argument("--days", type=float, help="so many days of a bot on QQ")
    parser.add_argument("--every", action="store_true", help="crash before and after each commit of the plan")
    parser.add_argument(
        "--told", action="store_true", help="say at the end what happened in all these worlds"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
