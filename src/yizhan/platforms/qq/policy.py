"""QQ's numbers. Data. Close codes are in `closes.py`, refusals in `refusals.py`.

Sources: D25 bot-docs, state of 2025-04-21; D26 the wiki bot.q.qq.com, 2026.
"""

from __future__ import annotations

from yizhan.core.allowance import Rule
from yizhan.core.policy import Policy
from yizhan.core.unasked import Quota

PLATFORM = "qq"

API_URL = "https://api.sgroup.qq.com"
"""D25 and all older clients; D26 shows `https://api.bot.qq.com`, which `api_base_url` may name."""
TOKEN_URL = "https://bots.qq.com"

SOCKET_MS = 15_000
"""Name, connection, TLS and upgrade of a socket together."""

SIGN_MS = 1_000
"""Of the time of a send, so much is kept for QQ's sign that it sees the bot; the request has the rest."""

IDENTIFY_GAP_MS = 5_000
"""Between two new sessions. Source: D25, `max_concurrency` 1 in five seconds."""

MARGIN_MS = 10_000
"""An answer on its way this shortly before the window ends would arrive after it."""
HOUR_MS, FIVE_MINUTES_MS = 3_600_000, 300_000

ALLOWANCES = {
    # D26: 60 min, 4 answers (D25 said 5); 20 a minute and 1,000 a day unasked, where the person's switch is on
    "c2c": Rule(4, HOUR_MS - MARGIN_MS, progress_reserve=2, strict=True, unasked=Quota(20, 1_000)),
    # D25, D26: 5 min, 5 answers; unasked where the group's switch is on
    "group": Rule(5, FIVE_MINUTES_MS - MARGIN_MS, progress_reserve=3, strict=True, unasked=Quota(20, 1_000)),
    # D25: 5 min, answers are not counted; 20 a day unasked
    "channel": Rule(5, FIVE_MINUTES_MS - MARGIN_MS, progress_reserve=3, strict=True, unasked=Quota(0, 20)),
    # D25: 5 min; 2 a day unasked
    "dm": Rule(5, FIVE_MINUTES_MS - MARGIN_MS, progress_reserve=3, strict=True, unasked=Quota(0, 2)),
}
"""By the beginning of a chat's id. What no document counts is bounded all the same; a refusal is believed at once."""

POLICY = Policy(
    platform=PLATFORM,
    text_max_chars=2_000,  # nowhere documented for groups; guilds refuse from about 2,500 on (code 1000001)
    text_max_bytes=8_000,
    send_timeout_ms=10_000,  # D26 asks for 5 s at least
    allowances=ALLOWANCES,
    pushed=True,
    webhooks=True,
)
