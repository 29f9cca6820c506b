"""An agent that speaks in pieces, and breaks where the plan says.

Each of its words is there once, and tells which asking has said it: so the books can say of every output whether it
is whole, doubled, or in the wrong place.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from random import Random
from typing import assert_never

from simulation.plan_streams import Fate, Phase, Streams
from yizhan.ports import AgentFailed, OutputEnd, Piece, Progress, Question, Session, Text

WORDS = 4
"""Of a sentence."""
TOO_LONG = 3
"""So many times longer than it may, an agent says nothing when it stalls."""


class Streamer:
    """`die`: ends the gateway's process, at once. `well`: the agent breaks no more. `met`: what has befallen it."""

    def __init__(self, told: Streams, seed: int, die: Callable[[], None]) -> None:
        self.well = False
        self.met: Counter[str] = Counter()
        self._told = told
        self._seed = seed
        self._die = die
        self._asked = 0
        self._first: dict[str, int] = {}

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        self._asked += 1
        name = self._first.setdefault(question.turn, self._asked) if self._told.same else self._asked
        rng = Random(f"streamer {self._seed} {name}")
        fate, phase = self._fate(self._asked)
        answer = self._pieces(name, rng, twice=fate == "twice")
        if self._told.tells:
            yield Session(f"conversation {name}")
        breaks_at = _place(phase, len(answer), rng)
        for number, piece in enumerate(answer):
            if number == breaks_at and not await self._goes_on(fate):
                return
            await asyncio.sleep(0 if self.well else rng.random() * self._told.slow_s)
            if self._told.tells and not number % 3:
                yield Progress(f"step {number} of asking {self._asked}")
            yield piece
        if breaks_at == len(answer):
            await self._goes_on(fate)

    def _fate(self, time: int) -> tuple[Fate, Phase]:
        if self.well or time > len(self._told.fates):
            return "whole", "before"
        return self._told.fates[time - 1]

    async def _goes_on(self, fate: Fate) -> bool:
        """Whether it does, if anything befalls it here."""
        if self.well:
            return True
        self.met[f"agent {fate}"] += 1
        match fate:
            case "error":
                raise AgentFailed("agent-error", "it says so itself")
            case "breaks":
                raise ConnectionResetError("in the middle of its words")
            case "stalls":
                await asyncio.sleep(TOO_LONG * self._told.timeout_s)
            case "killed":
                self._die()
                await asyncio.sleep(TOO_LONG * self._told.timeout_s)  # nobody hears any more
            case "ends":
                return False
            case "whole" | "twice":
                pass
            case _:
                assert_never(fate)
        return True

    def _pieces(self, name: int, rng: Random, twice: bool) -> list[Piece]:
        """The whole answer, cut at places that nobody can foresee."""
        pieces: list[Piece] = []
        for output in range(rng.randint(1, self._told.outputs)):
            text = " ".join(_sentences(f"a{name}.{output}", rng.randint(1, self._told.sentences)))
            cuts = sorted(rng.randrange(1, len(text)) for _ in range(rng.randrange(self._told.pieces)))
            ends = zip([0, *cuts], [*cuts, len(text)], strict=True)
            said: list[Piece] = [Text(text[start:end]) for start, end in ends if start < end]
            pieces += [*said, OutputEnd()] * (2 if twice else 1)
        return pieces if rng.random() < 0.5 else pieces[:-1]  # the end of the stream ends an output too


def _sentences(name: str, count: int) -> Iterator[str]:
    for sentence in range(count):
        words = (f"{name}.{sentence}.{word}" for word in range(WORDS))
        yield " ".join(words) + " so."


def _place(phase: Phase, pieces: int, rng: Random) -> int:
    """Before which piece it happens."""
    match phase:
        case "before":
            return 0
        case "between":
            return rng.randint(1, max(1, pieces - 1))
        case "after":
            return pieces
