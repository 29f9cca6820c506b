"""What a person should know of: the looks that find it, and the alerts that tell it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Delete, Insert, Select, case, delete, func, insert, select, text

from yizhan.model import MessageClass, MessageState, Target, WaitingFor
from yizhan.store import tables as t
from yizhan.store.queries.terms import DEAD, LIVE

_PROGRESS = int(MessageClass.PROGRESS)


def waiting_long(before_ms: int) -> Select[Any]:
    """Messages that have waited since before a time, by chat: account, chat, how many, since when, and one that
    has waited longest (ids sort by time of acceptance). Progress lines matter to nobody later. Reads the live rows
    in the order of their index."""
    m = t.message
    due_ms = case((m.c.not_before_ms > m.c.created_at_ms, m.c.not_before_ms), else_=m.c.created_at_ms)
    return (
        select(m.c.account, m.c.chat, func.count(), func.min(due_ms), func.min(m.c.id))
        .where(LIVE, due_ms <= before_ms, m.c["class"] != _PROGRESS)
        .group_by(m.c.account, m.c.chat)
    )


def long_queues(most: int) -> Select[Any]:
    """Accounts for which more messages wait than these, and how many. Reads the index of live rows only."""
    m = t.message
    query = select(m.c.account, func.count()).where(LIVE).group_by(m.c.account)
    return query.having(func.count() > most).order_by(m.c.account)


def held_in_doubt() -> Select[Any]:
    """Messages that wait for an operator, by chat, as waiting_long."""
    m = t.message
    return (
        select(m.c.account, m.c.chat, func.count(), func.min(m.c.created_at_ms), func.min(m.c.id))
        .where(LIVE, m.c.waiting_for == WaitingFor.OPERATOR.value)
        .group_by(m.c.account, m.c.chat)
    )


def ended_badly(state: MessageState, after_ms: int) -> Select[Any]:
    """Messages that have failed, or expired, since a time, by chat: account, chat, how many, when the last, and the
    newest. Reads the small index of such rows."""
    m = t.message
    return (
        select(m.c.account, m.c.chat, func.count(), func.max(m.c.finished_at_ms), func.max(m.c.id))
        .where(DEAD, m.c.state == state.value, m.c.finished_at_ms >= after_ms, m.c["class"] != _PROGRESS)
        .group_by(m.c.account, m.c.chat)
    )


def ghosting_chats(at_least: int, after_ms: int) -> Select[Any]:
    """Chats in use with so many sends in a row that were owed a receipt and got none."""
    c = t.chat
    some = text("chat.ghosts > 0")
    return select(c.c.account, c.c.id, c.c.ghosts).where(
        some, c.c.ghosts >= at_least, c.c.last_outbound_at_ms >= after_ms
    )


def ghosting_accounts(at_least: int) -> Select[Any]:
    """Accounts with so many of them, over all their chats."""
    return select(t.account.c.id, t.account.c.ghosts).where(t.account.c.ghosts >= at_least)


def failing_schedules(limit: int) -> Select[Any]:
    """Schedules that cannot be carried out, and why: id, code, text."""
    s = t.schedule
    columns = (s.c.id, s.c.reason_code, s.c.reason_text)
    return select(*columns).where(text("reason_code IS NOT NULL")).order_by(s.c.id).limit(limit)


def last_message(target: Target, source: str) -> Select[Any]:
    """When the latest message of a source was accepted for a chat."""
    m = t.message
    of_chat = (m.c.account == target.account, m.c.chat == target.chat, m.c.source == source)
    return select(m.c.created_at_ms).where(*of_chat).order_by(m.c.seq.desc()).limit(1)


def alerts_page(is_open: bool | None, after: tuple[int, int, str] | None, limit: int) -> Select[Any]:
    """Alerts: first those that are open, then those that are not; the latest change first."""
    a = t.alert
    over = case((a.c.cleared_at_ms.is_(None), 0), else_=1)
    changed_ms = func.coalesce(a.c.cleared_at_ms, a.c.since_ms)
    query = select(a).order_by(over, changed_ms.desc(), a.c.id).limit(limit)
    if is_open is not None:
        query = query.where(a.c.cleared_at_ms.is_(None) if is_open else a.c.cleared_at_ms.is_not(None))
    if after is not None:
        after_over, after_ms, after_id = after
        behind = (changed_ms < after_ms) | ((changed_ms == after_ms) & (a.c.id > after_id))
        query = query.where((over > after_over) | ((over == after_over) & behind))
    return query


def alerts_open_or_cleared_after(at_ms: int) -> Select[Any]:
    """Every open alert, and those that were cleared since a time."""
    a = t.alert
    return select(a).where(a.c.cleared_at_ms.is_(None) | (a.c.cleared_at_ms >= at_ms))


def erase_alerts(ids: Collection[str]) -> Delete:
    """Removes alerts that are about to be written anew."""
    return delete(t.alert).where(t.alert.c.id.in_(list(ids)))


def add_alerts() -> Insert:
    """Writes alerts."""
    return insert(t.alert)
