"""The heap of sleepers against a dictionary."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.wakes import Wakes

SLEEPERS = st.sampled_from("abcd")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sleep"), SLEEPERS, st.integers(0, 50)),
        st.tuples(st.just("wake"), SLEEPERS, st.just(0)),
        st.tuples(st.just("pass"), st.just(""), st.integers(0, 10)),
    ),
    max_size=60,
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(STEPS)
def test_everybody_wakes_once_at_the_time_asked_for_last(steps: list[tuple[str, str, int]]) -> None:
    """A lane that oversleeps is a message that is late; one that never wakes is a message lost."""
    wakes: Wakes[str] = Wakes()
    model: dict[str, int] = {}
    now_ms = 0
    for step, who, number in steps:
        if step == "sleep":
            wakes.sleep(who, now_ms + number)
            model[who] = now_ms + number
        elif step == "wake":
            wakes.wake(who)
            model.pop(who, None)
        else:
            now_ms += number
            woken = {each for each, at_ms in model.items() if at_ms <= now_ms}
            assert sorted(woken) == sorted(wakes.due(now_ms))
            model = {each: at_ms for each, at_ms in model.items() if each not in woken}
        assert min(model.values(), default=None) == wakes.next_ms()
        assert model.get("a") == wakes.until("a")


def test_an_earlier_time_that_was_taken_back_wakes_nobody() -> None:
    """A probe that was allowed at once and then refused waits for its new time."""
    wakes: Wakes[str] = Wakes()
    wakes.sleep("a", 5)
    wakes.sleep("a", 50)
    assert [] == list(wakes.due(10))
    assert ["a"] == list(wakes.due(50))


def test_the_earliest_wakes_first() -> None:
    wakes: Wakes[str] = Wakes()
    for who, at_ms in (("late", 3), ("early", 1), ("middle", 2)):
        wakes.sleep(who, at_ms)
    assert ["early", "middle", "late"] == list(wakes.due(10))


def test_the_heap_stays_proportional_to_the_sleepers_however_often_they_are_woken() -> None:
    """An account behind an hour's penalty is looked at anew with every inbound message."""
    wakes: Wakes[str] = Wakes()
    for n in range(10_000):
        wakes.sleep("a", 1_000_000 - n)
        wakes.wake("a")
        wakes.sleep("b", 1_000_000 + n)
    assert len(wakes) <= 2 * 2 + 66
    assert 1_009_999 == wakes.next_ms()
