"""Programs that are posted events: which ones they want, and what befalls the posts. Drawn apart from all else."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

Welcome = Literal["taken", "status", "gone", "refused", "silent", "lost", "killed", "killed late"]
"""What becomes of one post: it is taken; answered with another status; answered that nothing is wanted any more; the
program cannot be reached; it never answers; it took the event and its answer is lost; the gateway's process dies
before the program has the event, or after."""

OFTEN = 0.12
"""So many plans have such programs."""
WELCOMES: tuple[Welcome, ...] = (
    "taken", "taken", "taken", "status", "status", "refused", "silent", "lost", "gone", "killed", "killed late",
)  # fmt: skip
KILLS_MAX = 2
KINDS: tuple[frozenset[str], ...] = (
    frozenset({"turn.state"}),
    frozenset({"account.state", "chat.state", "alert"}),
    frozenset({"schedule.run", "message.received"}),
    frozenset({"schedule.run", "message.received"}),
    frozenset({"message.received", "turn.state"}),
    frozenset(),
)
"""Each event that a program takes is a commit: few want all of them."""
STATUSES = (199, 301, 302, 400, 401, 404, 429, 500, 503)


@dataclass(frozen=True, slots=True)
class Hook:
    """One program: added at `at_s` of the plan. `welcomes`: what becomes of its first post, the second, and so on;
    later ones are taken. `account`: by number, None: of all."""

    at_s: float
    types: frozenset[str]
    private: bool = False
    account: int | None = None
    welcomes: tuple[Welcome, ...] = ()
    status: int = 500


@dataclass(frozen=True, slots=True)
class Hooks:
    """`deaths`: the process dies at the n-th commit of how far a program has come, before it or after it."""

    hooks: tuple[Hook, ...]
    deaths: tuple[tuple[int, bool], ...] = ()


def draw_hooks(seed: int, accounts: int, chaos_s: float) -> Hooks | None:
    """The programs in the world of a seed, None: there are none."""
    rng = Random(f"hooks {seed}")
    if rng.random() >= OFTEN:
        return None
    hooks = tuple(_hook(rng, accounts, chaos_s) for _ in range(rng.choice([1, 1, 2])))
    deaths = {(rng.randint(1, 8), rng.random() < 0.5) for _ in range(rng.choice([0, 0, 1]))}
    return Hooks(hooks, tuple(sorted(deaths)))


def _hook(rng: Random, accounts: int, chaos_s: float) -> Hook:
    return Hook(
        at_s=round(rng.uniform(0, chaos_s / 4), 1),
        types=rng.choice(KINDS),
        private=rng.random() < 0.5,
        account=rng.choice([None, None, rng.randrange(accounts)]),
        welcomes=_welcomes(rng),
        status=rng.choice(STATUSES),
    )


def _welcomes(rng: Random) -> tuple[Welcome, ...]:
    """Of one post after the other; the process does not die at each of them."""
    drawn = [rng.choice(WELCOMES) for _ in range(rng.choice([3, 8, 20]))]
    kills = [number for number, welcome in enumerate(drawn) if welcome.startswith("killed")]
    for number in kills[KILLS_MAX:]:
        drawn[number] = "taken"
    return tuple(drawn)
