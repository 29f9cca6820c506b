"""Ten thousand schedules that are due at the same moment: a real process on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import time
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.stage import stage
from yizhan.model import AccountId, ChatId, Schedule, ScheduleId, Target
from yizhan.runtime.clock import SystemChance, SystemClock
from yizhan.store import open_store

WATCHED = (sys.executable, "-m", "benchmarks.watched")
FILLED_AT_ONCE = 500
AHEAD_S = 20
"""For filling the table and starting the gateway, also on a busy machine."""


async def schedules(count: int = 10_000, chats: int = 500) -> list[Figure]:
    """All are due in the same second; a run counts when it is on disk, with what it says. Sending has begun by then."""
    async with stage(chats, command=WATCHED) as made:
        await made.gateway.stop()
        due_ms = time.time_ns() // 1_000_000 + AHEAD_S * 1_000
        targets = [Target(AccountId(made.account), ChatId(user)) for user in made.users]
        await _fill(made.gateway.home, targets, count, due_ms)
        await made.gateway.start()
        await asyncio.sleep(max(0, due_ms / 1_000 - time.time() - 1))
        before_mib, before_s = made.gateway.memory_mib(), made.gateway.cpu_s()
        made.gateway.forget_stalls()
        await _until_run(made.gateway.home, count)
        took_s, cpu_s = time.time() - due_ms / 1_000, made.gateway.cpu_s() - before_s
        added_mib, stall_ms = made.gateway.memory_mib() - before_mib, made.gateway.worst_stall_ms()
        await made.shown(count, within_s=120)
        return [
            Figure("10,000 schedules due at once: until the last has run", took_s, 5, "s"),
            Figure("… CPU of the gateway until then, with what it sends meanwhile", cpu_s, None, "s"),
            Figure("… memory added", added_mib, 64, "MiB"),
            Figure("… longest stall of the event loop", stall_ms, 250, "ms"),
        ]


async def _fill(home: Path, targets: list[Target], count: int, due_ms: int) -> None:
    store = await open_store(None, home, clock=SystemClock(), chance=SystemChance())
    try:
        for start in range(0, count, FILLED_AT_ONCE):
            numbers = range(start, start + FILLED_AT_ONCE)
            rows = (_schedule(number, targets[number % len(targets)], due_ms) for number in numbers)
            await asyncio.gather(*(store.add_schedule(row) for row in rows))
    finally:
        await store.close()


def _schedule(number: int, target: Target, due_ms: int) -> Schedule:
    made_ms = due_ms - 60_000
    return Schedule(
        id=ScheduleId(f"sch_{number:06d}"),
        name=f"number {number}",
        when="0 9 * * 1-5",
        zone="Asia/Shanghai",
        text="Good morning. " * 5,
        targets=(target,),
        created_at_ms=made_ms,
        written_ms=made_ms,
        planned_ms=made_ms,
        next_due_ms=due_ms,
        fire_at_ms=due_ms,
    )


async def _until_run(home: Path, count: int, within_s: float = 120) -> None:
    """Reads the table itself: what is not on disk has not run."""
    address = f"file:{home / 'yizhan.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as reader:
        async with asyncio.timeout(within_s):
            while reader.execute("SELECT count(*) FROM schedule_run").fetchone()[0] < count:
                await asyncio.sleep(0.1)
