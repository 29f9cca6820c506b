"""Which messages become one question, and when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulation.station import Station
from simulation.virtual import in_virtual_time
from tests.runtime.answers import Gated, ann_at, turns_of, until
from yizhan.model import Access, AccountId, ChatId, Dispatch, Inbound, InboundId
from yizhan.runtime.turns.batches import asked_with, due_ms
from yizhan.runtime.turns.numbers import TurnNumbers
from yizhan.runtime.views import ScheduleWish
from yizhan.settings import load

NUMBERS = TurnNumbers.of(load(Path("/nowhere"), {}, {"turns": {"debounce_long_chars": 100}}), "UTC")
SHORT_MS, LONG_MS = 600, 3_000


def _inbound(sender: str, at_ms: int, text: str = "hm") -> Inbound:
    return Inbound(
        id=InboundId(f"in_{sender}_{at_ms}"),
        account=AccountId("weixin:a"),
        chat=ChatId("c"),
        platform_message_id=None,
        sender_id=sender,
        sender_name=sender,
        text=text,
        quoted_text="",
        items=(),
        sent_at_ms=0,
        received_at_ms=at_ms,
        access=Access.ALLOWED,
        dispatch=Dispatch.TURN,
    )


def _due(*messages: tuple[int, str], since_ms: int = 0) -> int:
    return due_ms([_inbound("ann", at_ms, text) for at_ms, text in messages], since_ms, NUMBERS)


@pytest.mark.parametrize(
    ("messages", "due"),
    [
        ([(1_000, "one")], 1_000 + SHORT_MS),
        ([(1_000, "one"), (1_500, "two")], 1_500 + SHORT_MS),
        ([(1_000, "x" * 100)], 1_000 + LONG_MS),
        ([(1_000, "x" * 100), (2_000, "the end of it")], 2_000 + SHORT_MS),
        ([(at_ms, "and") for at_ms in range(1_000, 9_000, 500)], 1_000 + 10 * SHORT_MS),
        ([(at_ms, "x" * 100) for at_ms in range(1_000, 99_000, 500)], 1_000 + 10 * LONG_MS),
    ],
    ids=["one", "two", "long", "the rest of a long one", "without a pause", "long ones without a pause"],
)
def test_a_batch_is_complete_after_a_quiet_time_or_ten_of_them(
    messages: list[tuple[int, str]], due: int
) -> None:
    """Whoever never pauses would else never be answered."""
    assert due == _due(*messages)


def test_what_waited_for_a_long_turn_is_still_merged_with_what_comes_behind_it() -> None:
    """The bound counts from when the chat was free, or everything after a long turn would be taken apart."""
    assert 60_900 + SHORT_MS == _due((1_000, "one"), (60_900, "two"), since_ms=61_000)


def test_what_a_schedule_asks_is_due_at_once_and_stands_alone() -> None:
    """Nobody adds to it, and its run must show its own answer."""
    ann, cron, bob = _inbound("ann", 1), _inbound("schedule:s", 2), _inbound("bob", 3)
    again = _inbound("schedule:s", 4)
    pending = [ann, cron, bob, again]
    assert [ann, bob] == asked_with(ann, pending, False, _nowhere)
    assert [ann] == asked_with(ann, pending, True, _nowhere)
    for by_person in (False, True):
        assert [cron] == asked_with(cron, pending, by_person, _nowhere)
    assert 2 == due_ms([cron], 0, NUMBERS)


def _nowhere(inbound: Inbound) -> bool:
    return False


@in_virtual_time
async def test_somebody_who_writes_without_a_pause_is_answered_before_he_ends(home: Path) -> None:
    """A line every half a second, and the answer came only when he gave up."""
    agent = Gated()
    agent.release(99)
    async with ann_at(home, answers=agent) as (station, ann, _):
        lines = [f"line {number}" for number in range(40)]
        for line in lines:
            station.say(ann, line)
            await asyncio.sleep(0.5)
        assert agent.asked
        await station.until_quiet()
        assert lines == "\n".join(agent.texts).split("\n")


@pytest.mark.parametrize("groups", ["person", "chat"])
@pytest.mark.parametrize("while_busy", ["queue", "steer"])
@in_virtual_time
async def test_a_schedules_question_and_a_persons_are_two_turns(
    home: Path, groups: str, while_busy: str
) -> None:
    """Waiting together they became one question, and the run of the schedule showed the person's answer."""
    agent = Gated()
    settings = {"sessions": {"groups": groups}, "turns": {"while_busy": while_busy}}
    async with ann_at(home, answers=agent, **settings) as (station, ann, account):
        station.say(ann, "one")
        await until(lambda: agent.texts == ["one"])
        wish = ScheduleWish(when="every 1h", prompt="report?", to=(f"{account}:{ann}",))
        schedule = (await station.gateway.schedules.add(wish)).id
        runs = [(await station.gateway.schedules.run(schedule, None))[0].run.id for _ in range(2)]
        station.say(ann, "two")
        await until(lambda: _has(station, 3) if while_busy == "queue" else len(agent.asked) == 2)
        agent.release(9)
        await station.until_quiet()
        told = [text.split("\n") for text in agent.texts]
        assert [["report?"]] * 2 == [lines for lines in told if "report?" in lines]
        shown = [await station.gateway.store.run(schedule, run) for run in runs]
        assert [["re: report?"]] * 2 == [[message.text for message in view.messages] for view in shown]
        assert [1, 1] == [len(view.turns) for view in shown]
        assert 4 - (while_busy == "steer") == len(await turns_of(station, account, ann))


async def _has(station: Station, number: int) -> bool:
    return number == len(await station.gateway.store.pending_inbound())
