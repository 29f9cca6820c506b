"""QQ's numbers. Data. Close codes are in `closes.py`, refusals in `refusals.py`.

Sources: D25 bot-docs, state of 2025-04-21; D26 the wiki bot.q.qq.com, 2026.
"""

from __future__ import annotations

from yizhan.core.policy import Policy

PLATFORM = "qq"

API_URL = "https://api.sgroup.qq.com"
"""D25 and all older clients; D26 shows `https://api.bot.qq.com`, which `api_base_url` may name."""
TOKEN_URL = "https://bots.qq.com"

SOCKET_MS = 15_000
"""Name, connection, TLS and upgrade of a socket together."""

POLICY = Policy(
    platform=PLATFORM,
    text_max_chars=2_000,  # nowhere documented for groups; guilds refuse from about 2,500 on (code 1000001)
    text_max_bytes=8_000,
    send_timeout_ms=10_000,  # D26 asks for 5 s at least
    pushed=True,
)
