"""What a corridor reads of one lane: its chat, a window of its messages, their entries, its tokens and allowances.

Asked before every send, so each is compiled once.
"""

from __future__ import annotations

from sqlalchemy import func, select, text

from yizhan.store import tables as t
from yizhan.store.queries.terms import LIVE, bind

CHAT = select(t.chat).where(t.chat.c.account == bind("account"), t.chat.c.id == bind("chat"))
"""The chat of a lane."""

_IN_LANE = (
    LIVE,
    t.message.c.account == bind("account"),
    t.message.c.chat == bind("chat"),
    text("(message.waiting_for IS NULL OR message.waiting_for <> 'audit')"),
)
"""What is held back for an audit is passed over. Who else must change: core/window.py, `held_back`."""

MESSAGES = (
    select(t.message)
    .where(*_IN_LANE, func.coalesce(t.message.c.not_before_ms, 0) <= bind("now_ms"))
    .order_by(t.message.c.rank, t.message.c.seq)
    .limit(bind("limit"))
)
"""The head of a lane: live messages, begun first, then by class, then in order of acceptance. Reads the index of
live rows only, in its order, so that neither finished nor blocked messages cost anything."""

LATER = (
    select(t.message)
    .where(*_IN_LANE, t.message.c.not_before_ms > bind("now_ms"))
    .order_by(t.message.c.not_before_ms, t.message.c.rank, t.message.c.seq)
    .limit(bind("limit"))
)
"""The messages of a lane that may not be sent yet, by the time from which they may: they stand behind the others,
so that a window full of them hides nobody."""

ENTRIES = (
    select(t.entry)
    .where(t.entry.c.account == bind("account"), t.entry.c.message_id == bind("message_id"))
    .order_by(t.entry.c.no)
)
"""The entries of one message, in order."""

TOKENS = (
    select(t.reply_token)
    .where(t.reply_token.c.account == bind("account"), t.reply_token.c.chat == bind("chat"))
    .order_by(t.reply_token.c.seq.desc())
    .limit(bind("limit"))
)
"""The newest reply tokens of a chat."""

LEDGER = (
    select(t.allowance)
    .where(t.allowance.c.account == bind("account"), t.allowance.c.chat == bind("chat"))
    .order_by(t.allowance.c.seq.desc())
    .limit(bind("limit"))
)
"""The allowances of a chat's newest inbound messages."""
