"""Real processes, real sockets, real disks: the gateway is killed with SIGKILL, again and again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import defaultdict

import aiohttp
import pytest

from benchmarks.stage import Stage, stage
from yizhan_simulator.ledger import Effect

CHATS, MESSAGES, KILLS = 20, 300, 11


async def _feed(made: Stage, chance: random.Random) -> None:
    """A careful program: one message after the other, each under its key until it is accepted."""
    for number in range(MESSAGES):
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, AssertionError, RuntimeError):
                async with asyncio.timeout(2):
                    await made.send(_chat(made, number), f"message {number}", idempotency_key=f"key {number}")
                    break
            await asyncio.sleep(0.02)
        await asyncio.sleep(chance.random() * 0.03)


async def _kill_and_restart(made: Stage, chance: random.Random, done: asyncio.Event) -> int:
    kills = 0
    while kills < KILLS or not done.is_set():
        await asyncio.sleep(0.1 + chance.random() * 0.5)
        if kills < KILLS:
            await made.gateway.stop(signal.SIGKILL)
            kills += 1
            await made.gateway.start()
    return kills


def _chat(made: Stage, number: int) -> str:
    return made.users[number % CHATS]


async def _all_ended(made: Stage) -> list[dict]:
    async with asyncio.timeout(60):
        while True:
            live = (await made.gateway.get("/v1/accounts"))["items"][0]["live"]
            if not sum(live.values()):
                return await _every_message(made)
            await asyncio.sleep(0.2)


async def _every_message(made: Stage) -> list[dict]:
    found, cursor = [], ""
    while cursor is not None:
        page = await made.gateway.get(f"/v1/messages?limit=100{'&cursor=' + cursor if cursor else ''}")
        found += [await made.gateway.get(f"/v1/messages/{item['id']}") for item in page["items"]]
        cursor = page["next"]
    return found


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_killed_at_random_moments_it_loses_nothing_and_marks_what_may_be_doubled(
    engine: str, request: pytest.FixtureRequest
) -> None:
    """The whole promise of the outbox, on a machine that dies every second, before a platform that shows
    every repeat."""
    chance = random.Random(engine)
    environ = {}
    if engine == "postgresql":
        environ["YIZHAN_DATABASE__URL"] = request.getfixturevalue("postgres_database")
    async with stage(CHATS, environ, client_id_dedupe=False) as made:
        fed = asyncio.Event()
        killer = asyncio.create_task(_kill_and_restart(made, chance, fed))
        await _feed(made, chance)
        fed.set()
        kills = await killer
        messages = await _all_ended(made)
        assert KILLS <= kills
        assert MESSAGES == len(messages)
        assert {"delivered"} == {message["state"] for message in messages}
        _check_phones(made, messages)


def _check_phones(made: Stage, messages: list[dict]) -> None:
    shown: dict[str, list[int]] = defaultdict(list)
    for record in made.world.ledger.select("sendmessage", effect=Effect.SHOWN):
        shown[record.user_id].append(int(record.text.split()[1]))
    marked = {message["idempotency_key"] for message in messages if message["possibly_doubled"]}
    doubts = {
        message["idempotency_key"]: sum(
            attempt["verdict"] == "InDoubt" for part in message["parts"] for attempt in part["attempts"]
        )
        for message in messages
    }
    for chat, user in enumerate(made.users):
        firsts = list(dict.fromkeys(shown[user]))
        assert list(range(chat, MESSAGES, CHATS)) == firsts, f"chat {chat} lost or reordered something"
        for number in firsts:
            copies = shown[user].count(number)
            assert copies <= 1 + doubts[f"key {number}"]
            assert copies == 1 or f"key {number}" in marked
    assert made.world.ledger.select("sendmessage", effect=Effect.REPEAT_DIFFERS) == []
