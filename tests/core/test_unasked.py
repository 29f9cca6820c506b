"""Messages that nobody asked for, and the purse of a strict platform."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core import unasked
from yizhan.core.allowance import Allowance, Ledger, Rule
from yizhan.core.release import Purse
from yizhan.core.unasked import DAY_MS, MINUTE_MS, NOTHING, Quota, Unasked
from yizhan.model import ChatId, WaitingFor

NOW = 1_800_000_000_000
QUOTA = Quota(per_minute=3, per_day=5)
STRICT = Rule(2, 60_000, strict=True, unasked=QUOTA)
bounded = settings(max_examples=100, deadline=None, derandomize=True)


def after(*times_ms: int) -> Unasked:
    known = NOTHING
    for at_ms in times_ms:
        assert unasked.shut(known, QUOTA, at_ms) is None
        known = unasked.took(known, at_ms)
    return known


def test_a_minutes_quota_opens_again_with_the_next_minute() -> None:
    known = after(NOW, NOW + 1, NOW + 2)
    held = unasked.shut(known, QUOTA, NOW + 3)
    assert held is not None
    assert (WaitingFor.LIMIT, NOW + MINUTE_MS) == (held.waiting_for, held.at_ms)
    assert unasked.shut(known, QUOTA, NOW + MINUTE_MS) is None


def test_a_days_quota_waits_for_the_next_day() -> None:
    known = after(*(NOW + number * MINUTE_MS for number in range(5)))
    held = unasked.shut(known, QUOTA, NOW + 9 * MINUTE_MS)
    assert held is not None
    assert (WaitingFor.ALLOWANCE, NOW + DAY_MS) == (held.waiting_for, held.at_ms)
    assert (0, 5) == (
        unasked.left(known, QUOTA, NOW + 9 * MINUTE_MS),
        unasked.left(known, QUOTA, NOW + DAY_MS),
    )


def test_a_switch_is_ended_by_no_time() -> None:
    off = unasked.switched(after(NOW), False)
    held = unasked.shut(off, QUOTA, NOW + 100 * DAY_MS)
    assert held is not None
    assert (WaitingFor.USER, None) == (held.waiting_for, held.at_ms)
    assert unasked.shut(unasked.switched(off, None), QUOTA, NOW + 1) is None


@bounded
@given(st.lists(st.integers(0, 40_000), max_size=60))
def test_no_minute_and_no_day_ever_takes_more_than_its_quota(gaps_ms: list[int]) -> None:
    """Counted from the first message of each minute and day, as the platform is believed to."""
    known, now_ms, sent = NOTHING, NOW, list[int]()
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        if unasked.shut(known, QUOTA, now_ms) is None:
            known = unasked.took(known, now_ms)
            sent.append(now_ms)
    assert len(sent) <= QUOTA.per_day * (1 + (now_ms - NOW) // DAY_MS)
    assert known == unasked.decode(unasked.encode(known))


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[1,2,3,4,true]", "[-1,0,0,0,0]", "x", "[1,2,3,4,5,6]"])
def test_what_another_version_wrote_is_forgotten(text: str) -> None:
    assert NOTHING == unasked.decode(text)


def purse(ledger: Ledger, known: Unasked = NOTHING, tokenless: bool = False) -> Purse:
    allowance = Allowance(kinds={"c2c": STRICT}).of(ChatId("c2c/A"))
    return Purse(ledger, allowance, unasked=known, tokenless=tokenless)


def test_what_a_message_permits_goes_first_then_what_nobody_asked_for() -> None:
    open_, spent = Ledger("in", NOW), Ledger("in", NOW, used=2)
    assert purse(open_).asked_closed(NOW) is None
    assert purse(spent).asked_closed(NOW) is not None
    assert purse(spent).closed(NOW) is None
    assert (7, 5) == (purse(open_).left(NOW), purse(spent).left(NOW))


def test_a_window_that_is_over_is_believed_at_once() -> None:
    """Elsewhere the first send after a window finds out; here it would be refused."""
    over = purse(Ledger("in", NOW), unasked.switched(NOTHING, False)).closed(NOW + 60_000)
    assert over is not None
    assert over.probe_at_ms is None


def test_without_a_word_from_the_other_side_only_the_switch_and_the_quota_count() -> None:
    assert purse(Ledger("", NOW), tokenless=True).closed(NOW) is None
    off = purse(Ledger("", NOW), unasked.switched(NOTHING, False), tokenless=True).closed(NOW)
    assert off is not None
    assert WaitingFor.USER is off.waiting_for


def test_chats_of_another_kind_keep_their_own_rule() -> None:
    allowance = Allowance(rule=Rule(10, 0), kinds={"c2c": STRICT, "x": replace(STRICT, strict=False)})
    assert [10, 2, 2] == [allowance.of(ChatId(chat)).sends for chat in ("o9@im.wechat", "c2c/A", "x/1")]
    assert allowance.counted
