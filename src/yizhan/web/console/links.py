"""Addresses of the console's pages, relative, so that they hold behind any prefix of a proxy."""

from __future__ import annotations

from urllib.parse import quote

from yizhan.model import AccountId, Target

OVERVIEW = "./"


def chats(account: AccountId | None = None) -> str:
    return "chats" if account is None else f"chats?account={quote(account, safe='')}"


def chat(target: Target) -> str:
    return f"chat?chat={quote(str(target), safe='')}"
