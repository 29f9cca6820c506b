"""Rows whose keys are known: what a batch of writes loads, one statement per table for all its operations.

The keys are a list and become an expanding parameter. A read that wants one row asks with a list of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, and_, select, text, tuple_

from yizhan.model import AccountId, MessageClass
from yizhan.store import tables as t
from yizhan.store.queries.terms import LIVE
from yizhan.store.rows.outbox import rank


def accounts_by_id(ids: Iterable[AccountId]) -> Select[Any]:
    """These accounts."""
    return select(t.account).where(t.account.c.id.in_(list(ids)))


def chats_by_key(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """These chats, by account and name."""
    return select(t.chat).where(tuple_(t.chat.c.account, t.chat.c.id).in_(list(keys)))


def messages_by_id(ids: Iterable[str]) -> Select[Any]:
    """These messages."""
    return select(t.message).where(t.message.c.id.in_(list(ids)))


def messages_by_key(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """The messages that were accepted with these idempotency keys, by account and key."""
    pairs = tuple_(t.message.c.account, t.message.c.idempotency_key).in_(list(keys))
    return select(t.message).where(pairs, t.message.c.idempotency_key.is_not(None))


def entries_of(ids: Iterable[str]) -> Select[Any]:
    """The entries of these messages, in order."""
    same = and_(t.entry.c.account == t.message.c.account, t.entry.c.message_id == t.message.c.id)
    return (
        select(t.entry)
        .join_from(t.message, t.entry, same)
        .where(t.message.c.id.in_(list(ids)))
        .order_by(t.entry.c.message_id, t.entry.c.no)
    )


def attempts_of(ids: Iterable[str]) -> Select[Any]:
    """The attempts at these messages, in order."""
    same = and_(t.attempt.c.account == t.message.c.account, t.attempt.c.message_id == t.message.c.id)
    return (
        select(t.attempt)
        .join_from(t.message, t.attempt, same)
        .where(t.message.c.id.in_(list(ids)))
        .order_by(t.attempt.c.message_id, t.attempt.c.no, t.attempt.c.n)
    )


def attempt_by_key(account: str, message_id: str, no: int, n: int) -> Select[Any]:
    """One attempt."""
    a = t.attempt
    return select(a).where(a.c.account == account, a.c.message_id == message_id, a.c.no == no, a.c.n == n)


_UNTOUCHED_PROGRESS = text(f"message.rank = {rank(MessageClass.PROGRESS, was_begun=False)}")


def live_progress_of(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """The progress messages of these chats of which nothing has been sent, by account and chat. Reads the index of
    lanes at the rank that only they have, so that a long lane costs nothing."""
    chats = tuple_(t.message.c.account, t.message.c.chat).in_(list(keys))
    return select(t.message.c.id).where(LIVE, chats, _UNTOUCHED_PROGRESS)


def inbound_by_id(ids: Iterable[str]) -> Select[Any]:
    """These inbound messages, in order of arrival."""
    return (
        select(t.inbound)
        .where(t.inbound.c.id.in_(list(ids)))
        .order_by(t.inbound.c.received_at_ms, t.inbound.c.seq)
    )


def inbound_by_platform_id(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """The inbound messages with these platform ids, by account and id."""
    pairs = tuple_(t.inbound.c.account, t.inbound.c.platform_message_id).in_(list(keys))
    return select(t.inbound).where(pairs, t.inbound.c.platform_message_id.is_not(None))


def inbound_of_moments(keys: Iterable[tuple[str, str, int]]) -> Select[Any]:
    """What these senders wrote at exactly these times of the platform, by account, sender and time."""
    moments = tuple_(t.inbound.c.account, t.inbound.c.sender_id, t.inbound.c.sent_at_ms).in_(list(keys))
    return select(t.inbound).where(moments, text("inbound.sent_at_ms > 0"))


def sessions_by_key(keys: Iterable[tuple[str, str, str]]) -> Select[Any]:
    """These sessions."""
    c = t.session.c
    return select(t.session).where(tuple_(c.account, c.chat, c.person).in_(list(keys)))


def turns_by_id(ids: Iterable[str]) -> Select[Any]:
    """These turns."""
    return select(t.turn).where(t.turn.c.id.in_(list(ids)))


def tokens_of(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """Every reply token of these chats, newest first."""
    token = t.reply_token
    chats = tuple_(token.c.account, token.c.chat).in_(list(keys))
    return select(token).where(chats).order_by(token.c.account, token.c.chat, token.c.seq.desc())


def ledgers_of(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """Every allowance of these chats, newest last."""
    row = t.allowance
    return select(row).where(tuple_(row.c.account, row.c.chat).in_(list(keys))).order_by(row.c.seq)


def rules_by_key(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """What is known of these senders, by account and sender."""
    rule = t.sender_rule
    return select(rule).where(tuple_(rule.c.account, rule.c.sender_id).in_(list(keys)))


def schedules_by_id(ids: Iterable[str]) -> Select[Any]:
    """These schedules."""
    return select(t.schedule).where(t.schedule.c.id.in_(list(ids)))


def runs_by_key(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """The runs of schedules that have happened already, of these, by schedule and key."""
    r = t.schedule_run
    return select(r).where(tuple_(r.c.schedule, r.c.key).in_(list(keys)))
