"""Which events we ask QQ for. One bit too many closes the connection (4014), so there is a ladder downwards.

Source of bits: bot-docs, the wiki bot.q.qq.com (2026).
"""

from __future__ import annotations

from yizhan.core.connection import NotGranted

DIRECT_MESSAGE = 1 << 12
GROUP_AND_C2C = 1 << 25
INTERACTION = 1 << 26
MESSAGE_AUDIT = 1 << 27
PUBLIC_GUILD_MESSAGES = 1 << 30

NAMES = {
    GROUP_AND_C2C: "groups and single chats (GROUP_AND_C2C_EVENT)",
    INTERACTION: "buttons (INTERACTION)",
    PUBLIC_GUILD_MESSAGES: "guild channels (PUBLIC_GUILD_MESSAGES)",
    DIRECT_MESSAGE: "direct sessions of guilds (DIRECT_MESSAGE)",
    MESSAGE_AUDIT: "results of audits (MESSAGE_AUDIT)",
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


def not_granted(rung: int) -> NotGranted | None:
    """What a bot on this rung does not hear, for people; None on the first."""
    if not rung:
        return None
    return NotGranted(
        f"QQ refused some of the events that were asked for; the bot hears nothing of {', '.join(missing(rung))}",
        "ask for these events on q.qq.com, under development, callback or event settings; once a day it is tried "
        "whether they are granted, and soon after the account is paused and resumed",
    )
