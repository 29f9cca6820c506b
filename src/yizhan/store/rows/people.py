"""Rows of senders and of API keys."""

from __future__ import annotations

import msgspec

from yizhan.model import AccountId, ApiKey, Rule, SenderRule
from yizhan.store.rows.kept import Row, Values

_scopes_decoder = msgspec.json.Decoder(list[str])


def rule_of(row: Row) -> SenderRule:
    account, sender_id, sender_name, rule, first_text, first_seen, last_seen, refused, decided, by, code = row
    return SenderRule(
        account=AccountId(account),
        sender_id=sender_id,
        sender_name=sender_name,
        rule=Rule(rule),
        first_text=first_text,
        first_seen_at_ms=first_seen,
        last_seen_at_ms=last_seen,
        refused=refused,
        decided_at_ms=decided,
        refused_by=by,
        code=code,
    )


def rule_values(rule: SenderRule) -> Values:
    return {
        "account": rule.account,
        "sender_id": rule.sender_id,
        "sender_name": rule.sender_name,
        "rule": rule.rule.value,
        "first_text": rule.first_text,
        "first_seen_at_ms": rule.first_seen_at_ms,
        "last_seen_at_ms": rule.last_seen_at_ms,
        "refused": rule.refused,
        "decided_at_ms": rule.decided_at_ms,
        "refused_by": rule.refused_by,
        "code": rule.code,
    }


def key_of(row: Row) -> ApiKey:
    key_id, name, sha256, scopes, created_at_ms, revoked_at_ms = row
    return ApiKey(
        key_id, name, sha256, frozenset(_scopes_decoder.decode(scopes)), created_at_ms, revoked_at_ms
    )


def key_values(key: ApiKey) -> Values:
    return {
        "id": key.id,
        "name": key.name,
        "sha256": key.sha256,
        "scopes": msgspec.json.encode(sorted(key.scopes)).decode(),
        "created_at_ms": key.created_at_ms,
        "revoked_at_ms": key.revoked_at_ms,
    }
