"""How quickly it goes on: beside a limited chat, within a limit, and after an outage. In virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Literal

from benchmarks.figure import FULL, Figure
from benchmarks.virtual import Station, in_virtual_time
from yizhan.model import AccountId
from yizhan_simulator import Fault, Limit, Outage
from yizhan_simulator.ledger import Effect, Record

OutageKind = Literal["refuse", "reset", "hang"]
SEEDS = range(1, 11 if FULL else 3)
SHORT_S, LONG_S = (20, 119), (180, 3_600 if FULL else 900)


async def healthy_chat() -> list[Figure]:
    """A chat that is refused everything, with fifty messages queued; its neighbour's messages, one a second."""
    delays_ms: list[int] = []
    for seed in SEEDS:
        delays_ms += await in_virtual_time(partial(_beside_a_limit, seed=seed))
    return [Figure("healthy chat beside a limited one, longest delay", max(delays_ms), 200, "ms")]


async def _beside_a_limit(home: Path, seed: int) -> list[int]:
    async with Station(home, seed) as station:
        account, (sick, well) = await _people(station, 2)
        station.world.add_fault(Fault("refuse", user=sick), station.clock.now_ms())
        for number in range(50):
            await station.push(account, sick, f"sick {number}")
        sent_ms: dict[str, int] = {}
        for number in range(60):
            sent_ms[f"well {number}"] = station.clock.now_ms()
            await station.push(account, well, f"well {number}")
            await asyncio.sleep(1)
        shown = {record.text: record.at_ms for record in _shown(station)}
        return [shown.get(text, station.clock.now_ms()) - at_ms for text, at_ms in sent_ms.items()]


async def refusals_in_a_window() -> list[Figure]:
    """Five sends per twenty seconds, a hundred messages in three chats: what is spent on finding that out."""
    worst, per_hundred = 0, 0.0
    for seed in SEEDS:
        refused_ms, sent = await in_virtual_time(partial(_within_a_limit, seed=seed))
        windows = Counter(at_ms // 20_000 for at_ms in refused_ms)
        worst = max(worst, max(windows.values(), default=0))
        per_hundred = max(per_hundred, 100 * len(refused_ms) / sent)
    return [
        Figure("refused sends in one 20 s window, worst", worst, 3, ""),
        Figure("refused sends per 100 delivered under that limit", per_hundred, 14, ""),
    ]


async def _within_a_limit(home: Path, seed: int) -> tuple[list[int], int]:
    async with Station(home, seed) as station:
        account, users = await _people(station, 3)
        station.world.add_limit(Limit(count=5, per_s=20), station.clock.now_ms())
        for number in range(100):
            await station.push(account, users[number % 3], f"push {number}")
        await _until_shown(station, 100)
        refused = station.world.ledger.refusals()
        return [record.at_ms for record in refused], len(_shown(station))


async def after_an_outage() -> list[Figure]:
    """From the end of an outage to the first message on a phone, the longest over kinds, lengths and seeds."""
    return [
        Figure(
            "first delivery after ≤ 2 min without connection", await _longest("refuse", SHORT_S), 2_000, "ms"
        ),
        Figure("first delivery after ≤ 2 min of resets", await _longest("reset", SHORT_S), 2_000, "ms"),
        Figure("… of silence, where a send may hang for 10 s", await _longest("hang", SHORT_S), 12_000, "ms"),
        Figure(
            "first delivery after > 2 min without connection", await _longest("refuse", LONG_S), 15_000, "ms"
        ),
        Figure("first delivery after > 2 min of resets", await _longest("reset", LONG_S), 15_000, "ms"),
        Figure("first delivery after > 2 min of silence", await _longest("hang", LONG_S), 15_000, "ms"),
    ]


async def _longest(kind: OutageKind, lengths_s: tuple[int, ...]) -> int:
    longest = 0
    for length_s in lengths_s:
        for seed in SEEDS:
            took_ms = await in_virtual_time(partial(_outage, seed=seed, kind=kind, length_s=length_s))
            longest = max(longest, took_ms)
    return longest


async def _outage(home: Path, seed: int, kind: OutageKind, length_s: int) -> int:
    async with Station(home, seed) as station:
        account, users = await _people(station, 4)
        began_ms = station.clock.now_ms()
        end_ms = began_ms + 1_000 * length_s
        station.world.add_outage(Outage(to_s=length_s, kind=kind), began_ms)
        number = 0
        while station.clock.now_ms() < end_ms - 1_000:
            await station.push(
                account, users[number % 4], f"push {number}", expires_at_ms=end_ms + 86_400_000
            )
            number += 1
            await asyncio.sleep(max(1, length_s / 40))
        before = sum(record.at_ms < end_ms for record in _shown(station))
        await _until_shown(station, before + 1)
        return _shown(station)[before].at_ms - end_ms


async def _people(station: Station, count: int) -> tuple[AccountId, list[str]]:
    """Users who have written once, an account that listens, and a quiet moment after it."""
    station.world.turn(quota_per_inbound=0)
    users = [station.world.add_user(f"user {number}") for number in range(count)]
    account = await station.link(users[0])
    await asyncio.sleep(1)
    for user in users:
        station.say(user, "hello", account)
    await asyncio.sleep(5)
    return account, users


async def _until_shown(station: Station, count: int) -> None:
    async with asyncio.timeout(6 * 3_600):
        while len(_shown(station)) < count:
            await asyncio.sleep(0.25)


def _shown(station: Station) -> list[Record]:
    return station.world.ledger.select("sendmessage", effect=Effect.SHOWN)
