"""The knobs of the QQ side. Defaults are the platform of 2026 as its documentation and its clients report it."""

from __future__ import annotations

from typing import Literal

import msgspec

Recycle = Literal["op7", "4009", "op7 only", "1000", "1005", "1006", "never"]
"""How a connection that has lived `recycle_s` ends. op7: op 7, then close 4009; "op7 only": nothing follows."""


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `count` proactive messages within any `per_s` seconds, per bot or per chat of one scene."""

    scene: Literal["c2c", "group", "channel", "dm"]
    scope: Literal["chat", "account"]
    count: int
    per_s: float
    code: int = 40034100


PROACTIVE = (
    Quota("c2c", "account", 10, 1),
    Quota("c2c", "chat", 20, 60),
    Quota("c2c", "chat", 1000, 86_400, 22009),
    Quota("group", "account", 60, 60),
    Quota("group", "chat", 20, 60),
    Quota("group", "chat", 1000, 86_400, 22009),
    Quota("channel", "chat", 20, 86_400, 304045),
    Quota("dm", "chat", 2, 86_400, 304049),
    Quota("dm", "account", 200, 86_400, 304050),
)
"""Source: bot.q.qq.com, "message/overview", figures for a verified owner, 2026."""


class QqKnobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token_ttl_s: float = 7200
    token_overlap_s: float = 60
    """In its last seconds a token is joined by a new one, and both are honoured. Source: "access-token"."""
    expires_in: Literal["text", "number"] = "text"
    """Documented as a number, delivered as text; qq-botpy 1.2.1 crashes on a number."""
    address_allowed: bool = True
    """false: every API call but the token's is answered 401 with 11298 (the caller's address is not listed)."""
    gateway_url: str = ""
    """Where `/gateway` sends clients; empty: to this server."""
    shards: int = 1
    """What `/gateway/bot` recommends."""
    shards_needed: int = 1
    """A bot that identifies as fewer is closed with 4011."""
    identify_total: int = 1000
    """IDENTIFYs per day; beyond it the session is not created (4903)."""
    identify_concurrency: int = 1
    identify_spacing: Literal["lenient", "strict"] = "lenient"
    """strict: more sessions started within 5 s than `identify_concurrency` are refused with 4903."""
    heartbeat_interval_ms: int = 41_250
    heartbeat_tolerance: float = 2
    """Intervals without op 1 after which the server drops the connection with 4009."""
    recycle: Recycle = "op7"
    recycle_s: float = 1800
    recycle_grace_ms: int = 1000
    """Between op 7 and the close."""
    session_ttl_s: float = 86_400
    """How long a session without a connection can be resumed; nobody has documented it."""
    buffer: int = 1000
    """Events a session keeps for replay."""
    resume_refusal: Literal["op9", "close", "silent"] = "op9"
    """How an unknown session is refused: op 9 and then a close, the close alone, or a bare end of the connection."""
    resume_refusal_code: int = 4006
    group_event: Literal["documented", "both"] = "documented"
    """documented: in groups that send everything, a mention comes as GROUP_MESSAGE_CREATE; both: and as
    GROUP_AT_MESSAGE_CREATE too."""
    mention_token: bool = True
    """GROUP_MESSAGE_CREATE keeps `<@…>` in its text, as clients report; the documentation says it is removed."""
    c2c_window_s: float = 3600
    c2c_replies: int = 4
    group_window_s: float = 300
    group_replies: int = 5
    channel_window_s: float = 300
    channel_replies: int = 0
    dm_window_s: float = 300
    dm_replies: int = 0
    """Passive replies per inbound message and for how long; 0 replies: no limit."""
    typing_counts: bool = True
    """Input notifications use up a reply (a field report; the documentation is silent)."""
    proactive: tuple[Quota, ...] = PROACTIVE
    """Turning it forgets what was counted."""
    text_max: int = 4000
    """Characters in C2C and groups; undocumented, 4000 is what clients use. Beyond: 40054007."""
    urls: Literal["refuse", "allow"] = "refuse"
    markdown: bool = True
    markdown_links: bool = False
    seq_dedupe: bool = True
    reply_shape: Literal["2026", "2023"] = "2026"
    """2023: `timestamp` as a number, no `ext_info`."""
    audit: Literal["off", "pass", "reject", "never"] = "off"
    """Sends wait for a human; `never`: nobody ever looks."""
    audit_s: float = 30
    while_offline: Literal["show", "vanish", "refuse"] = "show"
    """What becomes of sends while no connection of the bot is ready: shown; answered 200 and never shown (field
    reports); refused with 304018."""
    webhook_tries: int = 4
    webhook_timeout_ms: int = 5000
    webhook_retry_ms: int = 3000
    """Webhook: tries per event, patience, and the wait between tries. None of them is documented."""
