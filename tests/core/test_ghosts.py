"""Pushes slow down where receipts do not come; answers never do."""

from __future__ import annotations

from typing import Any

import pytest

from yizhan.core.ceiling import Ceiling
from yizhan.core.ghosts import GhostNumbers, push_pause_ms
from yizhan.core.verdict import Delivered, Ghost
from yizhan.model import MessageClass

NUMBERS = GhostNumbers()
GHOST = Ghost(alarming=True)
REPLY, NOTICE, PUSH, PROGRESS = MessageClass


def _ghost(road: Any) -> None:
    road.lanes.receipt(road.target(), False, road.now_ms, NUMBERS)
    road.answer(road.target(), GHOST)


@pytest.mark.parametrize(
    ("in_a_row", "pause_s"), [(0, 0), (2, 0), (3, 60), (4, 120), (6, 480), (7, 900), (10_000, 900)]
)
def test_the_pause_doubles_from_the_alarm_on_and_is_capped(in_a_row: int, pause_s: int) -> None:
    """However long the run is."""
    assert pause_s * 1000 == push_pause_ms(in_a_row, NUMBERS)
    assert 0 == push_pause_ms(in_a_row, GhostNumbers(alarm_after=0))


def test_pushes_go_one_at_a_time_once_receipts_stay_away(road: Any) -> None:
    """A queue of three hundred pushes must not be poured into nothing."""
    for number in range(300):
        road.accept(f"m{number}")
    sent = []
    for _ in range(3):
        sent += road.dispatch()
        _ghost(road)
    assert [] == road.dispatch()
    assert 60_000 == road.look_again()
    road.now_ms += 60_000
    assert ["m3.1"] == road.dispatch()
    _ghost(road)
    assert 120_000 == road.look_again()
    assert ["m0.1", "m1.1", "m2.1", "m3.1"] == road.sent


def test_a_receipt_ends_the_pause(road: Any) -> None:
    """What was kept can still be delivered."""
    for number in range(6):
        road.accept(f"m{number}")
    for _ in range(3):
        road.dispatch()
        _ghost(road)
    road.now_ms += 60_000
    road.dispatch()
    road.lanes.receipt(road.target(), True, road.now_ms, NUMBERS)
    road.answer(road.target(), Delivered("r"))
    assert ["m4.1"] == road.dispatch()


@pytest.mark.parametrize("klass", [REPLY, NOTICE])
def test_an_answer_does_not_wait_behind_slowed_pushes(road: Any, klass: MessageClass) -> None:
    """A person waits for it, and it is a probe as well."""
    for number in range(5):
        road.accept(f"m{number}")
    for _ in range(3):
        road.dispatch()
        _ghost(road)
    assert [] == road.dispatch()
    road.accept("answer", klass=klass)
    assert ["answer.1"] == road.dispatch()


def test_another_chat_of_the_account_is_not_slowed(road: Any) -> None:
    """What one chat shows is one chat's."""
    for _ in range(3):
        road.accept(f"m{len(road.sent)}")
        road.dispatch()
        _ghost(road)
    road.accept("late")
    road.accept("elsewhere", chat="c2")
    assert ["elsewhere.1"] == road.dispatch()


def test_a_person_may_try_one_at_once(road: Any) -> None:
    """Retry after a look at the phone should not take a quarter of an hour."""
    for number in range(5):
        road.accept(f"m{number}")
    for _ in range(3):
        road.dispatch()
        _ghost(road)
    road.lanes.insist(road.target(), road.now_ms)
    assert ["m3.1"] == road.dispatch()
    _ghost(road)
    assert [] == road.dispatch()


def test_a_push_that_has_begun_is_finished(road: Any) -> None:
    """Half a message with minutes in the middle would hold up the answers behind it."""
    for _ in range(2):
        road.accept(f"m{len(road.sent)}")
        road.dispatch()
        _ghost(road)
    road.accept("long", parts=2)
    assert ["long.1"] == road.dispatch()
    _ghost(road)
    assert ["long.2"] == road.dispatch()


# the ceiling


def test_requests_per_second_are_bounded_whatever_the_backlog() -> None:
    """Ten thousand wait; a second carries what it may, and the next one too."""
    ceiling, now_ms, sent = Ceiling(50), 0, 0
    while now_ms < 10_000:
        if ceiling.ready_at(now_ms) <= now_ms:
            ceiling.take(now_ms)
            sent += 1
        else:
            now_ms = ceiling.ready_at(now_ms)
    assert 500 <= sent <= 505


def test_a_short_burst_after_a_quiet_time_passes_at_once() -> None:
    """A tenth of a second's worth."""
    ceiling = Ceiling(100)
    went = 0
    while ceiling.ready_at(1_000) <= 1_000:
        ceiling.take(1_000)
        went += 1
    assert 10 == went


def test_no_bound_is_no_bound() -> None:
    """0 switches it off."""
    ceiling = Ceiling(0)
    for _ in range(1_000):
        ceiling.take(5)
    assert 5 == ceiling.ready_at(5)


def test_a_slow_ceiling_lets_single_requests_through() -> None:
    """One in ten seconds."""
    ceiling = Ceiling(0.1)
    ceiling.take(0)
    assert 10_000 == ceiling.ready_at(1)
