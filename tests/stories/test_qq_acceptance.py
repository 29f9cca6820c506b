"""Seventeen things that a line to QQ must survive, in and out: it must end up connected, with no message of a user lost
or doubled. Where each is told:

 1. recycled every half an hour, fifty times: `test_a_session_is_renewed_every_day_beside_the_living_one`
 2. dead on one side for ten minutes: `test_ten_minutes_in_which_everything_hangs_cost_nothing`
 3. RESUME refused by 4006, 4902, op 9, a silent close:
    `test_a_dead_session_is_resumed_twice_at_most_then_a_new_one_begins`
 4. IDENTIFY refused by 4903 for ten minutes: `test_sessions_that_cannot_be_created_are_asked_for_once_a_minute`
 5. names that cannot be resolved for hours: `test_four_hours_without_a_network_are_attempted_through_and_end_with_it`
 6. the token endpoint says "too often", a page, or nothing: `test_no_step_of_connecting_is_the_last_that_is_tried` and
    `test_tokens_that_were_asked_for_too_often_are_waited_for`
 7. the gateway's address fails, at one host or for all: `test_when_one_address_of_qq_is_gone_the_other_is_used` and
    `test_no_step_of_connecting_is_the_last_that_is_tried`
 8. the host sleeps: `test_after_the_host_has_slept_the_line_is_looked_at_at_once` and
    `test_what_is_sent_as_the_host_wakes_is_not_called_delivered_on_a_sign_of_yesterday`
 9. who answers breaks, or takes five minutes: `test_an_agent_that_hangs_or_breaks_is_no_matter_of_the_line`
10. killed between an event and its commit: `test_a_death_at_the_commit_of_a_message_loses_and_doubles_nothing`
11. a message of six minutes ago comes again: `test_a_replay_of_old_messages_is_recognised_long_after`
12. mentions only as GROUP_MESSAGE_CREATE: `test_a_group_that_sends_everything_is_answered_when_it_asks_and_only_then`
13. an answer after its window: `test_an_answer_after_its_window_is_tried_once_as_a_message_that_nobody_asked_for`
14. a send that was carried out and not answered:
    `test_a_lost_answer_is_asked_for_with_the_same_number_and_a_repeat_is_the_receipt`
15. an address that is not on the list:
    `test_what_only_a_person_can_change_is_said_and_tried_slowly_until_it_is_changed`
16. an intent that is not granted: `test_an_intent_that_was_not_granted_costs_the_others_nothing`
17. unknown operations, unknown events, events without a body: `test_frames_that_nobody_knows_change_nothing`
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stories.qq_words import BOT, QqTale, on_qq
from yizhan.model import AccountState, Inbound, Target
from yizhan.ports import Question

TESTS = Path(__file__).parents[1]


async def heard(tale: QqTale) -> list[str]:
    """What was taken in of Ann, oldest first."""
    target: Target = await tale.station.gateway.resolve(tale.ann)
    page = await tale.station.gateway.store.timeline(target, None, 100)
    return [row.text for row in reversed(page.rows) if isinstance(row, Inbound)]


def test_each_of_the_seventeen_has_its_test() -> None:
    """A name that nobody follows any more promises what is not looked at."""
    named = set(re.findall(r"`(test_\w+)`", __doc__ or ""))
    told = "".join(path.read_text() for path in TESTS.glob("*/**/test_*qq*.py"))
    told += (TESTS / "platforms" / "qq" / "test_transport.py").read_text()
    assert 17 == len(re.findall(r"^ ?\d+\. ", __doc__ or "", re.MULTILINE))
    assert [] == sorted(name for name in named if f"def {name}(" not in told)


def test_ten_minutes_in_which_everything_hangs_cost_nothing(home: Path) -> None:
    """Connections are taken and never answered, and the open one is dead on one side."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says("before")
        tale.is_gone(600, "hang")
        tale.world.qq.say("Ann", "meanwhile", tale.true_ms)
        await tale.passes(600)
        await tale.until(lambda: tale.online, 2.5 * 41.25)
        await tale.passes(3)
        assert AccountState.UP is (await tale.account()).state
        assert ["before", "meanwhile"] == await heard(tale)

    story(home)


def test_sessions_that_cannot_be_created_are_asked_for_once_a_minute(home: Path) -> None:
    """4903 after each IDENTIFY, in a loop of five seconds, for hours: a day's ration in an hour and a half."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.breaks("close", "qq.identify", code=4903, between_s=(0, 600))
        tale.world.qq.forget_sessions(BOT)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.passes(300)
        before = len(tale.seen("qq.identify"))
        await tale.passes(300)
        assert len(tale.seen("qq.identify")) - before <= 300 // 48 + 1
        await tale.until(lambda: tale.online, 75)
        await tale.says("after")
        assert ["after"] == await heard(tale)

    story(home)


def test_tokens_that_were_asked_for_too_often_are_waited_for(home: Path) -> None:
    """100001 in an answer of 200: asked again at once, and for ever."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.breaks("refuse", "qq.token", code=100001, status=200, between_s=(0, 600))
        tale.world.qq.expire_tokens(BOT)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        before = len(tale.seen("qq.token"))
        tale.world.qq.say("Ann", "meanwhile", tale.true_ms)
        await tale.passes(600)
        assert 8 <= len(tale.seen("qq.token")) - before <= 21, "every half a minute at the most"
        await tale.until(lambda: tale.online, 75)
        await tale.passes(3)
        assert ["meanwhile"] == await heard(tale)

    story(home)


class Breaks:
    """An agent that raises at once, or after five minutes."""

    name = "breaks"

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s

    async def answer(self, question: Question) -> AsyncIterator[str]:
        await asyncio.sleep(self._takes_s)
        raise RuntimeError("broken on purpose")
        yield ""

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("takes_s", [0, 300])
def test_an_agent_that_hangs_or_breaks_is_no_matter_of_the_line(home: Path, takes_s: float) -> None:
    """The reader of the socket waited for the answer, heartbeats came late, and the connection was dropped."""

    @on_qq(Breaks(takes_s))
    async def story(tale: QqTale) -> None:
        for number in range(3):
            await tale.says(f"line {number}")
            await tale.passes(100)
            assert tale.online
        assert not tale.seen("qq.close")
        assert ["line 0", "line 1", "line 2"] == await heard(tale)

    story(home)


@pytest.mark.parametrize("after", [False, True])
def test_a_death_at_the_commit_of_a_message_loses_and_doubles_nothing(home: Path, after: bool) -> None:
    """The place in the session was ahead of the store, or behind it."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        gate = tale.station.gate
        gate.at, gate.after = len(gate.seen) + 1, after
        tale.world.qq.say("Ann", "said once", tale.true_ms)
        await tale.passes(2)
        assert gate.struck.is_set()
        await tale.restarts()
        await tale.passes(5)
        assert ["said once"] == await heard(tale)
        assert 1 == len(tale.seen("qq.identify"))

    story(home)


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("unknown_op", "qq.heartbeat"),
        ("unknown_event", "qq.dispatch"),
        ("null_d", "qq.dispatch"),
        ("not_json", "qq.dispatch"),
        ("extra", "qq.dispatch"),
    ],
)
def test_frames_that_nobody_knows_change_nothing(home: Path, kind: str, call: str) -> None:
    """One odd frame ended the reader, and the bot was deaf."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.breaks(kind, call, between_s=(0, 300))
        for number in range(3):
            await tale.says(f"line {number}")
            await tale.passes(60)
        assert ["line 0", "line 1", "line 2"] == await heard(tale)
        assert AccountState.UP is (await tale.account()).state
        assert 1 == len(tale.station.sockets.attempts_ms)

    story(home)
