"""Few sends for each message of the user: nothing is lost when they are used up, and nobody is left guessing.

WeChat permits about ten; the simulator keeps the same account. In virtual time.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from simulation.checker import findings, refusals
from simulation.station import Station, finals, target
from simulation.virtual import run
from yizhan.core.phrases import say
from yizhan.model import AccountId, Message, MessageClass, MessageState, WaitingFor
from yizhan.ports import OutputEnd, Piece, Question, Text

COUNTED = {"allowance": {}}
"""As WeChat is known: ten sends, a day."""
PART = 120


class Author:
    """Answers with as many parts as it is told to; otherwise briefly. `slow_s` is how long it thinks."""

    name = "author"

    def __init__(self, slow_s: float = 0) -> None:
        self.slow_s = slow_s

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        await asyncio.sleep(self.slow_s)
        for line in question.text.split("\n"):
            for output in self._outputs(line):
                yield Text(output)
                yield OutputEnd()

    def _outputs(self, line: str) -> list[str]:
        if line.startswith("long "):
            return [long_text(int(line.removeprefix("long ")))]
        if line.startswith("small "):
            return [f"small {number}" for number in range(int(line.removeprefix("small ")))]
        return [f"you said {line}"]

    async def close(self) -> None:
        pass


def long_text(parts: int) -> str:
    """As many paragraphs, each of them one part."""
    return "\n\n".join(f"{number:03d} ".ljust(PART - 2, "x") for number in range(1, parts + 1))


def station_of(home: Path, agent: Any = None, **delivery: Any) -> Station:
    allowance = {"sends": None, "window_s": None} | delivery.pop("allowance", {})
    settings = {"allowance": allowance, "part_max_chars": PART} | delivery
    return Station(home, answers=agent or Author(), delivery=settings)


async def _linked(station: Station) -> tuple[AccountId, str]:
    user = station.world.add_user("Ann")
    account = await station.link(user)
    await asyncio.sleep(1)
    return account, user


async def _settled(station: Station, within_s: float = 120) -> None:
    """What was just written has been heard, and nothing is owed any more."""
    await asyncio.sleep(3)
    await station.until_quiet(within_s)


def numbers(station: Station, user: str) -> list[str]:
    """The parts of long answers on the phone, in order."""
    return [text[:3] for text in station.shown(user) if text[:3].isdigit()]


def notices(station: Station, user: str) -> list[str]:
    return [text for text in station.shown(user) if text.startswith("还有")]


async def _waiting(station: Station) -> list[Message]:
    """Live messages as a program sees them."""
    return [station.gateway.overlay(message) for message in await station.messages() if message.state.live]


def test_an_answer_of_25_parts_arrives_in_order_over_three_messages_of_the_user(home: Path) -> None:
    """After about ten messages other bots go mute, and the rest is never seen."""

    async def story() -> None:
        async with station_of(home) as station:
            _account, user = await _linked(station)
            station.say(user, "long 25")
            await asyncio.sleep(30)
            assert [f"{n:03d}" for n in range(1, 10)] == numbers(station, user)
            assert [say("zh", "parts_remain", parts=16)] == notices(station, user)
            (waiting,) = await _waiting(station)
            assert (MessageState.WAITING, WaitingFor.ALLOWANCE) == (waiting.state, waiting.waiting_for)
            assert waiting.reason
            assert waiting.reason.code == "allowance-spent"
            spent_at_ms = station.clock.now_ms()
            await asyncio.sleep(600)
            assert 10 == len(station.world.ledger.select("sendmessage")), "what is parked costs nothing"
            station.say(user, "more")
            await asyncio.sleep(30)
            assert 18 == len(numbers(station, user))
            station.say(user, "more")
            await _settled(station, 60)
            assert [f"{n:03d}" for n in range(1, 26)] == numbers(station, user)
            assert 2 == len(notices(station, user))
            assert 0 == refusals(station)
            assert [] == await findings(station)
            assert station.clock.now_ms() - spent_at_ms < 720_000

    run(story())


def test_an_answer_that_fits_exactly_brings_no_notice(home: Path) -> None:
    """Ten parts, ten sends: a notice would be a lie, and would push the last part out."""

    async def story() -> None:
        async with station_of(home) as station:
            _, user = await _linked(station)
            station.say(user, "long 10")
            await _settled(station, 60)
            assert 10 == len(numbers(station, user))
            assert [] == notices(station, user)
            assert 0 == refusals(station)

    run(story())


def test_without_a_notice_the_last_send_goes_to_the_answer(home: Path) -> None:
    """Whoever switches it off gets ten parts and silence; the state still says why."""

    async def story() -> None:
        async with station_of(home, allowance={"notice": ""}) as station:
            _, user = await _linked(station)
            station.say(user, "long 12")
            await asyncio.sleep(30)
            assert 10 == len(numbers(station, user))
            (waiting,) = await _waiting(station)
            assert WaitingFor.ALLOWANCE is waiting.waiting_for
            station.say(user, "more")
            await _settled(station, 60)
            assert 12 == len(numbers(station, user))

    run(story())


def test_the_notice_may_be_worded_by_the_operator(home: Path) -> None:
    async def story() -> None:
        async with station_of(home, allowance={"notice": "{parts} to come; say go"}) as station:
            _, user = await _linked(station)
            station.say(user, "long 12")
            await asyncio.sleep(30)
            assert "3 to come; say go" == station.shown(user)[-1]

    run(story())


def test_begun_messages_are_finished_first_then_the_answer_then_pushes_in_order(home: Path) -> None:
    """The user's next message releases what was parked; its own answer does not wait behind old pushes."""

    async def story() -> None:
        async with station_of(home, Author(slow_s=20)) as station:
            account, user = await _linked(station)
            station.say(user, "hello")
            await asyncio.sleep(30)
            assert ["you said hello"] == station.shown(user)
            await station.push(account, user, long_text(11))
            for number in range(3):
                await station.push(account, user, f"push {number}")
            await asyncio.sleep(30)
            assert [f"{n:03d}" for n in range(1, 9)] == numbers(station, user)
            assert [say("zh", "parts_remain", parts=6)] == notices(station, user)
            station.say(user, "go on")
            await _settled(station, 120)
            after = station.shown(user)[10:]
            begun = [text[:3] for text in after[:3]]
            assert ["009", "010", "011"] == begun
            # One send was kept for the answer; what could go before it was there went.
            assert sorted(after[3:]) == ["push 0", "push 1", "push 2", "you said go on"]
            assert [text for text in after[3:] if text.startswith("push")] == ["push 0", "push 1", "push 2"]
            assert 0 == refusals(station)
            assert [] == await findings(station)

    run(story())


def test_one_send_is_kept_for_the_answer_while_the_agent_thinks(home: Path) -> None:
    """Nine parked pushes must not use up what the user's own question needs."""

    async def story() -> None:
        async with station_of(home, Author(slow_s=60), allowance={"notice": ""}) as station:
            account, user = await _linked(station)
            station.say(user, "hello")
            await asyncio.sleep(70)
            for number in range(30):
                await station.push(account, user, f"push {number}")
            await asyncio.sleep(10)
            assert 10 == len(station.shown(user))
            station.say(user, "a question")
            await asyncio.sleep(30)
            assert 19 == len(station.shown(user)), "nine of ten, while it thinks"
            (head, *_) = [each for each in await _waiting(station) if each.klass is MessageClass.PUSH]
            assert WaitingFor.ALLOWANCE is head.waiting_for
            await asyncio.sleep(60)
            assert "you said a question" == station.shown(user)[-1]
            assert 20 == len(station.shown(user))
            assert 0 == refusals(station)

    run(story())


def test_where_nobody_answers_nothing_is_kept(home: Path) -> None:
    async def story() -> None:
        settings = {"allowance": {"sends": None, "window_s": None}}
        async with Station(home, agent="none", delivery=settings) as station:
            account, user = await _linked(station)
            station.say(user, "hello")
            await asyncio.sleep(2)
            for number in range(10):
                await station.push(account, user, f"push {number}")
            await _settled(station, 20)
            assert 10 == len(station.shown(user))

    run(story())


def test_progress_never_uses_up_the_answers_sends(home: Path) -> None:
    """Tool chatter arrived and the final answer did not."""

    async def story() -> None:
        async with station_of(home, Author(slow_s=30)) as station:
            account, user = await _linked(station)
            station.say(user, "long 3")
            await asyncio.sleep(2)
            for number in range(12):
                await station.push(account, user, f"step {number}", klass=MessageClass.PROGRESS, source="api")
                await asyncio.sleep(1)
            await _settled(station, 300)
            assert ["001", "002", "003"] == numbers(station, user)
            steps = [text for text in station.shown(user) if text.startswith("step")]
            assert 5 == len(steps), "only while more than four are left beside the answer's own"
            assert 0 == refusals(station)
            assert {MessageState.DELIVERED: 6, MessageState.CANCELLED: 7} == finals(await station.messages())

    run(story())


def test_small_outputs_of_one_turn_share_a_send(home: Path) -> None:
    """An answer costs as few sends as possible."""

    async def story() -> None:
        async with station_of(home) as station:
            _, user = await _linked(station)
            station.say(user, "small 12")
            await _settled(station, 30)
            assert 1 == len(station.shown(user)), station.shown(user)
            assert [f"small {n}" for n in range(12)] == "\n\n".join(
                text.strip() for text in station.shown(user)
            ).split("\n\n")

    run(story())


def test_a_restart_forgets_no_allowance(home: Path) -> None:
    """Ten were sent before the crash; afterwards an eleventh would be refused."""

    async def story() -> None:
        async with station_of(home) as station:
            account, user = await _linked(station)
            station.say(user, "long 25")
            await asyncio.sleep(30)
            for _ in range(3):
                await station.restart()
                await asyncio.sleep(5)
                await station.push(account, user, "one more")
                await asyncio.sleep(5)
            assert 10 == len(station.world.ledger.select("sendmessage"))
            assert 1 == len(notices(station, user))
            for _ in range(3):
                station.say(user, "more")
                await asyncio.sleep(20)
            await _settled(station, 60)
            assert 25 == len(numbers(station, user))
            assert 0 == refusals(station)
            assert [] == await findings(station)

    run(story())


def test_a_window_that_is_over_is_found_out_once_and_costs_nothing_from_then_on(home: Path) -> None:
    """Some time after the user's last message WeChat takes nothing; the user's next one releases it all."""

    async def story() -> None:
        async with station_of(home, allowance={"window_s": 300}) as station:
            station.world.turn(window_s=300)
            account, user = await _linked(station)
            station.say(user, "hello")
            await asyncio.sleep(310)
            await station.push(account, user, "good morning")
            await asyncio.sleep(200)
            assert 2 == refusals(station), "with and without its token"
            (waiting,) = await _waiting(station)
            assert (WaitingFor.ALLOWANCE, "window-over") == (
                waiting.waiting_for,
                waiting.reason and waiting.reason.code,
            )
            station.say(user, "I am back")
            await _settled(station, 60)
            assert {"good morning", "you said I am back"} <= set(station.shown(user))
            await asyncio.sleep(310)
            await station.push(account, user, "another morning")
            await asyncio.sleep(200)
            assert 2 == refusals(station), "the account is known to keep its window"
            station.say(user, "back again")
            await _settled(station, 60)
            assert [] == await findings(station)

    run(story())


def test_a_platform_that_permits_more_than_declared_is_found_out(home: Path) -> None:
    """A rare extra send at a parked chat; what it teaches outlives a restart."""

    async def story() -> None:
        async with station_of(home, allowance={"notice": "", "probe_s": 60}) as station:
            station.world.turn(quota_per_inbound=0)
            _account, user = await _linked(station)
            station.say(user, "long 15")
            await asyncio.sleep(50)
            assert 10 == len(numbers(station, user))
            await asyncio.sleep(60)
            assert 15 == len(numbers(station, user))
            await station.restart()
            station.say(user, "long 15")
            await _settled(station, 60)
            assert 30 == len(numbers(station, user))
            assert 0 == refusals(station)

    run(story())


def test_a_platform_that_permits_fewer_is_learned_and_then_believed(home: Path) -> None:
    """Five instead of ten: after two stretches that ended so, the fifth send is a notice and nothing is refused."""

    async def story() -> None:
        async with station_of(home) as station:
            station.world.turn(quota_per_inbound=5)
            _, user = await _linked(station)
            for _ in range(3):
                station.say(user, "long 8")
                await asyncio.sleep(900)
            station.say(user, "again")
            await asyncio.sleep(900)
            refused = refusals(station)
            shown = len(station.shown(user))
            for _ in range(8):
                station.say(user, "long 8")
                await asyncio.sleep(20)
            assert refused == refusals(station), "believed, and not tried again"
            assert shown + 8 * 5 == len(station.shown(user))

    run(story())


def test_an_answer_that_was_lost_counts_as_sent_and_holds_its_place(home: Path) -> None:
    """Nobody knows whether it arrived: it is entered once, and its resends need no further send."""
    from yizhan_simulator import Fault

    async def story() -> None:
        async with station_of(home) as station:
            _, user = await _linked(station)
            station.world.add_fault(
                Fault(kind="lost_answer", call="sendmessage", times=1, skip=9), station.clock.now_ms()
            )
            station.say(user, "long 10")
            await _settled(station, 120)
            assert 10 == len(numbers(station, user))
            assert 0 == refusals(station)
            assert [] == await findings(station)

    run(story())


def test_a_person_may_insist_on_one_more_try(home: Path) -> None:
    """`retry` asks the platform, whatever is believed."""

    async def story() -> None:
        async with station_of(home, allowance={"notice": ""}) as station:
            _account, user = await _linked(station)
            station.say(user, "long 11")
            await asyncio.sleep(30)
            station.world.turn(quota_per_inbound=0)
            (waiting,) = await _waiting(station)
            await station.gateway.retry(waiting.id)
            await _settled(station, 20)
            assert 11 == len(numbers(station, user))

    run(story())


def test_a_paused_chat_stays_paused_when_its_user_writes(home: Path) -> None:
    """A person's pause is above every release."""

    async def story() -> None:
        async with station_of(home) as station:
            account, user = await _linked(station)
            station.say(user, "hello")
            await asyncio.sleep(5)
            await station.gateway.pause_chat(target(account, user), True)
            await station.push(account, user, "held")
            station.say(user, "are you there")
            await asyncio.sleep(60)
            assert ["you said hello"] == station.shown(user)
            await station.gateway.pause_chat(target(account, user), False)
            await _settled(station, 20)
            assert {"held", "you said are you there"} < set(station.shown(user))

    run(story())


@pytest.mark.field("F37")
def test_a_pause_between_parts_is_kept(home: Path) -> None:
    """For platforms that take a burst amiss."""

    async def story() -> None:
        async with station_of(home, chunk_gap_s=2) as station:
            _, user = await _linked(station)
            station.say(user, "long 4")
            await _settled(station, 60)
            times = [record.at_ms for record in station.world.ledger.select("sendmessage")]
            assert all(later - sooner >= 1_500 for sooner, later in itertools.pairwise(times))

    run(story())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_near_the_end_of_an_allowance_loses_and_doubles_nothing(home: Path, after: bool) -> None:
    """The notice, the parking, the release: whichever commit was the last."""

    async def scene(place: Path, at: int | None) -> int:
        station = station_of(place)
        station.world.turn(quota_per_inbound=3)
        station.settings = station.settings.model_copy(
            update={
                "delivery": station.settings.delivery.model_copy(
                    update={"allowance": station.settings.delivery.allowance.model_copy(update={"sends": 3})}
                )
            }
        )
        await station.start()
        _, user = await _linked(station)
        station.gate.at, station.gate.after = at, after
        watcher = asyncio.create_task(_restart_when_struck(station))
        for text in ("long 5", "more", "the end"):
            station.say(user, text)
            await asyncio.sleep(4)
        watcher.cancel()
        if station.gate.struck.is_set():
            await station.restart()
        commits = len(station.gate.seen)
        for _ in range(3):
            await asyncio.sleep(4)
            station.say(user, "still there")
        await _settled(station, 120)
        assert [f"{n:03d}" for n in range(1, 6)] == numbers(station, user)
        keys = [each.idempotency_key for each in await station.messages() if each.source == "allowance"]
        assert len(keys) == len(set(keys)), "at most one notice for each allowance"
        assert 0 == refusals(station), "never more sends than were left"
        assert [] == await findings(station)
        await station.stop()
        return commits

    total = run(scene(home / "count", None))
    assert total > 20, "the scene is too short to tell anything"
    for at in range(1, total + 1):
        run(scene(home / f"at-{at}", at))


async def _restart_when_struck(station: Station) -> None:
    await station.gate.struck.wait()
    await asyncio.sleep(0.5)
    if station.gate.struck.is_set():
        await station.restart()
