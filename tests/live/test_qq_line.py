"""A bot on QQ in a real process, over real sockets: the four hours of the story, in little."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from benchmarks.stage import Stage, stage
from yizhan.core.contract import parse_time
from yizhan_simulator import Outage

BOT = "bot"
ATTEMPTS = 4
CAP_S = 3
"""The longest wait between two attempts in the first two minutes: a second or two."""
PATIENCE_S = 60


async def _until(holds: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():
            await asyncio.sleep(0.1)


async def _linked(made: Stage) -> str:
    bot = made.world.qq.add_bot(BOT)
    body = {"platform": "qq", "account_id": bot.app_id, "token": bot.secret}
    await made.gateway.post("/v1/accounts", body | {"base_url": made.sim.url, "token_url": made.sim.url})
    account = f"qq:{bot.app_id}"
    await _until(lambda: _is(made, account, "up"))
    return account


async def _account(made: Stage, account: str) -> dict[str, Any]:
    shown = (await made.gateway.get("/v1/accounts"))["items"]
    return next(each for each in shown if each["id"] == account)


async def _is(made: Stage, account: str, state: str) -> bool:
    return state == (await _account(made, account))["state"]


async def _heard(made: Stage, chat: str) -> list[str]:
    rows = (await made.gateway.get(f"/v1/timeline?chat={quote(chat, safe='')}"))["items"]
    return [row["message"]["text"] for row in reversed(rows) if row["kind"] == "inbound"]


@pytest.mark.field("F51")
async def test_a_bot_without_a_network_says_when_it_tries_again_and_is_back_with_the_network() -> None:
    """Deaf for four hours and "connected" all the while: in a process of its own nobody can look inside."""
    async with stage(1) as made:
        account = await _linked(made)
        qq, now_ms = made.world.qq, made.sim.clock.now_ms
        ann = f"{account}:c2c/{qq.openid(BOT, made.users[0])}"
        qq.say(made.users[0], "before", now_ms(), to=BOT)
        await _until(lambda: _said(made, ann, ["before"]))
        outage = made.world.add_outage(Outage(to_s=3_600, kind="refuse"), now_ms())
        await _until(lambda: _is(made, account, "down"))
        for text in ("one", "two"):
            await made.gateway.post("/v1/messages", {"to": ann, "text": text})
        tries = await _announced(made, account)
        assert sorted(tries) == tries
        qq.say(made.users[0], "meanwhile", now_ms(), to=BOT)
        assert made.world.remove(outage)
        await _until(lambda: _is(made, account, "up"))
        await _until(lambda: _shown(made, ["one", "two"]))
        await _until(lambda: _said(made, ann, ["before", "meanwhile"]))


async def _announced(made: Stage, account: str) -> list[int]:
    """When the next attempts are to be, as the account shows it while it is down; none of them is far away."""
    tries: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(tries) < ATTEMPTS:
            shown = await _account(made, account)
            assert "up" != shown["state"]
            assert shown["reason"]
            if shown["next_attempt_at"] and (at_ms := parse_time(shown["next_attempt_at"])) not in tries:
                assert at_ms - made.sim.clock.now_ms() <= CAP_S * 1_000
                tries.append(at_ms)
            await asyncio.sleep(0.1)
    return tries


async def _said(made: Stage, chat: str, expected: list[str]) -> bool:
    return expected == await _heard(made, chat)


async def _shown(made: Stage, expected: list[str]) -> bool:
    return expected == [bubble.text for bubble in made.world.qq.shown(BOT, made.users[0])]
