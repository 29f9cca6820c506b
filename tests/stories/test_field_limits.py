"""WeChat says "rate limited": stories of messages that waited, and of gateways that did not (F01-F11).

What the platform means by it is told in `src/yizhan/platforms/ilink/policy.py`; the reports these stories come
from, with their links, stand in `docs/field-failures.md`.
"""

from __future__ import annotations

import math
import resource
from collections import Counter

import pytest
import structlog

from tests.stories.conftest import LIMITED, Says, Tale, gaps_s, in_virtual_time
from yizhan_simulator import Limit

ANSWER = "the answer"
PART_CHARS = 4_000
COUNTED = {"allowance": {"sends": None}}
"""As WeChat is known: ten sends for each message of the user."""


@pytest.mark.field("F01")
@in_virtual_time(agent=Says(ANSWER))
async def test_the_answer_stands_on_the_web_page_and_never_appears_in_wechat(tale: Tale) -> None:
    """A minute of "rate limited" outlasts every handful of quick retries, and no patience."""
    tale.wechat_refuses(for_s=60)
    await tale.ann_writes("a question")
    await tale.passes(58)
    assert [] == tale.phone()
    assert 6 >= len(tale.requests()), "six requests a minute are enough to find out that it is still refused"
    await tale.until_quiet(120)
    assert [ANSWER] == tale.phone()
    assert [] == await tale.findings()


@pytest.mark.field("F02")
@in_virtual_time()
async def test_a_storm_of_retries_kills_the_bot(tale: Tale) -> None:
    """Two hundred queued messages are one conversation with the platform, not two hundred."""
    await tale.ann_writes()
    await tale.writes("Bob")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tale.wechat_refuses(for_s=600, who="Ann")
    for number in range(200):
        await tale.push(f"news {number}")
    await tale.passes(590)
    storm = tale.requests("Ann")
    assert 25 >= len(storm), "requests follow the limit, whatever the backlog"
    for_bob = await tale.push("are you well?", to="Bob")
    await tale.passes(1)
    assert ("delivered", None) == await tale.state(for_bob)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    assert 50 > grown_mib
    stopping_ms = tale.now_ms
    await tale.station.stop()
    assert 2_000 >= tale.now_ms - stopping_ms


@pytest.mark.field("F02")
@in_virtual_time()
async def test_a_storm_of_refusals_is_told_in_a_few_lines(tale: Tale) -> None:
    """A log line per refusal fills the disk and hides the one line that matters."""
    await tale.ann_writes()
    tale.wechat_refuses(for_s=1_000)
    with structlog.testing.capture_logs() as lines:
        for number in range(50):
            await tale.push(f"news {number}")
        await tale.passes(1_000)
    assert tale.refusals() >= 4, "too few refusals to tell anything"
    told = [line for line in lines if line["log_level"] != "debug"]
    assert 1 <= len([line for line in told if "chat" in line]) <= 2, "that it is limited, and once"
    assert 12 >= len(told), "and a summary now and then"


@pytest.mark.field("F03")
@in_virtual_time()
async def test_one_refusal_and_the_notification_is_gone(tale: Tale) -> None:
    """A breaker that opens on the first refusal refuses more than the platform does."""
    await tale.ann_writes()
    tale.wechat_refuses(times=1)
    push = await tale.push("your parcel is here")
    await tale.passes(30)
    assert ["your parcel is here"] == tale.phone()
    assert ("delivered", None) == await tale.state(push)
    assert [] == await tale.gates()
    assert 1 == tale.refusals()


@pytest.mark.field("F04")
@in_virtual_time()
async def test_cooldown_active_for_hours_and_nothing_is_sent(tale: Tale) -> None:
    """After the limit has ended, the next probe opens the chat, and it comes when the page said it would: within a few
    times as long as the limit lasted."""
    await tale.ann_writes()
    tale.wechat_refuses(for_s=300)
    push = await tale.push("one")
    await tale.push("two")
    await tale.passes(200)
    (gate,) = await tale.gates()
    assert "chat" == gate["scope"]
    shown = (await tale.message(push))["next_attempt_at"]
    assert shown == gate["ready_at"]
    probes = gaps_s(tale.requests())[1:]  # the first follows at once: it asks whether the token is to blame
    assert all(gap_s > 2 for gap_s in probes), "one probe per wait"
    due_s = tale.seconds_to(shown)
    assert 3 * 300 >= 200 + due_s
    await tale.passes(due_s + 5)
    assert ["one", "two"] == tale.phone()
    assert [] == await tale.gates()


@pytest.mark.field("F04")
@in_virtual_time()
async def test_a_restart_does_not_begin_with_a_refusal(tale: Tale) -> None:
    """What was learned of a limit is on the disk: a bot that is restarted in trouble does not add to it."""
    await tale.ann_writes()
    tale.wechat_refuses(for_s=300)
    push = await tale.push("good morning")
    await tale.passes(90)
    await tale.dies()
    before = len(tale.requests())
    due_s = tale.seconds_to((await tale.message(push))["next_attempt_at"])
    assert due_s > 2, "the story is told at the wrong moment"
    await tale.passes(due_s - 1)
    assert before == len(tale.requests())
    await tale.until_quiet(900)
    assert ["good morning"] == tale.phone()


@pytest.mark.field("F04")
@in_virtual_time()
async def test_an_inbound_message_lets_one_probe_go_at_once(tale: Tale) -> None:
    """Somebody who is there and writes need not wait for the end of a cool-down."""
    await tale.ann_writes()
    tale.wechat_refuses()
    push = await tale.push("one")
    await tale.push("two")
    await tale.passes(120)
    while (due_s := tale.seconds_to((await tale.message(push))["next_attempt_at"])) < 10:
        await tale.passes(due_s + 1)
    tale.world.clear_weather()
    await tale.ann_writes("are you there?")
    await tale.passes(2)
    assert ["one", "two"] == tale.phone()


@pytest.mark.field("F05")
@in_virtual_time()
async def test_one_persons_reminder_silences_everybody_else(tale: Tale) -> None:
    """A chat that is limited is that chat's business."""
    await tale.ann_writes()
    await tale.writes("Bob")
    tale.wechat_refuses(for_s=120, who="Ann")
    for number in range(12):
        await tale.push(f"for Ann {number}")
    for number in range(20):
        pushed_ms = tale.now_ms
        await tale.push(f"for Bob {number}", to="Bob")
        await tale.passes(5)
        shown = tale.world.shown("Bob")[-1]
        assert f"for Bob {number}" == shown.text
        assert 1_000 > shown.at_ms - pushed_ms
    await tale.until_quiet(600)
    assert [f"for Ann {number}" for number in range(12)] == tale.phone()


@pytest.mark.field("F05")
@in_virtual_time()
async def test_one_message_whose_answers_are_lost_stops_nobody_else(tale: Tale) -> None:
    """Something on the way chokes on it, again and again: that says nothing about other people's messages."""
    await tale.ann_writes()
    await tale.writes("Bob")
    tale.wechat_answers("hang", user="Ann")
    await tale.push("for Ann")
    await tale.passes(40)
    assert len(tale.requests("Ann")) > 3, "too few doubts to tell anything"
    for number in range(6):
        await tale.passes(13)
        await tale.push(f"for Bob {number}", to="Bob")
        await tale.passes(1)
        assert number + 1 == len(tale.phone("Bob"))
    assert [] == tale.phone()


@pytest.mark.field("F06")
@in_virtual_time(delivery=COUNTED)
async def test_after_ten_messages_mute_until_the_user_writes_again(tale: Tale) -> None:
    """Twenty-five parts for ten sends per message: the rest is parked, told of, and released in order."""
    tale.world.turn(quota_per_inbound=10)
    await tale.ann_writes()
    pages = [f"{number:02d}" + "页" * (PART_CHARS - 2) for number in range(25)]
    long = await tale.push("".join(pages), priority="reply")
    await tale.passes(60)
    assert ("waiting", "allowance") == await tale.state(long)
    said = tale.phone()
    assert pages[:9] == said[:9]
    assert 10 == len(said)
    assert "16" in said[9], "the last slot says how many parts remain"
    for _ in range(2):
        await tale.ann_writes("go on")
        await tale.passes(60)
    assert ("delivered", None) == await tale.state(long)
    assert pages == [bubble for bubble in tale.phone() if len(bubble) == PART_CHARS]
    assert 0 == tale.refusals(), "what is known to be refused is not asked"
    assert [] == await tale.findings()


@pytest.mark.field("F06")
@in_virtual_time(delivery=COUNTED)
async def test_a_restart_does_not_forget_how_much_has_been_said(tale: Tale) -> None:
    """What has been used of an allowance is a fact on the disk."""
    tale.world.turn(quota_per_inbound=10)
    await tale.ann_writes()
    for number in range(6):
        await tale.push(f"before {number}")
    await tale.passes(10)
    await tale.dies()
    for number in range(10):
        await tale.push(f"after {number}")
    await tale.passes(60)
    assert 0 == tale.refusals()
    await tale.ann_writes("go on")
    await tale.until_quiet(600)
    news = [bubble for bubble in tale.phone() if bubble.startswith(("before", "after"))]
    assert [f"before {number}" for number in range(6)] + [f"after {number}" for number in range(10)] == news


@pytest.mark.field("F07")
@in_virtual_time()
async def test_blocked_for_most_of_a_day_because_it_kept_asking(tale: Tale) -> None:
    """Left alone the penalty ends after ten minutes; each refused attempt adds ten more."""
    await tale.ann_writes()
    tale.world.add_limit(Limit(kind="log", count=6, per_s=600, extend_s=600), tale.now_ms)
    for number in range(8):
        await tale.push(f"news {number}")
    for _ in range(105):
        await tale.passes(60)
        assert 5 >= tale.refusals()
    assert [f"news {number}" for number in range(8)] == tale.phone()


@pytest.mark.field("F08")
@in_virtual_time(delivery=COUNTED)
async def test_the_tool_chatter_arrives_and_the_final_answer_does_not(tale: Tale) -> None:
    """Progress never spends what the answer needs."""
    tale.world.turn(quota_per_inbound=10)
    await tale.ann_writes("do something long")
    for number in range(12):
        await tale.push(f"tool {number} is done", priority="progress")
        await tale.passes(5)
    answer = await tale.push(ANSWER, priority="reply")
    await tale.passes(10)
    assert ANSWER == tale.phone()[-1]
    assert ("delivered", None) == await tale.state(answer)
    assert 0 == tale.refusals()
    assert [] == await tale.findings()


@pytest.mark.field("F08")
@in_virtual_time()
async def test_a_failed_progress_line_does_not_hold_up_the_answer(tale: Tale) -> None:
    """Once the answer is there, nobody wants to read how it was made."""
    await tale.ann_writes("do something long")
    tale.wechat_refuses(for_s=20)
    progress = await tale.push("still at it", priority="progress")
    later = await tale.push("still at it, really", priority="progress")
    await tale.passes(3)
    await tale.push(ANSWER, priority="reply")
    await tale.until_quiet(300)
    assert ANSWER in tale.phone()
    assert "cancelled" == (await tale.message(later))["state"]
    assert "superseded" == (await tale.message(later))["reason"]["code"]
    assert (await tale.message(progress))["state"] in ("cancelled", "expired", "delivered")


@pytest.mark.field("F09")
@in_virtual_time()
async def test_an_answer_full_of_tables_takes_two_messages_not_seventy(tale: Tale) -> None:
    """Every message counts against a limit; a line of a table is no message."""
    await tale.ann_writes("compare them")
    section = "## Section\n\n" + "| name | speed | price |\n" * 28 + "\n```\nprint('hello')\n```\n\n"
    text = section * 6
    await tale.push(text, priority="reply")
    await tale.until_quiet(60)
    assert math.ceil(len(text) / PART_CHARS) == len(tale.phone()) == 2
    assert text == "".join(tale.phone())


@pytest.mark.field("F10")
@in_virtual_time(agent=Says(ANSWER))
async def test_the_user_gets_nothing_and_the_operator_sees_why_and_what_comes_next(tale: Tale) -> None:
    """A notice of the failure would take the same blocked road; the page needs no road."""
    tale.wechat_refuses()
    await tale.ann_writes("a question")
    await tale.passes(600)
    (shown,) = await tale.messages()
    assert ("waiting", "limit") == (shown["state"], shown["waiting_for"])
    assert {"code": "-2", "text": LIMITED} == shown["reason"]
    assert shown["next_attempt_at"] is not None
    (live,) = [row["live"] for row in (await tale.api("GET", "/v1/accounts")).json()["items"]]
    assert 1 == sum(live.values())
    texts = {record.text for record in tale.requests()}
    assert {ANSWER} == texts, "no notice about a notice"


@pytest.mark.field("F10")
@in_virtual_time()
async def test_a_message_that_waits_for_long_raises_an_alert(tale: Tale) -> None:
    """Somebody should be told who is not looking at the page."""
    await tale.ann_writes()
    tale.wechat_refuses()
    await tale.push("good morning")
    await tale.passes(1_200)
    assert [] != await tale.alerts()
    assert [] != await tale.events("alert")


@pytest.mark.field("F11")
@in_virtual_time()
async def test_the_answer_comes_twice_the_second_time_cut_short(tale: Tale) -> None:
    """What waits is the third part, not the whole text in a plainer form."""
    await tale.ann_writes()
    tale.wechat_refuses(skip=2, times=3)
    pages = [f"{number}" + "x" * (PART_CHARS - 1) for number in range(3)]
    answer = await tale.push("".join(pages), priority="reply")
    await tale.until_quiet(600)
    assert pages == tale.phone()
    assert ["delivered"] * 3 == await tale.parts(answer)


@in_virtual_time()
async def test_three_chats_find_their_common_limit_out_with_three_refusals_in_a_window(tale: Tale) -> None:
    """Each chat ran into it by itself, and once more without its token: seven refusals in twenty seconds."""
    names = [f"user {number}" for number in range(3)]
    for name in names:
        await tale.writes(name)
    tale.world.add_limit(Limit(count=5, per_s=20), tale.now_ms)
    for number in range(60):
        await tale.push(f"push {number}", to=names[number % 3])
    await tale.until_quiet(600)
    assert 60 == sum(len(tale.phone(name)) for name in names)
    windows = Counter(record.at_ms // 20_000 for record in tale.world.ledger.refusals())
    assert 3 >= max(windows.values())
    assert 12 >= tale.refusals()
