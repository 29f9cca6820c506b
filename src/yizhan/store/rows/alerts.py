"""Rows of alerts."""

from __future__ import annotations

from yizhan.model import AccountId, Alert, AlertKind, ChatId, MessageId, Severity
from yizhan.store.rows.kept import Row, Values


def alert_of(row: Row) -> Alert:
    alert_id, kind, severity, account, chat, message, text, action, since, last_seen, count, cleared = row
    return Alert(
        id=alert_id,
        kind=AlertKind(kind),
        severity=Severity(severity),
        account=None if account is None else AccountId(account),
        chat=None if chat is None else ChatId(chat),
        message=None if message is None else MessageId(message),
        text=text,
        action=action,
        since_ms=since,
        last_seen_ms=last_seen,
        count=count,
        cleared_at_ms=cleared,
    )


def alert_values(alert: Alert) -> Values:
    return {
        "id": alert.id,
        "kind": alert.kind.value,
        "severity": alert.severity.value,
        "account": alert.account,
        "chat": alert.chat,
        "message_id": alert.message,
        "text": alert.text,
        "action": alert.action,
        "since_ms": alert.since_ms,
        "last_seen_ms": alert.last_seen_ms,
        "count": alert.count,
        "cleared_at_ms": alert.cleared_at_ms,
    }
