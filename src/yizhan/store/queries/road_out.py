"""The road out: what is still owed and to whom, whose time is over, what was on the wire, what a receipt names."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, Select, and_, bindparam, exists, func, select

from yizhan.core.allowance import NOTICE_SOURCE
from yizhan.model import AccountId, MessageClass, MessageState, WaitingFor
from yizhan.store import tables as t
from yizhan.store.queries.terms import LIVE


def chats_with_live_messages() -> Select[Any]:
    """Every chat to which the gateway still owes a message."""
    return select(t.message.c.account, t.message.c.chat).where(LIVE).distinct()


def paused_chats() -> Select[Any]:
    """Every chat that a person holds back."""
    return select(t.chat.c.account, t.chat.c.id).where(t.chat.c.paused == 1)


_UNSENT = (MessageState.QUEUED.value, MessageState.WAITING.value, MessageState.SENDING.value)


def parts_left(account: str, chat: str, now_ms: int) -> Select[Any]:
    """How many parts of a chat are still to be sent: progress, notices about allowances, and what has a later date
    aside."""
    m, e = t.message, t.entry
    same = and_(e.c.account == m.c.account, e.c.message_id == m.c.id)
    return (
        select(func.count())
        .select_from(m.join(e, same))
        .where(LIVE, m.c.account == account, m.c.chat == chat, m.c.source != NOTICE_SOURCE)
        .where(m.c["class"] != int(MessageClass.PROGRESS), e.c.state.in_(_UNSENT))
        .where(func.coalesce(m.c.not_before_ms, 0) <= now_ms)
    )


def _due_messages() -> Select[Any]:
    """Live messages whose time is over (`at_ms`) and that still have an entry which is not on the wire; at most `most`.

    Asked again and again, so it is put together once.
    """
    off_the_wire = exists().where(
        t.entry.c.account == t.message.c.account,
        t.entry.c.message_id == t.message.c.id,
        t.entry.c.state.in_([MessageState.QUEUED.value, MessageState.WAITING.value]),
    )
    return (
        select(t.message.c.id)
        .where(LIVE, t.message.c.expires_at_ms <= bindparam("at_ms"), off_the_wire)
        .order_by(t.message.c.expires_at_ms)
        .limit(bindparam("most", type_=Integer))
    )


DUE_MESSAGES = _due_messages()


def _unheard_of() -> Select[Any]:
    """Messages that are held back for an audit and were sent before `before_ms`; at most `most`. Looks at every live
    row, so it is asked rarely."""
    a = t.attempt
    sent_since = exists().where(
        a.c.account == t.message.c.account,
        a.c.message_id == t.message.c.id,
        a.c.at_ms > bindparam("before_ms"),
    )
    return (
        select(t.message.c.id)
        .where(LIVE, t.message.c.waiting_for == WaitingFor.AUDIT.value, ~sent_since)
        .limit(bindparam("most", type_=Integer))
    )


UNHEARD_OF = _unheard_of()
NEXT_EXPIRY = select(func.min(t.message.c.expires_at_ms)).where(LIVE)


def sending_messages() -> Select[Any]:
    """Messages with an entry that was on the wire when the gateway ended."""
    return select(t.message.c.id).where(LIVE, t.message.c.state == MessageState.SENDING.value)


def live_messages_of(account: AccountId) -> Select[Any]:
    """Every live message of an account."""
    return select(t.message.c.id).where(LIVE, t.message.c.account == account)


def text_with_receipt(account: AccountId, receipt: str) -> Select[Any]:
    """The text of the part that the platform acknowledged so."""
    return select(t.entry.c.text).where(t.entry.c.account == account, t.entry.c.receipt == receipt).limit(1)


def parts_with_receipt(account: AccountId, receipt: str) -> Select[Any]:
    """Messages and numbers of the parts that the platform named so."""
    e = t.entry
    return select(e.c.message_id, e.c.no).where(e.c.account == account, e.c.receipt == receipt).limit(8)


def messages_of_turn(account: str, turn: str) -> Select[Any]:
    """What a turn has said; its messages are found by their keys."""
    m, first = t.message, f"turn:{turn}:"
    within = (m.c.idempotency_key >= first, m.c.idempotency_key < f"turn:{turn};")
    return select(m).where(m.c.account == account, m.c.idempotency_key.is_not(None), *within)
