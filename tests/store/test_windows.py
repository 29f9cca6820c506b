"""What is shown: pages, timelines, events in order, counts; and what is swept away in the end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from yizhan.errors import InvalidRequest, UnknownAccount, UnknownKey
from yizhan.model import (
    AccountId,
    AccountState,
    ApiKey,
    Credentials,
    Dispatch,
    Inbound,
    Message,
    MessageState,
    Reason,
    Turn,
    TurnId,
    TurnState,
)
from yizhan.ports import AccountChange, MessageFilter, TurnEnd, TurnStart

Desk = Any
A = AccountId("weixin:ab12@im.bot")
DAY_MS = 86_400_000


async def _all(fetch: Any) -> list[Any]:
    """Every row, page by page."""
    rows, cursor = [], None
    while True:
        page = await fetch(cursor)
        rows += page.rows
        cursor = page.next
        if cursor is None:
            return rows


async def test_messages_are_listed_newest_first_page_by_page(desk: Desk) -> None:
    """Paging must neither skip nor repeat a row."""
    ids = [(await desk.accept(str(number))).id for number in range(7)]
    listed = await _all(lambda cursor: desk.store.messages(MessageFilter(), cursor, 3))
    assert ids[::-1] == [message.id for message in listed]
    with pytest.raises(InvalidRequest):
        await desk.store.messages(MessageFilter(), "no cursor", 3)


async def test_messages_are_filtered_by_chat_state_and_time(desk: Desk) -> None:
    """An operator looks for what failed in one chat since yesterday."""
    old = await desk.accept("old", chat="a")
    failed = await desk.accept("failed", chat="a")
    await desk.fail(failed)
    await desk.accept("elsewhere", chat="b")

    async def ids(**where: Any) -> set[str]:
        return {message.id for message in (await desk.store.messages(MessageFilter(**where), None, 9)).rows}

    assert {old.id, failed.id} == await ids(account=A, chat="a")
    assert {failed.id} == await ids(states=frozenset({MessageState.FAILED}))
    assert {failed.id} == await ids(chat="a", since_ms=failed.created_at_ms)
    assert set() == await ids(account=AccountId("weixin:other"))


async def test_the_timeline_shows_everything_in_one_order(desk: Desk) -> None:
    """Inbound, turn and answers as they happened, newest first, page by page."""
    inbound = (await desk.receive(desk.arrival("question"))).new[0]
    start = TurnStart(TurnId("t_1"), desk.target(), "echo", (inbound.id,), desk.tick())
    turn = (await desk.store.start_turn(start)).turn
    await desk.store.end_turn(TurnEnd(turn.id, TurnState.DONE, desk.tick(), (desk.draft("answer"),)))
    await desk.receive(desk.arrival("thanks"))
    rows = await _all(lambda cursor: desk.store.timeline(desk.target(), cursor, 2))
    assert [Inbound, Turn, Message, Inbound] == [type(row) for row in rows[::-1]]
    assert ("question", TurnState.DONE, "answer") == (rows[3].text, rows[2].state, rows[1].text)


async def test_chats_are_listed_by_their_latest_activity(desk: Desk) -> None:
    """The console shows first where something just happened."""
    for chat in ("a", "b", "c"):
        await desk.receive(desk.arrival(chat=chat))
    await desk.deliver(await desk.accept(chat="a"))
    listed = await _all(lambda cursor: desk.store.chats(A, cursor, 2))
    assert ["a", "c", "b"] == [chat.id for chat in listed]
    assert [] == await _all(lambda cursor: desk.store.chats(AccountId("qq:1"), cursor, 2))


async def test_events_are_numbered_without_gaps_and_told_in_order(desk: Desk) -> None:
    """A reader past id N has seen every smaller id; listeners hear what the table holds."""
    before = (await desk.store.event_range())[1]
    accepted = await desk.accepted(*(desk.draft(str(number)) for number in range(30)))
    await asyncio.gather(*(desk.deliver(answer.message) for answer in accepted))
    stored = await desk.events()
    assert list(range(1, len(stored) + 1)) == [event.id for event in stored]
    assert stored[before:] == tuple(desk.heard_events)
    assert (1, len(stored)) == await desk.store.event_range()
    assert stored[10:15] == await desk.store.events_after(10, 5)
    assert "id" not in json.loads(stored[0].data)


async def test_a_listener_that_fails_harms_nobody(desk: Desk) -> None:
    """A broken window must not stop the road."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    desk.store.subscribe(lambda events: 1 / 0)
    heard: list[Any] = []
    desk.store.subscribe(heard.extend)
    message = await desk.accept()
    assert [message.id] == [json.loads(event.data)["message"]["id"] for event in heard]
    assert 1 == len(complaints)


async def test_a_change_that_shows_nothing_makes_no_event(desk: Desk) -> None:
    """Readers are told of changes, not of writes."""
    change = AccountChange(A, AccountState.UP, desk.tick(), last_server_answer_at_ms=5)
    await desk.store.change_account(change)
    await desk.store.change_account(
        AccountChange(A, AccountState.UP, desk.tick(), last_server_answer_at_ms=9)
    )
    account = await desk.store.account(A)
    assert (9, change.at_ms) == (account.last_server_answer_at_ms, account.since_ms)
    assert 1 == sum(b'"up"' in event.data for event in await desk.events())


@pytest.mark.field("F25")
async def test_accounts_are_put_paused_and_given_new_credentials(desk: Desk) -> None:
    """A new secret starts a new cursor; the queue stays."""
    await desk.receive(cursor="c1")
    message = await desk.accept()
    assert (await desk.store.set_paused(A, True, desk.tick())).state is AccountState.PAUSED
    same, new = await desk.store.put_account(A, Credentials("bot-secret", "https://b"), desk.tick())
    assert (False, "c1", AccountState.PAUSED) == (new, same.cursor, same.state)
    other, _ = await desk.store.put_account(A, Credentials("other", "https://b"), desk.tick())
    assert ("", True) == (other.cursor, other.paused)
    assert (await desk.store.set_paused(A, False, desk.tick())).state is AccountState.STARTING
    assert message.id == (await desk.store.message(message.id)).id
    down = AccountChange(A, AccountState.DOWN, desk.tick(), Reason("x", "y"), "act", 7)
    assert ("act", 7) == (
        (changed := await desk.store.change_account(down)).action,
        changed.next_attempt_at_ms,
    )
    assert changed == await desk.store.account(A)
    with pytest.raises(UnknownAccount):
        await desk.store.account(AccountId("weixin:nobody"))


async def test_what_was_found_out_before_a_pause_and_is_written_after_it_changes_nothing(desk: Desk) -> None:
    """A paused account was shown as down, with a next try that never came."""
    await desk.store.set_paused(A, True, desk.tick())
    late = AccountChange(A, AccountState.DOWN, desk.tick(), Reason("x", "y"), "", 7)
    await desk.store.change_account(late)
    paused = await desk.store.account(A)
    assert (AccountState.PAUSED, None) == (paused.state, paused.next_attempt_at_ms)


async def test_a_paused_chat_is_remembered(desk: Desk) -> None:
    """Also one that nobody has written in yet."""
    await desk.store.set_chat_paused(desk.target("new"), True, desk.tick())
    assert (await desk.store.chat(desk.target("new"))).paused
    assert (desk.target("new"),) == await desk.store.paused_chats()
    assert None is await desk.store.chat(desk.target("other"))


async def test_keys_are_added_and_revoked(desk: Desk) -> None:
    """A revoked key stays listed, so that its past use can be explained."""
    key = ApiKey("k_1", "cron", "sha", frozenset({"send", "read"}), desk.tick())
    await desk.store.add_key(key)
    assert (key,) == await desk.store.keys()
    revoked = await desk.store.revoke_key("k_1", desk.tick())
    assert desk.now_ms == revoked.revoked_at_ms
    assert revoked == await desk.store.revoke_key("k_1", desk.tick())
    with pytest.raises(UnknownKey):
        await desk.store.revoke_key("k_2", desk.tick())


async def test_counts_tell_what_is_owed(desk: Desk) -> None:
    """Status and metrics: live messages by account and state, and how long the oldest has waited."""
    first = await desk.accept()
    await desk.accept()
    await desk.begin(await desk.accept(chat="b"))
    await desk.deliver(await desk.accept(chat="c"))
    inbound = (await desk.receive(desk.arrival())).new[0]
    await desk.store.start_turn(TurnStart(TurnId("t_1"), desk.target(), "echo", (inbound.id,), desk.tick()))
    counts = await desk.store.counts()
    assert {(A, MessageState.QUEUED): 2, (A, MessageState.SENDING): 1} == counts.by_account_state
    assert ({A: first.created_at_ms}, 1) == (counts.oldest_live_at_ms, counts.open_turns)


async def test_pruning_removes_what_is_old_and_nothing_that_lives(desk: Desk) -> None:
    """Ninety days of finished messages, fourteen of attempts and events; a live row never goes."""
    done, live = await desk.accept("done"), await desk.accept("live")
    await desk.deliver(done)
    await desk.begin(live)
    answered = (await desk.receive(desk.arrival("answered", dispatch=Dispatch.DONE))).new[0]
    asked, waiting = (await desk.receive(desk.arrival("asked"), desk.arrival("waiting"))).new
    await desk.store.start_turn(TurnStart(TurnId("t_1"), desk.target(), "echo", (asked.id,), desk.tick()))
    now_ms = desk.now_ms + 100 * DAY_MS
    newest = (await desk.store.event_range())[1]

    assert 0 == await desk.store.prune(now_ms, desk.now_ms - DAY_MS, desk.now_ms - DAY_MS, 100)
    removed = [await desk.store.prune(now_ms, now_ms - DAY_MS, now_ms - DAY_MS, 2) for _ in range(20)]
    assert all(removed[:2])
    assert 0 == removed[-1]
    assert [live.id] == [m.id for m in (await desk.store.messages(MessageFilter(), None, 9)).rows]
    assert 1 == len((await desk.store.message(live.id)).entries[0].attempts)
    kept = await desk.store.inbound([answered.id, asked.id, waiting.id])
    assert [asked.id, waiting.id] == [inbound.id for inbound in kept]
    assert 1 == len(await desk.store.open_turns())
    assert (newest + 1, newest) == await desk.store.event_range()
    await desk.accept("next")
    assert (newest + 1, newest + 1) == await desk.store.event_range()
