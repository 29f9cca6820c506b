"""Where to connect, asked anew for every connection: addresses move, and a first failure must not be the last.

Source: the wiki bot.q.qq.com (2026), bot-docs (2025-04-21), `GET /gateway/bot`.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from yizhan.core.connection import Lost, LostKind
from yizhan.platforms.qq.answers import read
from yizhan.platforms.qq.session import SHARDS_MAX
from yizhan.ports import Reply

IDENTIFIES_KEPT = 10
"""With no more new sessions left than this, we wait for the next day's."""
RESET_MAX_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Gateway:
    """`remaining`: new sessions that may still be asked for, None where it was not told; more come after `reset_ms`.
    `shards`: how many connections the bot is to divide its guilds among. `at_once`: sessions that may begin within five
    seconds."""

    url: str
    remaining: int | None = None
    reset_ms: int = 0
    shards: int = 1
    at_once: int = 1

    def may_identify(self) -> Lost | None:
        """None while there are enough left; a process that starts often must not burn a day's allowance."""
        if self.remaining is None or self.remaining > IDENTIFIES_KEPT:
            return None
        text = f"only {self.remaining} new sessions are left for today, which are kept"
        return Lost(LostKind.SERVER, "session-ration", text, wait_ms=self.reset_ms or 60_000)


def read_gateway(reply: Reply) -> Gateway | Lost:
    """The answer to `gateway/bot`. Total."""
    envelope = read(reply)
    if isinstance(envelope, Lost):
        return envelope
    url = envelope.fields.text("url").strip()
    if not _is_socket(url):
        return Lost(LostKind.SERVER, "no-gateway", "the answer names no address to connect to")
    shards = _bounded(envelope.fields.integer("shards"))
    ration = envelope.fields.child("session_start_limit")
    if ration is None:
        return Gateway(url, shards=shards)
    remaining, reset_ms = ration.integer("remaining"), ration.integer("reset_after") or 0
    known = remaining if remaining is not None and ration.integer("total") != 0 else None
    at_once = _bounded(ration.integer("max_concurrency"))
    return Gateway(url, known, max(0, min(RESET_MAX_MS, reset_ms)), shards, at_once)


def _bounded(told: int | None) -> int:
    """A number of shards; what is none is one."""
    return told if told is not None and 1 <= told <= SHARDS_MAX else 1


def _is_socket(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("ws", "wss") and bool(parts.hostname)
