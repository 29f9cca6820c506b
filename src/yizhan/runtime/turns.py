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

import structlog

from yizhan.core.commands import Command, command_of
from yizhan.core.phrases import say
from yizhan.errors import StoreError
from yizhan.model import (
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
from yizhan.ports import Agent, AgentFailed, Chance, Clock, Draft, Question, Said, Store, TurnEnd, TurnStart
from yizhan.runtime.lines import Lines
from yizhan.runtime.outbound import STORE_PAUSE_MS, Outbound
from yizhan.runtime.views import Order

log = structlog.get_logger("turns")

T = TypeVar("T")

TYPING_EVERY_MS = 5_000


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


@dataclass(slots=True, eq=False)
class _Desk:
    """A chat being answered: what waits for the next turn, and the turn at work."""

    pending: list[Inbound] = field(default_factory=list)
    resumed: list[Turn] = field(default_factory=list)
    loop: asyncio.Task[None] | None = None
    work: asyncio.Task[list[str]] | None = None


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
        account_state: Callable[[Target], AccountState],
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
            self._staff(target, desk)

    async def stop(self) -> None:
        """Ends all work; open turns stay open in the store and begin again after a restart."""
        loops = [desk.loop for desk in self._desks.values() if desk.loop] + list(self._commands)
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    def running(self, target: Target) -> bool:
        desk = self._desks.get(target)
        return desk is not None and desk.work is not None

    # a chat's loop

    def _staff(self, target: Target, desk: _Desk) -> None:
        if desk.loop is None:
            desk.loop = asyncio.create_task(self._attend(target, desk))
            desk.loop.add_done_callback(lambda task: self._left(target, desk, task))

    def _left(self, target: Target, desk: _Desk, task: asyncio.Task[None]) -> None:
        desk.loop = None
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("turn.broke", account=target.account, error=repr(error), exc_info=error)
        if desk.pending or desk.resumed:
            self._staff(target, desk)
        else:
            self._desks.pop(target, None)

    async def _attend(self, target: Target, desk: _Desk) -> None:
        while desk.resumed:
            turn = desk.resumed.pop(0)
            asked = await self._persist(partial(self._store.inbound, turn.inbound_ids))
            await self._run(target, desk, turn.id, asked)
        while desk.pending:
            await self._settle_down(desk)
            if asked := tuple(desk.pending):
                desk.pending.clear()
                turn_id = await self._begin(target, asked)
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

    async def _begin(self, target: Target, asked: Sequence[Inbound]) -> TurnId:
        agent = self._agent.name if self._agent else "none"
        ids = tuple(inbound.id for inbound in asked)
        start = TurnStart(TurnId(self._chance.new_id("t")), target, agent, ids, self._clock.now_ms())
        turn = await self._persist(lambda: self._store.start_turn(start))
        return turn.id

    async def _run(self, target: Target, desk: _Desk, turn: TurnId, asked: Sequence[Inbound]) -> None:
        """One turn from question to end. Whatever the agent does, the turn ends in a state."""
        state, reason, outputs = TurnState.DONE, None, []
        async with self._workers:
            desk.work = asyncio.create_task(self._ask(target, turn, asked))
            typing = asyncio.create_task(self._type(target))
            try:
                await asyncio.wait({desk.work})
                outputs = desk.work.result()
            except AgentFailed as error:
                state, reason = TurnState.FAILED, Reason(error.code, error.detail)
                log.warning(
                    "turn.failed", account=target.account, turn=turn, code=error.code, detail=error.detail
                )
            except asyncio.CancelledError:
                if not desk.work.cancelled():  # we are told to end, not the agent
                    desk.work.cancel()
                    raise
                state, reason = TurnState.STOPPED, Reason("stopped", "ended by /stop")
            finally:
                desk.work = None
                typing.cancel()
        drafts = self._outputs(target, turn, asked, outputs) or self._notice(target, turn, asked, state)
        await self._end(TurnEnd(turn, state, self._clock.now_ms(), tuple(drafts), reason))

    async def _ask(self, target: Target, turn: TurnId, asked: Sequence[Inbound]) -> list[str]:
        assert self._agent is not None, "a turn begins only where somebody answers"
        question = await self._question(target, turn, asked)
        try:
            return [output async for output in self._agent.answer(question)]
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

    async def _end(self, end: TurnEnd) -> None:
        for accepted in await self._persist(lambda: self._store.end_turn(end)):
            await self._persist(partial(self._outbound.admit_answer, accepted.message))

    def _outputs(
        self, target: Target, turn: TurnId, asked: Sequence[Inbound], outputs: list[str]
    ) -> list[Draft]:
        texts = [text for text in map(self._fit, outputs) if text.strip()]
        return [
            self._draft(
                target, text, MessageClass.REPLY, asked[-1].id, f"turn:{turn}:{ordinal}", turn, ordinal
            )
            for ordinal, text in enumerate(texts)
        ]

    def _notice(
        self, target: Target, turn: TurnId, asked: Sequence[Inbound], state: TurnState
    ) -> list[Draft]:
        """The chat hears at most one short sentence about a failure; the operator sees the cause."""
        text = self._numbers.failure_notice
        if text is None:
            text = say(self._numbers.language, "turn_failed")
        if state is not TurnState.FAILED or not text.strip():
            return []
        key = f"turn:{turn}:notice"
        return [self._draft(target, text, MessageClass.NOTICE, asked[-1].id, key, turn, None)]

    def _fit(self, text: str) -> str:
        return self._outbound.fit(text)

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
        return self._outbound.draft(target, order, turn=turn, ordinal=ordinal, keep_first=True)

    async def _type(self, target: Target) -> None:
        """Keeps "typing…" alive while the agent works, and always ends it."""
        line = self._lines.get(target.account)
        if line is None:
            return
        try:
            while True:
                await line.transport.typing(target.chat, self._outbound.newest_token(target), True)
                await self._clock.sleep_ms(TYPING_EVERY_MS)
        finally:
            ending = asyncio.create_task(
                line.transport.typing(target.chat, self._outbound.newest_token(target), False)
            )
            self._commands.add(ending)
            ending.add_done_callback(self._obeyed)

    # commands

    async def _obey(self, inbound: Inbound) -> None:
        target = Target(inbound.account, inbound.chat)
        command = command_of(inbound.text)
        if command is not None:
            text = await self._carry_out(command, target)
            draft = self._draft(
                target, text, MessageClass.NOTICE, inbound.id, f"command:{inbound.id}", None, None
            )
            accepted = await self._persist(lambda: self._store.accept(draft))
            self._outbound.admit(accepted.message)
        await self._persist(lambda: self._store.dispatch_done([inbound.id]))

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
                state = self._account_state(target).value
                running = say(language, "running" if self.running(target) else "idle")
                return say(
                    language, "status", state=state, running=running, waiting=self._outbound.waiting(target)
                )
            case Command.HELP:
                return say(language, "help")

    async def _stop_turn(self, target: Target) -> bool:
        """Ends the turn at work and what waits for the next one. Answers whether there was any."""
        desk = self._desks.get(target)
        if desk is None or (desk.work is None and not desk.pending):
            return False
        if desk.pending:
            ids = [inbound.id for inbound in desk.pending]
            desk.pending.clear()
            await self._persist(lambda: self._store.dispatch_done(ids))
        if desk.work is not None:
            desk.work.cancel()
        return True

    def _obeyed(self, task: asyncio.Task[None]) -> None:
        self._commands.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("command.broke", error=repr(error), exc_info=error)

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        """A step of a turn that must reach the store, however long it takes."""
        while True:
            try:
                return await write()
            except StoreError as error:
                log.warning("turn.waits_for_store", error=error.detail)
                await self._clock.sleep_ms(STORE_PAUSE_MS)


def _spoken(inbound: Inbound) -> str:
    """A message as the agent reads it: the quote first, then the text, then what came along."""
    lines = [f"> {line}" for line in inbound.quoted_text.splitlines()]
    lines += [inbound.text] if inbound.text else []
    lines += [f"[{item.kind}: {item.name or 'unnamed'}]" for item in inbound.items if item.kind != "text"]
    return "\n".join(lines)


def _before(line: Said, first_ms: int) -> bool:
    """What was said to the agent before this turn: neither the question itself, nor commands to the gateway."""
    return line.role == "assistant" or (line.at_ms < first_ms and command_of(line.text) is None)
