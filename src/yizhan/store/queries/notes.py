"""What the store notes for itself: idempotency keys that are no message's, single values, secrets as they are kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Delete, Insert, Select, delete, insert, select

from yizhan.ports import Claim
from yizhan.store import tables as t


def claim_by_key(kind: str, key: str) -> Select[Any]:
    """Which id a key stands for, and what it was used for."""
    c = t.claim.c
    return select(c.id, c.body_sha256).where(c.kind == kind, c.key == key)


def add_claim(claim: Claim) -> Insert:
    """Writes down which id a key stands for."""
    return insert(t.claim).values(
        kind=claim.kind, key=claim.key, id=claim.id, body_sha256=claim.body_sha256, at_ms=claim.at_ms
    )


def erase_claim(claim: Claim) -> Delete:
    """Removes a claim."""
    c = t.claim.c
    return delete(t.claim).where(c.kind == claim.kind, c.key == claim.key, c.id == claim.id)


def meta_value(name: str) -> Select[Any]:
    """One note."""
    return select(t.meta.c.value).where(t.meta.c.name == name)


def add_meta(name: str, value: str) -> Insert:
    """Writes a new note."""
    return insert(t.meta).values(name=name, value=value)


def erase_meta(name: str) -> Delete:
    """Removes a note."""
    return delete(t.meta).where(t.meta.c.name == name)


def open_account_secrets() -> Select[Any]:
    """The secrets of every account as they are stored."""
    return select(t.account.c.id, t.account.c.secret, t.account.c.cursor)


def open_tokens() -> Select[Any]:
    """Every reply token as it is stored."""
    r = t.reply_token
    return select(r.c.account, r.c.chat, r.c.token_sha256, r.c.token)


def webhook_secrets() -> Select[Any]:
    """The secrets of all webhooks, as they are kept."""
    return select(t.webhook.c.id, t.webhook.c.secret)
