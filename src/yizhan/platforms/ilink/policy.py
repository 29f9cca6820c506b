"""iLink's numbers, and what each of its refusals means. Data; `judging.py` reads the tables.

Tencent publishes a client and a short note, no specification. So every row names where it was seen, and
what was never seen has a row too (`NEVER_SEEN`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from yizhan.core.allowance import Rule
from yizhan.core.policy import Policy

PLATFORM = "weixin"

LOGIN_URL = "https://ilinkai.weixin.qq.com"
"""Where QR codes come from. Source: @tencent-weixin/openclaw-weixin 2.4.9."""

TEXT_LIMIT_BYTES = 16_384
"""One text above this is refused with `-2`. Source: measured by weilink 0.6.2."""

ALLOWANCE = Rule(
    sends=10,  # per message of the user. Source: hermes-agent #31131, Tencent/openclaw-weixin #81, dsh-wechat-bridge
    window_ms=86_400_000,  # of the user's last message. Source: the maintainer in Tencent/openclaw-weixin #156, #185
    progress_reserve=4,  # an answer of three parts and the notice always fit
)
TOKEN_OLD_MS = 72_000_000
"""Reply tokens were last accepted 21 to 24 hours after they were issued. Source: hermes-agent #83993 (17 cases)."""

POLICY = Policy(
    platform=PLATFORM,
    text_max_chars=4_000,  # the official client's splitter; longer bubbles are tiresome on a phone
    text_max_bytes=16_000,  # below TEXT_LIMIT_BYTES, whatever the server counts beside the text
    send_timeout_ms=10_000,
    poll_hold_ms=35_000,
    poll_margin_ms=10_000,  # the official client has none and loses the race now and then
    allowance=ALLOWANCE,
    token_old_ms=TOKEN_OLD_MS,
)

HOLD_MIN_MS, HOLD_MAX_MS = 1_000, 120_000
"""An announced hold outside of this is not believed."""

HINT_MAX_MS = 3_600_000
"""A hint to wait longer than this is cut. No hint was ever seen; a hint is advice, not an order."""

STALE_LOGIN = -14
"""The bot token is unknown, revoked by another scan, or the headers are incomplete.
Source: @tencent-weixin/openclaw-weixin 2.4.9 (`errcode`, without `ret`); older captures have it in `ret`."""


class Meaning(StrEnum):
    """What a refusal of a send says."""

    LIMIT = "limit"
    """Not now; the same request may pass later, or after the user has written."""
    LIMIT_OR_USER = "limit_or_user"
    """Wait and ask again; where the other side has never written, wait for that instead."""
    LIMIT_OR_TOKEN = "limit_or_token"
    """As LIMIT; but a token that is no longer honoured is answered the same way. One try without tells."""
    TOKEN = "token"
    """The reply token is not honoured; nothing is known about the text."""
    NEVER = "never"
    """This text to this chat will never pass."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row: `code` in `ret` or `errcode`, `words` searched in `errmsg` (regular expression, any case)."""

    code: int
    words: str
    with_token: Meaning
    without_token: Meaning
    source: str


REFUSALS = (
    Refusal(
        -14,
        "",
        Meaning.TOKEN,
        Meaning.LIMIT,
        "openclaw-weixin 2.4.9: `session timeout`. On a send it may be the context only; whether the login "
        "itself is gone, the poll tells",
    ),
    Refusal(
        -2,
        "",
        Meaning.LIMIT_OR_TOKEN,
        Meaning.LIMIT_OR_USER,
        "`prepare failed`: Tencent/openclaw-weixin #216, #270, #309; `rate limited`: hermes-agent #35713; "
        "`freq limit`: dsh-wechat-bridge; `unknown error`: hermes-agent #17228; empty or missing: "
        "cc-connect #1176, hermes-agent #18100; `invalid arguments`, `parameter error`: WorkBuddy wechat-push "
        "probes, Sep 2026. The words do not separate throttle, spent allowance, dead context and bad request, "
        "and all but the last pass after the user's next message; so none of them is final",
    ),
    Refusal(
        -3,
        "",
        Meaning.TOKEN,
        # Both tries refused: only the user's next message helps. Source: hermes-agent #35062.
        Meaning.LIMIT_OR_USER,
        "cc2wechat probes, Aug 2026, WorkBuddy wechat-push probes, Sep 2026: `invalid arguments`: no valid "
        "context token, or the id of a retired bot",
    ),
)

NEVER_SEEN = Refusal(0, "", Meaning.LIMIT_OR_TOKEN, Meaning.LIMIT, "default for what nobody has recorded yet")
"""Waits and asks again rarely: nothing is lost, nothing is hammered, and the reason can be read."""

HTTP_REFUSALS = {
    400: (Meaning.LIMIT, "the server could not read the request"),
    401: (Meaning.LIMIT, "the server wants other credentials"),
    403: (Meaning.LIMIT, "the server forbids it; perhaps a firewall on the way"),
    404: (Meaning.LIMIT, "there is nothing at this address; check the account's base URL"),
    405: (Meaning.LIMIT, "the address takes no sends; check the account's base URL"),
    408: (Meaning.LIMIT, "the server did not receive the request in time"),
    413: (Meaning.NEVER, "the text is too large for the server"),
    425: (Meaning.LIMIT, "the server wants the request later"),
    429: (Meaning.LIMIT, "too many requests"),
}
"""HTTP statuses that refuse by themselves. None but 404 was ever seen from iLink; the rest is what HTTP says."""

HTTP_REFUSAL_ELSE = (Meaning.LIMIT, "the server refused")
