"""The pace of a scope after refusals: quiet times, what is learned, hints, the budget, and what is kept."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core import limiter, silence
from yizhan.core.limiter import OPEN, Pace, PaceNumbers
from yizhan.core.pace import Limit, Search

NUMBERS = PaceNumbers()
NOW = 1_800_000_000_000
SECOND = 1_000
MINUTE = 60 * SECOND
JITTERS = st.floats(0, 1, exclude_max=True)
LIMITS = st.builds(
    Limit,
    fits=st.integers(0, 160),
    lo_ms=st.integers(0, 60_000),
    hi_ms=st.integers(0, 7_000_000),
    interval_ms=st.sampled_from([0, 0, 900, 20_000]),
    safe_ms=st.sampled_from([0, 1_000]),
    budget=st.integers(0, 120),
    trust=st.integers(0, 100),
    quiet_ms=st.integers(0, 60_000),
    penalties=st.integers(0, 9),
    wary_until_ms=st.integers(NOW - 10**9, NOW + 86_400_000),
)
PACES = st.builds(
    Pace,
    refusals=st.integers(0, 200),
    not_before_ms=st.integers(NOW - 10**9, NOW + 3_600_000),
    quiet_ms=st.integers(0, 3_600_000),
    since_ms=st.integers(NOW - 10**9, NOW),
    refused_ms=st.integers(NOW - 10**6, NOW),
    run_ms=st.integers(NOW - 10**9, NOW),
    run_count=st.integers(0, 300),
    last_ms=st.integers(NOW - 10**9, NOW),
    limit=st.one_of(st.none(), LIMITS),
)
bounded = settings(max_examples=60, deadline=None, derandomize=True)


class Scope:
    """A scope with a clock; what waits behind it is plenty unless said otherwise."""

    def __init__(self, pace: Pace = OPEN, numbers: PaceNumbers = NUMBERS, waiting: int = 100) -> None:
        self.pace, self.numbers, self.waiting, self.now_ms = pace, numbers, waiting, NOW

    def send(self, count: int = 1, every_ms: int = 100) -> Scope:
        for _ in range(count):
            self.now_ms = max(self.now_ms + every_ms, self.pace.ready_at(self.now_ms))
            self.pace = limiter.accepted(self.pace, self.numbers, self.now_ms)
        return self

    def refuse(self, hint_ms: int | None = None, after_ms: int = 100) -> int:
        """Refused at the next moment a request may go; answers the wait."""
        self.now_ms = max(self.now_ms + after_ms, self.pace.ready_at(self.now_ms))
        self.pace = limiter.refused(self.pace, self.numbers, self.now_ms, hint_ms, 0.0, self.waiting)
        return self.pace.not_before_ms - self.now_ms

    @property
    def limit(self) -> Limit:
        assert self.pace.limit is not None
        return self.pace.limit


def refused_times(times: int, hint_ms: int | None = None, numbers: PaceNumbers = NUMBERS) -> list[int]:
    """The waits after so many refusals in a row that ended a run, without jitter."""
    scope = Scope(numbers=numbers).send(5)
    return [scope.refuse(hint_ms) for _ in range(times)]


def learned(fits: int = 10, pause_ms: int = 20_000, **more: object) -> Scope:
    """A scope that keeps to a limit, at the end of a whole run."""
    limit = Limit(fits=fits, lo_ms=pause_ms - 200, hi_ms=pause_ms)
    pace = Pace(limit=replace(limit, search=Search(**more)))  # type: ignore[arg-type]
    return Scope(pace).send(fits)


# nothing known


def test_an_open_scope_sends_now() -> None:
    assert NOW == OPEN.ready_at(NOW)
    assert not OPEN.probing


def test_a_scope_that_was_never_refused_remembers_three_numbers() -> None:
    """Every message passes here; it must cost nothing."""
    scope = Scope().send(50)
    assert (50, None) == (scope.pace.run_count, scope.pace.limit)
    assert scope.pace.blank
    assert "" == limiter.encode(scope.pace)


def test_quiet_times_cover_every_usual_window_in_three_steps() -> None:
    """Most windows are 15 to 30 s, nearly all under a minute."""
    assert [8_000, 24_000, 62_000] == refused_times(3)


def test_refused_after_the_longest_window_the_scope_is_left_alone_for_most_of_an_hour() -> None:
    """A long penalty is prolonged by probing: five refused sends at most see the end of one of an hour."""
    waits = refused_times(6)
    assert [39 * MINUTE, 60 * MINUTE, 60 * MINUTE] == waits[3:]
    assert sum(waits[:5]) >= 100 * MINUTE


def test_refused_out_of_the_blue_the_end_is_noticed_within_a_few_times_the_length() -> None:
    """Nothing was sent before: no window can be full, and an outage of minutes must not cost an hour."""
    scope = Scope()
    waits = [scope.refuse() for _ in range(5)]
    assert [30 * SECOND, 150 * SECOND, 12 * MINUTE, 30 * MINUTE, 60 * MINUTE] == waits
    assert sum(waits) >= 100 * MINUTE


def test_a_block_out_of_the_blue_leaves_what_was_learned_before_as_it_was() -> None:
    """The window was empty: it was not the limit that refused."""
    scope = learned(10, 20_000)
    known = (scope.limit.fits, scope.limit.lo_ms, scope.limit.hi_ms)
    scope.now_ms += 10 * MINUTE
    assert [30 * SECOND, 150 * SECOND, 12 * MINUTE] == [scope.refuse() for _ in range(3)]
    scope.send()
    assert known == (scope.limit.fits, scope.limit.lo_ms, scope.limit.hi_ms)


@pytest.mark.parametrize("fits", [3, 10])
def test_a_penalty_of_an_hour_met_under_a_learned_limit_costs_five_refusals_too(fits: int) -> None:
    for start in (learned(fits, 20_000), learned(fits, 20_000).send(1)):
        waits = [start.refuse() for _ in range(5)]
        assert sum(waits) >= 100 * MINUTE


def test_a_first_quiet_time_beyond_the_soft_cap_is_not_shortened() -> None:
    """An operator who asked for ten minutes must not get one."""
    assert 600_000 == refused_times(1, numbers=PaceNumbers(first_quiet_ms=600_000))[0]


def test_no_wait_is_longer_than_the_operator_allows() -> None:
    assert all(wait_ms <= 90_000 for wait_ms in refused_times(9, numbers=PaceNumbers(max_quiet_ms=90_000)))


@pytest.mark.parametrize("growth", [1, 1.0001, 8])
def test_a_growth_of_any_size_ends(growth: float) -> None:
    waits = refused_times(12, numbers=PaceNumbers(first_quiet_ms=1, growth=growth))
    assert all(50 <= wait_ms <= 3_600_000 for wait_ms in waits)


def test_waits_set_to_nothing_are_still_no_hot_loop() -> None:
    numbers = PaceNumbers(first_quiet_ms=0, soft_cap_ms=0, max_quiet_ms=0)
    assert all(wait_ms >= 50 for wait_ms in refused_times(10, numbers=numbers))


def test_a_refusal_that_the_reply_token_answered_for_takes_the_place_of_the_first_step() -> None:
    """Both were refused at the same moment: to ask again in a few seconds would be a third refused send."""
    scope = Scope().send(5)
    scope.pace = limiter.spared(scope.pace)
    assert [24_000, 62_000, 39 * MINUTE] == [scope.refuse() for _ in range(3)]
    blue = Scope(limiter.spared(OPEN))
    assert [150_000, 12 * MINUTE, 30 * MINUTE] == [blue.refuse() for _ in range(3)]


def test_one_acceptance_opens_the_scope() -> None:
    scope = Scope()
    scope.refuse()
    assert not scope.send().pace.probing


def test_of_several_that_were_on_the_wire_together_one_counts() -> None:
    """Four chats' requests leave at once and are all refused: one overshoot, not four refused probes."""
    first = limiter.refused(OPEN, NUMBERS, NOW, None, 0.0, sent_ms=NOW - 100)
    second = limiter.refused(first, NUMBERS, NOW + 5, None, 0.0, sent_ms=NOW - 90)
    assert (1, first.not_before_ms) == (second.refusals, second.not_before_ms)
    assert first.limit is not None
    assert second.limit is not None
    assert first.limit.budget - 10 == second.limit.budget


def refused_together(count: int, hint_ms: int | None = None, pace: Pace = OPEN) -> Pace:
    """So many that left together in the middle of a run."""
    pace = Scope(pace).send(5).pace
    for number in range(count):
        pace = limiter.refused(pace, NUMBERS, NOW + 700 + number, hint_ms, 0.0, 100, NOW + 650)
    return pace


@pytest.mark.parametrize(("count", "wait_ms"), [(1, 8_000), (2, 8_000), (3, 24_000), (4, 24_000)])
def test_three_refused_together_pass_over_the_shortest_wait(count: int, wait_ms: int) -> None:
    """A probe after it would be the fourth refusal in one window."""
    pace = refused_together(count)
    assert (1, NOW + 700 + wait_ms) == (pace.refusals, pace.not_before_ms)
    later = limiter.refused(pace, NUMBERS, pace.not_before_ms, None, 0.0, 100)
    assert (62_000 if count >= 3 else 24_000) == later.quiet_ms


def test_refused_together_they_wait_as_the_server_told_or_as_was_learned() -> None:
    assert NOW + 700 + 3_000 == refused_together(3, hint_ms=3_000).not_before_ms
    known = refused_together(3, pace=Pace(limit=Limit(fits=5, lo_ms=9_900, hi_ms=10_000)))
    assert known.quiet_ms < 24_000


def test_an_acceptance_of_what_left_before_the_refusal_does_not_open_the_gate() -> None:
    """It was sent while the window still had room; the gate shut behind it."""
    shut = limiter.refused(OPEN, NUMBERS, NOW, None, 0.0)
    late = limiter.accepted(shut, NUMBERS, NOW + 5, sent_ms=NOW - 50)
    assert late.probing
    assert shut.not_before_ms == late.not_before_ms


# what is learned


def test_how_much_fits_is_read_off_the_first_run_exactly() -> None:
    scope = Scope().send(10)
    scope.refuse()
    assert 10 == scope.limit.fits


def test_the_pause_is_searched_from_both_sides_until_it_is_known_well() -> None:
    """A window of 20 s: what follows costs few refusals, and then none."""
    scope, window_ms, opened_ms, used, refused = Scope(), 20 * SECOND, 0, 0, 0
    for _ in range(400):
        now_ms = max(scope.now_ms + 100, scope.pace.ready_at(scope.now_ms))
        if now_ms - opened_ms >= window_ms:
            opened_ms, used = now_ms, 0
        if used < 10:
            used += 1
            scope.send()
        else:
            scope.refuse()
            refused += 1
    assert 10 == scope.limit.fits
    assert 20_000 <= scope.limit.hi_ms <= 22_000
    assert refused <= 24


def test_a_known_limit_is_kept_to_without_a_refusal() -> None:
    scope = learned(10, 20_000)
    opened_ms = scope.now_ms - 900
    assert opened_ms + 20_000 == scope.pace.ready_at(scope.now_ms)


def test_what_is_on_the_wire_takes_room_before_it_is_accepted() -> None:
    """Four chats in flight must not overshoot an account that has room for two."""
    scope = Scope(Pace(limit=Limit(fits=10, lo_ms=19_900, hi_ms=20_000))).send(8)
    assert scope.now_ms == scope.pace.ready_at(scope.now_ms, in_flight=1)
    assert scope.now_ms < scope.pace.ready_at(scope.now_ms, in_flight=2)
    assert scope.now_ms + 20_000 == scope.pace.ready_at(scope.now_ms, in_flight=10)


def test_a_handful_of_messages_teaches_nothing_but_a_quiet_time() -> None:
    """Their rhythm says nothing about the platform's; light traffic was once held up for minutes by it."""
    scope = Scope(waiting=3).send(2)
    scope.refuse()
    scope.send()
    assert (0, 0) == (scope.limit.fits, scope.limit.hi_ms)
    assert 6_800 == scope.limit.quiet_ms


def test_light_traffic_waits_longer_when_it_was_too_short_and_shorter_when_it_was_enough() -> None:
    scope = Scope(waiting=0)
    waits = []
    for _ in range(4):
        scope.send(every_ms=MINUTE)
        waits.append(scope.refuse())
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] < waits[0]


def test_an_early_probe_that_was_refused_bounds_the_pause_from_below() -> None:
    pace = Pace(limit=Limit(fits=5, lo_ms=4_000, hi_ms=20_000))
    scope = Scope(pace).send(5)
    run_ms = scope.pace.run_ms
    scope.refuse()
    assert scope.now_ms - run_ms == scope.limit.lo_ms
    assert run_ms + 20_000 == scope.pace.not_before_ms


def test_an_unproven_pause_is_proven_when_its_whole_run_went_through() -> None:
    """The first request alone may have used up what was left of the window before."""
    scope = Scope(Pace(limit=Limit(fits=5, lo_ms=4_000, hi_ms=20_000))).send(5).send(1)
    assert 20_000 == scope.limit.hi_ms
    scope.send(4)
    assert scope.limit.hi_ms < 12_000


def test_refusals_that_prolong_the_pause_are_noticed_and_left_alone() -> None:
    """An early probe refused, then the proven pause refused, then a whole pause of silence works."""
    scope = Scope(Pace(limit=Limit(fits=5, lo_ms=4_000, hi_ms=20_000))).send(5)
    scope.refuse()
    scope.refuse()
    scope.send()
    assert scope.limit.search.extending > 0
    run_ms = scope.pace.run_ms
    scope.send(4)
    scope.refuse(after_ms=0)
    assert run_ms + 15_000 <= scope.now_ms, "what is tried now stays near to what is proven"
    assert scope.now_ms + 20_000 <= scope.pace.ready_at(scope.now_ms), "a whole pause, and no try before it"


def test_a_whole_pause_of_silence_that_was_refused_again_says_that_refusals_prolong_nothing() -> None:
    """The platform's windows begin by its own clock: what looked proven was luck."""
    scope = Scope(Pace(limit=Limit(fits=5, lo_ms=20_000, hi_ms=20_000, search=Search(extending=4)))).send(5)
    assert 5_000 == scope.refuse()
    assert scope.limit.search.plain
    assert 0 == scope.limit.search.extending


def test_a_shorter_pause_whose_run_was_cut_short_was_too_short_and_no_less_fits() -> None:
    """A bucket lets the first few through; believing that fewer fit would starve it step by step."""
    scope = Scope(Pace(limit=Limit(fits=6, lo_ms=4_000, hi_ms=20_000))).send(6).send(3)
    tried_ms = scope.limit.search.trial_ms
    scope.refuse()
    assert (6, tried_ms, 20_000) == (scope.limit.fits, scope.limit.lo_ms, scope.limit.hi_ms)


def test_a_burst_that_finds_far_more_room_has_found_another_limit() -> None:
    """Its pause need not be the old one: an hour of that was once waited out between bursts of five."""
    pace = Pace(limit=Limit(fits=5, lo_ms=40_000, hi_ms=40_000, search=Search(bursting=True)))
    scope = Scope(pace).send(20)
    assert 8_000 == scope.refuse()
    assert (20, 0) == (scope.limit.fits, scope.limit.hi_ms)


def test_a_limit_that_has_become_tighter_is_learned_anew() -> None:
    scope = learned(10, 20_000)
    scope.refuse()
    scope.refuse()
    scope.send()
    assert scope.limit.hi_ms > 20_000


def test_now_and_then_more_is_tried_and_rarer_when_it_fails() -> None:
    scope = learned(5, 10_000)
    for _ in range(200):
        scope.send()
        if scope.limit.search.bursting and scope.pace.run_count >= 5:
            break
    hold = scope.limit.search.burst_hold
    scope.refuse()
    assert 2 * hold == scope.limit.search.burst_hold
    assert 5 == scope.limit.fits


def test_where_next_to_nothing_fits_requests_are_spaced_evenly() -> None:
    """A bucket fakes a short window with what it has stored."""
    pace = Pace(limit=Limit(fits=2, lo_ms=1_900, hi_ms=2_000, search=Search(odd=1)))
    scope = Scope(pace).send(12)
    scope.refuse()
    scope.send()
    scope.refuse()
    assert scope.limit.interval_ms > 0
    assert scope.pace.single
    scope.send()
    assert scope.now_ms + scope.limit.interval_ms == scope.pace.ready_at(scope.now_ms)


@pytest.mark.parametrize(
    "known", [Limit(fits=2, lo_ms=1_900, hi_ms=2_000, search=Search(odd=1)), Limit(budget=10)]
)
def test_a_night_without_a_message_is_no_pace(known: Limit) -> None:
    """One message per 54 minutes was what a limiter had learned from eight hours of sleep."""
    night = Scope(Pace(limit=known)).send(4)
    night.now_ms += 8 * 60 * MINUTE
    night.send(2)
    for _ in range(3):
        night.refuse()
        if night.limit.interval_ms:
            break
        night.send()
    assert 0 < night.limit.interval_ms <= MINUTE


def test_spaced_requests_come_closer_when_they_go_well_and_back_when_refused() -> None:
    pace = Pace(limit=Limit(interval_ms=10_000, safe_ms=10_000))
    scope = Scope(pace).send(8)
    assert 8_000 == scope.limit.interval_ms
    scope.refuse()
    assert 10_000 == scope.limit.interval_ms


def penalized(sent: int = 8, scope: Scope | None = None) -> Scope:
    """A scope whose run of so many was followed by a penalty of most of an hour."""
    scope = (scope or Scope()).send(sent)
    while scope.refuse() < 30 * MINUTE:
        pass
    return scope.send()


def test_after_a_long_penalty_the_scope_goes_on_more_gently_than_what_ran_into_it() -> None:
    """Not as slowly as the penalty was long: that would hold back for hours what a minute's pause lets through."""
    scope = penalized(8)
    began_ms = scope.now_ms
    scope.send(60)
    assert (6, 62_000) == (scope.limit.fits, scope.limit.pause_ms())
    assert 60 * 62_000 // 6 >= scope.now_ms - began_ms >= 54 * 62_000 // 6


def test_a_second_penalty_soon_after_the_first_doubles_the_pause_and_the_time_it_is_remembered() -> None:
    scope = penalized(12, penalized(8))
    assert 124_000 == scope.limit.pause_ms()
    assert scope.limit.fits < 6
    assert scope.now_ms + 120 * MINUTE == scope.limit.wary_until_ms
    for _ in range(20):
        penalized(scope.limit.fits, scope)
    assert 30 * MINUTE == scope.limit.pause_ms()
    assert scope.now_ms + 24 * 60 * MINUTE == scope.limit.wary_until_ms


def test_a_long_penalty_is_forgotten_step_by_step() -> None:
    """An hour after the last of two the pause is half as long; after another the scope is free again."""
    scope = penalized(12, penalized(8))
    scope.now_ms += 121 * MINUTE
    assert 62_000 == scope.send().limit.pause_ms()
    scope.now_ms += 61 * MINUTE
    scope.send(30)
    assert (0, "") == (scope.limit.penalties, scope.limit.words())
    assert scope.now_ms == scope.pace.ready_at(scope.now_ms)


def test_while_a_penalty_is_remembered_nothing_is_tried_and_a_second_refusal_is_left_alone() -> None:
    scope = penalized(8)
    for _ in range(40):
        search = scope.send().limit.search
        assert not search.bursting
        assert not search.loosened
    assert 62_000 == scope.refuse()
    assert 39 * MINUTE == scope.refuse()


def test_somebody_who_writes_in_the_silence_does_not_make_the_wait_a_window() -> None:
    """The probe that an inbound message permits succeeds after four minutes of thirty-nine."""
    scope = Scope().send(8)
    while scope.refuse() < 30 * MINUTE:
        pass
    scope.now_ms += 4 * MINUTE
    scope.pace = limiter.hurried(scope.pace, scope.now_ms)
    assert 62_000 == scope.send().limit.pause_ms()


def test_a_block_out_of_the_blue_leaves_no_limit_behind() -> None:
    """Refused for an hour without having sent anything to speak of: when it is over, it is over."""
    for waiting in (1, 100):
        scope = Scope(waiting=waiting)
        for _ in range(4):
            scope.refuse()
        scope.send(30)
        assert scope.now_ms == scope.pace.ready_at(scope.now_ms)


def test_a_probe_that_had_nothing_to_send_for_long_teaches_no_pause() -> None:
    """The gate was open for an hour before somebody wrote; the next message must not wait an hour."""
    scope = Scope().send(5)
    scope.refuse()
    scope.now_ms += 60 * MINUTE
    scope.send(30)
    assert scope.now_ms == scope.pace.ready_at(scope.now_ms)


# hints


def test_a_hint_is_followed_within_our_own_bounds() -> None:
    """Hints lie short and long; neither may turn into a storm or into silence."""
    assert [500] == refused_times(1, 0)
    assert [500] == refused_times(1, -5)
    assert [20_000] == refused_times(1, 20_000)
    assert [30_000] == refused_times(1, 86_400_000)
    assert [30_000, 65_000] == refused_times(2, 86_400_000)


def test_a_hint_that_was_waited_out_in_vain_is_believed_less_and_soon_ignored() -> None:
    waits = refused_times(3, 1_000)
    assert [1_000, 1_000] == waits[:2]
    assert 8_000 == waits[2]


def test_a_hint_that_lies_short_does_not_use_up_our_own_steps() -> None:
    """The steps go by the time since the first refusal, not by the number of refusals."""
    scope = Scope().send(5)
    for _ in range(2):
        scope.refuse(500)
    assert 8_000 == scope.refuse(500)


def test_a_hint_against_what_is_known_stays_between_the_two_sides() -> None:
    scope = Scope(Pace(limit=Limit(fits=5, lo_ms=9_000, hi_ms=20_000))).send(5)
    run_ms = scope.pace.run_ms
    scope.refuse(3_600_000)
    assert scope.pace.not_before_ms <= max(run_ms, scope.now_ms) + 21_000


def test_a_hint_that_named_far_too_long_a_wait_is_no_longer_believed() -> None:
    """It was clamped, and the scope was open long before the time that was said."""
    scope = Scope().send(5)
    assert 30_000 == scope.refuse(600_000)
    scope.send()
    assert scope.limit.trust <= 20


# the bounds


@bounded
@given(PACES, st.one_of(st.none(), st.integers(-(10**15), 10**15)), JITTERS, st.integers(0, 500))
def test_a_refused_scope_always_waits_and_never_too_long(
    pace: Pace, hint_ms: int | None, jitter: float, waiting: int
) -> None:
    """Neither a hot loop nor a wait without end, whatever the server says and whatever is believed."""
    after = limiter.refused(pace, NUMBERS, NOW, hint_ms, jitter, waiting)
    assert NOW + 50 <= after.not_before_ms <= NOW + NUMBERS.max_quiet_ms
    assert pace.refusals + 1 == after.refusals
    assert after.probing


@bounded
@given(PACES, st.integers(0, 40))
def test_no_scope_is_ready_before_now_or_never(pace: Pace, in_flight: int) -> None:
    longest_ms = 7_000_000 + 20_000 * 41
    assert NOW <= pace.ready_at(NOW, in_flight) <= NOW + max(NUMBERS.max_quiet_ms, longest_ms)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from([0.05, 0.3, 0.6, 0.95]), st.sampled_from([None, 0, 700]))
def test_refusals_are_paid_for(seed: int, refusing: float, hint_ms: int | None) -> None:
    """Twelve and a tenth per acceptance; beyond that only as many as there are minutes. Whatever the platform does,
    and the more it lies in its hints."""
    chance, scope, accepted, refusals = random.Random(seed), Scope(), 0, 0
    for _ in range(400):
        if chance.random() < refusing:
            scope.refuse(hint_ms)
            refusals += 1
        else:
            scope.send()
            accepted += 1
    minutes = (scope.now_ms - NOW) / NUMBERS.soft_cap_ms
    assert refusals <= NUMBERS.reject_budget + accepted / 10 + minutes + 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_a_shut_gate_lets_one_probe_through_at_a_time(seed: int, refusing: float) -> None:
    """Between a refusal and the next request there is always the wait that was said."""
    chance, scope, gate_ms = random.Random(seed), Scope(), 0
    for _ in range(200):
        before_ms = scope.now_ms
        if chance.random() < refusing:
            scope.refuse()
            assert scope.now_ms >= gate_ms
            gate_ms = scope.pace.not_before_ms
            assert scope.pace.single
        else:
            scope.send()
            assert scope.now_ms >= gate_ms
        assert scope.now_ms > before_ms


@bounded
@given(JITTERS)
def test_jitter_makes_it_later_never_earlier(jitter: float) -> None:
    """The quiet time is what was measured; less than it is a refusal."""
    waited = limiter.refused(OPEN, NUMBERS, NOW, None, jitter).not_before_ms - NOW
    assert 30_000 <= waited <= 30_600


# inbound messages and lost answers


def test_an_inbound_message_permits_one_probe_at_once() -> None:
    """One: the scope still counts as refused, so that only one request passes."""
    pace = limiter.hurried(limiter.refused(OPEN, NUMBERS, NOW, None, 0.0), NOW + 10)
    assert NOW + 10 == pace.ready_at(NOW + 10)
    assert pace.probing
    again = limiter.refused(pace, NUMBERS, NOW + 10, None, 0.0)
    assert again.not_before_ms - (NOW + 10) >= 8_000


def test_writing_again_and_again_in_a_long_penalty_costs_one_refusal_each_and_ends_no_silence() -> None:
    scope = Scope()
    for _ in range(4):
        scope.refuse()
    for _ in range(3):
        scope.pace = limiter.hurried(scope.pace, scope.now_ms + MINUTE // 2)
        scope.now_ms += MINUTE // 2
        assert scope.refuse() >= 30 * MINUTE


@bounded
@given(PACES)
def test_hurrying_never_makes_anything_later(pace: Pace) -> None:
    assert limiter.hurried(pace, NOW).ready_at(NOW) <= pace.ready_at(NOW)


def test_lost_answers_back_off_without_counting_as_refusals() -> None:
    pace, waits = OPEN, []
    for _ in range(8):
        pace = limiter.doubted(pace, NOW, 1_000, 60_000, 0.999)
        waits.append(round((pace.not_before_ms - NOW) / 1_000))
    assert [1, 2, 4, 8, 16, 32, 60, 60] == waits
    assert not pace.probing


def test_a_lost_answer_does_not_shorten_a_quiet_time() -> None:
    pace = limiter.refused(OPEN, NUMBERS, NOW, None, 0.0)
    assert pace.not_before_ms == limiter.doubted(pace, NOW, 1_000, 60_000, 0.0).not_before_ms


# what is kept over a restart


@bounded
@given(PACES)
def test_what_was_learned_survives_a_restart(pace: Pace) -> None:
    """A restart in the middle of a penalty must not begin with a refusal, nor a learned limit with a burst."""
    again = limiter.decode(limiter.encode(pace), NUMBERS, NOW)
    if pace.limit is None and not pace.refusals:
        assert OPEN == again
        return
    assert pace.refusals == again.refusals
    if pace.refusals:
        assert pace.not_before_ms == again.not_before_ms
    if pace.limit is not None:
        assert again.limit is not None
        kept = (
            pace.limit.fits,
            min(pace.limit.lo_ms, pace.limit.hi_ms),
            pace.limit.hi_ms,
            pace.limit.interval_ms,
        )
        assert kept == (again.limit.fits, again.limit.lo_ms, again.limit.hi_ms, again.limit.interval_ms)
        assert (pace.limit.budget // 10 * 10, pace.limit.trust) == (again.limit.budget, again.limit.trust)
    assert limiter.encode(again) == limiter.encode(limiter.decode(limiter.encode(again), NUMBERS, NOW))


def test_a_message_that_taught_nothing_new_changes_nothing_in_the_store() -> None:
    """Else every message of a limited chat would write its row twice."""
    scope = learned(10, 20_000)
    before = limiter.encode(scope.pace)
    assert before == limiter.encode(scope.send(10).pace)


def test_nothing_learned_is_nothing_kept() -> None:
    assert "" == limiter.encode(OPEN)
    assert OPEN == limiter.decode("", NUMBERS, NOW)


def test_a_wait_made_absurd_by_a_clock_jump_is_cut() -> None:
    """The clock stood in 2096 when it was written; nobody waits until then."""
    then_ms = NOW + 70 * 365 * 86_400_000
    kept = limiter.encode(Pace(3, then_ms, 11_250, since_ms=then_ms, refused_ms=then_ms))
    again = limiter.decode(kept, NUMBERS, NOW)
    assert NOW + 3_600_000 == again.not_before_ms
    assert again.refused_ms <= NOW


def test_a_clock_that_went_back_does_not_hold_a_learned_scope_for_ever() -> None:
    scope = learned(10, 20_000)
    earlier_ms = scope.now_ms - 365 * 86_400_000
    assert scope.pace.ready_at(earlier_ms) <= earlier_ms + 20_000


def test_what_was_learned_more_than_a_week_ago_is_forgotten() -> None:
    kept = limiter.encode(Pace(9, NOW, 3_600_000, refused_ms=NOW))
    assert 9 == limiter.decode(kept, NUMBERS, NOW + 7 * 86_400_000).refusals
    assert OPEN == limiter.decode(kept, NUMBERS, NOW + 7 * 86_400_000 + 1)


@bounded
@given(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            [
                "[1,2]",
                "{}",
                "null",
                '["a",1,2]',
                "[1e999,0,0]",
                "7",
                "[" * 9_000,
                "[2" + ",-1" * 13 + "]",
                "[2" + ",9" * 13 + "]",
            ]
        ),
    )
)
def test_what_cannot_be_read_is_forgotten_instead_of_stopping_the_dispatcher(kept: str) -> None:
    """One row written by another version must not stand in everybody's way."""
    pace = limiter.decode(kept, NUMBERS, NOW)
    assert NOW <= pace.ready_at(NOW) <= NOW + NUMBERS.max_quiet_ms


def test_the_steps_of_the_quiet_time_go_by_time() -> None:
    rows = [Pace(1, since_ms=NOW - elapsed_ms) for elapsed_ms in (0, 8_000, 32_000, 10**9)]
    assert [8_000, 24_000, 62_000, 62_000] == [silence.quiet_step_ms(pace, NUMBERS, NOW) for pace in rows]
