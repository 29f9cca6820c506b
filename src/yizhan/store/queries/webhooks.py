"""Webhooks, and what became of the events that were posted to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Delete, Insert, Select, Update, delete, insert, select, text, update

from yizhan.store import tables as t


def all_webhooks() -> Select[Any]:
    """Every webhook, in the order of their making."""
    return select(t.webhook).order_by(t.webhook.c.id)


def webhook_by_id(webhook: str) -> Select[Any]:
    """One webhook."""
    return select(t.webhook).where(t.webhook.c.id == webhook)


def add_webhook() -> Insert:
    """Adds a webhook."""
    return insert(t.webhook)


def change_webhook(webhook: str, values: Mapping[str, Any], generation: int | None = None) -> Update:
    """Changes columns of a webhook; with a generation only if that is still its own."""
    row = update(t.webhook).where(t.webhook.c.id == webhook).values(dict(values))
    return row if generation is None else row.where(t.webhook.c.generation == generation)


def erase_webhook(webhook: str) -> Delete:
    """Removes a webhook."""
    return delete(t.webhook).where(t.webhook.c.id == webhook)


def posts_page(webhook: str, failed_only: bool, after: tuple[int, int] | None, limit: int) -> Select[Any]:
    """What became of events at a webhook, the latest first."""
    p = t.webhook_post
    query = select(p).where(p.c.webhook == webhook).order_by(p.c.at_ms.desc(), p.c.event.desc()).limit(limit)
    if failed_only:
        query = query.where(text("reason_code IS NOT NULL"))
    if after is not None:
        at_ms, event = after
        query = query.where((p.c.at_ms < at_ms) | ((p.c.at_ms == at_ms) & (p.c.event < event)))
    return query


def add_post() -> Insert:
    """Writes down what became of an event."""
    return insert(t.webhook_post)


def erase_post(webhook: str, event: int) -> Delete:
    """Removes what is known of an event's posts, before it is written anew."""
    p = t.webhook_post
    return delete(p).where(p.c.webhook == webhook, p.c.event == event)


def erase_posts(webhook: str) -> Delete:
    """Removes what is known of a webhook's posts."""
    return delete(t.webhook_post).where(t.webhook_post.c.webhook == webhook)
