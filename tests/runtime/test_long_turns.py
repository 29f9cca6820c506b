"""Turns that take their time: what the chat hears before the end, and what never comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from simulation.checker import findings
from simulation.virtual import in_virtual_time
from tests.runtime.answers import ann_at, turns_of, until, until_shown
from yizhan.errors import TextEmpty
from yizhan.model import MessageClass, MessageState, TurnState
from yizhan.ports import AgentFailed, OutputEnd, Piece, Progress, Question, Text
from yizhan.runtime.turns.speaking import Speaking

EARLY = {"turns": {"first_sentence": "always"}}
FIRST, REST = "The answer is forty-two. ", "It took a while to find out."
WAIT = "wait"
Step = Piece | str | Exception


class Says:
    """Says one thing after the other; at WAIT until the test lets it go on. Each asking may go differently."""

    name = "says"

    def __init__(self, *askings: list[Step]) -> None:
        self.asked: list[Question] = []
        self.at = 0
        self._askings = askings
        self._open = 0

    def go_on(self) -> None:
        self._open += 1

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        steps = self._askings[min(len(self.asked), len(self._askings) - 1)]
        self.asked.append(question)
        for self.at, step in enumerate(steps):
            if isinstance(step, Exception):
                raise step
            if not isinstance(step, str):
                yield step
                continue
            while not self._open:
                await asyncio.sleep(0.05)
            self._open -= 1

    async def close(self) -> None:
        pass


@in_virtual_time
async def test_the_first_sentence_is_on_the_screen_while_the_rest_is_being_said(home: Path) -> None:
    """However it was cut; and the rest is one more message."""
    agent = Says([Text(FIRST[:7]), Text(FIRST[7:]), Text(REST[:4]), WAIT, Text(REST[4:])])
    async with ann_at(home, answers=agent, **EARLY) as (station, ann, account):
        station.say(ann, "what is it?")
        await until_shown(station, ann, FIRST.strip())
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.RUNNING, 1) == (turn.state, turn.outputs)
        agent.go_on()
        await until_shown(station, ann, FIRST.strip(), REST)
        await station.until_quiet()
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.DONE, 2) == (turn.state, turn.outputs)
        assert [] == await findings(station)


@pytest.mark.parametrize("wanted", ["off", "free"])
@in_virtual_time
async def test_where_every_send_counts_an_answer_costs_one(home: Path, wanted: str) -> None:
    """Ten sends for a message are few."""
    agent = Says([Text(FIRST), Text(REST)])
    settings: dict[str, Any] = {"turns": {"first_sentence": wanted}, "delivery": {"allowance": {}}}
    async with ann_at(home, answers=agent, **settings) as (station, ann, _):
        station.say(ann, "what is it?")
        await until_shown(station, ann, FIRST + REST)


@pytest.mark.field("F76")
@pytest.mark.parametrize(
    ("second", "rest"),
    [
        ([Text(FIRST + REST)], REST),
        ([Text("Another answer altogether. "), Text(REST)], f"Another answer altogether. {REST}"),
        ([Text("Short."), OutputEnd(), Text(REST)], f"Short.\n\n{REST}"),
    ],
    ids=["the same", "another", "cut otherwise"],
)
@in_virtual_time
async def test_a_crash_after_the_first_sentence_never_doubles_it(
    home: Path, second: list[Step], rest: str
) -> None:
    """Asked again the agent says it again, or something else: what was accepted stays, and nothing new is lost."""
    agent = Says([Text(FIRST), Text("x"), WAIT], second)
    async with ann_at(home, answers=agent, **EARLY) as (station, ann, account):
        station.say(ann, "what is it?")
        await until_shown(station, ann, FIRST.strip())
        await station.restart()
        await until_shown(station, ann, FIRST.strip(), rest)
        await station.until_quiet()
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.DONE, 2) == (turn.state, turn.outputs)
        assert [] == await findings(station)


@pytest.mark.field("F76")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("label", ["start_turn", "say", "end_turn"])
@in_virtual_time
async def test_a_crash_at_any_commit_of_a_stream_answers_once_and_in_order(
    home: Path, label: str, after: bool
) -> None:
    """The process dies when a turn is opened, when it speaks, when it ends; before and after the disk has it."""
    agent = Says([Text(FIRST), Text(REST)])
    async with ann_at(home, answers=agent, **EARLY) as (station, ann, account):
        _die_at(station.gate, label, after)
        station.say(ann, "what is it?")
        await until(station.gate.struck.is_set)
        await station.restart()
        await until_shown(station, ann, FIRST.strip(), REST)
        await station.until_quiet()
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.DONE, 2) == (turn.state, turn.outputs)
        assert [] == await findings(station)


PHASES: dict[str, tuple[list[Step], list[str]]] = {
    "before a word": ([], []),
    "within the first sentence": ([Text(FIRST[:9])], []),
    "after the first sentence": ([Text(FIRST), Text("x")], [FIRST.strip()]),
    "between two outputs": ([Text(FIRST), Text(REST), OutputEnd()], [FIRST.strip()]),
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("error", [AgentFailed("agent-broken-stream", "gone"), ZeroDivisionError()])
@in_virtual_time
async def test_an_agent_that_breaks_in_any_phase_leaves_a_visible_failure(
    home: Path, phase: str, error: Exception
) -> None:
    """What the chat has heard it has heard; then one sentence, and the operator sees the cause."""
    said, heard = PHASES[phase]
    agent = Says([*said, error])
    async with ann_at(home, answers=agent, language="en", **EARLY) as (station, ann, account):
        station.say(ann, "what is it?")
        await until(lambda: len(station.shown(ann)) == len(heard) + 1)
        await station.until_quiet()
        assert heard == station.shown(ann)[:-1]
        assert station.shown(ann)[-1].startswith("Sorry")
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.FAILED, "agent-") == (turn.state, turn.reason.code[:6])
        assert [] == await findings(station)


@in_virtual_time
async def test_a_message_that_would_steer_waits_once_something_was_said(home: Path) -> None:
    """What is on the screen cannot be taken back."""
    agent = Says([Text(FIRST), Text(REST), WAIT], [Text("And this is for the second one.")])
    settings = {"turns": {"first_sentence": "always", "while_busy": "steer"}}
    async with ann_at(home, answers=agent, **settings) as (station, ann, _):
        station.say(ann, "one")
        await until_shown(station, ann, FIRST.strip())
        station.say(ann, "two")
        await until(lambda: _pending(station))
        agent.go_on()
        await until_shown(station, ann, FIRST.strip(), REST, "And this is for the second one.")
        assert ["one", "two"] == [question.text for question in agent.asked]


@pytest.mark.parametrize("while_busy", ["interrupt", "steer"])
@in_virtual_time
async def test_a_first_sentence_that_was_being_stored_when_the_next_message_came_does_not_lie_about(
    home: Path, while_busy: str
) -> None:
    """It was on disk, and nobody knew of it before the next start: it lay in the queue, and newer answers went by."""
    agent = Says([WAIT, Text(FIRST), Text("x"), WAIT], [Text("And this is for the second one.")])
    settings = {"turns": {"first_sentence": "always", "while_busy": while_busy}}
    async with ann_at(home, answers=agent, latency_s=lambda: 2.0, **settings) as (station, ann, _):
        station.say(ann, "one")
        await until(lambda: len(agent.asked) == 1)
        station.say(ann, "two")
        await until(lambda: station.gate.seen[-1] == "commit_inbound")
        agent.go_on()  # its words reach the store's queue before the message is heard of
        await until_shown(station, ann, FIRST.strip(), "And this is for the second one.")
        await station.until_quiet()
        assert [] == await findings(station)


@pytest.mark.field("F08")
@in_virtual_time
async def test_what_an_agent_does_is_told_in_few_lines_and_the_answer_arrives(home: Path) -> None:
    """Twelve tools, three messages: merged, bounded, and gone when the answer is there."""
    steps: list[Step] = []
    for number in range(12):
        steps += [Progress(f"tool {number}"), Progress(f"tool {number}")]
        steps += [WAIT] if number % 4 == 3 else []
    agent = Says([*steps, Text("done")])
    settings = {"turns": {"progress": "always", "progress_every_s": 0, "progress_max": 3}}
    async with ann_at(home, answers=agent, **settings) as (station, ann, _):
        station.say(ann, "go")
        for _ in range(3):
            agent.go_on()
        await until(lambda: station.shown(ann)[-1:] == ["done"])
        told = [message for message in await station.messages() if message.klass is MessageClass.PROGRESS]
        assert 3 == len(told)
        assert {MessageState.DELIVERED, MessageState.CANCELLED} >= {message.state for message in told}


@pytest.mark.field("F08")
@in_virtual_time
async def test_a_line_that_cannot_be_said_early_does_not_cost_the_answer(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither progress nor a first sentence is worth a failed turn."""

    def unsayable(*_: Any) -> Any:
        raise TextEmpty("Nothing of it can be shown.")

    monkeypatch.setattr(Speaking, "progress", unsayable)
    monkeypatch.setattr(Speaking, "first", unsayable)
    agent = Says([Progress("looking"), Text(FIRST), Text(REST)])
    settings = {"turns": {"progress": "always", "first_sentence": "always"}}
    async with ann_at(home, answers=agent, **settings) as (station, ann, account):
        station.say(ann, "go")
        await until_shown(station, ann, FIRST + REST)
        await station.until_quiet()
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.DONE, 1) == (turn.state, turn.outputs)


@in_virtual_time
async def test_a_first_sentence_that_was_refused_is_not_tried_again_with_every_word(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further piece of the answer asked the store again; a long answer asked it a thousand times."""
    tried: list[str] = []

    def unsayable(_: Any, turn: Any, asked: Any, text: str, lifetime_ms: Any) -> None:
        tried.append(text)

    monkeypatch.setattr(Speaking, "first", unsayable)
    words = [f"{word} " for word in REST.split()] * 20
    agent = Says([Text(FIRST), *[Text(word) for word in words]])
    async with ann_at(home, answers=agent, **EARLY) as (station, ann, _):
        station.say(ann, "go")
        await until_shown(station, ann, FIRST + "".join(words))
        assert [FIRST] == tried


@pytest.mark.field("F08")
@pytest.mark.parametrize(
    ("wanted", "metered", "told"), [("free", True, 0), ("free", False, 1), ("off", False, 0)]
)
@in_virtual_time
async def test_by_default_progress_costs_no_send_where_sends_are_counted(
    home: Path, wanted: str, metered: bool, told: int
) -> None:
    """Lines that come quickly after each other are one message, and the last ones are not worth another."""
    agent = Says([Progress("looking"), Progress("reading"), Progress("thinking"), Text("done")])
    settings: dict[str, Any] = {"turns": {"progress": wanted}}
    settings |= {"delivery": {"allowance": {}}} if metered else {}
    async with ann_at(home, answers=agent, **settings) as (station, ann, _):
        station.say(ann, "go")
        await until(lambda: station.shown(ann)[-1:] == ["done"])
        messages = await station.messages()
        assert told == sum(message.klass is MessageClass.PROGRESS for message in messages)


def _die_at(gate: Any, label: str, after: bool) -> None:
    """The process dies at its next commit of that name."""
    seldom: Callable[[str], None] = gate.before_commit

    def before_commit(name: str) -> None:
        if label in name.split("+"):
            gate.at, gate.after = len(gate.seen) + 1, after
        seldom(name)

    gate.before_commit = before_commit


async def _pending(station: Any) -> bool:
    return bool(await station.gateway.store.pending_inbound())
