"""`make bench`: measures, prints each figure beside its target, and says plainly what falls short.

python -m benchmarks            everything, in less than five minutes; FULL=1 measures longer
python -m benchmarks NAME ...   some of it
"""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks import figures, limits, load, qq, recoveries, schedules, stories, turns, windows
from benchmarks.figure import Figure, Measure

ALL: tuple[Measure, ...] = (
    stories.stories,
    recoveries.healthy_chat,
    recoveries.refusals_in_a_window,
    recoveries.after_an_outage,
    figures.echo,
    turns.turn_overhead,
    turns.first_bubble,
    turns.streams,
    figures.idle_latency,
    figures.throughput,
    figures.stop_and_start,
    figures.restart,
    load.frozen,
    load.limit_storm,
    load.queue,
    load.idle_accounts,
    schedules.schedules,
    windows.console_page,
    windows.event_readers,
    qq.muted_socket,
    qq.qq_reconnects,
    qq.qq_bots,
    limits.limits,
)


async def _measure(chosen: list[Measure]) -> list[Figure]:
    made: list[Figure] = []
    for measure in chosen:
        print(f"measuring {measure.__name__} …", file=sys.stderr, flush=True)
        made += await measure()
    return made


def _chosen(names: list[str]) -> list[Measure]:
    known = {measure.__name__: measure for measure in ALL}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no figure is called {unknown[0]}; there are: {', '.join(known)}")
    return [known[name] for name in names] if names else list(ALL)


def main() -> int:
    """Exit code 1 if any figure falls short."""
    began = time.monotonic()
    made = asyncio.run(_measure(_chosen(sys.argv[1:])))
    for figure in made:
        print(figure.line())
    short = sum(not figure.holds for figure in made)
    print(f"{len(made)} figures in {time.monotonic() - began:.0f} s, {short} fall short")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
