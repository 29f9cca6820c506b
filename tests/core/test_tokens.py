"""With which reply token a request goes, and what its fate says about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from yizhan.core import tokens
from yizhan.core.tokens import FOUND_STALE, UNTRIED, Trial, token_for
from yizhan.model import AccountId, ChatId, InboundId, ReplyToken, TokenState

NOW = 1_800_000_000_000
HOUR = 3_600_000
OLD = 20 * HOUR
FRESH = ReplyToken(AccountId("weixin:a"), ChatId("c"), InboundId("i"), "secret", NOW - HOUR)
SUSPECT = replace(FRESH, state=TokenState.SUSPECT)
AGED = replace(FRESH, issued_at_ms=NOW - 30 * HOUR)


def carried(token: ReplyToken | None, trial: Trial = UNTRIED) -> bool:
    return token_for(token, trial, NOW, OLD) is not None


def refuse(
    trial: Trial, with_token: bool, token: ReplyToken | None = FRESH, gates_open: bool = True
) -> Trial:
    return tokens.refused(trial, token, with_token, gates_open, NOW)


def test_a_fresh_token_is_used_and_one_that_is_over_never() -> None:
    """A push after a quiet night goes without its stale token instead of failing with it."""
    assert carried(FRESH)
    assert not carried(None)
    assert not carried(replace(FRESH, state=TokenState.STALE))
    assert not carried(replace(FRESH, state=TokenState.SPENT))


def test_a_refusal_at_an_open_gate_is_followed_at_once_by_the_other_way() -> None:
    """A merely stale token then costs one extra request, and not a window."""
    trial = refuse(UNTRIED, with_token=True)
    assert trial.at_once
    assert not carried(SUSPECT, trial)
    after = refuse(trial, with_token=False, token=SUSPECT)
    assert after.both_refused
    assert not after.at_once, "never twice at one gate opening"


def test_an_old_token_stays_behind_first_and_is_tried_all_the_same() -> None:
    """Age turns the order of the two tries, never whether they happen."""
    assert not carried(AGED)
    trial = refuse(UNTRIED, with_token=False, token=AGED)
    assert trial.at_once
    assert carried(AGED, trial)
    assert carried(AGED, tokens.accepted(trial, with_token=True, now_ms=NOW)), (
        "tokenless is not accepted here; once is enough"
    )


def test_behind_a_shut_gate_one_refusal_is_enough() -> None:
    """Whoever types into a limit brings a new token each time; the second try would only prolong the limit."""
    assert not refuse(UNTRIED, with_token=True, gates_open=False).at_once


def test_without_a_token_there_is_no_other_way() -> None:
    assert not refuse(UNTRIED, with_token=False, token=None).at_once
    assert not refuse(UNTRIED, with_token=False, token=replace(FRESH, state=TokenState.STALE)).at_once


def test_both_ways_refused_the_experiment_comes_again_at_the_1st_2nd_4th_8th_later_probe() -> None:
    """Doubling the distance keeps them few."""
    trial = refuse(refuse(UNTRIED, True), False, SUSPECT)
    without = []
    for probe in range(1, 40):
        with_token = carried(SUSPECT, trial)
        if not with_token:
            without.append(probe)
        trial = refuse(trial, with_token, SUSPECT)
        assert not trial.at_once
    assert [1, 2, 4, 8, 16, 32] == without


def test_after_waits_beyond_all_windows_a_suspect_token_and_none_take_turns() -> None:
    """One request is all that an hour allows; a token that was good before it has become old as well."""
    trial = replace(refuse(refuse(UNTRIED, True), False, SUSPECT), probes=4)
    ways = []
    for _ in range(4):
        trial = replace(trial, refused_ms=NOW - HOUR)
        ways.append(carried(SUSPECT, trial))
        trial = refuse(trial, ways[-1], SUSPECT, gates_open=False)
    assert [False, True, False, True] == ways


def test_accepted_without_a_suspect_token_convicts_it_with_its_reason() -> None:
    stale = tokens.judged(SUSPECT, with_token=False)
    assert (TokenState.STALE, FOUND_STALE) == (stale and stale.state, stale and stale.reason)


def test_accepted_with_it_a_suspect_token_is_good_again() -> None:
    assert FRESH == tokens.judged(SUSPECT, with_token=True)


@pytest.mark.parametrize("with_token", [True, False])
def test_nothing_changes_about_a_token_that_nobody_suspects(with_token: bool) -> None:
    """A send of a healthy chat writes no token row."""
    assert None is tokens.judged(FRESH, with_token)
    assert None is tokens.judged(None, with_token)


def test_the_same_words_with_another_message_are_another_permission() -> None:
    """A newer token must never be deleted by an old conviction."""
    assert tokens.same(FRESH, SUSPECT)
    assert not tokens.same(FRESH, replace(FRESH, inbound_id=InboundId("later")))
    assert not tokens.same(FRESH, replace(FRESH, token="other"))


def test_a_token_never_shows_its_secret() -> None:
    assert "secret" not in repr(FRESH)


def test_a_token_that_the_platform_names_in_a_long_penalty_is_not_kept_until_the_next_power_of_two() -> None:
    """Told in so many words that the context is over, a push waited an hour for the next experiment."""
    behind = Trial(since_ms=1, refused_with=True, refused_without=True, probes=4)
    told = tokens.refused(behind, SUSPECT, True, gates_open=False, now_ms=NOW, named=True)
    assert None is token_for(SUSPECT, told, NOW, 0)
    tried = tokens.refused(told, SUSPECT, False, gates_open=False, now_ms=NOW)
    assert SUSPECT is token_for(SUSPECT, tried, NOW, 0)
    again = tokens.refused(tried, SUSPECT, True, gates_open=False, now_ms=NOW, named=True)
    assert 7 == again.probes
    assert None is token_for(SUSPECT, again, NOW, 0)  # the 8th probe
    later = tokens.refused(replace(again, probes=9), SUSPECT, True, gates_open=False, now_ms=NOW, named=True)
    assert SUSPECT is token_for(SUSPECT, later, NOW, 0)


def test_only_a_refusal_after_a_long_wait_counts_towards_a_closed_chat() -> None:
    """Seconds and minutes are what a limit takes; twenty bad minutes are no reason to wait for the user."""
    trial, now_ms = Trial(NOW, True, True, refused_ms=NOW), NOW
    for wait_s, expected in ((30, 0), (150, 0), (720, 1), (1_800, 2)):
        now_ms += wait_s * 1_000
        trial = tokens.refused(trial, SUSPECT, False, gates_open=False, now_ms=now_ms)
        assert expected == trial.full_waits
    assert 0 == tokens.accepted(trial, True, NOW).full_waits


def test_a_token_counts_as_just_honoured_for_a_second_and_only_what_went_with_it_says_so() -> None:
    trial = tokens.accepted(UNTRIED, with_token=True, now_ms=NOW)
    assert tokens.just_honoured(trial, NOW + tokens.PROVEN_MS)
    assert not tokens.just_honoured(trial, NOW + tokens.PROVEN_MS + 1)
    assert not tokens.just_honoured(tokens.accepted(UNTRIED, with_token=False, now_ms=NOW), NOW)
    assert not tokens.just_honoured(UNTRIED, 0)
