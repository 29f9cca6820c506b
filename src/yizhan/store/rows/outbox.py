"""Rows of what we promised to send: messages, their entries, the attempts at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from yizhan.core.window import first
from yizhan.model import Attempt, Entry, Message, MessageClass, MessageId, MessageState
from yizhan.store.rows.kept import KeptMessage, Row, Values, reason_of, waiting_of


def rank(klass: MessageClass, was_begun: bool) -> int:
    """Place of a live message in its lane: begun ones first, then by class. Equal ranks go by position."""
    return int(klass) + (0 if was_begun else len(MessageClass))


def rank_of(message: Message) -> int:
    return rank(message.klass, first(message))


def message_of(row: Row, entries: tuple[Entry, ...] = ()) -> KeptMessage:
    (
        account,
        chat,
        seq,
        message_id,
        klass,
        source,
        text,
        created_at_ms,
        expires_at_ms,
        state,
        waiting_for,
        next_attempt_at_ms,
        code,
        reason_text,
        possibly_doubled,
        idempotency_key,
        body_sha256,
        in_reply_to,
        turn_id,
        ordinal,
        not_before_ms,
        finished_at_ms,
        _,
        _,
    ) = row
    message = Message(
        id=message_id,
        account=account,
        chat=chat,
        seq=seq,
        klass=MessageClass(klass),
        source=source,
        text=text,
        created_at_ms=created_at_ms,
        expires_at_ms=expires_at_ms,
        entries=entries,
        state=MessageState(state),
        waiting_for=waiting_of(waiting_for),
        next_attempt_at_ms=next_attempt_at_ms,
        reason=reason_of(code, reason_text),
        possibly_doubled=bool(possibly_doubled),
        idempotency_key=idempotency_key,
        in_reply_to=in_reply_to,
        turn_id=turn_id,
        ordinal=ordinal,
        not_before_ms=not_before_ms,
        finished_at_ms=finished_at_ms,
    )
    return KeptMessage(message, body_sha256)


def message_values(kept: KeptMessage) -> Values:
    message = kept.message
    return message_changes(message) | {
        "id": message.id,
        "class": int(message.klass),
        "source": message.source,
        "text": message.text,
        "created_at_ms": message.created_at_ms,
        "idempotency_key": message.idempotency_key,
        "body_sha256": kept.body_sha256,
        "in_reply_to": message.in_reply_to,
        "turn_id": message.turn_id,
        "ordinal": message.ordinal,
        "not_before_ms": message.not_before_ms,
    }


def message_changes(message: Message) -> dict[str, Any]:
    """The message's key and every column that changes after it was accepted."""
    return {
        "account": message.account,
        "chat": message.chat,
        "seq": message.seq,
        "expires_at_ms": message.expires_at_ms,
        "state": message.state.value,
        "waiting_for": message.waiting_for and message.waiting_for.value,
        "next_attempt_at_ms": message.next_attempt_at_ms,
        "reason_code": message.reason and message.reason.code,
        "reason_text": message.reason and message.reason.text,
        "possibly_doubled": int(message.possibly_doubled),
        "finished_at_ms": message.finished_at_ms,
        "live": int(message.state.live),
        "rank": rank_of(message),
    }


def entry_of(row: Row, attempts: tuple[Attempt, ...] = ()) -> Entry:
    (
        _,
        _,
        no,
        text,
        client_id,
        state,
        waiting_for,
        next_attempt_at_ms,
        code,
        reason_text,
        receipt,
        attempts_made,
        possibly_doubled,
        in_doubt,
        sent_as,
        form,
    ) = row
    return Entry(
        no=no,
        text=text,
        client_id=client_id,
        state=MessageState(state),
        waiting_for=waiting_of(waiting_for),
        next_attempt_at_ms=next_attempt_at_ms,
        reason=reason_of(code, reason_text),
        receipt=receipt,
        attempts_made=attempts_made,
        possibly_doubled=bool(possibly_doubled),
        in_doubt=bool(in_doubt),
        sent_as=sent_as,
        form=form,
        attempts=attempts,
    )


def entry_values(message: Message, entry: Entry) -> Values:
    return entry_changes(message, entry) | {"text": entry.text, "client_id": entry.client_id}


def entry_changes(message: Message, entry: Entry) -> dict[str, Any]:
    """The entry's key and every column that changes after it was accepted."""
    return {
        "account": message.account,
        "message_id": message.id,
        "no": entry.no,
        "state": entry.state.value,
        "waiting_for": entry.waiting_for and entry.waiting_for.value,
        "next_attempt_at_ms": entry.next_attempt_at_ms,
        "reason_code": entry.reason and entry.reason.code,
        "reason_text": entry.reason and entry.reason.text,
        "receipt": entry.receipt,
        "attempts_made": entry.attempts_made,
        "possibly_doubled": int(entry.possibly_doubled),
        "in_doubt": int(entry.in_doubt),
        "sent_as": entry.sent_as,
        "form": entry.form,
    }


def attempt_of(row: Row) -> Attempt:
    _, _, _, n, at_ms, with_token, ended_at_ms, verdict, code, text = row
    return Attempt(n, at_ms, bool(with_token), ended_at_ms, verdict, code, text)


def attempt_values(message: Message, no: int, attempt: Attempt) -> Values:
    return {
        "account": message.account,
        "message_id": message.id,
        "no": no,
        "n": attempt.n,
        "at_ms": attempt.at_ms,
        "with_token": int(attempt.with_token),
        "ended_at_ms": attempt.ended_at_ms,
        "verdict": attempt.verdict,
        "code": attempt.code,
        "text": attempt.text,
    }


def with_attempts(message: Message, attempts: Mapping[int, tuple[Attempt, ...]]) -> Message:
    """The message with the attempts of its entries, given by the entries' numbers."""
    entries = tuple(replace(entry, attempts=attempts.get(entry.no, ())) for entry in message.entries)
    return replace(message, entries=entries)


def message_id_of(row: Row) -> MessageId:
    """The id in a row of the message table."""
    return MessageId(row[3])
