"""The two roads under seeds: a quiet day, a limit, an outage. In virtual time, checked over three ledgers."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from simulation.checker import answered_once, findings, refusals
from simulation.station import Station, finals
from simulation.virtual import run
from yizhan.model import AccountId, MessageState
from yizhan_simulator import Fault, Limit, Outage

SEEDS = range(1, 9)


async def _day(station: Station, chats: int, pushes: int) -> tuple[AccountId, list[str]]:
    """Users write, programs push, in an order that the seed decides. Answers the account and the users."""
    chance = random.Random(station.seed)
    users = [station.world.add_user(f"user {number}") for number in range(chats)]
    account = await station.link(users[0])
    await asyncio.sleep(1)
    for number, user in enumerate(users):
        station.say(user, f"hello from {number}", account)
    await asyncio.sleep(3)
    for number in range(pushes):
        await station.push(account, chance.choice(users), f"push {number}")
        await asyncio.sleep(chance.random() * 0.3)
    return account, users


@pytest.mark.parametrize("seed", SEEDS)
def test_on_a_quiet_day_everything_arrives_once_and_in_order(home: Path, seed: int) -> None:
    """The plain promise, without any bad weather."""

    async def story() -> None:
        async with Station(home, seed) as station:
            station.world.turn(quota_per_inbound=0)
            _, users = await _day(station, chats=4, pushes=40)
            await station.until_quiet(60)
            assert [] == await findings(station)
            assert {MessageState.DELIVERED: 44} == finals(await station.messages())
            for number, user in enumerate(users):
                assert [] == answered_once(station, user, [f"hello from {number}"])

    run(story())


@pytest.mark.parametrize("scope", ["chat", "account"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_limit_window_costs_time_and_no_message(home: Path, seed: int, scope: str) -> None:
    """Five sends per twenty seconds: users of other gateways lose what is queued meanwhile."""

    async def story() -> None:
        async with Station(home, seed) as station:
            station.world.turn(quota_per_inbound=0)
            station.world.add_limit(Limit(count=5, per_s=20, scope=scope), station.clock.now_ms())
            await _day(station, chats=3, pushes=40)
            await station.until_quiet(1_800)
            assert [] == await findings(station)
            assert {MessageState.DELIVERED: 43} == finals(await station.messages())
            assert refusals(station) <= 43, "not more refusals than messages, whatever the limit"

    run(story())


@pytest.mark.parametrize("kind", ["refuse", "reset", "hang"])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_outage_of_a_minute_delays_and_loses_nothing(home: Path, seed: int, kind: str) -> None:
    """Whether nobody answers the door or somebody opens and says nothing."""

    async def story() -> None:
        async with Station(home, seed) as station:
            station.world.turn(quota_per_inbound=0)
            now_ms = station.clock.now_ms()
            station.world.add_outage(Outage(from_s=5, to_s=65, kind=kind), now_ms)
            await _day(station, chats=3, pushes=40)
            await station.until_quiet(300)
            assert [] == await findings(station)
            assert {MessageState.DELIVERED: 43} == finals(await station.messages())

    run(story())


@pytest.mark.parametrize("seed", SEEDS)
def test_first_delivery_follows_the_end_of_an_outage_within_two_seconds(home: Path, seed: int) -> None:
    """Who waited for a minute must not wait for a back-off's whim as well."""

    async def story() -> None:
        async with Station(home, seed) as station:
            user = station.world.add_user("Ann")
            account = await station.link(user)
            station.say(user, "hi")
            await asyncio.sleep(5)
            began_ms = station.clock.now_ms()
            station.world.add_outage(Outage(to_s=60, kind="refuse"), began_ms)
            await asyncio.sleep(1)
            await station.push(account, user, "after the storm")
            await station.until_quiet(120)
            shown_ms = station.world.shown(user)[-1].at_ms
            assert 0 <= shown_ms - (began_ms + 60_000) <= 2_000

    run(story())


@pytest.mark.parametrize(
    "kind", ["lost_answer", "reset_after", "reset_before", "truncated", "html", "null", "status"]
)
@pytest.mark.parametrize("seed", SEEDS[:3])
def test_odd_replies_to_sends_never_cost_or_double_a_message(home: Path, seed: int, kind: str) -> None:
    """Every third send is answered badly; whether it took effect, only the platform knows."""

    async def story() -> None:
        async with Station(home, seed) as station:
            station.world.turn(quota_per_inbound=0)
            fault = Fault(kind=kind, call="sendmessage", probability=0.33, status=502)
            station.world.add_fault(fault, station.clock.now_ms())
            await _day(station, chats=3, pushes=20)
            await station.until_quiet(1_800)
            assert [] == await findings(station)
            assert {MessageState.DELIVERED: 23} == finals(await station.messages())

    run(story())


def test_a_stale_token_is_found_out_with_one_request_and_dropped_for_good(home: Path) -> None:
    """After a quiet night pushes used to fail until somebody edited a file."""

    async def story() -> None:
        async with Station(home) as station:
            user = station.world.add_user("Ann")
            account = await station.link(user)
            station.say(user, "hi")
            await asyncio.sleep(5)
            station.world.expire_tokens(user)
            await station.push(account, user, "good morning")
            await station.until_quiet(60)
            await station.restart()
            await station.push(account, user, "still here")
            await station.until_quiet(60)
            assert ["hi", "good morning", "still here"] == station.shown(user)
            states = [record.token_state for record in station.world.ledger.select("sendmessage")]
            assert ["fresh", "expired", "absent", "absent"] == states

    run(story())


@pytest.mark.field("F23")
def test_a_push_before_the_first_message_waits_for_the_user_with_one_request(home: Path) -> None:
    """A new account's first push cannot arrive; retrying it would only look like an attack."""

    async def story() -> None:
        async with Station(home) as station:
            user = station.world.add_user("Ann")
            account = await station.link(user)
            accepted = await station.push(account, user, "welcome")
            await asyncio.sleep(3_600)
            waiting = await station.gateway.message(accepted.message.id)
            assert "user" == waiting.waiting_for
            assert 1 == len(station.world.ledger.select("sendmessage"))
            station.say(user, "hello?")
            await station.until_quiet(60)
            assert ["welcome", "hello?"] == sorted(station.shown(user), reverse=True)

    run(story())
