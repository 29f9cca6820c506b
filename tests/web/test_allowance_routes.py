"""What a program sees of allowances."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from simulation.station import Station
from simulation.virtual import run
from yizhan.web import create_app


def test_accounts_and_chats_show_what_is_left_and_until_when(home: Path) -> None:
    """`used`, `left` and `until` are facts; a chat that may not be sent to says why."""

    async def story() -> None:
        allowance = {"sends": 3, "window_s": 600, "notice": "", "probe_s": 300}
        async with Station(home, agent="none", delivery={"allowance": allowance}) as station:
            user = station.world.add_user("Ann")
            account = await station.link(user)
            await asyncio.sleep(1)
            station.say(user, "hello", account)
            await asyncio.sleep(2)
            for number in range(5):
                await station.push(account, user, f"push {number}")
            await asyncio.sleep(10)
            transport = httpx.ASGITransport(create_app(station.gateway, api_key="key", version="1"))
            headers = {"authorization": "Bearer key"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1", headers=headers
            ) as api:
                (listed,) = (await api.get("/v1/accounts")).json()["items"]
                (chat,) = (await api.get("/v1/chats")).json()["items"]
                waiting = (await api.get("/v1/messages", params={"state": "waiting"})).json()["items"]
                paused = (
                    await api.patch("/v1/chat", params={"chat": chat["chat"]}, json={"paused": True})
                ).json()
            assert {"sends": 3, "window_s": 600, "learned": False} == listed["allowance"]
            left = chat["allowance"]
            assert (3, 0, "allowance") == (left["used"], left["left"], left["waiting_for"])
            assert "allowance-spent" == left["reason"]["code"]
            assert left["until"]
            assert left["next_attempt_at"]
            assert left == paused["allowance"]
            (parked,) = waiting
            assert ("waiting", "allowance") == (parked["state"], parked["waiting_for"])

    run(story())
