"""The world in an asyncio loop whose clock jumps: hours pass in milliseconds, and no socket is open."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Awaitable
from typing import Any

import pytest

from yizhan_simulator import Fault, Hold, Limit, Outage, SimReply, SimRequest, WireKind, World

START = 1_790_000_000_000


class JumpingClock:
    """When every task waits, the earliest waiter's time has come."""

    def __init__(self) -> None:
        self.now_ms = START
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = 0

    async def until(self, at_ms: int, early: asyncio.Future[None] | None = None) -> None:
        """Returns at `at_ms`, or when `early` is done."""
        woken = early or asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._waiters, (max(at_ms, self.now_ms), self._number, woken))
        await woken

    async def run(self, story: Awaitable[None]) -> None:
        task = asyncio.ensure_future(story)
        while not task.done():
            for _ in range(20):
                await asyncio.sleep(0)
            if not task.done():
                self._jump()
        await task

    def _jump(self) -> None:
        while self._waiters:
            at_ms, _, woken = heapq.heappop(self._waiters)
            if not woken.done():
                self.now_ms = max(self.now_ms, at_ms)
                return woken.set_result(None)
        raise AssertionError("everybody waits, for nothing")


class Driver:
    """What stands between a client and the world instead of a network."""

    def __init__(self, world: World, clock: JumpingClock) -> None:
        self.world, self.clock = world, clock
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        world.listen(self._heard)

    def _heard(self, key: str) -> None:
        for name in list(self._waiting) if key == "*" else [key]:
            for woken in self._waiting.pop(name, []):
                if not woken.done():
                    woken.set_result(None)

    async def keep_time(self) -> None:
        while (at_ms := self.world.next_event_at()) is not None:
            await self.clock.until(at_ms)
            self.world.advance(self.clock.now_ms)

    async def ask(self, request: SimRequest, timeout_ms: int) -> SimReply | None:
        """None: no readable answer within the client's time."""
        deadline = self.clock.now_ms + timeout_ms
        answer = self.world.handle(request, self.clock.now_ms)
        while isinstance(answer, Hold):
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(answer.key, []).append(woken)
            await self.clock.until(min(answer.until_ms, deadline), woken)
            if self.clock.now_ms >= deadline:
                return self.world.abandon(answer)
            answer = self.world.resume(answer, self.clock.now_ms)
        if answer.wire.kind is WireKind.HANG:
            return await self.clock.until(deadline)
        await self.clock.until(self.clock.now_ms + answer.wire.delay_ms)
        return answer if answer.wire.kind is WireKind.NORMAL else None


async def test_an_echo_bot_lives_through_a_bad_day_in_virtual_time(
    ann: str, world: World, caller: Any
) -> None:
    """A limit, lost answers and an outage; every word is answered once and in order."""
    clock = JumpingClock()
    driver = Driver(world, clock)
    world.turn(quota_per_inbound=0)
    world.add_limit(Limit(kind="window", count=3, per_s=60), START)
    world.add_fault(Fault(kind="lost_answer", probability=0.3), START)
    world.add_outage(Outage(from_s=600, to_s=900), START)
    headers = {"AuthorizationType": "ilink_bot_token", "Authorization": f"Bearer {caller.token}"}

    async def ask(call: str, body: dict[str, Any], timeout_ms: int) -> dict[str, Any] | None:
        request = SimRequest.of(
            "POST", f"http://sim.test/ilink/bot/{call}", headers, json.dumps(body).encode()
        )
        reply = await driver.ask(request, timeout_ms)
        return None if reply is None else json.loads(reply.body)

    async def until_accepted(body: dict[str, Any]) -> None:
        while "message_id" not in (await ask("sendmessage", body, 15_000) or {}):
            await clock.until(clock.now_ms + 5_000)

    async def echo(words: int) -> None:
        cursor = ""
        while words:
            answer = await ask("getupdates", {"get_updates_buf": cursor}, 40_000)
            if answer is None:
                await clock.until(clock.now_ms + 2_000)
                continue
            cursor = answer["get_updates_buf"]
            for message in answer["msgs"]:
                text = message["item_list"][0]["text_item"]["text"]
                await until_accepted(caller.message(ann, text, f"re:{message['message_id']}"))
                words -= 1

    async def talk() -> None:
        for number in range(49):
            await clock.until(clock.now_ms + 30_000)
            world.say(ann, f"word {number}", clock.now_ms)

    async def story() -> None:
        talking, keeping = asyncio.ensure_future(talk()), asyncio.ensure_future(driver.keep_time())
        await echo(50)
        await asyncio.gather(talking, keeping)

    await clock.run(story())
    said = [bubble.text for bubble in world.bubbles(ann) if not bubble.from_bot]
    assert said == [bubble.text for bubble in world.shown(ann)]
    assert {} == world.ledger.copied()
    assert world.ledger.refusals()
    assert any(record.wire == "outage:refuse" for record in world.ledger)
    assert clock.now_ms - START > 1_400_000


def test_the_clock_of_the_driver_notices_a_deadlock() -> None:
    """A story in which everybody waits must fail and not hang."""

    async def hopeless() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(AssertionError, match="everybody waits"):
        asyncio.run(JumpingClock().run(hopeless()))
