"""What an account's line does next."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.connection import Line, Lost, LostKind, step
from yizhan.model import AccountState

NOW = 1_800_000_000_000
BLIP = Lost(LostKind.NETWORK, "no_answer", "time-out")
SERVER = Lost(LostKind.SERVER, "http 502", "bad gateway")
LOGIN = Lost(LostKind.LOGIN, "-14", "session expired", "log in again")
BAN = Lost(LostKind.BARRED, "-9", "banned", "ask Tencent")
bounded = settings(max_examples=60, deadline=None, derandomize=True)


def walk(losses: list[Lost | None], jitter: float = 0.5) -> list[tuple[AccountState, int]]:
    """States and waits of a line that fares like this, time passing by its own waits."""
    line, now_ms, seen = Line(), NOW, []
    for lost in losses:
        after = step(line, lost, now_ms, jitter)
        seen.append((after.state, after.wait_ms))
        line, now_ms = after.line, now_ms + after.wait_ms
    return seen


def test_an_answer_is_up_and_goes_on_at_once() -> None:
    """Liveness is what the server answered, never a flag."""
    assert [(AccountState.UP, 0)] == walk([None])
    assert [(AccountState.DEGRADED, 1_500), (AccountState.UP, 0)] == walk([BLIP, None])


@pytest.mark.field("F26")
def test_one_blip_is_degraded_and_more_are_down() -> None:
    states = [state for state, _ in walk([BLIP, SERVER, BLIP, None, SERVER])]
    assert [
        AccountState.DEGRADED,
        AccountState.DOWN,
        AccountState.DOWN,
        AccountState.UP,
        AccountState.DEGRADED,
    ] == states


def test_a_line_that_may_not_try_for_hours_is_down_at_once() -> None:
    """ "Degraded" all day: a blip that was none."""
    rationed = Lost(LostKind.SERVER, "session-ration", "no sessions left", wait_ms=6 * 3_600_000)
    assert [(AccountState.DOWN, rationed.wait_ms)] == walk([rationed])


@pytest.mark.field("F58")
@bounded
@given(st.floats(0, 1, exclude_max=True))
def test_an_outage_is_probed_every_one_to_two_seconds_for_two_minutes_then_every_fifteen(
    jitter: float,
) -> None:
    elapsed_ms = 0
    for _, wait_ms in walk([BLIP] * 200, jitter):
        if elapsed_ms < 120_000:
            assert 1_000 <= wait_ms <= 2_000
        else:
            assert 15_000 == wait_ms
        elapsed_ms += wait_ms
    assert elapsed_ms > 1_000_000, "and there is no last attempt"


@pytest.mark.field("F21")
def test_a_refused_login_is_checked_once_more_after_announcing_ourselves_anew() -> None:
    """A passing state of the platform looks the same; nobody should be sent to scan a code for it."""
    first = step(Line(), LOGIN, NOW, 0.5)
    assert (AccountState.DEGRADED, True) == (first.state, first.reopen)
    assert 1_000 <= first.wait_ms <= 2_000
    second = step(first.line, LOGIN, NOW + 2_000, 0.5)
    assert (AccountState.LOGIN_NEEDED, 600_000) == (second.state, second.wait_ms)
    assert "log in again" == second.action
    assert second.reopen


@pytest.mark.field("F94")
def test_a_login_that_is_needed_is_probed_every_ten_minutes_and_ends_by_itself() -> None:
    """The person has acted, or the platform has changed its mind."""
    walked = walk([LOGIN, LOGIN, LOGIN, LOGIN, None])
    assert [(AccountState.LOGIN_NEEDED, 600_000)] * 3 == walked[1:4]
    assert (AccountState.UP, 0) == walked[4]


def test_a_ban_says_what_to_do_and_is_probed_every_ten_minutes() -> None:
    barred = step(Line(), BAN, NOW, 0.5)
    assert (AccountState.BARRED, 600_000, "ask Tencent") == (barred.state, barred.wait_ms, barred.action)
    assert "-9" == (barred.reason and barred.reason.code)


def test_a_network_failure_does_not_hide_that_a_person_must_act() -> None:
    """The state shown is the truth: after the Wi-Fi blip the login is still needed, and sends must not resume."""
    for lost, state in ((LOGIN, AccountState.LOGIN_NEEDED), (BAN, AccountState.BARRED)):
        walked = walk([lost, lost, BLIP, SERVER, lost])
        assert [state] * 4 == [each for each, _ in walked[1:]]
    line = step(step(Line(), LOGIN, NOW, 0).line, LOGIN, NOW, 0).line
    blip = step(line, BLIP, NOW, 0)
    assert ("-14", "log in again") == (blip.reason and blip.reason.code, blip.action)


def test_a_barred_account_whose_login_is_refused_as_well_is_not_opened_in_between() -> None:
    """`degraded` may send; a banned account must not, not even for the two seconds of a second look."""
    states = [state for state, _ in walk([BAN, LOGIN, BAN])]
    assert [AccountState.BARRED, AccountState.LOGIN_NEEDED, AccountState.BARRED] == states


def test_a_blip_between_two_refusals_does_not_make_a_login_needed_by_accident() -> None:
    """The second refusal must follow the first one."""
    states = [state for state, _ in walk([LOGIN, BLIP, LOGIN])]
    assert AccountState.LOGIN_NEEDED not in states


def test_after_a_login_that_was_needed_an_answer_clears_everything() -> None:
    line = step(step(Line(), LOGIN, NOW, 0).line, LOGIN, NOW, 0).line
    assert Line() == step(line, None, NOW, 0).line


@pytest.mark.field("F27")
@pytest.mark.field("F89")
@pytest.mark.field("F90")
@bounded
@given(
    st.lists(st.sampled_from([BLIP, SERVER, LOGIN, BAN, None]), max_size=40),
    st.floats(0, 1, exclude_max=True),
)
def test_no_failure_is_a_hot_loop_and_none_is_the_last(losses: list[Lost | None], jitter: float) -> None:
    """An error code answered in a millisecond must not be asked for a thousand times a second."""
    for lost, (state, wait_ms) in zip(losses, walk(losses, jitter), strict=True):
        if lost is None:
            assert (AccountState.UP, 0) == (state, wait_ms)
        else:
            assert state is not AccountState.UP
            assert 1_000 <= wait_ms <= 600_000


def test_a_line_that_the_platform_recycles_is_no_outage() -> None:
    """QQ ends every connection after half an hour; counting that as failures would slow the next real one down."""
    recycled = Lost(LostKind.RECYCLED, "close 4009", "recycled", wait_ms=900)
    assert [(AccountState.DEGRADED, 900)] * 5 == walk([recycled] * 5)


@pytest.mark.parametrize("kind", [LostKind.UNREACHABLE, LostKind.NETWORK, LostKind.SERVER, LostKind.RECYCLED])
def test_no_loss_of_any_kind_is_followed_by_no_wait(kind: LostKind) -> None:
    """A closed socket that returned at once made 78 minutes of full CPU."""
    assert all(500 <= wait_ms for _, wait_ms in walk([Lost(kind, "x", "x")] * 30, jitter=0.0))


def test_a_platform_may_ask_for_a_longer_wait_and_for_no_shorter_one() -> None:
    asked = [
        Lost(LostKind.SERVER, "4008", "too fast", wait_ms=60_000),
        Lost(LostKind.SERVER, "x", "x", wait_ms=1),
    ]
    assert [60_000, 1_500] == [wait_ms for _, wait_ms in walk(asked)]
