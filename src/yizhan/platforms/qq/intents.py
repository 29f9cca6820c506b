"""Which events we ask QQ for. One bit too many closes the connection (4014), so there is a ladder downwards.

Source of bits: bot-docs, the wiki bot.q.qq.com (2026).
"""

from __future__ import annotations

DIRECT_MESSAGE = 1 << 12
GROUP_AND_C2C = 1 << 25
INTERACTION = 1 << 26
MESSAGE_AUDIT = 1 << 27
PUBLIC_GUILD_MESSAGES = 1 << 30

NAMES = {
    GROUP_AND_C2C: "GROUP_AND_C2C_EVENT (25)",
    INTERACTION: "INTERACTION (26)",
    PUBLIC_GUILD_MESSAGES: "PUBLIC_GUILD_MESSAGES (30)",
    DIRECT_MESSAGE: "DIRECT_MESSAGE (12)",
    MESSAGE_AUDIT: "MESSAGE_AUDIT (27)",
}

LADDER = (
    GROUP_AND_C2C | INTERACTION | PUBLIC_GUILD_MESSAGES | DIRECT_MESSAGE | MESSAGE_AUDIT,
    GROUP_AND_C2C | INTERACTION | PUBLIC_GUILD_MESSAGES,
    GROUP_AND_C2C | INTERACTION,
    GROUP_AND_C2C,
    PUBLIC_GUILD_MESSAGES,
)
"""From everything we understand down to one kind of chat. The last rung is for bots of guilds only."""


def missing(rung: int) -> tuple[str, ...]:
    """What is not asked for on a rung, by name."""
    return tuple(name for bit, name in NAMES.items() if not LADDER[rung] & bit)
