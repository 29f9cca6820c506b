"""What the store keeps for a platform that names its repeats, switches its chats and holds messages back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yizhan.core import unasked
from yizhan.model import (
    UNREPEATABLE,
    InDoubtPolicy,
    Message,
    MessageState,
    Reason,
    WaitingFor,
)
from yizhan.ports import Audit, Consent, Intent, MessageFilter

Desk = Any
SENT_AS = "ROBOT1.0_a#3"


async def begin(desk: Desk, message: Message, sent_as: str, counted: str | None = None) -> None:
    unasked_of = None if counted is None else (message.target, counted)
    intent = Intent(message.id, 1, 1, desk.tick(), True, sent_as=sent_as, unasked=unasked_of)
    assert await desk.store.begin_attempt(intent)


async def test_the_words_of_a_request_outlive_the_process(place: Any, desk: Desk) -> None:
    """A new number for a request that may have been carried out is a second message on the phone."""
    message = await desk.accept()
    await begin(desk, message, SENT_AS)
    await desk.store.recover(desk.tick())
    await desk.store.close()
    store = await place.open()
    entry = (await store.message(message.id)).entries[0]
    assert (SENT_AS, True, MessageState.WAITING) == (entry.sent_as, entry.in_doubt, entry.state)


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        (InDoubtPolicy.RESEND, MessageState.UNCONFIRMED),
        (InDoubtPolicy.HOLD, MessageState.WAITING),
        (InDoubtPolicy.DROP_VISIBLY, MessageState.UNCONFIRMED),
    ],
)
async def test_what_nobody_could_recognise_is_not_resent_after_a_crash(
    desk: Desk, policy: InDoubtPolicy, state: MessageState
) -> None:
    message = await desk.accept()
    await begin(desk, message, UNREPEATABLE)
    await desk.store.recover(desk.tick(), policy)
    after = await desk.store.message(message.id)
    assert (state, True) == (after.state, after.possibly_doubled)


async def test_a_part_keeps_how_it_is_dressed_and_its_account_what_does_not_fit(desk: Desk) -> None:
    message = await desk.accept()
    await begin(desk, message, SENT_AS)
    entry = replace(
        message.entries[0],
        state=MessageState.WAITING,
        waiting_for=WaitingFor.LIMIT,
        form="plain",
        attempts_made=1,
    )
    for form in ("markdown", "plain", "markdown"):
        await desk.store.settle(desk.settlement(message, entry=entry, verdict="Rejected", unfit_form=form))
        message = await desk.accept()
        await begin(desk, message, SENT_AS)
    (account,) = await desk.store.accounts()
    assert "markdown plain" == account.unfit_forms
    (first, *_) = (await desk.store.messages(MessageFilter(), None, 10)).rows[::-1]
    assert "plain" == (await desk.store.message(first.id)).entries[0].form


async def test_messages_that_nobody_asked_for_are_counted_with_their_intent(place: Any, desk: Desk) -> None:
    await desk.receive(desk.arrival())
    message = await desk.accept()
    counted = unasked.encode(unasked.took(unasked.NOTHING, desk.now_ms))
    await begin(desk, message, UNREPEATABLE, counted)
    await desk.store.close()
    store = await place.open()
    chat = await store.chat(desk.target())
    assert counted == chat.unasked


async def test_a_switch_is_kept_also_for_a_chat_nobody_has_seen(desk: Desk) -> None:
    """Somebody may forbid pushes before the first word."""
    target = desk.target("c2c/AB")
    for granted, refused in ((False, True), (False, True), (True, False), (None, False)):
        await desk.store.note_consent(target.account, Consent(target.chat, "direct", granted), desk.tick())
        chat = await desk.store.chat(target)
        assert refused is unasked.decode(chat.unasked).refused
    assert "direct" == (await desk.store.chat(target)).kind


async def held_back(desk: Desk, text: str = "hello", parts: int = 1) -> Message:
    """QQ has taken its first part, and shows it when it has passed an audit."""
    message = await desk.accept(text, parts=parts)
    await begin(desk, message, UNREPEATABLE)
    held = replace(
        message.entries[0],
        state=MessageState.WAITING,
        waiting_for=WaitingFor.AUDIT,
        receipt="audit-1",
        reason=Reason("304023", "held back"),
        attempts_made=1,
    )
    return await desk.store.settle(desk.settlement(message, entry=held, verdict="InDoubt"))


async def test_a_lane_shows_nothing_of_what_the_platform_holds_back(desk: Desk) -> None:
    """Sixteen of them filled what memory holds of a channel, and nothing behind them ever went."""
    for number in range(3):
        await held_back(desk, f"held back {number}")
    await desk.accept("free")
    (lane,) = await desk.store.lanes([desk.target()], 2, desk.now_ms)
    assert (["free"], False) == ([message.text for message in lane.messages], lane.truncated)


async def test_what_the_platform_holds_back_is_not_sent_by_somebody_who_has_not_heard_of_that(
    desk: Desk,
) -> None:
    """The order was repeated at the moment of the answer: the message went again, and was shown twice, unmarked."""
    message = await held_back(desk)
    assert not await desk.store.begin_attempt(Intent(message.id, 1, 1, desk.tick(), True))
    assert not await desk.store.begin_attempt(Intent(message.id, 1, 2, desk.tick(), True))
    assert WaitingFor.AUDIT is (await desk.store.message(message.id)).waiting_for


@pytest.mark.parametrize(
    ("passed", "state", "receipt"),
    [(True, MessageState.DELIVERED, "08m"), (False, MessageState.FAILED, None)],
)
async def test_an_audit_ends_the_part_that_waits_for_it_once(
    desk: Desk, passed: bool, state: MessageState, receipt: str | None
) -> None:
    message = await held_back(desk)
    account = message.account
    assert None is await desk.store.settle_audit(account, Audit("another", passed), desk.tick())
    ended = await desk.store.settle_audit(
        account, Audit("audit-1", passed, "08m" if passed else ""), desk.tick()
    )
    assert (state, receipt) == (ended.state, ended.entries[0].receipt)
    again = Audit("audit-1", not passed, "other")
    assert None is await desk.store.settle_audit(account, again, desk.tick())
    assert state is (await desk.store.message(message.id)).state


async def test_an_audit_of_which_nothing_is_heard_ends_its_part_unconfirmed(desk: Desk) -> None:
    """Its result was lost, and the rest of the answer waited behind it until the next week."""
    long = await held_back(desk, "long", parts=2)
    free = await desk.accept("free")
    held_ms = desk.now_ms
    assert () == (await desk.store.expire_due(desk.tick(), 10)).chats
    assert () == (await desk.store.expire_due(desk.tick(), 10, held_ms - 1_000)).chats
    assert (long.target,) == (await desk.store.expire_due(desk.tick(), 10, held_ms + 1)).chats
    first, second = (await desk.store.message(long.id)).entries
    told = first.reason and first.reason.code
    assert (MessageState.UNCONFIRMED, "audit-unheard", None) == (first.state, told, first.receipt)
    assert MessageState.QUEUED is second.state
    (lane,) = await desk.store.lanes([desk.target()], 9, desk.now_ms)
    assert [long.id, free.id] == [message.id for message in lane.messages]
    assert None is await desk.store.settle_audit(long.account, Audit("audit-1", True), desk.tick())


async def test_what_the_platform_has_is_not_tried_again_by_hand(desk: Desk) -> None:
    """It would be shown twice; until the audit is over there is nothing to try."""
    held = await held_back(desk)
    again = await desk.store.retry(held.id, desk.tick(), held.expires_at_ms)
    assert held.entries[0] == replace(again.entries[0], attempts=held.entries[0].attempts)


async def test_an_id_that_is_sure_tells_two_equal_messages_of_one_second_apart(desk: Desk) -> None:
    """A platform that tells time in seconds would have swallowed the second "yes"."""
    first, second = desk.arrival("yes"), desk.arrival("yes")
    second = replace(second, heard=replace(second.heard, sent_at_ms=first.heard.sent_at_ms))
    sure = [
        replace(each, heard=replace(each.heard, platform_message_id=f"id {number}", sure_id=True))
        for number, each in enumerate((first, second, second))
    ]
    committed = await desk.receive(sure[0], sure[1])
    assert 2 == len(committed.new)
    repeat = await desk.receive(replace(desk.arrival(), heard=sure[1].heard))
    assert 1 == len(repeat.suppressed)


async def test_what_was_said_to_others_opens_no_allowance(desk: Desk) -> None:
    await desk.receive(desk.arrival("to the bot", token="t1"))
    before = await desk.store.ledgers([desk.target()])
    aside = desk.arrival("to somebody else")
    committed = await desk.receive(replace(aside, heard=replace(aside.heard, addressed=False)))
    assert 1 == len(committed.new)
    assert before == await desk.store.ledgers([desk.target()])
