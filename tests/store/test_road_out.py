"""Accepting, sending, settling: what the store promises the road out, on both engines."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from yizhan.errors import (
    IdempotencyConflict,
    InvalidRequest,
    NotCancellable,
    NotRevivable,
    UnknownAccount,
    UnknownMessage,
)
from yizhan.model import (
    AccountId,
    ChatId,
    InboundId,
    MessageClass,
    MessageState,
    Reason,
    Target,
    TokenState,
    WaitingFor,
)
from yizhan.ports import Expired, Intent, MessageFilter, Parking
from yizhan.store.queries.by_key import live_progress_of

Desk = Any


async def test_an_accepted_message_is_there_with_its_parts_and_queued(desk: Desk) -> None:
    """Accepted means committed: what was answered can be read back, part by part."""
    message = await desk.accept("long", parts=2)
    read = await desk.store.message(message.id)
    assert message == read
    assert MessageState.QUEUED is read.state
    assert [(1, "long 1"), (2, "long 2")] == [(entry.no, entry.text) for entry in read.entries]


async def test_the_same_key_answers_the_first_message(desk: Desk) -> None:
    """A program that lost our answer asks again and must not send twice."""
    draft = desk.draft("one", idempotency_key="k1")
    first = await desk.store.accept(draft)
    again = await desk.store.accept(replace(draft, id="m_other"))
    assert (True, False) == (first.created, again.created)
    assert first.message == again.message


async def test_the_same_key_twice_in_one_commit_makes_one_message(desk: Desk) -> None:
    """Two requests with one key may arrive in the same instant."""
    drafts = [desk.draft("one", idempotency_key="k1") for _ in range(5)]
    accepted = await desk.accepted(*drafts)
    assert 1 == len({answer.message.id for answer in accepted})
    assert [True, False, False, False, False] == [answer.created for answer in accepted]


async def test_a_key_with_another_body_is_a_conflict_unless_the_first_is_kept(desk: Desk) -> None:
    """A reused key hides a mistake of the caller; a turn that runs again means its first outputs."""
    first = await desk.accept("one", idempotency_key="k1")
    with pytest.raises(IdempotencyConflict):
        await desk.accept("two", idempotency_key="k1")
    assert first.id == (await desk.accept("two", idempotency_key="k1", keep_first=True)).id


async def test_a_key_belongs_to_its_account(desk: Desk) -> None:
    """Two accounts of one gateway may use the same key for different messages."""
    other = AccountId("weixin:other")
    await desk.store.put_account(other, (await desk.store.accounts())[0].credentials, 1)
    first = await desk.accept("one", idempotency_key="k1")
    second = await desk.accept("two", idempotency_key="k1", target=Target(other, ChatId("o1")))
    assert first.id != second.id


async def test_a_draft_that_is_accepted_again_is_the_same_message(desk: Desk) -> None:
    """After a commit whose outcome got lost the gateway submits the same draft once more."""
    draft = desk.draft("one")
    first = await desk.store.accept(draft)
    assert replace(first, created=False) == await desk.store.accept(draft)


async def test_an_unknown_account_is_refused_and_its_neighbours_are_not(desk: Desk) -> None:
    """One caller's mistake must not cost another caller's message."""
    good, bad = desk.draft("good"), desk.draft("bad", target=Target(AccountId("weixin:nobody"), ChatId("o1")))
    answers = await asyncio.gather(
        desk.store.accept(good), desk.store.accept(bad), desk.accept("too"), return_exceptions=True
    )
    assert isinstance(answers[1], UnknownAccount)
    page = await desk.store.messages(MessageFilter(), None, 10)
    assert {"good", "too"} == {message.text for message in page.rows}


async def test_a_reply_names_a_received_message_of_its_chat(desk: Desk) -> None:
    """A reply carries the token of what it answers: that must exist, in that chat."""
    received = (await desk.receive(desk.arrival())).new[0]
    reply = await desk.accept("answer", in_reply_to=received.id)
    assert received.id == reply.in_reply_to
    with pytest.raises(UnknownMessage):
        await desk.accept("answer", in_reply_to=InboundId("in_nothing"))
    with pytest.raises(InvalidRequest):
        await desk.accept("answer", chat="o2@im.wechat", in_reply_to=received.id)


async def test_a_text_that_no_database_holds_is_refused_alone(desk: Desk) -> None:
    """A lone surrogate must neither stop the store nor sink the messages that share its commit."""
    answers = await asyncio.gather(
        desk.accept("before"), desk.accept("bad \ud800"), desk.accept("after"), return_exceptions=True
    )
    assert isinstance(answers[1], InvalidRequest)
    assert "\ud800" not in str(answers[1])
    page = await desk.store.messages(MessageFilter(), None, 10)
    assert {"before", "after"} == {message.text for message in page.rows}


async def test_messages_of_a_chat_take_ascending_positions(desk: Desk) -> None:
    """The order of acceptance is the order of sending, also within one commit."""
    accepted = await desk.accepted(*(desk.draft(str(number)) for number in range(20)))
    positions = [answer.message.seq for answer in accepted]
    assert sorted(set(positions)) == positions


async def test_an_attempt_is_written_down_before_and_settled_after(desk: Desk) -> None:
    """Intent before the first byte, outcome after: both are facts that a restart can read."""
    message = await desk.accept("one", parts=2)
    assert await desk.begin(message, 1)
    sending = await desk.store.message(message.id)
    assert (MessageState.SENDING, None) == (sending.state, sending.entries[0].attempts[0].verdict)
    settled = await desk.settle(message, 1)
    assert MessageState.WAITING is settled.state
    done = await desk.deliver(settled, 2)
    assert (MessageState.DELIVERED, desk.now_ms) == (done.state, done.finished_at_ms)
    read = await desk.store.message(message.id)
    assert ["Delivered", "Delivered"] == [entry.attempts[0].verdict for entry in read.entries]
    assert "receipt-1" == read.entries[0].receipt


async def test_begin_and_settle_may_be_submitted_again(desk: Desk) -> None:
    """When a commit's outcome got lost the caller repeats the step, and nothing happens twice."""
    message = await desk.accept()
    assert await desk.begin(message)
    assert await desk.begin(message)
    settlement = desk.settlement(message)
    first = await desk.store.settle(settlement)
    assert first == await desk.store.settle(settlement)
    assert 1 == len((await desk.store.message(message.id)).entries[0].attempts)
    states = [json.loads(event.data)["message"]["state"] for event in await desk.events() if event.chat]
    assert ["queued", "sending", "delivered"] == states


async def test_an_entry_that_has_ended_is_not_begun(desk: Desk) -> None:
    """A cancel that comes between choosing and sending wins."""
    message = await desk.accept()
    await desk.store.cancel(message.id, desk.tick())
    assert not await desk.begin(message)
    assert () == (await desk.store.message(message.id)).entries[0].attempts


async def test_steps_of_one_message_in_one_commit_keep_their_order(desk: Desk) -> None:
    """Accept, begin, settle and cancel may all wait for the same commit."""
    draft = desk.draft("one", parts=2)
    message = (await desk.accept("two")).entries[0]
    store = desk.store
    accepting = asyncio.ensure_future(store.accept(draft))
    begun = await asyncio.gather(
        asyncio.sleep(0, accepting),
        desk.begin(draft),
        store.cancel(draft.id, desk.tick()),
    )
    assert begun[1]
    parts = (await store.message(draft.id)).entries
    assert [MessageState.SENDING, MessageState.CANCELLED] == [part.state for part in parts]
    assert message.no == 1


async def test_cancel_ends_what_waits_and_leaves_what_is_on_the_wire(desk: Desk) -> None:
    """What has left cannot be called back; what has not, can."""
    message = await desk.accept("one", parts=3)
    await desk.deliver(message, 1)
    await desk.begin(message, 2)
    cancelled = await desk.store.cancel(message.id, desk.tick())
    expected = [MessageState.DELIVERED, MessageState.SENDING, MessageState.CANCELLED]
    assert expected == [entry.state for entry in cancelled.entries]
    with pytest.raises(NotCancellable):
        await desk.store.cancel(message.id, desk.tick())
    with pytest.raises(UnknownMessage):
        await desk.store.cancel("m_nothing", desk.tick())


async def test_retry_revives_what_ended_badly_with_the_same_ids(desk: Desk) -> None:
    """A dead letter keeps its client id, so that the platform can recognise a repeat."""
    message = await desk.accept("one", parts=2)
    await desk.deliver(message, 1)
    await desk.begin(message, 2)
    failed = replace(
        message.entries[1], state=MessageState.FAILED, reason=Reason("-1", "no"), attempts_made=1
    )
    await desk.settle(message, 2, entry=failed, verdict="Rejected")
    later = desk.now_ms + 99_000_000_000
    revived = await desk.store.retry(message.id, desk.tick(), later)
    assert [MessageState.DELIVERED, MessageState.QUEUED] == [entry.state for entry in revived.entries]
    assert (MessageState.WAITING, None, later) == (revived.state, revived.reason, revived.expires_at_ms)
    assert message.entries[1].client_id == revived.entries[1].client_id
    assert await desk.begin(revived, 2, n=2)


async def test_retry_of_an_unconfirmed_message_says_that_it_may_double(desk: Desk) -> None:
    """Accepted without a receipt may be on the screen: sending again must be visible as such."""
    message = await desk.accept()
    await desk.fail(message, MessageState.UNCONFIRMED)
    assert (await desk.store.retry(message.id, desk.tick(), desk.now_ms)).possibly_doubled


async def test_retry_hurries_what_waits_and_refuses_what_is_done(desk: Desk) -> None:
    """ "Now, please" for a waiting message; nothing to do for a delivered one."""
    waiting = await desk.accept("one")
    await desk.begin(waiting)
    entry = desk.entry(
        waiting, MessageState.WAITING, WaitingFor.OPERATOR, next_attempt_at_ms=desk.now_ms + 9**9
    )
    await desk.settle(waiting, entry=entry, verdict="InDoubt")
    hurried = await desk.store.retry(waiting.id, desk.tick(), waiting.expires_at_ms)
    assert (MessageState.WAITING, desk.now_ms) == (hurried.state, hurried.next_attempt_at_ms)
    assert WaitingFor.OPERATOR is not hurried.waiting_for
    done = await desk.accept("two")
    await desk.deliver(done)
    with pytest.raises(NotRevivable):
        await desk.store.retry(done.id, desk.tick(), done.expires_at_ms)


async def test_expiry_ends_what_is_due_and_names_the_chats(desk: Desk) -> None:
    """A message whose time is over ends visibly, except for what is on the wire."""
    due = await desk.accept("old", chat="a", expires_at_ms=desk.now_ms + 10)
    on_the_wire = await desk.accept("old too", chat="b", expires_at_ms=desk.now_ms + 10)
    young = await desk.accept("young", chat="a")
    await desk.begin(on_the_wire)
    at_ms = desk.now_ms + 50
    assert (due.target,) == (await desk.store.expire_due(at_ms, 10)).chats
    expired = await desk.store.message(due.id)
    assert (MessageState.EXPIRED, "expired") == (expired.state, expired.reason and expired.reason.code)
    assert MessageState.SENDING is (await desk.store.message(on_the_wire.id)).state
    assert MessageState.QUEUED is (await desk.store.message(young.id)).state
    assert Expired((), on_the_wire.expires_at_ms) == await desk.store.expire_due(at_ms, 10)


async def test_a_lane_shows_begun_first_then_class_then_order(desk: Desk) -> None:
    """The dispatcher takes the head: a begun message is finished before another begins."""
    push1 = await desk.accept("push 1")
    push2 = await desk.accept("push 2", parts=2)
    reply = await desk.accept("reply", klass=MessageClass.REPLY)
    progress = await desk.accept("progress", klass=MessageClass.PROGRESS)
    await desk.deliver(push2, 1)
    (lane,) = await desk.store.lanes([desk.target()], 10, desk.now_ms)
    assert ["push 2", "reply", "push 1", "progress"] == [message.text for message in lane.messages]
    assert not lane.truncated
    (short,) = await desk.store.lanes([desk.target()], 2, desk.now_ms)
    assert ([push2.id, reply.id], True) == ([message.id for message in short.messages], short.truncated)
    assert push1.seq < push2.seq < progress.seq


async def test_a_window_of_messages_for_later_does_not_hide_one_for_now(desk: Desk) -> None:
    """Twenty reminders for tomorrow must not keep today's answer from the dispatcher."""
    tomorrow_ms = desk.now_ms + 86_400_000
    for number in range(20):
        await desk.accept(f"later {number}", klass=MessageClass.REPLY, not_before_ms=tomorrow_ms - number)
    await desk.accept("now")
    (lane,) = await desk.store.lanes([desk.target()], 4, desk.now_ms)
    assert (["now", "later 19", "later 18", "later 17"], True) == (
        [message.text for message in lane.messages],
        lane.truncated,
    )


async def test_an_answer_supersedes_the_progress_that_was_not_sent(desk: Desk) -> None:
    """ "Still thinking" after the answer is noise; what was begun is finished."""
    begun = await desk.accept("thinking", klass=MessageClass.PROGRESS, parts=2)
    await desk.deliver(begun, 1)
    waiting = await desk.accept("still thinking", klass=MessageClass.PROGRESS)
    push = await desk.accept("a push")
    other = await desk.accept("elsewhere", chat="b", klass=MessageClass.PROGRESS)
    accepted = await desk.store.accept(desk.draft("the answer", klass=MessageClass.REPLY))
    assert (waiting.id,) == accepted.superseded
    ended = await desk.store.message(waiting.id)
    assert (MessageState.CANCELLED, "superseded") == (ended.state, ended.reason.code)
    rest = [accepted.message, begun, push, other]
    assert [True] * 4 == [(await desk.store.message(each.id)).state.live for each in rest]


async def test_an_answer_supersedes_progress_that_shares_its_commit(desk: Desk) -> None:
    """Under load both may come to the disk together."""
    drafts = [desk.draft(str(number), klass=MessageClass.PROGRESS) for number in range(3)]
    answer = desk.draft("the answer", klass=MessageClass.REPLY)
    late = desk.draft("late", klass=MessageClass.PROGRESS)
    accepted = await desk.accepted(*drafts, answer, late)
    assert tuple(draft.id for draft in drafts) == accepted[3].superseded
    again = await desk.store.accept(answer)
    assert (False, ()) == (again.created, again.superseded)
    live = [(await desk.store.message(each.message.id)).state.live for each in accepted]
    assert [False, False, False, True, True] == live


async def test_the_answers_look_for_progress_costs_nothing_in_a_long_lane(sqlite_desk: Desk) -> None:
    """A thousand waiting pushes must not be read whenever an answer is accepted."""
    query = live_progress_of([("a", "b")]).compile(
        dialect=sqlite_desk.store._engine.dialect, compile_kwargs={"literal_binds": True}
    )
    with sqlite_desk.store._engine.reads.connect() as connection:
        plan = [row[-1] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
    (search,) = [line for line in plan if "ix_message_lane" in line]
    assert "account=? AND chat=? AND rank=?" in search


async def test_what_is_quoted_by_id_is_found_theirs_and_ours(desk: Desk) -> None:
    """Newer phones tell only the id of the message that they quote."""
    sent = await desk.accept("our words")
    settled = await desk.deliver(sent)
    receipt = settled.entries[0].receipt
    assert sent.entries[0].text == await desk.store.quoted(sent.account, receipt)
    assert await desk.store.quoted(sent.account, "nobody's") is None


async def test_finished_messages_leave_the_lane_and_its_chat_is_not_live(desk: Desk) -> None:
    """The start looks only at chats to which something is owed."""
    await desk.deliver(await desk.accept("one", chat="a"))
    await desk.accept("two", chat="b")
    assert (desk.target("b"),) == await desk.store.live_chats()
    empty, full, unknown = await desk.store.lanes(
        [desk.target("a"), desk.target("b"), desk.target("c")], 5, desk.now_ms
    )
    assert (0, 1, 0) == (len(empty.messages), len(full.messages), len(unknown.messages))
    assert "c" == unknown.chat.id


async def test_a_crash_leaves_in_doubt_what_was_on_the_wire(place: Any, sit_down: Any) -> None:
    """After kill -9 nobody knows whether the request arrived: the part waits, marked as possibly doubled."""
    store = await place.open()
    await store.put_account("weixin:ab12@im.bot", (await _credentials()), 1)
    desk = sit_down(store, place)
    message = await desk.accept("one", parts=2)
    untouched = await desk.accept("two")
    await desk.begin(message)
    await store.close()
    store = await place.open()
    assert 1 == await store.recover(desk.now_ms + 5)
    assert 0 == await store.recover(desk.now_ms + 6)
    doubtful = await store.message(message.id)
    entry = doubtful.entries[0]
    assert (MessageState.WAITING, WaitingFor.CONNECTION, True) == (
        doubtful.state,
        doubtful.waiting_for,
        doubtful.possibly_doubled,
    )
    assert (True, "InDoubt", "crash") == (entry.in_doubt, entry.attempts[0].verdict, entry.attempts[0].code)
    assert MessageState.QUEUED is doubtful.entries[1].state
    assert untouched == await store.message(untouched.id)


async def _credentials() -> Any:
    from yizhan.model import Credentials

    return Credentials("s", "https://x")


async def test_gates_and_receipts_are_learned_with_the_settlement(desk: Desk) -> None:
    """What a reply taught survives a restart, in the same transaction as the outcome."""
    message = await desk.accept()
    await desk.begin(message)
    await desk.settle(message, chat_gate="chat gate", account_gate="account gate", gives_receipts=True)
    (account,) = await desk.store.accounts()
    chat = await desk.store.chat(desk.target())
    assert ("account gate", True) == (account.gate, account.gives_receipts)
    assert ("chat gate", desk.now_ms) == (chat.gate, chat.last_outbound_at_ms)


async def test_a_pardoned_chat_is_as_it_was_in_the_same_transaction(desk: Desk) -> None:
    """Else a restart would hold against one chat what was the account's limit."""
    first, second = await desk.accept("one", chat="a"), await desk.accept("two", chat="b")
    for message in (first, second):
        await desk.begin(message)
    waiting = MessageState.WAITING
    await desk.settle(first, verdict="Throttled", entry=desk.entry(first, waiting), chat_gate="refused")
    await desk.settle(
        second,
        verdict="Throttled",
        entry=desk.entry(second, waiting),
        account_gate="refused",
        pardoned=(first.chat, "before"),
    )
    assert "before" == (await desk.store.chat(first.target)).gate
    assert "" == (await desk.store.chat(second.target)).gate


async def test_removing_an_account_ends_its_messages_and_keeps_history(desk: Desk) -> None:
    """Whatever was owed ends visibly; what was on the wire says that it may have arrived."""
    queued = await desk.accept("one", chat="a")
    on_the_wire = await desk.accept("two", chat="b")
    await desk.begin(on_the_wire)
    await desk.receive(desk.arrival(token="secret-token"))
    account = queued.account
    await desk.store.remove_account(account, desk.tick())
    assert () == await desk.store.accounts()
    assert None is await desk.token()
    one, two = await desk.store.message(queued.id), await desk.store.message(on_the_wire.id)
    assert (MessageState.CANCELLED, False) == (one.state, one.possibly_doubled)
    assert (MessageState.CANCELLED, True) == (two.state, two.possibly_doubled)
    with pytest.raises(UnknownAccount):
        await desk.store.remove_account(account, desk.tick())
    late = await desk.settle(on_the_wire)
    assert MessageState.DELIVERED is late.state


# Allowances.


async def _ledger(desk: Desk, chat: str = "o1@im.wechat") -> Any:
    (lane,) = await desk.store.lanes([desk.target(chat)], 1, desk.now_ms)
    return lane.ledger


async def test_each_inbound_message_opens_a_ledger_and_the_newest_counts(desk: Desk) -> None:
    assert None is await _ledger(desk)
    await desk.receive(desk.arrival("one", token="t1"))
    first = await _ledger(desk)
    await desk.receive(desk.arrival("two", token="t1"))
    second = await _ledger(desk)
    assert (0, 0) == (first.used, second.used)
    assert first.key != second.key


async def test_a_send_is_entered_with_its_intent_and_a_crash_forgets_nothing(place: Any, desk: Desk) -> None:
    """A forgotten allowance sends into refusals after every restart."""
    await desk.receive(desk.arrival(token="t1"))
    entered = replace(await _ledger(desk), used=7, unsure=True, noticed=True, pending=True, probe_at_ms=5)
    message = await desk.accept()
    assert await desk.store.begin_attempt(Intent(message.id, 1, 1, desk.tick(), True, entered))
    await desk.store.close()
    store = await place.open()
    (lane,) = await store.lanes([desk.target()], 1, desk.now_ms)
    assert entered == lane.ledger
    assert {desk.target(): entered} == await store.ledgers([desk.target(), desk.target("o2@im.wechat")])


async def test_a_ledger_outlives_the_token_that_is_dropped_as_stale(desk: Desk) -> None:
    """Sends without a token count too."""
    await desk.receive(desk.arrival(token="t1"))
    message, token = await desk.accept(), await desk.token()
    ledger = replace(await _ledger(desk), used=4)
    await desk.begin(message)
    await desk.settle(message, token=replace(token, state=TokenState.STALE), ledger=ledger)
    assert None is await desk.token()
    assert ledger == await _ledger(desk)


async def test_a_late_settlement_does_not_shadow_the_newest_ledger(desk: Desk) -> None:
    await desk.receive(desk.arrival("one", token="t1"))
    old, message = await _ledger(desk), await desk.accept()
    await desk.begin(message)
    await desk.receive(desk.arrival("two", token="t2"))
    newest = await _ledger(desk)
    await desk.settle(message, ledger=replace(old, used=9))
    assert newest == await _ledger(desk)


async def test_what_was_learned_of_allowances_is_kept_on_the_account(desk: Desk) -> None:
    message = await desk.accept()
    await desk.begin(message)
    await desk.settle(message, account_allowance="[5,0,null]")
    assert "[5,0,null]" == (await desk.store.account(desk.target().account)).allowance


async def test_a_parked_part_waits_with_its_reason_and_one_on_the_wire_does_not(desk: Desk) -> None:
    message = await desk.accept(parts=2)
    reason = Reason("allowance-spent", "ten")
    later_ms = desk.now_ms + 5
    parking = Parking(message.id, 2, WaitingFor.ALLOWANCE, reason, later_ms, desk.tick())
    parked = await desk.store.park(parking)
    assert (MessageState.WAITING, WaitingFor.ALLOWANCE) == (
        parked.entries[1].state,
        parked.entries[1].waiting_for,
    )
    assert (reason, later_ms) == (parked.entries[1].reason, parked.entries[1].next_attempt_at_ms)
    await desk.begin(message)
    assert MessageState.SENDING is (await desk.store.park(replace(parking, no=1))).entries[0].state


async def test_a_notice_is_withdrawn_unless_it_has_gone(desk: Desk) -> None:
    waiting, gone = await desk.accept(), await desk.accept()
    await desk.deliver(gone)
    withdrawn = await desk.store.withdraw(waiting.id, desk.tick())
    assert (MessageState.CANCELLED, "superseded") == (
        withdrawn.state,
        withdrawn.reason and withdrawn.reason.code,
    )
    assert MessageState.DELIVERED is (await desk.store.withdraw(gone.id, desk.tick())).state


async def test_parts_left_are_counted_without_progress_notices_and_what_is_due_later(desk: Desk) -> None:
    """The number stands in a sentence on somebody's phone."""
    await desk.accept(parts=3)
    await desk.accept(parts=7, not_before_ms=desk.tick() + 86_400_000)
    await desk.accept(parts=2, klass=MessageClass.PROGRESS)
    await desk.accept(source="allowance", klass=MessageClass.NOTICE)
    await desk.deliver(await desk.accept())
    await desk.accept(chat="o2@im.wechat")
    assert 3 == await desk.store.parts_left(desk.target(), desk.tick())


async def test_a_notice_stands_with_what_has_begun(desk: Desk) -> None:
    """It speaks of it, and must not wait behind a queue."""
    await desk.accept("reply", klass=MessageClass.REPLY)
    notice = await desk.accept("notice", source="allowance", klass=MessageClass.NOTICE)
    (lane,) = await desk.store.lanes([desk.target()], 1, desk.now_ms)
    assert [notice.id] == [message.id for message in lane.messages]
