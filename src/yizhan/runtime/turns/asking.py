"""Asking: an agent at work, within a free worker, with a sign in the chat that it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from yizhan.core.text import clean
from yizhan.model import Inbound, Turn
from yizhan.ports import AgentFailed, Clock, Store, TurnOpened
from yizhan.runtime.turns.desk import Desk
from yizhan.runtime.turns.holding import Holding
from yizhan.runtime.turns.listening import Listening
from yizhan.runtime.turns.outcome import Answer
from yizhan.runtime.turns.questions import Questions, agents_name
from yizhan.runtime.turns.roster import Roster
from yizhan.runtime.turns.steps import Steps
from yizhan.runtime.turns.typing_signs import TypingSigns
from yizhan.runtime.turns.workers import Seat

SESSION_MAX = 256
"""Characters of an agent's name of a conversation."""


class Asking:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        steps: Steps,
        questions: Questions,
        signs: TypingSigns,
        roster: Roster,
        listening: Listening,
        holding: Holding,
        timeout_ms: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._steps = steps
        self._questions = questions
        self._signs = signs
        self._roster = roster
        self._listening = listening
        self._holding = holding
        self._timeout_ms = timeout_ms

    async def ask(
        self, desk: Desk, turn: Turn, seat: Seat, begun: TurnOpened | None, asked: Sequence[Inbound]
    ) -> Answer:
        """What the agent says. `begun`: the turn runs already, and the seat is taken; whoever calls leaves it."""
        async with self._holding.told(turn, asked):
            await seat.take()
            opened = begun or await self._begin(turn)
            if opened is None:
                return Answer()  # it has been ended meanwhile
            async with self._signs.shown(turn.target):
                return await self._in_time(desk, opened, asked)

    async def _in_time(self, desk: Desk, opened: TurnOpened, asked: Sequence[Inbound]) -> Answer:
        limit_s = self._timeout_ms / 1000
        try:
            async with asyncio.timeout(limit_s) as limit:
                return await self._answer(desk, opened, asked)
        except TimeoutError:
            assert limit.expired(), "what an agent raises comes as AgentFailed"
            raise AgentFailed("turn-timeout", f"no answer within {limit_s:g} s (turns.timeout_s)") from None

    async def _begin(self, turn: Turn) -> TurnOpened | None:
        return await self._steps.take(lambda: self._store.begin_turn(turn, self._clock.now_ms()))

    async def _answer(self, desk: Desk, opened: TurnOpened, asked: Sequence[Inbound]) -> Answer:
        agent = self._roster.agent(opened.turn)
        if agent is None:
            raise AgentFailed("agent-gone", f"{opened.turn.agent} is not configured any more")
        question = await self._questions.of(opened, asked, self._clock.now_ms() + self._timeout_ms)
        try:
            heard = await self._listening.hear(desk, opened.turn, asked, agent.answer(question))
        except AgentFailed:
            raise
        except Exception as error:  # a broken agent ends its turn, never the chat's loop
            raise AgentFailed("agent-broke", repr(error)) from error
        name = agents_name(opened) if heard.session is None else clean(heard.session)[:SESSION_MAX]
        session = replace(opened.session, agent=opened.turn.agent, agent_session=name)
        return Answer(heard.left, session, heard.later, heard.spoken)
