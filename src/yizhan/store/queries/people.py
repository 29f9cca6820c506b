"""Accounts and who may use them: their removal, senders, the agent a chat has chosen, API keys."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Delete, Insert, Select, Update, delete, func, insert, select, update

from yizhan.model import AccountId
from yizhan.store import tables as t


def all_accounts() -> Select[Any]:
    """Every account, by age."""
    return select(t.account).order_by(t.account.c.created_at_ms, t.account.c.id)


def erase_account(account: AccountId) -> Delete:
    """Removes an account's row and with it its credentials."""
    return delete(t.account).where(t.account.c.id == account)


def erase_ledgers(account: AccountId) -> Delete:
    """Removes every allowance of an account."""
    return delete(t.allowance).where(t.allowance.c.account == account)


def erase_tokens(account: AccountId) -> Delete:
    """Removes every reply token of an account."""
    return delete(t.reply_token).where(t.reply_token.c.account == account)


def rules_of(account: AccountId | None) -> Select[Any]:
    """Every sender that is known, of one account or of all, by first sight or first decision."""
    rule = t.sender_rule
    listed_ms = func.coalesce(rule.c.first_seen_at_ms, rule.c.decided_at_ms)
    query = select(rule).order_by(listed_ms, rule.c.account, rule.c.sender_id)
    return query if account is None else query.where(rule.c.account == account)


def chosen_agents() -> Select[Any]:
    """Every chat for which somebody has chosen who answers."""
    c = t.chat
    return select(c.c.account, c.c.id, c.c.agent).where(c.c.agent != "")


def all_keys() -> Select[Any]:
    """Every API key, revoked ones too, by age."""
    return select(t.api_key).order_by(t.api_key.c.created_at_ms, t.api_key.c.id)


def key_by_id(key_id: str) -> Select[Any]:
    """One API key."""
    return select(t.api_key).where(t.api_key.c.id == key_id)


def add_key() -> Insert:
    """Adds an API key."""
    return insert(t.api_key)


def revoke_key(key_id: str, at_ms: int) -> Update:
    """Revokes an API key."""
    return update(t.api_key).where(t.api_key.c.id == key_id).values(revoked_at_ms=at_ms)
