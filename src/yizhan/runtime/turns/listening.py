"""Listening: an agent's pieces as they come. What is said early is accepted early: the first sentence, where that is
wanted, and what the agent does meanwhile, merged into few lines. The rest waits for the end.

Reading never waits for the store: pieces are read as soon as they are said (runtime/speech.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import assert_never

from yizhan.core.first_sentence import Ends, Never, NotYet, first_sentence
from yizhan.core.text import clean, shorten
from yizhan.errors import RequestError
from yizhan.model import Inbound, Turn
from yizhan.ports import Clock, Draft, Later, OutputEnd, Piece, Progress, Session, Store, Text
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.speech import eagerly
from yizhan.runtime.turns.desk import Desk
from yizhan.runtime.turns.lifetimes import Lifetimes
from yizhan.runtime.turns.numbers import TurnNumbers
from yizhan.runtime.turns.speaking import Speaking
from yizhan.runtime.turns.steps import Steps

PROGRESS_LINES, PROGRESS_LINE_CHARS = 5, 200
"""Of what an agent does between two progress messages, so much is told."""


@dataclass(slots=True)
class Heard:
    """What has been heard so far.

    pieces   of the output that is being said; joined once, since there may be a hundred thousand of them
    looked   how far a first sentence has been looked for; None: none goes ahead any more
    spoken   outputs that have been accepted already
    before   those of them that were accepted before the agent was asked this time
    """

    outputs: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    looked: int | None = None
    session: str | None = None
    later: bool = False
    spoken: int = 0
    before: tuple[str, ...] = ()

    def end_output(self) -> None:
        self.outputs.append("".join(self.pieces))
        self.pieces, self.looked = [], None

    def first_sentence(self) -> str:
        """What of the answer may go ahead; empty while nothing may. Told once."""
        if self.looked is None:
            return ""
        self.pieces = ["".join(self.pieces)]  # no longer than a sentence, or this is the last look
        match first_sentence(self.pieces[0], self.looked):
            case NotYet(looked):
                self.looked = looked
                return ""
            case Never():
                self.looked = None
                return ""
            case Ends(at):
                self.looked = None
                return self.pieces[0][:at]

    def took(self, first: str) -> None:
        """The beginning of the answer has been accepted."""
        self.spoken, self.pieces = 1, ["".join(self.pieces)[len(first) :]]

    @property
    def left(self) -> tuple[str, ...]:
        """What is still to be accepted. An agent that says again what the chat has heard is not heard twice."""
        whole = [output for output in [*self.outputs, "".join(self.pieces)] if output]
        for known in self.before:
            if whole and whole[0].lstrip().startswith(known.strip()):
                whole[0] = whole[0].lstrip()[len(known.strip()) :].lstrip()
        return tuple(output for output in whole if output)


@dataclass(slots=True)
class Meanwhile:
    """Progress that is to be told: the last lines, and when the next message may go."""

    lines: list[str] = field(default_factory=list)
    due_ms: int = 0
    told: int = 0


class Listening:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        steps: Steps,
        speaking: Speaking,
        lifetimes: Lifetimes,
        outbound: Outbound,
        numbers: TurnNumbers,
    ) -> None:
        self._store = store
        self._clock = clock
        self._steps = steps
        self._speaking = speaking
        self._lifetimes = lifetimes
        self._outbound = outbound
        self._numbers = numbers

    async def hear(
        self, desk: Desk, turn: Turn, asked: Sequence[Inbound], pieces: AsyncIterable[Piece]
    ) -> Heard:
        """Everything an agent says. Raises what the agent raises."""
        heard, meanwhile = await self._from_before(turn), Meanwhile()
        desk.spoken = bool(heard.spoken)
        metered = self._outbound.metered(turn.target)
        if self._numbers.first_sentence.allows(metered) and not heard.spoken:
            heard.looked = 0
        tells = self._numbers.progress.allows(metered)
        async with aclosing(eagerly(pieces)) as read:
            async for piece in read:
                match piece:
                    case Text(delta):
                        heard.pieces.append(delta)
                        if first := heard.first_sentence():
                            await self._say_first(desk, turn, asked, heard, first)
                    case OutputEnd():
                        heard.end_output()
                    case Session(name):
                        heard.session = name
                    case Later():
                        heard.later = True
                    case Progress(text):
                        if tells:
                            await self._tell(turn, asked, meanwhile, text)
                    case _:
                        assert_never(piece)
        return heard

    async def _from_before(self, turn: Turn) -> Heard:
        """What the turn has said before a crash stays said."""
        if not turn.outputs:
            return Heard()
        before = await self._steps.take(lambda: self._store.spoken(turn))
        return Heard(spoken=len(before), before=before)

    async def _say_first(
        self, desk: Desk, turn: Turn, asked: Sequence[Inbound], heard: Heard, first: str
    ) -> None:
        lifetime_ms = await self._lifetimes.of(asked)
        if await self._accept(turn, lambda: self._speaking.first(turn, asked, first, lifetime_ms)):
            desk.spoken = True
            heard.took(first)

    async def _tell(self, turn: Turn, asked: Sequence[Inbound], meanwhile: Meanwhile, text: str) -> None:
        """Notes a line, and tells the last ones if it is time."""
        line = shorten(" ".join(clean(text).split()), PROGRESS_LINE_CHARS)
        if line and line not in meanwhile.lines[-1:]:
            meanwhile.lines = [*meanwhile.lines, line][-PROGRESS_LINES:]
        now_ms = self._clock.now_ms()
        if not meanwhile.lines or now_ms < meanwhile.due_ms or meanwhile.told >= self._numbers.progress_max:
            return
        text, number = "\n".join(meanwhile.lines), meanwhile.told
        meanwhile.lines, meanwhile.told = [], meanwhile.told + 1
        meanwhile.due_ms = now_ms + self._numbers.progress_every_ms
        await self._accept(turn, lambda: self._speaking.progress(turn, asked, text, number))

    async def _accept(self, turn: Turn, make: Callable[[], Draft | None]) -> bool:
        """Whether it was accepted. What cannot be said early costs nothing but that: the answer is still to come."""
        try:
            if (draft := make()) is None:
                return False
            return await self._steps.add(turn.target, lambda: self._store.say(turn.id, draft)) is not None
        except RequestError as error:
            self._outbound.log.warning("turn.unsaid", account=turn.account, turn=turn.id, code=error.name)
            return False
