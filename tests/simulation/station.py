"""A whole gateway over the simulator, in virtual time; it can be crashed anywhere and started again."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from simulation.bridge import SimHttp
from simulation.disk import CrashGate as CrashGate
from simulation.disk import SlowDisk
from simulation.process import Crash as Crash
from simulation.process import Process
from simulation.sockets import SimSockets
from simulation.virtual import Host, SeededChance, VirtualClock
from yizhan.agents import make_agent
from yizhan.model import AccountId, ChatId, Credentials, Message, MessageState, Target
from yizhan.platforms.ilink import IlinkPlatform
from yizhan.platforms.qq import QqPlatform
from yizhan.ports import Accepted, Agent, MessageFilter, Reply, Request
from yizhan.runtime.clock import SystemChance, SystemClock
from yizhan.runtime.gateway import Gateway, Parts
from yizhan.runtime.views import Order
from yizhan.settings import load
from yizhan.store import open_store
from yizhan.store.store import SqlStore
from yizhan_simulator import World

T = TypeVar("T")

LIVE = frozenset(state for state in MessageState if state.live)
SIM_URL = "http://sim.example"
OTHER_URL = "http://other.example"
"""Where QQ's side of the simulator answers as well."""
UNPROVEN_MS = 400_000
"""Longer than any plan's disk takes nothing, or its process is stopped."""
UNCOUNTED = {"sends": 0}
"""Stories that are not about allowances turn the simulator's off as well: `quota_per_inbound=0`."""
QUIET: dict[str, Any] = {
    "access": {"policy": "open"},
    "agent": "echo",
    "console": {"enabled": False},
    "delivery": {"allowance": UNCOUNTED, "number_parts": False},
}


class Station:
    """One home, one simulated platform, and the gateway that is running between them at the moment."""

    def __init__(
        self,
        home: Path,
        seed: int = 1,
        world: World | None = None,
        answers: Agent | None = None,
        others: Mapping[str, Agent] | None = None,
        latency_s: Callable[[], float] | None = None,
        **settings: Any,
    ) -> None:
        """`latency_s` None: a commit takes no time and is never shared."""
        self.home = home
        self.seed = seed
        self.world = world or World(seed=seed)
        self.host = Host()
        self.clock = VirtualClock(self.host)
        self.chance = SeededChance(seed)
        delivery = QUIET["delivery"] | settings.pop("delivery", {})
        self.settings = load(home, {}, QUIET | settings | {"delivery": delivery})
        self.gateway: Gateway
        self.process: Process
        self.gate: CrashGate
        self.sockets: SimSockets
        self.accepted: list[Message] = []
        self.read: list[str] = []
        self.on_the_wire: list[str] = []
        self.kills = 0
        self.arrives: Callable[[Request, Process], Awaitable[Reply]] | None = None
        """Where events are posted to; None: nobody is there, and nothing is posted."""
        self._entered_ms = 0
        self._agent = answers
        self._others = others or {}
        self._latency_s = latency_s
        self._http: SimHttp | None = None
        self._store: SqlStore | None = None

    async def __aenter__(self) -> Station:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, prepare: Callable[[CrashGate], None] = lambda gate: None) -> None:
        """A new process over the same home. Raises Crash if it dies on the way, which `prepare` may arrange."""
        self.process = Process()
        self.gate = CrashGate(self.process)
        self.clock = VirtualClock(self.host)
        prepare(self.gate)
        await self.process.run(self._boot())

    async def _boot(self) -> None:
        self._http = SimHttp(self.world, self.host, self.process, self.chance.fork())
        weixin = IlinkPlatform(self._http, self.clock, self.chance, login_url=SIM_URL)
        self.sockets = SimSockets(self.world, self.host, self.process, self.seed)
        qq = QqPlatform(
            self._http,
            self.sockets,
            self.clock,
            self.chance,
            {SIM_URL: OTHER_URL},
            typing=self.settings.qq.typing,
        )
        await self._lay_tables()
        disk = partial(SlowDisk, process=self.process, latency_s=self._latency_s) if self._latency_s else None
        self._store = await open_store(
            None, self.home, clock=self.clock, chance=self.chance, inline=True, gate=self.gate, committer=disk
        )
        agent = self._agent or make_agent(self.settings.agent, self.settings, self.clock.now_ms)
        parts = Parts(
            self.settings,
            self._store,
            self.clock,
            self.chance,
            {"weixin": weixin, "qq": qq},
            agent,
            agents=self._others,
            outside=Outside(self.arrives, self.process) if self.arrives else None,
        )
        self.gateway = Gateway(parts)
        await self.gateway.open()
        await self.gateway.start()

    async def _lay_tables(self) -> None:
        """Empty tables in a new home: to make them anew takes as long as some stories."""
        file = self.home / "yizhan.db"
        if not file.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            file.write_bytes(await _empty_tables())

    async def stop(self) -> None:
        """SIGTERM. Raises Crash if it dies on the way."""
        await self.process.run(self.gateway.stop())
        if self.gate.full:
            self._excuse()
        assert self._store is not None
        await self.process.run(self._store.close())
        await self._tidy()

    async def crash(self) -> None:
        """SIGKILL: every task of the gateway is gone, what was not committed never was."""
        await self.process.sweep()
        self.kills += 1
        self._excuse()
        await self._tidy()

    def _excuse(self) -> None:
        """What was read and could not be stored ends with the process; a platform that forgets it at once loses it."""
        if self._http is not None:
            for texts in self._http.unproven.values():
                self.on_the_wire += texts

    async def _tidy(self) -> None:
        """What the operating system does when a process has ended."""
        http, store, self._http, self._store = self._http, self._store, None, None
        if http is not None:
            self.read += http.read
            self._note_frames()
            await http.close()
            await self.sockets.close()
        if store is not None:
            await store.close()
        await self.process.sweep()

    def _note_frames(self) -> None:
        """What a process took from a socket shortly before its end, it may not have come to keep; QQ tells it again if
        the session lives."""
        heard, now_ms = self.sockets.heard, self.host.true_ms()
        self.read += [text for _, text in heard]
        self.on_the_wire += [text for at_ms, text in heard if now_ms - at_ms < UNPROVEN_MS]
        self._entered_ms = max(self._entered_ms, self.sockets.entered_ms)

    def entered_ms(self) -> int:
        """When QQ last began a new session for a process of this station."""
        return max(self._entered_ms, self.sockets.entered_ms)

    async def restart(self) -> None:
        await self.crash()
        await self.start()

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """What a program or a person asks of the running gateway. Raises Crash if it dies before it answers."""
        return await self.process.run(work)

    async def link(self, user: str, **bot: Any) -> AccountId:
        """Binds a bot to a user of the world and adds it here, as after a QR login."""
        made = self.world.add_bot(user, **bot)
        credentials = Credentials(made.token, SIM_URL, f"{SIM_URL}/c2c", user_id=user)
        account, _ = await self.ask(self.gateway.add_account("weixin", made.bot_id, credentials))
        return account.id

    async def link_qq(self, webhook: bool = False, **bot: Any) -> AccountId:
        """Makes a QQ bot in the world and adds it here."""
        made = self.world.qq.add_bot(**bot)
        if webhook:
            made.webhook_url = f"http://127.0.0.1/webhooks/qq/{made.app_id}"
        credentials = Credentials(made.secret, SIM_URL, token_url=SIM_URL, webhook=webhook)
        account, _ = await self.ask(self.gateway.add_account("qq", made.app_id, credentials))
        return account.id

    def say(self, user: str, text: str, account: AccountId | None = None) -> None:
        """A user writes on the phone."""
        bot_id = account.split(":", 1)[1] if account else None
        self.world.say(user, text, self.host.true_ms(), bot_id=bot_id)

    async def push(self, account: AccountId, user: str, text: str, **order: Any) -> Accepted:
        """A program sends through the API."""
        accepted = await self.ask(self.gateway.accept(Order(f"{account}:{user}", text, **order)))
        self.accepted.append(accepted.message)
        return accepted

    def shown(self, user: str) -> list[str]:
        """What the bot put on the user's screen, in order."""
        return [bubble.text for bubble in self.world.shown(user)]

    def heard(self) -> list[str]:
        """Texts of the inbound messages that a process has read from a reply to its end."""
        return self.read + (
            [*self._http.read, *(text for _, text in self.sockets.heard)] if self._http else []
        )

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
        store = self.gateway.store
        if (await store.messages(MessageFilter(states=LIVE), None, 1)).rows:
            return False
        return not await store.open_turns() and not await store.pending_inbound()


class Outside:
    """`ports.Http` to programs, of one process."""

    def __init__(self, arrives: Callable[[Request, Process], Awaitable[Reply]], process: Process) -> None:
        self._arrives = arrives
        self._process = process

    async def call(self, request: Request) -> Reply:
        self._process.refuse_the_dead()
        reply = await self._arrives(request, self._process)
        self._process.refuse_the_dead()
        return reply

    async def close(self) -> None:
        """Holds nothing."""


def target(account: AccountId, user: str) -> Target:
    return Target(account, ChatId(user))


def finals(messages: list[Message]) -> dict[MessageState, int]:
    """How many messages ended in which state."""
    counted: dict[MessageState, int] = {}
    for message in messages:
        counted[message.state] = counted.get(message.state, 0) + 1
    return counted


_tables: list[bytes] = []


async def _empty_tables() -> bytes:
    """The file of a store that was opened once. Never waits."""
    if not _tables:
        with tempfile.TemporaryDirectory() as place:
            home = Path(place)
            store = await open_store(None, home, clock=SystemClock(), chance=SystemChance(), inline=True)
            await store.close()
            _tables.append((home / "yizhan.db").read_bytes())
    return _tables[0]
