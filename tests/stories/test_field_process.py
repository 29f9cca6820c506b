"""Stops, kills and restarts: what was promised is on the disk (F74, F76-F78); and whose it is (F81)."""

from __future__ import annotations

import asyncio

import pytest

from tests.stories.conftest import Says, Tale, in_virtual_time

PEOPLE = ["Ann", "Bob", "Cleo"]


@pytest.mark.field("F74")
@in_virtual_time(agent=Says("here you are", takes_s=30))
async def test_stopping_takes_minutes_and_ends_in_a_kill(tale: Tale) -> None:
    """Fifty messages wait, three turns run, requests hang: the stop takes a moment, and all of it goes on after."""
    for who in PEOPLE:
        await tale.writes(who, f"a question from {who}")
    hanging = tale.wechat_answers("hang")
    for number in range(50):
        await tale.push(f"news {number}", to=PEOPLE[number % 3])
    await tale.passes(2)
    stopping_ms = tale.now_ms
    await tale.station.stop()
    assert 2_000 >= tale.now_ms - stopping_ms
    tale.world.remove(hanging)
    await tale.station.start()
    await tale.passes(60)
    await tale.until_quiet(300)
    for place, who in enumerate(PEOPLE):
        shown = tale.phone(who)
        assert [f"news {number}" for number in range(place, 50, 3)] == [
            s for s in shown if s != "here you are"
        ]
        assert 1 == shown.count("here you are")
    assert [] == await tale.findings()


@pytest.mark.field("F76")
@pytest.mark.parametrize("commit", ["end_turn", "begin_attempt"])
@in_virtual_time(agent=Says("the answer"))
async def test_the_answer_was_ready_and_the_process_stopped_before_sending(tale: Tale, commit: str) -> None:
    """Whether it had been written down or has to be asked for again: it is sent, once."""
    tale.dies_before(commit)
    tale.station.say("Ann", "a question", tale.account)
    await tale.is_back()
    await tale.until_quiet(60)
    await tale.passes(10)
    assert ["the answer"] == tale.phone()
    assert [] == await tale.findings()


@pytest.mark.field("F77")
@pytest.mark.parametrize("kind", ["status", "refuse"])
@in_virtual_time()
async def test_failed_messages_wait_for_a_restart_that_never_comes(tale: Tale, kind: str) -> None:
    """Twenty bad minutes, and nobody restarts anything: the queue drains within about as long again. Asking more often
    could prolong what was refused; a person who writes is answered at once."""
    await tale.ann_writes()
    tale.wechat_answers(kind, between_s=(0, 1_200))
    for number in range(3):
        await tale.push(f"news {number}")
    await tale.passes(1_190)
    assert [] == tale.phone()
    await tale.until_quiet(1_600)
    assert ["news 0", "news 1", "news 2"] == tale.phone()
    assert [] == await tale.findings()


@pytest.mark.field("F78")
@in_virtual_time()
async def test_the_job_says_ok_and_nobody_got_it(tale: Tale) -> None:
    """A push to somebody who has never written: not sent, not failed, waiting for them, and said so everywhere."""
    push = await tale.push("it is nine o'clock")
    await tale.passes(60)
    assert ("waiting", "user") == await tale.state(push)
    assert "never-written" == (await tale.message(push))["reason"]["code"]
    told = [event["message"] for event in await tale.events("message.state")]
    assert "user" == told[-1]["waiting_for"]
    assert not {"delivered", "unconfirmed"} & {message["state"] for message in told}
    await tale.ann_writes("hello")
    await tale.until_quiet(60)
    assert ["it is nine o'clock"] == tale.phone()
    assert "delivered" == (await tale.message(push))["state"]


@pytest.mark.field("F78")
@in_virtual_time()
async def test_whoever_waits_for_a_push_is_told_its_outcome(tale: Tale) -> None:
    """`?wait=` answers when something has changed, and what it answers is the state, not a hope."""
    await tale.ann_writes()
    tale.wechat_refuses(times=2)
    push = await tale.push("it is nine o'clock")
    async with asyncio.timeout(200):
        while (state := (await tale.message(f"{push}?wait=10"))["state"]) != "delivered":
            assert state in ("queued", "sending", "waiting")
            assert [] == tale.phone()
    assert ["it is nine o'clock"] == tale.phone()


@pytest.mark.field("F81")
@in_virtual_time(agent=Says("here you are"))
async def test_two_accounts_and_each_answers_its_own_people(tale: Tale) -> None:
    """Two bots in one gateway, spoken to in turns: no answer takes the other's door."""
    second = await tale.station.link(tale.world.add_user("Dora"))
    await tale.passes(1)
    for _ in range(2):
        tale.station.say("Ann", "a question for the first", tale.account)
        tale.station.say("Dora", "a question for the second", second)
        await tale.passes(5)
    for who, account in (("Ann", tale.account), ("Dora", second)):
        bot_id = account.removeprefix("weixin:")
        assert ["here you are"] * 2 == [bubble.text for bubble in tale.world.shown(who, bot_id)]
        assert ["here you are"] * 2 == tale.phone(who)
