"""QQ clients that we did not write, aimed at the simulator and otherwise unmodified, receive and reply through it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from yizhan_simulator import Effect, World
from yizhan_simulator.server import running

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("peers")]


async def online(world: World, bot: str) -> None:
    """Another process is at work; the test's time-out is the bound."""
    while not world.qq.online(bot):
        await asyncio.sleep(0.02)


async def test_botpy_receives_and_replies_in_a_chat(
    qq_python: Path, world: World, ann: str, drive: Any
) -> None:
    """The official SDK takes our token, READY and event for its platform's, and its reply is shown once."""
    bot = world.qq.add_bot("Echo")
    async with running(world) as sim:
        peer = asyncio.ensure_future(
            drive(qq_python, "botpy_echo.py", sim.url, bot.app_id, bot.secret, "2")
        )  # fmt: skip
        await online(world, "Echo")
        first = world.qq.say(ann, "hello 你好", sim.clock.now_ms())
        second = world.qq.say(ann, "again", sim.clock.now_ms())
        told = await peer
    assert [("c2c", "hello 你好", first), ("c2c", "again", second)] == [
        (row["kind"], row["text"], row["id"]) for row in told
    ]
    shown = world.qq.shown("Echo", ann)
    assert ["botpy heard: hello 你好", "botpy heard: again"] == [bubble.text for bubble in shown]
    assert [row["receipt"] for row in told] == [bubble.message_id for bubble in shown]
    assert ["passive", "passive"] == [send.token_state for send in world.qq.sends("Echo")]
    assert 1 == len(world.ledger.select("qq.identify", effect=Effect.ANSWERED))
    assert [] == [row for row in world.ledger if row.effect in (Effect.REFUSED, Effect.LOST)]
