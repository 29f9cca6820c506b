"""What many cost: a thousand accounts that are idle, a storm in a limit window, a hundred thousand in the queue."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import Any

from benchmarks.figure import FULL, Figure
from benchmarks.queue import fill
from benchmarks.stage import Stage, stage
from yizhan_simulator import Fault, Limit

ACCOUNTS, IDLE_S = 1_000, 120 if FULL else 20
WATCHED = (sys.executable, "-m", "benchmarks.watched")


async def idle_accounts() -> list[Figure]:
    """A thousand logins that wait for somebody to write; their polls are held 35 s, as WeChat does."""
    async with stage(1, hold_ms=35_000) as made:
        await _add_accounts(made, ACCOUNTS)
        await asyncio.sleep(10)
        before_s = made.gateway.cpu_s()
        await asyncio.sleep(IDLE_S)
        share = 100 * (made.gateway.cpu_s() - before_s) / IDLE_S
        return [
            Figure("1,000 idle accounts: resident memory", made.gateway.memory_mib(), 250, "MiB"),
            Figure("1,000 idle accounts: share of a core", share, 15, "%"),
        ]


async def _add_accounts(made: Stage, count: int) -> None:
    numbers = iter(range(1, count))

    async def add() -> None:
        for number in numbers:
            bot = made.world.add_bot(made.world.add_user(f"person {number}"))
            body = {
                "platform": "weixin",
                "account_id": bot.bot_id,
                "token": bot.token,
                "base_url": made.sim.url,
            }
            await made.gateway.post("/v1/accounts", body)

    await asyncio.gather(*(add() for _ in range(8)))


async def limit_storm(messages: int = 2_000, chats: int = 200) -> list[Figure]:
    """Two thousand messages over two hundred chats while a window lets five pass in twenty seconds; then SIGTERM."""
    async with stage(chats, command=WATCHED) as made:
        made.world.add_limit(Limit(count=5, per_s=20), made.sim.clock.now_ms())
        before_mib = made.gateway.memory_mib()
        made.gateway.forget_stalls()
        await asyncio.gather(*(_send_to(made, user, messages // chats) for user in made.users))
        await asyncio.sleep(25)
        stall_ms, added_mib = made.gateway.worst_stall_ms(), made.gateway.memory_mib() - before_mib
        lines = len((made.gateway.home / "gateway.log").read_text().splitlines())
        refused = len(made.world.ledger.refusals())
        stop_s, code = await made.gateway.stop()
        return [
            Figure("2,000 over 200 chats in a limit window: memory added", added_mib, 32, "MiB"),
            Figure("… longest stall of the event loop", stall_ms, 100, "ms"),
            Figure("… lines in the log", lines, chats, ""),
            Figure("… refused sends", refused, None, ""),
            Figure("… SIGTERM to exit", 1_000 * stop_s, 2_000, "ms"),
            Figure("… its exit code", code, 0, ""),
        ]


async def _send_to(made: Stage, user: str, count: int) -> None:
    for number in range(count):
        await made.send(user, f"message {number}")


async def queue(messages: int = 100_000, chats: int = 500) -> list[Figure]:
    """A start with a hundred thousand messages that are refused for now, beside one with none; then SIGTERM."""
    async with stage(chats, command=WATCHED) as made:
        await asyncio.sleep(1)
        made.world.add_fault(Fault("refuse"), made.sim.clock.now_ms())
        await made.gateway.stop()
        await made.gateway.start()
        await asyncio.sleep(3)
        empty_mib = made.gateway.memory_mib()
        await made.gateway.stop()
        await fill(made.gateway.home, made.account, made.users, messages)
        await made.gateway.start()
        await asyncio.sleep(10)
        added_mib, stall_ms = made.gateway.memory_mib() - empty_mib, made.gateway.worst_stall_ms()
        stop_s, _ = await made.gateway.stop()
        return [
            Figure("100,000 queued: memory added", added_mib, 32, "MiB"),
            Figure("… longest stall of the event loop, start and all", stall_ms, 100, "ms"),
            Figure("… SIGTERM to exit", 1_000 * stop_s, 2_000, "ms"),
        ]


async def frozen(for_s: float = 60 if FULL else 12, messages: int = 100) -> list[Figure]:
    """The process is stopped beyond all its time-outs, on a platform that counts an answered poll as delivered."""
    knobs: dict[str, Any] = {"hold_ms": 500, "advertised_hold_ms": 1_000, "inbound": "consume"}
    async with stage(20, {"YIZHAN_AGENT": "echo"}, **knobs) as made:
        await made.shown(20)  # the echoes of the greetings
        made.world.add_fault(
            Fault("slow", delay_s=0.1), made.sim.clock.now_ms()
        )  # so that some are on their way
        for number in range(messages):
            await made.send(made.users[number % 20], f"message {number}")
        assert made.gateway.process is not None
        made.gateway.process.send_signal(signal.SIGSTOP)
        for user in made.users:
            made.world.say(user, "written meanwhile", made.sim.clock.now_ms())
        await asyncio.sleep(for_s)
        woken = time.monotonic()
        made.gateway.process.send_signal(signal.SIGCONT)
        owed = 20 + messages + 20
        await made.shown(owed, within_s=120)
        copied = len(made.world.ledger.copied())
        return [
            Figure(
                f"frozen for {for_s:.0f} s: delivered and answered",
                100 * len(made.arrivals) / owed,
                100,
                "%",
                True,
            ),
            Figure("… on the phone twice", copied, 0, ""),
            Figure("… waking up to the last of them", time.monotonic() - woken, None, "s"),
        ]
