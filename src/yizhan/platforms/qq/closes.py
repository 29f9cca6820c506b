"""What the end of a connection to QQ's gateway means, whoever ended it. Data; `line.py` reads it.

A row says what the next connection begins with, how long it has to wait at least, and whether a person must
act. What is not in the table is a close like any other: resume once, and identify if that is refused.

Sources: D25 bot-docs, state of 2025-04-21; D26 the wiki bot.q.qq.com, 2026; BG botgo; HM hermes-agent; OQ
openclaw-qqbot; numbers are issues of the named repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class After(StrEnum):
    """How the next connection begins."""

    RESUME = "resume"
    """With the session: what was missed is replayed."""
    IDENTIFY = "identify"
    """With a new session: the old one is gone."""
    FEWER_INTENTS = "fewer_intents"
    """With a new session that asks for less."""
    BARRED = "barred"
    """Slowly, since only a person can change the answer."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One row. `wait_ms`: at least so long before the next connection. `new_token`: the access token is not to be
    used again. `ordinary`: part of a healthy life, nothing is wrong."""

    after: After
    text: str
    wait_ms: int = 0
    new_token: bool = False
    ordinary: bool = False
    action: str = ""


MINUTE_MS = 60_000

_ASK_TENCENT = (
    "look at the bot's state on q.qq.com; once it is mended there, the next try finds out by itself"
)

CLOSES = {
    1000: Ending(After.RESUME, "closed by the server", ordinary=True),  # LangBot stops for good here: do not
    1001: Ending(After.RESUME, "the server goes away", ordinary=True),
    1005: Ending(After.RESUME, "closed without a code"),
    1006: Ending(After.RESUME, "the connection broke"),
    1011: Ending(After.RESUME, "the server failed, or missed a ping"),  # botpy #239
    4000: Ending(After.RESUME, "unknown error"),  # BG
    4001: Ending(After.IDENTIFY, "the server does not know one of our frames", MINUTE_MS),
    4002: Ending(After.IDENTIFY, "the server cannot read one of our frames", MINUTE_MS),
    4003: Ending(After.IDENTIFY, "not authenticated"),  # BG
    4004: Ending(After.RESUME, "the access token is not accepted", new_token=True),  # HM, qqbot-nodejs
    4005: Ending(After.IDENTIFY, "already authenticated"),  # BG
    4006: Ending(After.IDENTIFY, "the session is not known"),
    4007: Ending(After.IDENTIFY, "the position in the session is not valid"),
    4008: Ending(After.RESUME, "we were sending too fast", MINUTE_MS),  # HM, qqbot-nodejs: 60 s
    4009: Ending(After.RESUME, "recycled, as every half an hour", ordinary=True),
    4010: Ending(After.IDENTIFY, "the shard is not valid"),
    4011: Ending(After.IDENTIFY, "too many guilds for one shard"),
    4012: Ending(
        After.BARRED,
        "the server does not speak this version of the protocol any more",
        action="update Yizhan",
    ),
    4013: Ending(After.FEWER_INTENTS, "the list of intents is not valid"),
    4014: Ending(After.FEWER_INTENTS, "the bot may not ask for one of the intents"),
    4914: Ending(
        After.BARRED, "the bot is taken offline, or only its sandbox may connect", action=_ASK_TENCENT
    ),
    4915: Ending(After.BARRED, "the bot is banned", action=_ASK_TENCENT),
}
"""Close code → row. Source: D25, D26; codes marked otherwise there."""

INTERNAL = range(4900, 4914)
"""4902 "reset by resume", 4903 "create session error" and their kin. Source: OQ #18, bot-node-sdk #94."""
_INTERNAL = Ending(After.IDENTIFY, "an internal error of the server", new_token=True)
_OTHER = Ending(After.RESUME, "closed for a reason that is not documented")


def ending_of(code: int | None) -> Ending:
    """The row of a close code; None: the connection broke without one."""
    if code is None:
        return CLOSES[1006]
    return _INTERNAL if code in INTERNAL else CLOSES.get(code, _OTHER)


# endings that have no close code

ASKED_TO_RECONNECT = Ending(After.RESUME, "the server asked for a new connection", ordinary=True)  # op 7
SESSION_REFUSED = Ending(After.IDENTIFY, "the server refused the session", 1_000)  # op 9
NO_HELLO = Ending(After.RESUME, "connected, and the server did not greet us")
NO_READY = Ending(After.RESUME, "greeted, and the server did not let us in")
MUTE = Ending(After.RESUME, "heartbeats are not answered: the connection is dead on one side")
FULL = Ending(After.RESUME, "more arrived than could be stored; it will be told again")
LEFT = Ending(After.RESUME, "left by us", ordinary=True)
