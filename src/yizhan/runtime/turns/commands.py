"""Commands: what a chat may tell the gateway. They wait for no turn, those of a chat are carried out in order, and each
is answered once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol, assert_never

from yizhan.core.commands import ADMINS_ONLY, ENDING, Command, argument_of, command_of
from yizhan.core.phrases import say
from yizhan.core.routing import NOBODY
from yizhan.errors import RequestError, UnknownCode
from yizhan.model import Access, AccountId, AccountState, Inbound, SenderRule, Target, Turn, TurnId
from yizhan.ports import Clock, Store, TurnFilter
from yizhan.runtime.lines import Lines
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.turns.desk import Cleared
from yizhan.runtime.turns.roster import Roster
from yizhan.runtime.turns.speaking import Speaking
from yizhan.runtime.turns.steps import Steps

NAME_MAX = 40
"""Characters of a wrong name that are said back."""


class Chats(Protocol):
    """What commands ask of the chats' loops."""

    def running(self, target: Target) -> bool: ...

    async def settled(self, target: Target) -> None: ...

    def clear(self, target: Target, whose: str | None) -> Cleared: ...

    async def end_all(self, cleared: Cleared) -> None: ...

    async def again(self, old: Turn, name: TurnId) -> Turn: ...

    def resume(self, turn: Turn) -> None: ...


class Door(Protocol):
    """What commands ask of the door."""

    def admits_admin(self, inbound: Inbound, owner: str) -> bool: ...

    async def approve(self, code: str) -> SenderRule: ...


class Commands:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        steps: Steps,
        speaking: Speaking,
        outbound: Outbound,
        lines: Lines,
        door: Door,
        chats: Chats,
        roster: Roster,
        by_person: bool,
        language: str,
        account_state: Callable[[AccountId], AccountState],
    ) -> None:
        self._store = store
        self._clock = clock
        self._steps = steps
        self._speaking = speaking
        self._outbound = outbound
        self._lines = lines
        self._door = door
        self._chats = chats
        self._roster = roster
        self._by_person = by_person
        self._language = language
        self._account_state = account_state
        self._open: set[asyncio.Task[None]] = set()
        self._last: dict[Target, asyncio.Task[None]] = {}

    def take(self, inbound: Inbound) -> None:
        """A stored command waits to be carried out. What it ends is what came before it, not what comes meanwhile."""
        target = Target(inbound.account, inbound.chat)
        cleared = self._cleared(target, inbound)
        task = asyncio.create_task(self._obey(inbound, cleared, self._last.get(target)))
        self._last[target] = task
        self._open.add(task)
        task.add_done_callback(partial(self._obeyed, target))

    def _cleared(self, target: Target, inbound: Inbound) -> Cleared:
        """A fresh start of one person is none for the others; a stop is for whatever goes on."""
        command = command_of(inbound.text) if inbound.access is Access.ALLOWED else None
        if command not in ENDING:
            return Cleared()
        own = command is Command.NEW and self._by_person
        return self._chats.clear(target, inbound.sender_id if own else None)

    async def stop(self) -> None:
        """What is not carried out yet is after the next start."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _obey(self, inbound: Inbound, cleared: Cleared, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        text = await self._reply(inbound, cleared)
        if text:
            try:
                await self._say_to(inbound, text)
            except RequestError as error:
                self._outbound.log.warning("command.unanswered", account=inbound.account, code=error.name)
        await self._steps.take(lambda: self._store.dispatch_done([inbound.id]))

    async def _reply(self, inbound: Inbound, cleared: Cleared) -> str:
        """What is said to a message that waits for no turn, once it is carried out; empty: nothing."""
        if inbound.access is not Access.ALLOWED:
            known = await self._steps.take(lambda: self._store.sender(inbound.account, inbound.sender_id))
            return self._say("pairing", code=known.code) if known and known.code else ""
        command = command_of(inbound.text)
        if command is None:
            return ""
        if command in ADMINS_ONLY and not self._from_admin(inbound):
            return self._say("admins_only")
        await self._chats.end_all(cleared)
        return await self._carry_out(command, inbound, cleared)

    def _from_admin(self, inbound: Inbound) -> bool:
        line = self._lines.get(inbound.account)
        return self._door.admits_admin(inbound, line.account.credentials.user_id if line else "")

    async def _say_to(self, inbound: Inbound, text: str) -> None:
        target = Target(inbound.account, inbound.chat)
        draft = self._speaking.of_command(inbound, text)
        await self._steps.add(target, lambda: self._store.accept(draft))

    async def _carry_out(self, command: Command, inbound: Inbound, cleared: Cleared) -> str:
        target = Target(inbound.account, inbound.chat)
        match command:
            case Command.STOP:
                return self._say("stopped" if cleared.any else "nothing_to_stop")
            case Command.NEW:
                await self._new_session(target, inbound.sender_id)
                return self._say("new_session")
            case Command.STATUS:
                return self._status(target)
            case Command.HELP:
                return self._say("help")
            case Command.RETRY:
                return self._say(await self._retry(inbound, target))
            case Command.AGENTS:
                return self._agents(inbound, target)
            case Command.USE:
                return await self._use(inbound, target, argument_of(inbound.text))
            case Command.APPROVE:
                return await self._approve(argument_of(inbound.text))
            case _:
                assert_never(command)

    async def _retry(self, inbound: Inbound, target: Target) -> str:
        """The chat's last turn once more; one that is to end is waited for. The new one is named after the command, so
        that it is opened once."""
        await self._chats.settled(target)
        name = TurnId(f"t_{inbound.id.removeprefix('in_')}")
        where = TurnFilter(target.account, target.chat)
        turns = (await self._steps.take(lambda: self._store.turns(where, None, 1))).rows
        if not turns:
            return "nothing_to_retry"
        if turns[0].id == name:
            return "retrying"  # it was opened before a crash
        if turns[0].ended_at_ms is None:
            return "still_answering"
        try:
            self._chats.resume(await self._steps.take(lambda: self._chats.again(turns[0], name)))
        except RequestError:
            return "nothing_to_retry"
        return "retrying"

    def _agents(self, inbound: Inbound, target: Target) -> str:
        agent, names = self._roster.of(target).agent, self._choices(inbound)
        return self._say("agents_nobody" if agent == NOBODY else "agents", agent=agent, names=names)

    async def _use(self, inbound: Inbound, target: Target, given: str) -> str:
        name = self._roster.choice(given, self._from_admin(inbound))
        if name is None:
            return self._say("unknown_agent", name_given=given[:NAME_MAX], names=self._choices(inbound))
        kept, at_ms = self._roster.kept(name), self._clock.now_ms()
        await self._steps.take(lambda: self._store.choose_agent(target, kept, at_ms))
        self._roster.prefer(target, name)
        return self._say("using", agent=name)

    def _choices(self, inbound: Inbound) -> str:
        return ", ".join(self._roster.choices(self._from_admin(inbound))) or self._say("nobody")

    async def _new_session(self, target: Target, sender: str) -> None:
        at_ms = self._clock.now_ms()
        await self._steps.take(lambda: self._store.new_session(target, sender, self._by_person, at_ms))

    async def _approve(self, code: str) -> str:
        try:
            rule = await self._steps.take(lambda: self._door.approve(code))
        except UnknownCode:
            return self._say("unknown_code")
        return self._say("approved", who=rule.sender_name or rule.sender_id)

    def _status(self, target: Target) -> str:
        running = self._say("running" if self._chats.running(target) else "idle")
        state = self._say(f"state_{self._account_state(target.account).value}")
        return self._say("status", state=state, running=running, waiting=self._outbound.waiting(target))

    def _say(self, name: str, **values: object) -> str:
        return say(self._language, name, **values)

    def _obeyed(self, target: Target, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if self._last.get(target) is task:
            del self._last[target]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._outbound.log.error("command.broke", exc_info=error)
