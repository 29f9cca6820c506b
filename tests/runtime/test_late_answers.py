"""Agents that answer later, through our API: their turns wait, and everything else goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulation.checker import findings
from simulation.station import Station, target
from simulation.virtual import in_virtual_time
from tests.runtime.answers import Gated, ann_at, turns_of, until, until_shown
from yizhan.model import AccountId, MessageClass, TurnState


def _later() -> Gated:
    agent = Gated()
    agent.release(99)
    agent.later = True
    return agent


async def _states(station: Station, account: AccountId, user: str) -> list[TurnState]:
    return [turn.state for turn in await turns_of(station, account, user)]


async def _waits(station: Station, account: AccountId, user: str, number: int = 1) -> bool:
    return await _states(station, account, user) == [TurnState.WAITING] * number


@pytest.mark.parametrize("crash", [False, True])
@in_virtual_time
async def test_the_answer_ends_the_turn_that_waited_for_it(home: Path, crash: bool) -> None:
    """It is the turn's first output, in the commit that accepts it; a restart in between asks nobody again."""
    agent = _later()
    settings = {"turns": {"workers": 1}}
    async with ann_at(home, answers=agent, **settings) as (station, ann, account):
        for number in (1, 2):
            station.say(ann, f"question {number}")
            await until(lambda number=number: _waits(station, account, ann, number))
        if crash:
            await station.restart()
            await asyncio.sleep(5)
        second = agent.asked[1].in_reply_to
        accepted = await station.push(account, ann, "step 1", klass=MessageClass.PROGRESS, in_reply_to=second)
        assert None is accepted.message.turn_id
        for _ in range(2):  # a careful program repeats what it is not sure of
            accepted = await station.push(account, ann, "answer 2", in_reply_to=second, idempotency_key="a2")
        assert (agent.asked[1].turn, 0) == (accepted.message.turn_id, accepted.message.ordinal)
        assert [TurnState.WAITING, TurnState.DONE] == await _states(station, account, ann)
        await station.push(account, ann, "answer 1", in_reply_to=agent.asked[0].in_reply_to)
        await station.push(account, ann, "by the way", in_reply_to=agent.asked[0].in_reply_to)
        await station.until_quiet()
        turns = await turns_of(station, account, ann)
        assert [(TurnState.DONE, 1)] * 2 == [(turn.state, turn.outputs) for turn in turns]
        assert 2 == len(agent.asked)
        assert [] == await findings(station)


@pytest.mark.parametrize("crash", [False, True])
@in_virtual_time
async def test_an_answer_that_never_comes_fails_the_turn(home: Path, crash: bool) -> None:
    """After the time from its beginning, whatever happened meanwhile; what comes then is a message like any other."""
    agent = _later()
    settings = {"turns": {"later_s": 120}, "language": "en"}
    async with ann_at(home, answers=agent, **settings) as (station, ann, account):
        station.say(ann, "question")
        await until(lambda: _waits(station, account, ann))
        if crash:
            await station.restart()
        await until(lambda: bool(station.shown(ann)))
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.FAILED, "answer-missing") == (turn.state, turn.reason.code)
        assert turn.ended_at_ms - turn.started_at_ms >= 119_000
        late = await station.push(account, ann, "sorry, late", in_reply_to=agent.asked[0].in_reply_to)
        assert None is late.message.turn_id
        await station.until_quiet()
        assert 2 == len(station.shown(ann))


@pytest.mark.parametrize("how", ["/stop", "operator"])
@in_virtual_time
async def test_a_turn_that_waits_can_be_stopped(home: Path, how: str) -> None:
    agent = _later()
    async with ann_at(home, answers=agent, language="en") as (station, ann, account):
        station.say(ann, "question")
        await until(lambda: _waits(station, account, ann))
        if how == "/stop":
            station.say(ann, "/status")
            await until(lambda: len(station.shown(ann)) == 1)
            assert "Answering: yes." in station.shown(ann)[0]
            station.say(ann, "/stop")
            await until(lambda: station.shown(ann)[1:] == ["Stopped."])
        else:
            await station.gateway.stop_turn(agent.asked[0].turn)
        await station.until_quiet()
        assert [TurnState.STOPPED] == await _states(station, account, ann)


@in_virtual_time
async def test_an_answer_faster_than_the_agents_promise_is_not_waited_for(home: Path) -> None:
    """A program may post its answer before it has said that it will. The chat must not hear an hour later that nobody
    could answer."""
    agent = Gated()
    agent.later = True
    settings = {"turns": {"later_s": 120}, "language": "en"}
    async with ann_at(home, answers=agent, **settings) as (station, ann, account):
        station.say(ann, "question")
        await until(lambda: agent.texts == ["question"])
        asked = agent.asked[0].in_reply_to
        await station.push(account, ann, "step 1", klass=MessageClass.PROGRESS, in_reply_to=asked)
        await station.push(account, ann, "answer", in_reply_to=asked)
        agent.release()
        await until(lambda: _done(station, account, ann))
        station.say(ann, "/stop")
        await until(lambda: station.shown(ann)[-1] == "No answer is being written.")
        await asyncio.sleep(300)
        assert ["answer", "No answer is being written."] == station.shown(ann)[-2:]
        assert [] == await findings(station)


def _expects(station: Station, account: AccountId, user: str) -> bool:
    """Whether a send is kept in the chat for an answer that is to come."""
    lane = station.gateway.outbound.lanes.lane(target(account, user))
    return lane is not None and lane.expecting


@in_virtual_time
async def test_a_late_answer_does_not_cost_the_send_that_is_kept_for_the_next_one(home: Path) -> None:
    """Two questions, the first answered late while the second is being thought about: a push took its last send."""
    agent = Gated()
    agent.release()
    agent.later = True
    async with ann_at(home, answers=agent) as (station, ann, account):
        station.say(ann, "one")
        await until(lambda: _waits(station, account, ann))
        agent.later = False
        station.say(ann, "two")
        await until(lambda: len(agent.asked) == 2)
        await station.push(account, ann, "answer 1", in_reply_to=agent.asked[0].in_reply_to)
        await until(lambda: not station.gateway.turns._late.chats)
        assert _expects(station, account, ann)
        agent.release()
        await until_shown(station, ann, "answer 1", "re: two")
        await until(lambda: not _expects(station, account, ann))


@pytest.mark.parametrize("how", ["taken over", "removed"])
@in_virtual_time
async def test_nothing_is_kept_for_an_answer_that_a_person_gives_instead(home: Path, how: str) -> None:
    """The turn was over, and the wait for its answer went on for an hour, and kept a send back for it."""
    agent = _later()
    async with ann_at(home, answers=agent) as (station, ann, account):
        station.say(ann, "question")
        await until(lambda: _waits(station, account, ann))
        assert _expects(station, account, ann)
        began_ms = station.clock.now_ms()
        if how == "removed":
            await station.gateway.remove_account(account)
        else:
            await station.gateway.take_over(target(account, ann), True)
        await until(lambda: not station.gateway.turns._late.chats)
        assert not _expects(station, account, ann)
        assert station.clock.now_ms() - began_ms < 60_000
        assert [TurnState.STOPPED] == await _states(station, account, ann)


async def _done(station: Station, account: AccountId, user: str) -> bool:
    return await _states(station, account, user) == [TurnState.DONE]
