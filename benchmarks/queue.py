"""Fills the outbox of a gateway that is not running, through the store's own door and therefore quickly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from yizhan.model import AccountId, ChatId, MessageClass, MessageId, Target
from yizhan.ports import Draft
from yizhan.runtime.clock import SystemChance, SystemClock
from yizhan.store import open_store

BATCH = 500
WEEK_MS = 7 * 86_400_000


async def fill(home: Path, account: str, users: Sequence[str], messages: int) -> None:
    """So many pushes of one part, over the users in turn."""
    store = await open_store(None, home, clock=SystemClock(), chance=SystemChance())
    try:
        for start in range(0, messages, BATCH):
            numbers = range(start, min(messages, start + BATCH))
            await asyncio.gather(
                *(store.accept(_draft(account, users[number % len(users)], number)) for number in numbers)
            )
    finally:
        await store.close()


def _draft(account: str, user: str, number: int) -> Draft:
    now_ms, message_id = time.time_ns() // 1_000_000, MessageId(f"m_queued{number:07d}")
    text = f"message {number}: " + "a sentence that somebody wants to read; " * 4
    return Draft(
        id=message_id,
        target=Target(AccountId(account), ChatId(user)),
        klass=MessageClass.PUSH,
        source="api",
        text=text,
        texts=(text,),
        client_ids=(f"yizhan:{message_id}:1",),
        created_at_ms=now_ms,
        expires_at_ms=now_ms + WEEK_MS,
        body_sha256="",
    )
