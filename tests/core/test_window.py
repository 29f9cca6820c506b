"""The beginning of a lane's list, against the whole list."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.window import Window, begun, may_begin, place_of
from yizhan.model import AccountId, ChatId, Entry, Message, MessageClass, MessageId, MessageState


def a_message(seq: int, klass: int, not_before_ms: int, attempts: int, state: str = "queued") -> Message:
    entry = Entry(1, "", "", MessageState(state), attempts_made=attempts)
    return Message(
        MessageId(str(seq)),
        AccountId("weixin:a"),
        ChatId("c"),
        seq,
        MessageClass(klass),
        "test",
        "",
        0,
        1_000,
        (entry,),
        MessageState(state),
        not_before_ms=not_before_ms or None,
    )


LISTS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 5, 20, 40, 60]), st.sampled_from([0, 0, 0, 1])),
    max_size=14,
).map(lambda rows: [a_message(seq, *row) for seq, row in enumerate(rows, start=1)])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(LISTS, LISTS, st.integers(1, 5), st.integers(0, 50), st.integers(0, 50))
def test_the_head_of_a_window_is_the_head_of_the_whole_list(
    listed: list[Message], later: list[Message], most: int, read_ms: int, after_ms: int
) -> None:
    """Unless the window says itself that it is out of date, the rest of the table has nothing that goes before."""
    by_place = sorted(listed, key=lambda each: place_of(each, read_ms))
    window = Window.read(by_place[:most], len(by_place) > most, read_ms)
    everything = list(listed)
    for number, message in enumerate(later, start=100):
        new = a_message(number, message.klass, message.not_before_ms or 0, 0)
        window.take(new, read_ms + after_ms // 2, most)
        everything.append(new)
        assert len(window) <= most
    now_ms = read_ms + after_ms
    if window.outdated(now_ms):
        return
    may = [each for each in everything if may_begin(each, now_ms)]
    undated = [each for each in may if not each.not_before_ms or begun(each)]
    head = window.head(now_ms)
    if head is None:
        assert not may
        assert window.due_ms(now_ms) == min((each.not_before_ms or 0 for each in everything), default=None)
        return
    key = (not begun(head), head.klass, head.seq)
    assert all(key <= (not begun(each), each.klass, each.seq) for each in undated)


def test_a_message_reported_twice_is_held_once() -> None:
    window = Window.read([a_message(1, 2, 0, 0)], False, 0)
    window.take(a_message(1, 2, 0, 0), 0, 16)
    assert 1 == len(window)


def test_a_message_behind_the_edge_is_left_to_the_table() -> None:
    """There is room in memory again, but others that are only in the table stand before it."""
    window = Window.read([a_message(1, 2, 0, 0), a_message(2, 2, 0, 0)], True, 0)
    window.put(a_message(1, 2, 0, 1, "delivered"))
    window.take(a_message(9, 2, 0, 0), 0, 16)
    assert ["2"] == [each.id for each in window.messages]


def test_a_used_up_window_that_was_cut_off_is_out_of_date() -> None:
    window = Window.read([a_message(1, 2, 0, 0)], True, 0)
    assert not window.outdated(10)
    window.put(a_message(1, 2, 0, 1, "delivered"))
    assert window.outdated(10)


def test_a_used_up_window_that_was_whole_is_simply_empty() -> None:
    window = Window.read([a_message(1, 2, 0, 0)], False, 0)
    window.put(a_message(1, 2, 0, 1, "delivered"))
    assert not window.outdated(10)
    assert window.head(10) is None
    assert window.due_ms(10) is None


def test_a_date_that_has_come_wakes_nobody() -> None:
    """A message with a date that the platform then held back made the dispatcher look again for ever."""
    window = Window.read([a_message(1, 2, 50, 0), a_message(2, 2, 90, 0)], False, 0)
    assert [50, 90, None] == [window.due_ms(now_ms) for now_ms in (0, 50, 90)]


def test_the_date_behind_the_edge_is_waited_for() -> None:
    window = Window.read([a_message(1, 2, 50, 0), a_message(2, 2, 90, 0)], True, 0)
    window.put(a_message(2, 2, 90, 1, "delivered"))
    assert 90 == window.due_ms(60)


def test_a_message_on_the_wire_that_was_cut_off_comes_back_as_the_head() -> None:
    """A window of one, and a reply came in while the push was on its way."""
    window = Window.read([a_message(1, 2, 0, 0)], False, 0)
    window.take(a_message(2, 0, 0, 0), 0, 1)
    assert ["2"] == [each.id for each in window.messages]
    window.put(a_message(1, 2, 0, 1, "waiting"))
    assert "1" == window.head(0).id  # type: ignore[union-attr]


def test_a_window_whose_last_date_has_come_is_out_of_date() -> None:
    """Behind it others may be due as well, accepted earlier."""
    window = Window.read([a_message(1, 2, 50, 0)], True, 0)
    assert not window.outdated(49)
    assert window.outdated(50)
