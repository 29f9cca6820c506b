"""What was heard: committed with its tokens and cursor, recognised when it comes again, never swallowed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from yizhan.errors import UnknownAccount
from yizhan.model import (
    Access,
    AccountId,
    ChatId,
    ChatSession,
    Dispatch,
    Item,
    MessageClass,
    MessageState,
    Reason,
    Rule,
    Suppressed,
    Target,
    TokenState,
    Turn,
    TurnId,
    TurnState,
)
from yizhan.ports import InboundCommit, TurnEnd, TurnStart
from yizhan.store.tables import reply_token

Desk = Any


@pytest.mark.field("F30")
async def test_messages_token_and_cursor_are_one_commit(desk: Desk) -> None:
    """The cursor must never be ahead of the messages it covers."""
    committed = await desk.receive(
        desk.arrival("one", token="t1"), desk.arrival("two", token="t2"), cursor="c1"
    )
    assert ["one", "two"] == [inbound.text for inbound in committed.new]
    assert ["t2"] == [token.token for token in committed.tokens]
    assert "c1" == (await desk.store.accounts())[0].cursor
    assert committed.new == await desk.store.pending_inbound()
    chat = await desk.store.chat(desk.target())
    assert ("Ming", "c2c") == (chat.title, chat.kind)
    assert chat.last_inbound_at_ms == committed.new[1].received_at_ms


async def test_a_room_of_many_is_not_called_by_whoever_spoke_first(desk: Desk) -> None:
    """The list of chats called a QQ group "Ann", after its first speaker."""
    said = desk.arrival("hi")
    await desk.receive(replace(said, heard=replace(said.heard, chat_kind="group")))
    chat = await desk.store.chat(desk.target())
    assert ("", "group") == (chat.title, chat.kind)


@pytest.mark.field("F29")
async def test_a_repeat_by_platform_id_is_suppressed_and_listed(desk: Desk) -> None:
    """A poll that is answered twice must not make the agent answer twice; and nothing vanishes unseen."""
    arrival = desk.arrival("hi")
    first = (await desk.receive(arrival)).new[0]
    again = await desk.receive(replace(desk.arrival("hi"), heard=arrival.heard))
    assert () == again.new
    assert [first.id] == [repeat.original_id for repeat in again.suppressed]
    timeline = await desk.store.timeline(desk.target(), None, 10)
    assert [Suppressed] == [type(row) for row in timeline.rows[:1]]


@pytest.mark.field("F31")
async def test_the_same_moment_sender_and_content_are_one_message(desk: Desk) -> None:
    """Some platforms repeat a message under another id, or under none."""
    arrival = desk.arrival("hi", platform_message_id="p1", token="t1")
    await desk.receive(arrival)
    for platform_id in ("p2", None):
        heard = replace(arrival.heard, platform_message_id=platform_id, token=f"t {platform_id}")
        again = await desk.receive(replace(desk.arrival(), heard=heard))
        assert (0, 1) == (len(again.new), len(again.suppressed))


@pytest.mark.field("F32")
@pytest.mark.parametrize(
    "change",
    [
        {"sent_at_ms": 1_900_000_000_000},
        {"sender_id": "o2"},
        {"text": "hi!"},
        {"items": (Item("image", "a.png", 3),)},
        {"sent_at_ms": 0},
        {"chat": "o2@im.wechat"},
    ],
)
async def test_an_honest_repeat_is_heard(desk: Desk, change: dict[str, Any]) -> None:
    """Somebody who says "yes" twice means it twice; only equal sender, time and content are the same message."""
    arrival = desk.arrival("yes", platform_message_id=None)
    await desk.receive(arrival)
    heard = replace(arrival.heard, **change)
    committed = await desk.receive(replace(desk.arrival(), heard=heard))
    assert 1 == len(committed.new)


async def test_unknown_times_never_make_two_messages_one(desk: Desk) -> None:
    """Where the platform gives neither id nor time, equal content proves nothing."""
    arrivals = [desk.arrival("yes", platform_message_id=None, sent_at_ms=0) for _ in range(2)]
    assert 2 == len((await desk.receive(*arrivals)).new)


async def test_a_commit_that_is_submitted_again_answers_the_same(desk: Desk) -> None:
    """A lost commit is repeated by the poller; its messages are still new to it."""
    commit = InboundCommit(AccountId("weixin:ab12@im.bot"), (desk.arrival(), desk.arrival()), "c1", 1)
    first = await desk.store.commit_inbound(commit)
    assert first.new == (await desk.store.commit_inbound(commit)).new
    assert 2 == sum(event.type == "message.received" for event in await desk.events())


async def test_the_event_of_a_received_message_carries_its_text_and_no_token(desk: Desk) -> None:
    """Programs read the text from the stream; tokens appear nowhere."""
    await desk.receive(desk.arrival("hello", token="very-secret"))
    event = (await desk.events())[-1]
    assert ("message.received", "hello") == (event.type, json.loads(event.data)["message"]["text"])
    assert b"very-secret" not in event.data


async def test_unknown_senders_are_listed_once_and_counted(desk: Desk) -> None:
    """Somebody decides about them later: who, what they said first, how often they were turned away."""
    for text in ("let me in", "hello?"):
        await desk.receive(desk.arrival(text, access=Access.PENDING, dispatch=Dispatch.DONE))
    (rule,) = await desk.store.rules(None)
    assert (Rule.PENDING, "let me in", 2) == (rule.rule, rule.first_text, rule.refused)
    assert () == await desk.store.pending_inbound()
    decided = await desk.store.set_rule(rule.account, rule.sender_id, Rule.ALLOW, desk.tick())
    assert (Rule.ALLOW, desk.now_ms, "let me in") == (decided.rule, decided.decided_at_ms, decided.first_text)
    await desk.receive(desk.arrival("thanks"))
    assert (decided,) == await desk.store.rules(rule.account)


async def test_a_decision_may_come_before_the_sender(desk: Desk) -> None:
    """An operator allows an id that was read out on the phone."""
    account = (await desk.store.accounts())[0].id
    rule = await desk.store.set_rule(account, "o7", Rule.BLOCK, desk.tick())
    assert (rule,) == await desk.store.rules(account)


async def test_what_the_database_cannot_hold_does_not_stop_the_poller(desk: Desk) -> None:
    """A message with NUL or half a character would otherwise come again and again, for ever."""
    committed = await desk.receive(desk.arrival("a\x00b\ud800c"), cursor="c1")
    assert "ab?c" == committed.new[0].text
    assert committed.new == await desk.store.inbound([committed.new[0].id])


async def test_an_unknown_account_takes_no_messages(desk: Desk) -> None:
    """The account was removed while a poll was under way."""
    with pytest.raises(UnknownAccount):
        await desk.store.commit_inbound(InboundCommit(AccountId("weixin:gone"), (desk.arrival(),), "c", 1))


# Reply tokens.


async def test_the_newest_token_is_the_chats_while_it_may_go_out(desk: Desk) -> None:
    """Where the newest one is stale, older ones are as well: the chat is tokenless, also after a restart."""
    await desk.receive(desk.arrival(token="t1"))
    await desk.receive(desk.arrival(token="t2"))
    newest = await desk.token()
    assert "t2" == newest.token
    await desk.learn(newest, TokenState.SUSPECT)
    assert ("t2", TokenState.SUSPECT) == ((await desk.token()).token, (await desk.token()).state)
    await desk.learn(newest, TokenState.STALE)
    assert None is await desk.token()


async def test_a_dropped_token_stays_dropped(place: Any, desk: Desk) -> None:
    """The deletion of a dead token must be on disk, or it comes back with every restart."""
    await desk.receive(desk.arrival(token="t1"))
    await desk.learn(await desk.token(), TokenState.STALE)
    await desk.store.close()
    store = await place.open()
    (lane,) = await store.lanes([desk.target()], 1, desk.now_ms)
    assert None is lane.token


async def test_a_stale_token_loses_its_text_and_keeps_its_reason(desk: Desk) -> None:
    """What is dead need not lie in a backup; why it is dead, an operator may ask."""
    await desk.receive(desk.arrival(token="t1"))
    await desk.learn(replace(await desk.token(), reason="found out"), TokenState.STALE)
    rows = await desk.store._read(lambda c: c.execute(select(reply_token)).all())
    assert [("", "stale", "found out")] == [(row.token, row.state, row.reason) for row in rows]


async def test_a_conviction_does_not_touch_a_token_that_came_in_the_same_commit(desk: Desk) -> None:
    """The reply that convicts and the message that brings a new token race; the new one lives."""
    await desk.receive(desk.arrival(token="t1"))
    old = await desk.token()
    message = await desk.accept()
    await desk.begin(message, with_token=True)
    convicted = replace(old, state=TokenState.STALE)
    await asyncio.gather(desk.receive(desk.arrival(token="t1")), desk.settle(message, token=convicted))
    assert TokenState.FRESH is (await desk.token()).state
    assert "t1" == (await desk.token()).token


async def test_a_repeat_does_not_revive_a_stale_token_but_brings_its_new_one(desk: Desk) -> None:
    """After a restart the platform repeats old messages, with old tokens."""
    arrival = desk.arrival("hi", token="t1")
    await desk.receive(arrival)
    await desk.learn(await desk.token(), TokenState.STALE)
    await desk.receive(replace(desk.arrival(), heard=arrival.heard))
    assert None is await desk.token()
    await desk.receive(replace(desk.arrival(), heard=replace(arrival.heard, token="t2")))
    assert "t2" == (await desk.token()).token


async def test_a_token_that_comes_with_a_new_message_is_fresh_again(desk: Desk) -> None:
    """Some platforms give one token again and again; a new message is new permission, and what was learned of
    the old permission meanwhile does not touch it."""
    await desk.receive(desk.arrival("one", token="t1"))
    old = await desk.token()
    await desk.receive(desk.arrival("two", token="t1"))
    await desk.learn(old, TokenState.STALE)
    token = await desk.token()
    assert (TokenState.FRESH, "t1") == (token.state, token.token)
    assert token.inbound_id != old.inbound_id


async def test_old_tokens_leave(desk: Desk) -> None:
    """A chat that writes for years must not collect tokens for years."""
    await desk.receive(*(desk.arrival(str(number), token=f"t{number}") for number in range(60)))
    for _ in range(40):
        token = await desk.token()
        if token is None:
            break
        await desk.learn(token, TokenState.STALE)
    assert None is await desk.token()
    await desk.receive(desk.arrival("next", token="t1"))
    assert "t1" == (await desk.token()).token


# Turns.


async def _started(desk: Desk, texts: tuple[str, ...] = ("one", "two")) -> Any:
    heard = (await desk.receive(*(desk.arrival(text) for text in texts))).new
    ids = tuple(inbound.id for inbound in heard)
    start = TurnStart(TurnId("t_1"), desk.target(), "echo", ids, desk.tick())
    return (await desk.store.start_turn(start)).turn


async def test_a_turn_claims_its_messages_and_ends_with_its_outputs(desk: Desk) -> None:
    """The outputs and the end are one commit: a crash leaves both or neither."""
    turn = await _started(desk)
    assert (turn,) == await desk.store.open_turns()
    assert () == await desk.store.pending_inbound()
    outputs = tuple(
        desk.draft(
            text,
            klass=MessageClass.REPLY,
            turn_id=turn.id,
            ordinal=number,
            idempotency_key=f"{turn.id}/{number}",
            keep_first=True,
        )
        for number, text in enumerate(("answer", "more"))
    )
    end = TurnEnd(turn.id, TurnState.DONE, desk.tick(), outputs)
    assert await desk.store.begin_turn(turn, desk.tick())
    assert await desk.store.begin_turn(turn, desk.tick())
    accepted = await desk.store.end_turn(end)
    assert [True, True] == [answer.created for answer in accepted]
    again = await desk.store.end_turn(replace(end, outputs=tuple(replace(o, id=f"{o.id}b") for o in outputs)))
    assert [answer.message.id for answer in accepted] == [answer.message.id for answer in again]
    assert () == await desk.store.open_turns()
    assert None is await desk.store.begin_turn(turn, desk.tick())
    heard = await desk.store.inbound(turn.inbound_ids)
    assert {(Dispatch.DONE, turn.id)} == {(inbound.dispatch, inbound.turn_id) for inbound in heard}
    states = [json.loads(e.data)["turn"]["state"] for e in await desk.events() if e.type == "turn.state"]
    assert ["queued", "running", "done"] == states


async def test_a_turn_for_which_a_worker_is_free_runs_from_its_first_commit(desk: Desk) -> None:
    """A commit costs what the disk costs: nobody should pay for two where one tells everything."""
    (heard,) = (await desk.receive(desk.arrival("one"))).new
    await desk.store.new_session(desk.target(), "", True, desk.now_ms)
    start = TurnStart(TurnId("t_1"), desk.target(), "echo", (heard.id,), desk.tick(), begins=True)
    opened = await desk.store.start_turn(start)
    assert (TurnState.RUNNING, start.at_ms) == (opened.turn.state, opened.turn.started_at_ms)
    assert desk.now_ms - 1 == opened.session.since_ms
    assert opened == await desk.store.begin_turn(opened.turn, desk.tick())
    states = [json.loads(e.data)["turn"]["state"] for e in await desk.events() if e.type == "turn.state"]
    assert ["running"] == states


async def test_a_turn_that_has_ended_takes_no_more_outputs(desk: Desk) -> None:
    """What ended a turn early, /stop or the account's removal, is not undone by an agent that answers late."""
    turn = await _started(desk)
    reason = Reason("stopped", "ended by /stop")
    await desk.store.end_turn(TurnEnd(turn.id, TurnState.STOPPED, desk.tick(), reason=reason))
    late = desk.draft("late", klass=MessageClass.REPLY, turn_id=turn.id, ordinal=0, keep_first=True)
    assert () == await desk.store.end_turn(TurnEnd(turn.id, TurnState.DONE, desk.tick(), (late,)))
    (lane,) = await desk.store.lanes([desk.target()], 9, desk.now_ms)
    assert () == lane.messages


async def test_an_agents_complaint_stands_in_the_timeline_and_in_no_event(desk: Desk) -> None:
    """It may quote what was said; events carry message text nowhere but in message.received."""
    turn = await _started(desk)
    reason = Reason("agent-error", "it choked on: my diagnosis")
    await desk.store.end_turn(TurnEnd(turn.id, TurnState.FAILED, desk.tick(), reason=reason))
    (row,) = [
        row for row in (await desk.store.timeline(desk.target(), None, 9)).rows if row.__class__ is Turn
    ]
    assert reason == row.reason
    told = [json.loads(e.data)["turn"]["reason"] for e in await desk.events() if e.type == "turn.state"][-1]
    assert "agent-error" == told["code"]
    assert not any(b"diagnosis" in event.data for event in await desk.events())


async def test_removing_an_account_ends_its_turns_and_what_waited_for_one(desk: Desk) -> None:
    """Nobody is there any more to answer to: a restart must not ask the agent again."""
    turn = await _started(desk)
    (waiting,) = (await desk.receive(desk.arrival("three"))).new
    await desk.store.remove_account(turn.account, desk.tick())
    assert ((), ()) == (await desk.store.open_turns(), await desk.store.pending_inbound())
    heard = await desk.store.inbound([*turn.inbound_ids, waiting.id])
    assert {Dispatch.DONE} == {inbound.dispatch for inbound in heard}
    (row,) = [
        row for row in (await desk.store.timeline(desk.target(), None, 9)).rows if row.__class__ is Turn
    ]
    assert (TurnState.STOPPED, "account-removed") == (row.state, row.reason.code)
    with pytest.raises(UnknownAccount):
        await desk.store.start_turn(TurnStart(TurnId("t_2"), desk.target(), "echo", (), desk.tick()))


async def test_a_turn_survives_a_restart_open(place: Any, desk: Desk) -> None:
    """A crash in the middle of an answer re-runs the turn; its messages are not handed out a second time."""
    turn = await _started(desk)
    await desk.store.close()
    store = await place.open()
    assert (turn,) == await store.open_turns()
    again = await store.start_turn(TurnStart(turn.id, desk.target(), "echo", (), desk.tick()))
    assert turn == again.turn
    assert () == await store.pending_inbound()
    reason = Reason("agent", "it failed")
    await store.end_turn(TurnEnd(turn.id, TurnState.FAILED, desk.tick(), reason=reason))
    assert () == await store.open_turns()


async def test_dispatch_done_asks_nothing_any_more(desk: Desk) -> None:
    """A control command that was carried out must not be carried out again after a restart."""
    (inbound,) = (await desk.receive(desk.arrival("/stop", dispatch=Dispatch.COMMAND))).new
    await desk.store.dispatch_done([inbound.id])
    assert () == await desk.store.pending_inbound()


def _key(target: Target) -> tuple[AccountId, ChatId]:
    return target.account, target.chat


async def test_history_is_the_conversation_of_the_present_session(desk: Desk) -> None:
    """An agent is told what was said: what failed is marked; no progress, no strangers, nothing from before /new."""
    await desk.receive(desk.arrival("before"))
    since_ms = desk.tick()
    await desk.store.new_session(desk.target(), "", True, since_ms)
    session = ChatSession(*_key(desk.target()), since_ms=since_ms)
    await desk.receive(desk.arrival("question"))
    await desk.accept("answer", klass=MessageClass.REPLY)
    await desk.accept("thinking", klass=MessageClass.PROGRESS)
    await desk.receive(desk.arrival("stranger", access=Access.DENIED))
    await desk.fail(await desk.accept("broken", klass=MessageClass.REPLY))
    await desk.fail(await desk.accept("news"), MessageState.UNCONFIRMED)
    said = await desk.store.history(session, 10)
    assert [
        ("user", "question", False),
        ("assistant", "answer", False),
        ("assistant", "broken", True),
        ("assistant", "news", False),
    ] == [(line.role, line.text, line.undelivered) for line in said]
    assert all(line.unasked == (line.role == "assistant") for line in said), (
        "no turn of an agent has said them"
    )
    assert said[-2:] == await desk.store.history(session, 2)
