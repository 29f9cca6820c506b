"""QQ clients that we did not write, aimed at the simulator and otherwise unmodified, receive and reply through it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yizhan_simulator import Effect, World
from yizhan_simulator.qq.people import QqBot
from yizhan_simulator.server import running

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("peers")]


async def until(come: Callable[[], bool], peer: asyncio.Future[Any]) -> None:
    """Another process is at work; it has a bound, and when it fails first, so does the test."""
    while not come():
        if peer.done():
            raise AssertionError(f"the peer ended too early: {peer.result()}")
        await asyncio.sleep(0.02)


@pytest.fixture
def bot(world: World, ann: str) -> QqBot:
    """Sits in a group and a channel with Ann."""
    made = world.qq.add_bot("Echo")
    world.qq.add_group("Team", (ann,), ("Echo",))
    world.qq.add_channel("general", (ann,), ("Echo",))
    return made


def say_everywhere(world: World, ann: str, now_ms: int) -> list[str]:
    """In a chat, a group, a channel and directly; the ids."""
    return [
        world.qq.say(ann, "hello 你好", now_ms, "Echo"),
        world.qq.say(ann, "team", now_ms, "Team", at=True),
        world.qq.say(ann, "general", now_ms, "general", at=True),
        world.qq.say(ann, "psst", now_ms, "Echo", scene="dm"),
    ]


def answers(world: World, ann: str) -> list[str]:
    rooms = [("Echo", ann), ("Team", ""), ("general", "")]
    chats = [bubble.text for room, user in rooms for bubble in world.qq.shown(room, user)]
    return chats + [bubble.text for bubble in world.qq.room("Echo", ann, "dm").bubbles if bubble.from_bot]


def undisturbed(world: World) -> bool:
    """Nothing was refused, lost or shown twice, and every answer was a passive one."""
    refused = [row for row in world.ledger if row.effect in (Effect.REFUSED, Effect.LOST)]
    passive = {send.token_state for send in world.qq.sends()} == {"passive"}
    return [] == refused and {} == world.ledger.copied() and passive


async def test_botpy_receives_and_replies_everywhere(
    qq_python: Path, world: World, ann: str, bot: QqBot, drive: Any
) -> None:
    """The official SDK takes our token, READY and events for its platform's, and its replies are shown once."""
    async with running(world) as sim:
        peer = asyncio.ensure_future(drive(qq_python, "botpy_echo.py", sim.url, bot.app_id, bot.secret, "7"))
        await until(lambda: world.qq.online("Echo"), peer)
        now_ms = sim.clock.now_ms()
        ids = say_everywhere(world, ann, now_ms)
        world.qq.change(ann, "Echo", "add", now_ms)
        world.qq.change(ann, "Echo", "add", now_ms, "Team")
        pressed = world.qq.press(ann, "Echo", "ok", "approve:42", now_ms)
        told = sorted(await peer, key=lambda row: list(row))
    heard = {row["kind"]: row for row in told}
    assert ids == [heard[kind]["id"] for kind in ("c2c", "group", "channel", "dm")]
    assert {"friend", "joined", "button"} < heard.keys()
    assert "approve:42" == heard["button"]["payload"]
    assert [pressed] == [row.receipt for row in world.ledger.select("qq.interaction")]
    said = ["hello 你好", "team", f"<@!{bot.user_id}> general", "psst"]
    assert [f"botpy heard: {text}" for text in said] == answers(world, ann)
    assert undisturbed(world)
    assert 1 == len(world.ledger.select("qq.identify", effect=Effect.ANSWERED))


async def test_nonebot_receives_and_replies_everywhere(
    qq_python: Path, world: World, ann: str, bot: QqBot, drive: Any
) -> None:
    """Its models are strict: a field that is missing or of another type would drop the event. It also reads the
    group event that the official SDK does not know."""
    async with running(world) as sim:
        arguments = ("nonebot_echo.py", sim.url, bot.app_id, bot.secret, "6")
        peer = asyncio.ensure_future(drive(qq_python, *arguments))
        await until(lambda: world.qq.online("Echo"), peer)
        now_ms = sim.clock.now_ms()
        ids = say_everywhere(world, ann, now_ms)
        world.qq.change(ann, "Echo", "receive all", now_ms, "Team")
        ids.append(world.qq.say(ann, "everybody", now_ms, "Team", at=True))
        world.qq.press(ann, "Echo", "ok", "approve:42", now_ms)
        told = await peer
    heard = [row for row in told if "id" in row]
    assert sorted(ids) == sorted(row["id"] for row in heard)
    assert all(row["to_me"] for row in heard)
    assert ["approve:42"] == [row["payload"] for row in told if row["kind"] == "button"]
    said = ["hello 你好", "team", "everybody", "general", "psst"]
    assert [f"nonebot heard: {text}" for text in said] == answers(world, ann)
    assert undisturbed(world)


async def test_botpy_resumes_and_hears_what_it_missed(
    qq_python: Path, world: World, ann: str, bot: QqBot, drive: Any
) -> None:
    """The recycling of every half hour, through somebody else's RESUME."""
    async with running(world) as sim:
        peer = asyncio.ensure_future(drive(qq_python, "botpy_echo.py", sim.url, bot.app_id, bot.secret, "1"))
        await until(lambda: world.qq.online("Echo"), peer)
        world.qq.close("Echo", 4009, sim.clock.now_ms())
        world.qq.say(ann, "in the gap", sim.clock.now_ms())
        await peer
    assert ["botpy heard: in the gap"] == [bubble.text for bubble in world.qq.shown("Echo", ann)]
    assert 1 == len(world.ledger.select("qq.resume", effect=Effect.ANSWERED))
    assert ["in the gap"] == [row.text for row in world.ledger.select("qq.dispatch", effect=Effect.DELAYED)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_nonebot_takes_our_signature_for_the_platforms(
    qq_python: Path, world: World, ann: str, bot: QqBot, drive: Any
) -> None:
    """Its webhook checks the address's validation and every posting; a forged one is turned away."""
    port = free_port()
    bot.webhook_url = f"http://127.0.0.1:{port}/qq/webhook"
    async with running(world) as sim:
        arguments = ("nonebot_echo.py", sim.url, bot.app_id, bot.secret, "2", str(port))
        peer = asyncio.ensure_future(drive(qq_python, *arguments))
        await until(lambda: listens(port), peer)
        world.qq.validate_webhook("Echo", sim.clock.now_ms())
        await until(lambda: bool(world.ledger.select("qq.webhook")), peer)
        world.qq.say(ann, "hello 你好", sim.clock.now_ms(), "Echo")
        world.qq.say(ann, "team", sim.clock.now_ms(), "Team", at=True)
        told = await peer
    assert ["hello 你好", "team"] == sorted((row["text"].strip() for row in told), key=len, reverse=True)
    assert [Effect.ANSWERED] * 3 == [row.effect for row in world.ledger.select("qq.webhook")][:3]
    assert undisturbed(world)
