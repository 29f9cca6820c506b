"""The road in: what was heard and still asks something of us, the turns that answer it, and a session's words."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, and_, exists, or_, select

from yizhan.model import Access, AccountId, ChatSession, Dispatch, MessageClass, Target, Turn, TurnState
from yizhan.ports import UNHEARD
from yizhan.store import tables as t
from yizhan.store.queries.terms import OPEN, PENDING


def text_with_platform_id(account: AccountId, platform_id: str) -> Select[Any]:
    """The text of the inbound message that the platform calls so."""
    i = t.inbound
    return select(i.c.text).where(i.c.account == account, i.c.platform_message_id == platform_id)


def answer_to(turn: Turn, seq: int) -> Select[Any]:
    """A program's answer to what a turn answers, accepted after the turn took its place in the chat."""
    m = t.message
    return (
        select(m.c.id)
        .where(m.c.account == turn.account, m.c.chat == turn.chat, m.c.seq > seq, m.c.turn_id.is_(None))
        .where(m.c.in_reply_to.in_(turn.inbound_ids), m.c["class"] != int(MessageClass.PROGRESS))
        .limit(1)
    )


def pending_inbound() -> Select[Any]:
    """What still waits for a turn or a command, oldest first."""
    i = t.inbound
    return select(i).where(PENDING, i.c.turn_id.is_(None)).order_by(i.c.received_at_ms, i.c.seq, i.c.id)


def pending_inbound_of(account: AccountId) -> Select[Any]:
    """What an account heard that still asks something of us."""
    return select(t.inbound.c.id).where(PENDING, t.inbound.c.account == account)


def pending_inbound_in(target: Target) -> Select[Any]:
    """What was heard in a chat and still waits for an answer; commands to the gateway aside."""
    i = t.inbound
    return select(i.c.id).where(
        PENDING,
        i.c.account == target.account,
        i.c.chat == target.chat,
        i.c.dispatch == Dispatch.TURN.value,
    )


def open_turns() -> Select[Any]:
    """Turns that have not ended, oldest first."""
    return select(t.turn).where(OPEN).order_by(t.turn.c.created_at_ms, t.turn.c.id)


def open_turns_of(account: AccountId) -> Select[Any]:
    """Every turn of an account that has not ended."""
    return select(t.turn.c.id).where(OPEN, t.turn.c.account == account)


def open_turns_in(target: Target) -> Select[Any]:
    """Every turn of a chat that has not ended."""
    u = t.turn
    return select(u.c.id).where(OPEN, u.c.account == target.account, u.c.chat == target.chat)


def heard_lines(session: ChatSession, limit: int) -> Select[Any]:
    """What allowed senders said in a session, newest first, and whether no agent has heard it; of one person: what he
    said."""
    i, u = t.inbound, t.turn
    unasked = and_(i.c.turn_id.is_(None), i.c.dispatch == Dispatch.DONE.value)
    unreached = and_(u.c.state == TurnState.FAILED.value, u.c.reason_code.in_(sorted(UNHEARD)))
    query = (
        select(i.c.seq, i.c.text, i.c.received_at_ms, or_(unasked, unreached))
        .outerjoin(u, u.c.id == i.c.turn_id)
        .where(i.c.account == session.account, i.c.chat == session.chat)
        .where(i.c.access == Access.ALLOWED.value, i.c.received_at_ms >= session.since_ms)
        .order_by(i.c.seq.desc())
        .limit(limit)
    )
    return query.where(i.c.sender_id == session.person) if session.person else query


_ASIDE = (int(MessageClass.NOTICE), int(MessageClass.PROGRESS))


def said_lines(session: ChatSession, limit: int) -> Select[Any]:
    """What we said, or still owe, in a session, newest first; notices and progress are not part of the conversation.
    Of one person: what answered him, and what was said to all."""
    m, i = t.message, t.inbound
    query = (
        select(m.c.seq, m.c.text, m.c.created_at_ms, m.c.state, m.c.turn_id, m.c.in_reply_to)
        .where(m.c.account == session.account, m.c.chat == session.chat)
        .where(m.c["class"].not_in(_ASIDE), m.c.created_at_ms >= session.since_ms)
        .order_by(m.c.seq.desc())
        .limit(limit)
    )
    if not session.person:
        return query
    to_him = exists().where(i.c.id == m.c.in_reply_to, i.c.sender_id == session.person)
    return query.where(m.c.in_reply_to.is_(None) | to_him)


def asked_since(at_ms: int) -> Select[Any]:
    """Who was heard and asked for something since a time: account, sender and time, oldest first."""
    i = t.inbound
    turned_to = i.c.turn_id.is_not(None) | (i.c.dispatch == Dispatch.TURN.value)
    return (
        select(i.c.account, i.c.sender_id, i.c.received_at_ms)
        .where(i.c.received_at_ms > at_ms, i.c.access == Access.ALLOWED.value, turned_to)
        .order_by(i.c.received_at_ms)
    )
