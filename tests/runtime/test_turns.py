"""Turns: merged over stored messages, one per chat at a time, stoppable at once, never asked twice for what is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from simulation.checker import findings
from simulation.station import Station, target
from simulation.virtual import in_virtual_time, run
from tests.runtime.answers import until, until_shown
from yizhan.errors import StoreBusy
from yizhan.model import (
    AccountId,
    ChatId,
    Inbound,
    MessageClass,
    ReplyToken,
    Target,
    TokenState,
    Turn,
    TurnState,
)
from yizhan.ports import AgentFailed, Batch, Heard, OutputEnd, Piece, Question, Said, Text
from yizhan.store.store import SqlStore
from yizhan_simulator import Limit
from yizhan_simulator.phone import Quote


class Scripted:
    """An agent that notes what it is asked and answers as told, after a time."""

    name = "scripted"

    def __init__(self, reply: Callable[[Question], list[str]], takes_s: float = 0) -> None:
        self.asked: list[Question] = []
        self.finished = 0
        self._reply = reply
        self._takes_s = takes_s

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        self.asked.append(question)
        await asyncio.sleep(self._takes_s)
        self.finished += 1
        for text in self._reply(question):
            yield Text(text)
            yield OutputEnd()

    async def close(self) -> None:
        pass


def _repeat(question: Question) -> list[str]:
    return [f"re: {question.text}"]


@asynccontextmanager
async def ann_at(home: Path, **settings: Any) -> AsyncIterator[tuple[Station, str, AccountId]]:
    """A station with one account, and Ann, who may talk to it."""
    async with Station(home, **settings) as station:
        ann = station.world.add_user("Ann")
        yield station, ann, await station.link(ann)


async def _turns(station: Station, account: str, user: str) -> list[Turn]:
    page = await station.gateway.store.timeline(target(account, user), None, 100)
    return [row for row in page.rows if isinstance(row, Turn)][::-1]


@in_virtual_time
async def test_rapid_messages_become_one_question_and_one_answer(home: Path) -> None:
    """People write in bursts; three answers to one thought are noise."""

    agent = Scripted(_repeat)
    async with ann_at(home, answers=agent) as (station, ann, _):
        for text in ("one", "two", "three"):
            station.say(ann, text)
            await asyncio.sleep(0.3)
        await asyncio.sleep(3)
        assert ["one\ntwo\nthree"] == [question.text for question in agent.asked]
        assert ["re: one\ntwo\nthree"] == station.shown(ann)


@pytest.mark.field("F34")
@pytest.mark.parametrize("how", ["stopped", "crashed"])
@in_virtual_time
async def test_a_restart_within_the_debounce_only_delays_the_answer(home: Path, how: str) -> None:
    """What is waiting to be merged lies in the store, not in a dictionary; and is still one question."""

    agent = Scripted(_repeat)
    async with ann_at(home, answers=agent, turns={"debounce_s": 5}) as (station, ann, _):
        for number, text in enumerate(("one", "two"), 1):
            station.say(ann, text)
            await until(lambda number=number: _stored(station, number))
        if how == "stopped":
            await station.stop()
            await station.start()
        else:
            await station.restart()
        assert [] == agent.asked
        await until_shown(station, ann, "re: one\ntwo")
        assert ["one\ntwo"] == [question.text for question in agent.asked]


@in_virtual_time
async def test_a_crash_in_the_middle_of_a_turn_asks_again_and_answers_once(home: Path) -> None:
    """The agent had not said anything yet, so it is asked again; the chat hears one answer."""

    agent = Scripted(_repeat, takes_s=5)
    async with ann_at(home, answers=agent) as (station, ann, account):
        station.say(ann, "think hard")
        await asyncio.sleep(3)
        await station.restart()
        await asyncio.sleep(10)
        assert 2 == len(agent.asked)
        assert ["re: think hard"] == station.shown(ann)
        assert [TurnState.DONE] == [turn.state for turn in await _turns(station, account, ann)]
        assert [] == await findings(station)


@pytest.mark.field("F33")
@in_virtual_time
async def test_one_chat_is_answered_in_order_while_others_are_not_kept_waiting(home: Path) -> None:
    """A turn of two minutes for Ann is no reason to keep Bob waiting."""

    agent = Scripted(_repeat, takes_s=1)
    async with Station(home, answers=agent) as station:
        ann, bob = station.world.add_user("Ann"), station.world.add_user("Bob")
        account = await station.link(ann)
        agent._takes_s = 120
        station.say(ann, "slow")
        await asyncio.sleep(2)
        agent._takes_s = 1
        station.say(bob, "quick", account)
        station.say(ann, "after that")
        await asyncio.sleep(5)
        assert ["re: quick"] == station.shown(bob)
        assert [] == station.shown(ann)
        await asyncio.sleep(125)
        assert ["re: slow", "re: after that"] == station.shown(ann)


@pytest.mark.field("F33")
@in_virtual_time
async def test_stop_reaches_a_running_turn_at_once(home: Path) -> None:
    """Whoever says stop does not want to wait for the end first."""

    agent = Scripted(_repeat, takes_s=600)
    async with ann_at(home, answers=agent, language="en") as (station, ann, account):
        station.say(ann, "write a novel")
        await asyncio.sleep(5)
        station.say(ann, "/stop")
        await asyncio.sleep(1)
        assert ["Stopped."] == station.shown(ann)
        assert [TurnState.STOPPED] == [turn.state for turn in await _turns(station, account, ann)]
        assert 0 == agent.finished


@in_virtual_time
async def test_new_forgets_what_was_said_and_status_and_help_answer_at_once(home: Path) -> None:
    """Commands bypass the queue of turns, and a fresh start is one."""

    agent = Scripted(_repeat)
    settings = {
        "language": "en",
        "agent": "model",
        "agents": {"model": {"kind": "openai", "base_url": "http://none.example", "model": "m"}},
    }
    async with ann_at(home, answers=agent, **settings) as (station, ann, _):
        for text in ("my name is Ann", "who am I?", "/new", "and now?", "/status", "/help"):
            station.say(ann, text)
            await asyncio.sleep(3)
        first, second, third = agent.asked
        assert () == first.history
        assert [("user", "my name is Ann"), ("assistant", "re: my name is Ann")] == _lines(second.history)
        assert () == third.history
        assert second.session != third.session
        shown = station.shown(ann)
        assert "A fresh start: what was said before is no longer taken into account." in shown
        assert any(text.startswith("Connection: up. Answering: no.") for text in shown)
        assert any("/stop ends" in text for text in shown)


@in_virtual_time
async def test_a_failed_turn_tells_the_chat_one_sentence_and_the_operator_the_cause(home: Path) -> None:
    """The chat hears that it failed, never why; the timeline says why."""

    def fail(question: Question) -> list[str]:
        raise AgentFailed("agent-unreachable", "cannot connect to http://model.example")

    async with ann_at(home, answers=Scripted(fail), language="en") as (station, ann, account):
        station.say(ann, "hello?")
        await asyncio.sleep(3)
        (turn,) = await _turns(station, account, ann)
        assert (TurnState.FAILED, "agent-unreachable") == (turn.state, turn.reason.code)
        (notice,) = station.shown(ann)
        assert notice.startswith("Sorry, this message could not be answered")
        assert "model.example" not in notice


@pytest.mark.field("F36")
@in_virtual_time
async def test_a_stranger_is_listed_and_not_answered_until_somebody_allows_him(home: Path) -> None:
    """Deny by default, and nothing of it happens in silence."""

    agent = Scripted(_repeat)
    async with Station(home, answers=agent, access={"policy": "pairing"}) as station:
        ann, eve = station.world.add_user("Ann"), station.world.add_user("Eve")
        account = await station.link(ann)
        station.say(ann, "it is me")
        station.say(eve, "let me in", account)
        await asyncio.sleep(3)
        assert ["re: it is me"] == station.shown(ann)
        assert [] == station.shown(eve)
        (rule,) = await station.gateway.store.rules(account)
        assert (eve, "pending", "let me in") == (rule.sender_id, rule.rule, rule.first_text)
        await station.gateway.set_rule(account, eve, rule.rule.__class__("allow"))
        station.say(eve, "and now?", account)
        await asyncio.sleep(3)
        assert ["re: and now?"] == station.shown(eve)


@pytest.mark.field("F31")
@pytest.mark.field("F32")
@pytest.mark.parametrize("after_ms", [3_000, 11_000])
@pytest.mark.parametrize(
    ("said", "answer"),
    [("yes", "re: yes"), ("/stop", "No answer is being written.")],
    ids=["words", "command"],
)
@in_virtual_time
async def test_the_same_words_twice_are_two_messages_and_a_repeat_is_one(
    home: Path, said: str, answer: str, after_ms: int
) -> None:
    """ "yes" twice is honest; the platform's repeat under another id is not. What is suppressed is listed."""

    agent = Scripted(_repeat)
    async with ann_at(home, answers=agent, language="en") as (station, ann, account):
        station.world.turn(dup_inbound={"after_ms": after_ms, "id": "new"})
        station.say(ann, said)
        await asyncio.sleep(20)
        station.say(ann, said)
        await asyncio.sleep(20)
        assert [answer, answer] == station.shown(ann)
        assert (2 if said == "yes" else 0) == len(agent.asked)
        page = await station.gateway.store.timeline(target(account, ann), None, 100)
        assert 2 == sum(isinstance(row, Inbound) for row in page.rows)
        assert 2 == sum(row.__class__.__name__ == "Suppressed" for row in page.rows)


@in_virtual_time
async def test_a_quote_by_id_reaches_the_agent_in_full(home: Path) -> None:
    """ "this one" means nothing without the words it points at."""

    agent = Scripted(_repeat)
    async with ann_at(home, answers=agent) as (station, ann, _):
        station.say(ann, "the red one or the blue one?")
        await asyncio.sleep(3)
        answer = station.world.shown(ann)[-1]
        quote = Quote(message_id=answer.message_id)
        station.world.say(ann, "this one", station.clock.now_ms(), quote=quote)
        await asyncio.sleep(3)
        assert "> re: the red one or the blue one?\nthis one" == agent.asked[-1].text


@in_virtual_time
async def test_the_answer_ends_progress_that_was_not_sent(home: Path) -> None:
    """Progress is for the time before the answer."""

    async with ann_at(home, agent="none") as (station, ann, account):
        station.say(ann, "hi")
        await asyncio.sleep(2)
        station.world.add_limit(Limit(count=1, per_s=30), station.clock.now_ms())
        for text in ("step 1", "step 2", "step 3"):
            await station.push(account, ann, text, klass=MessageClass.PROGRESS)
        await asyncio.sleep(1)
        await station.push(account, ann, "done", klass=MessageClass.REPLY)
        await station.until_quiet(600)
        assert ["step 1", "step 2", "done"] == station.shown(ann)
        ended = {message.text: message.state.value for message in await station.messages()}
        assert "cancelled" == ended["step 3"]


@in_virtual_time
async def test_a_sender_who_can_be_no_chat_gets_no_answer_and_is_not_asked_about_for_ever(home: Path) -> None:
    """His turn ends visibly; before, it stayed open and the agent was asked again at every restart."""

    agent = Scripted(_repeat)
    async with ann_at(home, answers=agent) as (station, _, account):
        await asyncio.sleep(1)
        await _hear(station, account, "crowd@chatroom", "hello", "/help")
        await asyncio.sleep(3)
        assert ((), ()) == await _open(station)
        (turn,) = await _turns(station, account, "crowd@chatroom")
        assert (TurnState.FAILED, "unknown-chat") == (turn.state, turn.reason.code)
        await station.restart()
        await asyncio.sleep(3)
        assert 1 == len(agent.asked)


@pytest.mark.parametrize("told", [True, False])
@in_virtual_time
async def test_removing_an_account_ends_the_turn_that_was_running(home: Path, told: bool) -> None:
    """Its answer has nowhere to go; nothing is asked again, and nothing is left open."""

    agent = Scripted(_repeat, takes_s=30)
    async with ann_at(home, answers=agent) as (station, ann, account):
        station.say(ann, "hello")
        await asyncio.sleep(2)
        await station.gateway.remove_account(account)
        if told:
            station.gateway.turns.forget(account)
        await asyncio.sleep(60)
        assert ((), ()) == await _open(station)
        (turn,) = await _turns(station, account, ann)
        assert (TurnState.STOPPED, "account-removed") == (turn.state, turn.reason.code)
        await station.restart()
        await asyncio.sleep(60)
        assert (1, []) == (len(agent.asked), station.shown(ann))


@in_virtual_time
async def test_a_message_whose_account_goes_while_it_is_merged_starts_no_turn(home: Path) -> None:
    """Between the message and its turn lies the debounce, and much can happen in it."""

    agent = Scripted(_repeat)
    async with ann_at(home, answers=agent, turns={"debounce_s": 5}) as (station, ann, account):
        station.say(ann, "hello")
        await asyncio.sleep(2)
        await station.gateway.remove_account(account)
        await asyncio.sleep(10)
        assert ((), ()) == await _open(station)
        assert [] == agent.asked


@in_virtual_time
async def test_stop_reaches_a_turn_that_waits_for_a_free_worker(home: Path) -> None:
    """ "Nothing is running", and then the answer comes: nobody would believe us again."""

    agent = Scripted(_repeat, takes_s=60)
    async with Station(home, answers=agent, language="en", turns={"workers": 1}) as station:
        ann, bob = station.world.add_user("Ann"), station.world.add_user("Bob")
        account, other = await station.link(ann), await station.link(bob)
        station.say(ann, "one")
        await asyncio.sleep(2)
        station.say(bob, "two")
        await asyncio.sleep(2)
        (waiting,) = await _turns(station, other, bob)
        assert (TurnState.QUEUED, None) == (waiting.state, waiting.started_at_ms)
        station.say(bob, "/stop")
        await asyncio.sleep(2)
        assert ["Stopped."] == station.shown(bob)
        await asyncio.sleep(120)
        assert (["Stopped."], ["re: one"]) == (station.shown(bob), station.shown(ann))
        assert [TurnState.STOPPED] == [turn.state for turn in await _turns(station, other, bob)]
        assert [TurnState.DONE] == [turn.state for turn in await _turns(station, account, ann)]
        assert ["one"] == [question.text for question in agent.asked]


@in_virtual_time
async def test_stop_reaches_a_turn_whose_opening_waits_for_the_disk(home: Path) -> None:
    """The store is slow or full, and the person does not want the answer any more."""

    agent = Scripted(_repeat)
    async with ann_at(home, answers=agent, language="en") as (station, ann, account):
        busy = _Busy(station.gateway.store, "start_turn")
        station.say(ann, "one")
        await asyncio.sleep(3)
        assert busy.refused > 0
        station.say(ann, "/stop")
        await asyncio.sleep(1)
        busy.end()
        await asyncio.sleep(3)
        assert ["Stopped."] == station.shown(ann)
        assert [TurnState.STOPPED] == [turn.state for turn in await _turns(station, account, ann)]
        assert [] == agent.asked


@in_virtual_time
async def test_stop_reaches_turns_that_were_to_be_resumed_after_a_restart(home: Path) -> None:
    """They end as stopped, whether a worker has them or not: Bob's waits for Ann's."""

    agent = Scripted(_repeat, takes_s=60)
    async with Station(home, answers=agent, language="en", turns={"workers": 1}) as station:
        ann, bob = station.world.add_user("Ann"), station.world.add_user("Bob")
        account, other = await station.link(ann), await station.link(bob)
        station.say(ann, "one")
        await asyncio.sleep(2)
        station.say(bob, "two")
        await asyncio.sleep(2)
        await station.restart()
        await asyncio.sleep(2)
        station.say(ann, "/stop")
        station.say(bob, "/stop")
        await asyncio.sleep(90)
        assert [["Stopped."], ["Stopped."]] == [station.shown(ann), station.shown(bob)]
        ended = [*await _turns(station, account, ann), *await _turns(station, other, bob)]
        assert [TurnState.STOPPED] * 2 == [turn.state for turn in ended]
        assert 0 == agent.finished


@in_virtual_time
async def test_a_stop_that_a_crash_kept_from_being_carried_out_stops_the_resumed_turn(home: Path) -> None:
    """It was stored, so it counts: the turn of before the crash is not asked to its end."""

    agent = Scripted(_repeat, takes_s=60)
    async with ann_at(home, answers=agent, language="en") as (station, ann, account):
        station.say(ann, "one")
        await asyncio.sleep(3)
        station.gate.at, station.gate.after = len(station.gate.seen) + 1, True
        station.say(ann, "/stop")
        await station.gate.struck.wait()
        assert "commit_inbound" == station.gate.seen[-1]
        await station.restart()
        await asyncio.sleep(90)
        assert ["Stopped."] == station.shown(ann)
        assert [TurnState.STOPPED] == [turn.state for turn in await _turns(station, account, ann)]
        assert 0 == agent.finished


@in_virtual_time
async def test_what_arrives_while_the_gateway_starts_is_answered_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line listened before what was left over had been read, so that one message was handed on twice, and stood
    twice in the question."""
    read = SqlStore.pending_inbound

    async def slowly(store: SqlStore) -> tuple[Inbound, ...]:
        await asyncio.sleep(0.3)
        return await read(store)

    agent = Scripted(_repeat)
    async with ann_at(home, answers=agent) as (station, ann, _):
        await asyncio.sleep(1)
        monkeypatch.setattr(SqlStore, "pending_inbound", slowly)
        await station.crash()
        station.say(ann, "hello")
        await station.start()
        await until_shown(station, ann, "re: hello")
        await asyncio.sleep(30)
        assert ["hello"] == [question.text for question in agent.asked]
        assert [] == await findings(station)


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("command", "said"), [("/stop", "Stopped."), ("/new", "A fresh start")])
@in_virtual_time
async def test_what_is_written_right_behind_a_stop_is_answered(
    home: Path, command: str, said: str, crash: bool
) -> None:
    """A phone that was offline hands over three messages at once. The command ends what came before it, and nothing of
    what came after, also where a crash keeps it from being carried out."""

    agent = Scripted(_repeat)
    async with ann_at(home, answers=agent, language="en") as (station, ann, _):
        await asyncio.sleep(1)
        if crash:
            station.gate.at, station.gate.after = len(station.gate.seen) + 1, True
        for text in ("one", command, "two", "three"):
            station.say(ann, text)
        if crash:
            await station.gate.struck.wait()
            assert "commit_inbound" == station.gate.seen[-1]
            await station.restart()
        await asyncio.sleep(30)
        assert ["two\nthree"] == [question.text for question in agent.asked]
        first, *rest = station.shown(ann)
        assert (first.startswith(said), ["re: two\nthree"]) == (True, rest)
        assert [] == await findings(station)


@in_virtual_time
async def test_a_broken_agent_ends_its_turn_and_the_next_one_is_answered(home: Path) -> None:
    """Whatever an agent yields or raises, it breaks one turn and no chat."""

    def odd(question: Question) -> list[Any]:
        if question.text == "raise":
            raise ZeroDivisionError
        return [7] if question.text == "number" else ["fine"]

    async with ann_at(home, answers=Scripted(odd)) as (station, ann, account):
        for text in ("raise", "number", "text"):
            station.say(ann, text)
            await asyncio.sleep(3)
        ends = [
            (turn.state, turn.reason and turn.reason.code) for turn in await _turns(station, account, ann)
        ]
        failed = TurnState.FAILED
        assert [(failed, "agent-broke"), (failed, "agent-broke"), (TurnState.DONE, None)] == ends
        assert "fine" == station.shown(ann)[-1]


CANARY = "kumquat-4711"


@pytest.mark.field("F85")
def test_what_was_said_stands_in_no_log_and_in_no_event_but_its_own(home: Path) -> None:
    """An agent's complaint may quote its input; the operator's timeline has it, nothing else."""

    def quote(question: Question) -> list[str]:
        if "broken" in question.text:
            raise ValueError(f"cannot parse {question.text}")
        raise AgentFailed("agent-error", f"sh: {question.text}: not found\x00 " + "x" * 5_000)

    async def story() -> None:
        async with ann_at(home, answers=Scripted(quote)) as (station, ann, account):
            for text in (CANARY, f"broken {CANARY}"):
                station.say(ann, text)
                await asyncio.sleep(3)
            first, second = await _turns(station, account, ann)
            assert ("agent-error", "agent-broke") == (first.reason.code, second.reason.code)
            assert CANARY in first.reason.text
            assert CANARY in second.reason.text
            assert 500 == len(first.reason.text)
            events = await station.gateway.store.events_after(0, 1_000)
            assert {"message.received"} == {event.type for event in events if CANARY.encode() in event.data}

    with structlog.testing.capture_logs() as logged:
        run(story())
    failed = [line for line in logged if line["event"] == "turn.failed"]
    assert ["agent-error", "agent-broke"] == [line["code"] for line in failed]
    assert CANARY not in repr(logged)


@in_virtual_time
async def test_a_dead_token_does_not_go_out_with_typing_either(home: Path) -> None:
    """What sends may not use, getconfig may not show."""

    async with ann_at(home, agent="none") as (station, ann, account):
        station.say(ann, "hi")
        await asyncio.sleep(2)
        outbound, chat = station.gateway.outbound, target(account, ann)
        lane = outbound.lanes.lane(chat)
        seen = {}
        for state in TokenState:
            lane.token = replace(lane.token, state=state)
            token: ReplyToken | None = outbound.usable_token(chat)
            seen[state] = token is not None
        usable = {TokenState.FRESH, TokenState.SUSPECT}
        assert {state: state in usable for state in TokenState} == seen
        assert None is outbound.usable_token(Target(account, ChatId("nobody@im.wechat")))


class _Busy:
    """One verb of a store that refuses until `end`."""

    def __init__(self, store: Any, verb: str) -> None:
        self.refused = 0
        self._store, self._verb = store, verb
        setattr(store, verb, self._refuse)

    async def _refuse(self, *_: Any) -> None:
        self.refused += 1
        raise StoreBusy("the disk is full")

    def end(self) -> None:
        delattr(self._store, self._verb)


async def _hear(station: Station, account: AccountId, chat: str, *texts: str) -> None:
    """The platform tells of messages as no real one would."""
    inbound = station.gateway._inbound
    known = await station.gateway.store.account(account)
    for text in texts:
        heard = Heard(ChatId(chat), "direct", f"p-{text}", chat, "", text, "", (), 0, "token")
        await inbound.commit(known, Batch((heard,)))


async def _stored(station: Station, number: int) -> bool:
    return number == len(await station.gateway.store.pending_inbound())


async def _open(station: Station) -> tuple[tuple[Turn, ...], tuple[Inbound, ...]]:
    store = station.gateway.store
    return await store.open_turns(), await store.pending_inbound()


def _lines(history: tuple[Said, ...]) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in history]


@pytest.mark.parametrize(
    ("said", "step", "first"), [("hello", "end_turn", "re: hello"), ("/help", "accept", "/")]
)
@in_virtual_time
async def test_an_answer_that_was_kept_unheard_is_not_overtaken(
    home: Path, said: str, step: str, first: str
) -> None:
    """The database commits, its answer is lost on the way, and a program writes before the turn asks again."""

    async with ann_at(home, answers=Scripted(_repeat)) as (station, ann, account):
        station.say(ann, "hi")
        await asyncio.sleep(3)
        station.gate.forgetful = lambda: station.gate.seen[-1] == step
        station.say(ann, said)
        while step != station.gate.seen[-1]:
            await asyncio.sleep(0.001)
        station.gate.forgetful = lambda: False
        await station.push(account, ann, "by the way", klass=MessageClass.REPLY)
        await asyncio.sleep(3)
        shown = station.shown(ann)
        assert "by the way" == shown[-1]
        assert first in shown[-2]
        assert 3 == len(shown)


@in_virtual_time
async def test_stopped_on_a_full_disk_it_says_what_could_not_be_stored_and_hears_it_again(home: Path) -> None:
    """What was read is nobody's but the platform's until it is on disk."""

    async with ann_at(home, answers=Scripted(_repeat)) as (station, ann, _):
        await asyncio.sleep(1)
        station.gate.full = True
        station.say(ann, "one")
        await asyncio.sleep(2)
        with structlog.testing.capture_logs() as lines:
            await station.stop()
        assert [1] == [line["messages"] for line in lines if line["event"] == "inbound.abandoned"]
        await station.start()
        await asyncio.sleep(3)
        assert ["re: one"] == station.shown(ann)
