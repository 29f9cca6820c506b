"""Several agents alive at once: who answers what, and what a chat may choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulation.checker import findings
from simulation.station import Station
from simulation.virtual import in_virtual_time
from tests.runtime.answers import Gated, turns_of, until, until_shown
from yizhan.errors import SettingsError
from yizhan.model import TurnState
from yizhan.settings import load

CODER = {"coder": {"kind": "command", "argv": ["coder"]}}
"""As the configuration knows it; in these tests a Gated stands in its place."""


def _pair() -> tuple[Gated, Gated]:
    """Both answer everything at once."""
    main, coder = Gated("main"), Gated("coder")
    main.release(99)
    coder.release(99)
    return main, coder


def _station(home: Path, main: Gated, coder: Gated, **settings: Any) -> Station:
    return Station(home, answers=main, others={"coder": coder}, agents=CODER, language="en", **settings)


@pytest.mark.field("F81")
@in_virtual_time
async def test_each_account_is_answered_by_its_own_agent(home: Path) -> None:
    """Two bots in one process, questions in between each other: no answer goes to the other's chat."""
    main, coder = _pair()
    async with _station(home, main, coder) as station:
        ann, bob = station.world.add_user("Ann"), station.world.add_user("Bob")
        first, second = await station.link(ann), await station.link(bob)
        routed = {"routes": [{"account": str(second), "agent": "coder"}]}
        await station.stop()
        station.settings = load(home, {}, station.settings.model_dump(exclude={"home"}) | routed)
        await station.start()
        for number in range(3):
            station.say(ann, f"ann {number}", first)
            station.say(bob, f"bob {number}", second)
            await until(
                lambda number=number: len(station.shown(bob)) == len(station.shown(ann)) == number + 1
            )
        assert [f"ann {number}" for number in range(3)] == main.texts
        assert [f"bob {number}" for number in range(3)] == coder.texts
        await station.until_quiet()
        assert {"coder"} == {turn.agent for turn in await turns_of(station, second, bob)}
        assert [] == await findings(station)


@in_virtual_time
async def test_a_word_at_the_beginning_asks_another_agent_once(home: Path) -> None:
    """The word is for the gateway, not for the agent."""
    main, coder = _pair()
    async with _station(home, main, coder, routes=[{"prefix": "code", "agent": "coder"}]) as station:
        ann = station.world.add_user("Ann")
        await station.link(ann)
        station.say(ann, "Code fix it")
        await until_shown(station, ann, "re: fix it")
        station.say(ann, "codes are fun")
        await until(lambda: len(station.shown(ann)) == 2)
        assert (["codes are fun"], ["fix it"]) == (main.texts, coder.texts)


@pytest.mark.parametrize("while_busy", ["queue", "steer"])
@in_virtual_time
async def test_a_word_for_another_agent_begins_a_question_of_its_own(home: Path, while_busy: str) -> None:
    """Written in one breath, or while the agent works, it was asked of the wrong agent, the word and all. What follows
    it belongs to it: a platform splits what is long."""
    main, coder = Gated("main"), Gated("coder")
    settings: dict[str, Any] = {
        "routes": [{"prefix": "code", "agent": "coder"}],
        "turns": {"while_busy": while_busy, "debounce_s": 5},
    }
    async with _station(home, main, coder, **settings) as station:
        ann = station.world.add_user("Ann")
        await station.link(ann)
        for text in ("hello", "code fix it", "all of it", "Code and test it"):
            station.say(ann, text)
            await until(lambda text=text: _waits(station, text))
        await until(lambda: main.texts == ["hello"])
        station.say(ann, "code: and ship it")
        await until(lambda: _waits(station, "code: and ship it"))
        assert (0, []) == (main.gone, coder.texts)
        main.release(9)
        coder.release(9)
        await until(lambda: len(coder.texts) > 0)
        await station.until_quiet()
        assert ["hello"] == main.texts
        assert ["fix it\nall of it\nand test it\n: and ship it"] == coder.texts


@in_virtual_time
async def test_a_chat_chooses_who_answers_also_after_a_restart(home: Path) -> None:
    """Among those that are open to all; the default's name leads back, also for whoever may choose only a few."""
    main, coder = _pair()
    async with _station(home, main, coder, agent_choices=["coder"]) as station:
        ann, bob = station.world.add_user("Ann"), station.world.add_user("Bob")
        account = await station.link(ann)
        for text, shown in (
            ("/agents", "main answers here. To choose from: coder, main."),
            ("/use nobody", "You cannot choose nobody. To choose from: coder, main."),
            ("/use Coder", "From now on coder answers here."),
            ("/use main", "From now on main answers here."),
            ("/use", "main answers here. To choose from: coder, main."),
            ("／use coder", "From now on coder answers here."),
            ("hello", "re: hello"),
        ):
            station.say(bob, text, account)
            await until(lambda shown=shown: station.shown(bob)[-1:] == [shown])
        await station.restart()
        station.say(bob, "again", account)
        await until(lambda: station.shown(bob)[-1] == "re: again")
        assert ([], ["hello", "again"]) == (main.texts, coder.texts)
        station.say(ann, "/use main")  # the owner may choose any
        await until_shown(station, ann, "From now on main answers here.")


@in_virtual_time
async def test_where_nobody_answers_that_is_said_of_nobody(home: Path) -> None:
    """ "none answers here", and in Chinese too."""
    async with Station(home, agent="none", language="en") as station:
        ann = station.world.add_user("Ann")
        await station.link(ann)
        station.say(ann, "/agents")
        await until_shown(station, ann, "Nobody answers here. To choose from: nobody.")


@pytest.mark.parametrize("at", range(1, 5))
@in_virtual_time
async def test_retry_asks_again_about_the_last_message_once(home: Path, at: int) -> None:
    """Also if the process dies at any commit of the command."""
    main, coder = _pair()
    async with _station(home, main, coder) as station:
        ann = station.world.add_user("Ann")
        account = await station.link(ann)
        station.say(ann, "/retry")
        await until_shown(station, ann, "There is no message to answer again.")
        station.say(ann, "hello")
        await until(lambda: station.shown(ann)[-1] == "re: hello")
        await station.until_quiet()
        station.gate.at = len(station.gate.seen) + at
        station.say(ann, "/retry")
        await until(station.gate.struck.is_set)
        await station.restart()
        await until(lambda: {"Trying again.", "re: hello"} == set(station.shown(ann)[2:]))
        await station.until_quiet()
        assert [TurnState.DONE] * 2 == [turn.state for turn in await turns_of(station, account, ann)]
        assert [] == await findings(station)


@in_virtual_time
async def test_a_turn_whose_agent_is_gone_fails_and_says_so(home: Path) -> None:
    """Renamed in the configuration while it was at work."""
    main, coder = Gated("main"), Gated("coder")
    async with _station(home, main, coder, agent="coder") as station:
        ann = station.world.add_user("Ann")
        account = await station.link(ann)
        station.say(ann, "hello")
        await until(lambda: main.texts == ["hello"])
        await station.crash()
        main.name = "other"
        await station.start()
        await until(lambda: bool(station.shown(ann)))
        (turn,) = await turns_of(station, account, ann)
        assert (TurnState.FAILED, "agent-gone") == (turn.state, turn.reason.code)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (
            {"routes": [{"agent": "codr", "platform": "qq"}]},
            "routes.0.agent: 'codr' is not known; did you mean coder?",
        ),
        ({"agent_choices": ["codr"]}, "agent_choices: 'codr' is not known; did you mean coder?"),
    ],
)
def test_an_agent_that_does_not_exist_is_named_with_its_key(
    home: Path, given: dict[str, Any], named: str
) -> None:
    """Found at the start, and not when somebody writes."""
    with pytest.raises(SettingsError) as refused:
        load(home, {}, {"agents": CODER, **given})
    assert named in str(refused.value)


async def _waits(station: Station, text: str) -> bool:
    return text in [inbound.text for inbound in await station.gateway.store.pending_inbound()]
