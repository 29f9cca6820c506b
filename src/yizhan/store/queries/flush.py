"""What a batch of writes is flushed with: one statement for many rows of a table.

Each names its parameters after the columns it fills (`p_state` fills `state`), keys of the row included, so that a
row's values (`rows/`) fit it as they are. What only one of the engines can say, upserts, stands in `engine.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Insert, Table, Update, delete, insert, text, update

from yizhan.store import tables as t
from yizhan.store.queries.terms import bind, binds


def _insert(table: Table) -> Insert:
    return insert(table).values(binds(table))


def _update(table: Table, keys: Collection[str], columns: Iterable[str]) -> Update:
    matches = [table.c[key] == bind(key) for key in keys]
    return update(table).where(*matches).values({column: bind(column) for column in columns})


def _rest(table: Table, *fixed: str) -> list[str]:
    return [column.name for column in table.columns if column.name not in fixed]


INSERT_ACCOUNT = _insert(t.account)
"""Adds an account."""
UPDATE_ACCOUNT = _update(t.account, ["id"], _rest(t.account, "id", "created_at_ms"))
"""Writes an account's row anew."""
INSERT_CHAT = _insert(t.chat)
"""Adds a chat on first sight."""
UPDATE_CHAT = _update(t.chat, ["account", "id"], _rest(t.chat, "account", "id", "created_at_ms"))
"""Writes a chat's row anew: gate, times, next position."""
INSERT_TOKEN = _insert(t.reply_token)
"""Adds a reply token."""
_TOKEN = ["account", "chat", "token_sha256"]
UPDATE_TOKEN = _update(t.reply_token, _TOKEN, _rest(t.reply_token, *_TOKEN))
"""A reply token that was issued once more; found by its hash."""
_ISSUE = [*_TOKEN, "inbound_id"]
JUDGE_TOKEN = _update(t.reply_token, _ISSUE, ["state", "reason"])
"""What a send has taught of a reply token, unless it was issued anew since."""
ERASE_TOKEN = _update(t.reply_token, _ISSUE, ["state", "reason"]).values(token=text("''"))
"""A reply token that is stale: the row stays, so that a repeat of its message does not bring it back; the secret
goes. Unless it was issued anew since."""
DELETE_TOKEN = delete(t.reply_token).where(
    t.reply_token.c.account == bind("account"),
    t.reply_token.c.chat == bind("chat"),
    t.reply_token.c.token_sha256 == bind("token_sha256"),
)
"""Forgets a reply token that many newer ones have replaced."""
FORGET_LEDGERS = delete(t.allowance).where(
    t.allowance.c.account == bind("account"),
    t.allowance.c.chat == bind("chat"),
    t.allowance.c.seq < bind("seq"),
    t.allowance.c.opened_at_ms < bind("opened_at_ms"),
)
"""Removes the allowances of older inbound messages that no platform honours any more. (One is kept by an upsert, see
the engines.)"""
INSERT_RULE = _insert(t.sender_rule)
"""Lists a sender."""
UPDATE_RULE = _update(t.sender_rule, ["account", "sender_id"], _rest(t.sender_rule, "account", "sender_id"))
"""Writes a sender's row anew."""
INSERT_INBOUND = _insert(t.inbound)
"""Stores what was heard."""
UPDATE_INBOUND = _update(t.inbound, ["account", "chat", "seq"], ["dispatch", "turn_id"])
"""What an inbound message still asks, and which turn answers it."""
INSERT_SUPPRESSED = _insert(t.suppressed)
"""Lists a repeat that was recognised."""
INSERT_SESSION = _insert(t.session)
"""Begins the first session of a chat, or of a person in it."""
UPDATE_SESSION = _update(
    t.session, ["account", "chat", "person"], _rest(t.session, "account", "chat", "person")
)
"""What is remembered from now on."""
INSERT_TURN = _insert(t.turn)
"""Opens a turn."""
UPDATE_TURN = _update(
    t.turn,
    ["account", "chat", "seq"],
    [
        "agent",
        "state",
        "inbound_ids",
        "started_at_ms",
        "ended_at_ms",
        "reason_code",
        "reason_text",
        "outputs",
    ],
)
"""What became of a turn."""
INSERT_MESSAGE = _insert(t.message)
"""Accepts a message."""
UPDATE_MESSAGE = _update(
    t.message,
    ["account", "chat", "seq"],
    [
        "expires_at_ms",
        "state",
        "waiting_for",
        "next_attempt_at_ms",
        "reason_code",
        "reason_text",
        "possibly_doubled",
        "finished_at_ms",
        "live",
        "rank",
    ],
)
"""A message's state, as it follows from its entries."""
INSERT_ENTRY = _insert(t.entry)
"""Puts a part into the outbox."""
UPDATE_ENTRY = _update(
    t.entry,
    ["account", "message_id", "no"],
    _rest(t.entry, "account", "message_id", "no", "text", "client_id"),
)
"""What became of an entry."""
UPDATE_ATTEMPT = _update(
    t.attempt, ["account", "message_id", "no", "n"], ["ended_at_ms", "verdict", "code", "text"]
)
"""The end of an attempt. (Its beginning is an upsert, see the engines.)"""
INSERT_SCHEDULE = _insert(t.schedule)
UPDATE_SCHEDULE = _update(t.schedule, ["id"], _rest(t.schedule, "id"))
INSERT_RUN = _insert(t.schedule_run)

INSERT_EVENT = _insert(t.event)
"""Appends a fact."""

TAKE_EVENT_IDS = (
    update(t.counter)
    .where(t.counter.c.name == text("'event'"))
    .values(value=t.counter.c.value + bind("count"))
    .returning(t.counter.c.value)
)
"""Reserves the next ids of events and locks their counter until the commit, so that a reader who has seen id N
never misses a smaller one."""
