"""What goes next inside one chat."""

from __future__ import annotations

from typing import Any

import pytest

from yizhan.core.allowance import DAY_MS, Allowance, Rule
from yizhan.core.verdict import Delivered, InDoubt, Rejected, Throttled
from yizhan.model import MessageClass, MessageState, WaitingFor

REPLY, NOTICE, PUSH, PROGRESS = MessageClass


def test_messages_of_one_class_keep_the_order_of_acceptance(road: Any) -> None:
    """People read a chat from top to bottom."""
    for name in ("m1", "m2", "m3"):
        road.accept(name)
    assert ["m1.1", "m2.1", "m3.1"] == road.run()


def test_a_higher_class_goes_first(road: Any) -> None:
    """An answer somebody waits for must not stand behind a newsletter."""
    for name, klass in (("progress", PROGRESS), ("push", PUSH), ("notice", NOTICE), ("reply", REPLY)):
        road.accept(name, klass=klass)
    assert ["reply.1", "notice.1", "push.1", "progress.1"] == road.run()


def test_a_message_once_begun_is_finished_before_a_higher_class_begins(road: Any) -> None:
    """Half a push with an answer in the middle of it is unreadable; the answer came while part one was on the wire."""
    road.accept("push", parts=3)
    assert ["push.1"] == road.dispatch()
    road.accept("reply", klass=REPLY)
    assert ["push.2", "push.3", "reply.1"] == [
        road.answer(road.target()) and road.dispatch()[0] for _ in range(3)
    ]


def test_a_message_once_begun_is_finished_before_an_older_one_whose_date_comes(road: Any) -> None:
    """The older one stands before it in the window, but waited for its date when the other began."""
    road.accept("dated", not_before_ms=road.now_ms + 50)
    road.accept("long", parts=2)
    assert ["long.1"] == road.dispatch()
    road.now_ms += 100
    road.answer(road.target())
    assert ["long.2"] == road.dispatch()
    road.answer(road.target())
    assert ["dated.1"] == road.dispatch()


def test_a_begun_message_goes_on_first_after_its_window_was_read_anew(road: Any) -> None:
    """What memory forgets the table knows."""
    road.accept("push", parts=2)
    road.dispatch()
    road.accept("reply", klass=REPLY)
    road.lanes.changed(road.target())
    road.answer(road.target())
    assert ["push.2"] == road.dispatch()


def test_a_limited_message_stays_the_head_of_its_lane(road: Any) -> None:
    """A wait is not a chance for the ones behind: order holds through limits."""
    road.accept("m1", parts=2)
    road.accept("m2")
    road.dispatch()
    road.answer(road.target(), Throttled("-2", "rate limited"))
    assert [] == road.dispatch()
    assert ["m1.1", "m1.2", "m2.1"] == road.run()


def test_a_rejected_part_does_not_stop_the_ones_behind_it(road: Any) -> None:
    """One part that the platform will never take must not bury the rest of an answer."""
    message = road.accept("m", parts=3)
    road.dispatch()
    road.answer(road.target())
    road.dispatch()
    road.answer(road.target(), Rejected("-5", "no"))
    assert ["m.3"] == road.run()
    states = [entry.state for entry in road.table[message.id].entries]
    assert [MessageState.DELIVERED, MessageState.FAILED, MessageState.DELIVERED] == states


def test_only_one_request_of_a_chat_is_on_the_wire(road: Any) -> None:
    """Two at once may arrive in any order."""
    road.accept("m1", parts=2)
    road.accept("m2")
    assert ["m1.1"] == road.dispatch()
    assert [] == road.dispatch()
    road.accept("m3")
    assert [] == road.dispatch()


def test_a_dated_message_lets_others_pass_and_goes_when_its_date_comes(road: Any) -> None:
    """A push for nine o'clock must not hold what is said at eight."""
    road.accept("nine", not_before_ms=road.now_ms + 3_600_000)
    road.accept("eight")
    road.dispatch()
    road.answer(road.target())
    assert 3_600_000 == road.look_again()
    assert ["nine.1"] == road.run()


def test_a_date_is_kept_to_the_millisecond(road: Any) -> None:
    road.accept("dated", not_before_ms=road.now_ms + 1_000)
    road.now_ms += 999
    assert [] == road.dispatch()
    road.now_ms += 1
    assert ["dated.1"] == road.dispatch()


def test_an_expired_head_is_postponed_until_the_sweeper_has_ended_it(road: Any) -> None:
    """An old message is never sent after its time, and what stands behind it goes as soon as it is swept."""
    old = road.accept("old", expires_at_ms=road.now_ms + 10)
    road.now_ms += 10
    road.accept("new")
    assert [] == road.dispatch()
    assert 1_000 == road.look_again()
    road.end(old, MessageState.EXPIRED)
    road.lanes.changed(road.target())
    assert ["new.1"] == road.dispatch()


def test_a_cancelled_message_is_not_sent(road: Any) -> None:
    message = road.accept("m1")
    road.accept("m2")
    road.end(message, MessageState.CANCELLED)
    road.lanes.changed(road.target())
    assert ["m2.1"] == road.run()


def test_rest_of_a_message_cancelled_while_on_the_wire_is_not_sent(road: Any) -> None:
    """The part on the wire cannot be called back; the others can."""
    message = road.accept("m1", parts=3)
    road.accept("m2")
    road.dispatch()
    road.end(message, MessageState.CANCELLED)
    road.lanes.changed(road.target())
    road.answer(road.target())
    assert ["m2.1"] == road.run()


def test_a_paused_chat_waits_until_it_is_resumed(road: Any) -> None:
    road.chat(road.target()).paused = True
    road.accept("m")
    assert [] == road.dispatch()
    assert road.look_again() is None
    road.chat(road.target()).paused = False
    road.lanes.changed(road.target())
    assert ["m.1"] == road.run()


def test_push_to_someone_who_never_wrote_waits_and_is_released_by_their_first_message(road: Any) -> None:
    """The platform refuses such a push for good; the first message makes it possible."""
    road.chat(road.target()).has_written = False
    message = road.accept("push")
    road.dispatch()
    road.answer(road.target(), Throttled("-2", "prepare failed", no_conversation=True))
    assert WaitingFor.USER is road.table[message.id].waiting_for
    assert [] == road.run()
    road.hear(road.target(), "t1")
    assert ["push.1"] == road.run()


def test_what_an_operator_must_decide_blocks_its_lane(road_of: Any) -> None:
    """Policy `hold`: nothing may overtake a part that may or may not have been shown."""
    from yizhan.core.reaction import Numbers
    from yizhan.core.verdict import InDoubt

    road = road_of(numbers=Numbers(in_doubt="hold"))
    road.open()
    road.accept("m1")
    road.accept("m2")
    road.accept("other", "c2")
    road.dispatch()
    road.answer(road.target(), InDoubt("no_answer", "time-out"))
    assert [] == road.run()[1:]
    assert MessageState.QUEUED is road.table["m2"].state


@pytest.mark.parametrize("per_lane", [1, 2, 3, 16])
def test_order_holds_however_small_the_window_is(road_of: Any, per_lane: int) -> None:
    """A window is a saving of memory and must not be seen from outside."""
    road = road_of(per_lane)
    road.open()
    for n in range(20):
        road.accept(f"push{n:02}", parts=1 + n % 3)
        if n % 4 == 3:
            road.accept(f"reply{n:02}", klass=REPLY)
            road.dispatch()
            road.answer(road.target(), Delivered("r"))
    road.run()
    begun: list[str] = []
    for name in (sent.split(".")[0] for sent in road.sent):
        if name not in begun:
            begun.append(name)
        assert name == begun[-1], "one message at a time"
    assert sorted(name for name in begun if name.startswith("push")) == [
        n for n in begun if n.startswith("push")
    ]
    assert 25 == len(begun)


def test_messages_that_the_platform_looks_at_first_hide_nothing_behind_them(road_of: Any) -> None:
    """Sixteen messages waited for somebody at QQ, and the channel was mute until they expired."""
    road = road_of(per_lane=2)
    road.open()
    for name in ("m1", "m2", "m3", "m4", "m5"):
        road.accept(name)
    for _ in range(5):
        road.dispatch()
        road.answer_all(InDoubt("304023", "held back", audit="audit-1"))
    assert ["m1.1", "m2.1", "m3.1", "m4.1", "m5.1"] == road.sent
    assert (None, {WaitingFor.AUDIT}) == (
        road.look_again(),
        {each.waiting_for for each in road.table.values()},
    )


def test_an_order_that_is_repeated_while_the_platform_looks_at_its_message_sends_it_once(road: Any) -> None:
    """The same key again is the same message; it was sent again while somebody at QQ looked at it, and shown twice."""
    road.accept("m1")
    road.dispatch()
    road.answer(road.target(), InDoubt("304023", "held back", audit="audit-1"))
    road.lanes.add(road.table["m1"])
    assert [] == road.dispatch()


def test_what_was_held_back_goes_on_when_the_platform_has_looked_at_it(road: Any) -> None:
    """The first of two parts has passed; the second is still to be sent."""
    road.accept("long", parts=2)
    road.accept("next")
    road.dispatch()
    road.answer(road.target(), InDoubt("304023", "held back", audit="audit-1"))
    assert ["next.1"] == road.dispatch()
    road.answer_all()
    road.passes_audit("long", 1)
    assert ["long.2"] == road.dispatch()


def test_a_date_that_comes_while_progress_is_held_back_is_kept(road: Any) -> None:
    """What was left was kept for the answer, and the reminder of nine o'clock came when the progress had expired."""
    road.lanes.allow(road.target().account, Allowance(Rule(10, DAY_MS, progress_reserve=8)))
    road.hear(road.target())
    for number in range(4):
        road.accept(f"step{number}", klass=PROGRESS)
    road.accept("reminder", not_before_ms=road.now_ms + 10_000)
    assert ["step0.1", "step1.1", "reminder.1"] == road.run()


def test_a_dated_answer_does_not_wait_for_a_push_that_is_slowed_down(road: Any) -> None:
    """Pushes to a chat that gives no receipts wait up to fifteen minutes for each other; an answer does not."""
    road.accept("push")
    road.accept("answer", klass=REPLY, not_before_ms=road.now_ms + 10_000)
    road.lanes.lane(road.target()).push_at_ms = road.now_ms + 900_000
    assert [] == road.dispatch()
    assert 10_000 == road.look_again()
    road.now_ms += 10_000
    assert ["answer.1"] == road.dispatch()


def test_a_lane_that_waits_for_its_gate_looks_at_each_date_once(road: Any) -> None:
    """A date wakes the lane, and no date that has come does."""
    road.accept("m1")
    road.dispatch()
    road.answer(road.target(), Throttled("-2", "rate limited", 60_000))
    for number in range(3):
        road.accept(f"dated{number}", not_before_ms=road.now_ms + 1_000 * (number + 1))
    waits_ms = []
    for _ in range(4):
        waits_ms.append(road.look_again())
        road.now_ms += waits_ms[-1]
    assert [1_000, 1_000, 1_000] == waits_ms[:3]
    assert waits_ms[3] > 1_000
