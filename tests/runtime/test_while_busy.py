"""Messages that come while the agent works, chats that wait for each other's workers, agents that never end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulation.checker import findings
from simulation.station import Station
from simulation.virtual import in_virtual_time
from tests.runtime.answers import Gated, ann_at, turns_of, until, until_shown
from yizhan.model import TurnState
from yizhan.runtime.views import ScheduleWish
from yizhan_simulator import Fault
from yizhan_simulator.knobs import Refusal

INTERRUPT = {"turns": {"while_busy": "interrupt"}}
STEER = {"turns": {"while_busy": "steer"}}


@in_virtual_time
async def test_by_default_a_further_message_waits_for_its_own_turn(home: Path) -> None:
    """Nothing of the first answer is thrown away because somebody adds a word."""
    agent = Gated()
    async with ann_at(home, answers=agent) as (station, ann, account):
        station.say(ann, "one")
        await until(lambda: agent.texts == ["one"])
        station.say(ann, "two")
        await until(lambda: _pending(station, 1))
        agent.release(2)
        await until_shown(station, ann, "re: one", "re: two")
        assert [TurnState.DONE] * 2 == [turn.state for turn in await turns_of(station, account, ann)]


@in_virtual_time
async def test_interrupt_ends_the_turn_and_answers_the_newer_message_instead(home: Path) -> None:
    """ "Forget that, do this": the old turn ends visibly, and its answer never comes."""
    agent = Gated()
    async with ann_at(home, answers=agent, **INTERRUPT) as (station, ann, account):
        station.say(ann, "one")
        await until(lambda: agent.texts == ["one"])
        station.say(ann, "two")
        await until(lambda: agent.texts == ["one", "two"])
        agent.release(2)
        await until_shown(station, ann, "re: two")
        await station.until_quiet()
        first, second = await turns_of(station, account, ann)
        assert (TurnState.STOPPED, "interrupted", 1) == (first.state, first.reason.code, agent.gone)
        assert (TurnState.DONE, 1) == (second.state, len(second.inbound_ids))
        assert [] == await findings(station)


@in_virtual_time
async def test_steer_asks_anew_with_both_messages_and_answers_in_one_turn(home: Path) -> None:
    """ "…and in French, please" belongs to what is being written, not behind it. Also when two come, one by one."""
    agent = Gated()
    async with ann_at(home, answers=agent, **STEER) as (station, ann, account):
        station.say(ann, "one")
        await until(lambda: agent.texts == ["one"])
        station.say(ann, "two")
        await until(lambda: len(agent.asked) == 2)
        station.say(ann, "three")
        await until(lambda: len(agent.asked) == 3)
        agent.release(3)
        await until_shown(station, ann, "re: one\ntwo\nthree")
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.DONE, 3, 2) == (turn.state, len(turn.inbound_ids), agent.gone)
        assert [] == await findings(station)


@in_virtual_time
async def test_a_turn_is_steered_no_longer_than_an_agent_may_work(home: Path) -> None:
    """Somebody who wrote again and again was never answered: the agent began anew each time, and so did its time."""
    agent = Gated()
    settings = {"turns": {"while_busy": "steer", "timeout_s": 60}}
    async with ann_at(home, answers=agent, **settings) as (station, ann, account):
        for number in range(4):
            station.say(ann, f"line {number}")
            await asyncio.sleep(25)
        assert ["line 0", "line 0\nline 1", "line 0\nline 1\nline 2"] == agent.texts
        agent.release(9)
        await until_shown(station, ann, "re: line 0\nline 1\nline 2", "re: line 3")
        assert [TurnState.DONE] * 2 == [turn.state for turn in await turns_of(station, account, ann)]


@pytest.mark.parametrize("at", ["extend_turn", "end_turn"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@in_virtual_time
async def test_a_crash_while_a_turn_is_steered_answers_everything_once(
    home: Path, at: str, after: bool
) -> None:
    """Whichever commit was the last: each message is answered, in one turn, with one answer."""
    agent = Gated()
    async with ann_at(home, answers=agent, **STEER) as (station, ann, account):
        station.say(ann, "one")
        await until(lambda: agent.texts == ["one"])
        if at == "end_turn":
            agent.release(9)
        _strike(station, at, after)
        station.say(ann, "two")
        await until(station.gate.struck.is_set)
        await station.restart()
        agent.release(9)
        await station.until_quiet()
        shown = "\n".join(station.shown(ann))
        assert (1, 1) == (shown.count("one"), shown.count("two"))
        assert {TurnState.DONE} == {turn.state for turn in await turns_of(station, account, ann)}
        assert [] == await findings(station)


@in_virtual_time
async def test_stop_reaches_a_turn_that_is_being_steered(home: Path) -> None:
    """Between two askings lies the debounce; a stop in it counts for both messages."""
    agent = Gated()
    settings = {"turns": {"while_busy": "steer", "debounce_s": 5}, "language": "en"}
    async with ann_at(home, answers=agent, **settings) as (station, ann, account):
        station.say(ann, "one")
        await until(lambda: agent.texts == ["one"])
        station.say(ann, "two")
        await until(lambda: agent.gone == 1)
        station.say(ann, "/stop")
        await until_shown(station, ann, "Stopped.")
        await station.until_quiet()
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.STOPPED, ["one"]) == (turn.state, agent.texts)


@pytest.mark.parametrize("later", [False, True], ids=["at work", "to answer later"])
@in_virtual_time
async def test_retry_right_after_stop_asks_again(home: Path, later: bool) -> None:
    """ "Stopped." said the one, "still being answered" the other: the agent took a moment to end."""
    agent = Gated()
    agent.goodbye_s = 2
    agent.later = later
    async with ann_at(home, answers=agent, language="en") as (station, ann, account):
        station.say(ann, "one")
        agent.release(later)
        await until(lambda: _stands(station, account, ann, "waiting" if later else "running"))
        agent.later = False
        station.say(ann, "/stop")
        station.say(ann, "/retry")
        await until_shown(station, ann, "Stopped.", "Trying again.")
        agent.release(2)
        await until_shown(station, ann, "Stopped.", "Trying again.", "re: one")
        await station.until_quiet()
        turns = await turns_of(station, account, ann)
        assert [TurnState.STOPPED, TurnState.DONE] == [turn.state for turn in turns]
        assert [] == await findings(station)


@in_virtual_time
async def test_a_message_after_stop_does_not_change_why_the_turn_has_ended(home: Path) -> None:
    """The operator read that a newer message had ended what the person had stopped."""
    agent = Gated()
    agent.goodbye_s = 2
    async with ann_at(home, answers=agent, language="en", **INTERRUPT) as (station, ann, account):
        station.say(ann, "one")
        await until(lambda: agent.texts == ["one"])
        station.say(ann, "/stop")
        await until_shown(station, ann, "Stopped.")
        station.say(ann, "two")
        await until(lambda: agent.texts == ["one", "two"])
        agent.release(2)
        await until_shown(station, ann, "Stopped.", "re: two")
        stopped, _ = await turns_of(station, account, ann)
        assert (TurnState.STOPPED, "stopped") == (stopped.state, stopped.reason.code)


@pytest.mark.field("F34")
@in_virtual_time
async def test_what_comes_while_the_gateway_stops_is_answered_after_its_start(home: Path) -> None:
    """Its turn began while everything else ended, and nobody waited for it: the store was closed under its feet."""
    agent = Gated()
    agent.release(9)
    async with ann_at(home, answers=agent, language="en") as (station, ann, _):
        await station.until_quiet()
        await station.gateway.turns.stop()
        station.say(ann, "one")
        station.say(ann, "/help")
        await until(lambda: _pending(station, 2))
        assert [] == agent.texts
        await station.stop()
        await station.start()
        await until(lambda: len(station.shown(ann)) == 2)
        assert ["one"] == agent.texts
        assert "re: one" in station.shown(ann)
        assert [] == await findings(station)


@pytest.mark.parametrize("groups", ["person", "chat"])
@pytest.mark.parametrize("while_busy", ["interrupt", "steer"])
@in_virtual_time
async def test_a_schedule_interrupts_nobody_and_nobody_interrupts_a_schedule(
    home: Path, while_busy: str, groups: str
) -> None:
    """It is due when it is due, and takes nothing back; a report every minute is not cut short by the next either."""
    agent = Gated()
    settings = {"turns": {"while_busy": while_busy}, "sessions": {"groups": groups}}
    async with ann_at(home, answers=agent, **settings) as (station, ann, account):
        station.say(ann, "one")
        await until(lambda: agent.texts == ["one"])
        wish = ScheduleWish(when="every 1h", prompt="report?", to=(f"{account}:{ann}",))
        schedule = (await station.gateway.schedules.add(wish)).id
        await station.gateway.schedules.run(schedule, None)
        agent.release()
        await until(lambda: agent.texts == ["one", "report?"])
        await station.gateway.schedules.run(schedule, None)
        await until(lambda: _pending(station, 1))
        station.say(ann, "two")
        await until(lambda: _pending(station, 2))
        assert (["one", "report?"], 0) == (agent.texts, agent.gone)
        agent.release(9)
        await station.until_quiet()
        assert {TurnState.DONE} == {turn.state for turn in await turns_of(station, account, ann)}
        assert 0 == agent.gone
        assert [] == await findings(station)


@in_virtual_time
async def test_an_agent_that_never_ends_fails_its_turn_in_time(home: Path) -> None:
    """Its worker is somebody else's then; the cause names the setting."""
    agent = Gated()
    settings = {"turns": {"timeout_s": 30, "workers": 1}, "language": "en"}
    async with Station(home, answers=agent, **settings) as station:
        ann, bob = station.world.add_user("Ann"), station.world.add_user("Bob")
        account = await station.link(ann)
        await station.link(bob)
        station.say(ann, "one")
        await until(lambda: agent.texts == ["one"])
        station.say(bob, "two")
        await until(lambda: agent.texts == ["one", "two"])
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.FAILED, "turn-timeout") == (turn.state, turn.reason.code)
        assert "turns.timeout_s" in turn.reason.text
        agent.release(2)
        await until_shown(station, bob, "re: two")
        (notice,) = station.shown(ann)
        assert notice.startswith("Sorry")


@pytest.mark.field("F33")
@in_virtual_time
async def test_a_chat_with_many_messages_does_not_keep_the_others_waiting(home: Path) -> None:
    """One worker, one chat with five questions that were there first: everybody else comes after its first."""
    agent = Gated()
    settings = {"turns": {"workers": 1, "debounce_s": 0}}
    async with Station(home, answers=agent, **settings) as station:
        names = ["Ann", "Bob", "Cid"]
        people = {name: station.world.add_user(name) for name in names}
        accounts = {name: await station.link(people[name]) for name in names}
        station.say(people["Ann"], "ann 0")
        await until(lambda: agent.texts == ["ann 0"])
        for number in range(1, 5):
            station.say(people["Ann"], f"ann {number}")
        await until(lambda: _pending(station, 4))
        for name in ("Bob", "Cid"):
            station.say(people[name], f"{name.lower()} 0")
            await until(lambda name=name: _opened(station, accounts[name], people[name]))
        agent.release(99)
        await station.until_quiet()
        assert {"bob 0", "cid 0"} == set(agent.texts[1:3])
        assert "ann 1\nann 2\nann 3\nann 4" == "\n".join(agent.texts[3:])


@pytest.mark.field("F10")
@in_virtual_time
async def test_a_chat_that_cannot_be_reached_is_owed_one_notice_however_many_turns_fail(home: Path) -> None:
    """Nobody wants five apologies when the line is back; the operator sees all five causes."""
    agent = Gated()
    settings = {"turns": {"timeout_s": 5}, "language": "en"}
    async with ann_at(home, answers=agent, **settings) as (station, ann, account):
        refusal = Refusal(ret=-2, errmsg="rate limited")
        station.world.add_fault(
            Fault(kind="refuse", refusal=refusal, between_s=(0, 120)), station.clock.now_ms()
        )
        for number in range(3):
            station.say(ann, f"question {number}")
            await until(lambda number=number: _failed(station, account, ann, number + 1))
        (owed,) = await station.messages()
        shown = station.gateway.overlay(owed)
        assert ("waiting", "limit") == (shown.state.value, shown.waiting_for.value)
        await station.until_quiet()
        assert 1 == len(station.shown(ann))


async def _failed(station: Station, account: str, user: str, number: int) -> bool:
    turns = await turns_of(station, account, user)
    return number == sum(turn.state is TurnState.FAILED for turn in turns)


async def _stands(station: Station, account: str, user: str, state: str) -> bool:
    return [state] == [turn.state for turn in await turns_of(station, account, user)]


async def _opened(station: Station, account: str, user: str) -> bool:
    return bool(await turns_of(station, account, user))


async def _pending(station: Station, number: int) -> bool:
    return number == len(await station.gateway.store.pending_inbound())


def _strike(station: Station, label: str, after: bool) -> None:
    """The process dies at its next commit of that name."""
    gate = station.gate
    seldom = gate.before_commit

    def before_commit(name: str) -> None:
        if label in name.split("+"):
            gate.at, gate.after = len(gate.seen) + 1, after
        seldom(name)

    gate.before_commit = before_commit  # type: ignore[method-assign]
