"""Lanes between two steps: what happens while one of them is written down, begun, or given up."""

from __future__ import annotations

from typing import Any

import pytest

from yizhan.core.allowance import DAY_MS, Allowance, Learned, Rule
from yizhan.core.choice import Notify, Park, Send
from yizhan.core.ghosts import GhostNumbers
from yizhan.model import AccountId, MessageClass

ACCOUNT = AccountId("weixin:a")
WECHAT = Allowance(Rule(10, DAY_MS, progress_reserve=4))
REPLY, PUSH = MessageClass.REPLY, MessageClass.PUSH


@pytest.fixture
def wechat(road: Any) -> Any:
    """A chat that has just been heard, on a platform that permits ten sends."""
    road.lanes.allow(ACCOUNT, WECHAT)
    road.hear(road.target(), "t1")
    return road


def _until(road: Any, kind: type) -> Any:
    """The first choice of this kind; all that goes before it is answered well, and the choice is not carried out."""
    for _ in range(100):
        choice = road.lanes.choose(road.now_ms)
        if isinstance(choice, kind):
            return choice
        if isinstance(choice, Send):
            road.begin(choice)
            road.answer_all()
        elif isinstance(choice, Notify):
            road.notify(choice)
        elif isinstance(choice, Park):
            road.park(choice.parked)
        else:
            road.lanes.loaded(road.view(choice.target))
    raise AssertionError(f"no {kind.__name__}")


def test_a_part_being_parked_is_no_send_of_the_next_allowance(wechat: Any) -> None:
    """The user writes while that is written down: all ten are hers."""
    wechat.accept("a", klass=REPLY, parts=30)
    park = _until(wechat, Park)
    wechat.hear(wechat.target(), "t2")
    assert 0 == wechat.lanes.lane(wechat.target()).ledger.used
    wechat.park(park.parked)
    ledger = wechat.lanes.lane(wechat.target()).ledger
    assert (0, False, False) == (ledger.used, ledger.unsure, ledger.pending)


def test_a_send_is_entered_once_though_the_user_writes_before_it_is_begun(wechat: Any) -> None:
    """Chosen, and then heard: the send goes on the new message's account, and once."""
    wechat.accept("a", klass=REPLY, parts=2)
    send = _until(wechat, Send)
    wechat.hear(wechat.target(), "t2")
    wechat.begin(send)
    assert 1 == wechat.lanes.lane(wechat.target()).ledger.used


def test_a_notice_whose_beginning_was_not_heard_of_is_no_endless_loop(wechat: Any) -> None:
    """The store began it and its answer was lost; then the user wrote, and the notice is not true any more. What is
    begun cannot be withdrawn: it goes."""
    wechat.accept("a", klass=REPLY, parts=12)
    while not isinstance(send := _until(wechat, Send), Send) or not send.message.id.startswith("notice"):
        wechat.begin(send)
        wechat.answer_all()
    ledger = wechat.lanes.lane(wechat.target()).ledger
    wechat.begin(send)
    wechat.wire.clear()
    wechat.lanes.lane(wechat.target()).ledger = ledger  # the answer was lost
    wechat.lanes.put_back(wechat.target(), wechat.now_ms)
    wechat.hear(wechat.target(), "t2")
    assert ["a.10", "a.11", "a.12", "notice-c1-in1.1"] == wechat.run()


def test_a_part_begun_at_the_end_of_the_window_is_no_endless_loop(wechat: Any) -> None:
    """Begun, the answer lost, and meanwhile the day is over: it is not parked, it is finished."""
    wechat.accept("a", klass=REPLY)
    wechat.now_ms += DAY_MS - 100
    send = _until(wechat, Send)
    ledger = wechat.lanes.lane(wechat.target()).ledger
    wechat.begin(send)
    wechat.wire.clear()
    wechat.lanes.lane(wechat.target()).ledger = ledger
    wechat.lanes.allow(ACCOUNT, Allowance(Rule(10, DAY_MS), Learned(window=True)))
    wechat.now_ms += 500
    wechat.lanes.put_back(wechat.target(), wechat.now_ms)
    assert ["a.1"] == wechat.dispatch()


def test_scheduled_messages_behind_the_window_call_for_no_notice(road_of: Any) -> None:
    """Ten sends for ten pushes: what is due next week takes none of them."""
    road = road_of(per_lane=4)
    road.open()
    road.lanes.allow(ACCOUNT, WECHAT)
    road.hear(road.target(), "t1")
    for number in range(8):
        road.accept(f"week{number}", not_before_ms=road.now_ms + 7 * DAY_MS)
    for number in range(10):
        road.accept(f"now{number}")
    while road.dispatch():
        road.answer_all()
    assert [f"now{number}.1" for number in range(10)] == road.sent
    assert [] == road.notices


def test_a_chat_whose_answer_is_being_written_is_not_forgotten(road_of: Any) -> None:
    """Beyond so many chats, empty ones are forgotten; the send that is kept for an answer must not be."""
    road = road_of(idle_max=0)
    road.open()
    road.lanes.allow(ACCOUNT, WECHAT)
    road.hear(road.target(), "t1")
    road.lanes.expect(road.target(), True)
    road.dispatch()
    for number in range(12):
        road.accept(f"p{number}")
    while road.dispatch():
        road.answer_all()
    assert 9 == len(road.sent)


def test_a_chat_whose_pushes_are_slowed_is_not_forgotten(road_of: Any) -> None:
    """Its pause would be forgotten with it, and each push would go at once again."""
    road = road_of(idle_max=0)
    road.open()
    road.accept("one")
    road.dispatch()
    road.lanes.receipt(road.target(), False, road.now_ms, GhostNumbers(alarm_after=1))
    road.answer_all()
    road.dispatch()
    road.accept("two")
    assert [] == road.dispatch()


def test_a_removed_accounts_chats_are_gone_when_their_last_request_is(road: Any) -> None:
    """A process that runs for months does not keep what was removed."""
    road.accept("one")
    road.dispatch()
    road.lanes.forget_account(ACCOUNT)
    road.answer_all()
    assert 0 == len(road.lanes)
    assert None is road.lanes.account_lanes(ACCOUNT)
