"""Agents that break: in some chats of a world the agent speaks in pieces, and meets what agents meet.

Drawn apart from everything else, so that a plan is what it was, and this besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from simulation.places import Place

Fate = Literal["whole", "twice", "ends", "error", "breaks", "stalls", "killed"]
"""What befalls one asking: nothing; each output is said twice; nothing more is said, and that is the answer; the agent
says that it failed; it breaks in a way of its own; it is silent for longer than it may; the gateway's process dies."""
Phase = Literal["before", "between", "after"]
"""Before the first piece, between two, or after the last and before the end."""

OFTEN = 0.3
"""So many plans have such an agent."""
FATES: tuple[Fate, ...] = (
    "whole", "whole", "whole", "twice", "ends", "error", "breaks", "stalls", "killed", "killed",
)  # fmt: skip
PHASES: tuple[Phase, ...] = ("before", "between", "between", "after")
KILLS_MAX = 3


@dataclass(frozen=True, slots=True)
class Streams:
    """Who speaks in pieces.

    places   in these chats
    fates    what befalls the first asking, the second, and so on; later ones are well
    outputs, sentences, pieces  of an answer, at most: its outputs, their sentences, and the pieces of each
    slow_s   longest pause between two pieces
    same     asked the same again, it says the same again
    tells    it says what it is doing, and how it calls the conversation
    timeout_s, first_sentence, while_busy  how the gateway is told to hear it (docs/configuration.md, turns)
    """

    places: tuple[Place, ...]
    fates: tuple[tuple[Fate, Phase], ...] = ()
    outputs: int = 2
    sentences: int = 3
    pieces: int = 5
    slow_s: float = 1.0
    same: bool = False
    tells: bool = False
    timeout_s: float = 30
    first_sentence: str = "off"
    while_busy: str = "queue"

    @property
    def settings(self) -> dict[str, Any]:
        names = ("timeout_s", "first_sentence", "while_busy")
        return {"turns": {name: getattr(self, name) for name in names}}


def draw_streams(seed: int, places: Sequence[Place]) -> Streams | None:
    """The agent that breaks in the world of a seed, None: there is none."""
    rng = Random(f"streams {seed}")
    if rng.random() >= OFTEN:
        return None
    return Streams(
        places=tuple(sorted(rng.sample(list(places), rng.randint(1, min(4, len(places)))))),
        fates=_fates(rng),
        outputs=rng.choice([1, 2, 4]),
        sentences=rng.choice([1, 3, 6]),
        pieces=rng.choice([1, 3, 8]),
        slow_s=rng.choice([0.0, 0.3, 3.0]),
        same=rng.random() < 0.5,
        tells=rng.random() < 0.3,
        timeout_s=rng.choice([5, 20, 60]),
        first_sentence=rng.choice(["off", "free", "always", "always"]),
        while_busy=rng.choice(["queue", "queue", "steer", "interrupt"]),
    )


def _fates(rng: Random) -> tuple[tuple[Fate, Phase], ...]:
    """Of one asking after the other; the process does not die in each of them."""
    drawn = [(rng.choice(FATES), rng.choice(PHASES)) for _ in range(rng.choice([3, 6, 12]))]
    kills = [number for number, (fate, _) in enumerate(drawn) if fate == "killed"]
    for number in kills[KILLS_MAX:]:
        drawn[number] = "whole", drawn[number][1]
    return tuple(drawn)
