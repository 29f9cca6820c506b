"""Which rows are old enough to go, a table at a time, and their removal by key."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Delete, Select, Table, delete, exists, select, text, tuple_

from yizhan.store import tables as t
from yizhan.store.queries.terms import FINISHED, LIVE, OPEN


def old_messages(before_ms: int, limit: int) -> Select[Any]:
    """Messages that ended before a time, oldest first."""
    m = t.message
    return (
        select(m.c.account, m.c.id)
        .where(FINISHED, m.c.finished_at_ms < before_ms)
        .order_by(m.c.finished_at_ms)
        .limit(limit)
    )


def old_inbound(before_ms: int, limit: int) -> Select[Any]:
    """Inbound messages from before a time that ask nothing any more and belong to no open turn."""
    i = t.inbound
    in_open_turn = exists().where(t.turn.c.id == i.c.turn_id, OPEN)
    return (
        select(i.c.account, i.c.chat, i.c.seq)
        .where(i.c.received_at_ms < before_ms, i.c.dispatch == "done", ~in_open_turn)
        .order_by(i.c.received_at_ms)
        .limit(limit)
    )


def old_suppressed(before_ms: int, limit: int) -> Select[Any]:
    """Suppressed repeats from before a time."""
    s = t.suppressed
    return (
        select(s.c.account, s.c.chat, s.c.seq).where(s.c.at_ms < before_ms).order_by(s.c.at_ms).limit(limit)
    )


def old_turns(before_ms: int, limit: int) -> Select[Any]:
    """Turns that ended before a time."""
    u = t.turn
    ended = text("turn.ended_at_ms IS NOT NULL")
    return (
        select(u.c.account, u.c.chat, u.c.seq)
        .where(ended, u.c.ended_at_ms < before_ms)
        .order_by(u.c.ended_at_ms)
        .limit(limit)
    )


def old_sessions(before_ms: int, limit: int) -> Select[Any]:
    """Sessions that were last used before a time."""
    c = t.session.c
    return select(c.account, c.chat, c.person).where(c.used_at_ms < before_ms).limit(limit)


def old_attempts(before_ms: int, limit: int) -> Select[Any]:
    """Attempts from before a time at messages that have ended."""
    a, m = t.attempt, t.message
    live = exists().where(m.c.id == a.c.message_id, LIVE)
    return (
        select(a.c.account, a.c.message_id, a.c.no, a.c.n)
        .where(a.c.at_ms < before_ms, ~live)
        .order_by(a.c.at_ms)
        .limit(limit)
    )


def old_events(before_ms: int, limit: int) -> Select[Any]:
    """Events from before a time; ids grow with time, so the search ends at the first younger one."""
    first = select(t.event.c.id, t.event.c.at_ms).order_by(t.event.c.id).limit(limit).subquery()
    return select(first.c.id).where(first.c.at_ms < before_ms).order_by(first.c.id)


def old_alerts(before_ms: int, limit: int) -> Select[Any]:
    """Alerts that were cleared before a time."""
    cleared = text("alert.cleared_at_ms IS NOT NULL")
    a = t.alert
    return (
        select(a.c.id).where(cleared, a.c.cleared_at_ms < before_ms).order_by(a.c.cleared_at_ms).limit(limit)
    )


def old_runs(before_ms: int, limit: int) -> Select[Any]:
    """Runs from before a time."""
    r = t.schedule_run
    return select(r.c.schedule, r.c.key).where(r.c.at_ms < before_ms).order_by(r.c.at_ms).limit(limit)


def old_posts(before_ms: int, limit: int) -> Select[Any]:
    """What became of events long ago."""
    p = t.webhook_post
    return select(p.c.webhook, p.c.event).where(p.c.at_ms < before_ms).order_by(p.c.at_ms).limit(limit)


def old_claims(before_ms: int, limit: int) -> Select[Any]:
    """Claims from before a time."""
    c = t.claim.c
    return select(c.kind, c.key).where(c.at_ms < before_ms).order_by(c.at_ms).limit(limit)


def erase(table: Table, columns: Collection[str], keys: Collection[tuple[Any, ...]]) -> Delete:
    """Removes the rows with these keys."""
    return delete(table).where(tuple_(*(table.c[column] for column in columns)).in_(list(keys)))
