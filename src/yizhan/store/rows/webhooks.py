"""Rows of webhooks."""

from __future__ import annotations

import msgspec

from yizhan.model import AccountId, Post, Webhook
from yizhan.store.rows.kept import Row, Values, reason_of
from yizhan.store.secrets import Seal

_types = msgspec.json.Decoder(list[str])


def webhook_of(row: Row, seal: Seal) -> Webhook:
    (
        webhook_id,
        url,
        secret,
        created_at_ms,
        cursor,
        types,
        private,
        account,
        paused,
        generation,
        failures,
        failing_since_ms,
        next_attempt_at_ms,
        last_success_at_ms,
        code,
        text,
        missed,
    ) = row
    return Webhook(
        id=webhook_id,
        url=url,
        secret=seal.open(secret, secret_place(webhook_id)),
        created_at_ms=created_at_ms,
        cursor=cursor,
        types=frozenset(_types.decode(types)),
        private=bool(private),
        account=None if account is None else AccountId(account),
        paused=bool(paused),
        generation=generation,
        failures=failures,
        failing_since_ms=failing_since_ms,
        next_attempt_at_ms=next_attempt_at_ms,
        last_success_at_ms=last_success_at_ms,
        reason=reason_of(code, text),
        missed=missed,
    )


def webhook_values(hook: Webhook, seal: Seal) -> Values:
    return {
        "id": hook.id,
        "url": hook.url,
        "secret": seal.close(hook.secret, secret_place(hook.id)),
        "created_at_ms": hook.created_at_ms,
        "cursor": hook.cursor,
        "types": msgspec.json.encode(sorted(hook.types)).decode(),
        "private": int(hook.private),
        "account": hook.account,
        "paused": int(hook.paused),
        "generation": hook.generation,
        **webhook_progress(hook),
    }


def webhook_progress(hook: Webhook) -> Values:
    """What delivering changes."""
    return {
        "cursor": hook.cursor,
        "failures": hook.failures,
        "failing_since_ms": hook.failing_since_ms,
        "next_attempt_at_ms": hook.next_attempt_at_ms,
        "last_success_at_ms": hook.last_success_at_ms,
        "reason_code": hook.reason and hook.reason.code,
        "reason_text": hook.reason and hook.reason.text,
        "missed": hook.missed,
    }


def webhook_choice(hook: Webhook) -> Values:
    """What people change."""
    return {
        "url": hook.url,
        "types": msgspec.json.encode(sorted(hook.types)).decode(),
        "private": int(hook.private),
        "account": hook.account,
        "paused": int(hook.paused),
        "generation": hook.generation,
    }


def secret_place(webhook_id: str) -> str:
    return f"webhook.secret/{webhook_id}"


def post_of(row: Row) -> Post:
    webhook, event, event_type, at_ms, took_ms, status, code, text, tries = row
    return Post(webhook, event, event_type, at_ms, took_ms, status, reason_of(code, text), tries)


def post_values(post: Post) -> Values:
    return {
        "webhook": post.webhook,
        "event": post.event,
        "type": post.type,
        "at_ms": post.at_ms,
        "took_ms": post.took_ms,
        "status": post.status,
        "reason_code": post.reason and post.reason.code,
        "reason_text": post.reason and post.reason.text,
        "tries": post.tries,
    }
