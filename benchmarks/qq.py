"""A bot on QQ: how long it is deaf, how often it knocks, and what a hundred of them cost."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from benchmarks.figure import FULL, Figure
from benchmarks.stage import Stage, stage
from benchmarks.virtual import Station, in_virtual_time
from yizhan_simulator import Fault, Outage

BOT = "bot"
SEEDS = range(1, 11 if FULL else 3)
INTERVAL_S = 41.25
BOTS, IDLE_S = 100, 60 if FULL else 10
REFUSED_AN_HOUR = 3_600 / (60 * 0.8) + 7
"""The policy where connections do not hold: a minute between two, a fifth less by chance, after seven quicker ones."""
UNREACHABLE_AN_HOUR = 120 + 3_480 / 15
"""The policy where nothing can connect: one to two seconds for two minutes, then fifteen."""
RECYCLED_AN_HOUR = 3
"""The platform ends each connection after half an hour."""


async def muted_socket() -> list[Figure]:
    """A socket that takes everything and gives no sign; to the next connection that hears, the longest of many."""
    longest = 0.0
    for seed in SEEDS:
        longest = max(longest, await in_virtual_time(partial(_muted, seed=seed)))
    return [Figure("QQ: muted socket to receiving again, in heartbeats", longest / INTERVAL_S, 2.5, "")]


async def _muted(home: Path, seed: int) -> float:
    """The longest of some, at different distances from the last heartbeat."""
    longest = 0.0
    async with Station(home, seed, agent="none") as station:
        await _one_bot(station)
        for number in range(8):
            await asyncio.sleep(90 + 5.3 * number)
            began_ms = station.host.true_ms()
            station.world.qq.mute(BOT, began_ms)
            while not station.world.qq.online(BOT):
                await asyncio.sleep(0.25)
            longest = max(longest, (station.host.true_ms() - began_ms) / 1_000)
    return longest


async def qq_reconnects() -> list[Figure]:
    """What QQ sees in an hour of each kind of trouble, and in one of none."""
    ends = Fault("close", "qq.identify", code=4009), Fault("close", "qq.resume", code=4009)
    closed = await in_virtual_time(partial(_knocks, faults=ends))
    broken = await in_virtual_time(partial(_knocks, faults=(Fault("status", "qq.gateway_bot", status=502),)))
    away = await in_virtual_time(partial(_knocks, faults=(), away=True))
    calm = await in_virtual_time(partial(_knocks, faults=()))
    return [
        Figure("QQ: connections an hour, each closed at once", closed, REFUSED_AN_HOUR, ""),
        Figure("QQ: attempts an hour, no address is told", broken, REFUSED_AN_HOUR, ""),
        Figure("QQ: attempts an hour, nothing can connect", away, UNREACHABLE_AN_HOUR, ""),
        Figure("QQ: connections an hour in fair weather", calm, RECYCLED_AN_HOUR, ""),
    ]


async def _knocks(home: Path, faults: tuple[Fault, ...], away: bool = False) -> int:
    """Requests on the way to a connection within an hour; of those that belong to one attempt, the first."""
    async with Station(home, agent="none") as station:
        await _one_bot(station)
        began_ms = station.host.true_ms()
        for fault in faults:
            station.world.add_fault(fault, began_ms)
        if away:
            station.world.add_outage(Outage(to_s=3_600), began_ms)
        elif faults:
            station.world.qq.close(BOT, 4009, began_ms)
        await asyncio.sleep(3_600)
        calls = ("qq.gateway_bot", "qq.me") if away else ("qq.gateway_bot",)
        ledger = station.world.ledger
        return sum(record.call in calls and record.at_ms > began_ms for record in ledger)


async def _one_bot(station: Station) -> None:
    """Up, and without the sweeper, whose commit in each second would cost most of the time."""
    station.gateway.supervisor.drop("sweeper")
    await station.link_qq(name=BOT)
    while not station.world.qq.online(BOT):
        await asyncio.sleep(0.25)


async def qq_bots() -> list[Figure]:
    """A hundred bots in one process, each with its connection, its heartbeats and one chat; beside one of none."""
    async with stage(1) as made:
        await asyncio.sleep(2)
        alone_mib = made.gateway.memory_mib()
        await _add_bots(made, BOTS)
        await asyncio.sleep(2)
        before_s = made.gateway.cpu_s()
        await asyncio.sleep(IDLE_S)
        share = 100 * (made.gateway.cpu_s() - before_s) / IDLE_S
        return [
            Figure("100 bots on QQ: resident memory", made.gateway.memory_mib(), 150, "MiB"),
            Figure("… of it for the bots", made.gateway.memory_mib() - alone_mib, 15, "MiB"),
            Figure("… share of a core, idle", share, 3, "%"),
        ]


async def _add_bots(made: Stage, count: int) -> None:
    qq, now_ms = made.world.qq, made.sim.clock.now_ms
    for number in range(count):
        bot = qq.add_bot(f"bot {number}")
        body = {
            "platform": "qq",
            "account_id": bot.app_id,
            "token": bot.secret,
            "base_url": made.sim.url,
            "token_url": made.sim.url,
        }
        await made.gateway.post("/v1/accounts", body)
    async with asyncio.timeout(60):
        while not all(qq.online(f"bot {number}") for number in range(count)):
            await asyncio.sleep(0.1)
    for number in range(count):
        qq.say(made.users[0], "hi", now_ms(), to=f"bot {number}")
