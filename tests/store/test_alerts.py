"""Alerts as they are kept, and what the watch reads of messages that fare badly; on both engines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from yizhan.core.alerts import AlertChange, AlertNumbers, GhostRun, Pile
from yizhan.model import (
    AccountId,
    Alert,
    AlertKind,
    ChatId,
    Credentials,
    InDoubtPolicy,
    MessageClass,
    MessageId,
    MessageState,
    Severity,
    WaitingFor,
)

Desk = Any
A, OTHER = AccountId("weixin:ab12@im.bot"), AccountId("weixin:cd34@im.bot")
HOUR_MS = 3_600_000
NUMBERS = AlertNumbers()


def alert(number: int, at_ms: int, **more: Any) -> Alert:
    shape: dict[str, Any] = {
        "id": f"al_{number}",
        "kind": AlertKind.DEAD_LETTER,
        "severity": Severity.WARNING,
        "account": A,
        "chat": ChatId("o1@im.wechat"),
        "message": MessageId("m_1"),
        "text": "1 message has failed lately.",
        "action": "yizhan outbox list --state failed",
        "since_ms": at_ms,
        "last_seen_ms": at_ms,
    }
    return Alert(**(shape | more))


async def _note(desk: Desk, *alerts: Alert, told: bool = True) -> None:
    await desk.store.note_alerts([AlertChange(each, told) for each in alerts], desk.tick())


async def test_an_alert_is_kept_as_it_was_written_and_written_over(desk: Desk) -> None:
    """Raised, grown, cleared: one row."""
    first = alert(1, desk.now_ms)
    own = alert(2, desk.now_ms - 1, kind=AlertKind.DISK, account=None, chat=None, message=None)
    await _note(desk, first, own)
    assert (first, own) == (await desk.store.alerts(None, None, 10)).rows
    grown = replace(first, count=9, last_seen_ms=desk.tick(), cleared_at_ms=desk.tick())
    await _note(desk, grown)
    assert (own, grown) == (await desk.store.alerts(None, None, 10)).rows


async def test_only_what_is_told_is_an_event(desk: Desk) -> None:
    """A trouble that grows every minute must not wake anybody up."""
    before = len(await desk.events())
    raised = alert(1, desk.now_ms)
    await _note(desk, raised)
    await _note(desk, replace(raised, count=2), told=False)
    await _note(desk, replace(raised, cleared_at_ms=desk.now_ms))
    told = [json.loads(event.data) for event in (await desk.events())[before:]]
    assert ["alert", "alert"] == [shape["type"] for shape in told]
    assert ["open", "cleared"] == [shape["alert"]["state"] for shape in told]
    assert {f"{A}:o1@im.wechat"} == {shape["chat"] for shape in told}


async def test_alerts_are_listed_open_first_and_page_by_page(desk: Desk) -> None:
    """Whoever looks wants to know what is wrong now."""
    base_ms = desk.now_ms
    written = [
        alert(number, base_ms + number, cleared_at_ms=base_ms + 100 - number if number % 2 else None)
        for number in range(8)
    ]
    await _note(desk, *written)
    for is_open, expected in (
        (None, ["al_6", "al_4", "al_2", "al_0", "al_1", "al_3", "al_5", "al_7"]),
        (True, ["al_6", "al_4", "al_2", "al_0"]),
        (False, ["al_1", "al_3", "al_5", "al_7"]),
    ):
        listed, cursor = [], None
        while True:
            page = await desk.store.alerts(is_open, cursor, 3)
            listed += [each.id for each in page.rows]
            cursor = page.next
            if cursor is None:
                break
        assert expected == listed


async def test_cleared_alerts_are_swept_away_with_the_events(desk: Desk) -> None:
    """Open ones never, however old."""
    await _note(desk, alert(1, 1), alert(2, 1, cleared_at_ms=5), alert(3, 1, cleared_at_ms=500))
    await desk.store.prune(desk.now_ms, 0, 100, 50)
    assert {"al_1", "al_3"} == {each.id for each in (await desk.store.alerts(None, None, 10)).rows}
    assert {"al_1"} == {each.id for each in await desk.store.alerts_since(501)}


async def test_what_waits_long_is_put_together_by_account(desk: Desk) -> None:
    """The oldest speaks; progress lines, messages with a date to come and those that have ended do not count."""
    oldest = await desk.accept("a", chat="c1")
    await desk.accept("b", chat="c1")
    await desk.accept("c", chat="c2")
    await desk.accept("line", chat="c2", klass=MessageClass.PROGRESS)
    await desk.accept("later", chat="c3", not_before_ms=desk.now_ms + 5 * HOUR_MS)
    await desk.deliver(await desk.accept("done", chat="c4"))
    now_ms = desk.now_ms + NUMBERS.waiting_ms
    troubles = await desk.store.troubles(NUMBERS, now_ms)
    assert (Pile(A, ChatId("c1"), oldest.id, 3, 2, oldest.created_at_ms),) == troubles.waiting
    assert () == (await desk.store.troubles(NUMBERS, oldest.created_at_ms)).waiting
    later = await desk.store.troubles(NUMBERS, desk.now_ms + 6 * HOUR_MS)
    assert 4 == later.waiting[0].messages, "its date has come, and it waits as well"
    assert () == (await desk.store.troubles(replace(NUMBERS, waiting_ms=0), now_ms)).waiting


async def test_dead_letters_are_found_until_they_are_revived_or_old(desk: Desk) -> None:
    """Nothing must be acknowledged: repairing it is enough."""
    first, second = await desk.accept("a", chat="c1"), await desk.accept("b", chat="c2")
    await desk.fail(first)
    await desk.fail(second)
    progress = await desk.accept("line", klass=MessageClass.PROGRESS)
    await desk.store.expire_due(progress.expires_at_ms, 10)
    troubles = await desk.store.troubles(NUMBERS, desk.now_ms)
    assert ([2], [2]) == ([p.messages for p in troubles.failed], [p.chats for p in troubles.failed])
    assert second.id == troubles.failed[0].message
    assert () == troubles.expired, "a progress line that came too late is no loss"
    await desk.store.retry(second.id, desk.tick(), desk.now_ms + HOUR_MS)
    assert [first.id] == [p.message for p in (await desk.store.troubles(NUMBERS, desk.now_ms)).failed]
    late_ms = desk.now_ms + NUMBERS.dead_letter_ms + 1
    assert () == (await desk.store.troubles(NUMBERS, late_ms)).failed


async def test_expired_messages_are_found(desk: Desk) -> None:
    """A push nobody got in a week should not end in silence."""
    message = await desk.accept("a")
    await desk.store.expire_due(message.expires_at_ms, 10)
    (pile,) = (await desk.store.troubles(NUMBERS, message.expires_at_ms)).expired
    assert (message.id, 1) == (pile.message, pile.messages)


async def test_parts_held_in_doubt_are_found(desk: Desk) -> None:
    """`hold` waits for somebody who must hear of it."""
    message = await desk.accept("a")
    await desk.begin(message)
    held = desk.entry(
        message, MessageState.WAITING, WaitingFor.OPERATOR, in_doubt=True, possibly_doubled=True
    )
    await desk.settle(message, verdict="InDoubt", entry=held)
    (pile,) = (await desk.store.troubles(NUMBERS, desk.now_ms)).held
    assert message.id == pile.message


async def _ghost(desk: Desk, chat: str, came: bool = False) -> None:
    message = await desk.accept("x", chat=chat)
    assert await desk.begin(message)
    state = MessageState.DELIVERED if came else MessageState.UNCONFIRMED
    await desk.settle(message, verdict="Ghost", entry=desk.entry(message, state), ghost=not came)


async def test_ghosts_in_a_row_are_counted_for_chat_and_account_over_restarts(desk: Desk) -> None:
    """Ten chats with one ghost each are ten in a row for the account; a receipt anywhere ends the account's run."""
    for chat in ("c1", "c2", "c1", "c1"):
        await _ghost(desk, chat)
    assert (GhostRun(A, None, 4),) == (await desk.store.troubles(NUMBERS, desk.now_ms)).ghosts
    assert (3, 1) == tuple([(await desk.store.chat(desk.target(chat))).ghosts for chat in ("c1", "c2")])
    await _ghost(desk, "c2", came=True)
    assert (GhostRun(A, ChatId("c1"), 3),) == (await desk.store.troubles(NUMBERS, desk.now_ms)).ghosts
    await _ghost(desk, "c1", came=True)
    assert () == (await desk.store.troubles(NUMBERS, desk.now_ms)).ghosts
    assert 0 == (await desk.store.account(A)).ghosts


async def test_a_chat_that_nobody_writes_to_any_more_alarms_nobody(desk: Desk) -> None:
    """Its last three pushes in spring say nothing about today."""
    for _ in range(3):
        await _ghost(desk, "c1")
    await _ghost(desk, "c2", came=True)
    assert () != (await desk.store.troubles(NUMBERS, desk.now_ms)).ghosts
    assert () == (await desk.store.troubles(NUMBERS, desk.now_ms + 8 * 24 * HOUR_MS)).ghosts


async def test_accounts_are_told_apart(desk: Desk) -> None:
    """One account's trouble is not another's."""
    await desk.store.put_account(OTHER, Credentials("s", "u"), desk.tick())
    await desk.accept("a")
    other = replace(desk.draft("b"), target=replace(desk.target(), account=OTHER))
    await desk.store.accept(other)
    waiting = (await desk.store.troubles(NUMBERS, desk.now_ms + NUMBERS.waiting_ms)).waiting
    assert [A, OTHER] == [pile.account for pile in waiting]


@pytest.mark.parametrize(
    ("policy", "state", "waiting_for"),
    [
        (InDoubtPolicy.RESEND, MessageState.WAITING, WaitingFor.CONNECTION),
        (InDoubtPolicy.HOLD, MessageState.WAITING, WaitingFor.OPERATOR),
        (InDoubtPolicy.DROP_VISIBLY, MessageState.UNCONFIRMED, None),
    ],
)
async def test_a_crash_on_the_wire_is_a_doubt_like_any_other(
    desk: Desk, policy: InDoubtPolicy, state: MessageState, waiting_for: WaitingFor | None
) -> None:
    """Whoever chose `hold` or `drop_visibly` would find it doubled on the screen otherwise."""
    message = await desk.accept("a", parts=2)
    assert await desk.begin(message)
    assert 1 == await desk.store.recover(desk.tick(), policy)
    part, untouched = (await desk.store.message(message.id)).entries
    assert (state, waiting_for, True, True) == (
        part.state,
        part.waiting_for,
        part.possibly_doubled,
        part.in_doubt,
    )
    assert "crash" == part.reason.code
    assert MessageState.QUEUED is untouched.state


async def test_a_revived_message_takes_its_old_place_and_lets_answers_pass(desk: Desk) -> None:
    """Its ids and its order are kept; it was not begun in this life, so an answer need not wait for it."""
    first = await desk.accept("first")
    await desk.fail(first)
    await desk.accept("second")
    await desk.accept("answer", klass=MessageClass.REPLY)
    revived = await desk.store.retry(first.id, desk.tick(), desk.now_ms + HOUR_MS)
    assert first.entries[0].client_id == revived.entries[0].client_id
    (lane,) = await desk.store.lanes([desk.target()], 9, desk.now_ms)
    assert ["answer", "first", "second"] == [message.text for message in lane.messages]


async def test_a_message_revived_in_its_middle_is_finished_first(desk: Desk) -> None:
    """Part one is on the screen; part two must not stand behind something else."""
    begun = await desk.accept("begun", parts=2)
    await desk.deliver(begun, 1)
    await desk.begin(begun, 2)
    await desk.settle(
        begun,
        2,
        verdict="Rejected",
        entry=replace(begun.entries[1], state=MessageState.FAILED, attempts_made=1),
    )
    await desk.accept("answer", klass=MessageClass.REPLY)
    await desk.store.retry(begun.id, desk.tick(), desk.now_ms + HOUR_MS)
    (lane,) = await desk.store.lanes([desk.target()], 9, desk.now_ms)
    assert ["begun", "answer"] == [message.text for message in lane.messages]


async def test_a_sender_who_was_never_heard_was_never_seen(desk: Desk) -> None:
    """Allowed by hand before the first message: the time of the decision is not a time of writing."""
    from yizhan.model import Access, Dispatch, Rule

    await desk.store.set_rule(A, "o7@im.wechat", Rule.ALLOW, desk.tick())
    (known,) = await desk.store.rules(A)
    assert (None, None, desk.now_ms) == (known.first_seen_at_ms, known.last_seen_at_ms, known.decided_at_ms)
    await desk.store.set_rule(A, "o7@im.wechat", Rule.BLOCK, desk.tick())
    await desk.receive(desk.arrival(sender_id="o7@im.wechat", access=Access.DENIED, dispatch=Dispatch.DONE))
    (seen,) = await desk.store.rules(A)
    assert seen.first_seen_at_ms == seen.last_seen_at_ms is not None


async def test_long_queues_are_counted_by_account(desk: Desk) -> None:
    """What has ended waits for nothing."""
    first = await desk.accept("1")
    await desk.accept("2", chat="o2@im.wechat")
    await desk.accept("3", chat="o2@im.wechat")
    found = await desk.store.troubles(replace(NUMBERS, queue=2), desk.tick())
    assert ((A, 3),) == found.queues
    await desk.deliver(first)
    assert () == (await desk.store.troubles(replace(NUMBERS, queue=2), desk.tick())).queues
    assert () == (await desk.store.troubles(replace(NUMBERS, queue=0), desk.tick())).queues


async def test_the_latest_message_of_a_source_in_a_chat(desk: Desk) -> None:
    """By which a restarted gateway knows what it has told."""
    target = desk.target()
    assert await desk.store.last_message_ms(target, "alert") is None
    said = [await desk.accept(source=source) for source in ("alert", "alert", "api")]
    await desk.accept(chat="o2@im.wechat", source="alert")
    assert said[1].created_at_ms == await desk.store.last_message_ms(target, "alert")
