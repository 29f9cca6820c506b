"""Every verdict, with and without a token: what becomes of the entry, the gates and the token."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core import breaker, limiter, verdict
from yizhan.core.attribution import ATTRIBUTION_MS, Blame
from yizhan.core.breaker import Breaker
from yizhan.core.limiter import OPEN, Pace
from yizhan.core.pace import Limit
from yizhan.core.reaction import Circumstances, Decision, Gates, Numbers, react
from yizhan.core.tokens import FOUND_STALE, Trial
from yizhan.core.verdict import (
    Barred,
    Deferred,
    Delivered,
    Ghost,
    InDoubt,
    Rejected,
    StaleToken,
    Throttled,
    Verdict,
)
from yizhan.model import (
    AccountId,
    ChatId,
    Entry,
    InboundId,
    MessageState,
    Reason,
    ReplyToken,
    Target,
    TokenState,
    WaitingFor,
)

NOW = 1_800_000_000_000
HERE = Target(AccountId("weixin:a"), ChatId("here"))
THERE = Target(AccountId("weixin:a"), ChatId("there"))
FRESH = ReplyToken(HERE.account, HERE.chat, InboundId("i1"), "secret", NOW, TokenState.FRESH)
SUSPECT = replace(FRESH, state=TokenState.SUSPECT)
STALE = replace(FRESH, state=TokenState.STALE, reason=FOUND_STALE)
SENDING = Entry(
    1, "hello", "id:1", MessageState.SENDING, attempts_made=2, waiting_for=None, reason=Reason("-2", "before")
)
SLOWED = Gates(
    chat=Pace(2, NOW, 7_500),
    account=Pace(1, NOW, 5_000),
    answers=Breaker(frozenset({"m1", "m2", "m3"}), NOW, NOW, 1, True),
    blamed=Blame(THERE, NOW - 1_000),
)
WIDE_OPEN = Gates()
LIMIT = Throttled("-2", "rate limited")
LIMIT_OR_TOKEN = Throttled("-2", "rate limited", None, True)
STALE_TOKEN = StaleToken("-14", "session timeout")
IN_DOUBT = InDoubt("no_answer", "time-out")
EVERY_VERDICT: list[Verdict] = [
    Delivered("r"),
    Ghost(True, "0", "no receipt"),
    IN_DOUBT,
    LIMIT,
    LIMIT_OR_TOKEN,
    STALE_TOKEN,
    Deferred("not_sent", "no route"),
    Rejected("-5", "never"),
    Barred("-9", "banned", "ask Tencent"),
]


def decide(
    judged: Verdict,
    token: ReplyToken | None = None,
    with_token: bool | None = None,
    gates: Gates = WIDE_OPEN,
    in_doubt: str = "resend",
    **more: Any,
) -> Decision:
    """The reaction; a token that is given was used, unless said otherwise."""
    seen = Circumstances(
        target=HERE,
        message="m1",
        entry=SENDING,
        token=token,
        with_token=token is not None if with_token is None else with_token,
        has_written=True,
        gates=gates,
    )
    return react(judged, replace(seen, **more), Numbers(in_doubt=in_doubt), NOW, 0.0)


def all_open(gates: Gates) -> bool:
    """Whatever goes next goes now."""
    free = gates.chat.ready_at(NOW) == gates.account.ready_at(NOW) == NOW
    return free and not gates.chat.probing and not gates.account.probing and not gates.answers.shut


def test_every_verdict_has_a_test() -> None:
    """The set is closed; whoever adds one adds its reaction."""
    assert set(verdict.VERDICT_NAMES) == {verdict.name_of(each) for each in EVERY_VERDICT}


# accepted


@pytest.mark.parametrize("token", [None, FRESH, SUSPECT])
def test_delivered_keeps_the_receipt_and_opens_every_gate(token: ReplyToken | None) -> None:
    decision = decide(Delivered("r7"), token, gates=SLOWED)
    assert (MessageState.DELIVERED, "r7") == (decision.entry.state, decision.entry.receipt)
    assert (None, None, None) == (
        decision.entry.reason,
        decision.entry.waiting_for,
        decision.entry.next_attempt_at_ms,
    )
    assert all_open(decision.gates)


def test_ghost_ends_unconfirmed_and_is_never_resent() -> None:
    """Accepted without a receipt: resending would double what may be on the screen. The lane goes on."""
    decision = decide(Ghost(True, "0"), FRESH, gates=SLOWED)
    assert MessageState.UNCONFIRMED is decision.entry.state
    assert "no-receipt" == (decision.entry.reason and decision.entry.reason.code)
    assert all_open(decision.gates)


@pytest.mark.parametrize("judged", [Delivered("r"), Ghost(True)])
def test_accepted_with_a_suspect_token_it_is_fresh_again(judged: Verdict) -> None:
    """What was suspected of being stale is not; a healthy one needs no row for that."""
    assert FRESH == decide(judged, SUSPECT).token
    assert None is decide(judged, FRESH).token


@pytest.mark.parametrize("judged", [Delivered("r"), Ghost(True)])
def test_accepted_without_a_suspect_token_it_was_stale(judged: Verdict) -> None:
    """The experiment has told: it goes for good, durably, and pushes recover by themselves."""
    assert STALE == decide(judged, SUSPECT, with_token=False).token


def test_accepted_without_a_token_says_nothing_about_one_that_came_meanwhile() -> None:
    assert decide(Delivered("r"), FRESH, with_token=False).token is None
    assert decide(Delivered("r"), STALE, with_token=False).token is None
    assert decide(Delivered("r"), None).token is None


# refused


@pytest.mark.parametrize("judged", [LIMIT_OR_TOKEN, STALE_TOKEN])
def test_refused_with_a_fresh_token_it_is_suspect_and_an_experiment_follows_at_once(judged: Verdict) -> None:
    """A stale token then costs one request, not a window: the gates are not slowed yet."""
    decision = decide(judged, FRESH)
    assert SUSPECT == decision.token
    assert decision.trial
    assert decision.trial.at_once
    assert (MessageState.WAITING, NOW) == (decision.entry.state, decision.entry.next_attempt_at_ms)
    assert all_open(decision.gates)


def test_a_token_that_was_honoured_a_moment_ago_is_not_suspected_by_a_first_refusal() -> None:
    """Every burst that met a limit was refused twice, once for the token that had just been good."""
    burst = Trial(honoured_ms=NOW - 900)
    first = decide(LIMIT_OR_TOKEN, FRESH, trial=burst)
    assert None is first.token
    assert (False, False) == (first.trial and first.trial.at_once, first.trial and first.trial.refused_with)
    assert first.gates.chat.probing
    second = decide(LIMIT_OR_TOKEN, FRESH, trial=first.trial, gates=first.gates)
    assert SUSPECT == second.token, "refused again after the wait: it may be the token after all"


def test_a_token_that_the_platform_names_is_suspect_however_short_ago_it_was_honoured() -> None:
    decision = decide(STALE_TOKEN, FRESH, trial=Trial(honoured_ms=NOW - 10))
    assert SUSPECT == decision.token
    assert decision.trial
    assert decision.trial.at_once


@pytest.mark.parametrize(("ago_ms", "explained"), [(9_000, True), (19_000, True), (21_000, False)])
@pytest.mark.parametrize("scope", ["chat", "account"])
def test_a_request_that_felt_for_room_and_was_refused_says_nothing_about_its_token(
    scope: str, ago_ms: int, explained: bool
) -> None:
    """Each try of a shorter pause cost two refusals. Long after the pause a token may have become old."""
    limit = Limit(fits=4, lo_ms=5_000, hi_ms=10_000)
    full = Pace(run_ms=NOW - ago_ms, run_count=4, last_ms=NOW - ago_ms, limit=limit)
    decision = decide(LIMIT_OR_TOKEN, FRESH, gates=replace(WIDE_OPEN, **{scope: full}))
    assert (None if explained else SUSPECT) == decision.token
    assert explained is not (decision.trial and decision.trial.at_once)


@pytest.mark.parametrize("scope", ["chat", "account"])
def test_a_token_that_went_stale_during_a_long_silence_does_not_cost_another_hour(scope: str) -> None:
    """The probe after it goes with the token; the other way follows at once, and once for the scope."""
    silent = Pace(4, NOW, 2_340_000, since_ms=NOW - 3_000_000, refused_ms=NOW - 2_340_000)
    first = decide(LIMIT_OR_TOKEN, FRESH, gates=replace(WIDE_OPEN, **{scope: silent}))
    assert first.trial
    assert first.trial.at_once
    assert NOW == getattr(first.gates, scope).ready_at(NOW)
    second = decide(LIMIT_OR_TOKEN, FRESH, gates=first.gates)
    assert second.trial
    assert not second.trial.at_once
    assert NOW + 1_800_000 < getattr(second.gates, scope).ready_at(NOW)


@pytest.mark.parametrize("judged", [LIMIT_OR_TOKEN, STALE_TOKEN])
@pytest.mark.parametrize(
    ("token", "with_token"),
    [(None, False), (SUSPECT, False), (SUSPECT, True), (FRESH, False), (STALE, False)],
)
def test_refused_otherwise_the_chat_is_slowed_and_nothing_is_learned_of_the_token(
    judged: Verdict, token: ReplyToken | None, with_token: bool
) -> None:
    """Refused without it: a limit. Refused again with a suspect one: still either."""
    decision = decide(judged, token, with_token, trial=Trial(NOW, True, True))
    assert decision.token is None
    assert not (decision.trial and decision.trial.at_once)
    assert (MessageState.WAITING, WaitingFor.LIMIT) == (decision.entry.state, decision.entry.waiting_for)
    assert NOW + 30_000 == decision.entry.next_attempt_at_ms == decision.gates.chat.not_before_ms
    assert OPEN == decision.gates.account


@pytest.mark.parametrize("token", [None, FRESH, SUSPECT])
def test_a_plain_limit_suspects_no_token(token: ReplyToken | None) -> None:
    decision = decide(LIMIT, token)
    assert None is decision.token
    assert not (decision.trial and decision.trial.at_once)
    assert 1 == decision.gates.chat.refusals


def test_the_reason_of_a_refusal_is_the_platforms_own_word() -> None:
    assert Reason("-2", "rate limited") == decide(LIMIT).entry.reason


def test_a_hint_is_passed_on_to_the_limiter() -> None:
    assert NOW + 20_000 == decide(Throttled("-2", "", 20_000)).gates.chat.not_before_ms


def test_refused_where_nobody_ever_wrote_it_waits_for_their_first_message() -> None:
    """The platform lets a bot write only to those who have written to it; no time releases that."""
    entry = decide(Throttled("-2", "prepare failed", no_conversation=True), has_written=False).entry
    assert (MessageState.WAITING, WaitingFor.USER) == (entry.state, entry.waiting_for)
    assert entry.next_attempt_at_ms is None
    assert "never-written" == (entry.reason and entry.reason.code)


def test_refused_for_another_reason_it_does_not_wait_for_a_user_who_cannot_help() -> None:
    """A dead login is answered to a first push as well; it must go on when the login works again."""
    entry = decide(Throttled("-14", "session timeout"), has_written=False).entry
    assert WaitingFor.LIMIT is entry.waiting_for
    assert entry.next_attempt_at_ms is not None


def test_one_refused_chat_is_blamed_alone() -> None:
    """One sick chat must not slow the others."""
    gates = decide(LIMIT).gates
    assert gates.chat.probing
    assert not gates.account.probing
    assert Blame(HERE, NOW, OPEN) == gates.blamed


@pytest.mark.parametrize(
    ("ago_ms", "slowed"), [(0, True), (ATTRIBUTION_MS, True), (ATTRIBUTION_MS + 1, False)]
)
def test_two_chats_refused_within_two_seconds_are_the_accounts_limit(ago_ms: int, slowed: bool) -> None:
    """Then the blame of both chats is undone: the one refused first is pardoned, this one was never blamed."""
    blame = Blame(THERE, NOW - ago_ms)
    decision = decide(LIMIT, gates=Gates(blamed=blame))
    assert slowed is decision.gates.account.probing
    assert slowed is not decision.gates.chat.probing
    assert (blame if slowed else None) == decision.pardoned


def test_the_same_chat_refused_twice_is_still_only_the_chat() -> None:
    assert not decide(LIMIT, gates=Gates(blamed=Blame(HERE, NOW - 100))).gates.account.probing


def test_something_accepted_between_them_clears_the_account() -> None:
    between = decide(Delivered("r"), gates=Gates(blamed=Blame(THERE, NOW - 100))).gates
    assert not decide(LIMIT, gates=between).gates.account.probing


def test_a_refused_probe_of_the_account_makes_the_account_quiet_for_longer() -> None:
    """It alone: a probe says nothing about the chat that carried it."""
    pace = Pace(1, NOW, 8_000, since_ms=NOW - 8_000, refused_ms=NOW - 8_000, last_ms=NOW - 8_100)
    gates = decide(LIMIT, gates=Gates(account=pace)).gates
    assert (2, NOW + 24_000) == (gates.account.refusals, gates.account.not_before_ms)
    assert not gates.chat.probing


def test_an_accounts_longer_wait_is_the_time_that_is_shown() -> None:
    pace = Pace(3, NOW, 24_000, since_ms=NOW - 32_000, refused_ms=NOW - 24_000, last_ms=NOW - 32_100)
    decision = decide(LIMIT, gates=Gates(account=pace))
    assert NOW + 62_000 == decision.entry.next_attempt_at_ms


def test_a_stale_token_story_costs_two_requests_and_no_wait() -> None:
    """Refused with it, accepted without it: the whole quiet night in two steps."""
    first = decide(LIMIT_OR_TOKEN, FRESH)
    second = decide(Delivered("r"), first.token, with_token=False, gates=first.gates)
    assert TokenState.STALE is (second.token and second.token.state)
    assert all_open(second.gates)


def test_a_limit_story_learns_nothing_about_the_token_and_ends_with_it_fresh() -> None:
    """Refused with and without: a limit. When it is over, the token is good again."""
    first = decide(LIMIT_OR_TOKEN, FRESH)
    second = decide(LIMIT_OR_TOKEN, first.token, with_token=False, gates=first.gates)
    assert (None, 1) == (second.token, second.gates.chat.refusals)
    third = decide(Delivered("r"), first.token, gates=second.gates)
    assert FRESH == third.token


def test_refused_with_a_token_that_was_replaced_meanwhile_the_new_one_is_tried_at_once() -> None:
    """The user wrote while the request was on the wire: what was refused is no longer what we would send."""
    decision = decide(LIMIT_OR_TOKEN, FRESH, superseded=True)
    assert decision.trial
    assert decision.trial.at_once
    assert not decision.trial.refused_with
    assert None is decision.token
    assert 0 == decision.gates.chat.refusals


def test_behind_a_shut_gate_a_new_token_costs_one_refusal() -> None:
    """Whoever types into a limit brings a new token with every message."""
    decision = decide(LIMIT_OR_TOKEN, FRESH, gates=Gates(chat=Pace(2, NOW, 7_500)))
    assert not (decision.trial and decision.trial.at_once)
    assert SUSPECT == decision.token
    assert 3 == decision.gates.chat.refusals


# lost


@pytest.mark.parametrize("token", [None, FRESH])
def test_in_doubt_is_resent_with_the_same_id_and_says_possibly_doubled(token: ReplyToken | None) -> None:
    """The part stays the head of its lane; at least once, and honest about it."""
    entry = decide(IN_DOUBT, token).entry
    assert (MessageState.WAITING, WaitingFor.CONNECTION) == (entry.state, entry.waiting_for)
    assert (SENDING.client_id, SENDING.text) == (entry.client_id, entry.text)
    assert entry.possibly_doubled
    assert entry.in_doubt
    assert NOW + 500 == entry.next_attempt_at_ms


@pytest.mark.parametrize(("told_ms", "wait_ms"), [(None, 500), (100, 500), (20_000, 20_000), (10**9, 60_000)])
def test_in_doubt_of_an_overloaded_server_waits_as_it_was_told(told_ms: int | None, wait_ms: int) -> None:
    """HTTP 503 with `Retry-After`: a hint, so no less than our own wait and no more than our own cap."""
    decision = decide(InDoubt("http 503", "trouble", told_ms))
    assert NOW + wait_ms == decision.gates.chat.not_before_ms == decision.entry.next_attempt_at_ms


def test_in_doubt_says_nothing_about_a_token() -> None:
    assert decide(IN_DOUBT, FRESH).token is None


def test_in_doubt_with_hold_waits_for_the_operator() -> None:
    entry = decide(IN_DOUBT, in_doubt="hold").entry
    assert (MessageState.WAITING, WaitingFor.OPERATOR) == (entry.state, entry.waiting_for)
    assert entry.next_attempt_at_ms is None
    assert entry.possibly_doubled


def test_in_doubt_with_drop_visibly_ends_unconfirmed() -> None:
    entry = decide(IN_DOUBT, in_doubt="drop_visibly").entry
    assert (MessageState.UNCONFIRMED, None) == (entry.state, entry.waiting_for)
    assert entry.possibly_doubled


@pytest.mark.parametrize("policy", ["resend", "hold", "drop_visibly"])
def test_in_doubt_backs_off_in_the_chat_and_is_counted_for_the_account(policy: str) -> None:
    """Also where the part itself is given up: the next one would be lost as well."""
    gates = decide(IN_DOUBT, in_doubt=policy).gates
    assert (1, NOW + 500) == (gates.chat.doubts, gates.chat.not_before_ms)
    assert frozenset({"m1"}) == gates.answers.failed


def test_lost_answers_of_three_messages_shut_the_account() -> None:
    gates = Gates()
    for message in ("m1", "m2", "m3"):
        gates = decide(IN_DOUBT, gates=replace(gates, chat=OPEN), message=message).gates
    assert gates.answers.shut


def test_deferred_is_free_and_not_doubled() -> None:
    """Not one byte left: the host's breaker knows, nothing else changes."""
    decision = decide(Deferred("not_sent", "no route"), FRESH, gates=SLOWED)
    assert (MessageState.WAITING, WaitingFor.CONNECTION) == (decision.entry.state, decision.entry.waiting_for)
    assert not decision.entry.possibly_doubled
    assert decision.unreachable
    assert SLOWED == decision.gates
    assert decision.token is None


@pytest.mark.parametrize("judged", EVERY_VERDICT)
def test_possibly_doubled_is_never_taken_back(judged: Verdict) -> None:
    """Whatever comes later, the first one may still be on the screen."""
    entry = decide(judged, FRESH, entry=replace(SENDING, possibly_doubled=True, in_doubt=True)).entry
    assert entry.possibly_doubled


@pytest.mark.parametrize("judged", EVERY_VERDICT)
def test_only_a_lost_answer_makes_something_possibly_doubled(judged: Verdict) -> None:
    assert isinstance(judged, InDoubt) is decide(judged, FRESH).entry.possibly_doubled


# given up


def test_rejected_fails_for_good_and_slows_nobody() -> None:
    decision = decide(Rejected("-5", "too long"), FRESH, gates=Gates(chat=Pace(1, NOW, 5_000)))
    assert (MessageState.FAILED, Reason("-5", "too long")) == (decision.entry.state, decision.entry.reason)
    assert Pace(1, NOW, 5_000) == decision.gates.chat
    assert decision.token is None


def test_barred_waits_for_a_person_and_stops_the_account() -> None:
    ban = Barred("-9", "banned", "ask Tencent")
    decision = decide(ban)
    assert (MessageState.WAITING, WaitingFor.LOGIN) == (decision.entry.state, decision.entry.waiting_for)
    assert ban == decision.barred


# all of them


@pytest.mark.parametrize(
    "judged", [each for each in EVERY_VERDICT if not isinstance(each, InDoubt | Deferred)]
)
def test_every_proper_answer_shows_that_the_line_works(judged: Verdict) -> None:
    """Also a refusal is an answer."""
    assert breaker.CLOSED == decide(judged, gates=Gates(answers=SLOWED.answers)).gates.answers


@pytest.mark.parametrize(
    "judged", [each for each in EVERY_VERDICT if not isinstance(each, Delivered | Ghost)]
)
def test_only_an_acceptance_opens_a_slowed_scope(judged: Verdict) -> None:
    gates = decide(judged, SUSPECT, gates=SLOWED).gates
    assert gates.chat.probing
    assert gates.account.probing


ENTRIES = st.builds(
    replace,
    st.just(SENDING),
    attempts_made=st.integers(1, 9),
    possibly_doubled=st.booleans(),
    in_doubt=st.booleans(),
)
GATES = st.builds(
    Gates,
    chat=st.sampled_from([OPEN, SLOWED.chat, Pace(0, NOW + 9, 0, 2)]),
    account=st.sampled_from([OPEN, SLOWED.account]),
    answers=st.sampled_from([breaker.CLOSED, SLOWED.answers]),
    blamed=st.sampled_from([None, Blame(HERE, NOW), Blame(THERE, NOW)]),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(EVERY_VERDICT),
    st.sampled_from([None, FRESH, SUSPECT, STALE]),
    st.booleans(),
    st.booleans(),
    ENTRIES,
    GATES,
    st.sampled_from(["resend", "hold", "drop_visibly"]),
)
def test_every_reaction_ends_the_attempt_and_every_wait_has_an_end(
    judged: Verdict,
    token: ReplyToken | None,
    with_token: bool,
    has_written: bool,
    entry: Entry,
    gates: Gates,
    in_doubt: str,
) -> None:
    """Nothing stays `sending`; what waits has a time, or names who or what it waits for."""
    used = with_token and token is not None and token.state is not TokenState.STALE
    decision = decide(
        judged, token, used, gates, in_doubt, has_written=has_written, entry=entry, message="m9"
    )
    after = decision.entry
    assert after.state is not MessageState.SENDING
    assert (entry.no, entry.text, entry.client_id, entry.attempts_made) == (
        after.no,
        after.text,
        after.client_id,
        after.attempts_made,
    )
    if not after.state.live:
        assert (None, None) == (after.waiting_for, after.next_attempt_at_ms)
    elif after.waiting_for is WaitingFor.LIMIT:
        assert after.next_attempt_at_ms is not None
        assert (decision.trial and decision.trial.at_once) or after.next_attempt_at_ms > NOW
    else:
        assert after.waiting_for is not None
    assert decision.token is None or decision.token.token == "secret"
    assert limiter.encode(decision.gates.chat) is not None
