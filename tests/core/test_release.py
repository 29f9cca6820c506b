"""Order and release: which part goes with what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.allowance import DAY_MS, Allowance, Rule
from yizhan.core.verdict import InDoubt, Throttled
from yizhan.model import AccountId, MessageClass, MessageState, WaitingFor

WECHAT = Allowance(Rule(10, DAY_MS, progress_reserve=4))
REPLY, PUSH, PROGRESS = MessageClass.REPLY, MessageClass.PUSH, MessageClass.PROGRESS
SAME = Throttled("-2", "prepare failed", token_suspect=True, no_conversation=True)


@pytest.fixture
def wechat(road: Any) -> Any:
    """A chat that has just been heard, on a platform that permits ten sends."""
    road.lanes.allow(AccountId("weixin:a"), WECHAT)
    road.hear(road.target(), "t1")
    return road


def names(sent: list[str]) -> list[str]:
    return [name.split(".")[0] for name in sent]


def test_exactly_what_is_left_fits_without_a_notice(wechat: Any) -> None:
    wechat.accept("a", klass=REPLY, parts=10)
    assert 10 == len(wechat.run())
    assert [] == wechat.notices


def test_the_last_send_is_the_notice_and_the_rest_is_parked(wechat: Any) -> None:
    wechat.accept("a", klass=REPLY, parts=11)
    sent = _until_parked(wechat)
    assert ["a"] * 9 + ["notice-c1-in1"] == names(sent)
    assert ["a.10"] == wechat.parks
    entry = wechat.table["a"].entries[9]
    assert (MessageState.WAITING, WaitingFor.ALLOWANCE) == (entry.state, entry.waiting_for)


def _until_parked(road: Any) -> list[str]:
    """Everything that goes without waiting for an extra send."""
    sent: list[str] = []
    while step := road.dispatch():
        sent += step
        road.answer_all()
    return sent


def test_the_end_of_an_answer_takes_the_last_send_though_pushes_wait(wechat: Any) -> None:
    wechat.accept("answer", klass=REPLY, parts=10)
    wechat.accept("push")
    assert ["answer"] * 10 == names(_until_parked(wechat))
    assert [] == wechat.notices


def test_the_next_inbound_message_finishes_what_has_begun_then_answers_then_pushes(wechat: Any) -> None:
    wechat.accept("begun", parts=12)
    _until_parked(wechat)
    wechat.accept("push")
    wechat.lanes.expect(wechat.target(), True)
    wechat.hear(wechat.target(), "t2")
    assert ["begun"] * 3 + ["push"] == names(_until_parked(wechat))
    wechat.accept("answer", klass=REPLY, parts=2)
    wechat.lanes.expect(wechat.target(), False)
    wechat.accept("late")
    assert ["answer", "answer", "late"] == names(_until_parked(wechat))


def test_one_send_is_kept_while_a_turn_is_open(wechat: Any) -> None:
    wechat.lanes.expect(wechat.target(), True)
    for number in range(10):
        wechat.accept(f"p{number}")
    assert 9 == len(_until_parked(wechat))
    assert [] == wechat.parks, "it waits for a moment only"
    assert WaitingFor.ALLOWANCE is wechat.lanes.lane(wechat.target()).parked(wechat.now_ms).waiting_for
    wechat.lanes.expect(wechat.target(), False)
    assert ["p9"] == names(_until_parked(wechat))


def test_progress_stops_at_the_reserve_and_holds_nobody_up(wechat: Any) -> None:
    for number in range(12):
        wechat.accept(f"step{number}", klass=PROGRESS)
    assert 6 == len(_until_parked(wechat))
    wechat.accept("answer", klass=REPLY, parts=4)
    assert ["answer"] * 4 == names(_until_parked(wechat))


def test_progress_in_the_middle_of_itself_does_not_stand_before_the_answer(wechat: Any) -> None:
    wechat.accept("step", klass=PROGRESS, parts=12)
    _until_parked(wechat)
    wechat.accept("answer", klass=REPLY)
    assert ["answer"] == names(_until_parked(wechat))


def test_a_notice_that_was_overtaken_by_the_user_is_withdrawn(wechat: Any) -> None:
    """It would say that parts remain which have gone."""
    wechat.accept("a", klass=REPLY, parts=12)
    while not wechat.notices:
        wechat.turn()
        if wechat.wire and not wechat.notices:
            wechat.answer_all()
    wechat.hear(wechat.target(), "t2")
    assert ["a"] * 3 == names(_until_parked(wechat))
    assert ["notice-c1-in1"] == wechat.withdrawn


def test_a_part_in_doubt_needs_no_second_send(wechat: Any) -> None:
    """Its send was entered; where ten are used it is still resent."""
    wechat.accept("a", klass=REPLY, parts=10)
    for _ in range(9):
        wechat.dispatch()
        wechat.answer_all()
    wechat.dispatch()
    wechat.answer_all(InDoubt("no_answer", "time-out"))
    wechat.now_ms += 60_000
    assert ["a.10"] == wechat.dispatch()


def test_a_pushed_in_doubt_part_is_one_of_the_new_ten_after_the_user_wrote(wechat: Any) -> None:
    wechat.accept("a", klass=REPLY, parts=1)
    wechat.dispatch()
    wechat.answer_all(InDoubt("no_answer", "time-out"))
    wechat.hear(wechat.target(), "t2")
    wechat.accept("b", klass=REPLY, parts=9)
    wechat.now_ms += 60_000
    assert 10 == len(_until_parked(wechat))
    assert 0 == 10 - wechat.lanes.lane(wechat.target()).ledger.used


def test_an_extra_send_tries_both_ways_and_then_waits_longer(wechat: Any) -> None:
    wechat.accept("a", klass=REPLY, parts=12)
    _until_parked(wechat)
    for hours in (1, 2, 4, 8):
        wechat.now_ms += hours * 3_600_000
        tries = 0
        while wechat.dispatch():
            wechat.answer_all(SAME)
            tries += 1
        assert 1 <= tries <= 2
    assert 9 == sum(entry.state is MessageState.DELIVERED for entry in wechat.table["a"].entries)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from([REPLY, PUSH, PROGRESS]), st.integers(1, 6)),
            st.just("hear"),
            st.booleans(),
        ),
        max_size=25,
    )
)
def test_nothing_is_lost_nothing_overtakes_and_never_more_goes_than_is_left(
    road_of: Callable[[], Any], story: list[Any]
) -> None:
    """Any story of accepting, hearing and thinking; a platform that counts as it is known to."""
    road = road_of()
    road.open()
    road.lanes.allow(AccountId("weixin:a"), replace(WECHAT, rule=Rule(5, 0, progress_reserve=2)))
    road.hear(road.target(), "t0")
    counted, accepted = 0, []

    def go() -> None:
        nonlocal counted
        while step := road.dispatch():
            counted += len(step)
            assert counted <= 5, "refused by the platform"
            road.answer_all()

    for number, event in enumerate(story):
        if event == "hear":
            road.hear(road.target(), f"t{number + 1}")
            counted = 0
        elif isinstance(event, bool):
            road.lanes.expect(road.target(), event)
        else:
            klass, parts = event
            accepted.append(road.accept(f"m{number}", klass=klass, parts=parts))
        go()
    road.lanes.expect(road.target(), False)
    for number in range(80):
        road.hear(road.target(), f"u{number}")
        counted = 0
        go()
    left = [each.id for each in road.table.values() if each.state.live]
    assert [] == left, "everything goes in the end, if the other side goes on writing"
    sent = [name for name in names(road.sent) if not name.startswith("notice")]
    for klass in (REPLY, PUSH):
        mine = [message.id for message in accepted if message.klass is klass]
        assert mine == sorted(mine, key=sent.index)
    assert len(road.notices) == len(set(road.notices))
