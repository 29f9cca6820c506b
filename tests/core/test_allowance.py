"""Ledgers: what is used, what is left, what refusals and acceptances teach."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core import allowance as a
from yizhan.core.allowance import (
    DAY_MS,
    NOTHING,
    SETTLED_MS,
    SPENT,
    WINDOW_OVER,
    Allowance,
    Beside,
    Learned,
    Ledger,
    Rule,
)
from yizhan.core.tokens import UNTRIED, Trial
from yizhan.model import ChatId, WaitingFor

T0 = 1_800_000_000_000
HOUR = 3_600_000
WECHAT = Allowance(Rule(10, DAY_MS, progress_reserve=4))
BOTH = Trial(T0, True, True)
LEDGER = Ledger("in1", T0)


def used(count: int, **more: object) -> Ledger:
    return replace(LEDGER, used=count, accepted_at_ms=T0, **more)  # type: ignore[arg-type]


def why(ledger: Ledger, now_ms: int = T0, allowance: Allowance = WECHAT) -> str | None:
    shut = a.closed(ledger, allowance, now_ms)
    return shut.reason.code if shut else None


def test_ten_sends_are_permitted_and_an_eleventh_is_not() -> None:
    assert (1, None) == (a.left(used(9), WECHAT), why(used(9)))
    assert (0, SPENT) == (a.left(used(10), WECHAT), why(used(10)))


def test_the_time_of_a_window_ends_it_whatever_is_left() -> None:
    assert None is why(LEDGER, T0 + DAY_MS - 1)
    assert WINDOW_OVER == why(LEDGER, T0 + DAY_MS)


def test_where_nothing_is_counted_nothing_ends() -> None:
    free = Allowance()
    assert not free.counted
    assert (None, None) == (a.left(used(99), free), why(used(99), T0 + 9 * DAY_MS, free))


def test_what_is_refused_is_taken_back_and_what_is_in_doubt_is_not() -> None:
    """The platform does not count refusals; a lost answer may have been an acceptance."""
    entered = a.entered(used(3), WECHAT, T0, in_doubt=False)
    assert 4 == entered.used
    assert 3 == a.taken_back(entered, in_doubt=False).used
    assert 4 == a.doubted(entered).used


def test_a_resend_is_the_same_send_until_the_other_side_writes() -> None:
    """Then the platform counts it in the new allowance."""
    doubted = a.doubted(a.entered(used(3), WECHAT, T0, in_doubt=False))
    assert 4 == a.entered(doubted, WECHAT, T0, in_doubt=True).used
    assert 4 == a.taken_back(doubted, in_doubt=True).used
    assert 1 == a.entered(a.opened("in2", T0, 2, doubted, False), WECHAT, T0, in_doubt=True).used


@pytest.mark.parametrize(("spent", "to_spare"), [(0, True), (1, True), (2, False), (3, False), (4, False)])
def test_a_sign_takes_nothing_of_what_is_kept_for_the_answer(spent: int, to_spare: bool) -> None:
    allowance = Allowance(Rule(4, 3_600_000, progress_reserve=2, strict=True))
    after = a.spared(used(spent), allowance, T0)
    assert (used(spent + 1) if to_spare else None) == after
    assert a.spared(used(0), allowance, T0 + 3_600_000) is None, "nothing is spent on what is over"


def test_a_send_that_crosses_an_inbound_message_counts_in_the_new_allowance_too() -> None:
    """Nobody knows which of them the platform saw first."""
    opened = a.opened("in2", T0, 2, used(7), on_wire=True)
    assert (1, True) == (opened.used, opened.unsure)


def test_an_extra_send_comes_rarely_and_each_refusal_doubles_its_distance() -> None:
    ledger, waits = used(10), []
    now_ms = T0
    for _ in range(8):
        shut = a.closed(ledger, WECHAT, now_ms)
        assert shut
        assert shut.probe_at_ms
        waits.append((shut.probe_at_ms - now_ms) // HOUR)
        now_ms = shut.probe_at_ms
        ledger = a.taken_back(a.entered(ledger, WECHAT, now_ms, False), False)
        ledger, _ = a.refused(ledger, WECHAT, BOTH, True, False, now_ms)
    assert [1, 2, 4, 8, 16, 32, 32, 32] == waits


def test_an_extra_send_may_be_forbidden() -> None:
    shut = a.closed(used(10), replace(WECHAT, probe_ms=0), T0)
    assert shut
    assert shut.probe_at_ms is None


def test_an_extra_send_that_is_accepted_teaches_that_more_is_permitted() -> None:
    extra = a.entered(used(10), WECHAT, T0, in_doubt=False)
    after, learned = a.accepted(extra, WECHAT, T0)
    assert 21 == learned.sends
    assert None is why(after, T0, replace(WECHAT, learned=learned))


def test_with_a_lost_answer_in_the_count_only_this_chat_is_believed_to_have_more() -> None:
    """Our own count may be wrong; that is no lesson about the platform."""
    extra = a.entered(used(10, unsure=True), WECHAT, T0, in_doubt=False)
    after, learned = a.accepted(extra, WECHAT, T0)
    assert NOTHING == learned
    assert 1 == a.left(after, WECHAT)


def test_the_first_send_after_a_window_finds_out_whether_it_is_kept() -> None:
    """Whoever keeps no window need not wait for one; whoever does is asked once a day at most."""
    now_ms = T0 + DAY_MS + HOUR
    shut = a.closed(LEDGER, WECHAT, now_ms)
    assert shut
    assert shut.probe_at_ms is not None
    assert shut.probe_at_ms <= now_ms
    _, free = a.accepted(a.entered(LEDGER, WECHAT, now_ms, False), WECHAT, now_ms)
    assert None is why(LEDGER, now_ms, replace(WECHAT, learned=free))
    _, kept = a.refused(LEDGER, WECHAT, BOTH, True, False, now_ms)
    shut = a.closed(LEDGER, replace(WECHAT, learned=kept), now_ms)
    assert shut
    assert shut.probe_at_ms == T0 + 2 * DAY_MS


@pytest.mark.parametrize("trial", [UNTRIED, Trial(T0, True, False), Trial(T0, False, True)])
def test_one_way_refused_closes_nothing(trial: Trial) -> None:
    later = T0 + SETTLED_MS
    assert (LEDGER, NOTHING) == a.refused(LEDGER, WECHAT, trial, True, True, later)


def test_shortly_after_an_acceptance_a_limit_explains_a_refusal_better() -> None:
    """A burst is not the end of an allowance."""
    ledger, learned = a.refused(
        used(5), WECHAT, replace(BOTH, probes=9, full_waits=2), True, True, T0 + SETTLED_MS - 1
    )
    assert (used(5), NOTHING) == (ledger, learned)


@pytest.mark.parametrize(
    ("beside", "full_waits", "shut"), [(True, 0, True), (False, 1, False), (False, 2, True)]
)
def test_refused_both_ways_while_others_are_served_or_again_after_a_wait_needs_the_user(
    beside: bool, full_waits: int, shut: bool
) -> None:
    trial = replace(BOTH, probes=9, full_waits=full_waits)
    ledger, _ = a.refused(used(5), WECHAT, trial, True, beside, T0 + SETTLED_MS)
    assert shut is ledger.closed
    if shut:
        closed = a.closed(ledger, WECHAT, T0 + SETTLED_MS)
        assert closed
        assert WaitingFor.USER is closed.waiting_for


def test_a_chat_that_closed_twice_after_as_many_sends_teaches_the_number() -> None:
    """Once may be chance: a limit, a long penalty."""
    allowance = WECHAT
    for expected in (Learned(seen=5), Learned(sends=5)):
        closed = used(5, closed=True)
        opened = a.entered(a.opened("in2", T0, 2, closed, False), allowance, T0, False)
        _, learned = a.accepted(opened, allowance, T0)
        assert expected == learned
        allowance = replace(allowance, learned=learned)
    assert 5 == allowance.sends


def test_stuck_until_the_other_side_wrote_is_such_a_lesson_too() -> None:
    """Refused for ten minutes, accepted at once afterwards; a shorter time is a limit's."""
    for wait_ms, before in ((SETTLED_MS, 5), (SETTLED_MS - 1, 0)):
        assert before == a.opened("in2", T0 + wait_ms, 2, used(5), False, stuck=True).closed_before
    assert 0 == a.opened("in2", T0 + SETTLED_MS, 2, used(5), False, stuck=False).closed_before


def test_closed_after_another_number_begins_the_lesson_anew() -> None:
    allowance = replace(WECHAT, learned=Learned(seen=5))
    opened = a.entered(a.opened("in2", T0, 2, used(3, closed=True), False), allowance, T0, False)
    assert Learned(seen=3) == a.accepted(opened, allowance, T0)[1]


def test_what_an_operator_has_set_is_not_corrected() -> None:
    assert 10 == replace(WECHAT, fixed=True, learned=Learned(sends=5)).sends


@given(st.builds(Learned, st.none() | st.integers(0, 99), st.integers(0, 99), st.none() | st.booleans()))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_what_was_learned_survives_the_store(learned: Learned) -> None:
    assert learned == a.decode(a.encode(learned))


@pytest.mark.parametrize(
    "text", ["[]", "{}", "nonsense", "[-1,0,null]", "[true,0,null]", '["5",0,null]', "[5,0,1]"]
)
def test_what_cannot_be_read_is_forgotten(text: str) -> None:
    assert NOTHING == a.decode(text)


def test_another_chat_is_told_from_the_same_one() -> None:
    one, two = ChatId("one"), ChatId("two")
    seen = Beside().note(one, 5).note(two, 7).note(two, 9)
    assert seen.another_since(two, 5)
    assert not seen.another_since(two, 6)
    assert seen.another_since(one, 9)
    assert not seen.another_since(one, 10)
    assert not Beside().another_since(one, 0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["accept", "refuse", "doubt", "resend", "hear"]), max_size=60))
def test_the_count_is_never_below_what_the_platform_counts(story: list[str]) -> None:
    """A platform that counts acceptances and forgets them with each inbound message; a lost answer counts, and is
    recognised when it comes again."""
    ledger, counted, in_doubt = LEDGER, 0, False
    for step in story:
        if step == "hear":
            ledger, counted, in_doubt = a.opened("next", T0, 0, ledger, False), 0, False
            continue
        again = in_doubt and step == "resend"
        ledger = a.entered(ledger, WECHAT, T0, again)
        if step == "refuse":
            ledger = a.taken_back(ledger, False)
        elif step == "doubt":
            ledger, counted, in_doubt = a.doubted(ledger), counted + 1, True
        else:
            ledger, _ = a.accepted(ledger, replace(WECHAT, rule=Rule(999, 0)), T0)
            counted, in_doubt = counted + (not again), False
        assert ledger.used >= counted
