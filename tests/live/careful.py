"""What a careful program does before a gateway in trouble, and what it may expect of it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from typing import Any

import aiohttp

from benchmarks.stage import Stage
from yizhan_simulator.ledger import Effect


async def feed(made: Stage, messages: int, chats: int, chance: random.Random, pause_s: float = 0.03) -> None:
    """One message after the other, over the chats in turn, each under its key until it is accepted."""
    for number in range(messages):
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, AssertionError, RuntimeError):
                async with asyncio.timeout(2):
                    user = made.users[number % chats]
                    await made.send(user, f"message {number}", idempotency_key=f"key {number}")
                    break
            await asyncio.sleep(0.02)
        await asyncio.sleep(chance.random() * pause_s)


async def all_ended(made: Stage, within_s: float = 60) -> list[dict[str, Any]]:
    """Every message with its attempts, once none is live any more."""
    await none_live(made, within_s)
    found: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = await made.gateway.get(f"/v1/messages?limit=100{'&cursor=' + cursor if cursor else ''}")
        found += [await made.gateway.get(f"/v1/messages/{item['id']}") for item in page["items"]]
        cursor = page["next"]
    return found


async def none_live(made: Stage, within_s: float = 60) -> None:
    """Until every message of the account has ended."""
    async with asyncio.timeout(within_s):
        while sum((await made.gateway.get("/v1/accounts"))["items"][0]["live"].values()):
            await asyncio.sleep(0.2)


def shown_numbers(made: Stage) -> dict[str, list[int]]:
    """User → the numbers of the fed messages on the phone, in order, copies and all."""
    shown: dict[str, list[int]] = defaultdict(list)
    for record in made.world.ledger.select("sendmessage", effect=Effect.SHOWN):
        if record.text.startswith("message "):
            shown[record.user_id].append(int(record.text.split()[1]))
    return shown


def check_pushes(made: Stage, pushes: list[dict[str, Any]], messages: int, chats: int) -> None:
    """Each fed message is on its phone, in order; at most one copy more than lost answers, and none unmarked."""
    shown = shown_numbers(made)
    marked = {message["idempotency_key"] for message in pushes if message["possibly_doubled"]}
    doubts = {message["idempotency_key"]: _doubts(message) for message in pushes}
    assert messages == len(pushes)
    for chat, user in enumerate(made.users[:chats]):
        firsts = list(dict.fromkeys(shown[user]))
        assert list(range(chat, messages, chats)) == firsts, f"chat {chat} lost or reordered something"
        for number in firsts:
            copies = shown[user].count(number)
            assert copies <= 1 + doubts[f"key {number}"]
            assert copies == 1 or f"key {number}" in marked
    assert made.world.ledger.select("sendmessage", effect=Effect.REPEAT_DIFFERS) == []


def _doubts(message: dict[str, Any]) -> int:
    return sum(attempt["verdict"] == "InDoubt" for part in message["parts"] for attempt in part["attempts"])
