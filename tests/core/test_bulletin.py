"""What is said of alerts in a chat: together, rarely, and only what is still so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from yizhan.core.bulletin import GATHER_MS, LINES_MAX, Bulletin
from yizhan.model import AccountId, Alert, AlertKind, Severity

TELLER, SICK = AccountId("qq:1"), AccountId("weixin:a@im.bot")
EVERY_MS = 300_000


def alert(number: int = 1, cleared: bool = False, **more: object) -> Alert:
    made = Alert(
        f"al_{number}",
        AlertKind.DEAD_LETTER,
        Severity.WARNING,
        SICK,
        None,
        None,
        f"trouble {number}",
        "",
        5,
        5,
    )
    return replace(made, cleared_at_ms=9 if cleared else None, **more)  # type: ignore[arg-type]


def told(*alerts: Alert, by: Bulletin | None = None) -> Bulletin:
    bulletin = by or Bulletin(TELLER)
    for each in alerts:
        bulletin = bulletin.noted(each, 1_000)
    return bulletin


def test_what_comes_together_is_said_together() -> None:
    """Seconds after the first, the worst on top."""
    bulletin = told(alert(1), alert(2), alert(3, severity=Severity.CRITICAL, action="yizhan login weixin"))
    assert 1_000 + GATHER_MS == bulletin.due_ms(EVERY_MS)
    lines = bulletin.text("en").splitlines()
    assert ["Yizhan:", f"‼ {SICK}: trouble 3 → yizhan login weixin"] == lines[:2]
    assert 4 == len(lines)


def test_the_next_one_waits_and_tells_what_is_over() -> None:
    """An all-clear for what was told, and nothing twice."""
    bulletin = told(alert(1), alert(2)).said(20_000)
    assert bulletin.due_ms(EVERY_MS) is None
    bulletin = told(alert(1, cleared=True), alert(2), by=bulletin)
    assert 20_000 + EVERY_MS == bulletin.due_ms(EVERY_MS)
    assert ["Yizhan:", f"✓ over {SICK}: trouble 1"] == bulletin.text("en").splitlines()
    assert frozenset({"al_2"}) == bulletin.said(40_000).open_told


def test_what_is_over_before_it_was_said_is_not_said() -> None:
    """A trouble that flickers costs nobody's sleep."""
    assert told(alert(1), alert(1, cleared=True)).due_ms(EVERY_MS) is None
    flickering = told(alert(1)).said(20_000)
    assert told(alert(1, cleared=True), alert(1), by=flickering).due_ms(EVERY_MS) is None


def test_nothing_about_the_account_that_tells() -> None:
    """It is the one that cannot; and a message about its messages would be the next of them."""
    assert told(alert(1, account=TELLER)).due_ms(EVERY_MS) is None
    unknown = told(alert(1, account=TELLER), alert(2), by=Bulletin(AccountId("")))
    assert ["al_2"] == list(unknown.told_by(TELLER).pending)
    assert told(alert(1, account=TELLER), by=Bulletin(AccountId(""))).told_by(TELLER).due_ms(0) is None


def test_a_bad_night_is_one_screen() -> None:
    """The rest is counted."""
    lines = told(*(alert(number) for number in range(LINES_MAX + 7))).text("zh").splitlines()
    assert LINES_MAX + 2 == len(lines)
    assert "7" in lines[-1]


@pytest.mark.parametrize(
    ("since_ms", "cleared_ms", "said_ms", "line"),
    [
        (100, None, None, "!"),
        (100, None, 50, "!"),
        (100, None, 150, None),
        (100, 200, 150, "✓"),
        (100, 200, 250, None),
        (100, 200, 50, None),
        (300, None, 250, "!"),
    ],
)
def test_after_a_restart_people_hear_what_they_do_not_know_yet(
    since_ms: int, cleared_ms: int | None, said_ms: int | None, line: str | None
) -> None:
    """The time of the last bulletin tells what they know; what was raised a moment before the crash is not in it."""
    known = replace(alert(since_ms=since_ms), cleared_at_ms=cleared_ms)
    bulletin = Bulletin(TELLER).taken_up([known], said_ms, 1_000)
    lines = bulletin.text("en").splitlines()[1:]
    assert ([] if line is None else [line]) == [each[0] for each in lines]
    assert (line is None) == (bulletin.due_ms(EVERY_MS) is None)
    open_now = cleared_ms is None
    assert ({"al_1"} if open_now else set()) == bulletin.said(2_000).open_told


def test_what_could_not_be_said_is_said_with_what_has_come_since() -> None:
    """And what has changed its mind meanwhile is not said."""
    before = told(alert(1), alert(2))
    later = told(alert(1, cleared=True), alert(3), by=before.said(20_000))
    again = later.unsaid(before, 21_000)
    assert {"al_2", "al_3"} == set(again.pending)
    assert (frozenset(), None) == (again.open_told, again.said_ms)
