"""The public shapes: what programs see of a message, an account, a turn (docs/contract.md).

The one place where our values become the names that other programs rely on. The store keeps events in
these shapes, the API answers with the same ones; both encode them at their own edge. Message text stands
only in `message.received` and in the timeline; tokens, cursors and keys stand nowhere.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from yizhan.core.text import clean
from yizhan.model import (
    Account,
    AccountState,
    Alert,
    Attempt,
    Chat,
    Entry,
    Inbound,
    Message,
    MessageClass,
    Reason,
    Run,
    Schedule,
    SenderRule,
    Suppressed,
    Target,
    Turn,
    Webhook,
)

PRIORITIES = {
    "reply": MessageClass.REPLY,
    "notice": MessageClass.NOTICE,
    "push": MessageClass.PUSH,
    "progress": MessageClass.PROGRESS,
}
"""Names of the classes. The API accepts all but `notice`, which is the gateway's own."""

EVENT_TYPES = (
    "message.state",
    "message.received",
    "turn.state",
    "account.state",
    "chat.state",
    "alert",
    "schedule.run",
)
"""Every type of event. Message text stands in `message.received` only."""

JsonObject = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999


def time_text(at_ms: int | None) -> str | None:
    """RFC 3339, UTC, milliseconds: `2026-11-21T08:00:00.000Z`."""
    if at_ms is None:
        return None
    return f"{_second_text(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _second_text(at_s: int) -> str:
    """Times cluster: most of what is encoded within a second shares it."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}"


def parse_time(text: str) -> int:
    """RFC 3339 with an offset → ms since the epoch.

    Raises: ValueError  not a time, without an offset, or not between the years 1970 and 9999
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset, for example 2026-11-21T08:00:00Z")
    at_ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    if not 0 <= at_ms <= _LAST_MS:
        raise ValueError("a time must lie between the years 1970 and 9999")
    return at_ms


def reason_object(reason: Reason | None) -> JsonObject | None:
    return None if reason is None else {"code": clean(reason.code), "text": clean(reason.text)}


def message_object(message: Message, with_attempts: bool = True) -> JsonObject:
    """The message object of docs/contract.md; in events it comes without its attempts."""
    return {
        "id": message.id,
        "to": str(message.target),
        "priority": message.klass.name.lower(),
        "idempotency_key": message.idempotency_key,
        "state": message.state.value,
        "waiting_for": message.waiting_for and message.waiting_for.value,
        "next_attempt_at": time_text(message.next_attempt_at_ms),
        "reason": reason_object(message.reason),
        "possibly_doubled": message.possibly_doubled,
        "in_reply_to": message.in_reply_to,
        "turn": message.turn_id,
        "created_at": time_text(message.created_at_ms),
        "expires_at": time_text(message.expires_at_ms),
        "parts": [_part_object(entry, with_attempts) for entry in message.entries],
    }


def _part_object(entry: Entry, with_attempts: bool) -> JsonObject:
    shape: JsonObject = {
        "no": entry.no,
        "state": entry.state.value,
        "waiting_for": entry.waiting_for and entry.waiting_for.value,
        "next_attempt_at": time_text(entry.next_attempt_at_ms),
        "reason": reason_object(entry.reason),
        "possibly_doubled": entry.possibly_doubled,
        "receipt": entry.receipt,
    }
    if with_attempts:
        shape["attempts"] = [_attempt_object(attempt) for attempt in entry.attempts]
    return shape


def _attempt_object(attempt: Attempt) -> JsonObject:
    return {
        "n": attempt.n,
        "at": time_text(attempt.at_ms),
        "ended_at": time_text(attempt.ended_at_ms),
        "with_token": attempt.with_token,
        "verdict": attempt.verdict,
        "code": attempt.code,
        "text": attempt.text and clean(attempt.text),
    }


def account_object(account: Account) -> JsonObject:
    """An account without anything secret. `action` says what a person must do, null when nobody must."""
    return {
        "id": account.id,
        "platform": account.platform,
        "state": account.state.value,
        "since": time_text(account.since_ms),
        "reason": reason_object(account.reason),
        "action": account.action or None,
        "paused": account.paused,
        "last_server_answer_at": time_text(account.last_server_answer_at_ms),
        "next_attempt_at": time_text(account.next_attempt_at_ms),
        "created_at": time_text(account.created_at_ms),
        "webhook": webhook_path(account) if account.credentials.webhook else None,
    }


def webhook_path(account: Account) -> str:
    """Where the platform posts what happens to an account that has a webhook."""
    return f"/webhooks/{account.platform}/{account.external_id}"


def chat_object(chat: Chat) -> JsonObject:
    return {
        "chat": str(chat.target),
        "account": chat.account,
        "kind": chat.kind,
        "title": chat.title,
        "paused": chat.paused,
        "taken_over_at": time_text(chat.taken_over_at_ms),
        "created_at": time_text(chat.created_at_ms),
        "last_inbound_at": time_text(chat.last_inbound_at_ms),
        "last_outbound_at": time_text(chat.last_outbound_at_ms),
        "unconfirmed_in_a_row": chat.ghosts,
    }


def inbound_object(inbound: Inbound) -> JsonObject:
    """The `message` member of a `message.received` event."""
    return {
        "id": inbound.id,
        "platform_message_id": inbound.platform_message_id,
        "sender": {"id": inbound.sender_id, "name": inbound.sender_name},
        "text": inbound.text,
        "quoted_text": inbound.quoted_text or None,
        "items": [{"kind": item.kind, "name": item.name, "size": item.size} for item in inbound.items],
        "sent_at": time_text(inbound.sent_at_ms or None),
        "received_at": time_text(inbound.received_at_ms),
    }


def turn_object(turn: Turn) -> JsonObject:
    return {
        "id": turn.id,
        "agent": turn.agent,
        "state": turn.state.value,
        "inbound": list(turn.inbound_ids),
        "outputs": turn.outputs,
        "reason": reason_object(turn.reason),
        "created_at": time_text(turn.created_at_ms),
        "started_at": time_text(turn.started_at_ms),
        "ended_at": time_text(turn.ended_at_ms),
    }


def turn_listed_object(turn: Turn) -> JsonObject:
    """A turn outside of its chat's timeline."""
    return {"chat": str(turn.target)} | turn_object(turn)


def suppressed_object(suppressed: Suppressed) -> JsonObject:
    return {
        "same_as": suppressed.original_id,
        "platform_message_id": suppressed.platform_message_id,
        "rule": suppressed.rule,
        "at": time_text(suppressed.at_ms),
    }


def timeline_object(row: Inbound | Turn | Message | Suppressed) -> JsonObject:
    """One row of a chat's timeline: `kind` says which of the four it is, `at` orders them."""
    match row:
        case Inbound():
            shape = {"kind": "inbound", "at": time_text(row.received_at_ms), "message": inbound_object(row)}
            return shape | {"access": row.access.value, "rule": row.rule or None, "turn": row.turn_id}
        case Turn():
            return {"kind": "turn", "at": time_text(row.created_at_ms), "turn": turn_object(row)}
        case Message():
            shape = {"kind": "outbound", "at": time_text(row.created_at_ms), "message": message_object(row)}
            return shape | {"text": row.text, "part_texts": [entry.text for entry in row.entries]}
        case Suppressed():
            return {"kind": "suppressed", "at": time_text(row.at_ms), "suppressed": suppressed_object(row)}


def rule_object(rule: SenderRule) -> JsonObject:
    return {
        "account": rule.account,
        "sender": {"id": rule.sender_id, "name": rule.sender_name},
        "rule": rule.rule.value,
        "first_text": rule.first_text,
        "first_seen_at": time_text(rule.first_seen_at_ms),
        "last_seen_at": time_text(rule.last_seen_at_ms),
        "refused": rule.refused,
        "refused_by": rule.refused_by or None,
        "code": rule.code or None,
        "decided_at": time_text(rule.decided_at_ms),
    }


def _event(kind: str, at_ms: int, target: Target | None, body: JsonObject) -> JsonObject:
    head: JsonObject = {"type": kind, "at": time_text(at_ms)}
    if target is not None:
        head |= {"account": target.account, "chat": str(target)}
    return head | body


def message_state_event(message: Message, at_ms: int) -> JsonObject:
    return _event("message.state", at_ms, message.target, {"message": message_object(message, False)})


def message_received_event(inbound: Inbound, at_ms: int) -> JsonObject:
    body = {
        "message": inbound_object(inbound),
        "access": inbound.access.value,
        "rule": inbound.rule or None,
    }
    return _event("message.received", at_ms, Target(inbound.account, inbound.chat), body)


def turn_state_event(turn: Turn, at_ms: int) -> JsonObject:
    return _event("turn.state", at_ms, Target(turn.account, turn.chat), {"turn": turn_object(turn)})


def account_state_event(account: Account, at_ms: int) -> JsonObject:
    body = {
        "account": account.id,
        "state": account.state.value,
        "reason": reason_object(account.reason),
        "next_attempt_at": time_text(account.next_attempt_at_ms),
        "action": account.action or None,
    }
    return _event("account.state", at_ms, None, body)


def chat_state_event(chat: Chat, at_ms: int) -> JsonObject:
    """Who may write there now: whether sending is held back, and whether a person answers instead of the agent."""
    body = {"paused": chat.paused, "taken_over_at": time_text(chat.taken_over_at_ms)}
    return _event("chat.state", at_ms, chat.target, body)


def alert_object(alert: Alert) -> JsonObject:
    """A trouble, open or cleared; it never holds message text."""
    chat = Target(alert.account, alert.chat) if alert.account and alert.chat else None
    return {
        "id": alert.id,
        "kind": alert.kind.value,
        "severity": alert.severity.value,
        "state": "open" if alert.open else "cleared",
        "account": alert.account,
        "chat": chat and str(chat),
        "message": alert.message,
        "text": clean(alert.text),
        "action": clean(alert.action) or None,
        "since": time_text(alert.since_ms),
        "last_seen": time_text(alert.last_seen_ms),
        "count": alert.count,
        "cleared_at": time_text(alert.cleared_at_ms),
    }


def alert_event(alert: Alert, at_ms: int) -> JsonObject:
    shape = alert_object(alert)
    about = {name: shape[name] for name in ("account", "chat") if shape[name] is not None}
    return _event("alert", at_ms, None, about | {"alert": shape})


def schedule_object(schedule: Schedule) -> JsonObject:
    """A schedule as its owner wrote it, and when it is due next."""
    return {
        "id": schedule.id,
        "name": schedule.name,
        "when": schedule.when,
        "zone": schedule.zone,
        "to": [str(target) for target in schedule.targets],
        "text": None if schedule.prompt else schedule.text,
        "prompt": schedule.text if schedule.prompt else None,
        "missed": schedule.missed.value,
        "missed_most": schedule.missed_most,
        "jitter_s": schedule.jitter_ms / 1000,
        "expires_after_s": None if schedule.lifetime_ms is None else schedule.lifetime_ms / 1000,
        "ends_at": time_text(schedule.ends_at_ms),
        "state": _schedule_state(schedule),
        "reason": reason_object(schedule.reason),
        "next_due_at": time_text(schedule.next_due_ms),
        "last_due_at": time_text(schedule.last_due_ms),
        "created_at": time_text(schedule.created_at_ms),
    }


def _schedule_state(schedule: Schedule) -> str:
    if schedule.paused:
        return "paused"
    if schedule.reason is not None:
        return "failing"
    return "ended" if schedule.next_due_ms is None else "active"


def run_object(run: Run) -> JsonObject:
    """A run without its messages, which are named."""
    return {
        "id": run.id,
        "schedule": run.schedule,
        "cause": run.cause.value,
        "state": run.state.value,
        "due_at": time_text(run.due_ms),
        "at": time_text(run.at_ms),
        "missed": run.missed,
        "messages": list(run.messages),
        "asked": list(run.asked),
        "refused": [{"to": str(target), "reason": reason_object(why)} for target, why in run.refused],
    }


def schedule_run_event(run: Run, schedule: Schedule) -> JsonObject:
    return _event("schedule.run", run.at_ms, None, {"name": schedule.name, "run": run_object(run)})


def webhook_object(hook: Webhook) -> JsonObject:
    """A webhook without its secret."""
    return {
        "id": hook.id,
        "url": hook.url,
        "types": sorted(hook.types),
        "private": hook.private,
        "account": hook.account,
        "state": "paused" if hook.paused else "failing" if hook.failures else "active",
        "cursor": str(hook.cursor),
        "failures": hook.failures,
        "failing_since": time_text(hook.failing_since_ms),
        "next_attempt_at": time_text(hook.next_attempt_at_ms),
        "last_success_at": time_text(hook.last_success_at_ms),
        "reason": reason_object(hook.reason),
        "missed": hook.missed,
        "created_at": time_text(hook.created_at_ms),
    }


ACCOUNT_STATES = tuple(state.value for state in AccountState)
