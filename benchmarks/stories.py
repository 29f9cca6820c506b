"""The fault stories: what arrives, what arrives twice, what arrives in the wrong order. In virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from benchmarks.figure import FULL, Figure
from benchmarks.virtual import Crash, Station, findings, in_virtual_time
from yizhan.errors import YizhanError
from yizhan.model import AccountId, MessageState
from yizhan_simulator import Fault, Limit, Outage
from yizhan_simulator.ledger import Effect
from yizhan_simulator.weather import HttpKind

SEEDS = range(1, 11 if FULL else 3)
CHATS, PUSHES = 4, 60

NONSENSE: tuple[HttpKind, ...] = (
    "null", "list", "bytes", "wrong_types", "nested", "html", "truncated", "status", "empty",
)  # fmt: skip

Weather = Callable[[Station], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Tally:
    """What became of the pushes of a story, over all its seeds."""

    accepted: int = 0
    delivered: int = 0
    doubled: int = 0
    disordered: int = 0
    lies: int = 0

    def figures(self, name: str) -> list[Figure]:
        share = 100 * self.delivered / max(1, self.accepted)
        return [
            Figure(f"{name}: delivered", share, 100, "%", at_least=True),
            Figure(f"{name}: on the phone twice", self.doubled, 0, ""),
            Figure(f"{name}: out of order", self.disordered, 0, ""),
            Figure(f"{name}: said otherwise than it was", self.lies, 0, ""),
        ]


async def _limit(station: Station) -> None:
    station.world.add_limit(Limit(count=5, per_s=20), station.clock.now_ms())


async def _limit_of_a_chat(station: Station) -> None:
    station.world.add_limit(Limit(count=3, per_s=15, scope="chat"), station.clock.now_ms())


async def _stale_tokens(station: Station) -> None:
    """Every token dies, again and again; the platform calls it a rate limit."""
    station.world.turn(stale_refusal={"ret": -2, "errmsg": "rate limited"})
    for _ in range(5):
        await asyncio.sleep(4)
        station.world.expire_tokens()


def _outage(kind: Literal["refuse", "reset", "hang"]) -> Weather:
    async def weather(station: Station) -> None:
        station.world.add_outage(Outage(from_s=3, to_s=48, kind=kind), station.clock.now_ms())

    return weather


async def _lost_answers(station: Station) -> None:
    station.world.add_fault(Fault("reset_after", probability=0.2, times=20), station.clock.now_ms())
    station.world.add_fault(Fault("lost_answer", probability=0.1, times=5), station.clock.now_ms())


async def _nonsense(station: Station) -> None:
    for kind in NONSENSE:
        station.world.add_fault(Fault(kind, probability=0.1, times=3), station.clock.now_ms())
    station.world.add_fault(Fault("html", "getupdates", times=3), station.clock.now_ms())


async def _crashes(station: Station) -> None:
    chance = random.Random(station.seed)
    for _ in range(5):
        await asyncio.sleep(1 + 3 * chance.random())
        await station.restart()


STORIES: dict[str, Weather] = {
    "5 sends per 20 s for the account": _limit,
    "3 sends per 15 s for a chat": _limit_of_a_chat,
    "stale tokens called a rate limit": _stale_tokens,
    "45 s without a connection": _outage("refuse"),
    "45 s of resets": _outage("reset"),
    "45 s of silence": _outage("hang"),
    "lost answers": _lost_answers,
    "hostile answers": _nonsense,
    "five crashes": _crashes,
}


async def stories() -> list[Figure]:
    """Delivered, doubled and reordered in every recoverable fault story; the platform recognises repeats."""
    figures: list[Figure] = []
    for name, weather in STORIES.items():
        tally = Tally()
        for seed in SEEDS:
            await in_virtual_time(partial(_told, seed=seed, weather=weather, tally=tally))
        figures += tally.figures(name)
    return figures


async def _told(home: Path, seed: int, weather: Weather, tally: Tally) -> None:
    async with Station(home, seed) as station:
        station.world.turn(quota_per_inbound=0, needs_inbound=False, client_id_dedupe=True)
        users = [station.world.add_user(f"user {number}") for number in range(CHATS)]
        account = await station.link(users[0])
        await asyncio.sleep(1)
        for user in users:
            station.say(user, "hello", account)
        await asyncio.sleep(3)
        blowing = asyncio.create_task(weather(station))
        await _pushes(station, account, users)
        await blowing
        await _until_ended(station)
        await _count(station, users, tally)


async def _until_ended(station: Station) -> None:
    """As `Station.until_quiet`, which looks at every message every quarter of a second and would cost minutes here."""
    async with asyncio.timeout(6 * 3_600):
        while any(message.state.live for message in await station.messages()):
            await asyncio.sleep(5)


async def _pushes(station: Station, account: AccountId, users: list[str]) -> None:
    """A careful program: each push under its key until it is taken, also from a gateway that has just crashed."""
    for number in range(PUSHES):
        while True:
            try:
                async with asyncio.timeout(2):
                    user, text = users[number % CHATS], f"push {number}"
                    await station.push(account, user, text, idempotency_key=text)
                    break
            except (Crash, TimeoutError, YizhanError):
                await asyncio.sleep(0.1)
        await asyncio.sleep(0.25)


async def _count(station: Station, users: list[str], tally: Tally) -> None:
    pushes = [message for message in await station.messages() if message.text.startswith("push ")]
    ends = Counter(message.state for message in pushes)
    tally.accepted += PUSHES
    tally.delivered += ends[MessageState.DELIVERED]
    for user in users:
        shown = [
            int(record.text.split()[1])
            for record in station.world.ledger.select("sendmessage", effect=Effect.SHOWN)
            if record.user_id == user and record.text.startswith("push ")
        ]
        tally.doubled += len(shown) - len(set(shown))
        firsts = list(dict.fromkeys(shown))
        tally.disordered += sum(a > b for a, b in pairwise(firsts))
    tally.lies += len(await findings(station))
