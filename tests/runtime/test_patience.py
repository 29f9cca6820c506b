"""A client that hangs up while something is written for it: what was written is known to the rest of the gateway."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest
import structlog

from simulation.checker import findings
from simulation.station import Station, target
from simulation.virtual import run
from yizhan.errors import StoreUnavailable
from yizhan.model import AccountId, MessageState, Rule
from yizhan.ports import OutputEnd, Piece, Question, Text
from yizhan.runtime.patience import to_the_end
from yizhan.runtime.views import ScheduleWish
from yizhan.web.keys import ALL_SCOPES, KeyRing

COMMIT_S = 2.0


async def hangs_up(station: Station, work: Coroutine[Any, Any, Any]) -> None:
    """A caller that does not wait for the disk."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(COMMIT_S / 4):
            await station.ask(work)


async def _linked(station: Station) -> tuple[AccountId, str]:
    ann = station.world.add_user("Ann")
    account = await station.link(ann)
    station.say(ann, "hi")
    await asyncio.sleep(10 * COMMIT_S)
    return account, ann


def test_a_message_whose_sender_hung_up_goes_out_in_its_turn(home: Path) -> None:
    """It was on disk and unknown to its lane: it lay there until a restart, and later ones overtook it."""

    async def story() -> None:
        async with Station(home, agent="none", latency_s=lambda: COMMIT_S) as station:
            account, ann = await _linked(station)
            await hangs_up(station, station.push(account, ann, "one"))
            await station.push(account, ann, "two")
            await station.until_quiet(60)
            assert ["one", "two"] == station.shown(ann)
            assert [] == await findings(station)

    run(story())


def test_what_a_person_decided_and_did_not_wait_for_holds(home: Path) -> None:
    """Paused in the table and not in memory, a chat went on; cancelled, a message was sent all the same."""

    async def story() -> None:
        async with Station(home, agent="none", latency_s=lambda: COMMIT_S) as station:
            account, ann = await _linked(station)
            gateway, chat = station.gateway, target(account, ann)
            await hangs_up(station, gateway.pause_chat(chat, True))
            await asyncio.sleep(10 * COMMIT_S)
            accepted = await station.push(account, ann, "one")
            await asyncio.sleep(60)
            assert [] == station.shown(ann)
            await hangs_up(station, gateway.cancel(accepted.message.id))
            await hangs_up(station, gateway.pause_chat(chat, False))
            await asyncio.sleep(60)
            assert [] == station.shown(ann)
            await hangs_up(station, gateway.retry(accepted.message.id))
            await asyncio.sleep(60)
            assert ["one"] == station.shown(ann)
            await hangs_up(station, gateway.set_rule(account, ann, Rule.BLOCK))
            await hangs_up(station, gateway.pause_account(account, True))
            await asyncio.sleep(60)
            station.say(ann, "again")
            await station.push(account, ann, "two")
            await asyncio.sleep(60)
            assert ["one"] == station.shown(ann)
            (live,) = [message for message in await station.messages() if message.state.live]
            assert (MessageState.QUEUED, "two") == (live.state, live.text)

    run(story())


class Slow:
    """An agent that takes its time."""

    name = "slow"

    async def answer(self, question: Question) -> AsyncIterator[Piece]:
        await asyncio.sleep(20 * COMMIT_S)
        yield Text("the agent's answer")
        yield OutputEnd()

    async def close(self) -> None:
        pass


def test_an_agent_does_not_go_on_in_a_chat_that_somebody_took_over_in_a_hurry(home: Path) -> None:
    """Taken over in the table, the chat was answered by two."""

    async def story() -> None:
        async with Station(home, answers=Slow(), latency_s=lambda: COMMIT_S) as station:
            account, ann = await _linked(station)
            assert station.gateway.turns.running(target(account, ann))
            await hangs_up(station, station.gateway.take_over(target(account, ann), True))
            await asyncio.sleep(10 * COMMIT_S)
            assert not station.gateway.turns.running(target(account, ann))
            await asyncio.sleep(30 * COMMIT_S)
            assert [] == station.shown(ann)

    run(story())


def test_a_schedule_whose_maker_hung_up_says_its_text_at_its_time(home: Path) -> None:
    """Its first time was missed by up to a minute; run by hand, what it said waited for a restart."""

    async def story() -> None:
        async with Station(home, agent="none", latency_s=lambda: COMMIT_S) as station:
            account, ann = await _linked(station)
            wish = ScheduleWish(when="every 1h", text="tick", to=(f"{account}:{ann}",))
            await hangs_up(station, station.gateway.schedules.add(wish))
            await asyncio.sleep(10 * COMMIT_S)
            (made,) = (await station.gateway.schedules.page(None, 10)).rows
            await hangs_up(station, station.gateway.schedules.run(made.id, None))
            await asyncio.sleep(10 * COMMIT_S)
            assert ["tick"] == station.shown(ann)

    run(story())


def test_a_key_that_was_revoked_by_somebody_in_a_hurry_opens_nothing(home: Path) -> None:
    """The table said "revoked", and the memory of keys went on to let it in."""

    async def story() -> None:
        async with Station(home, agent="none", latency_s=lambda: COMMIT_S) as station:
            ring = KeyRing(station.gateway.store, station.clock, station.chance, "own")
            key, text = await ring.add("program", ALL_SCOPES)
            assert ALL_SCOPES == await ring.scopes_of(text.encode())
            await hangs_up(station, ring.revoke(key.id))
            await asyncio.sleep(10 * COMMIT_S)
            assert frozenset() == await ring.scopes_of(text.encode())

    run(story())


async def test_an_answer_and_an_error_reach_a_caller_who_stays() -> None:
    @to_the_end
    async def asked(number: int) -> int:
        await asyncio.sleep(0)
        return 100 // number

    assert 50 == await asked(2)
    with pytest.raises(ZeroDivisionError):
        await asked(0)


@pytest.mark.parametrize(
    ("error", "told"), [(StoreUnavailable("full", "wait"), 0), (KeyError("a defect"), 1)]
)
async def test_what_fails_when_nobody_listens_any_more_is_told_if_it_is_our_fault(
    error: Exception, told: int
) -> None:
    """A disk that was full complained in the log as if the gateway had broken."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    may_end = asyncio.Event()

    @to_the_end
    async def fails() -> None:
        await may_end.wait()
        raise error

    caller = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    with structlog.testing.capture_logs() as logged:
        with pytest.raises(asyncio.CancelledError):
            await caller
        may_end.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del caller
        gc.collect()
    assert [] == complaints
    assert told == sum(line["event"] == "verb.broke" for line in logged)
