"""A voyage: one plan carried out over a whole gateway and a whole platform, in virtual time, to its end.

Two phases. In the first one everything goes wrong that the plan says. Then all is healed, people do what a screen
asks them to do, and within a bound that follows from how long the trouble lasted nothing may be owed any more and
everything must work. At the end the checker compares the books.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, assert_never

import structlog

from simulation import plan as plans
from simulation.books import Books, Sample, collect
from simulation.books_schedules import enter_history
from simulation.cast import Program, ScriptedAgent
from simulation.checker import BOUNDS, Bounds, audit
from simulation.clerk import Clerk
from simulation.disk import CrashGate
from simulation.plan import HEALTHY, Place, Plan
from simulation.qq_cast import QqCast
from simulation.receiver import Keeper
from simulation.station import SIM_URL, Crash, Station
from simulation.streamer import Streamer
from simulation.virtual import run, the_loop
from yizhan.errors import RequestError, StoreError
from yizhan.model import (
    AccountId,
    AccountState,
    ChatId,
    Credentials,
    Message,
    MessageId,
    Target,
    WaitingFor,
)

LOOK_S = 2.0
"""Between looks at the gateway."""
HEAL_S, HEAL_SHARE = 120, 2.5
"""After the trouble: so long, and so many times the trouble's own length, until nothing is owed. A wait that was
learned in the trouble may be as long as all before it."""
MAX_QUIET_S, LONG_WAITS = 3_700, 1
"""`limiter.max_quiet_s` and a little: a limit that was met again and again may be waited out so long, once, if the
time of the next attempt is shown."""
AFTERWARDS_S = 60
"""A platform that is well answers a message and takes a push within this."""
DISK_MS = 30_000
"""Longer than any plan's disk takes nothing."""
QQ_WORDS = 15
"""Looks between one word and the next of somebody on QQ whose bot still owes something."""
NEVER_MS = 1 << 62
ASLEEP_S = 20
"""A poll follows a poll within its hold and this."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a plan. `trace` is equal for equal runs; `told` counts what happened, for those who want to know
    whether the seeds reach anything."""

    plan: Plan
    findings: tuple[str, ...]
    trace: str
    commits: int
    told: Counter[str]


def sail(plan: Plan, bounds: Bounds = BOUNDS, shuffle: bool = True) -> Outcome:
    """Carries out a plan in a home of its own. Never raises for what the gateway does."""
    with _home() as home, listening() as complaints:
        voyage = Voyage(plan, home, complaints)
        return run(voyage.sail(bounds), plan.seed if shuffle else None)


class Voyage:
    def __init__(self, plan: Plan, home: Path, complaints: list[str]) -> None:
        self.plan = plan
        self._rng = random.Random(f"voyage {plan.seed}")
        self._agent = self._cast_agent()
        self._complaints = complaints
        self._calm = False
        self._station = Station(
            home,
            plan.seed,
            answers=self._agent,
            latency_s=self._latency_s,
            delivery={"in_doubt": plan.in_doubt},
            **(plan.streams.settings if plan.streams else {}),
        )
        self._accounts: list[AccountId] = []
        self._users: dict[Place, str] = {}
        self._programs: dict[str, Program] = {}
        self._retried: Counter[str] = Counter()
        self._samples: list[Sample] = []
        self._stops_ms: list[int] = []
        self._commits = 0
        self._kill: plans.Kill | None = None
        self._lives = asyncio.Lock()
        self._findings: list[str] = []
        self._patience = LONG_WAITS
        self._spoken: Counter[str] = Counter()
        self._qq = QqCast(self._station, plan, plan.qq) if plan.qq is not None else None
        self._clerk = Clerk(self._station, plan.schedules, self._target) if plan.schedules else None
        self._keeper = Keeper(self._station, plan.hooks, self._account) if plan.hooks else None
        if self._keeper is not None:
            self._station.arrives = self._keeper.receiver.arrive

    def _cast_agent(self) -> ScriptedAgent:
        streams, seed = self.plan.streams, self.plan.seed
        streamer = Streamer(streams, seed, self._die) if streams else None
        agent = ScriptedAgent(self.plan.agent, seed, streamer)
        agent.streams = self._streams
        agent.last_event = self._last_event
        return agent

    def _streams(self, target: Target) -> bool:
        """Whether the agent speaks in pieces there."""
        return target in map(self._target, self.plan.streams.places if self.plan.streams else ())

    async def _last_event(self) -> int:
        _, newest = await self._station.gateway.store.event_range()
        return newest

    def _die(self) -> None:
        self._station.process.die()

    async def sail(self, bounds: Bounds) -> Outcome:
        the_loop().set_exception_handler(self._complain)
        await self._set_out()
        async with asyncio.TaskGroup() as crew:
            watch = [crew.create_task(self._undertake()), crew.create_task(self._look())]
            await self._chaos()
            trouble_s = await self._heal()
            await self._hear_again()
            await self._drain(HEAL_S + HEAL_SHARE * trouble_s)
            await self._afterwards()
            for task in watch:
                task.cancel()
        books = await self._books()
        found = self._findings + audit(books, self._bounds(bounds))
        trace = _trace(books)
        await self._station.stop()
        self._commits += len(self._station.gate.seen)
        return Outcome(self.plan, tuple(found), trace, self._commits, self._told(books))

    async def _set_out(self) -> None:
        world = self._station.world
        world.turn(**self.plan.knobs)
        await self._start()
        for account, chats in enumerate(self.plan.chats):
            if self._on_qq(account) is not None:
                await self._set_out_on_qq()
                continue
            for chat in range(chats):
                self._users[account, chat] = world.add_user(f"user {account}/{chat}")
            self._accounts.append(await self._station.link(self._users[account, 0]))
        now_ms = self._station.host.true_ms()
        for limit in self.plan.limits:
            world.add_limit(limit, now_ms)
        for fault in self.plan.faults:
            world.add_fault(fault, now_ms)
        for outage in self.plan.outages:
            world.add_outage(outage, now_ms)

    def _on_qq(self, account: int) -> QqCast | None:
        return self._qq if self._qq is not None and self._qq.number == account else None

    async def _set_out_on_qq(self) -> None:
        assert self._qq is not None
        await self._qq.set_out()
        self._accounts.append(self._qq.account)
        self._users |= {(self._qq.number, chat): name for chat, name in enumerate(self._qq.chats)}

    def _say(self, where: Place, text: str) -> None:
        qq = self._on_qq(where[0])
        if qq is not None:
            qq.say(where[1], text)
        else:
            self._station.say(self._users[where], text, self._accounts[where[0]])

    # chaos

    async def _chaos(self) -> None:
        began_s = the_loop().time()
        async with asyncio.TaskGroup() as deeds:
            for busy in filter(None, (self._clerk, self._keeper)):
                deeds.create_task(busy.work(began_s))
            for act in self.plan.acts:
                await asyncio.sleep(max(0, began_s + act.at_s - the_loop().time()))
                deeds.create_task(self._do(act.deed))
            await asyncio.sleep(max(0, began_s + self.plan.chaos_s - the_loop().time()))
            self._calm = True
            self._cure_disk()

    async def _do(self, deed: plans.Deed) -> None:
        station = self._station
        match deed:
            case plans.Say(where, text):
                self._say(where, text)
            case plans.Push():
                account, user = self._accounts[deed.where[0]], self._users[deed.where]
                self._programs[deed.text] = program = Program(station, deed, account, user)
                await program.run()
            case plans.Cancel(text):
                await self._ask_about(text, lambda message: station.gateway.cancel(message))
            case plans.Retry(text):
                await self._ask_about(text, self._revive)
            case plans.Pause(where, on, whole):
                await self._insist(lambda: self._pause(where, on, whole))
            case plans.ExpireTokens(where):
                self._expire_tokens(where)
            case plans.Replay(account, count):
                self._replay(account, count)
            case plans.Line():
                assert self._qq is not None
                self._qq.does(deed)
            case plans.Switch(where, on):
                assert self._qq is not None
                self._qq.switch(where[1], on)
            case plans.Disk():
                self._spoil_disk(deed)
            case plans.Host(sleeps_s, freezes_s, clock_s):
                station.host.sleep(int(sleeps_s * 1000))
                station.host.set_clock(int(clock_s * 1000))
                the_loop().freeze(freezes_s)
            case plans.Kill():
                self._arm(deed)
            case plans.Stop(down_s):
                await self._restart(down_s)
            case _:
                assert_never(deed)

    def _expire_tokens(self, where: Place | None) -> None:
        if self._qq is not None and where in (
            None,
            *((self._qq.number, chat) for chat in range(len(self._qq.chats))),
        ):
            self._qq.expire_windows()
        if where is None or self._on_qq(where[0]) is None:
            self._station.world.expire_tokens(self._users[where] if where else None)

    def _replay(self, account: int, count: int) -> None:
        qq = self._on_qq(account)
        if qq is not None:
            qq.replay(count)
        else:
            bot_id = self._accounts[account].split(":", 1)[1]
            self._station.world.replay(bot_id, count, self._station.host.true_ms())

    async def _ask_about(self, text: str, ask: Callable[[MessageId], Coroutine[Any, Any, Any]]) -> None:
        program = self._programs.get(text)
        if program is not None and program.message is not None:
            with contextlib.suppress(RequestError, StoreError, Crash):
                await self._station.ask(ask(program.message))

    async def _revive(self, message: MessageId) -> None:
        self._retried[message] += 1
        await self._station.gateway.retry(message)

    async def _pause(self, where: Place, on: bool, whole: bool) -> None:
        gateway, account = self._station.gateway, self._accounts[where[0]]
        if whole:
            await gateway.pause_account(account, on)
        else:
            await gateway.pause_chat(Target(account, self._chat(where)), on)

    def _chat(self, where: Place) -> ChatId:
        return ChatId(self._users[where])

    def _account(self, number: int) -> AccountId:
        return self._accounts[number]

    def _target(self, where: Place) -> Target:
        return Target(self._accounts[where[0]], self._chat(where))

    async def _insist(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """What a person does who wants something done. Only a gateway that knows nothing of the chat is excused."""
        while True:
            with contextlib.suppress(Crash, StoreError):
                with contextlib.suppress(RequestError):
                    await self._station.ask(work())
                return
            await asyncio.sleep(0.5)

    # the disk

    def _latency_s(self) -> float:
        low, high = (0.1, 1) if self._calm else self.plan.commit_ms
        return self._rng.uniform(low, high) / 1000

    def _spoil_disk(self, disk: plans.Disk) -> None:
        gate = self._station.gate
        gate.full = disk.full
        gate.forgetful = lambda: self._rng.random() < disk.forgets

    def _cure_disk(self) -> None:
        self._spoil_disk(plans.Disk())
        self._station.gate.at, self._kill = None, None
        the_loop().strike_no_more()

    # life and death

    async def _start(self) -> None:
        """Starts until a start survives."""
        while True:
            try:
                await self._station.start(self._prepare)
                return
            except Crash:
                self._commits += len(self._station.gate.seen)
                await self._station.crash()

    def _prepare(self, gate: CrashGate) -> None:
        kill, self._kill = self._kill, None
        if kill is not None and kill.then_commits and not self._calm:
            gate.at, gate.after = kill.then_commits, kill.after
        gate.fatal = self._fatal

    def _fatal(self, label: str, after: bool) -> bool:
        """Whether the plan wants the process to die at just this commit."""
        watching = [busy.fatal(label, after) for busy in filter(None, (self._clerk, self._keeper))]
        return not self._calm and any(watching)

    def _arm(self, kill: plans.Kill) -> None:
        self._kill, station = kill, self._station
        if kill.commits:
            station.gate.at, station.gate.after = len(station.gate.seen) + kill.commits, kill.after
        else:
            process = station.process
            the_loop().strike_at(the_loop().steps + kill.steps, process.die)

    async def _undertake(self) -> None:
        """Waits for the process to die, and starts another one after a while."""
        while True:
            await self._station.process.died.wait()
            down_s = self._kill.down_s if self._kill else 1
            async with self._lives:
                if self._station.process.dead:
                    self._commits += len(self._station.gate.seen)
                    await self._station.crash()
                    await asyncio.sleep(down_s)
                    await self._start()

    async def _alive(self) -> None:
        """Until the last process that was killed has its successor, and that nothing kills any more."""
        while True:
            async with self._lives:
                self._cure_disk()
                if not self._station.process.dead:
                    return
            await asyncio.sleep(0.1)

    async def _restart(self, down_s: float) -> None:
        async with self._lives:
            began_ms = self._station.host.monotonic_ms()
            try:
                await self._station.stop()
                self._stops_ms.append(self._station.host.monotonic_ms() - began_ms)
            except Crash:
                await self._station.crash()
            self._commits += len(self._station.gate.seen)
            await asyncio.sleep(down_s)
            await self._start()

    # watching

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if self._lives.locked() or self._station.process.dead:
                continue
            gateway = self._station.gateway
            waiting = sum(
                gateway.outbound.waiting(Target(self._accounts[account], self._chat((account, chat))))
                for account, chat in self._users
            )
            now_ms, tasks = self._station.host.true_ms(), self._station.process.tasks
            self._samples.append(Sample(now_ms, tasks, waiting, gateway.supervisor.alive("dispatcher")))

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Crash):
            self._complaints.append(f"{context['message']}: {error!r}")

    # healing

    async def _heal(self) -> float:
        """Ends all trouble; says for how long there was some, in seconds, sleep included."""
        station = self._station
        station.world.clear_weather()
        station.world.turn(**HEALTHY)
        if self._qq is not None:
            self._qq.heal()
        self._agent.recover()
        await self._alive()
        for account, chats in enumerate(self.plan.chats):
            await self._insist(lambda account=account: self._pause((account, 0), False, True))
            for chat in range(chats):
                await self._insist(lambda where=(account, chat): self._pause(where, False, False))
        if self._keeper is not None:
            await self._keeper.recover()
        began_ms = station.world.ledger.since(0, 1)[0].at_ms if len(station.world.ledger) else 0
        return (station.host.true_ms() - began_ms) / 1000 if began_ms else self.plan.chaos_s

    async def _hear_again(self) -> None:
        """A line that is dead on one side is not found out at once; people wait for it, as they do for a login."""
        if self._qq is not None:
            await self._log_in()
            self._findings += await self._qq.heard_again()

    async def _drain(self, within_s: float) -> None:
        """Until nothing is owed; meanwhile people do what they are asked to."""
        end_s = the_loop().time() + within_s
        while True:
            live = [message for message in await self._messages() if _owed(message)]
            if not live and await self._all_answered():
                return
            if the_loop().time() > end_s and self._patience and all(map(self._promised, live)):
                self._patience, end_s = self._patience - 1, end_s + MAX_QUIET_S
            elif the_loop().time() > end_s:
                self._findings += [
                    f"{each.id} is {each.state.value} ({each.waiting_for}) {within_s:.0f} s after all was well"
                    for each in live
                ] or [f"turns are open {within_s:.0f} s after all was well"]
                return
            await self._log_in()
            for message in live:
                await self._help(message)
            await asyncio.sleep(2)

    async def _messages(self) -> list[Message]:
        rows = [message for message in await self._station.messages() if message.state.live]
        return [self._station.gateway.overlay(message) for message in rows]

    def _promised(self, message: Message) -> bool:
        """Waits for a limit, and says until when."""
        return message.waiting_for is WaitingFor.LIMIT and message.next_attempt_at_ms is not None

    async def _all_answered(self) -> bool:
        store = self._station.gateway.store
        return not await store.open_turns() and not await store.pending_inbound()

    async def _help(self, message: Message) -> None:
        """The user writes, once, where a message waits for that; the operator decides about what is held."""
        if message.waiting_for in (WaitingFor.USER, WaitingFor.ALLOWANCE):
            self._write_again(message)
        if message.waiting_for is WaitingFor.OPERATOR:
            await self._insist(lambda: self._revive(message.id))

    def _write_again(self, message: Message) -> None:
        """Once; on QQ, where each word permits a few answers, as often as is needed."""
        self._spoken[message.chat] += 1
        time = self._spoken[message.chat]
        if self._qq is not None and message.account == self._qq.account:
            if time % QQ_WORDS == 1:
                self._say(self._qq.place_of(message.chat), f"I am back {message.chat} {time}")
        elif time == 1:
            self._station.say(message.chat, f"I am back {message.chat}", message.account)

    async def _log_in(self) -> None:
        """A person scans the code again where the screen asks for it."""
        for view in await self._station.gateway.accounts():
            account = view.account
            if account.state not in (AccountState.LOGIN_NEEDED, AccountState.BARRED):
                continue
            if self._qq is not None and account.id == self._qq.account:
                await self._insist(
                    lambda account=account, same=self._qq.credentials: self._station.gateway.add_account(
                        "qq", account.external_id, same
                    )
                )
            else:
                bot = self._station.world.state.people.bot(account.external_id)
                same = Credentials(bot.token, SIM_URL, f"{SIM_URL}/c2c", user_id=bot.user_id)
                await self._insist(
                    lambda bot=bot, same=same: self._station.gateway.add_account("weixin", bot.bot_id, same)
                )

    async def _afterwards(self) -> None:
        """Everything works again: everybody is answered and reached, no gate is shut, and all lines are up."""
        for place in self._users:
            self._say(place, f"and now {place[0]}/{place[1]}")
        await asyncio.sleep(2)
        for place, user in self._users.items():
            with contextlib.suppress(StoreError):
                await self._station.push(self._accounts[place[0]], user, f"goodbye {place[0]}/{place[1]}")
        await self._drain(AFTERWARDS_S)
        hold_s = self._station.world.knobs.hold_ms / 1000
        await asyncio.sleep(hold_s + ASLEEP_S)
        if self._qq is not None and not await self._qq.is_back():
            await asyncio.sleep(5)  # the line is made anew every half an hour, which takes a moment
        await self._drain(HEAL_S)  # an audit that ended meanwhile lets go what was behind it
        await self._demand_health(hold_s)

    async def _demand_health(self, hold_s: float) -> None:
        station = self._station
        for view in await station.gateway.accounts():
            if view.account.state is not AccountState.UP:
                self._findings.append(f"{view.account.id} is {view.account.state.value} after all was well")
            self._findings += [
                f"gate {gate.scope} {gate.subject} is still shut: {gate.reason}"
                for gate in view.gates
                if gate.refusals or gate.ghosts  # what was learned of a limit is kept, and shuts nothing
            ]
            if self._qq is not None and view.account.id == self._qq.account:
                continue
            polls = station.world.ledger.polls(view.account.external_id)
            since_s = (station.host.true_ms() - polls[-1].at_ms) / 1000 if polls else 10**9
            if since_s > hold_s + ASLEEP_S:
                self._findings.append(f"{view.account.id} has not polled for {since_s:.0f} s")
        readiness = await station.gateway.readiness()
        self._findings += [f"not ready: {reason.text}" for reason in readiness.reasons]

    # the books

    async def _books(self) -> Books:
        if self._keeper is not None:
            await self._keeper.catch_up()
        books = await collect(self._station)
        books.asked, books.speeches = self._agent.asked, self._agent.speeches
        for program in self._programs.values():
            books.promises += program.promises
        books.retried = self._retried
        books.samples = self._samples
        books.complaints = self._complaints
        books.stops_ms = self._stops_ms
        if self.plan.qq is not None and self.plan.qq.leaks:
            books.repeats_from_ms = dict.fromkeys(books.repeats_from_ms, NEVER_MS)
        if self._keeper is not None:
            books.programs = list(self._keeper.receiver.addresses.values())
        if self._clerk is not None:
            books.schedules = await enter_history(self._station, self._clerk.kept)
        books.set_back = any(
            isinstance(act.deed, plans.Host) and act.deed.clock_s < 0 for act in self.plan.acts
        )
        books.skewed = any(
            isinstance(act.deed, plans.Host) and (act.deed.clock_s or act.deed.sleeps_s)
            for act in self.plan.acts
        )
        return books

    def _bounds(self, bounds: Bounds) -> Bounds:
        """A disk that takes its time, or nothing for a while, excuses as much; and what was written down on both sides
        of a jump of the host's clock tells no order."""
        slow_ms = 4 * int(self.plan.commit_ms[1])
        refused = any(isinstance(act.deed, plans.Disk) for act in self.plan.acts)
        deeds = [act.deed for act in self.plan.acts if isinstance(act.deed, plans.Host)]
        away_ms = 1_000 * int(sum(deed.sleeps_s + deed.freezes_s for deed in deeds))
        jumped_ms = 1_000 * int(sum(abs(deed.clock_s) for deed in deeds))
        return replace(
            bounds,
            stop_ms=bounds.stop_ms + slow_ms,
            overtake_ms=bounds.overtake_ms + slow_ms + jumped_ms + (DISK_MS + away_ms) * refused,
        )

    def _told(self, books: Books) -> Counter[str]:
        told = Counter(f"message {message.state.value}" for message in books.messages)
        told.update(f"turn {turn.state.value}" for turn in books.turns)
        told.update(
            f"verdict {attempt.verdict}"
            for m in books.messages
            for entry in m.entries
            for attempt in entry.attempts
        )
        told.update(f"{record.call} {record.effect.value}" for record in books.records)
        told.update(self._agent.met)
        told.update(self._keeper.receiver.met if self._keeper else ())
        told.update(
            f"run {view.run.cause.value} {view.run.state.value}"
            for each in books.schedules or ()
            for view in each.runs
        )
        told.update(
            {
                "kills": self._station.kills,
                "stops": len(self._stops_ms),
                "long waits": LONG_WAITS - self._patience,
                "commits": self._commits,
            }
        )
        return told


def _trace(books: Books) -> str:
    """A fingerprint of everything that happened, as the platform and the readers of events saw it."""
    seen = hashlib.sha256()
    for record in books.records:
        seen.update(
            repr(
                (record.at_ms, record.call, record.effect, record.client_id, record.token, record.wire)
            ).encode()
        )
    for told in books.events:
        seen.update(repr(told).encode())
    return seen.hexdigest()[:16]


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    """A home in memory where the machine has such a place."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="yizhan-sim-", dir=memory if memory.is_dir() else None) as place:
        yield Path(place)


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """Collects errors that the gateway logs; nothing is printed meanwhile."""
    heard: list[str] = []

    def listen(_: object, level: str, line: Any) -> Any:
        error = line.get("exc_info")
        if (level in ("error", "critical") or error) and not isinstance(error, Crash):
            heard.append(f"{line.get('event')} {line.get('error') or error or ''}".strip())
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[listen])
    try:
        yield heard
    finally:
        structlog.configure(processors=before)


def _owed(message: Message) -> bool:
    """Still to be ended by us. The result of an audit may be lost with a session; then its time ends it, one day."""
    return message.state.live and message.waiting_for is not WaitingFor.AUDIT
