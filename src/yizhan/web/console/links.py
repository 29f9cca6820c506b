"""Addresses of the console's pages, relative, so that they hold behind any prefix of a proxy."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from yizhan.model import AccountId, Target

OVERVIEW = "./"
CHATS = "chats"
OUTBOX = "outbox"
ACCOUNTS = "accounts"
PEOPLE = "people"
SETTINGS = "settings"
SCHEDULES = "schedules"
EXPORT = "../v1/export/messages"
SCHEDULE = "schedule"
TURNS = "turns"
WEBHOOKS = "webhooks"
WEBHOOK = "webhook"


def chats(account: AccountId | None = None) -> str:
    return asking(CHATS, account=account or "")


def asking(page: str, **wishes: str) -> str:
    """A page with what is asked of it; empty wishes are left out."""
    asked = urlencode({name: wish for name, wish in wishes.items() if wish})
    return f"{page}?{asked}" if asked else page


def chat(target: Target) -> str:
    return f"chat?chat={quote(str(target), safe='')}"


def webhook(webhook_id: str) -> str:
    return asking(WEBHOOK, id=webhook_id)


def turns(state: str) -> str:
    return asking(TURNS, state=state)


def schedule(schedule_id: str) -> str:
    return asking(SCHEDULE, id=schedule_id)
