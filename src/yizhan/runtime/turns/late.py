"""Late answers: turns whose agent will answer through our API. They hold neither a worker nor their chat, only a time
after which they have failed. The row says that they wait; what is here are the alarm clocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from yizhan.model import Message, Reason, Target, Turn, TurnId, TurnState
from yizhan.ports import Clock, Store
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.turns.desk import of_person
from yizhan.runtime.turns.finishing import Finishing
from yizhan.runtime.turns.holding import Holding
from yizhan.runtime.turns.outcome import Outcome
from yizhan.runtime.turns.steps import Steps


class LateAnswers:
    """`patience_ms`: how long an answer may take, from the beginning of its turn. `over` hears of every chat in which a
    turn has waited and does so no more."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        steps: Steps,
        finishing: Finishing,
        holding: Holding,
        outbound: Outbound,
        patience_ms: int,
        over: Callable[[Target], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._steps = steps
        self._finishing = finishing
        self._holding = holding
        self._outbound = outbound
        self._patience_ms = patience_ms
        self._chat_over = over
        self._waiting: dict[TurnId, tuple[Turn, asyncio.Task[None]]] = {}

    def expect(self, turn: Turn) -> None:
        """The turn waits for its answer."""
        alarm = asyncio.create_task(self._alarm(turn))
        self._waiting[turn.id] = turn, alarm
        alarm.add_done_callback(lambda task: self._over(turn, task))

    def any(self, target: Target) -> bool:
        """Whether a turn of the chat waits."""
        return target in self.chats

    @property
    def chats(self) -> frozenset[Target]:
        """Those in which a turn waits."""
        return frozenset(turn.target for turn, _ in self._waiting.values())

    def answered(self, message: Message) -> None:
        """A message was accepted; perhaps it is what a turn waited for."""
        if message.turn_id is not None:
            self.drop(message.turn_id)

    def drop(self, turn: TurnId) -> None:
        """It waits no more."""
        if turn in self._waiting:
            self._waiting[turn][1].cancel()

    def take(self, target: Target, whose: str | None = None) -> tuple[Turn, ...]:
        """Every turn of the chat that waits, of one person where that is given; they wait no more."""
        here = [turn for turn, _ in self._waiting.values() if turn.target == target]
        turns = tuple(turn for turn in here if of_person(turn, whose))
        for turn in turns:
            self.drop(turn.id)
        return turns

    async def stop(self) -> None:
        """They wait in the store, and are expected again after the next start."""
        alarms = [alarm for _, alarm in self._waiting.values()]
        for alarm in alarms:
            alarm.cancel()
        await asyncio.gather(*alarms, return_exceptions=True)

    async def _alarm(self, turn: Turn) -> None:
        if (await self._steps.take(lambda: self._store.turn(turn.id))).ended_at_ms is not None:
            return  # the answer was faster than we were
        asked = await self._steps.take(lambda: self._store.inbound(turn.inbound_ids))
        began_ms = turn.started_at_ms or turn.created_at_ms
        async with self._holding.told(turn, asked):
            await self._clock.sleep_until(began_ms + self._patience_ms)
        text = f"no answer came through the API within {self._patience_ms / 1000:g} s (turns.later_s)"
        failed = Outcome(TurnState.FAILED, reason=Reason("answer-missing", text))
        await self._finishing.finish(turn, asked, failed)

    def _over(self, turn: Turn, task: asyncio.Task[None]) -> None:
        self._waiting.pop(turn.id, None)
        self._chat_over(turn.target)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._outbound.log.error("turn.broke", account=turn.account, turn=turn.id, exc_info=error)
