"""Clients that we did not write, unmodified but for their base URL, receive and send through the simulator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yizhan_simulator import Attachment, Effect, World
from yizhan_simulator.server import running

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("peers")]


async def until(come: Callable[[], bool]) -> None:
    """Another process is at work; the test's time-out is the bound."""
    while not come():
        await asyncio.sleep(0.02)


async def test_wechatbot_sdk_receives_and_sends(
    peer_python: Path, world: World, ann: str, tmp_path: Path, drive: Any
) -> None:
    """Texts both ways, a picture both ways, typing, start and stop."""
    world.turn(hold_ms=500)
    bot = world.add_bot(ann)
    credentials = {"token": bot.token, "accountId": bot.bot_id, "userId": ann}
    async with running(world) as sim:
        now = sim.clock.now_ms()
        world.say(ann, "hello 你好", now)
        world.say(ann, "", now, items=(Attachment("image", "a.png", content=b"pixels"),))
        told = await drive(peer_python, "wechatbot_echo.py", sim.url, tmp_path, "2", json.dumps(credentials))
    assert {"user": ann, "seen": 2} == told
    shown = world.shown(ann)
    assert ["wechatbot heard: hello 你好", "wechatbot heard: [image]", ""] == [
        bubble.text for bubble in shown
    ]
    picture = shown[-1].media.split(" ")
    assert b"pixels again" == world.state.cdn.plain(*picture)
    sends = world.ledger.sends()
    assert ["fresh" if place else "known" for place in range(3)] == [send.token_state for send in sends]
    assert {Effect.SHOWN} == {send.effect for send in sends}
    assert 1 == len(world.ledger.select("msg/notifystart", effect=Effect.ANSWERED))
    assert 1 == len(world.ledger.select("msg/notifystop", effect=Effect.ANSWERED))
    assert ["typing", "stopped"] == [row.detail for row in world.ledger.select("sendtyping")][:2]
    assert [] == [row for row in world.ledger if row.effect in (Effect.REFUSED, Effect.LOST)]


async def test_wechatbot_sdk_logs_in_by_qr_code_with_a_verify_code(
    peer_python: Path, world: World, ann: str, tmp_path: Path, drive: Any
) -> None:
    """The whole login through another client's state machine: scan, a wrong and a right code, confirm."""
    world.turn(hold_ms=500, qr={"verify_code": "424242"})
    async with running(world) as sim:

        async def person() -> None:
            await until(lambda: bool(world.logins()))
            (login,) = world.logins()
            world.scan(login.handle, ann, sim.clock.now_ms())
            await until(lambda: login.status == "scaned")
            world.confirm(login.handle, sim.clock.now_ms())
            world.say(ann, "first words", sim.clock.now_ms())

        holding = asyncio.ensure_future(person())
        told = await drive(peer_python, "wechatbot_echo.py", sim.url, tmp_path, "1")
        await holding
    assert {"user": ann, "seen": 1} == told
    assert ["wechatbot heard: first words"] == [bubble.text for bubble in world.shown(ann)]
    statuses = [row.detail for row in world.ledger.select("get_qrcode_status")]
    assert ["need_verifycode", "need_verifycode", "scaned", "confirmed"] == [
        s for s in statuses if s != "wait"
    ]


async def test_weilink_receives_and_sends(
    peer_python: Path, world: World, ann: str, tmp_path: Path, drive: Any
) -> None:
    """Text and file in, text and file out, typing, the cursor."""
    world.turn(hold_ms=500)
    bot = world.add_bot(ann)
    credentials = {"token": bot.token, "bot_id": bot.bot_id, "user_id": ann}
    async with running(world) as sim:
        now = sim.clock.now_ms()
        world.say(ann, "hello 你好", now)
        world.say(ann, "", now, items=(Attachment("file", "a.txt", content=b"inside"),))
        told = await drive(peer_python, "weilink_echo.py", sim.url, tmp_path, "2", json.dumps(credentials))
    assert [("hello 你好", ann, None), (None, ann, "inside")] == [tuple(row.values()) for row in told["read"]]
    assert [True, True, True] == told["results"]
    shown = world.shown(ann)
    assert ["weilink heard: hello 你好", "weilink heard: a file", ""] == [bubble.text for bubble in shown]
    assert "report.txt" == shown[-1].name
    assert b"a report" == world.state.cdn.plain(*shown[-1].media.split(" "))
    assert {Effect.SHOWN} == {send.effect for send in world.ledger.sends()}
    assert [] == [row for row in world.ledger if row.effect in (Effect.REFUSED, Effect.LOST)]
