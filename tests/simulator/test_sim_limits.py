"""Rate limits of every kind, punishments, and hints that help, lie or make no sense."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yizhan_simulator import Hint, Limit, World
from yizhan_simulator.limits import Limits, hint_fields

T = 1_790_000_000_000


def accepted(rule: Limit, times_s: list[float], chats: str = "") -> list[bool]:
    """Which of the sends at these times pass; `chats` names a chat per send, all one chat if left out."""
    limits = Limits()
    limits.add(rule, T)
    names = chats or "a" * len(times_s)
    return [
        limits.ask("bot", chat, T + round(at * 1000)) is None for at, chat in zip(times_s, names, strict=True)
    ]


def test_an_aligned_window_starts_with_the_clock() -> None:
    """Two bursts around a boundary pass."""
    assert T % 20_000 == 0
    assert [True, True, False, True, True] == accepted(Limit(count=2, per_s=20), [18, 19, 19.5, 20, 21])


def test_a_first_request_window_starts_with_the_first_send() -> None:
    """The boundary moves with the sender."""
    rule = Limit(kind="window_first", count=2, per_s=20)
    assert [True, True, False, False, True] == accepted(rule, [18, 19, 19.5, 37.9, 38])


def test_a_sliding_log_looks_back_from_each_send() -> None:
    """No boundary to exploit."""
    rule = Limit(kind="log", count=2, per_s=20)
    assert [True, True, False, True, False, True] == accepted(rule, [0, 10, 19, 20, 29, 30])


def test_a_bucket_stores_tokens_and_refills_steadily() -> None:
    """Three stored, one more every two seconds."""
    rule = Limit(kind="bucket", count=3, per_s=2)
    assert [True, True, True, False, False, True, False] == accepted(rule, [0, 0, 0, 0, 1.9, 2, 3])


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("chat", [True, True, False, True]),
        ("account", [True, False, False, False]),
        ("both", [True, False, False, False]),
    ],
)
def test_scopes_count_chats_or_the_whole_account(scope: Any, expected: list[bool]) -> None:
    """Sends to a, b, a, c with one allowed per scope."""
    assert expected == accepted(Limit(count=1, per_s=20, scope=scope), [0, 1, 2, 3], "abac")


def test_refused_sends_are_not_counted_by_any_rule() -> None:
    """All rules are asked before one counts."""
    limits = Limits()
    limits.add(Limit(name="chat", count=1, per_s=20, scope="chat"), T)
    limits.add(Limit(name="account", count=2, per_s=20), T)
    answers = [limits.ask("bot", chat, T) for chat in "aaabc"]
    assert [None, "chat", "chat", None, "account"] == [answer and answer[0] for answer in answers]


def test_each_refusal_can_extend_the_block() -> None:
    """Probing keeps the gate shut: 20 s, then 10 s more per refusal."""
    rule = Limit(count=1, per_s=20, extend_s=10)
    assert [True, False, False, False, True] == accepted(rule, [0, 1, 25, 39.9, 50])


def test_a_cool_down_counts_from_the_last_attempt() -> None:
    """Silence is the only cure."""
    rule = Limit(kind="log", count=2, per_s=1, cooldown_s=3600)
    assert [True, True, False, False, True] == accepted(rule, [0, 0.1, 0.2, 3000, 6600])


def test_limits_can_change_over_time() -> None:
    """Strict between 10 and 20 s only."""
    limits = Limits()
    limits.add(Limit(kind="log", count=1, per_s=1, between_s=(10, 20)), T)
    passed = [limits.ask("bot", "a", T + at) is None for at in (0, 10, 10_000, 10_100, 20_000, 20_010)]
    assert [True, True, True, False, True, True] == passed


@given(
    kind=st.sampled_from(["window", "window_first", "log", "bucket"]),
    count=st.integers(1, 5),
    per_s=st.floats(0.1, 50),
    gaps=st.lists(st.integers(0, 20_000), min_size=1, max_size=40),
)
def test_an_honest_hint_is_honest(kind: Any, count: int, per_s: float, gaps: list[int]) -> None:
    """Who waits until `ready_at` gets through, who comes a millisecond earlier does not."""
    rule = Limit(kind=kind, count=count, per_s=per_s)
    limits, early, now = Limits(), Limits(), T
    limits.add(rule, T)
    early.add(rule, T)
    for gap in gaps:
        now += gap
        denied = limits.ask("bot", "a", now)
        assert (early.ask("bot", "a", now) is None) is (denied is None)
        if denied is not None:
            ready = denied[1].ready_at_ms
            assert early.ask("bot", "a", ready - 1) is not None
            assert limits.ask("bot", "a", ready) is None
            return


@pytest.mark.parametrize(
    ("place", "body", "headers"),
    [
        ("retry_after", {"retry_after": 12}, {}),
        ("retry_after_ms", {"retry_after_ms": 11_500}, {}),
        ("retryAfter", {"retryAfter": 12}, {}),
        ("header", {}, {"Retry-After": "12"}),
    ],
)
def test_hints_stand_in_four_places(place: Any, body: dict[str, object], headers: dict[str, str]) -> None:
    """Nobody knows where the platform would put one."""
    assert (body, headers) == hint_fields(Hint(place=place), 11_500, Random(0))


@pytest.mark.parametrize(("kind", "low", "high"), [("short", 5, 5), ("long", 120, 120), ("random", 0, 60)])
def test_hints_can_lie(kind: Any, low: int, high: int) -> None:
    """A quarter, six times, or anything."""
    told = hint_fields(Hint(kind=kind), 20_000, Random(3))[0]["retry_after"]
    assert isinstance(told, int)
    assert low <= told <= high


def test_hints_can_be_missing_or_garbage() -> None:
    """A client must not fall over words where a number should be."""
    assert ({}, {}) == hint_fields(Hint(kind="none"), 20_000, Random(0))
    words = {hint_fields(Hint(kind="garbage"), 1, Random(seed))[0]["retry_after"] for seed in range(40)}
    assert all(isinstance(word, str) for word in words)
    assert len(words) > 3


def test_a_limited_send_is_refused_in_the_rules_words_and_noted_under_its_name(
    world: World, ann: str, caller: Any
) -> None:
    """From rule to wire to ledger."""
    rule = Limit(name="few", count=1, per_s=20, hint=Hint(place="retry_after_ms"))
    world.add_limit(rule, caller.now_ms)
    assert "message_id" in caller.send(ann, "one")
    assert {"ret": -2, "errmsg": "rate limited", "retry_after_ms": 20_000} == caller.send(
        ann, "two", "held back"
    )
    assert ["held back"] == [record.client_id for record in world.ledger.refusals(rule="few")]
    assert world.remove("few")
    assert "message_id" in caller.send(ann, "two", "held back")


def test_a_limit_of_nothing_is_a_mistake() -> None:
    """A rule that never lets anything pass would hide its error."""
    with pytest.raises(ValueError, match="count >= 1"):
        Limit(count=0)
