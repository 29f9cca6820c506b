"""Accepted is not delivered: stories of messages that everybody believed sent (F18-F20, F95)."""

from __future__ import annotations

import pytest

from tests.stories.conftest import Tale, in_virtual_time


@pytest.mark.field("F18")
@in_virtual_time()
async def test_everything_sent_ok_and_the_phone_shows_nothing(tale: Tale) -> None:
    """`ret: 0` without an id was never shown. It is not called delivered, not repeated, and can be sent later."""
    await tale.ann_writes()
    tale.wechat_answers("ret0", effect=False, times=2)
    pushes = [await tale.push(f"news {number}") for number in range(2)]
    await tale.passes(60)
    assert [("unconfirmed", None)] * 2 == [await tale.state(push) for push in pushes]
    assert {"no-receipt"} == {(await tale.message(push))["reason"]["code"] for push in pushes}
    assert 2 == len(tale.requests()), "a ghost is never resent by itself"
    assert [] == tale.phone()
    for push in pushes:
        assert 200 == (await tale.api("POST", f"/v1/messages/{push}/retry")).status_code
    await tale.passes(5)
    assert ["news 0", "news 1"] == tale.phone()
    assert [("delivered", None)] * 2 == [await tale.state(push) for push in pushes]


@pytest.mark.field("F18")
@in_virtual_time()
async def test_what_follows_a_ghost_goes_on(tale: Tale) -> None:
    """One doubtful message is no reason to hold the others back."""
    await tale.ann_writes()
    tale.wechat_answers("ret0", effect=False, times=1)
    ghost = await tale.push("news")
    await tale.push("more news")
    await tale.passes(30)
    assert ["more news"] == tale.phone()
    told = [event["message"] for event in await tale.events("message.state")]
    assert "delivered" not in {message["state"] for message in told if message["id"] == ghost}


@pytest.mark.field("F18")
@in_virtual_time()
async def test_ghosts_in_a_row_raise_an_alarm(tale: Tale) -> None:
    """Weeks of messages that nobody saw would be noticed after a few."""
    await tale.ann_writes()
    tale.wechat_answers("ret0", effect=False)
    for number in range(12):
        await tale.push(f"news {number}")
        await tale.passes(30)
    assert [] != await tale.alerts()
    assert [] != await tale.events("alert")


@pytest.mark.field("F19")
@in_virtual_time()
async def test_nothing_for_a_long_time_then_all_old_answers_once(tale: Tale) -> None:
    """An id was given: the platform has it. Sending it again would only make two of it."""
    tale.world.turn(delay_batch={"Ann": 900}, client_id_dedupe=False)
    await tale.ann_writes()
    pushes = [await tale.push(f"news {number}") for number in range(3)]
    await tale.passes(600)
    assert [] == tale.phone()
    assert ["delivered"] * 3 == [(await tale.message(push))["state"] for push in pushes]
    assert None not in [(await tale.message(push))["parts"][0]["receipt"] for push in pushes]
    await tale.passes(400)
    assert ["news 0", "news 1", "news 2"] == tale.phone()


@pytest.mark.field("F20")
@in_virtual_time()
async def test_a_server_that_never_gives_receipts_is_neither_failure_nor_success(tale: Tale) -> None:
    """Older servers answer `{}`: each message is on the phone once, and nobody claims to know it."""
    tale.world.turn(success_shape="ancient", client_id_dedupe=False)
    await tale.ann_writes()
    pushes = [await tale.push(f"news {number}") for number in range(3)]
    await tale.passes(60)
    assert ["news 0", "news 1", "news 2"] == tale.phone()
    assert [("unconfirmed", None)] * 3 == [await tale.state(push) for push in pushes]


@pytest.mark.field("F20")
@pytest.mark.parametrize("kind", ["empty_object", "empty", "html", "null", "text"])
@in_virtual_time()
async def test_an_answer_that_says_nothing_is_a_doubt_and_no_crash(tale: Tale, kind: str) -> None:
    """From a server that does give receipts, their absence means: ask again with the same id."""
    await tale.ann_writes()
    await tale.push("first")
    await tale.passes(5)
    tale.wechat_answers(kind, times=1)
    second = await tale.push("second")
    await tale.passes(30)
    assert ["first", "second"] == tale.phone()
    shown = await tale.message(second)
    assert ("delivered", True) == (shown["state"], shown["possibly_doubled"])
    assert ["InDoubt", "Delivered"] == [attempt["verdict"] for attempt in shown["parts"][0]["attempts"]]


@pytest.mark.field("F95")
@in_virtual_time()
async def test_the_push_api_says_where_the_message_really_is(tale: Tale) -> None:
    """202 means kept. Sent is said when the platform has said so, and not before."""
    await tale.ann_writes()
    tale.wechat_refuses(for_s=60)
    order = {"to": f"{tale.account}:{tale.world.user('Ann').user_id}", "text": "good morning"}
    answer = await tale.api("POST", "/v1/messages", json=order)
    assert (202, "queued") == (answer.status_code, answer.json()["state"])
    await tale.passes(30)
    assert ("waiting", "limit") == await tale.state(answer.json()["id"])
    while (await tale.message(f"{answer.json()['id']}?wait=60"))["state"] == "waiting":
        assert [] == tale.phone()
    await tale.until_quiet(60)
    told = [event["message"]["state"] for event in await tale.events("message.state")]
    assert "delivered" == told[-1]
    assert 1 == told.count("delivered")
    assert ["good morning"] == tale.phone()
