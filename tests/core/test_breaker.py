"""Hosts that cannot be reached, and answers that stay lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core import breaker
from yizhan.core.breaker import CLOSED, BreakerNumbers
from yizhan.core.hosts import Hosts

NUMBERS = BreakerNumbers()
NOW = 1_800_000_000_000
JITTERS = st.floats(0, 1, exclude_max=True)
bounded = settings(max_examples=30, deadline=None, derandomize=True)


@bounded
@given(st.lists(JITTERS, min_size=1, max_size=5))
def test_a_dead_host_is_probed_every_one_to_two_seconds_then_every_fifteen(jitters: list[float]) -> None:
    """First delivery at most 2 s after a short outage, at most 15 s after a long one, and no hammering."""
    state, now_ms = CLOSED, NOW
    for n in range(150):
        state = breaker.unreachable(state, NUMBERS, now_ms, jitters[n % len(jitters)])
        wait_ms = state.ready_at(now_ms) - now_ms
        if now_ms - NOW < 120_000:
            assert 1_000 <= wait_ms <= 2_000
        else:
            assert 15_000 == wait_ms
        now_ms += wait_ms
    assert now_ms - NOW > 120_000


def test_one_answer_opens_a_host() -> None:
    state = breaker.unreachable(CLOSED, NUMBERS, NOW, 0.5)
    assert state.shut
    assert not breaker.worked(state).shut
    assert NOW == breaker.worked(state).ready_at(NOW)


def test_an_outage_after_an_answer_begins_anew_with_quick_probes() -> None:
    state = CLOSED
    for at_ms in range(NOW, NOW + 200_000, 2_000):
        state = breaker.unreachable(state, NUMBERS, at_ms, 0.5)
    assert 15_000 == state.ready_at(NOW + 198_000) - (NOW + 198_000)
    state = breaker.unreachable(breaker.worked(state), NUMBERS, NOW + 300_000, 0.5)
    assert 1_500 == state.ready_at(NOW + 300_000) - (NOW + 300_000)


def test_lost_answers_of_one_message_say_nothing_about_the_account() -> None:
    """A message that some proxy chokes on must not stop all others."""
    state = CLOSED
    for n in range(50):
        state = breaker.lost_answer(state, NUMBERS, "m1", NOW + n * 60_000, 0.5)
    assert not state.shut


def test_lost_answers_of_three_different_messages_shut_the_account() -> None:
    state = CLOSED
    for name in ("m1", "m2", "m1"):
        state = breaker.lost_answer(state, NUMBERS, name, NOW, 0.5)
        assert not state.shut
    state = breaker.lost_answer(state, NUMBERS, "m3", NOW, 0.5)
    assert state.shut
    assert 500 <= state.ready_at(NOW) - NOW <= 1_000


def test_an_answer_between_them_clears_the_suspicion() -> None:
    state = breaker.lost_answer(breaker.lost_answer(CLOSED, NUMBERS, "m1", NOW, 0.5), NUMBERS, "m2", NOW, 0.5)
    assert not breaker.lost_answer(breaker.worked(state), NUMBERS, "m3", NOW, 0.5).shut


def test_lost_probes_wait_longer_and_longer_up_to_a_minute() -> None:
    """And memory stays flat: names are remembered up to the threshold only."""
    state = CLOSED
    for n in range(100):
        state = breaker.lost_answer(state, NUMBERS, f"m{n}", NOW, 0.999)
    assert 59_000 <= state.ready_at(NOW) - NOW <= 60_000
    assert 3 == len(state.failed)


def test_a_probe_that_hung_while_the_silence_ended_is_followed_by_another_one_soon() -> None:
    state = CLOSED
    for n in range(20):
        state = breaker.lost_answer(state, NUMBERS, f"m{n}", NOW, 0.999)
    state = breaker.answered_elsewhere(state, NOW)
    assert state.shut
    assert (
        breaker.lost_answer(state, NUMBERS, "m20", NOW, 0.999).ready_at(NOW) - NOW <= NUMBERS.in_doubt_base_ms
    )
    assert breaker.answered_elsewhere(CLOSED, NOW) is CLOSED


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_hurrying_lets_the_probe_go_now_and_keeps_it_one(jitter: float) -> None:
    state = breaker.unreachable(CLOSED, NUMBERS, NOW, jitter)
    hurried = breaker.hurried(state, NOW + 5)
    assert NOW + 5 == hurried.ready_at(NOW + 5)
    assert hurried.shut
    assert breaker.hurried(CLOSED, NOW) is CLOSED


# hosts and claims


def test_an_open_host_is_everybodys() -> None:
    hosts = Hosts(NUMBERS)
    assert hosts.free("h")
    assert not hosts.claim("h"), "nobody is a probe"
    assert hosts.free("h")


def test_a_shut_host_has_one_probe_at_a_time() -> None:
    hosts = Hosts(NUMBERS)
    hosts.unreachable("h", NOW, 0.5)
    assert hosts.free("h")
    assert hosts.claim("h")
    assert not hosts.free("h")
    assert hosts.free("other")


@pytest.mark.parametrize("news", ["worked", "unreachable"])
def test_what_the_probe_found_out_ends_its_claim(news: str) -> None:
    hosts = Hosts(NUMBERS)
    hosts.unreachable("h", NOW, 0.5)
    hosts.claim("h")
    if news == "worked":
        assert hosts.worked("h"), "that is news"
        assert not hosts.worked("h"), "now it is not any more"
    else:
        assert hosts.unreachable("h", NOW + 2_000, 0.5).ready_at(NOW) == NOW + 3_500
    assert hosts.free("h")


def test_only_who_holds_a_claim_can_give_it_back() -> None:
    """A request chosen before the outage ends in the middle of somebody else's probe."""
    hosts, one, other = Hosts(NUMBERS), object(), object()
    hosts.unreachable("h", NOW, 0.5)
    hosts.claim("h", one)
    assert not hosts.release("h", other)
    assert not hosts.free("h")
    assert hosts.release("h", one)
    assert hosts.free("h")
    assert not hosts.release("h", one)


def test_after_a_sleep_a_dead_host_is_probed_at_once_and_quickly_again() -> None:
    """The laptop's own network comes up a few seconds after the laptop."""
    hosts = Hosts(NUMBERS)
    for at_ms in range(NOW, NOW + 300_000, 15_000):
        hosts.unreachable("h1", at_ms, 0.5)
    woken_ms = NOW + 9_000_000
    assert ["h1"] == hosts.woken(woken_ms)
    assert woken_ms == hosts.breaker("h1").ready_at(woken_ms)
    assert 1_500 == hosts.unreachable("h1", woken_ms, 0.5).ready_at(woken_ms) - woken_ms
    assert hosts.free("h1")
    hosts.worked("h1")
    assert [] == hosts.woken(woken_ms)
