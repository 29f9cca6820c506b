"""Turns: stored messages → a question for the agent → its outputs, accepted before anything is sent.

One turn per chat at a time, many chats at once, at most `workers` agents at work. A turn is a row from its
start to its end: a crash re-runs it, and since its outputs have stable keys, what was accepted already is
not accepted again. Rapid messages are merged over *stored* messages, so that a restart only delays them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from yizhan.core.commands import Command, command_of
from yizhan.core.parts import pack
from yizhan.core.phrases import say
from yizhan.core.text import clean, shorten
from yizhan.errors import RequestError, StoreError
from yizhan.model import (
    AccountId,
    AccountState,
    Inbound,
    InboundId,
    MessageClass,
    Reason,
    Target,
    Turn,
    TurnId,
    TurnState,
)
from yizhan.ports import (
    Agent,
    AgentFailed,
    Chance,
    Clock,
    Draft,
    Question,
    Said,
    Store,
    TurnEnd,
    TurnStart,
)
from yizhan.runtime.lines import Lines
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.patience import persist
from yizhan.runtime.speech import heard
from yizhan.runtime.views import Order
from yizhan.settings import Settings

T = TypeVar("T")

TYPING_EVERY_MS = 5_000
DETAIL_MAX = 500
"""Characters of an agent's complaint that the operator sees."""

STOPPED = Reason("stopped", "ended by /stop")
BROKEN = Reason("turn-broke", "the turn broke in the gateway; its log says how")


@dataclass(frozen=True, slots=True)
class TurnNumbers:
    """What an operator may set (docs/configuration.md, turns). `failure_notice` None: our own sentence; empty: none."""

    language: str
    debounce_ms: int
    debounce_long_ms: int
    debounce_long_chars: int
    workers: int
    history_limit: int
    failure_notice: str | None

    @classmethod
    def of(cls, settings: Settings) -> TurnNumbers:
        agent = settings.agents.get(settings.agent)
        return cls(
            language=settings.language,
            debounce_ms=int(settings.turns.debounce_s * 1000),
            debounce_long_ms=int(settings.turns.debounce_long_s * 1000),
            debounce_long_chars=settings.turns.debounce_long_chars,
            workers=settings.turns.workers,
            history_limit=agent.history_messages if agent and agent.kind == "openai" else 0,
            failure_notice=settings.turns.failure_notice,
        )


@dataclass(slots=True, eq=False)
class _Desk:
    """A chat being answered: what waits for the next turn, and the turn that is open.

    answering  from the turn's opening until the agent has answered; until then it can be stopped
    stopped    it was
    work       the agent at work, or the wait for a free worker
    """

    pending: list[Inbound] = field(default_factory=list)
    resumed: list[Turn] = field(default_factory=list)
    loop: asyncio.Task[None] | None = None
    answering: bool = False
    stopped: bool = False
    work: asyncio.Task[list[str]] | None = None

    def open(self) -> None:
        self.answering, self.stopped = True, False

    def stop(self) -> None:
        self.stopped = self.answering
        if self.work is not None:
            self.work.cancel()


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of asking."""

    state: TurnState
    outputs: tuple[str, ...] = ()
    reason: Reason | None = None


class Turns:
    """Runs turns. `agent` None: nobody answers, and only commands are carried out."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Chance,
        outbound: Outbound,
        lines: Lines,
        agent: Agent | None,
        numbers: TurnNumbers,
        account_state: Callable[[AccountId], AccountState],
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._outbound = outbound
        self._lines = lines
        self._agent = agent
        self._numbers = numbers
        self._account_state = account_state
        self._desks: dict[Target, _Desk] = {}
        self._workers = asyncio.Semaphore(numbers.workers)
        self._commands: set[asyncio.Task[None]] = set()

    @property
    def somebody_answers(self) -> bool:
        return self._agent is not None

    def offer(self, inbound: Inbound) -> None:
        """A stored message waits for an answer."""
        target = Target(inbound.account, inbound.chat)
        desk = self._desks.setdefault(target, _Desk())
        desk.pending.append(inbound)
        self._outbound.expect(target, True)
        self._staff(target, desk)

    def command(self, inbound: Inbound) -> None:
        """A stored control command waits to be carried out; it waits for no turn."""
        task = asyncio.create_task(self._obey(inbound))
        self._commands.add(task)
        task.add_done_callback(self._obeyed)

    async def recover(self) -> None:
        """Turns that were at work when the process ended begin again, under the same ids."""
        for turn in await self._store.open_turns():
            target = Target(turn.account, turn.chat)
            desk = self._desks.setdefault(target, _Desk())
            desk.resumed.append(turn)
            self._outbound.expect(target, True)
            self._staff(target, desk)

    async def stop(self) -> None:
        """Ends all work; open turns stay open in the store and begin again after a restart."""
        loops = [desk.loop for desk in self._desks.values() if desk.loop] + list(self._commands)
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    def forget(self, account: AccountId) -> None:
        """The account is gone, and with it its turns: nobody need go on answering."""
        for target, desk in self._desks.items():
            if target.account == account:
                desk.pending.clear()
                desk.resumed.clear()
                desk.stop()

    def running(self, target: Target) -> bool:
        desk = self._desks.get(target)
        return desk is not None and desk.answering

    # a chat's loop

    def _staff(self, target: Target, desk: _Desk) -> None:
        if desk.loop is None:
            desk.loop = asyncio.create_task(self._attend(target, desk))
            desk.loop.add_done_callback(lambda task: self._left(target, desk, task))

    def _left(self, target: Target, desk: _Desk, task: asyncio.Task[None]) -> None:
        desk.loop, desk.answering = None, False
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._outbound.log.error("turn.broke", account=target.account, exc_info=error)
        if desk.pending or desk.resumed:
            self._staff(target, desk)
        else:
            self._desks.pop(target, None)
            self._outbound.expect(target, False)

    async def _attend(self, target: Target, desk: _Desk) -> None:
        while desk.resumed:
            turn = desk.resumed.pop(0)
            desk.open()
            asked = await self._persist(partial(self._store.inbound, turn.inbound_ids))
            await self._run(target, desk, turn.id, asked)
        while desk.pending:
            await self._settle_down(desk)
            if asked := tuple(desk.pending):
                desk.pending.clear()
                desk.open()
                turn_id = await self._begin(target, asked)
                if turn_id is None:
                    desk.answering = False
                else:
                    await self._run(target, desk, turn_id, asked)

    async def _settle_down(self, desk: _Desk) -> None:
        """Waits until nothing new has come for the debounce time of the last message."""
        while desk.pending:
            last = desk.pending[-1]
            long = len(last.text) >= self._numbers.debounce_long_chars
            wait_ms = self._numbers.debounce_long_ms if long else self._numbers.debounce_ms
            due_ms = last.received_at_ms + wait_ms
            if due_ms <= self._clock.now_ms():
                return
            await self._clock.sleep_until(due_ms)

    async def _begin(self, target: Target, asked: Sequence[Inbound]) -> TurnId | None:
        """Opens a turn. None: there is nobody any more to answer to."""
        agent = self._agent.name if self._agent else "none"
        ids = tuple(inbound.id for inbound in asked)
        start = TurnStart(TurnId(self._chance.new_id("t")), target, agent, ids, self._clock.now_ms())
        try:
            return (await self._persist(lambda: self._store.start_turn(start))).id
        except RequestError as error:
            self._outbound.log.warning("turn.not_opened", account=target.account, code=error.name)
            await self._persist(lambda: self._store.dispatch_done(ids))
            return None

    async def _run(self, target: Target, desk: _Desk, turn: TurnId, asked: Sequence[Inbound]) -> None:
        """One turn from question to end. Whatever the agent does, the turn ends in a state."""
        outcome = await self._answer(target, desk, turn, asked)
        if outcome.state is TurnState.FAILED and outcome.reason is not None:
            self._outbound.log.warning(
                "turn.failed", account=target.account, turn=turn, code=outcome.reason.code
            )
        try:
            drafts = self._drafts(target, turn, asked, outcome)
            await self._end(
                target, desk, TurnEnd(turn, outcome.state, self._clock.now_ms(), drafts, outcome.reason)
            )
        except Exception as error:
            reason = outcome.reason or self._why_unsaid(target, turn, error)
            state = outcome.state if outcome.reason else TurnState.FAILED
            await self._end(target, desk, TurnEnd(turn, state, self._clock.now_ms(), (), reason))

    async def _answer(self, target: Target, desk: _Desk, turn: TurnId, asked: Sequence[Inbound]) -> _Outcome:
        """Has the agent asked, in a task of its own, so that /stop can reach it from here on."""
        try:
            if desk.stopped:
                return _Outcome(TurnState.STOPPED, reason=STOPPED)
            desk.work = asyncio.create_task(self._work(target, turn, asked))
            await asyncio.wait({desk.work})
            outcome = self._outcome(target, turn, desk.work)
            return _Outcome(TurnState.STOPPED, reason=STOPPED) if desk.stopped else outcome
        finally:
            if desk.work is not None:
                desk.work.cancel()  # if we are told to end, and not the agent
            desk.work, desk.answering = None, False

    def _outcome(self, target: Target, turn: TurnId, work: asyncio.Task[list[str]]) -> _Outcome:
        if work.cancelled():
            return _Outcome(TurnState.FAILED, reason=Reason("agent-broke", "it cancelled itself"))
        error = work.exception()
        if error is None:
            return _Outcome(TurnState.DONE, tuple(work.result()))
        if isinstance(error, AgentFailed):
            return _Outcome(TurnState.FAILED, reason=_bounded(error))
        self._outbound.log.error("turn.broke", account=target.account, turn=turn, exc_info=error)
        return _Outcome(TurnState.FAILED, reason=BROKEN)

    def _why_unsaid(self, target: Target, turn: TurnId, error: Exception) -> Reason:
        """Why what the agent said cannot be accepted; without its words."""
        if isinstance(error, RequestError):
            self._outbound.log.warning("turn.unsaid", account=target.account, turn=turn, code=error.name)
            return Reason(error.name, error.detail)
        self._outbound.log.error("turn.broke", account=target.account, turn=turn, exc_info=error)
        return BROKEN

    async def _work(self, target: Target, turn: TurnId, asked: Sequence[Inbound]) -> list[str]:
        """Waits for a free worker, then asks."""
        async with self._workers:
            typing = asyncio.create_task(self._type(target))
            try:
                if not await self._persist(lambda: self._store.begin_turn(turn, self._clock.now_ms())):
                    return []  # it has been ended meanwhile
                return await self._ask(target, turn, asked)
            finally:
                typing.cancel()

    async def _ask(self, target: Target, turn: TurnId, asked: Sequence[Inbound]) -> list[str]:
        assert self._agent is not None, "a turn begins only where somebody answers"
        question = await self._question(target, turn, asked)
        try:
            return list((await heard(self._agent.answer(question))).outputs)
        except AgentFailed:
            raise
        except Exception as error:  # a broken agent ends its turn, never the chat's loop
            raise AgentFailed("agent-broke", repr(error)) from error

    async def _question(self, target: Target, turn: TurnId, asked: Sequence[Inbound]) -> Question:
        chat = await self._persist(lambda: self._store.chat(target))
        history = await self._persist(lambda: self._store.history(target, self._numbers.history_limit))
        first_ms = asked[0].received_at_ms
        return Question(
            turn=turn,
            target=target,
            sender_id=asked[-1].sender_id,
            sender_name=asked[-1].sender_name,
            text="\n".join(_spoken(inbound) for inbound in asked),
            history=tuple(line for line in history if _before(line, first_ms)),
            session=f"{target}#{chat.session_since_ms if chat else 0}",
        )

    async def _end(self, target: Target, desk: _Desk, end: TurnEnd) -> None:
        """Its outputs are accepted; if it was the last one, nothing need be kept for an answer any more."""
        for accepted in await self._persist(self._doubtful(target, lambda: self._store.end_turn(end))):
            self._outbound.admit(accepted)
        self._outbound.expect(target, bool(desk.pending or desk.resumed))

    def _drafts(
        self, target: Target, turn: TurnId, asked: Sequence[Inbound], outcome: _Outcome
    ) -> tuple[Draft, ...]:
        if outcome.state is TurnState.FAILED:
            return self._notice(target, turn, asked)
        said = [text for text in map(self._fit, outcome.outputs) if text.strip()]
        drafts = self._outbound.drafts
        texts = pack(said, *drafts.room(target), drafts.text_max_chars)
        return tuple(
            self._draft(
                target, text, MessageClass.REPLY, asked[-1].id, f"turn:{turn}:{ordinal}", turn, ordinal
            )
            for ordinal, text in enumerate(texts)
        )

    def _notice(self, target: Target, turn: TurnId, asked: Sequence[Inbound]) -> tuple[Draft, ...]:
        """The chat hears at most one short sentence about a failure; the operator sees the cause."""
        text = self._numbers.failure_notice
        if text is None:
            text = say(self._numbers.language, "turn_failed")
        if not text.strip():
            return ()
        key = f"turn:{turn}:notice"
        return (self._draft(target, text, MessageClass.NOTICE, asked[-1].id, key, turn, None),)

    def _fit(self, text: str) -> str:
        return self._outbound.drafts.fit(text)

    def _draft(
        self,
        target: Target,
        text: str,
        klass: MessageClass,
        in_reply_to: InboundId,
        key: str,
        turn: TurnId | None,
        ordinal: int | None,
    ) -> Draft:
        source = "turn" if turn else "command"
        order = Order(str(target), text, klass, source, idempotency_key=key, in_reply_to=in_reply_to)
        return self._outbound.drafts.draft(target, order, turn=turn, ordinal=ordinal, keep_first=True)

    async def _type(self, target: Target) -> None:
        """Keeps "typing…" alive while the agent works, and always ends it."""
        line = self._lines.get(target.account)
        if line is None:
            return
        try:
            while True:
                await line.transport.typing(target.chat, self._outbound.usable_token(target), True)
                await self._clock.sleep_ms(TYPING_EVERY_MS)
        finally:
            ending = asyncio.create_task(
                line.transport.typing(target.chat, self._outbound.usable_token(target), False)
            )
            self._commands.add(ending)
            ending.add_done_callback(self._obeyed)

    # commands

    async def _obey(self, inbound: Inbound) -> None:
        command = command_of(inbound.text)
        if command is not None:
            try:
                await self._confirm(inbound, command)
            except RequestError as error:
                self._outbound.log.warning("command.unanswered", account=inbound.account, code=error.name)
        await self._persist(lambda: self._store.dispatch_done([inbound.id]))

    async def _confirm(self, inbound: Inbound, command: Command) -> None:
        """Carries it out and says so."""
        target, key = Target(inbound.account, inbound.chat), f"command:{inbound.id}"
        text = await self._carry_out(command, target)
        draft = self._draft(target, text, MessageClass.NOTICE, inbound.id, key, None, None)
        accepted = await self._persist(self._doubtful(target, lambda: self._store.accept(draft)))
        self._outbound.admit(accepted)

    async def _carry_out(self, command: Command, target: Target) -> str:
        language = self._numbers.language
        match command:
            case Command.STOP:
                return say(language, "stopped" if await self._stop_turn(target) else "nothing_to_stop")
            case Command.NEW:
                await self._stop_turn(target)
                await self._persist(lambda: self._store.new_session(target, self._clock.now_ms()))
                return say(language, "new_session")
            case Command.STATUS:
                state = self._account_state(target.account).value
                running = say(language, "running" if self.running(target) else "idle")
                return say(
                    language, "status", state=state, running=running, waiting=self._outbound.waiting(target)
                )
            case Command.HELP:
                return say(language, "help")

    async def _stop_turn(self, target: Target) -> bool:
        """Ends the open turn, those that were to be resumed, and what waits for the next one. Answers whether there
        was any."""
        desk = self._desks.get(target)
        if desk is None or not (desk.answering or desk.resumed or desk.pending):
            return False
        ids, desk.pending = [inbound.id for inbound in desk.pending], []
        resumed, desk.resumed = desk.resumed, []
        desk.stop()
        for turn in resumed:
            end = TurnEnd(turn.id, TurnState.STOPPED, self._clock.now_ms(), reason=STOPPED)
            await self._persist(partial(self._store.end_turn, end))
        if ids:
            await self._persist(lambda: self._store.dispatch_done(ids))
        return True

    def _obeyed(self, task: asyncio.Task[None]) -> None:
        self._commands.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._outbound.log.error("command.broke", exc_info=error)

    def _doubtful(self, target: Target, write: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """A write that adds messages: a newer one of the chat must not overtake what is there, unheard of."""

        async def written() -> T:
            with self._outbound.doubtful(target):
                return await write()

        return written

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        """A step of a turn that must reach the store, however long it takes."""

        def tell(error: StoreError) -> None:
            self._outbound.log.warning("turn.waits_for_store", error=error.detail)

        return await persist(self._clock, write, tell)


def _bounded(error: AgentFailed) -> Reason:
    """For the operator's timeline only: the detail may quote what the agent was asked, so no log has it."""
    return Reason(error.code, shorten(clean(error.detail), DETAIL_MAX))


def _spoken(inbound: Inbound) -> str:
    """A message as the agent reads it: the quote first, then the text, then what came along."""
    lines = [f"> {line}" for line in inbound.quoted_text.splitlines()]
    lines += [inbound.text] if inbound.text else []
    lines += [f"[{item.kind}: {item.name or 'unnamed'}]" for item in inbound.items if item.kind != "text"]
    return "\n".join(lines)


def _before(line: Said, first_ms: int) -> bool:
    """What was said to the agent before this turn: neither the question itself, nor commands to the gateway."""
    return line.role == "assistant" or (line.at_ms < first_ms and command_of(line.text) is None)
