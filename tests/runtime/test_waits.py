"""What people are shown of a waiting message: what holds it now, until when, and why. In virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulation.station import Station, target
from simulation.virtual import run
from yizhan.model import AccountId, Message, MessageClass, MessageState, WaitingFor
from yizhan_simulator import Fault, Limit
from yizhan_simulator.knobs import Refusal


async def _linked(station: Station, *, heard: bool = True) -> tuple[AccountId, str]:
    station.world.turn(quota_per_inbound=0)
    ann = station.world.add_user("Ann")
    account = await station.link(ann)
    if heard:
        station.say(ann, "hi")
    await asyncio.sleep(2)
    return account, ann


async def _waiting(station: Station) -> list[Message]:
    return [station.gateway.overlay(message) for message in await station.messages() if message.state.live]


def _told(message: Message) -> tuple[WaitingFor | None, str | None]:
    return message.waiting_for, message.reason.code if message.reason else None


def test_a_limited_message_in_a_paused_chat_says_that_the_chat_is_paused(home: Path) -> None:
    """ "rate limited" beside "waits for an operator" sends the operator to look in the wrong place."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _linked(station)
            station.world.add_limit(Limit(count=1, per_s=60), station.clock.now_ms())
            for number in range(2):
                await station.push(account, ann, f"push {number}")
            await asyncio.sleep(5)
            (limited,) = await _waiting(station)
            assert (WaitingFor.LIMIT, "-2") == _told(limited)
            await station.gateway.pause_chat(target(account, ann), True)
            await asyncio.sleep(1)
            (paused,) = await _waiting(station)
            assert (WaitingFor.OPERATOR, "chat-paused") == _told(paused)

    run(story())


@pytest.mark.parametrize("paused", [True, False])
def test_a_limited_message_of_an_account_that_may_not_send_says_why_the_account_may_not(
    home: Path, paused: bool
) -> None:
    """The account's trouble is what a person must act on; the limit is over long since."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _linked(station)
            station.world.add_limit(Limit(count=1, per_s=600), station.clock.now_ms())
            for number in range(2):
                await station.push(account, ann, f"push {number}")
            await asyncio.sleep(5)
            if paused:
                await station.gateway.pause_account(account, True)
            else:
                station.world.add_fault(Fault(kind="auth", call="*"), station.clock.now_ms())
                await asyncio.sleep(90)
            (waiting,) = await _waiting(station)
            assert waiting.reason
            assert waiting.reason.code != "-2", "what the platform said of a limit explains nothing now"
            assert (WaitingFor.OPERATOR if paused else WaitingFor.LOGIN) is waiting.waiting_for

    run(story())


def test_somebody_who_has_written_is_not_said_to_have_never_written(home: Path) -> None:
    """The chat is paused when the first message comes: what waits now is the operator's."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _linked(station, heard=False)
            await station.push(account, ann, "welcome")
            await asyncio.sleep(5)
            (waiting,) = await _waiting(station)
            assert (WaitingFor.USER, "never-written") == _told(waiting)
            await station.gateway.pause_chat(target(account, ann), True)
            station.say(ann, "hello", account)
            await asyncio.sleep(5)
            (waiting,) = await _waiting(station)
            assert (WaitingFor.OPERATOR, "chat-paused") == _told(waiting)

    run(story())


def test_a_push_behind_a_limit_and_missing_receipts_names_the_later_time(home: Path) -> None:
    """A time that is too early is a promise that is broken while somebody watches."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _linked(station)
            await station.push(account, ann, "first")
            await asyncio.sleep(2)
            station.world.add_fault(Fault(kind="ret0", times=3), station.clock.now_ms())
            for number in range(4):
                await station.push(account, ann, f"push {number}")
            await asyncio.sleep(5)
            (slowed,) = await _waiting(station)
            assert (WaitingFor.LIMIT, "no-receipts") == _told(slowed)
            until_ms = slowed.next_attempt_at_ms
            refusal = Refusal(ret=-2, errmsg="rate limited")
            station.world.add_fault(Fault(kind="refuse", refusal=refusal), station.clock.now_ms())
            await station.push(account, ann, "an answer", klass=MessageClass.REPLY)
            await asyncio.sleep(3)
            push = next(each for each in await _waiting(station) if each.text == "push 3")
            lane = station.gateway.outbound.lanes.lane(target(account, ann))
            assert lane.push_at_ms == until_ms > lane.pace.not_before_ms
            assert until_ms == push.next_attempt_at_ms

    run(story())


def test_a_push_that_leaves_the_room_to_answers_says_so_and_until_when(home: Path) -> None:
    """Under a limit that is known by heart nothing is refused any more, and "queued" alone explains nothing."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _linked(station)
            station.world.add_limit(Limit(count=1, per_s=10), station.clock.now_ms())
            bob = station.world.add_user("Bob")
            station.say(bob, "hi", account)
            await asyncio.sleep(2)
            for number in range(12):
                await station.push(
                    account, (ann, bob)[number % 2], f"answer {number}", klass=MessageClass.REPLY
                )
                await station.push(account, (ann, bob)[number % 2], f"push {number}")
            told = set()
            while live := await _waiting(station):
                told |= {(each.klass, *_told(each)) for each in live if each.next_attempt_at_ms}
                await asyncio.sleep(0.5)
            assert (MessageClass.PUSH, WaitingFor.LIMIT, "answers-first") in told
            assert (MessageClass.REPLY, WaitingFor.LIMIT, "answers-first") not in told

    run(story())


def test_a_message_for_tomorrow_waits_for_its_date_and_for_no_limit_of_today(home: Path) -> None:
    """ "The platform limits sending", said the list, and the message was only to go tomorrow."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _linked(station)
            station.world.add_limit(Limit(count=1, per_s=60), station.clock.now_ms())
            tomorrow_ms, soon_ms = (station.clock.now_ms() + seconds * 1_000 for seconds in (86_400, 6))
            await station.push(account, ann, "tomorrow", not_before_ms=tomorrow_ms)
            for text in ("now", "refused"):
                await station.push(account, ann, text)
            await asyncio.sleep(3)
            await station.push(account, ann, "soon", not_before_ms=soon_ms)
            waiting = {each.text: each for each in await _waiting(station)}
            assert (WaitingFor.LIMIT, "-2") == _told(waiting["refused"])
            dated = waiting["tomorrow"]
            assert (MessageState.QUEUED, None, None) == (dated.state, *_told(dated))
            assert tomorrow_ms == dated.next_attempt_at_ms
            soon, gate_ms = waiting["soon"], waiting["refused"].next_attempt_at_ms
            assert (WaitingFor.LIMIT, "limited") == _told(soon)
            assert gate_ms == soon.next_attempt_at_ms > soon_ms

    run(story())


def test_a_parked_message_promises_no_try_before_its_gate_opens(home: Path) -> None:
    """The extra send is due, and the chat is limited as well: it comes when both allow it."""

    async def story() -> None:
        allowance = {"sends": None, "window_s": 600, "probe_s": 60}
        async with Station(home, agent="none", delivery={"allowance": allowance}) as station:
            account, ann = await _linked(station)
            await station.push(account, ann, "one")
            await asyncio.sleep(590)
            refusal = Refusal(ret=-2, errmsg="rate limited")
            station.world.add_fault(Fault(kind="refuse", refusal=refusal), station.clock.now_ms())
            await station.push(account, ann, "two")
            for _ in range(200):
                await asyncio.sleep(7)
                (waiting,) = await _waiting(station)
                lane = station.gateway.outbound.lanes.lane(target(account, ann))
                if waiting.next_attempt_at_ms is not None:
                    assert lane.pace.not_before_ms <= waiting.next_attempt_at_ms
            assert (MessageState.WAITING, WaitingFor.ALLOWANCE) == (waiting.state, waiting.waiting_for)

    run(story())


def test_a_message_that_was_released_and_never_tried_is_queued_again(home: Path) -> None:
    """It "waits", and for nothing: nobody could tell what to do about that."""

    async def story() -> None:
        allowance = {"sends": None, "window_s": None}
        async with Station(home, agent="none", delivery={"allowance": allowance}) as station:
            account, ann = await _linked(station)
            for number in range(11):
                await station.push(account, ann, f"push {number}")
            await asyncio.sleep(30)
            await station.push(account, ann, "answer", klass=MessageClass.REPLY)
            await asyncio.sleep(5)
            parked = {each.text: each.state for each in await _waiting(station)}
            assert {"push 9", "push 10", "answer"} == parked.keys()
            assert {MessageState.WAITING} == set(parked.values())
            station.world.add_fault(Fault("slow", delay_s=3), station.clock.now_ms())
            station.say(ann, "go on", account)
            await asyncio.sleep(2)
            now = {each.text: (each.state, each.waiting_for) for each in await _waiting(station)}
            assert (MessageState.SENDING, None) == now["answer"]
            assert (MessageState.QUEUED, None) == now["push 9"]

    run(story())


@pytest.mark.parametrize("restarted", [False, True])
def test_a_chat_that_is_paused_while_its_account_is_limited_says_that_it_is_paused(
    home: Path, restarted: bool
) -> None:
    """A time for the next try is no promise to show where only a person lets it go."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _linked(station)
            bob = station.world.add_user("Bob")
            station.say(bob, "hi", account)
            await asyncio.sleep(2)
            station.world.add_limit(Limit(count=2, per_s=600, scope="account"), station.clock.now_ms())
            for number in range(8):
                await station.push(account, (ann, bob)[number % 2], f"push {number}")
            await asyncio.sleep(5)
            await station.gateway.pause_chat(target(account, bob), True)
            if restarted:
                await station.restart()
            await asyncio.sleep(1)
            held = [each for each in await _waiting(station) if each.target == target(account, bob)]
            assert {(WaitingFor.OPERATOR, "chat-paused")} == {_told(each) for each in held}
            assert {None} == {each.next_attempt_at_ms for each in held}
            await station.gateway.pause_chat(target(account, bob), False)
            held = [each for each in await _waiting(station) if each.target == target(account, bob)]
            assert {WaitingFor.LIMIT} == {each.waiting_for for each in held}

    run(story())


def test_a_part_says_the_same_as_its_message(home: Path) -> None:
    """Of two times for the next try a person believes the wrong one, and one that is over long since is wrong."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _linked(station)
            station.world.add_limit(Limit(count=1, per_s=600), station.clock.now_ms())
            for number in range(3):
                await station.push(account, ann, f"push {number}")
            await asyncio.sleep(5)
            for message in await _waiting(station):
                _agree(message)
            await station.gateway.pause_account(account, True)
            await asyncio.sleep(300)
            paused = await _waiting(station)
            assert {WaitingFor.OPERATOR} == {each.waiting_for for each in paused}
            for message in paused:
                _agree(message)

    run(story())


def _agree(message: Message) -> None:
    first = next(entry for entry in message.entries if entry.state.live)
    wait = message.waiting_for, message.next_attempt_at_ms, message.reason
    assert wait == (first.waiting_for, first.next_attempt_at_ms, first.reason)
