"""Schedules and the history of their runs: which are due, pages of both, removal."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Delete, Select, delete, func, select

from yizhan.store import tables as t


def schedules_page(after: str | None, limit: int) -> Select[Any]:
    """Schedules, the newest first."""
    query = select(t.schedule).order_by(t.schedule.c.id.desc()).limit(limit)
    return query if after is None else query.where(t.schedule.c.id < after)


def due_schedules(now_ms: int, limit: int) -> Select[Any]:
    """Schedules whose time has come, the longest due first."""
    s = t.schedule
    return select(s).where(s.c.fire_at_ms <= now_ms).order_by(s.c.fire_at_ms, s.c.id).limit(limit)


def next_schedule() -> Select[Any]:
    """When the next schedule is due."""
    s = t.schedule
    return select(func.min(s.c.fire_at_ms)).where(s.c.fire_at_ms.is_not(None))


def schedules_planned_after(at_ms: int, limit: int) -> Select[Any]:
    """Schedules that were looked at last when the clock showed a later time."""
    s = t.schedule
    return select(s).where(s.c.planned_ms > at_ms, s.c.fire_at_ms.is_not(None)).order_by(s.c.id).limit(limit)


def erase_schedule(schedule: str) -> Delete:
    """Removes a schedule."""
    return delete(t.schedule).where(t.schedule.c.id == schedule)


def runs_page(schedule: str, after: str | None, limit: int) -> Select[Any]:
    """The history of a schedule, the newest run first."""
    r = t.schedule_run
    query = select(r).where(r.c.schedule == schedule).order_by(r.c.id.desc()).limit(limit)
    return query if after is None else query.where(r.c.id < after)


def run_by_id(schedule: str, run_id: str) -> Select[Any]:
    """One run of a schedule."""
    r = t.schedule_run
    return select(r).where(r.c.schedule == schedule, r.c.id == run_id)


def erase_runs(schedule: str) -> Delete:
    """Removes the history of a schedule."""
    return delete(t.schedule_run).where(t.schedule_run.c.schedule == schedule)
