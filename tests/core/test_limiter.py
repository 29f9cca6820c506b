"""The pace of a scope after refusals."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core import limiter
from yizhan.core.limiter import OPEN, Pace, PaceNumbers

NUMBERS = PaceNumbers()
NOW = 1_800_000_000_000
JITTERS = st.floats(0, 1, exclude_max=True)
PACES = st.builds(
    Pace,
    refusals=st.integers(0, 200),
    not_before_ms=st.integers(0, NOW + 10_000_000),
    quiet_ms=st.integers(0, 10_000_000),
    doubts=st.integers(0, 200),
)
bounded = settings(max_examples=60, deadline=None, derandomize=True)


def refused_times(times: int, hint_ms: int | None = None, numbers: PaceNumbers = NUMBERS) -> list[int]:
    """The waits after so many refusals in a row, without jitter."""
    pace, waits, now_ms = OPEN, [], NOW
    for _ in range(times):
        pace = limiter.refused(pace, numbers, now_ms, hint_ms, 0.0)
        waits.append(pace.not_before_ms - now_ms)
        now_ms = pace.not_before_ms
    return waits


def test_an_open_scope_sends_now() -> None:
    assert NOW == OPEN.ready_at(NOW)
    assert not OPEN.probing


def test_quiet_times_grow_by_half_up_to_the_soft_cap_for_the_first_six() -> None:
    """Most windows are 15 to 30 s: the first probes find their end quickly."""
    assert [5_000, 7_500, 11_250, 16_875, 25_312, 37_968] == refused_times(6)


def test_quiet_times_double_from_the_seventh_on_up_to_the_longest() -> None:
    """A long penalty is prolonged by probing, so probes become rare."""
    assert [75_936, 151_872, 303_744, 607_488, 1_214_976, 2_429_952, 3_600_000, 3_600_000] == refused_times(
        14
    )[6:]


def test_the_soft_cap_holds_for_the_first_six_only() -> None:
    numbers = PaceNumbers(first_quiet_ms=50_000)
    assert [50_000, 75_000, 90_000, 90_000, 90_000, 90_000, 180_000] == refused_times(7, numbers=numbers)


def test_a_first_quiet_time_beyond_the_soft_cap_is_not_shortened() -> None:
    """An operator who asked for ten minutes must not get ninety seconds the second time."""
    numbers = PaceNumbers(first_quiet_ms=600_000)
    assert [600_000, 600_000] == refused_times(2, numbers=numbers)


def test_one_acceptance_opens_the_scope() -> None:
    pace = limiter.refused(OPEN, NUMBERS, NOW, None, 0.0)
    assert OPEN == limiter.accepted(pace)


def test_a_hint_is_followed_within_our_own_bounds() -> None:
    """Hints lie short and long; neither may turn into a storm or into silence."""
    assert [500] == refused_times(1, 0)
    assert [500] == refused_times(1, -5)
    assert [20_000] == refused_times(1, 20_000)
    assert [30_000] == refused_times(1, 86_400_000)
    assert 2 * 37_968 == refused_times(6, 86_400_000)[-1]


def test_a_hint_that_lies_short_does_not_stop_our_own_time_from_growing() -> None:
    pace = OPEN
    for _ in range(5):
        pace = limiter.refused(pace, NUMBERS, NOW, 1, 0.0)
    assert 25_312 == pace.quiet_ms


@bounded
@given(PACES, st.one_of(st.none(), st.integers(-(10**15), 10**15)), JITTERS)
def test_a_refused_scope_always_waits_and_never_too_long(
    pace: Pace, hint_ms: int | None, jitter: float
) -> None:
    """Neither a hot loop nor a wait without end, whatever the server says."""
    after = limiter.refused(pace, NUMBERS, NOW, hint_ms, jitter)
    assert NOW + 500 <= after.not_before_ms <= NOW + NUMBERS.max_quiet_ms
    assert pace.refusals + 1 == after.refusals
    assert after.probing


@bounded
@given(st.floats(0, 1, exclude_max=True))
def test_jitter_makes_it_later_never_earlier(jitter: float) -> None:
    """The quiet time is what was measured; less than it is a refusal."""
    waited = limiter.refused(OPEN, NUMBERS, NOW, None, jitter).not_before_ms - NOW
    assert 5_000 <= waited <= 5_100


def test_waits_set_to_nothing_are_still_no_hot_loop() -> None:
    numbers = PaceNumbers(first_quiet_ms=0, soft_cap_ms=0, max_quiet_ms=0)
    assert all(wait_ms >= 50 for wait_ms in refused_times(10, numbers=numbers))


def test_an_inbound_message_permits_one_probe_at_once() -> None:
    """One: the scope still counts as refused, so that only one request passes."""
    pace = limiter.hurried(limiter.refused(OPEN, NUMBERS, NOW, None, 0.0), NOW + 10)
    assert NOW + 10 == pace.ready_at(NOW + 10)
    assert pace.probing
    assert NOW + 10 + 7_500 == limiter.refused(pace, NUMBERS, NOW + 10, None, 0.0).not_before_ms


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
    """A restart in the middle of a penalty must not begin with a refusal."""
    again = limiter.decode(limiter.encode(pace), NUMBERS, NOW)
    if pace.not_before_ms + 7 * 86_400_000 < NOW:
        assert OPEN == again
    else:
        assert (pace.refusals, pace.quiet_ms) == (again.refusals, again.quiet_ms)
        assert min(pace.not_before_ms, NOW + NUMBERS.max_quiet_ms) == again.not_before_ms


def test_nothing_learned_is_nothing_kept() -> None:
    assert "" == limiter.encode(OPEN)
    assert OPEN == limiter.decode("", NUMBERS, NOW)


def test_a_wait_made_absurd_by_a_clock_jump_is_cut() -> None:
    """The clock stood in 2096 when it was written; nobody waits until then."""
    kept = limiter.encode(Pace(3, NOW + 70 * 365 * 86_400_000, 11_250))
    assert NOW + 3_600_000 == limiter.decode(kept, NUMBERS, NOW).not_before_ms


def test_what_was_learned_more_than_a_week_ago_is_forgotten() -> None:
    kept = limiter.encode(Pace(9, NOW, 3_600_000))
    assert 9 == limiter.decode(kept, NUMBERS, NOW + 7 * 86_400_000).refusals
    assert OPEN == limiter.decode(kept, NUMBERS, NOW + 7 * 86_400_000 + 1)


@bounded
@given(
    st.one_of(st.text(max_size=20), st.sampled_from(["[1,2]", "{}", "null", '["a",1,2]', "[1e999,0,0]", "7"]))
)
def test_what_cannot_be_read_is_forgotten_instead_of_stopping_the_dispatcher(kept: str) -> None:
    """One row written by another version must not stand in everybody's way."""
    assert isinstance(limiter.decode(kept, NUMBERS, NOW), Pace)
