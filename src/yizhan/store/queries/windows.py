"""What the windows show: pages of chats, messages and turns, a chat's timeline, events, and what is counted."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Table, TextClause, distinct, func, select, text, tuple_

from yizhan.model import AccountId, MessageState
from yizhan.ports import MessageFilter, TurnFilter
from yizhan.store import tables as t
from yizhan.store.queries.terms import DEAD, LIVE, OPEN


def chats_page(
    account: AccountId | None, after: tuple[int, str, str] | None, limit: int, containing: str
) -> Select[Any]:
    """Chats, those with the newest activity first; only those whose name or id contains something."""
    c = t.chat
    query = select(c).order_by(c.c.activity_at_ms.desc(), c.c.account, c.c.id).limit(limit)
    if account is not None:
        query = query.where(c.c.account == account)
    if containing:
        query = query.where(_contains(c.c.title, containing) | _contains(c.c.id, containing))
    if after is not None:
        at_ms, after_account, after_id = after
        behind = tuple_(c.c.account, c.c.id) > tuple_(after_account, after_id)
        query = query.where((c.c.activity_at_ms < at_ms) | ((c.c.activity_at_ms == at_ms) & behind))
    return query


def messages_page(where: MessageFilter, before_id: str | None, limit: int) -> Select[Any]:
    """Messages of a filter, newest first."""
    return _page_of(t.message, where, before_id, limit)


def turns_page(where: TurnFilter, before_id: str | None, limit: int) -> Select[Any]:
    """Turns of a filter, newest first."""
    return _page_of(t.turn, where, before_id, limit)


def _page_of(
    table: Table, where: MessageFilter | TurnFilter, before_id: str | None, limit: int
) -> Select[Any]:
    query = select(table).where(*_conditions(table, where)).order_by(table.c.id.desc()).limit(limit)
    return query if before_id is None else query.where(table.c.id < before_id)


_LIVE_STATES = frozenset(state for state in MessageState if state.live)
_DEAD_STATES = frozenset({MessageState.FAILED, MessageState.EXPIRED})


def _conditions(table: Table, where: MessageFilter | TurnFilter) -> list[ColumnElement[bool] | TextClause]:
    conditions = _of_messages(where) if isinstance(where, MessageFilter) else []
    if where.account is not None:
        conditions.append(table.c.account == where.account)
    if where.chat is not None:
        conditions.append(table.c.chat == where.chat)
    if where.states:
        conditions.append(table.c.state.in_(sorted(state.value for state in where.states)))
    if where.since_ms is not None:
        conditions.append(table.c.created_at_ms >= where.since_ms)
    return conditions


def _of_messages(where: MessageFilter) -> list[ColumnElement[bool] | TextClause]:
    """Where only live rows, or only dead letters, are wanted, their small index is named."""
    conditions: list[ColumnElement[bool] | TextClause] = []
    if where.states and where.states <= _LIVE_STATES:
        conditions.append(LIVE)
    if where.states and where.states <= _DEAD_STATES:
        conditions.append(DEAD)
    if where.cause:
        m = t.message
        conditions.append((m.c.waiting_for == where.cause) | (m.c.reason_code == where.cause))
    return conditions


SPOKEN = (t.inbound, t.message)
"""Tables of a chat whose rows have words of their own."""


def timeline_part(
    table: Table, account: str, chat: str, before_seq: int | None, limit: int, containing: str
) -> Select[Any]:
    """The newest rows of one table in a chat, newest first; four tables share the positions of a chat."""
    query = select(table).where(table.c.account == account, table.c.chat == chat)
    if containing:
        query = query.where(_contains(table.c.text, containing))
    if before_seq is not None:
        query = query.where(table.c.seq < before_seq)
    return query.order_by(table.c.seq.desc()).limit(limit)


def _contains(column: ColumnElement[str], words: str) -> ColumnElement[bool]:
    """Whether a text holds these words, whatever their case; nothing in them is a pattern."""
    return column.icontains(words, autoescape=True)


def events_after(after_id: int, limit: int) -> Select[Any]:
    """Events behind a position, in order."""
    return select(t.event).where(t.event.c.id > after_id).order_by(t.event.c.id).limit(limit)


def oldest_event() -> Select[Any]:
    """The id of the oldest event that is kept."""
    return select(func.min(t.event.c.id))


def newest_event() -> Select[Any]:
    """The id of the newest event there ever was."""
    return select(t.counter.c.value).where(t.counter.c.name == "event")


def live_counts() -> Select[Any]:
    """Live messages by account, state and what they wait for; when the oldest of each was accepted, and which it is
    (ids sort by time of acceptance)."""
    m = t.message
    return (
        select(
            m.c.account,
            m.c.state,
            m.c.waiting_for,
            func.count(),
            func.min(m.c.created_at_ms),
            func.min(m.c.id),
        )
        .where(LIVE)
        .group_by(m.c.account, m.c.state, m.c.waiting_for)
    )


def states_by_time(since_ms: int, step_ms: int) -> Select[Any]:
    """How many messages accepted since a time are in which state, by steps of time. Reads the index of times from
    there on."""
    m = t.message
    step = ((m.c.created_at_ms - since_ms) // step_ms).label("step")
    since = m.c.created_at_ms >= since_ms
    return select(step, m.c.state, func.count()).where(since).group_by(text("step"), m.c.state)


def open_turn_count() -> Select[Any]:
    """How many turns have not ended."""
    return select(func.count(distinct(t.turn.c.id))).where(OPEN)
