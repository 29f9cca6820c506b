"""Rows of events."""

from __future__ import annotations

from yizhan.model import AccountId, ChatId, Event
from yizhan.store.rows.kept import Row, Values


def event_of(row: Row) -> Event:
    event_id, at_ms, kind, account, chat, stored = row
    return Event(
        id=event_id,
        at_ms=at_ms,
        type=kind,
        account=None if account is None else AccountId(account),
        chat=None if chat is None else ChatId(chat),
        data=stored.encode(),
    )


def event_values(event: Event) -> Values:
    return {
        "id": event.id,
        "at_ms": event.at_ms,
        "type": event.type,
        "account": event.account,
        "chat": event.chat,
        "data": event.data.decode(),
    }
