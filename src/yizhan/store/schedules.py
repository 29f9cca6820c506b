"""The reads of schedules: what is due, and what runs have become."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from yizhan.errors import UnknownSchedule
from yizhan.model import Message, Run, RunId, Schedule, ScheduleId, Turn
from yizhan.ports import Page, RunView
from yizhan.store import rows
from yizhan.store.messages import messages_of
from yizhan.store.pages import cursor_of, place_of
from yizhan.store.queries import by_key, road_out
from yizhan.store.queries.schedules import (
    due_schedules,
    next_schedule,
    run_by_id,
    runs_page,
    schedules_page,
    schedules_planned_after,
)
from yizhan.store.reads import bounded
from yizhan.store.rows import Row
from yizhan.store.statements import BatchStatements


def schedule(connection: Connection, schedule_id: ScheduleId) -> Schedule:
    """Raises UnknownSchedule."""
    row = connection.execute(by_key.schedules_by_id([schedule_id])).first()
    if row is None:
        raise UnknownSchedule(
            f"There is no schedule {schedule_id}.", "See the schedules with `yizhan schedule list`."
        )
    return rows.schedule_of(row)


def schedules(connection: Connection, after: str | None, limit: int) -> Page[Schedule]:
    limit = bounded(limit)
    place = None if after is None else place_of(after, tuple[str])[0]
    found = connection.execute(schedules_page(place, limit + 1)).all()
    listed = tuple(rows.schedule_of(row) for row in found[:limit])
    return Page(listed, cursor_of((listed[-1].id,)) if len(found) > limit else None)


def due(connection: Connection, now_ms: int, limit: int) -> tuple[Schedule, ...]:
    return tuple(rows.schedule_of(row) for row in connection.execute(due_schedules(now_ms, limit)))


def next_ms(connection: Connection) -> int | None:
    found: int | None = connection.scalar(next_schedule())
    return found


def planned_after(connection: Connection, at_ms: int, limit: int) -> tuple[Schedule, ...]:
    found = connection.execute(schedules_planned_after(at_ms, limit))
    return tuple(rows.schedule_of(row) for row in found)


def runs(
    connection: Connection, sql: BatchStatements, schedule_id: ScheduleId, after: str | None, limit: int
) -> Page[RunView]:
    """Raises UnknownSchedule."""
    schedule(connection, schedule_id)
    limit = bounded(limit)
    place = None if after is None else place_of(after, tuple[str])[0]
    found = connection.execute(runs_page(schedule_id, place, limit + 1)).all()
    listed = [rows.run_of(row) for row in found[:limit]]
    return Page(_views(connection, sql, listed), cursor_of((listed[-1].id,)) if len(found) > limit else None)


def run(connection: Connection, sql: BatchStatements, schedule_id: ScheduleId, run_id: RunId) -> RunView:
    """Raises UnknownSchedule if there is no such run of it (any more)."""
    row = connection.execute(run_by_id(schedule_id, run_id)).first()
    if row is None:
        raise UnknownSchedule(f"There is no run {run_id} of {schedule_id}.")
    return _views(connection, sql, [rows.run_of(row)])[0]


def _views(connection: Connection, sql: BatchStatements, listed: list[Run]) -> tuple[RunView, ...]:
    """With their messages, and of what they asked, the turns and what those have said."""
    turns = {run.id: _turns(connection, sql, run) for run in listed}
    rows_of_messages = [
        *sql.messages_by_id.read(connection, [message for run in listed for message in run.messages]),
        *(row for found in turns.values() for turn in found for row in _said(connection, turn)),
    ]
    found = [kept.message for kept in messages_of(connection, sql, rows_of_messages, set())]
    return tuple(RunView(run, _of_run(run, turns[run.id], found), turns[run.id]) for run in listed)


def _of_run(run: Run, turns: tuple[Turn, ...], found: list[Message]) -> tuple[Message, ...]:
    by_id = {message.id: message for message in found}
    ids = {turn.id for turn in turns}
    own = [by_id[message] for message in run.messages if message in by_id]
    return (*own, *(message for message in found if message.turn_id in ids))


def _turns(connection: Connection, sql: BatchStatements, run: Run) -> tuple[Turn, ...]:
    asked = [rows.inbound_of(row).inbound for row in sql.inbound_by_id.read(connection, run.asked)]
    ids = [question.turn_id for question in asked if question.turn_id is not None]
    return tuple(rows.turn_of(row).turn for row in sql.turns_by_id.read(connection, ids))


def _said(connection: Connection, turn: Turn) -> Sequence[Row]:
    return connection.execute(road_out.messages_of_turn(turn.account, turn.id)).all()
