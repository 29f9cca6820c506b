"""A whole gateway over the simulator, in virtual time; it can be crashed anywhere and started again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from simulation.bridge import SimHttp
from simulation.virtual import SeededChance, VirtualClock
from yizhan.agents import make_agent
from yizhan.model import AccountId, ChatId, Credentials, Message, MessageState, Target
from yizhan.platforms.ilink import IlinkPlatform
from yizhan.ports import Accepted, Agent, MessageFilter
from yizhan.runtime.gateway import Gateway, Parts
from yizhan.runtime.views import Order
from yizhan.settings import load
from yizhan.store import open_store
from yizhan_simulator import World

SIM_URL = "http://sim.example"
UNCOUNTED = {"sends": 0, "window_s": 0}
"""Stories that are not about allowances turn the simulator's off as well: `quota_per_inbound=0`."""
QUIET: dict[str, Any] = {
    "access": {"policy": "open"},
    "agent": "echo",
    "console": {"enabled": False},
    "delivery": {"allowance": UNCOUNTED},
}


UPKEEP = {"expire_due", "prune"}
"""Commits that come round every second and change nothing in these stories."""


class Crash(BaseException):
    """The process is gone."""


class CrashGate:
    """Stands at every commit of the store and kills the process at a chosen one.

    `at` counts from 1 over all commits; `after` lets that commit reach the disk first.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.at: int | None = None
        self.after = False
        self.struck = asyncio.Event()

    def before_commit(self, label: str) -> None:
        self._refuse_the_dead()
        if label in UPKEEP:
            return
        self.seen.append(label)
        if self.at == len(self.seen) and not self.after:
            self._strike()

    def after_commit(self, label: str) -> None:
        if label not in UPKEEP and self.at == len(self.seen) and self.after:
            self._strike()

    def _strike(self) -> None:
        self.struck.set()
        raise Crash

    def _refuse_the_dead(self) -> None:
        if self.struck.is_set():
            raise Crash


class Station:
    """One home, one simulated platform, and the gateway that is running between them at the moment."""

    def __init__(
        self,
        home: Path,
        seed: int = 1,
        world: World | None = None,
        answers: Agent | None = None,
        **settings: Any,
    ) -> None:
        self.home = home
        self.seed = seed
        self.world = world or World(seed=seed)
        self.clock = VirtualClock()
        self.chance = SeededChance(seed)
        delivery = QUIET["delivery"] | settings.pop("delivery", {})
        self.settings = load(home, {}, QUIET | settings | {"delivery": delivery})
        self.gateway: Gateway
        self.gate = CrashGate()
        self.accepted: list[Message] = []
        self._agent = answers
        self._http: SimHttp
        self._outsiders: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Station:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """A new process over the same home."""
        self._outsiders = asyncio.all_tasks()
        self.gate = CrashGate()
        self._http = SimHttp(self.world, self.clock, self.seed)
        platform = IlinkPlatform(self._http, self.clock, self.chance, login_url=SIM_URL)
        store = await open_store(
            None, self.home, clock=self.clock, chance=self.chance, inline=True, gate=self.gate
        )
        agent = self._agent or make_agent(self.settings.agent, self.settings)
        parts = Parts(self.settings, store, self.clock, self.chance, {"weixin": platform}, agent)
        self.gateway = Gateway(parts)
        await self.gateway.open()
        await self.gateway.start()

    async def stop(self) -> None:
        """SIGTERM."""
        await self.gateway.stop()
        await self._http.close()
        await self.gateway.store.close()

    async def crash(self) -> None:
        """SIGKILL: every task of the gateway is gone, what was not committed never was."""
        self.gate.struck.set()
        tasks = asyncio.all_tasks() - self._outsiders - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.close()
        await self.gateway.store.close()

    async def restart(self) -> None:
        await self.crash()
        await self.start()

    async def link(self, user: str, **bot: Any) -> AccountId:
        """Binds a bot to a user of the world and adds it here, as after a QR login."""
        made = self.world.add_bot(user, **bot)
        credentials = Credentials(made.token, SIM_URL, f"{SIM_URL}/c2c", user_id=user)
        account, _ = await self.gateway.add_account("weixin", made.bot_id, credentials)
        return account.id

    def say(self, user: str, text: str, account: AccountId | None = None) -> None:
        """A user writes on the phone."""
        bot_id = account.split(":", 1)[1] if account else None
        self.world.say(user, text, self.clock.now_ms(), bot_id=bot_id)

    async def push(self, account: AccountId, user: str, text: str, **order: Any) -> Accepted:
        """A program sends through the API."""
        accepted = await self.gateway.accept(Order(f"{account}:{user}", text, **order))
        self.accepted.append(accepted.message)
        return accepted

    def shown(self, user: str) -> list[str]:
        """What the bot put on the user's screen, in order."""
        return [bubble.text for bubble in self.world.shown(user)]

    async def messages(self) -> list[Message]:
        """Every message in the store, oldest first."""
        rows: list[Message] = []
        after: str | None = None
        while True:
            page = await self.gateway.store.messages(MessageFilter(), after, 500)
            rows += page.rows
            after = page.next
            if after is None:
                return rows[::-1]

    async def until_quiet(self, within_s: float = 3_600) -> None:
        """Until nothing is owed any more: no live message, no open turn, nothing waiting for one."""
        async with asyncio.timeout(within_s):
            while not await self._quiet():
                await asyncio.sleep(0.25)

    async def _quiet(self) -> bool:
        if any(message.state.live for message in await self.messages()):
            return False
        store = self.gateway.store
        return not await store.open_turns() and not await store.pending_inbound()


def target(account: AccountId, user: str) -> Target:
    return Target(account, ChatId(user))


def finals(messages: list[Message]) -> dict[MessageState, int]:
    """How many messages ended in which state."""
    counted: dict[MessageState, int] = {}
    for message in messages:
        counted[message.state] = counted.get(message.state, 0) + 1
    return counted
