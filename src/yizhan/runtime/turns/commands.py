"""Commands: what a chat may tell the gateway. They wait for no turn, and each is answered once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, assert_never

from yizhan.core.commands import Command, command_of
from yizhan.core.phrases import say
from yizhan.errors import RequestError
from yizhan.model import AccountId, AccountState, Inbound, Target
from yizhan.ports import Clock, Store
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.turns.speaking import Speaking
from yizhan.runtime.turns.steps import Steps


class Chats(Protocol):
    """What commands ask of the chats' loops."""

    def running(self, target: Target) -> bool: ...

    async def end_all(self, target: Target) -> bool: ...


class Commands:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        steps: Steps,
        speaking: Speaking,
        outbound: Outbound,
        chats: Chats,
        language: str,
        account_state: Callable[[AccountId], AccountState],
    ) -> None:
        self._store = store
        self._clock = clock
        self._steps = steps
        self._speaking = speaking
        self._outbound = outbound
        self._chats = chats
        self._language = language
        self._account_state = account_state
        self._open: set[asyncio.Task[None]] = set()

    def take(self, inbound: Inbound) -> None:
        """A stored command waits to be carried out."""
        task = asyncio.create_task(self._obey(inbound))
        self._open.add(task)
        task.add_done_callback(self._obeyed)

    async def stop(self) -> None:
        """What is not carried out yet is after the next start."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _obey(self, inbound: Inbound) -> None:
        command = command_of(inbound.text)
        if command is not None:
            try:
                await self._confirm(inbound, command)
            except RequestError as error:
                self._outbound.log.warning("command.unanswered", account=inbound.account, code=error.name)
        await self._steps.take(lambda: self._store.dispatch_done([inbound.id]))

    async def _confirm(self, inbound: Inbound, command: Command) -> None:
        """Carries it out and says so."""
        target = Target(inbound.account, inbound.chat)
        draft = self._speaking.of_command(inbound, await self._carry_out(command, target))
        self._outbound.admit(await self._steps.add(target, lambda: self._store.accept(draft)))

    async def _carry_out(self, command: Command, target: Target) -> str:
        match command:
            case Command.STOP:
                return self._say("stopped" if await self._chats.end_all(target) else "nothing_to_stop")
            case Command.NEW:
                await self._chats.end_all(target)
                await self._steps.take(lambda: self._store.new_session(target, self._clock.now_ms()))
                return self._say("new_session")
            case Command.STATUS:
                return self._status(target)
            case Command.HELP:
                return self._say("help")
            case _:
                assert_never(command)

    def _status(self, target: Target) -> str:
        running = self._say("running" if self._chats.running(target) else "idle")
        state = self._account_state(target.account).value
        return self._say("status", state=state, running=running, waiting=self._outbound.waiting(target))

    def _say(self, name: str, **values: object) -> str:
        return say(self._language, name, **values)

    def _obeyed(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._outbound.log.error("command.broke", exc_info=error)
