"""The reads of schedules: what is due, and what runs have become."""

from __future__ import annotations

from sqlalchemy import Connection

from yizhan.errors import UnknownSchedule
from yizhan.model import Message, Run, RunId, Schedule, ScheduleId
from yizhan.ports import Page, RunView
from yizhan.store import queries, rows
from yizhan.store.pages import cursor_of, place_of
from yizhan.store.reads import bounded
from yizhan.store.statements import BatchStatements
from yizhan.store.working_set import messages_of


def schedule(connection: Connection, schedule_id: ScheduleId) -> Schedule:
    """Raises UnknownSchedule."""
    row = connection.execute(queries.schedules_by_id([schedule_id])).first()
    if row is None:
        raise UnknownSchedule(
            f"There is no schedule {schedule_id}.", "See the schedules with `yizhan schedule list`."
        )
    return rows.schedule_of(row)


def schedules(connection: Connection, after: str | None, limit: int) -> Page[Schedule]:
    limit = bounded(limit)
    place = None if after is None else place_of(after, tuple[str])[0]
    found = connection.execute(queries.schedules_page(place, limit + 1)).all()
    listed = tuple(rows.schedule_of(row) for row in found[:limit])
    return Page(listed, cursor_of((listed[-1].id,)) if len(found) > limit else None)


def due(connection: Connection, now_ms: int, limit: int) -> tuple[Schedule, ...]:
    return tuple(rows.schedule_of(row) for row in connection.execute(queries.due_schedules(now_ms, limit)))


def next_ms(connection: Connection) -> int | None:
    found: int | None = connection.scalar(queries.next_schedule())
    return found


def planned_after(connection: Connection, at_ms: int, limit: int) -> tuple[Schedule, ...]:
    found = connection.execute(queries.schedules_planned_after(at_ms, limit))
    return tuple(rows.schedule_of(row) for row in found)


def runs(
    connection: Connection, sql: BatchStatements, schedule_id: ScheduleId, after: str | None, limit: int
) -> Page[RunView]:
    """Raises UnknownSchedule."""
    schedule(connection, schedule_id)
    limit = bounded(limit)
    place = None if after is None else place_of(after, tuple[str])[0]
    found = connection.execute(queries.runs_page(schedule_id, place, limit + 1)).all()
    listed = [rows.run_of(row) for row in found[:limit]]
    return Page(_views(connection, sql, listed), cursor_of((listed[-1].id,)) if len(found) > limit else None)


def run(connection: Connection, sql: BatchStatements, schedule_id: ScheduleId, run_id: RunId) -> RunView:
    """Raises UnknownSchedule if there is no such run of it (any more)."""
    row = connection.execute(queries.run_by_id(schedule_id, run_id)).first()
    if row is None:
        raise UnknownSchedule(f"There is no run {run_id} of {schedule_id}.")
    return _views(connection, sql, [rows.run_of(row)])[0]


def _views(connection: Connection, sql: BatchStatements, listed: list[Run]) -> tuple[RunView, ...]:
    wanted = [message for run in listed for message in run.messages]
    found = messages_of(connection, sql, sql.messages_by_id.read(connection, wanted), set())
    by_id: dict[str, Message] = {kept.message.id: kept.message for kept in found}
    return tuple(RunView(run, tuple(by_id[id] for id in run.messages if id in by_id)) for run in listed)
