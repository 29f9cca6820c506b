"""Real processes in a storm: stopped in the middle of it, frozen by the machine, robbed of their database."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import Any

from benchmarks.stage import Stage, stage
from live.careful import all_ended, check_pushes, feed, none_live, shown_numbers
from yizhan_simulator import Fault
from yizhan_simulator.ledger import Effect

STOP_S = 2.0
PATIENCE = 5
"""A promise of a time may take five times as long on a noisy machine."""
FROZEN_S = 12
"""Longer than any time-out of a send (10 s) or of a poll that is held for half a second (10.5 s)."""
CHATS, MESSAGES = 20, 300


async def test_sigterm_in_a_storm_ends_in_two_seconds_and_the_restart_goes_on() -> None:
    """Two thousand messages over two hundred chats, and the platform refuses all of them: elsewhere that was 3.4 GB, a
    dead loop and a SIGKILL after 90 s."""
    chats, messages = 200, 2_000
    async with stage(chats) as made:
        storm = made.world.add_fault(Fault("refuse"), made.sim.clock.now_ms())
        before_mib = made.gateway.memory_mib()
        await _feed_quickly(made, messages, chats)
        refused = len(made.world.ledger.select("sendmessage", effect=Effect.REFUSED))
        assert refused <= 4 * chats, "a few tries for each chat, however much it has queued"
        assert made.gateway.memory_mib() - before_mib < 64
        stop_s, code = await made.gateway.stop()
        assert 0 == code
        assert stop_s <= STOP_S * PATIENCE
        lines = (made.gateway.home / "gateway.log").read_text().splitlines()
        assert len(lines) <= 2 * chats, "a line per change of state, none per refusal"
        made.world.remove(storm)
        await made.gateway.start()
        await none_live(made, within_s=90)
        expected = {user: list(range(chat, messages, chats)) for chat, user in enumerate(made.users)}
        assert expected == shown_numbers(made), "lost, doubled or reordered"


async def _feed_quickly(made: Stage, messages: int, chats: int) -> None:
    """Each chat's messages in their order, the chats at the same time."""

    async def one(chat: int) -> None:
        for number in range(chat, messages, chats):
            await made.send(made.users[chat], f"message {number}", idempotency_key=f"key {number}")

    async with asyncio.TaskGroup() as group:
        for chat in range(chats):
            group.create_task(one(chat))


async def test_gateway_frozen_beyond_its_time_outs_wakes_up_and_loses_nothing() -> None:
    """A paused virtual machine: programs and people go on meanwhile, answers come to nobody, and the platform counts
    what it has answered to a poll as delivered."""
    messages = 150
    async with stage(
        CHATS,
        {"YIZHAN_AGENT": "echo"},
        client_id_dedupe=False,
        hold_ms=500,
        advertised_hold_ms=1000,
        inbound="consume",
    ) as made:
        made.world.add_fault(Fault("slow", delay_s=0.2, probability=0.3), made.sim.clock.now_ms())
        feeding = asyncio.create_task(feed(made, messages, CHATS, random.Random(1)))
        await asyncio.sleep(1)
        assert made.gateway.process is not None
        made.gateway.process.send_signal(signal.SIGSTOP)
        try:
            for user in made.users[:5]:
                made.world.say(user, "written meanwhile", made.sim.clock.now_ms())
            await asyncio.sleep(FROZEN_S)
        finally:
            made.gateway.process.send_signal(signal.SIGCONT)
        await feeding
        await _answered(made, made.users[:5], "written meanwhile")
        ended = await all_ended(made)
        assert {"delivered"} == {message["state"] for message in ended}
        check_pushes(made, [each for each in ended if each["priority"] == "push"], messages, CHATS)
        account = (await made.gateway.get("/v1/accounts"))["items"][0]
        assert "up" == account["state"]


async def _answered(made: Stage, users: list[str], text: str) -> None:
    async with asyncio.timeout(60):
        while True:
            shown = made.world.ledger.select("sendmessage", effect=Effect.SHOWN)
            if set(users) <= {record.user_id for record in shown if text in record.text}:
                return
            await asyncio.sleep(0.1)


async def test_database_restarted_again_and_again_under_load_costs_no_push(
    postgres_server: Any, make_database: Any
) -> None:
    """Three restarts while 300 pushes run: who was told no comes again with the same key, and nothing is lost, doubled
    without a mark, or out of order."""
    environ = {"YIZHAN_DATABASE__URL": make_database()}
    async with stage(CHATS, environ, client_id_dedupe=False) as made:
        feeding = asyncio.create_task(feed(made, MESSAGES, CHATS, random.Random(1), pause_s=0.01))
        restarts = 0
        while restarts < 3 or not feeding.done():
            if restarts < 3:
                await asyncio.to_thread(postgres_server.stop)
                await asyncio.to_thread(postgres_server.start)
                restarts += 1
            assert made.gateway.process is not None
            assert made.gateway.process.returncode is None, "the gateway has ended with its database"
            await asyncio.sleep(0.3)
        await feeding
        ended = await all_ended(made)
        assert {"delivered"} == {message["state"] for message in ended}
        check_pushes(made, ended, MESSAGES, CHATS)
