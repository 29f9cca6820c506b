"""The numbers and tables that a platform declares. Data; the decisions that read them are elsewhere in core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yizhan.core.allowance import UNCOUNTED, Rule


@dataclass(frozen=True, slots=True)
class Policy:
    """What the roads need to know of a platform, in its own numbers.

    text_max_chars / text_max_bytes  one part holds at most this much (both bounds hold)
    send_timeout_ms                  one send lives at most this long
    poll_hold_ms                     the server holds an idle poll about this long
    poll_margin_ms                   added to the hold for the client's time-out, so that the server answers first
    sends_in_flight                  requests that one account may have on the wire at once, one per chat
    allowance                        how many sends an inbound message permits, and for how long
    allowances                       the same for chats whose ids begin so, up to a slash
    token_old_ms                     from this age on a reply token is likely to be stale; 0: never
    webhooks                         accounts may have what happens posted to us in place of a line
    typing_costs                     in chats whose ids begin so "typing…" uses up a send of the allowance: shown there
                                     alone, once for an answer that takes a while, and only where one is to spare
    pushed                           messages come over a line that is up or not, and the platform takes sends only
                                     while it is; else they are asked for, and every answer proves the line
    """

    platform: str
    text_max_chars: int
    text_max_bytes: int
    send_timeout_ms: int = 10_000
    poll_hold_ms: int = 35_000
    poll_margin_ms: int = 10_000
    sends_in_flight: int = 4
    allowance: Rule = UNCOUNTED
    allowances: Mapping[str, Rule] = field(default_factory=dict)
    token_old_ms: int = 0
    typing_costs: str = ""
    pushed: bool = False
    webhooks: bool = False
