"""Between memory and table: what is read is always a little old, and nothing is lost, doubled or reordered by it."""

from __future__ import annotations

from typing import Any

from yizhan.core.choice import Load, LookAgain, Send
from yizhan.core.verdict import Throttled
from yizhan.model import AccountId, MessageClass, MessageState, TokenState


def ask_for_the_window(road: Any) -> Any:
    """The lanes ask for a window; answers what the table says at that moment."""
    choice = road.lanes.choose(road.now_ms)
    assert isinstance(choice, Load)
    return road.view(choice.target)


def test_message_accepted_while_its_window_was_being_read_is_sent(road: Any) -> None:
    """The reading began before the commit and was answered after it: the view does not have it."""
    road.accept("m1")
    view = ask_for_the_window(road)
    road.accept("m2")
    road.lanes.loaded(view)
    assert ["m1.1", "m2.1"] == road.run()


def test_many_messages_accepted_while_a_window_was_being_read_are_sent_in_order(road: Any) -> None:
    """More than memory holds: then the table is asked again."""
    view_target = road.target()
    road.lanes.knows(view_target)
    view = ask_for_the_window(road)
    for n in range(40):
        road.accept(f"m{n:02}")
    road.lanes.loaded(view)
    assert [f"m{n:02}.1" for n in range(40)] == road.run()


def test_a_message_both_in_the_view_and_reported_is_sent_once(road: Any) -> None:
    """The reading began after the commit and was answered before the report."""
    message = road.commit("m1")
    road.lanes.knows(road.target())
    view = ask_for_the_window(road)
    road.lanes.add(message)
    road.lanes.loaded(view)
    road.lanes.add(message)
    assert ["m1.1"] == road.run()


def test_a_message_reported_again_after_it_ended_is_not_sent_again(road: Any) -> None:
    """The same idempotency key: the caller gets the old message, which may have ended long ago."""
    road.accept("m1")
    road.run()
    road.lanes.add(road.table["m1"])
    assert [] == road.run()


def test_a_token_heard_while_the_window_was_being_read_is_not_overwritten(road: Any) -> None:
    """The view still has yesterday's token; the one just heard is the one to use."""
    row = road.chat(road.target())
    row.token = road.token(road.target(), "old")
    road.accept("m1")
    view = ask_for_the_window(road)
    road.hear(road.target(), "new")
    road.lanes.loaded(view)
    road.dispatch()
    assert "new" == road.lanes.lane(road.target()).token.token


def test_a_token_heard_while_an_older_one_was_on_the_wire_is_the_one_to_use(road: Any) -> None:
    """What became of the old one is no news about the new one."""
    road.hear(road.target(), "old")
    road.accept("m1")
    road.dispatch()
    assert "old" == road.wire[road.target()].token.token
    road.hear(road.target(), "new")
    road.answer(road.target(), Throttled("-2", "rate limited", None, True))
    token = road.lanes.lane(road.target()).token
    assert ("new", TokenState.FRESH) == (token.token, token.state)


def test_a_first_message_heard_while_the_window_was_being_read_is_not_forgotten(road: Any) -> None:
    """Else the push would wait for a first message that has already come."""
    road.chat(road.target()).has_written = False
    road.accept("push")
    road.dispatch()
    road.answer(road.target(), Throttled("-2", "rate limited"))
    road.lanes.changed(road.target())
    view = ask_for_the_window(road)
    road.hear(road.target())
    road.lanes.loaded(view)
    assert ["push.1"] == road.run()


def test_a_change_while_the_window_was_being_read_makes_it_be_read_again(road: Any) -> None:
    message = road.accept("m1")
    view = ask_for_the_window(road)
    road.end(message, MessageState.CANCELLED)
    road.lanes.changed(road.target())
    road.lanes.loaded(view)
    assert [] == road.run()


def test_a_table_that_cannot_be_read_is_asked_again_at_the_given_time(road: Any) -> None:
    road.accept("m1")
    ask_for_the_window(road)
    road.accept("m2")
    road.lanes.not_loaded(road.target(), road.now_ms + 500)
    assert 500 == road.look_again()
    assert ["m1.1", "m2.1"] == road.run()


def test_an_entry_put_back_is_read_anew_and_not_before_its_time(road: Any) -> None:
    """The store took no intent: nothing was sent, nothing is lost."""
    road.accept("m1")
    road.lanes.loaded(ask_for_the_window(road))
    assert isinstance(road.lanes.choose(road.now_ms), Send)
    road.lanes.put_back(road.target(), road.now_ms + 500)
    assert 500 == road.look_again()
    assert ["m1.1"] == road.run()


def test_an_entry_put_back_gives_its_place_to_another_chat_at_once(road_of: Any) -> None:
    road = road_of()
    road.open(in_flight_max=1)
    road.accept("m1", "c1")
    road.accept("m2", "c2")
    sends = []
    while isinstance(choice := road.lanes.choose(road.now_ms), Load | Send):
        if isinstance(choice, Load):
            road.lanes.loaded(road.view(choice.target))
        else:
            sends.append(choice)
    road.lanes.put_back(sends[0].message.target, road.now_ms + 500)
    assert ["m2.1"] == road.dispatch()


def test_putting_back_what_has_ended_already_changes_nothing(road: Any) -> None:
    """Whoever reports twice must not free two places."""
    road.accept("m1")
    road.dispatch()
    road.answer(road.target())
    road.lanes.put_back(road.target(), road.now_ms)
    assert 0 == road.lanes.account_lanes(AccountId("weixin:a")).in_flight


def test_a_backlog_far_larger_than_the_window_is_sent_in_order(road: Any) -> None:
    """Memory stays flat, and the table is read once for each windowful."""
    for n in range(400):
        road.accept(f"m{n:03}")
        if n == 10:
            road.dispatch()
    assert 16 == len(road.lanes.lane(road.target()).window)
    road.run()
    assert [f"m{n:03}.1" for n in range(400)] == road.sent
    assert road.loads <= 1 + 400 / 16 + 1


def test_order_holds_when_messages_come_in_while_a_long_backlog_drains(road: Any) -> None:
    """There is room in the window, yet the table still has those that stand before the new one."""
    for n in range(100):
        road.accept(f"m{n:03}")
    for n in range(100, 200):
        road.dispatch()
        road.answer_all()
        road.accept(f"m{n:03}")
    road.run()
    assert [f"m{n:03}.1" for n in range(200)] == road.sent


def test_a_reply_goes_before_a_backlog_that_is_larger_than_the_window(road: Any) -> None:
    """The window is cut off behind it, and costs no reading."""
    for n in range(100):
        road.accept(f"push{n}")
    road.dispatch()
    loads = road.loads
    road.accept("reply", klass=MessageClass.REPLY)
    road.answer_all()
    assert ["reply.1"] == road.dispatch()
    assert loads == road.loads


def test_dated_messages_that_fill_the_window_do_not_hide_one_that_may_go_now(road: Any) -> None:
    """Fifty pushes for tomorrow, and somebody says something today."""
    for n in range(50):
        road.accept(f"tomorrow{n}", not_before_ms=road.now_ms + 86_400_000)
    road.accept("today")
    assert ["today.1"] == road.dispatch()
    road.answer_all()
    road.dispatch()
    road.accept("also-today")
    assert ["also-today.1"] == road.dispatch()


def test_a_dated_message_behind_the_window_is_in_time(road: Any) -> None:
    """Twenty for next week were accepted before the one for next minute."""
    for n in range(20):
        road.accept(f"week{n}", not_before_ms=road.now_ms + 7 * 86_400_000)
    road.dispatch()
    road.accept("minute", not_before_ms=road.now_ms + 60_000)
    assert 60_000 == road.look_again()
    road.now_ms += 60_000
    assert ["minute.1"] == road.dispatch()


def test_dated_messages_wake_their_lane_one_date_after_the_other_without_reading_all_the_time(
    road: Any,
) -> None:
    for n in range(100):
        road.accept(f"m{n:02}", not_before_ms=road.now_ms + 1_000 * (n + 1))
    assert [f"m{n:02}.1" for n in range(100)] == road.run()
    assert road.loads <= 30


def test_dated_messages_whose_dates_have_all_come_go_in_the_order_of_acceptance(road: Any) -> None:
    """The machine slept through all the dates."""
    for n in range(40):
        road.accept(f"m{n:02}", not_before_ms=road.now_ms + 100_000 - 1_000 * n)
    road.dispatch()
    road.now_ms += 1_000_000
    assert [f"m{n:02}.1" for n in range(40)] == road.run()


def test_adding_to_a_full_lane_of_dated_messages_reads_nothing(road: Any) -> None:
    for n in range(50):
        road.accept(f"m{n}", not_before_ms=road.now_ms + 86_400_000)
    road.dispatch()
    loads = road.loads
    for n in range(200):
        road.accept(f"more{n}", not_before_ms=road.now_ms + 90_000_000)
        assert isinstance(road.turn(), LookAgain)
    assert loads == road.loads
