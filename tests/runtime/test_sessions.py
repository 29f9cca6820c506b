"""What an agent is to remember: of a chat, of a person in a group, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulation.station import Station, target
from simulation.virtual import in_virtual_time
from tests.runtime.answers import Gated, ann_at, until, until_shown
from yizhan.model import AccountId, ChatId, Inbound, MessageState
from yizhan.ports import AgentFailed, Batch, Heard, Piece, Question
from yizhan_simulator import Fault
from yizhan_simulator.knobs import Refusal

MODEL = {
    "agent": "model",
    "agents": {"model": {"kind": "openai", "base_url": "http://none.example", "model": "m"}},
}
"""An agent that is told the history; in these tests a Gated stands in its place."""


def _open() -> Gated:
    agent = Gated()
    agent.release(99)
    return agent


async def _ask(station: Station, user: str, agent: Gated, text: str) -> Question:
    """What the agent was asked in the end."""
    before = len(agent.asked)
    station.say(user, text)
    await until(lambda: len(agent.asked) == before + 1)
    await station.until_quiet()
    return agent.asked[-1]


def _told(question: Question) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in question.history]


@in_virtual_time
async def test_a_name_of_the_conversation_that_nobody_can_write_down_costs_no_answer(home: Path) -> None:
    """Half a character from a broken header: the answer is said, and the name is kept as it can be."""
    agent = _open()
    agent.calls_it = "thread\x00-\udc80" + "7" * 999
    async with ann_at(home, answers=agent) as (station, ann, _):
        await _ask(station, ann, agent, "one")
        assert "thread-\ufffd" + "7" * 248 == (await _ask(station, ann, agent, "two")).agent_session
        assert ["re: one", "re: two"] == station.shown(ann)


@in_virtual_time
async def test_the_agents_own_name_of_the_conversation_comes_back_until_a_fresh_start(home: Path) -> None:
    """After a restart too; /new and another agent know nothing of it."""
    agent = _open()
    async with ann_at(home, answers=agent) as (station, ann, _):
        agent.calls_it = "thread-7"
        assert "" == (await _ask(station, ann, agent, "one")).agent_session
        agent.calls_it = ""
        assert "thread-7" == (await _ask(station, ann, agent, "two")).agent_session
        await station.restart()
        second = await _ask(station, ann, agent, "three")
        assert "thread-7" == second.agent_session
        station.say(ann, "/new")
        await until(lambda: len(station.shown(ann)) == 4)
        third = await _ask(station, ann, agent, "four")
        assert ("", True) == (third.agent_session, third.session != second.session)
        agent.calls_it = "thread-8"
        await _ask(station, ann, agent, "five")
        await station.stop()
        agent.name = "other"
        await station.start()
        assert "" == (await _ask(station, ann, agent, "six")).agent_session


@in_virtual_time
async def test_a_quiet_time_begins_a_new_session_that_knows_what_was_pushed_meanwhile(home: Path) -> None:
    """ "Shall I order it?" at eight, "yes, do it" at nine: the question belongs to the answer."""
    agent = _open()
    async with ann_at(home, answers=agent, sessions={"idle_s": 3_600}, **MODEL) as (station, ann, account):
        first = await _ask(station, ann, agent, "old business")
        await station.push(account, ann, "Shall I order it?")
        await until_shown(station, ann, "re: old business", "Shall I order it?")
        assert [
            ("user", "old business"),
            ("assistant", "re: old business"),
            ("assistant", "Shall I order it?"),
        ] == (_told(await _ask(station, ann, agent, "wait")))
        await station.push(account, ann, "Now?")
        await until(lambda: station.shown(ann)[-1] == "Now?")
        await asyncio.sleep(3_700)
        asked = await _ask(station, ann, agent, "yes, do it")
        assert [("assistant", "Now?")] == _told(asked)
        assert first.session != asked.session


@pytest.mark.field("F38")
@in_virtual_time
async def test_the_agent_is_told_what_did_not_arrive(home: Path) -> None:
    """Asked again it can say it again, instead of insisting that it has."""
    agent = _open()
    async with ann_at(home, answers=agent, **MODEL) as (station, ann, _):
        refusal = Refusal(ret=-2, errmsg="rate limited")
        station.world.add_fault(
            Fault(kind="refuse", refusal=refusal, between_s=(0, 60)), station.clock.now_ms()
        )
        station.say(ann, "one")
        await until(lambda: _waits(station))
        (owed,) = await station.messages()
        await station.gateway.cancel(owed.id)
        told = (await _ask(station, ann, agent, "two")).history
        assert [("one", False), ("re: one", True)] == [(line.text, line.undelivered) for line in told]


@pytest.mark.parametrize("preset", ["plain", "hermes"])
@in_virtual_time
async def test_agent_can_tell_its_own_words_from_those_of_others(home: Path, preset: str) -> None:
    """Whatever remembers by itself knows the one and not the other: a push has to reach it with the next question."""
    agent = _open()
    model = MODEL["agents"]["model"] | {"preset": preset}
    async with ann_at(home, answers=agent, agent="model", agents={"model": model}) as (station, ann, account):
        await _ask(station, ann, agent, "one")
        await station.push(account, ann, "deploy?")
        await station.until_quiet()
        told = (await _ask(station, ann, agent, "yes, do it")).history
        assert [("one", False), ("re: one", False), ("deploy?", True)] == [
            (line.text, line.unasked) for line in told
        ]


class Away(Gated):
    """Cannot be asked while it is away."""

    away = False

    async def answer(self, question: Question) -> AsyncIterator[Piece]:
        if self.away:
            raise AgentFailed("agent-unreachable", "http://none.example cannot be reached.")
        async for piece in super().answer(question):
            yield piece


@in_virtual_time
async def test_what_was_said_while_no_agent_could_hear_it_reaches_the_next_question(home: Path) -> None:
    """It was down, then a person answered: an agent that remembers by itself was told neither, nor the push before."""
    agent = Away()
    agent.release(99)
    model = MODEL["agents"]["model"] | {"preset": "hermes"}
    async with ann_at(home, answers=agent, agent="model", agents={"model": model}) as (station, ann, account):
        await _ask(station, ann, agent, "one")
        await station.push(account, ann, "deploy?")
        agent.away = True
        station.say(ann, "yes")
        await until(lambda: len(station.shown(ann)) == 3)  # an answer, the push, a notice
        agent.away = False
        await station.gateway.take_over(target(account, ann), True)
        station.say(ann, "hello?")
        await until(lambda: _stored(station, account, ann, "hello?"))
        await station.gateway.take_over(target(account, ann), False)
        told = (await _ask(station, ann, agent, "well?")).history
        heard = [(line.text, line.unasked, line.unheard) for line in told]
        assert [
            ("one", False, False),
            ("re: one", False, False),
            ("deploy?", True, False),
            ("yes", False, True),
            ("hello?", False, True),
        ] == heard


async def _stored(station: Station, account: AccountId, user: str, text: str) -> bool:
    page = await station.gateway.store.timeline(target(account, user), None, 100)
    return text in [row.text for row in page.rows if isinstance(row, Inbound)]


async def _waits(station: Station) -> bool:
    return any(message.state is MessageState.WAITING for message in await station.messages())


@pytest.mark.parametrize("groups", ["person", "chat"])
@in_virtual_time
async def test_in_a_group_each_person_has_a_session_or_all_have_one(home: Path, groups: str) -> None:
    """Bob's /new must not make the agent forget Cid, and their questions are not one question."""
    agent = _open()
    async with ann_at(home, answers=agent, sessions={"groups": groups}, language="en", **MODEL) as (
        station,
        _,
        account,
    ):
        await _hear(station, account, "bob", "bob one")
        await _hear(station, account, "cid", "cid one")
        await until(lambda: _answered(station))
        alone = groups == "person"
        assert (["bob one", "cid one"] if alone else ["bob one\ncid one"]) == agent.texts
        await _hear(station, account, "bob", "/new")
        await until(lambda: _answered(station))
        await _hear(station, account, "cid", "cid two")
        await until(lambda: _answered(station))
        assert ([("user", "cid one"), ("assistant", "re: cid one")] if alone else []) == _told(
            agent.asked[-1]
        )
        await _hear(station, account, "bob", "bob two")
        await until(lambda: _answered(station))
        others = [("user", "cid two"), ("assistant", "re: cid two")]
        assert ([] if alone else others) == _told(agent.asked[-1])
        assert alone is (agent.asked[-1].session != agent.asked[-2].session)


@pytest.mark.parametrize("groups", ["person", "chat"])
@in_virtual_time
async def test_a_fresh_start_of_one_person_leaves_the_others_questions_alone(home: Path, groups: str) -> None:
    """Bob's /new ended the answer that Cid was waiting for, and took Dan's question away without a word."""
    agent = Gated()
    async with ann_at(home, answers=agent, sessions={"groups": groups}, language="en") as (
        station,
        _,
        account,
    ):
        await _hear(station, account, "cid", "cid one")
        await until(lambda: agent.texts == ["cid one"])
        await _hear(station, account, "dan", "dan one")
        await _hear(station, account, "bob", "bob one")
        await _hear(station, account, "bob", "/new")
        await until(lambda: _pending(station, ["dan one"] if groups == "person" else []))
        agent.release(9)
        await until(lambda: _answered(station))
        alone = groups == "person"
        assert (["cid one", "dan one"] if alone else ["cid one"]) == agent.texts
        assert (0 if alone else 1) == agent.gone


@in_virtual_time
async def test_a_stop_in_a_group_ends_whatever_goes_on(home: Path) -> None:
    """Nobody should have to ask who has asked while a long answer fills the room."""
    agent = Gated()
    async with ann_at(home, answers=agent, language="en") as (station, _, account):
        await _hear(station, account, "cid", "cid one")
        await until(lambda: agent.texts == ["cid one"])
        await _hear(station, account, "dan", "dan one")
        await _hear(station, account, "bob", "/stop")
        await until(lambda: _answered(station))
        assert (["cid one"], 1) == (agent.texts, agent.gone)


async def _pending(station: Station, texts: list[str]) -> bool:
    return texts == [inbound.text for inbound in await station.gateway.store.pending_inbound()]


async def _answered(station: Station) -> bool:
    store = station.gateway.store
    return not await store.open_turns() and not await store.pending_inbound()


async def _hear(station: Station, account: AccountId, who: str, text: str) -> None:
    """Somebody speaks in the group. Nobody can be answered there; what is asked is what counts here."""
    known = await station.gateway.store.account(account)
    heard = Heard(ChatId("crowd@im.wechat"), "group", None, who, who.title(), text, "", (), 0, "token")
    await station.gateway._inbound.commit(known, Batch((heard,)))
