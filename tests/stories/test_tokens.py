"""Stale reply tokens that look like limits: pushes recover by themselves, at the price of one request.

In virtual time; the simulator keeps its own list of what is stale.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulation.checker import findings, refusals
from simulation.station import Station
from simulation.virtual import run
from tests.stories.conftest import Tale, in_virtual_time
from yizhan.model import AccountId, MessageState, WaitingFor
from yizhan_simulator import Fault, Limit
from yizhan_simulator.knobs import Refusal
from yizhan_simulator.ledger import Record

WORDINGS = [
    Refusal(-2, "rate limited"),
    Refusal(-2, "unknown error"),
    Refusal(-2, "prepare failed"),
    Refusal(-2, ""),
    Refusal(-2, None),
    Refusal(-3, "invalid arguments"),
    Refusal(-14, "session timeout"),
]


async def _linked(station: Station, *names: str) -> tuple[AccountId, list[str]]:
    """An account and users who have each written once."""
    users = [station.world.add_user(name) for name in names or ("Ann",)]
    account = await station.link(users[0])
    await asyncio.sleep(1)
    for user in users:
        station.say(user, "hello", account)
    await asyncio.sleep(3)
    return account, users


def sends(station: Station, since: int = 0) -> list[Record]:
    return station.world.ledger.select("sendmessage")[since:]


def tokens_sent(station: Station, since: int = 0) -> list[str]:
    return [record.token for record in sends(station, since)]


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda wording: f"{wording.ret} {wording.errmsg}")
def test_a_push_with_a_stale_token_arrives_in_two_requests_whatever_the_words(
    home: Path, wording: Refusal
) -> None:
    """Every scheduled push failed for weeks, while chatting worked."""

    async def story() -> None:
        async with Station(home) as station:
            account, (user,) = await _linked(station)
            before = len(sends(station))
            station.world.turn(stale_refusal=wording)
            station.world.expire_tokens()
            await station.push(account, user, "good morning")
            await station.until_quiet(3)
            assert 2 == len(sends(station)) - before
            assert "good morning" == station.shown(user)[-1]
            await station.push(account, user, "and again")
            await station.until_quiet(3)
            assert 3 == len(sends(station)) - before, "tokenless from now on"
            assert [] == await findings(station)

    run(story())


def test_a_token_known_to_be_dead_does_not_come_back_after_a_restart(home: Path) -> None:
    """Its deletion lived in memory only, and every start sent it again."""

    async def story() -> None:
        async with Station(home) as station:
            account, (user,) = await _linked(station)
            (stale,) = set(tokens_sent(station))
            station.world.expire_tokens()
            await station.push(account, user, "one")
            await station.until_quiet(5)
            await station.restart()
            before = len(sends(station))
            await station.push(account, user, "two")
            await station.until_quiet(5)
            assert [""] == tokens_sent(station, before)
            assert stale not in (home / "yizhan.db").read_bytes().decode("latin-1")

    run(story())


def test_after_a_restart_the_token_that_was_learned_goes_along(home: Path) -> None:
    """Pushes stopped after every restart, because the token was in the memory of the old process."""

    async def story() -> None:
        async with Station(home) as station:
            account, (user,) = await _linked(station)
            (token,) = set(tokens_sent(station))
            await station.restart()
            before = len(sends(station))
            await station.push(account, user, "one")
            await station.until_quiet(5)
            assert [token] == tokens_sent(station, before)

    run(story())


def test_a_newer_token_is_used_from_the_next_part_on(home: Path) -> None:
    """A long answer failed half-way although the user had just written."""

    async def story() -> None:
        async with Station(home, delivery={"part_max_chars": 100, "chunk_gap_s": 2}) as station:
            account, (user,) = await _linked(station)
            station.world.turn(tokenless="refuse")
            before = len(sends(station))
            await station.push(account, user, "x" * 100 + "y" * 100 + "z" * 100)
            await asyncio.sleep(1)
            station.world.expire_tokens()
            station.say(user, "hello again", account)
            await station.until_quiet(30)
            parts = [record for record in sends(station, before) if record.effect.value == "shown"]
            assert ["x", "y", "z"] == [text[0] for text in station.shown(user)[1:4]]
            assert 1 < len({record.token for record in parts})
            assert refusals(station) <= 1

    run(story())


def test_refused_with_and_without_a_token_it_waits_for_the_user_and_costs_little(home: Path) -> None:
    """`-3` both ways, while another chat is served: no time helps, only the user's next message."""

    async def story() -> None:
        async with Station(home, delivery={"allowance": {"sends": None, "window_s": None}}) as station:
            account, (ann, bob) = await _linked(station, "Ann", "Bob")
            await asyncio.sleep(700)
            station.world.add_fault(
                Fault(kind="refuse", call="sendmessage", user=ann, refusal=Refusal(-3, "invalid arguments")),
                station.clock.now_ms(),
            )
            await station.push(account, bob, "to Bob")
            await asyncio.sleep(2)
            before = len(sends(station))
            await station.push(account, ann, "to Ann")
            await asyncio.sleep(600)
            assert 2 == len(sends(station)) - before, "with and without"
            (waiting,) = [each for each in await station.messages() if each.state.live]
            shown = station.gateway.overlay(waiting)
            assert (MessageState.WAITING, WaitingFor.USER) == (shown.state, shown.waiting_for)
            station.world.clear_weather()
            station.say(ann, "I am here", account)
            await asyncio.sleep(3)
            await station.until_quiet(30)
            assert "to Ann" in station.shown(ann)
            assert [] == await findings(station)

    run(story())


def test_a_first_push_to_somebody_who_never_wrote_costs_one_request_and_waits(home: Path) -> None:
    """Two days were spent on a limit that was none."""

    async def story() -> None:
        async with Station(home) as station:
            user = station.world.add_user("Ann")
            account = await station.link(user)
            await asyncio.sleep(1)
            await station.push(account, user, "welcome")
            await asyncio.sleep(900)
            assert 1 == len(sends(station))
            (waiting,) = await station.messages()
            shown = station.gateway.overlay(waiting)
            assert (WaitingFor.USER, "never-written") == (
                shown.waiting_for,
                shown.reason and shown.reason.code,
            )
            station.say(user, "hello", account)
            await asyncio.sleep(3)
            await station.until_quiet(30)
            assert "welcome" in station.shown(user)

    run(story())


def test_a_person_typing_into_a_limit_does_not_prolong_it(home: Path) -> None:
    """Each message brought a new token and hurried a probe: six refusals for three messages."""

    async def story() -> None:
        async with Station(home) as station:
            station.world.turn(quota_per_inbound=0)
            account, (user,) = await _linked(station)
            station.world.add_limit(Limit(count=1, per_s=60, scope="chat"), station.clock.now_ms())
            for number in range(2):
                await station.push(account, user, f"push {number}")
            await asyncio.sleep(4)
            before = refusals(station)
            for number in range(6):
                station.say(user, f"are you there {number}", account)
                await asyncio.sleep(2)
            assert refusals(station) - before <= 3, "not one for each message"
            await station.until_quiet(3_600)
            assert [] == await findings(station)

    run(story())


def test_a_login_that_is_gone_deletes_no_token_and_loses_nothing(home: Path) -> None:
    """`-14` on polls is the login: everything waits for it."""

    async def story() -> None:
        async with Station(home) as station:
            account, (user,) = await _linked(station)
            (token,) = set(tokens_sent(station))
            station.world.add_fault(Fault(kind="auth", call="*", between_s=(0, 300)), station.clock.now_ms())
            await asyncio.sleep(60)
            await station.push(account, user, "later")
            await asyncio.sleep(60)
            (waiting,) = [each for each in await station.messages() if each.state.live]
            assert WaitingFor.LOGIN is station.gateway.overlay(waiting).waiting_for
            await station.until_quiet(4_000)
            assert token == tokens_sent(station)[-1]
            assert [] == await findings(station)

    run(story())


@in_virtual_time()
async def test_many_stale_tokens_behind_a_limit_do_not_hold_each_other_up(tale: Tale) -> None:
    """A limit, and it was over; but every probe of the account went to another chat with a stale token of its own, and
    none to the experiment that would have told: hours of silence, on a platform that refused nothing else."""
    names = [f"user {number}" for number in range(12)]
    for name in names:
        await tale.writes(name)
    tale.world.add_limit(Limit(count=5, per_s=20, scope="account"), tale.now_ms)
    limited = [await tale.push(f"early {number}", to=names[number % 4]) for number in range(20)]
    await tale.passes(14)
    for message in limited:
        await tale.api("POST", f"/v1/messages/{message}/cancel")
    tale.tokens_go_stale()
    tale.world.clear_weather()
    for name in names[4:]:
        await tale.push("good morning", to=name)
    await tale.until_quiet(600)
    assert {"good morning"} == {text for name in names[4:] for text in tale.phone(name)}
