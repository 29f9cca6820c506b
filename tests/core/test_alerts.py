"""What raises an alert, what clears it, and that it never becomes a flood."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yizhan.core.alerts import (
    CALM_MS,
    REOPENED_MS,
    AlertNumbers,
    Board,
    Concern,
    GhostRun,
    Look,
    Pile,
    Troubles,
    concerns,
    span,
    unknown,
)
from yizhan.core.connection import NotGranted
from yizhan.model import (
    Account,
    AccountId,
    AccountState,
    AlertKind,
    ChatId,
    Credentials,
    MessageId,
    Reason,
    Severity,
)

A, B = AccountId("weixin:a@im.bot"), AccountId("weixin:b@im.bot")
T0 = 1_800_000_000_000
NUMBERS = AlertNumbers()
MINUTE_MS = 60_000


def account(state: AccountState, name: AccountId = A, **more: Any) -> Account:
    return Account(name, Credentials("s", "u"), state, T0, T0, **more)


def look(*accounts: Account, at_ms: int = T0, **more: Any) -> Look:
    shape: dict[str, Any] = {
        "limited_since": {},
        "not_granted": {},
        "troubles": Troubles(),
        "store": None,
        "free_bytes": None,
    }
    return Look(now_ms=at_ms, began_ms=T0, accounts=accounts, **(shape | more))


def pile(messages: int = 1, chats: int = 1, name: AccountId = A) -> Pile:
    return Pile(name, ChatId("c1"), MessageId("m1"), messages, chats, T0)


def kinds(seen: Look, numbers: AlertNumbers = NUMBERS) -> list[AlertKind]:
    return [concern.kind for concern in concerns(seen, numbers)]


def failed(many: int = 1, name: AccountId = A) -> Concern:
    return Concern(AlertKind.DEAD_LETTER, name, f"{many} have failed", many=many)


def judge(
    board: Board, *found: Concern, at_ms: int, skip: Any = (), stored: bool = True
) -> list[tuple[str, bool]]:
    """What a look changes, as (kind, open), of what is told."""
    changes = board.judge(found, set(skip), stored, at_ms)
    return [(change.alert.kind.value, change.alert.open) for change in changes if change.told]


# what is wrong


def test_a_healthy_gateway_has_nothing_to_tell() -> None:
    """An alert that is always there is no alert."""
    assert [] == kinds(look(account(AccountState.UP), account(AccountState.PAUSED, B), free_bytes=10**12))


@pytest.mark.parametrize(
    ("state", "kind"),
    [(AccountState.LOGIN_NEEDED, AlertKind.LOGIN_NEEDED), (AccountState.BARRED, AlertKind.BARRED)],
)
def test_what_only_a_person_can_end_is_told_at_once_with_what_to_do(
    state: AccountState, kind: AlertKind
) -> None:
    """Every minute before somebody scans the code is a minute without messages."""
    (concern,) = concerns(look(account(state, reason=Reason("-14", "session timeout"))), NUMBERS)
    assert (kind, A) == concern.key
    assert "session timeout" in concern.text


@pytest.mark.parametrize("state", [AccountState.DOWN, AccountState.DEGRADED, AccountState.STARTING])
def test_an_account_that_is_not_answered_is_told_when_it_lasts(state: AccountState) -> None:
    """A blip is the connection's own business; five minutes are somebody's."""
    silent = account(state, last_server_answer_at_ms=T0)
    assert [] == kinds(look(silent, at_ms=T0 + 4 * MINUTE_MS))
    assert [AlertKind.ACCOUNT_DOWN] == kinds(look(silent, at_ms=T0 + 5 * MINUTE_MS))
    assert [] == kinds(look(silent, at_ms=T0 + 9 * MINUTE_MS), replace(NUMBERS, down_ms=0))


def test_time_that_the_gateway_did_not_run_is_no_silence_of_the_platform() -> None:
    """The machine was off over night; that is not the platform's fault."""
    silent = account(AccountState.STARTING, last_server_answer_at_ms=T0 - 9 * 3_600_000)
    assert [] == kinds(look(silent, at_ms=T0 + MINUTE_MS))


def test_a_limit_is_told_when_it_lasts_and_a_short_one_is_not() -> None:
    """Limit windows are daily business."""
    limited = {"limited_since": {A: T0}}
    assert [] == kinds(look(account(AccountState.UP), at_ms=T0 + 30 * MINUTE_MS, **limited))
    assert [AlertKind.LIMITED] == kinds(look(account(AccountState.UP), at_ms=T0 + 60 * MINUTE_MS, **limited))


def test_what_a_platform_keeps_from_a_bot_is_told_until_it_grants_it() -> None:
    """A bot was up, and nobody knew that its groups were never heard. A restart does not know better, so it clears
    nothing before the platform has let the bot in."""
    board, kept = Board(), {A: NotGranted("hears no groups", "ask for them")}
    (concern,) = concerns(look(account(AccountState.UP), not_granted=kept), NUMBERS)
    assert ("hears no groups", "ask for them") == (concern.text, concern.action)
    assert [("not_granted", True)] == judge(board, concern, at_ms=T0)
    starting = unknown(look(account(AccountState.STARTING)))
    assert [] == judge(board, at_ms=T0 + MINUTE_MS, skip=starting)
    up = unknown(look(account(AccountState.UP)))
    assert [("not_granted", False)] == judge(board, at_ms=T0 + 2 * MINUTE_MS, skip=up)


def test_messages_that_fare_badly_are_one_concern_for_an_account() -> None:
    """Two thousand messages behind one limit are one trouble."""
    troubles = Troubles(
        waiting=(pile(2_000, 200),),
        held=(pile(),),
        failed=(pile(3, 2),),
        expired=(pile(),),
        ghosts=(GhostRun(A, None, 4),),
    )
    found = {concern.kind: concern for concern in concerns(look(troubles=troubles), NUMBERS)}
    assert "2000 messages have waited longer than 15 min in 200 chats." == found[AlertKind.WAITING].text
    assert "1 message whose answer was lost is held for you." == found[AlertKind.IN_DOUBT].text
    assert "3 messages have failed lately in 2 chats." == found[AlertKind.DEAD_LETTER].text
    assert "1 message has expired lately." == found[AlertKind.EXPIRED].text
    assert 4 == found[AlertKind.UNCONFIRMED].many
    assert len(found) == 5


def test_the_gateways_own_troubles_belong_to_no_account() -> None:
    """A full disk is everybody's."""
    seen = look(store=Reason("disk-full", "No space left."), free_bytes=10 * 1024 * 1024)
    assert [(AlertKind.STORE, None), (AlertKind.DISK, None)] == [each.key for each in concerns(seen, NUMBERS)]


@pytest.mark.parametrize(
    ("length_ms", "said"),
    [
        (45_000, "45 s"),
        (90_000, "90 s"),
        (60_000, "1 min"),
        (900_000, "15 min"),
        (10_800_000, "3 h"),
        (172_800_000, "2 d"),
    ],
)
def test_a_length_of_time_is_said_in_words(length_ms: int, said: str) -> None:
    """An operator should not count milliseconds."""
    assert said == span(length_ms)


# what is told


def test_a_trouble_is_told_once_and_cleared_once() -> None:
    """Raised, going on for an hour, gone: two lines."""
    board = Board()
    assert [("dead_letter", True)] == judge(board, failed(), at_ms=T0)
    for minute in range(1, 60):
        assert [] == judge(board, failed(), at_ms=T0 + minute * MINUTE_MS)
    assert [] == judge(board, at_ms=T0 + 60 * MINUTE_MS)
    assert [("dead_letter", False)] == judge(board, at_ms=T0 + 60 * MINUTE_MS + CALM_MS)
    assert () == board.open()


def test_a_trouble_that_grows_counts_instead_of_repeating_itself() -> None:
    """A thousand dead letters are one row with the number 1000."""
    board = Board()
    judge(board, failed(1), at_ms=T0)
    changes = board.judge([failed(1_000)], (), True, T0 + 15_000)
    assert [(1_000, False)] == [(change.alert.count, change.told) for change in changes]
    assert [] == board.judge([failed(1_000)], (), True, T0 + 30_000), "nothing new is not written"
    (alert,) = board.open()
    assert (T0, T0 + 30_000) == (alert.since_ms, alert.last_seen_ms)


def test_a_flapping_trouble_is_one_alert() -> None:
    """Up and down every half minute for an hour: raised once, and there all the time."""
    board, down = Board(), Concern(AlertKind.ACCOUNT_DOWN, A, "away")
    told = []
    for half_minute in range(120):
        told += judge(board, *([down] if half_minute % 2 else []), at_ms=T0 + half_minute * 30_000)
    assert [("account_down", True)] == told


def test_a_trouble_that_comes_back_within_an_hour_is_the_same_alert() -> None:
    """One row with a count, not one row for each time."""
    board = Board()
    judge(board, failed(), at_ms=T0)
    judge(board, at_ms=T0 + 1)
    judge(board, at_ms=T0 + 1 + CALM_MS)
    assert [("dead_letter", True)] == judge(board, failed(), at_ms=T0 + REOPENED_MS // 2)
    (again,) = board.open()
    assert (2, T0 + REOPENED_MS // 2) == (again.count, again.since_ms)
    judge(board, at_ms=T0 + REOPENED_MS)
    judge(board, at_ms=T0 + REOPENED_MS + CALM_MS)
    judge(board, failed(), at_ms=T0 + 3 * REOPENED_MS)
    (later,) = board.open()
    assert (1, True) == (later.count, later.id != again.id)


def test_a_passing_store_trouble_is_not_raised() -> None:
    """A commit that is refused once is tried again in half a second."""
    board, store = Board(), Concern(AlertKind.STORE, None, "no room")
    assert [] == judge(board, store, at_ms=T0)
    assert [] == judge(board, at_ms=T0 + 15_000)
    assert [] == judge(board, store, at_ms=T0 + 40_000), "its patience begins anew"
    assert [("store", True)] == judge(board, store, at_ms=T0 + 70_000)


def test_what_a_look_could_not_find_out_clears_nothing() -> None:
    """An unreadable table is no proof that all is delivered."""
    board = Board()
    judge(board, failed(), at_ms=T0)
    for second in range(0, 600, 15):
        assert [] == judge(board, at_ms=T0 + second * 1000, stored=False)
    assert 1 == len(board.open())


def test_a_login_alert_stays_until_the_platform_answers() -> None:
    """After a restart the account is starting, which mends nothing."""
    board = Board()
    judge(board, *concerns(look(account(AccountState.LOGIN_NEEDED)), NUMBERS), at_ms=T0)
    starting = look(account(AccountState.STARTING))
    assert [] == judge(board, at_ms=T0 + 1, skip=unknown(starting))
    up = look(account(AccountState.UP))
    assert [("login_needed", False)] == judge(board, at_ms=T0 + 2, skip=unknown(up))


def test_a_receipt_ends_the_alarm_at_once() -> None:
    """It is the proof that was missing."""
    board, ghosts = Board(), Concern(AlertKind.UNCONFIRMED, A, "no receipts", many=3)
    judge(board, ghosts, at_ms=T0)
    assert [("unconfirmed", False)] == judge(board, at_ms=T0 + 1)


def test_after_a_restart_nothing_is_told_twice() -> None:
    """The board is taken up where it was left."""
    board = Board()
    changes = board.judge([failed(5)], (), True, T0)
    again = Board([change.alert for change in changes])
    assert [] == judge(again, failed(5), at_ms=T0 + 1)
    assert [5] == [alert.count for alert in again.open()]
    assert [("dead_letter", True)] == judge(again, failed(), failed(name=B), at_ms=T0 + 2)


def test_rows_are_bounded_by_accounts_and_kinds() -> None:
    """Whatever happens for a day, an account has at most one open alert of a kind."""
    board = Board()
    for minute in range(24 * 60):
        board.judge([failed(minute), failed(minute * 2, B)], (), True, T0 + minute * MINUTE_MS)
    assert 2 == len(board.open())
    assert {Severity.WARNING} == {alert.severity for alert in board.open()}


def test_a_queue_that_grows_too_long_is_one_alert() -> None:
    """Counted, and cleared after a while of calm."""
    board = Board()
    troubles = Troubles(queues=((A, 10_001),))
    (concern,) = concerns(look(troubles=troubles), NUMBERS)
    assert ("queue", A, 10_001) == (concern.kind.value, concern.account, concern.many)
    assert [("queue", True)] == judge(board, concern, at_ms=T0)
    assert [] == judge(board, at_ms=T0 + 1)
    assert [("queue", False)] == judge(board, at_ms=T0 + 2 * MINUTE_MS)
    assert () == concerns(look(troubles=troubles), replace(NUMBERS, queue=0))
