"""The reads of the watch: messages that fare badly, by account, and the alerts themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Select

from yizhan.core.alerts import AlertNumbers, GhostRun, Pile, Troubles
from yizhan.model import (
    AccountId,
    Alert,
    ChatId,
    MessageId,
    MessageState,
    Reason,
    ScheduleId,
    Target,
)
from yizhan.ports import Page
from yizhan.store import rows
from yizhan.store.pages import cursor_of, place_of
from yizhan.store.queries import watching
from yizhan.store.reads import bounded

QUIET_CHAT_MS = 7 * 86_400_000
"""A chat that nothing was sent to for so long says nothing about the platform any more."""

FAILING_MAX = 100
"""Schedules that are counted where more cannot be carried out."""


def troubles(connection: Connection, numbers: AlertNumbers, now_ms: int) -> Troubles:
    """What a rule that is switched off would need is not read."""

    def ended(state: MessageState) -> tuple[Pile, ...]:
        if not numbers.dead_letter_ms:
            return ()
        return _piles(connection, watching.ended_badly(state, now_ms - numbers.dead_letter_ms), max)

    waiting = watching.waiting_long(now_ms - numbers.waiting_ms)
    return Troubles(
        waiting=_piles(connection, waiting, min) if numbers.waiting_ms else (),
        held=_piles(connection, watching.held_in_doubt(), min),
        failed=ended(MessageState.FAILED),
        expired=ended(MessageState.EXPIRED),
        queues=_queues(connection, numbers.queue) if numbers.queue else (),
        ghosts=_ghost_runs(connection, numbers.ghosts, now_ms) if numbers.ghosts else (),
        schedules=_failing_schedules(connection),
    )


def _piles(connection: Connection, query: Select[Any], telling: Callable[..., Any]) -> tuple[Pile, ...]:
    """Chats put together by account; the one with the oldest (or newest) time speaks for it."""
    chats: dict[str, list[tuple[int, str, str, int]]] = defaultdict(list)
    for account, chat, count, at_ms, message in connection.execute(query):
        chats[account].append((at_ms, message, chat, count))
    return tuple(_pile(account, found, telling(found)) for account, found in sorted(chats.items()))


def _pile(
    account: str, found: Sequence[tuple[int, str, str, int]], telling: tuple[int, str, str, int]
) -> Pile:
    at_ms, message, chat, _ = telling
    total = sum(count for *_, count in found)
    return Pile(AccountId(account), ChatId(chat), MessageId(message), total, len(found), at_ms)


def _failing_schedules(connection: Connection) -> tuple[tuple[ScheduleId, Reason], ...]:
    found = connection.execute(watching.failing_schedules(FAILING_MAX))
    return tuple((ScheduleId(schedule), Reason(code, text)) for schedule, code, text in found)


def _queues(connection: Connection, most: int) -> tuple[tuple[AccountId, int], ...]:
    return tuple(
        (AccountId(account), count) for account, count in connection.execute(watching.long_queues(most))
    )


def _ghost_runs(connection: Connection, at_least: int, now_ms: int) -> tuple[GhostRun, ...]:
    """One run for an account: its own if that is long enough, else the longest of its chats."""
    runs: dict[str, GhostRun] = {}
    for account, chat, count in connection.execute(watching.ghosting_chats(at_least, now_ms - QUIET_CHAT_MS)):
        if account not in runs or runs[account].in_a_row < count:
            runs[account] = GhostRun(AccountId(account), ChatId(chat), count)
    for account, count in connection.execute(watching.ghosting_accounts(at_least)):
        if account not in runs or runs[account].in_a_row < count:
            runs[account] = GhostRun(AccountId(account), None, count)
    return tuple(runs[account] for account in sorted(runs))


def alerts(connection: Connection, is_open: bool | None, after: str | None, limit: int) -> Page[Alert]:
    limit = bounded(limit)
    place = None if after is None else place_of(after, tuple[int, int, str])
    found = connection.execute(watching.alerts_page(is_open, place, limit + 1)).all()
    listed = tuple(rows.alert_of(row) for row in found[:limit])
    return Page(listed, cursor_of(_place(listed[-1])) if len(found) > limit else None)


def _place(alert: Alert) -> tuple[int, int, str]:
    if alert.cleared_at_ms is None:
        return 0, alert.since_ms, alert.id
    return 1, alert.cleared_at_ms, alert.id


def alerts_since(connection: Connection, at_ms: int) -> tuple[Alert, ...]:
    return tuple(
        rows.alert_of(row) for row in connection.execute(watching.alerts_open_or_cleared_after(at_ms))
    )


def last_message_ms(connection: Connection, target: Target, source: str) -> int | None:
    found: int | None = connection.scalar(watching.last_message(target, source))
    return found
