"""The loop of each chat: one turn after the other, from stored messages to accepted outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

from yizhan.core.routing import NOBODY
from yizhan.errors import InvalidRequest, RequestError
from yizhan.model import (
    AccountId,
    AccountState,
    Inbound,
    Message,
    Target,
    Turn,
    TurnId,
    TurnState,
    WhileBusy,
)
from yizhan.ports import Chance, Clock, Store, TurnOpened, TurnStart
from yizhan.runtime.lines import Lines
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.turns.asking import Asking
from yizhan.runtime.turns.batches import more_of, next_batch
from yizhan.runtime.turns.commands import Commands, Door
from yizhan.runtime.turns.desk import INTERRUPTED, STOPPED, STOPPED_BY_OPERATOR, Cleared, Desk
from yizhan.runtime.turns.finishing import Finishing
from yizhan.runtime.turns.holding import Holding
from yizhan.runtime.turns.late import LateAnswers
from yizhan.runtime.turns.lifetimes import Lifetimes
from yizhan.runtime.turns.listening import Listening
from yizhan.runtime.turns.numbers import TurnNumbers
from yizhan.runtime.turns.outcome import Outcome, outcome_of
from yizhan.runtime.turns.questions import Questions
from yizhan.runtime.turns.roster import Roster
from yizhan.runtime.turns.speaking import Speaking
from yizhan.runtime.turns.steps import Steps
from yizhan.runtime.turns.typing_signs import TypingSigns
from yizhan.runtime.turns.workers import Seat, Workers


class Turns:
    """Runs turns. Where nobody is in the roster only commands are carried out."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Chance,
        outbound: Outbound,
        lines: Lines,
        door: Door,
        roster: Roster,
        numbers: TurnNumbers,
        account_state: Callable[[AccountId], AccountState],
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._outbound = outbound
        self._roster = roster
        self._numbers = numbers
        self._desks: dict[Target, Desk] = {}
        self._closing = False
        self._steps = Steps(clock, outbound)
        self._workers = Workers(numbers.workers)
        self._signs = TypingSigns(clock, lines, outbound)
        speaking = Speaking(outbound.drafts, numbers.language, numbers.failure_notice)
        lifetimes = Lifetimes(store, self._steps)
        holding = Holding(store, clock, self._steps, speaking, outbound, numbers.ack_before_ms)
        self._asking = Asking(
            store,
            clock,
            self._steps,
            Questions(store, self._steps, roster, numbers.language),
            self._signs,
            roster,
            Listening(store, clock, self._steps, speaking, lifetimes, outbound, numbers),
            holding,
            numbers.timeout_ms,
        )
        self._finishing = Finishing(store, clock, self._steps, speaking, lifetimes, outbound)
        self._late = LateAnswers(
            store, clock, self._steps, self._finishing, holding, outbound, numbers.later_ms, self._recount
        )
        self._commands = Commands(
            store,
            clock,
            self._steps,
            speaking,
            outbound,
            lines,
            door,
            self,
            roster,
            numbers.sessions.by_person,
            numbers.language,
            account_state,
        )

    def answers(self, target: Target, text: str) -> bool:
        """Whether somebody answers such a message."""
        return self._roster.answers(target, text)

    @property
    def shows_codes(self) -> bool:
        """Whether an unknown sender is told by which code he can be approved."""
        return self._numbers.shows_codes

    def offer(self, inbound: Inbound) -> None:
        """A stored message waits for an answer."""
        desk = self._desk(Target(inbound.account, inbound.chat))
        desk.pending.append(inbound)
        if desk.concerns(inbound, self._numbers.sessions.by_person):
            self._concern(desk, inbound)
        self._staff(desk)

    def _concern(self, desk: Desk, inbound: Inbound) -> None:
        """A message has come from whom the open turn answers."""
        match self._numbers.while_busy:
            case WhileBusy.INTERRUPT:
                desk.stop(INTERRUPTED)
            case WhileBusy.STEER:
                if self._steers(desk, inbound):
                    desk.steer()
            case WhileBusy.QUEUE:
                pass  # it waits
            case _:
                assert_never(self._numbers.while_busy)

    def _steers(self, desk: Desk, inbound: Inbound) -> bool:
        """Whether the message is for the agent that answers, and comes in time: somebody who writes again and again
        would else never be answered, since the agent begins anew each time."""
        in_time = self._clock.now_ms() < desk.opened_ms + self._numbers.timeout_ms
        return in_time and not self._roster.elsewhere(desk.agent, inbound)

    def command(self, inbound: Inbound) -> None:
        """A stored control command waits to be carried out; it waits for no turn."""
        if not self._closing:
            self._commands.take(inbound)

    async def recover(self) -> None:
        """Turns that were at work when the process ended begin again, under the same ids."""
        self._roster.load(await self._store.chosen_agents())
        for turn in await self._store.open_turns():
            if turn.state is TurnState.WAITING:
                self._late.expect(turn)
                self._recount(turn.target)
            else:
                self.resume(turn)

    async def stop(self) -> None:
        """Ends all work; open turns stay open in the store and begin again after a restart. What comes from now on
        waits there, too."""
        self._closing = True
        loops = [desk.loop for desk in self._desks.values() if desk.loop]
        for task in loops:
            task.cancel()
        await self._commands.stop()
        await asyncio.gather(*loops, return_exceptions=True)
        await self._late.stop()
        await self._signs.stop()

    def forget(self, account: AccountId) -> None:
        """The account is gone, and with it its turns: nobody need go on answering."""
        for target in self._late.chats.union(self._desks):
            if target.account == account:
                self.leave_to_person(target)

    def leave_to_person(self, target: Target) -> None:
        """A person answers the chat now, and the store has ended its turns: nobody need go on with them."""
        self._late.take(target)
        if (desk := self._desks.get(target)) is not None:
            desk.take_pending()
            desk.take_resumed()
            desk.stop()

    def answered(self, message: Message) -> None:
        """A program's message was accepted; perhaps it is the answer for which a turn has waited."""
        self._late.answered(message)

    def running(self, target: Target) -> bool:
        """Whether a turn of the chat is open; also one whose answer is to come later."""
        desk = self._desks.get(target)
        return (desk is not None and desk.answering) or self._late.any(target)

    async def settled(self, target: Target) -> None:
        """Until an open turn that is to end has ended, which takes as long as its agent."""
        desk = self._desks.get(target)
        if desk is not None and desk.ending is not None:
            await desk.ending.wait()

    def clear(self, target: Target, whose: str | None) -> Cleared:
        """Takes off the chat's open turn, those that were to be resumed, and what waits for the next one; at once, so
        that what comes from now on is answered. `whose`: only what this person has asked, None: everything."""
        waited, desk = self._late.take(target, whose), self._desks.get(target)
        if desk is None:
            return Cleared(waited, any=bool(waited))
        asking = tuple(inbound.id for inbound in desk.take_pending(whose))
        turns = waited + desk.take_resumed(whose)
        stops = desk.answering and (whose is None or desk.sender in ("", whose))
        if stops:
            desk.stop()
        return Cleared(turns, asking, any=bool(turns or asking or stops))

    async def end_all(self, cleared: Cleared) -> None:
        """Writes down that it has ended."""
        for turn in cleared.turns:
            await self._finishing.end(turn, TurnState.STOPPED, STOPPED)
        if cleared.asking:
            await self._steps.take(lambda: self._store.dispatch_done(cleared.asking))

    async def again(self, old: Turn, name: TurnId) -> Turn:
        """Asks again about the messages of a turn that has ended, in a new turn of that name. Raises UnknownAccount,
        InvalidRequest."""
        asked = await self._store.inbound(old.inbound_ids)
        if len(asked) < len(old.inbound_ids):
            raise InvalidRequest(
                "What was asked in this turn is not kept any more (retention.messages_days).",
                "Let the question be asked in the chat again.",
            )
        agent = self._roster.asked(asked).agent
        if agent == NOBODY:
            raise InvalidRequest("Nobody answers here.", "Set agent, or a route, and restart the gateway.")
        start = self._start(name, old.target, agent, asked, False)
        return (await self._store.start_turn(start)).turn

    async def end(self, turn: Turn) -> None:
        """An operator ends an open turn. If it has just come to its own end, that holds."""
        desk = self._desks.get(turn.target)
        if desk is not None:
            desk.drop(turn.id)
            if desk.turn == turn.id:
                desk.stop(STOPPED_BY_OPERATOR)
        self._late.drop(turn.id)
        await self._finishing.end(turn, TurnState.STOPPED, STOPPED_BY_OPERATOR)

    # a chat's loop

    def _desk(self, target: Target) -> Desk:
        self._outbound.expect(target, True)
        return self._desks.setdefault(target, Desk(target))

    def _recount(self, target: Target) -> None:
        """Whether an answer of the chat is still to come: for none nothing need be kept of what it permits."""
        desk = self._desks.get(target)
        self._outbound.expect(target, (desk is not None and desk.busy) or self._late.any(target))

    def resume(self, turn: Turn) -> None:
        """A stored turn is to be answered, before what waits for the next one."""
        desk = self._desk(turn.target)
        desk.resumed.append(turn)
        self._staff(desk)

    def _staff(self, desk: Desk) -> None:
        if desk.loop is None and not self._closing:
            desk.loop = asyncio.create_task(self._attend(desk))
            desk.loop.add_done_callback(partial(self._left, desk))

    def _left(self, desk: Desk, task: asyncio.Task[None]) -> None:
        desk.loop = None
        desk.close()
        desk.ended()
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._outbound.log.error("turn.broke", account=desk.target.account, exc_info=error)
        if desk.busy:
            self._staff(desk)
        else:
            self._desks.pop(desk.target, None)
            self._recount(desk.target)

    async def _attend(self, desk: Desk) -> None:
        while desk.busy:
            while desk.resumed:
                await self._resumed(desk, desk.resumed.pop(0))
                desk.ended()
            if asked := await next_batch(desk, self._clock, self._numbers, self._roster):
                await self._answer(desk, asked)
                desk.ended()

    async def _resumed(self, desk: Desk, turn: Turn) -> None:
        desk.open(turn.agent, self._clock.now_ms())
        asked = await self._steps.take(lambda: self._store.inbound(turn.inbound_ids))
        desk.sender = asked[0].sender_id if asked else ""
        await self._run(desk, turn, self._workers.seat(), None, asked)

    async def _answer(self, desk: Desk, asked: Sequence[Inbound]) -> None:
        """Opens a turn, which begins at once where a worker is free."""
        agent = self._roster.asked(asked).agent
        desk.open(agent, self._clock.now_ms(), asked[0].sender_id)
        seat = self._workers.seat()
        try:
            begins = await seat.take_free()
            opened = await self._open(desk, agent, asked, begins)
            if opened is None:
                desk.close()
            else:
                await self._run(desk, opened.turn, seat, opened if begins else None, asked)
        finally:
            seat.leave()

    async def _open(
        self, desk: Desk, agent: str, asked: Sequence[Inbound], begins: bool
    ) -> TurnOpened | None:
        """The turn's row. None: there is nobody any more to answer to."""
        ids = tuple(inbound.id for inbound in asked)
        name = TurnId(self._chance.new_id("t"))
        start = self._start(name, desk.target, agent, asked, begins)
        try:
            return await self._steps.take(lambda: self._store.start_turn(start))
        except RequestError as error:
            self._outbound.log.warning("turn.not_opened", account=desk.target.account, code=error.name)
            await self._steps.take(lambda: self._store.dispatch_done(ids))
            return None

    def _start(
        self, name: TurnId, target: Target, agent: str, asked: Sequence[Inbound], begins: bool
    ) -> TurnStart:
        ids, first = tuple(inbound.id for inbound in asked), asked[0]
        return TurnStart(
            name,
            target,
            agent,
            ids,
            self._clock.now_ms(),
            begins,
            first.sender_id,
            first.received_at_ms,
            self._numbers.sessions,
        )

    async def _run(
        self, desk: Desk, turn: Turn, seat: Seat, begun: TurnOpened | None, asked: Sequence[Inbound]
    ) -> None:
        """One turn from question to end."""
        try:
            outcome, asked = await self._outcome(desk, turn, seat, begun, asked)
        finally:
            seat.leave()
            desk.close()
        if await self._finishing.finish(turn, asked, outcome) is TurnState.WAITING:
            self._late.expect(turn)
        self._recount(desk.target)

    async def _outcome(
        self, desk: Desk, turn: Turn, seat: Seat, begun: TurnOpened | None, asked: Sequence[Inbound]
    ) -> tuple[Outcome, Sequence[Inbound]]:
        """Has the agent asked until it has answered, and tells about which messages in the end."""
        desk.turn = turn.id
        while True:
            desk.steered = False
            outcome = await self._ask(desk, turn, seat, begun, asked)
            if outcome is not None:
                return outcome, asked
            if more := await more_of(desk, self._clock, self._numbers, self._roster):
                begun = await self._extend(desk, turn, more)
                asked = (*asked, *more)

    async def _ask(
        self, desk: Desk, turn: Turn, seat: Seat, begun: TurnOpened | None, asked: Sequence[Inbound]
    ) -> Outcome | None:
        """Has the agent asked, in a task of its own, so that /stop can reach it from here on. None: a message has come
        that it is to know of."""
        work = desk.work = asyncio.create_task(self._asking.ask(desk, turn, seat, begun, asked))
        try:
            if desk.stopped is not None:
                work.cancel()
            await asyncio.wait({work})
        finally:
            work.cancel()  # if we are told to end, and not the agent
        if desk.stopped is not None:
            return Outcome(TurnState.STOPPED, reason=desk.stopped)
        return None if desk.steered and work.cancelled() else outcome_of(work)

    async def _extend(self, desk: Desk, turn: Turn, more: Sequence[Inbound]) -> TurnOpened | None:
        """The turn claims further messages. Answers it if it runs already. One that has ended meanwhile finds that out
        by itself, and they are asked about in the next."""
        ids = [inbound.id for inbound in more]
        opened = await self._steps.take(lambda: self._store.extend_turn(turn, ids, self._clock.now_ms()))
        if opened is None:
            desk.pending[:0] = more
        return opened if opened and opened.turn.state is TurnState.RUNNING else None
