"""A bot on QQ for a week: `python -m simulation --days 7`.

The whole gateway in virtual time, with a connection that is recycled every half an hour, a session that is taken away
once a day, and something else that goes wrong every hour or two: sockets that die on one side, closes, outages,
addresses and tokens that nobody gives for hours, lost answers, restarts, a host that sleeps. People and programs go
on as if nothing were the matter. At the end nothing may be lost or doubled, and at no minute may the state of the
account have been another than the truth, but for the time that it takes to find out.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulation.books import Books, collect
from simulation.checker import audit
from simulation.station import Station
from simulation.virtual import run, the_loop
from simulation.voyage import listening
from yizhan.errors import RequestError
from yizhan.model import AccountId, AccountState
from yizhan_simulator import Fault, Outage
from yizhan_simulator.weather import FrameKind, HttpKind

BOT = "bot"
PEOPLE = ("Ann", "Bob", "Cem")
DAY_S = 86_400
INTERVAL_S = 41.25
LOOK_S = 15
DEAF_S = 2.5 * INTERVAL_S
"""A connection that is dead on one side is found out within so many seconds …"""
BACK_S = 30
"""… and that one is there again, by the next look after it."""
CLOSES = (4009, 4009, 1000, 1005, 1006, 4008)
"""Closes after which the session can be resumed."""


@dataclass(frozen=True, slots=True)
class Week:
    """What came of it. `untold`: said while the platform had no session to tell it to."""

    days: float
    said: int
    untold: int
    lost: int
    doubled: int
    wrong_minutes: int
    findings: tuple[str, ...]
    told: Counter[str]
    took_s: float

    def lines(self) -> Iterator[str]:
        yield f"{self.days:g} days of a bot on QQ in {self.took_s:.0f} s"
        yield f"  {self.said} messages of users, {self.untold} of them while QQ had no session of the bot"
        yield f"  {self.lost} lost, {self.doubled} doubled, {self.wrong_minutes} minutes with a wrong state"
        yield from (f"  {count:8d} {what}" for what, count in sorted(self.told.items()))
        yield from (f"  {finding}" for finding in self.findings)

    @property
    def good(self) -> bool:
        return not (self.findings or self.lost or self.doubled or self.wrong_minutes)


def soak(days: float, seed: int = 1) -> Week:
    """Runs it in a home of its own."""
    memory = Path("/dev/shm")
    began_s = time.monotonic()
    where = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="yizhan-soak-", dir=where) as home, listening() as complaints:
        return run(_Soak(Path(home), days, seed, complaints).run(began_s), seed)


class _Soak:
    def __init__(self, home: Path, days: float, seed: int, complaints: list[str]) -> None:
        self._complaints = complaints
        self._days = days
        self._rng = random.Random(f"soak {seed}")
        self._station = Station(home, seed, agent="echo", delivery={"allowance": {}})
        self._account: AccountId
        self._told: Counter[str] = Counter()
        self._wrong_s = 0.0
        self._said = 0
        self._pushed: list[tuple[str, str]] = []
        self._busy = asyncio.Lock()
        """Held while the process is not running, and while the line must not be touched."""

    async def run(self, began_s: float) -> Week:
        await self._set_out()
        async with asyncio.TaskGroup() as crew:
            works = (self._talk(), self._push(), self._trouble(), self._take_sessions(), self._look())
            tasks = [crew.create_task(work) for work in works]
            await asyncio.sleep(self._days * DAY_S)
            for task in tasks:
                task.cancel()
        self._station.world.clear_weather()
        await asyncio.sleep(300)
        await self._station.until_quiet()
        books = await collect(self._station)
        books.complaints = self._complaints
        week = self._week(books, began_s)
        await self._station.stop()
        return week

    async def _set_out(self) -> None:
        await self._start()
        qq, world = self._station.world.qq, self._station.world
        self._account = await self._station.link_qq(name=BOT)
        for name in PEOPLE:
            world.add_user(name)
            qq.room(BOT, name)
        qq.add_group("team", PEOPLE, (BOT,), "all")
        await asyncio.sleep(10)

    # people and programs

    async def _talk(self) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / 240))
            text, who, qq = f"line {self._said}", self._rng.choice(PEOPLE), self._station.world.qq
            self._said += 1
            if self._rng.random() < 0.3:
                qq.say(who, text, self._now_ms(), "team", at=True)
            else:
                qq.say(who, text, self._now_ms())

    async def _push(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / 900))
            number += 1
            chat = f"c2c/{self._station.world.qq.openid(BOT, self._rng.choice(PEOPLE))}"
            async with self._busy:
                with contextlib.suppress(RequestError):
                    await self._station.push(self._account, chat, f"push {number}")

    # trouble

    async def _trouble(self) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / 5_400))
            await self._something()

    async def _something(self) -> None:
        rng, qq, now_ms = self._rng, self._station.world.qq, self._now_ms()
        for_s = rng.choice([20, 120, 900, 3_600])
        what = rng.choice([
            "mute", "mute", "close", "close", "storm", "op 7", "outage", "gateway", "token", "socket", "hello",
            "doubles", "again", "lost answers", "slow answers", "access", "windows", "spent", "restart", "kill",
            "sleep",
        ])  # fmt: skip
        self._told[f"trouble: {what}"] += 1
        match what:
            case "mute":
                qq.mute(BOT, now_ms)
            case "close":
                qq.close(BOT, rng.choice(CLOSES), now_ms)
            case "storm":
                for _ in range(10):
                    qq.close(BOT, rng.choice(CLOSES), self._now_ms())
                    await asyncio.sleep(rng.uniform(0.5, 20))
            case "op 7":
                qq.ask_reconnect(BOT, now_ms)
            case "outage":
                kind = rng.choice(("refuse", "reset", "hang"))
                self._station.world.add_outage(Outage(to_s=for_s, kind=kind), now_ms)
            case "gateway" | "token" | "socket":
                call = {"gateway": "qq.gateway_bot", "token": "qq.token", "socket": "qq.socket"}[what]
                self._fault(rng.choice(("status", "html", "hang", "reset_before")), call, 4 * for_s)
                qq.expire_tokens(BOT)
                qq.close(BOT, 4009, now_ms)
            case "hello":
                self._fault(rng.choice(("silence", "mute", "close")), "qq.hello", for_s)
                qq.close(BOT, 4009, now_ms)
            case "doubles":
                self._fault(rng.choice(("double", "double_new_s", "extra", "not_json")), "qq.dispatch", for_s)
            case "again":
                qq.replay(BOT, 5, now_ms)
            case "lost answers":
                self._fault("lost_answer", "qq.send.*", for_s, probability=0.5)
            case "slow answers":
                self._fault("slow", "qq.send.*", for_s, delay_s=4)
            case "access":
                qq.expire_tokens(BOT)
            case "windows":
                qq.expire_windows(BOT)
            case "spent":
                qq.spend_allowances(BOT)
            case "restart" | "kill":
                await self._restart(what == "kill", rng.choice((1, 60, 900)))
            case "sleep":
                self._station.host.sleep(1_000 * for_s)

    def _fault(self, kind: HttpKind | FrameKind, call: str, for_s: float, **more: Any) -> None:
        self._station.world.add_fault(
            Fault(kind=kind, call=call, between_s=(0, for_s), **more), self._now_ms()
        )

    async def _restart(self, kill: bool, down_s: float) -> None:
        async with self._busy:
            await (self._station.crash() if kill else self._station.stop())
            await asyncio.sleep(down_s)
            await self._start()

    async def _start(self) -> None:
        """Without the sweeper, which commits once a second, and would cost more than everything else together; what is
        said here does not expire."""
        await self._station.start()
        self._station.gateway.supervisor.drop("sweeper")

    async def _take_sessions(self) -> None:
        """Once a day the platform forgets every session, while the bot is connected and has been told everything."""
        while True:
            await asyncio.sleep(DAY_S * self._rng.uniform(0.9, 1))
            while not (self._station.world.qq.online(BOT) and self._up_to_date()):
                await asyncio.sleep(10)
            self._told["sessions taken away"] += 1
            self._station.world.qq.forget_sessions(BOT)
            self._station.world.qq.close(BOT, 4009, self._now_ms())

    def _up_to_date(self) -> bool:
        """Nobody has said anything for a while, or the platform would forget it with the session."""
        ledger = self._station.world.ledger
        recent = ledger.since(max(0, ledger.dropped + len(ledger) - 50), 50)
        return all(
            record.call not in ("qq.say", "qq.dispatch") or self._now_ms() - record.at_ms > 5_000
            for record in recent
        )

    # the truth

    async def _look(self) -> None:
        """Every few seconds: is the account's state what QQ would say?"""
        untrue_since_s: float | None = None
        while True:
            await asyncio.sleep(LOOK_S)
            if self._busy.locked():
                untrue_since_s = None
                continue
            said_up = await self._says_up()
            now_s = the_loop().time()
            if said_up is self._station.world.qq.online(BOT):
                untrue_since_s = None
                continue
            untrue_since_s = untrue_since_s if untrue_since_s is not None else now_s
            if now_s - untrue_since_s > (DEAF_S if said_up else BACK_S):
                self._wrong_s += LOOK_S

    async def _says_up(self) -> bool:
        views = await self._station.gateway.accounts()
        return all(view.account.state is AccountState.UP for view in views)

    def _now_ms(self) -> int:
        return self._station.host.true_ms()

    # the books

    def _week(self, books: Books, began_s: float) -> Week:
        kept = Counter(received.text for received in books.received)
        told = {record.text for record in books.records if record.call == "say"}
        shown = Counter(record.text for record in books.records if _is_shown(record))
        for record in self._station.world.ledger:
            if record.call in ("qq.identify", "qq.resume", "qq.close", "qq.gateway_bot", "qq.heartbeat"):
                self._told[f"{record.call} {record.effect.value}"] += 1
        for message in books.messages:
            self._told[f"message {message.state.value}"] += 1
        lost = {text for text in told if not kept[text]}
        return Week(
            days=self._days,
            said=self._said,
            untold=self._said - len(told),
            lost=len(lost),
            doubled=sum(count - 1 for count in (*kept.values(), *shown.values()) if count > 1),
            wrong_minutes=-int(-self._wrong_s // 60),
            findings=(*audit(books), *self._fates(lost)),
            told=self._told,
            took_s=time.monotonic() - began_s,
        )

    def _fates(self, lost: set[str]) -> Iterator[str]:
        """How the platform handled what was lost, and when it began new sessions about then."""
        ledger = self._station.world.ledger
        for record in ledger:
            if record.call in ("qq.dispatch", "qq.replay") and record.text in lost:
                near = [
                    f"{each.call} {each.effect.value} {each.at_ms - record.at_ms:+d} ms"
                    for each in ledger
                    if each.call in ("qq.identify", "qq.resume") and abs(each.at_ms - record.at_ms) < 600_000
                ]
                yield f"{record.text!r} was lost: {record.call} {record.effect.value}; {', '.join(near)}"


def _is_shown(record: Any) -> bool:
    return record.call == "sendmessage" and record.effect.value == "shown"
