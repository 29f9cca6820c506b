"""The road out when something of ours breaks: a chat is never blocked, and nothing is said to be what it is not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulation.checker import findings, refusals
from simulation.process import Crash
from simulation.station import Station
from simulation.virtual import run
from yizhan.core.choice import Send
from yizhan.errors import StoreUnavailable
from yizhan.model import AccountId, MessageClass, MessageState
from yizhan_simulator import Fault, Limit
from yizhan_simulator.knobs import Refusal


async def _talking(station: Station) -> tuple[AccountId, str]:
    """An account whose user has written."""
    ann = station.world.add_user("Ann")
    account = await station.link(ann)
    station.say(ann, "hi")
    await asyncio.sleep(2)
    return account, ann


class Breaks:
    """A verb of an object that is broken for its first `times` calls, before or after it has done its work."""

    def __init__(self, owner: Any, verb: str, times: int = 1) -> None:
        self.calls = 0
        self._times = times
        self._verb = getattr(owner, verb)
        setattr(owner, verb, self._call if asyncio.iscoroutinefunction(self._verb) else self._call_plain)

    async def _call(self, *arguments: Any, **named: Any) -> Any:
        self._count()
        return await self._verb(*arguments, **named)

    def _call_plain(self, *arguments: Any, **named: Any) -> Any:
        self._count()
        return self._verb(*arguments, **named)

    def _count(self) -> None:
        self.calls += 1
        if self.calls <= self._times:
            raise KeyError("a defect")


@pytest.mark.parametrize("where", ["settle", "react", "learned", "tell"])
def test_a_defect_after_the_request_does_not_block_the_chat_until_a_restart(home: Path, where: str) -> None:
    """The message is in doubt, goes again when it may, and the next one follows; no slot is lost."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            outbound = station.gateway.outbound
            owner, verb = {
                "settle": (station.gateway.store, "settle"),
                "react": (outbound.carrier, "_react"),
                "learned": (outbound.lanes, "learned"),
                "tell": (outbound.carrier, "_tell"),
            }[where]
            Breaks(owner, verb)
            first = await station.push(account, ann, "one")
            await station.push(account, ann, "two")
            await station.until_quiet(120)
            assert [MessageState.DELIVERED] * 2 == [message.state for message in await station.messages()]
            assert "two" == station.shown(ann)[-1]
            again = await station.gateway.message(first.message.id)
            assert (where != "tell") == again.possibly_doubled
            assert 0 == outbound.lanes.account_lanes(account).in_flight
            assert [] == await findings(station)

    run(story())


def test_a_defect_that_stays_does_not_say_the_message_again_and_again(home: Path) -> None:
    """The settlement breaks every time: better one message in doubt than a hundred on the screen."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            broken = Breaks(station.gateway.store, "settle", times=20)
            await station.push(account, ann, "one")
            await asyncio.sleep(60)
            assert 3 < broken.calls < 20
            assert ["one"] == station.shown(ann)
            assert 1 == sum(record.call == "sendmessage" for record in station.world.ledger)

    run(story())


def test_a_held_doubt_is_held_also_after_a_defect(home: Path) -> None:
    """Whoever chose `hold` wants to decide himself whether it goes again."""

    async def story() -> None:
        async with Station(home, agent="none", delivery={"in_doubt": "hold"}) as station:
            account, ann = await _talking(station)
            Breaks(station.gateway.store, "settle")
            accepted = await station.push(account, ann, "one")
            await asyncio.sleep(120)
            message = await station.gateway.message(accepted.message.id)
            assert (MessageState.WAITING, "operator") == (message.state, message.waiting_for)
            assert ["one"] == station.shown(ann)

    run(story())


def test_requests_per_second_are_bounded_whatever_waits(home: Path) -> None:
    """Whatever else goes wrong, an operator's bound holds; and nothing is lost by it."""

    async def story() -> None:
        async with Station(home, agent="none", delivery={"max_requests_per_s": 10}) as station:
            station.world.turn(quota_per_inbound=0, needs_inbound=False)
            users = [station.world.add_user(f"user {number}") for number in range(60)]
            account = await station.link(users[0])
            await asyncio.sleep(2)
            for user in users:
                await station.push(account, user, "hello")
            await station.until_quiet(60)
            at_ms = [record.at_ms for record in station.world.ledger.select("sendmessage")]
            assert 60 == len(at_ms)
            busiest = max(sum(0 <= later - first < 1_000 for later in at_ms) for first in at_ms)
            assert busiest <= 12, "ten, and a request's way may vary"
            assert [] == await findings(station)

    run(story())


def test_reviving_many_dead_letters_of_a_chat_hurries_it_once(home: Path) -> None:
    """Thirty presses of `retry` in a limit window must not be thirty refused requests."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            station.world.turn(quota_per_inbound=0)
            refusal = Refusal(ret=-2, errmsg="rate limited")
            station.world.add_fault(Fault(kind="refuse", refusal=refusal), station.clock.now_ms())
            ids = [(await station.push(account, ann, f"push {n}")).message.id for n in range(30)]
            await asyncio.sleep(30)
            for message in ids:
                await station.gateway.cancel(message)
            before = refusals(station)
            for message in ids:
                await station.gateway.retry(message)
                await asyncio.sleep(0.02)
            assert refusals(station) - before <= 2
            station.world.clear_weather()
            await station.until_quiet(600)
            assert [f"push {n}" for n in range(30)] == station.shown(ann)[-30:]

    run(story())


def test_an_answer_ends_progress_from_before_a_restart(home: Path) -> None:
    """What is pointless is known from the table, not from memory."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            station.world.add_limit(Limit(count=1, per_s=60), station.clock.now_ms())
            for text in ("step 1", "step 2", "step 3"):
                await station.push(account, ann, text, klass=MessageClass.PROGRESS)
            await asyncio.sleep(1)
            await station.restart()
            accepted = await station.push(account, ann, "done", klass=MessageClass.REPLY)
            assert accepted.superseded
            await station.until_quiet(600)
            ends = {message.text: message.state for message in await station.messages()}
            assert MessageState.CANCELLED is ends["step 3"]
            assert "step 3" not in station.shown(ann)
            assert "done" == station.shown(ann)[-1]

    run(story())


def test_a_message_that_was_kept_although_the_store_said_no_goes_out_in_its_turn(home: Path) -> None:
    """The database commits and its answer is lost on the way: the caller hears "busy", and the message must neither
    lie in the table until a restart nor be overtaken by the next one."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            station.say(ann, "hi")
            await asyncio.sleep(2)
            await station.push(account, ann, "zero")
            await asyncio.sleep(2)
            station.gate.forgetful = lambda: station.gate.seen[-1] == "accept"
            with pytest.raises(StoreUnavailable):
                await station.push(account, ann, "one")
            station.gate.forgetful = lambda: False
            await station.push(account, ann, "two")
            await asyncio.sleep(2)
            assert ["zero", "one", "two"] == station.shown(ann)

    run(story())


@pytest.mark.parametrize("verb", ["park", "accept", "withdraw"])
def test_a_defect_at_the_end_of_an_allowance_does_not_block_the_chat(home: Path, verb: str) -> None:
    """What is written down there breaks once: the notice comes, the rest is parked, the user's message releases it."""

    async def story() -> None:
        async with Station(home, agent="none", delivery={"allowance": {"sends": None}}) as station:
            account, ann = await _talking(station)
            for number in range(14):
                await station.push(account, ann, f"push {number}")
                if number == 8 and verb == "accept":
                    await asyncio.sleep(5)
            Breaks(station.gateway.store, verb)
            await asyncio.sleep(60)
            station.say(ann, "go on", account)
            await asyncio.sleep(60)
            assert [f"push {number}" for number in range(14)] == [
                text for text in station.shown(ann) if text.startswith("push")
            ]
            assert 0 == station.gateway.outbound.lanes.account_lanes(account).in_flight
            assert [] == await findings(station)

    run(story())


def test_reviving_dead_letters_of_many_chats_hurries_their_account_once(home: Path) -> None:
    """`outbox retry --all` in a limit window of the account: not one refused request for each of forty chats."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            station.world.turn(quota_per_inbound=0, needs_inbound=False)
            users = [station.world.add_user(f"user {number}") for number in range(40)]
            account = await station.link(users[0])
            await asyncio.sleep(2)
            station.world.add_limit(Limit(count=2, per_s=600), station.clock.now_ms())
            for user in users:
                await station.push(account, user, "hello")
            await asyncio.sleep(60)
            dead = [message.id for message in await station.messages() if message.state.live]
            for message in dead:
                await station.gateway.cancel(message)
            before = refusals(station)
            for message in dead:
                await station.gateway.retry(message)
                await asyncio.sleep(0.3)
            assert refusals(station) - before <= 4, "it stays a probe"

    run(story())


def test_a_first_receipt_does_not_bring_back_the_login_from_before(home: Path) -> None:
    """It came for a request of the old login, when the new one had just been made."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            assert not station.gateway._lines[account].account.gives_receipts
            station.world.add_fault(Fault("slow", delay_s=3), station.clock.now_ms())
            await station.push(account, ann, "one")
            await asyncio.sleep(1)
            old = station.gateway._lines[account]
            credentials = replace(old.account.credentials, base_url="http://sim.example/")
            await station.ask(
                station.gateway.add_account("weixin", account.removeprefix("weixin:"), credentials)
            )
            new = station.gateway._lines[account]
            await asyncio.sleep(10)
            now = station.gateway._lines[account]
            assert new.transport is now.transport
            assert now.account.gives_receipts

    run(story())


def test_a_message_whose_beginning_was_not_heard_of_ends_when_its_time_is_over(home: Path) -> None:
    """The store had begun it, its answer was lost, and it was too late to send it: it must not be owed for ever."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            store, begin = station.gateway.store, station.gateway.store.begin_attempt

            async def lost(intent: Any) -> bool:
                await begin(intent)
                store.begin_attempt = begin
                raise StoreUnavailable("the answer was lost")

            store.begin_attempt = lost
            expires_at_ms = station.clock.now_ms() + 300
            accepted = await station.push(account, ann, "too late", expires_at_ms=expires_at_ms)
            await asyncio.sleep(30)
            message = await station.gateway.message(accepted.message.id)
            assert MessageState.EXPIRED is message.state
            assert [] == station.shown(ann)

    run(story())


@pytest.mark.parametrize("verb", ["cancel", "expire_due"])
def test_a_held_message_that_ended_unheard_of_holds_nobody_up(home: Path, verb: str) -> None:
    """The store ended it and its answer was lost: what is behind it must not wait for somebody who has nothing left to
    decide."""

    async def story() -> None:
        async with Station(home, agent="none", delivery={"in_doubt": "hold"}) as station:
            account, ann = await _talking(station)
            station.world.add_fault(Fault("lost_answer", times=1), station.clock.now_ms())
            expires_at_ms = station.clock.now_ms() + 60_000
            held = await station.push(account, ann, "one", expires_at_ms=expires_at_ms)
            await asyncio.sleep(5)
            await station.push(account, ann, "two")
            await asyncio.sleep(5)
            assert ["one"] == station.shown(ann)
            store, end = station.gateway.store, getattr(station.gateway.store, verb)

            async def lost(*given: Any) -> Any:
                ended = await end(*given)
                if verb == "cancel" or ended.chats:
                    setattr(store, verb, end)
                    raise StoreUnavailable("the answer was lost")
                return ended

            setattr(store, verb, lost)
            if verb == "cancel":
                with pytest.raises(StoreUnavailable):
                    await station.gateway.cancel(held.message.id)
            await asyncio.sleep(90)
            assert ["one", "two"] == station.shown(ann)

    run(story())


def test_a_process_that_dies_before_a_send_has_begun_leaves_nothing_unfinished_behind(home: Path) -> None:
    """ "coroutine 'Carrier.carry' was never awaited", said the log of every other kill, and hid what mattered."""

    async def story() -> None:
        station = Station(home, agent="none")
        await station.start()
        account, ann = await _talking(station)
        lanes, loop = station.gateway.outbound.lanes, asyncio.get_running_loop()
        choose, struck = lanes.choose, asyncio.Event()

        def strike() -> None:
            struck.set()
            for task in station.process._tasks:
                task.cancel()

        def chosen(now_ms: int) -> Any:
            choice = choose(now_ms)
            if isinstance(choice, Send):
                loop.call_soon(strike)
            return choice

        lanes.choose = chosen  # type: ignore[method-assign]
        with contextlib.suppress(Crash):
            await station.push(account, ann, "hello")
        async with asyncio.timeout(5):
            await struck.wait()
        await station.crash()

    gc.collect()  # what other tests have left behind is not told of here
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run(story())
        gc.collect()
    assert [] == [str(each.message) for each in told if "never awaited" in str(each.message)]
