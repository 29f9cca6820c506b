"""Turns as rows: who is being answered, since when, why somebody was not, and what may be done about it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from yizhan.model import (
    Access,
    AccountId,
    ChatId,
    Dispatch,
    Inbound,
    InboundId,
    Reason,
    Target,
    Turn,
    TurnId,
    TurnState,
)
from yizhan.ports import TurnFilter
from yizhan.web.console import turns
from yizhan.web.console.timeline import Look, timeline_row
from yizhan.web.console.words import Words

EN, ZH = Words("en"), Words("zh")
ACCOUNT, CHAT = AccountId("weixin:ab12@im.bot"), ChatId("o9cq@im.wechat")
ASKED = InboundId("i_1")
NOW_MS = 1_800_000_000_000
ENDED = frozenset(TurnState) - turns.OPEN


def turn(state: TurnState, **more: object) -> Turn:
    ended_ms = NOW_MS + 9 if state in ENDED else None
    made = Turn(
        TurnId("t_1"), ACCOUNT, CHAT, "main", state, (ASKED,), NOW_MS, ended_at_ms=ended_ms, outputs=1
    )
    return replace(made, **more)  # type: ignore[arg-type]


def heard(text: str, sender: str = CHAT, name: str = "") -> Inbound:
    return Inbound(
        ASKED, ACCOUNT, CHAT, "p1", sender, name, text, "", (), 0, NOW_MS, Access.ALLOWED, Dispatch.DONE
    )


def seen(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def acts(state: TurnState, **more: object) -> list[tuple[str, bool]]:
    """What its buttons ask for, and whether they ask "are you sure?" first."""
    buttons = re.findall(r"<button[^>]*>", "".join(turns.acts_on(EN, turn(state, **more))))
    return [(re.findall(r'data-do="(\w+)"', each)[0], "data-confirm" in each) for each in buttons]


@pytest.mark.parametrize("state", TurnState)
def test_a_turn_offers_what_its_state_allows(state: TurnState) -> None:
    """What is open can be stopped, what has ended asked again; a second answer only after a question."""
    expected = ("stop_turn", True) if state in turns.OPEN else ("rerun", state is TurnState.DONE)
    assert [expected] == acts(state)


def test_nothing_can_be_asked_again_where_nothing_was_asked() -> None:
    assert [] == acts(TurnState.FAILED, inbound_ids=())


def test_a_row_tells_what_was_asked_who_answers_and_why_not() -> None:
    failed = turn(
        TurnState.FAILED, inbound_ids=(ASKED, InboundId("i_2")), reason=Reason("agent-timeout", "60 s")
    )
    html = turns.turn_table(EN, [failed], {ASKED: heard("<b>what</b> " + "w" * 200, "o1", "Ann")})
    assert "<b>" not in html
    assert "w" * 150 not in html
    assert "Ann and 1 more" in seen(html)
    assert "main could not answer" in seen(html)
    assert "The agent took too long (60 s)" in seen(html)


def test_an_open_turn_tells_since_when() -> None:
    """It is queued since it was opened, and at work since it was begun."""
    queued = turns.turn_table(EN, [turn(TurnState.QUEUED, started_at_ms=None)], {})
    running = turns.turn_table(EN, [turn(TurnState.RUNNING, started_at_ms=NOW_MS + 5)], {})
    assert f'data-ms="{NOW_MS}" data-form="ago"' in queued
    assert f'data-ms="{NOW_MS + 5}" data-form="ago"' in running
    assert "What was asked is not kept any more" in queued


def test_in_a_direct_chat_nobody_is_named_twice() -> None:
    html = turns.turn_table(EN, [turn(TurnState.DONE)], {ASKED: heard("hello")})
    assert 1 == seen(html).count(CHAT)


def test_a_wish_becomes_a_filter() -> None:
    target = Target(ACCOUNT, CHAT)
    assert TurnFilter() == turns.Wish().filter
    assert TurnFilter(ACCOUNT, CHAT, turns.OPEN) == turns.Wish("open", "other", target, str(target)).filter
    assert TurnFilter(ACCOUNT, None, frozenset({TurnState.FAILED})) == turns.Wish("failed", ACCOUNT).filter
    assert turns.Wish(chat_typed="nowhere").wrong


@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh"])
def test_every_state_can_be_chosen_and_is_explained(words: Words) -> None:
    form = turns.filter_form(words, turns.Wish("open"), [ACCOUNT])
    assert '<option value="open" selected>' in form
    for state in TurnState:
        assert f'value="{state}"' in form
        assert words(f"turns.{state}.means") in turns.mark(words, turn(state))


def test_the_timeline_offers_to_stop_and_to_ask_again_but_leaves_answers_alone() -> None:
    rows = {state: timeline_row(Look(EN), turn(state)) for state in TurnState}
    assert turns.OPEN == {state for state, html in rows.items() if 'data-do="stop_turn"' in html}
    assert ENDED - {TurnState.DONE} == {state for state, html in rows.items() if 'data-do="rerun"' in html}


def test_the_overview_counts_turns_and_leads_to_them() -> None:
    assert "" == turns.summary(EN, 0, 0, 99)
    html = turns.summary(EN, 2, 100, 99)
    assert "Turns not ended: 2 Turns failed in the last 24 hours: 99+" == seen(html)
    assert ["turns?state=open", "turns?state=failed"] == re.findall(r'href="([^"]*)"', html)
