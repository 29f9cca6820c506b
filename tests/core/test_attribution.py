"""Whose limit it was, and who may use an account's limited room."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from yizhan.core.attribution import ATTRIBUTION_MS, Blame, Traffic, attribute, confirmed
from yizhan.core.limiter import OPEN
from yizhan.core.pace import Limit, Pace, Search
from yizhan.core.reaction import Gates
from yizhan.core.shares import Share
from yizhan.core.verdict import Delivered, Throttled
from yizhan.model import AccountId, ChatId, MessageClass, Target

LIMITED = Throttled("-2", "rate limited")
NOW = 1_800_000_000_000
HERE = Target(AccountId("weixin:a"), ChatId("here"))
TIGHT = Limit(fits=4, lo_ms=9_900, hi_ms=10_000)


def blames(road: Any, *chats: str) -> list[int]:
    return [road.lanes.gates_of(road.target(chat)).chat.refusals for chat in chats]


def test_two_chats_refused_one_after_the_other_are_pardoned_and_wait_for_the_account(road: Any) -> None:
    """An account-wide limit must not be learned ten times, once by each of its chats."""
    road.accept("m1", "c1")
    road.accept("m2", "c2")
    road.dispatch()
    road.answer(road.target("c1"), LIMITED)
    assert [1, 0] == blames(road, "c1", "c2")
    road.answer(road.target("c2"), LIMITED)
    assert [0, 0] == blames(road, "c1", "c2")
    assert 1 == road.lanes.gates_of(road.target()).account.refusals
    assert 0 == road.chat(road.target("c1")).pace.refusals, "its row is as it was, too"
    assert [] == road.dispatch()


def test_another_chat_accepted_between_them_leaves_the_blame_with_each(road: Any) -> None:
    for n, verdict in ((1, LIMITED), (3, Delivered("r")), (2, LIMITED)):
        road.now_ms += 1
        road.accept(f"m{n}", f"c{n}")
        road.dispatch()
        road.answer(road.target(f"c{n}"), verdict)
    assert [1, 1, 0] == blames(road, "c1", "c2", "c3")
    assert not road.lanes.gates_of(road.target()).account.probing


def two_in_flight_and_one_refused(road: Any) -> None:
    """Whose limit it was is not clear before the other one is answered; a third chat is ready."""
    road.accept("m1", "c1")
    road.accept("m2", "c2")
    road.dispatch()
    road.answer(road.target("c1"), LIMITED)
    road.accept("m3", "c3")


def test_while_a_refusal_may_be_everybodys_nothing_new_goes(road: Any) -> None:
    """Whatever followed was refused as well: one limit cost a refusal, and one more for each chat."""
    two_in_flight_and_one_refused(road)
    assert [] == road.dispatch()
    road.answer(road.target("c2"), LIMITED)
    assert [] == road.dispatch()
    assert [0, 0, 0] == blames(road, "c1", "c2", "c3")


def test_the_other_chats_go_on_as_soon_as_what_was_on_the_wire_is_answered(road: Any) -> None:
    two_in_flight_and_one_refused(road)
    road.answer(road.target("c2"))
    assert ["m3.1"] == road.dispatch()
    assert [1, 0, 0] == blames(road, "c1", "c2", "c3")


def test_an_answer_that_does_not_come_holds_the_others_for_two_seconds_at_most(road: Any) -> None:
    """A healthy chat never waits for a sick one."""
    two_in_flight_and_one_refused(road)
    assert ATTRIBUTION_MS == road.look_again()
    road.now_ms += ATTRIBUTION_MS
    assert ["m3.1"] == road.dispatch()


def at_the_end_of_a_run(road_of: Any, **search: Any) -> Any:
    """Four fit, and four have gone through; four more chats are ready."""
    road = road_of()
    road.open(gates=Gates(account=Pace(limit=replace(TIGHT, search=Search(**search)))))
    for n in range(8):
        road.accept(f"m{n}", f"c{n}")
    assert 4 == len(road.dispatch())
    road.answer_all()
    return road


def test_a_run_after_a_pause_is_opened_by_one_request_alone(road_of: Any) -> None:
    """Too early a try cost one refusal for each request that went along."""
    road = at_the_end_of_a_run(road_of)
    road.now_ms += 10_000
    assert 1 == len(road.dispatch())
    road.answer_all()
    assert 3 == len(road.dispatch())


def test_an_opening_that_is_not_answered_does_not_hold_the_run_up(road_of: Any) -> None:
    road = at_the_end_of_a_run(road_of)
    road.now_ms += 10_000
    road.dispatch()
    assert ATTRIBUTION_MS == road.look_again()
    road.now_ms += ATTRIBUTION_MS
    assert 1 == len(road.dispatch())


def test_more_than_is_known_to_fit_is_tried_one_by_one(road_of: Any) -> None:
    """A burst finds the limit with one refusal, not with one for each chat."""
    road = at_the_end_of_a_run(road_of, bursting=True)
    for _ in range(3):
        assert 1 == len(road.dispatch())
        road.answer_all()


def test_an_accounts_opening_that_is_refused_is_the_accounts_affair(road_of: Any) -> None:
    """The chat that happened to be first was kept waiting by itself, and the next one refused for the same reason."""
    road = at_the_end_of_a_run(road_of)
    road.now_ms += 10_000
    (opening,) = road.dispatch()
    chat = f"c{opening[1]}"
    road.answer(road.target(chat), LIMITED)
    assert [0] == blames(road, chat)
    assert 1 == road.lanes.gates_of(road.target()).account.refusals


def test_a_chat_that_is_refused_anyway_is_not_made_the_accounts_affair_by_an_opening() -> None:
    opening = Pace(run_ms=NOW - 10_000, run_count=4, limit=TIGHT)
    sick = Pace(2, NOW, 8_000, since_ms=NOW - 8_000, refused_ms=NOW - 8_000)
    judged = attribute(HERE, sick, opening, None, lambda pace, _: replace(pace, refusals=9), Traffic(), NOW)
    assert (9, opening) == (judged.chat.refusals, judged.account)


def test_what_left_before_the_refusal_does_not_clear_the_account() -> None:
    blame = Blame(HERE, NOW, OPEN)
    assert blame is confirmed(blame, Traffic(sent_ms=NOW - 1))
    assert confirmed(blame, Traffic(sent_ms=NOW)) is None


def test_a_learned_account_limit_is_not_overshot_by_four_requests_at_once(road_of: Any) -> None:
    """Three fit; four chats are ready and four may be in flight."""
    road = road_of()
    road.open(gates=Gates(account=Pace(limit=Limit(fits=3, lo_ms=9_900, hi_ms=10_000))))
    for n in range(4):
        road.accept(f"m{n}", f"c{n}")
    assert 3 == len(road.dispatch())
    road.answer_all()
    assert [] == road.dispatch()
    road.now_ms += 10_000
    assert 1 == len(road.dispatch())


def test_a_thousand_pushes_do_not_use_up_what_an_answer_needs(road_of: Any) -> None:
    """People write; a broadcast takes three of four, and the fourth is there when the answer comes."""
    road = road_of()
    road.open(in_flight_max=1, gates=Gates(account=Pace(limit=TIGHT)))
    road.accept("first", "talk", klass=MessageClass.REPLY)
    road.dispatch()
    road.answer_all()
    road.now_ms += 20_000
    for n in range(8):
        road.accept(f"push{n}", f"c{n}")
    sent = []
    while fresh := road.dispatch():
        sent += fresh
        road.answer_all()
    assert ["push0.1", "push1.1", "push2.1"] == sent
    road.accept("answer", "talk", klass=MessageClass.REPLY)
    assert ["answer.1"] == road.dispatch()


def test_answers_go_before_pushes_where_an_account_is_limited(road_of: Any) -> None:
    road = road_of()
    road.open(in_flight_max=1, gates=Gates(account=Pace(limit=TIGHT)))
    for n in range(3):
        road.accept(f"push{n}", f"c{n}")
    road.accept("answer", "talk", klass=MessageClass.REPLY)
    assert ["answer.1"] == road.dispatch()


def test_an_answer_behind_a_push_of_its_own_chat_takes_the_chat_out_of_the_bulk(road_of: Any) -> None:
    """Class decides inside a chat, too: the answer is its head now."""
    road = road_of()
    road.open(in_flight_max=1, gates=Gates(account=Pace(limit=TIGHT)))
    road.accept("other", "c1", klass=MessageClass.REPLY)
    for n in range(3):
        road.accept(f"push{n}", f"p{n}")
    road.dispatch()
    road.accept("answer", "p2", klass=MessageClass.REPLY)
    road.answer_all()
    assert ["answer.1"] == road.dispatch()


def test_pushes_have_all_the_room_where_nobody_talks() -> None:
    share, pace = Share(), Pace(limit=TIGHT)
    for n in range(10):
        share.note(True, NOW + n)
    assert NOW + 10 == share.bulk_ready_at(pace, NOW + 10)
    share.note(False, NOW)
    assert NOW + 10 < share.bulk_ready_at(pace, NOW + 10)
    assert NOW + 90_000 == share.bulk_ready_at(pace, NOW + 90_000)
