"""The words in which stories about QQ are told: a bot, people with phones, a program, and time that passes.

The bot's name is `bot`; Ann has a chat with it. Nobody answers unless the story gives an agent.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from simulation.station import Station
from simulation.virtual import run
from yizhan.model import Account, AccountId, Message, MessageState
from yizhan.ports import Agent
from yizhan.runtime.views import Order
from yizhan_simulator import Fault, Outage
from yizhan_simulator.ledger import Record

BOT = "bot"
Story = Callable[..., Awaitable[None]]


class QqTale:
    """One home, one bot on QQ, and everybody around it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.station: Station
        self.account_id: AccountId

    async def begin(self, agent: Agent | None = None, webhook: bool = False, **settings: Any) -> None:
        chosen: dict[str, Any] = {"agent": "none", "delivery": {"allowance": {}}} | settings
        self.station = Station(self._home, answers=agent, **chosen)
        self.world = self.station.world
        self.world.add_user("Ann")
        await self.start()
        self.account_id = await self.station.link_qq(webhook, name=BOT)
        await self.passes(3)

    async def start(self) -> None:
        """A new process. Its sweeper, which commits once a second, is left out: nothing expires in these stories, and
        virtual days should not cost minutes."""
        await self.station.start()
        self.station.gateway.supervisor.drop("sweeper")

    async def end(self) -> None:
        if not self.station.gate.struck.is_set() and self.station.gateway.running:
            await self.station.stop()

    # people

    async def says(self, text: str = "hi", who: str = "Ann", **where: Any) -> None:
        self.world.qq.say(who, text, self.true_ms, **where)
        await self.passes(1)

    def group(self, *members: str, receive: Any = "mention") -> str:
        """A group of these with the bot; answers its TARGET."""
        known = {user.name for user in self.world.state.people.users.values()}
        for name in members:
            if name not in known:
                self.world.add_user(name)
        self.world.qq.add_group("friends", members, (BOT,), receive)
        return f"{self.account_id}:group/{self.world.qq.group_openid(BOT, 'friends')}"

    def changes(self, what: Any, to: str = "") -> None:
        """Ann moves a switch of the bot on her phone."""
        self.world.qq.change("Ann", BOT, what, self.true_ms, to)

    def phone(self, to: str = BOT, user: str = "Ann") -> list[str]:
        """What the bot has put on a screen, in order."""
        return [bubble.text for bubble in self.world.qq.shown(to, user if to == BOT else "")]

    # programs

    @property
    def ann(self) -> str:
        """Ann's TARGET."""
        return f"{self.account_id}:c2c/{self.world.qq.openid(BOT, 'Ann')}"

    async def push(self, text: str, to: str = "", **order: Any) -> Message:
        accepted = await self.station.gateway.accept(Order(to or self.ann, text, **order))
        return accepted.message

    async def look(self, message: Message) -> Message:
        return await self.station.gateway.message(message.id)

    async def states(self, *messages: Message) -> list[MessageState]:
        return [(await self.look(message)).state for message in messages]

    async def account(self) -> Account:
        views = await self.station.gateway.accounts()
        return next(view.account for view in views if view.account.id == self.account_id)

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """Everything that a reader of the event stream has been told of one kind."""
        rows = await self.station.gateway.store.events_after(0, 100_000)
        return [json.loads(row.data) for row in rows if row.type == kind]

    # QQ

    def breaks(self, kind: Any, call: str, **fault: Any) -> str:
        return self.world.add_fault(Fault(kind=kind, call=call, **fault), self.true_ms)

    def is_gone(self, for_s: float, kind: Any = "refuse") -> None:
        self.world.add_outage(Outage(to_s=for_s, kind=kind), self.true_ms)

    def cut_off(self, words: str, name: str = "") -> None:
        """Nothing leaves our machine any more, or nothing to this host, and what was open has broken; no words: it does
        again."""
        self.station.host.loses_the_world(words, name)
        if words:
            self.world.qq.close(BOT, 1006, self.true_ms)

    def refuses_to_tell(self, call: str, kind: Any, for_s: float) -> None:
        """One endpoint fails for so long, and the connection and its token end just then."""
        self.breaks(kind, call, between_s=(0, for_s), status=503)
        self.world.qq.expire_tokens(BOT)
        self.world.qq.close(BOT, 4009, self.true_ms)

    def turn(self, **knobs: Any) -> None:
        self.world.turn(qq=knobs)

    def seen(self, call: str, effect: str = "") -> list[Record]:
        """What reached QQ of one kind, oldest first."""
        return [
            record
            for record in self.world.ledger
            if record.call == call and (not effect or record.effect.value == effect)
        ]

    def sends(self) -> list[Record]:
        return [record for record in self.world.ledger if record.call.startswith("qq.send.")]

    def attempts_ms(self) -> list[int]:
        """When we tried to get to QQ, whatever became of it."""
        calls = ("qq.token", "qq.gateway_bot", "qq.me", "qq.socket")
        arrived = [record.at_ms for record in self.world.ledger if record.call in calls]
        return sorted(arrived + self.station.host.knocks_ms)

    @property
    def online(self) -> bool:
        return self.world.qq.online(BOT)

    # time

    @property
    def true_ms(self) -> int:
        return self.station.host.true_ms()

    async def passes(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, so: Callable[[], bool], within_s: float) -> float:
        """Waits until it is so; answers how many seconds that took."""
        began_ms = self.true_ms
        while not so():
            assert self.true_ms - began_ms <= within_s * 1_000, f"not within {within_s} s"
            await self.passes(0.25)
        return (self.true_ms - began_ms) / 1_000

    async def restarts(self, down_s: float = 1) -> None:
        """SIGKILL, and a new process."""
        await self.station.crash()
        await self.passes(down_s)
        await self.start()
        await self.passes(3)


def on_qq(
    agent: Agent | None = None, webhook: bool = False, **settings: Any
) -> Callable[[Story], Callable[[Path], None]]:
    """Runs a story in virtual time; its `tale` has begun, and its bot is up."""

    def decorate(story: Story) -> Callable[..., None]:
        @functools.wraps(story)
        def told(home: Path, **given: Any) -> None:
            async def whole() -> None:
                tale = QqTale(home)
                await tale.begin(agent, webhook, **settings)
                try:
                    await story(tale, **given)
                finally:
                    await tale.end()

            run(whole())

        del told.__wrapped__  # pytest asks for the parameters of `told`
        return told

    return decorate
