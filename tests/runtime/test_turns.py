"""Turns: merged over stored messages, one per chat at a time, stoppable at once, never asked twice for what is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from simulation.checker import findings
from simulation.station import Station, target
from simulation.virtual import run
from yizhan.model import Inbound, MessageClass, Turn, TurnState
from yizhan.ports import AgentFailed, Question, Said
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

    async def answer(self, question: Question) -> AsyncIterator[str]:
        self.asked.append(question)
        await asyncio.sleep(self._takes_s)
        self.finished += 1
        for text in self._reply(question):
            yield text

    async def close(self) -> None:
        pass


def _repeat(question: Question) -> list[str]:
    return [f"re: {question.text}"]


async def _turns(station: Station, account: str, user: str) -> list[Turn]:
    page = await station.gateway.store.timeline(target(account, user), None, 100)
    return [row for row in page.rows if isinstance(row, Turn)][::-1]


def test_rapid_messages_become_one_question_and_one_answer(home: Path) -> None:
    """People write in bursts; three answers to one thought are noise."""

    async def story() -> None:
        agent = Scripted(_repeat)
        async with Station(home, answers=agent) as station:
            ann = station.world.add_user("Ann")
            await station.link(ann)
            for text in ("one", "two", "three"):
                station.say(ann, text)
                await asyncio.sleep(0.3)
            await asyncio.sleep(3)
            assert ["one\ntwo\nthree"] == [question.text for question in agent.asked]
            assert ["re: one\ntwo\nthree"] == station.shown(ann)

    run(story())


def test_a_restart_within_the_debounce_only_delays_the_answer(home: Path) -> None:
    """What is waiting to be merged lies in the store, not in a dictionary."""

    async def story() -> None:
        async with Station(home, answers=Scripted(_repeat)) as station:
            ann = station.world.add_user("Ann")
            await station.link(ann)
            await asyncio.sleep(1)
            station.say(ann, "one")
            await asyncio.sleep(0.3)
            await station.stop()
            await station.start()
            await asyncio.sleep(3)
            assert ["re: one"] == station.shown(ann)

    run(story())


def test_a_crash_in_the_middle_of_a_turn_asks_again_and_answers_once(home: Path) -> None:
    """The agent had not said anything yet, so it is asked again; the chat hears one answer."""

    async def story() -> None:
        agent = Scripted(_repeat, takes_s=5)
        async with Station(home, answers=agent) as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            station.say(ann, "think hard")
            await asyncio.sleep(3)
            await station.restart()
            await asyncio.sleep(10)
            assert 2 == len(agent.asked)
            assert ["re: think hard"] == station.shown(ann)
            assert [TurnState.DONE] == [turn.state for turn in await _turns(station, account, ann)]
            assert [] == await findings(station)

    run(story())


def test_one_chat_is_answered_in_order_while_others_are_not_kept_waiting(home: Path) -> None:
    """A turn of two minutes for Ann is no reason to keep Bob waiting."""

    async def story() -> None:
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

    run(story())


def test_stop_reaches_a_running_turn_at_once(home: Path) -> None:
    """Whoever says stop does not want to wait for the end first."""

    async def story() -> None:
        agent = Scripted(_repeat, takes_s=600)
        async with Station(home, answers=agent, language="en") as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            station.say(ann, "write a novel")
            await asyncio.sleep(5)
            station.say(ann, "/stop")
            await asyncio.sleep(1)
            assert ["Stopped."] == station.shown(ann)
            assert [TurnState.STOPPED] == [turn.state for turn in await _turns(station, account, ann)]
            assert 0 == agent.finished

    run(story())


def test_new_forgets_what_was_said_and_status_and_help_answer_at_once(home: Path) -> None:
    """Commands bypass the queue of turns, and a fresh start is one."""

    async def story() -> None:
        agent = Scripted(_repeat)
        settings = {
            "language": "en",
            "agent": "model",
            "agents": {"model": {"kind": "openai", "base_url": "http://none.example", "model": "m"}},
        }
        async with Station(home, answers=agent, **settings) as station:
            ann = station.world.add_user("Ann")
            await station.link(ann)
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

    run(story())


def test_a_failed_turn_tells_the_chat_one_sentence_and_the_operator_the_cause(home: Path) -> None:
    """The chat hears that it failed, never why; the timeline says why."""

    def fail(question: Question) -> list[str]:
        raise AgentFailed("agent-unreachable", "cannot connect to http://model.example")

    async def story() -> None:
        async with Station(home, answers=Scripted(fail), language="en") as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            station.say(ann, "hello?")
            await asyncio.sleep(3)
            (turn,) = await _turns(station, account, ann)
            assert (TurnState.FAILED, "agent-unreachable") == (turn.state, turn.reason.code)
            (notice,) = station.shown(ann)
            assert notice.startswith("Sorry, this message could not be answered")
            assert "model.example" not in notice

    run(story())


def test_a_stranger_is_listed_and_not_answered_until_somebody_allows_him(home: Path) -> None:
    """Deny by default, and nothing of it happens in silence."""

    async def story() -> None:
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

    run(story())


def test_the_same_words_twice_are_two_messages_and_a_repeat_is_one(home: Path) -> None:
    """ "yes" twice is honest; the platform's repeat under another id is not. What is suppressed is listed."""

    async def story() -> None:
        agent = Scripted(_repeat)
        async with Station(home, answers=agent) as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            station.world.turn(dup_inbound={"after_ms": 3_000, "id": "new"})
            station.say(ann, "yes")
            await asyncio.sleep(10)
            station.say(ann, "yes")
            await asyncio.sleep(10)
            assert ["re: yes", "re: yes"] == station.shown(ann)
            page = await station.gateway.store.timeline(target(account, ann), None, 100)
            assert 2 == sum(isinstance(row, Inbound) for row in page.rows)
            assert 2 == sum(row.__class__.__name__ == "Suppressed" for row in page.rows)

    run(story())


def test_a_quote_by_id_reaches_the_agent_in_full(home: Path) -> None:
    """ "this one" means nothing without the words it points at."""

    async def story() -> None:
        agent = Scripted(_repeat)
        async with Station(home, answers=agent) as station:
            ann = station.world.add_user("Ann")
            await station.link(ann)
            station.say(ann, "the red one or the blue one?")
            await asyncio.sleep(3)
            answer = station.world.shown(ann)[-1]
            quote = Quote(message_id=answer.message_id)
            station.world.say(ann, "this one", station.clock.now_ms(), quote=quote)
            await asyncio.sleep(3)
            assert "> re: the red one or the blue one?\nthis one" == agent.asked[-1].text

    run(story())


def test_the_answer_ends_progress_that_was_not_sent(home: Path) -> None:
    """Progress is for the time before the answer."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
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

    run(story())


def _lines(history: tuple[Said, ...]) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in history]
