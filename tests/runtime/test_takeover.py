"""A person answers a chat instead of the agent, until the chat is handed back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulation.station import Station, target
from simulation.virtual import in_virtual_time
from yizhan.errors import InvalidRequest
from yizhan.model import AccountId, Inbound, Turn, TurnState
from yizhan.ports import OutputEnd, Piece, Question, Text
from yizhan.runtime.views import ScheduleWish


class Thinker:
    """An agent that thinks for a while and repeats what it was asked."""

    name = "thinker"

    def __init__(self, takes_s: float = 0) -> None:
        self.asked: list[str] = []
        self._takes_s = takes_s

    async def answer(self, question: Question) -> AsyncIterator[Piece]:
        self.asked.append(question.text)
        await asyncio.sleep(self._takes_s)
        yield Text(f"re: {question.text}")
        yield OutputEnd()

    async def close(self) -> None:
        pass


async def _turns(station: Station, account: AccountId, user: str) -> list[Turn]:
    page = await station.gateway.store.timeline(target(account, user), None, 100)
    return [row for row in page.rows if isinstance(row, Turn)][::-1]


@in_virtual_time
async def test_what_comes_in_while_taken_over_is_kept_and_not_answered(home: Path) -> None:
    """Two voices in one chat, one of them a machine's: nobody could hold a conversation."""
    agent = Thinker()
    async with Station(home, answers=agent) as station:
        ann = station.world.add_user("Ann")
        account = await station.link(ann)
        station.say(ann, "one")
        await asyncio.sleep(3)
        await station.gateway.take_over(target(account, ann), True)
        station.say(ann, "two")
        await asyncio.sleep(3)
        page = await station.gateway.store.timeline(target(account, ann), None, 100)
        assert "two" in [row.text for row in page.rows if isinstance(row, Inbound)]
        assert ["re: one"] == station.shown(ann)
        await station.restart()
        station.say(ann, "three")
        await asyncio.sleep(3)
        assert ["one"] == agent.asked
        await station.gateway.take_over(target(account, ann), False)
        station.say(ann, "four")
        await asyncio.sleep(3)
        assert ["one", "four"] == agent.asked
        assert ["re: one", "re: four"] == station.shown(ann)


@in_virtual_time
async def test_an_answer_being_written_ends_with_the_takeover(home: Path) -> None:
    """Whoever has just taken over does not want the machine to answer a minute later, nor after a restart."""
    agent = Thinker(takes_s=60)
    async with Station(home, answers=agent) as station:
        ann = station.world.add_user("Ann")
        account = await station.link(ann)
        station.say(ann, "think hard")
        await asyncio.sleep(5)
        chat = await station.gateway.take_over(target(account, ann), True)
        assert chat.taken_over_at_ms is not None
        (turn,) = await _turns(station, account, ann)
        assert (TurnState.STOPPED, "taken-over") == (turn.state, turn.reason and turn.reason.code)
        await asyncio.sleep(120)
        await station.restart()
        await asyncio.sleep(120)
        assert [] == station.shown(ann)
        assert ["think hard"] == agent.asked


@in_virtual_time
async def test_a_message_that_was_about_to_be_answered_is_left_to_the_person(home: Path) -> None:
    """Between its arrival and its turn it lies only on the agent's desk."""
    agent = Thinker()
    async with Station(home, answers=agent) as station:
        ann = station.world.add_user("Ann")
        account = await station.link(ann)
        await asyncio.sleep(1)
        station.say(ann, "just now")
        await asyncio.sleep(0.3)
        await station.gateway.take_over(target(account, ann), True)
        await asyncio.sleep(10)
        assert [] == agent.asked
        assert () == await station.gateway.store.pending_inbound()


@in_virtual_time
async def test_other_chats_go_on_being_answered(home: Path) -> None:
    agent = Thinker()
    async with Station(home, answers=agent) as station:
        ann, bob = station.world.add_user("Ann"), station.world.add_user("Bob")
        account = await station.link(ann)
        await station.gateway.take_over(target(account, ann), True)
        station.say(ann, "to the person")
        station.say(bob, "to the agent", account)
        await asyncio.sleep(3)
        assert ["to the agent"] == agent.asked


@in_virtual_time
async def test_neither_a_retry_nor_a_schedule_has_the_agent_talk_beside_the_person(home: Path) -> None:
    """They ask the agent without a message of the other side, and were let through."""
    agent = Thinker()
    async with Station(home, answers=agent, language="en") as station:
        ann = station.world.add_user("Ann")
        account, gateway = await station.link(ann), station.gateway
        station.say(ann, "one")
        await asyncio.sleep(3)
        await gateway.take_over(target(account, ann), True)
        station.say(ann, "/retry")
        await asyncio.sleep(3)
        wish = ScheduleWish(when="every 1h", prompt="weather?", to=(f"{account}:{ann}",))
        view, _ = await gateway.schedules.run((await gateway.schedules.add(wish)).id, None)
        ((refused, reason),) = view.run.refused
        assert (target(account, ann), "A person answers this chat.") == (refused, reason.text)
        (turn,) = await _turns(station, account, ann)
        with pytest.raises(InvalidRequest, match="A person answers"):
            await gateway.rerun(turn.id)
        await station.restart()
        await asyncio.sleep(10)
        assert ["one"] == agent.asked
        assert ["re: one", "There is no message to answer again."] == station.shown(ann)
