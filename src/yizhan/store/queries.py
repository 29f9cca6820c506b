"""Every query of the store, each with a name and a sentence, one text for both engines.

Writes are statements for many rows: they name their parameters after the columns they fill (`p_state` fills
`state`), keys of the row included, so that a row's values (`rows.py`) fit them as they are. Reads that are
asked with a list take it as an expanding parameter. Conditions of partial indexes are written out, never
bound: only then do the engines use them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    Insert,
    Integer,
    Select,
    Table,
    TextClause,
    Update,
    and_,
    bindparam,
    case,
    delete,
    distinct,
    exists,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)

from yizhan.core.allowance import NOTICE_SOURCE
from yizhan.model import (
    Access,
    AccountId,
    ChatSession,
    Dispatch,
    MessageClass,
    MessageState,
    Target,
    Turn,
    WaitingFor,
)
from yizhan.ports import Claim, MessageFilter, TurnFilter
from yizhan.store import tables as t
from yizhan.store.rows.outbox import rank

LIVE = text("message.live = 1")
FINISHED = text("message.live = 0")
DEAD = text("message.state IN ('failed', 'expired')")
PENDING = text("inbound.dispatch <> 'done'")
OPEN = text("turn.ended_at_ms IS NULL")

_UNSENT = (MessageState.QUEUED.value, MessageState.WAITING.value, MessageState.SENDING.value)

PREFIX = "p_"
"""Parameters carry it, because SQLAlchemy keeps the bare names of columns for itself."""


def _bind(column: str) -> Any:
    return bindparam(PREFIX + column)


def binds(table: Table) -> dict[str, Any]:
    """A parameter for each column of a table."""
    return {column.name: _bind(column.name) for column in table.columns}


def _insert(table: Table) -> Insert:
    return insert(table).values(binds(table))


def _update(table: Table, keys: Collection[str], columns: Iterable[str]) -> Update:
    matches = [table.c[key] == _bind(key) for key in keys]
    return update(table).where(*matches).values({column: _bind(column) for column in columns})


def _rest(table: Table, *fixed: str) -> list[str]:
    return [column.name for column in table.columns if column.name not in fixed]


# Writes, all for many rows at once.

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
    t.reply_token.c.account == _bind("account"),
    t.reply_token.c.chat == _bind("chat"),
    t.reply_token.c.token_sha256 == _bind("token_sha256"),
)
"""Forgets a reply token that many newer ones have replaced."""
FORGET_LEDGERS = delete(t.allowance).where(
    t.allowance.c.account == _bind("account"),
    t.allowance.c.chat == _bind("chat"),
    t.allowance.c.seq < _bind("seq"),
    t.allowance.c.opened_at_ms < _bind("opened_at_ms"),
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
    .values(value=t.counter.c.value + _bind("count"))
    .returning(t.counter.c.value)
)
"""Reserves the next ids of events and locks their counter until the commit, so that a reader who has seen id N
never misses a smaller one."""


# Reads of a batch of writes: one statement for all operations in it.


def accounts_by_id(ids: Iterable[AccountId]) -> Select[Any]:
    """These accounts."""
    return select(t.account).where(t.account.c.id.in_(list(ids)))


def chats_by_key(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """These chats, by account and name."""
    return select(t.chat).where(tuple_(t.chat.c.account, t.chat.c.id).in_(list(keys)))


def messages_by_id(ids: Iterable[str]) -> Select[Any]:
    """These messages."""
    return select(t.message).where(t.message.c.id.in_(list(ids)))


def messages_by_key(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """The messages that were accepted with these idempotency keys, by account and key."""
    pairs = tuple_(t.message.c.account, t.message.c.idempotency_key).in_(list(keys))
    return select(t.message).where(pairs, t.message.c.idempotency_key.is_not(None))


def answer_to(turn: Turn, seq: int) -> Select[Any]:
    """A program's answer to what a turn answers, accepted after the turn took its place in the chat."""
    m = t.message
    return (
        select(m.c.id)
        .where(m.c.account == turn.account, m.c.chat == turn.chat, m.c.seq > seq, m.c.turn_id.is_(None))
        .where(m.c.in_reply_to.in_(turn.inbound_ids), m.c["class"] != int(MessageClass.PROGRESS))
        .limit(1)
    )


def entries_of(ids: Iterable[str]) -> Select[Any]:
    """The entries of these messages, in order."""
    same = and_(t.entry.c.account == t.message.c.account, t.entry.c.message_id == t.message.c.id)
    return (
        select(t.entry)
        .join_from(t.message, t.entry, same)
        .where(t.message.c.id.in_(list(ids)))
        .order_by(t.entry.c.message_id, t.entry.c.no)
    )


def attempts_of(ids: Iterable[str]) -> Select[Any]:
    """The attempts at these messages, in order."""
    same = and_(t.attempt.c.account == t.message.c.account, t.attempt.c.message_id == t.message.c.id)
    return (
        select(t.attempt)
        .join_from(t.message, t.attempt, same)
        .where(t.message.c.id.in_(list(ids)))
        .order_by(t.attempt.c.message_id, t.attempt.c.no, t.attempt.c.n)
    )


def text_with_platform_id(account: AccountId, platform_id: str) -> Select[Any]:
    """The text of the inbound message that the platform calls so."""
    i = t.inbound
    return select(i.c.text).where(i.c.account == account, i.c.platform_message_id == platform_id)


def text_with_receipt(account: AccountId, receipt: str) -> Select[Any]:
    """The text of the part that the platform acknowledged so."""
    return select(t.entry.c.text).where(t.entry.c.account == account, t.entry.c.receipt == receipt).limit(1)


def parts_with_receipt(account: AccountId, receipt: str) -> Select[Any]:
    """Messages and numbers of the parts that the platform named so."""
    e = t.entry
    return select(e.c.message_id, e.c.no).where(e.c.account == account, e.c.receipt == receipt).limit(8)


_UNTOUCHED_PROGRESS = text(f"message.rank = {rank(MessageClass.PROGRESS, was_begun=False)}")


def live_progress_of(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """The progress messages of these chats of which nothing has been sent, by account and chat. Reads the index of
    lanes at the rank that only they have, so that a long lane costs nothing."""
    chats = tuple_(t.message.c.account, t.message.c.chat).in_(list(keys))
    return select(t.message.c.id).where(LIVE, chats, _UNTOUCHED_PROGRESS)


def inbound_by_id(ids: Iterable[str]) -> Select[Any]:
    """These inbound messages, in order of arrival."""
    return (
        select(t.inbound)
        .where(t.inbound.c.id.in_(list(ids)))
        .order_by(t.inbound.c.received_at_ms, t.inbound.c.seq)
    )


def inbound_by_platform_id(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """The inbound messages with these platform ids, by account and id."""
    pairs = tuple_(t.inbound.c.account, t.inbound.c.platform_message_id).in_(list(keys))
    return select(t.inbound).where(pairs, t.inbound.c.platform_message_id.is_not(None))


def inbound_of_moments(keys: Iterable[tuple[str, str, int]]) -> Select[Any]:
    """What these senders wrote at exactly these times of the platform, by account, sender and time."""
    moments = tuple_(t.inbound.c.account, t.inbound.c.sender_id, t.inbound.c.sent_at_ms).in_(list(keys))
    return select(t.inbound).where(moments, text("inbound.sent_at_ms > 0"))


def sessions_by_key(keys: Iterable[tuple[str, str, str]]) -> Select[Any]:
    """These sessions."""
    c = t.session.c
    return select(t.session).where(tuple_(c.account, c.chat, c.person).in_(list(keys)))


def old_sessions(before_ms: int, limit: int) -> Select[Any]:
    """Sessions that were last used before a time."""
    c = t.session.c
    return select(c.account, c.chat, c.person).where(c.used_at_ms < before_ms).limit(limit)


def turns_by_id(ids: Iterable[str]) -> Select[Any]:
    """These turns."""
    return select(t.turn).where(t.turn.c.id.in_(list(ids)))


def tokens_of(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """Every reply token of these chats, newest first."""
    token = t.reply_token
    chats = tuple_(token.c.account, token.c.chat).in_(list(keys))
    return select(token).where(chats).order_by(token.c.account, token.c.chat, token.c.seq.desc())


def ledgers_of(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """Every allowance of these chats, newest last."""
    row = t.allowance
    return select(row).where(tuple_(row.c.account, row.c.chat).in_(list(keys))).order_by(row.c.seq)


def parts_left(account: str, chat: str, now_ms: int) -> Select[Any]:
    """How many parts of a chat are still to be sent: progress, notices about allowances, and what has a later date
    aside."""
    m, e = t.message, t.entry
    same = and_(e.c.account == m.c.account, e.c.message_id == m.c.id)
    return (
        select(func.count())
        .select_from(m.join(e, same))
        .where(LIVE, m.c.account == account, m.c.chat == chat, m.c.source != NOTICE_SOURCE)
        .where(m.c["class"] != int(MessageClass.PROGRESS), e.c.state.in_(_UNSENT))
        .where(func.coalesce(m.c.not_before_ms, 0) <= now_ms)
    )


def schedules_by_id(ids: Iterable[str]) -> Select[Any]:
    """These schedules."""
    return select(t.schedule).where(t.schedule.c.id.in_(list(ids)))


def runs_by_key(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """The runs of schedules that have happened already, of these, by schedule and key."""
    r = t.schedule_run
    return select(r).where(tuple_(r.c.schedule, r.c.key).in_(list(keys)))


def rules_by_key(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    """What is known of these senders, by account and sender."""
    rule = t.sender_rule
    return select(rule).where(tuple_(rule.c.account, rule.c.sender_id).in_(list(keys)))


# Reads of rare writes.


def _due_messages() -> Select[Any]:
    """Live messages whose time is over (`at_ms`) and that still have an entry which is not on the wire; at most `most`.

    Asked again and again, so it is put together once.
    """
    off_the_wire = exists().where(
        t.entry.c.account == t.message.c.account,
        t.entry.c.message_id == t.message.c.id,
        t.entry.c.state.in_([MessageState.QUEUED.value, MessageState.WAITING.value]),
    )
    return (
        select(t.message.c.id)
        .where(LIVE, t.message.c.expires_at_ms <= bindparam("at_ms"), off_the_wire)
        .order_by(t.message.c.expires_at_ms)
        .limit(bindparam("most", type_=Integer))
    )


DUE_MESSAGES = _due_messages()


def _unheard_of() -> Select[Any]:
    """Messages that are held back for an audit and were sent before `before_ms`; at most `most`. Looks at every live
    row, so it is asked rarely."""
    a = t.attempt
    sent_since = exists().where(
        a.c.account == t.message.c.account,
        a.c.message_id == t.message.c.id,
        a.c.at_ms > bindparam("before_ms"),
    )
    return (
        select(t.message.c.id)
        .where(LIVE, t.message.c.waiting_for == WaitingFor.AUDIT.value, ~sent_since)
        .limit(bindparam("most", type_=Integer))
    )


UNHEARD_OF = _unheard_of()
NEXT_EXPIRY = select(func.min(t.message.c.expires_at_ms)).where(LIVE)


def sending_messages() -> Select[Any]:
    """Messages with an entry that was on the wire when the gateway ended."""
    return select(t.message.c.id).where(LIVE, t.message.c.state == MessageState.SENDING.value)


def live_messages_of(account: AccountId) -> Select[Any]:
    """Every live message of an account."""
    return select(t.message.c.id).where(LIVE, t.message.c.account == account)


def open_turns_of(account: AccountId) -> Select[Any]:
    """Every turn of an account that has not ended."""
    return select(t.turn.c.id).where(OPEN, t.turn.c.account == account)


def pending_inbound_of(account: AccountId) -> Select[Any]:
    """What an account heard that still asks something of us."""
    return select(t.inbound.c.id).where(PENDING, t.inbound.c.account == account)


def open_turns_in(target: Target) -> Select[Any]:
    """Every turn of a chat that has not ended."""
    u = t.turn
    return select(u.c.id).where(OPEN, u.c.account == target.account, u.c.chat == target.chat)


def pending_inbound_in(target: Target) -> Select[Any]:
    """What was heard in a chat and still waits for an answer; commands to the gateway aside."""
    i = t.inbound
    return select(i.c.id).where(
        PENDING,
        i.c.account == target.account,
        i.c.chat == target.chat,
        i.c.dispatch == Dispatch.TURN.value,
    )


def erase_account(account: AccountId) -> Delete:
    """Removes an account's row and with it its credentials."""
    return delete(t.account).where(t.account.c.id == account)


def erase_ledgers(account: AccountId) -> Delete:
    """Removes every allowance of an account."""
    return delete(t.allowance).where(t.allowance.c.account == account)


def erase_tokens(account: AccountId) -> Delete:
    """Removes every reply token of an account."""
    return delete(t.reply_token).where(t.reply_token.c.account == account)


def add_key() -> Insert:
    """Adds an API key."""
    return insert(t.api_key)


def revoke_key(key_id: str, at_ms: int) -> Update:
    """Revokes an API key."""
    return update(t.api_key).where(t.api_key.c.id == key_id).values(revoked_at_ms=at_ms)


def erase_alerts(ids: Collection[str]) -> Delete:
    """Removes alerts that are about to be written anew."""
    return delete(t.alert).where(t.alert.c.id.in_(list(ids)))


def add_alerts() -> Insert:
    """Writes alerts."""
    return insert(t.alert)


def attempt_by_key(account: str, message_id: str, no: int, n: int) -> Select[Any]:
    """One attempt."""
    a = t.attempt
    return select(a).where(a.c.account == account, a.c.message_id == message_id, a.c.no == no, a.c.n == n)


# Pruning: which rows are old enough, and their removal by key.


def old_messages(before_ms: int, limit: int) -> Select[Any]:
    """Messages that ended before a time, oldest first."""
    m = t.message
    return (
        select(m.c.account, m.c.id)
        .where(FINISHED, m.c.finished_at_ms < before_ms)
        .order_by(m.c.finished_at_ms)
        .limit(limit)
    )


def old_inbound(before_ms: int, limit: int) -> Select[Any]:
    """Inbound messages from before a time that ask nothing any more and belong to no open turn."""
    i = t.inbound
    in_open_turn = exists().where(t.turn.c.id == i.c.turn_id, OPEN)
    return (
        select(i.c.account, i.c.chat, i.c.seq)
        .where(i.c.received_at_ms < before_ms, i.c.dispatch == "done", ~in_open_turn)
        .order_by(i.c.received_at_ms)
        .limit(limit)
    )


def old_suppressed(before_ms: int, limit: int) -> Select[Any]:
    """Suppressed repeats from before a time."""
    s = t.suppressed
    return (
        select(s.c.account, s.c.chat, s.c.seq).where(s.c.at_ms < before_ms).order_by(s.c.at_ms).limit(limit)
    )


def old_turns(before_ms: int, limit: int) -> Select[Any]:
    """Turns that ended before a time."""
    u = t.turn
    ended = text("turn.ended_at_ms IS NOT NULL")
    return (
        select(u.c.account, u.c.chat, u.c.seq)
        .where(ended, u.c.ended_at_ms < before_ms)
        .order_by(u.c.ended_at_ms)
        .limit(limit)
    )


def old_attempts(before_ms: int, limit: int) -> Select[Any]:
    """Attempts from before a time at messages that have ended."""
    a, m = t.attempt, t.message
    live = exists().where(m.c.id == a.c.message_id, LIVE)
    return (
        select(a.c.account, a.c.message_id, a.c.no, a.c.n)
        .where(a.c.at_ms < before_ms, ~live)
        .order_by(a.c.at_ms)
        .limit(limit)
    )


def old_events(before_ms: int, limit: int) -> Select[Any]:
    """Events from before a time; ids grow with time, so the search ends at the first younger one."""
    first = select(t.event.c.id, t.event.c.at_ms).order_by(t.event.c.id).limit(limit).subquery()
    return select(first.c.id).where(first.c.at_ms < before_ms).order_by(first.c.id)


def old_alerts(before_ms: int, limit: int) -> Select[Any]:
    """Alerts that were cleared before a time."""
    cleared = text("alert.cleared_at_ms IS NOT NULL")
    a = t.alert
    return (
        select(a.c.id).where(cleared, a.c.cleared_at_ms < before_ms).order_by(a.c.cleared_at_ms).limit(limit)
    )


def erase(table: Table, columns: Collection[str], keys: Collection[tuple[Any, ...]]) -> Delete:
    """Removes the rows with these keys."""
    return delete(table).where(tuple_(*(table.c[column] for column in columns)).in_(list(keys)))


# Reads for the corridors and the windows.

LANE_CHAT = select(t.chat).where(t.chat.c.account == _bind("account"), t.chat.c.id == _bind("chat"))
"""The chat of a lane."""

_IN_LANE = (
    LIVE,
    t.message.c.account == _bind("account"),
    t.message.c.chat == _bind("chat"),
    text("(message.waiting_for IS NULL OR message.waiting_for <> 'audit')"),
)
"""What is held back for an audit is passed over. Who else must change: core/window.py, `held_back`."""

LANE_MESSAGES = (
    select(t.message)
    .where(*_IN_LANE, func.coalesce(t.message.c.not_before_ms, 0) <= _bind("now_ms"))
    .order_by(t.message.c.rank, t.message.c.seq)
    .limit(_bind("limit"))
)
"""The head of a lane: live messages, begun first, then by class, then in order of acceptance. Reads the index of
live rows only, in its order, so that neither finished nor blocked messages cost anything."""

LANE_LATER = (
    select(t.message)
    .where(*_IN_LANE, t.message.c.not_before_ms > _bind("now_ms"))
    .order_by(t.message.c.not_before_ms, t.message.c.rank, t.message.c.seq)
    .limit(_bind("limit"))
)
"""The messages of a lane that may not be sent yet, by the time from which they may: they stand behind the others,
so that a window full of them hides nobody."""

LANE_ENTRIES = (
    select(t.entry)
    .where(t.entry.c.account == _bind("account"), t.entry.c.message_id == _bind("message_id"))
    .order_by(t.entry.c.no)
)
"""The entries of one message, in order."""

LANE_TOKENS = (
    select(t.reply_token)
    .where(t.reply_token.c.account == _bind("account"), t.reply_token.c.chat == _bind("chat"))
    .order_by(t.reply_token.c.seq.desc())
    .limit(_bind("limit"))
)
"""The newest reply tokens of a chat."""

LANE_LEDGER = (
    select(t.allowance)
    .where(t.allowance.c.account == _bind("account"), t.allowance.c.chat == _bind("chat"))
    .order_by(t.allowance.c.seq.desc())
    .limit(_bind("limit"))
)
"""The allowances of a chat's newest inbound messages."""


def all_accounts() -> Select[Any]:
    """Every account, by age."""
    return select(t.account).order_by(t.account.c.created_at_ms, t.account.c.id)


def chats_page(
    account: AccountId | None, after: tuple[int, str, str] | None, limit: int, containing: str
) -> Select[Any]:
    """Chats, those with the newest activity first; only those whose name or id contains something."""
    c = t.chat
    query = select(c).order_by(c.c.activity_at_ms.desc(), c.c.account, c.c.id).limit(limit)
    if account is not None:
        query = query.where(c.c.account == account)
    if containing:
        query = query.where(_contains(c.c.title, containing) | _contains(c.c.id, containing))
    if after is not None:
        at_ms, after_account, after_id = after
        behind = tuple_(c.c.account, c.c.id) > tuple_(after_account, after_id)
        query = query.where((c.c.activity_at_ms < at_ms) | ((c.c.activity_at_ms == at_ms) & behind))
    return query


def _contains(column: ColumnElement[str], words: str) -> ColumnElement[bool]:
    """Whether a text holds these words, whatever their case; nothing in them is a pattern."""
    return column.icontains(words, autoescape=True)


def chats_with_live_messages() -> Select[Any]:
    """Every chat to which the gateway still owes a message."""
    return select(t.message.c.account, t.message.c.chat).where(LIVE).distinct()


def paused_chats() -> Select[Any]:
    """Every chat that a person holds back."""
    return select(t.chat.c.account, t.chat.c.id).where(t.chat.c.paused == 1)


def messages_page(where: MessageFilter, before_id: str | None, limit: int) -> Select[Any]:
    """Messages of a filter, newest first."""
    return _page_of(t.message, where, before_id, limit)


def turns_page(where: TurnFilter, before_id: str | None, limit: int) -> Select[Any]:
    """Turns of a filter, newest first."""
    return _page_of(t.turn, where, before_id, limit)


def _page_of(
    table: Table, where: MessageFilter | TurnFilter, before_id: str | None, limit: int
) -> Select[Any]:
    query = select(table).where(*_conditions(table, where)).order_by(table.c.id.desc()).limit(limit)
    return query if before_id is None else query.where(table.c.id < before_id)


_LIVE_STATES = frozenset(state for state in MessageState if state.live)
_DEAD_STATES = frozenset({MessageState.FAILED, MessageState.EXPIRED})


def _conditions(table: Table, where: MessageFilter | TurnFilter) -> list[ColumnElement[bool] | TextClause]:
    conditions = _of_messages(where) if isinstance(where, MessageFilter) else []
    if where.account is not None:
        conditions.append(table.c.account == where.account)
    if where.chat is not None:
        conditions.append(table.c.chat == where.chat)
    if where.states:
        conditions.append(table.c.state.in_(sorted(state.value for state in where.states)))
    if where.since_ms is not None:
        conditions.append(table.c.created_at_ms >= where.since_ms)
    return conditions


def _of_messages(where: MessageFilter) -> list[ColumnElement[bool] | TextClause]:
    """Where only live rows, or only dead letters, are wanted, their small index is named."""
    conditions: list[ColumnElement[bool] | TextClause] = []
    if where.states and where.states <= _LIVE_STATES:
        conditions.append(LIVE)
    if where.states and where.states <= _DEAD_STATES:
        conditions.append(DEAD)
    if where.cause:
        m = t.message
        conditions.append((m.c.waiting_for == where.cause) | (m.c.reason_code == where.cause))
    return conditions


SPOKEN = (t.inbound, t.message)
"""Tables of a chat whose rows have words of their own."""


def timeline_part(
    table: Table, account: str, chat: str, before_seq: int | None, limit: int, containing: str
) -> Select[Any]:
    """The newest rows of one table in a chat, newest first; four tables share the positions of a chat."""
    query = select(table).where(table.c.account == account, table.c.chat == chat)
    if containing:
        query = query.where(_contains(table.c.text, containing))
    if before_seq is not None:
        query = query.where(table.c.seq < before_seq)
    return query.order_by(table.c.seq.desc()).limit(limit)


def heard_lines(session: ChatSession, limit: int) -> Select[Any]:
    """What allowed senders said in a session, newest first; of one person: what he said."""
    i = t.inbound
    query = (
        select(i.c.seq, i.c.text, i.c.received_at_ms)
        .where(i.c.account == session.account, i.c.chat == session.chat)
        .where(i.c.access == Access.ALLOWED.value, i.c.received_at_ms >= session.since_ms)
        .order_by(i.c.seq.desc())
        .limit(limit)
    )
    return query.where(i.c.sender_id == session.person) if session.person else query


_ASIDE = (int(MessageClass.NOTICE), int(MessageClass.PROGRESS))


def said_lines(session: ChatSession, limit: int) -> Select[Any]:
    """What we said, or still owe, in a session, newest first; notices and progress are not part of the conversation.
    Of one person: what answered him, and what was said to all."""
    m, i = t.message, t.inbound
    query = (
        select(m.c.seq, m.c.text, m.c.created_at_ms, m.c.state, m.c.turn_id, m.c.in_reply_to)
        .where(m.c.account == session.account, m.c.chat == session.chat)
        .where(m.c["class"].not_in(_ASIDE), m.c.created_at_ms >= session.since_ms)
        .order_by(m.c.seq.desc())
        .limit(limit)
    )
    if not session.person:
        return query
    to_him = exists().where(i.c.id == m.c.in_reply_to, i.c.sender_id == session.person)
    return query.where(m.c.in_reply_to.is_(None) | to_him)


def pending_inbound() -> Select[Any]:
    """What still waits for a turn or a command, oldest first."""
    i = t.inbound
    return select(i).where(PENDING, i.c.turn_id.is_(None)).order_by(i.c.received_at_ms, i.c.seq, i.c.id)


def open_turns() -> Select[Any]:
    """Turns that have not ended, oldest first."""
    return select(t.turn).where(OPEN).order_by(t.turn.c.created_at_ms, t.turn.c.id)


def rules_of(account: AccountId | None) -> Select[Any]:
    """Every sender that is known, of one account or of all, by first sight or first decision."""
    rule = t.sender_rule
    listed_ms = func.coalesce(rule.c.first_seen_at_ms, rule.c.decided_at_ms)
    query = select(rule).order_by(listed_ms, rule.c.account, rule.c.sender_id)
    return query if account is None else query.where(rule.c.account == account)


def chosen_agents() -> Select[Any]:
    """Every chat for which somebody has chosen who answers."""
    c = t.chat
    return select(c.c.account, c.c.id, c.c.agent).where(c.c.agent != "")


def asked_since(at_ms: int) -> Select[Any]:
    """Who was heard and asked for something since a time: account, sender and time, oldest first."""
    i = t.inbound
    turned_to = i.c.turn_id.is_not(None) | (i.c.dispatch == Dispatch.TURN.value)
    return (
        select(i.c.account, i.c.sender_id, i.c.received_at_ms)
        .where(i.c.received_at_ms > at_ms, i.c.access == Access.ALLOWED.value, turned_to)
        .order_by(i.c.received_at_ms)
    )


def all_keys() -> Select[Any]:
    """Every API key, revoked ones too, by age."""
    return select(t.api_key).order_by(t.api_key.c.created_at_ms, t.api_key.c.id)


def key_by_id(key_id: str) -> Select[Any]:
    """One API key."""
    return select(t.api_key).where(t.api_key.c.id == key_id)


def events_after(after_id: int, limit: int) -> Select[Any]:
    """Events behind a position, in order."""
    return select(t.event).where(t.event.c.id > after_id).order_by(t.event.c.id).limit(limit)


def oldest_event() -> Select[Any]:
    """The id of the oldest event that is kept."""
    return select(func.min(t.event.c.id))


def newest_event() -> Select[Any]:
    """The id of the newest event there ever was."""
    return select(t.counter.c.value).where(t.counter.c.name == "event")


def live_counts() -> Select[Any]:
    """Live messages by account, state and what they wait for; when the oldest of each was accepted, and which it is
    (ids sort by time of acceptance)."""
    m = t.message
    return (
        select(
            m.c.account,
            m.c.state,
            m.c.waiting_for,
            func.count(),
            func.min(m.c.created_at_ms),
            func.min(m.c.id),
        )
        .where(LIVE)
        .group_by(m.c.account, m.c.state, m.c.waiting_for)
    )


def states_by_time(since_ms: int, step_ms: int) -> Select[Any]:
    """How many messages accepted since a time are in which state, by steps of time. Reads the index of times from
    there on."""
    m = t.message
    step = ((m.c.created_at_ms - since_ms) // step_ms).label("step")
    since = m.c.created_at_ms >= since_ms
    return select(step, m.c.state, func.count()).where(since).group_by(text("step"), m.c.state)


def open_turn_count() -> Select[Any]:
    """How many turns have not ended."""
    return select(func.count(distinct(t.turn.c.id))).where(OPEN)


# What a person should know of.


def alerts_page(is_open: bool | None, after: tuple[int, int, str] | None, limit: int) -> Select[Any]:
    """Alerts: first those that are open, then those that are not; the latest change first."""
    a = t.alert
    over = case((a.c.cleared_at_ms.is_(None), 0), else_=1)
    changed_ms = func.coalesce(a.c.cleared_at_ms, a.c.since_ms)
    query = select(a).order_by(over, changed_ms.desc(), a.c.id).limit(limit)
    if is_open is not None:
        query = query.where(a.c.cleared_at_ms.is_(None) if is_open else a.c.cleared_at_ms.is_not(None))
    if after is not None:
        after_over, after_ms, after_id = after
        behind = (changed_ms < after_ms) | ((changed_ms == after_ms) & (a.c.id > after_id))
        query = query.where((over > after_over) | ((over == after_over) & behind))
    return query


def alerts_open_or_cleared_after(at_ms: int) -> Select[Any]:
    """Every open alert, and those that were cleared since a time."""
    a = t.alert
    return select(a).where(a.c.cleared_at_ms.is_(None) | (a.c.cleared_at_ms >= at_ms))


def failing_schedules(limit: int) -> Select[Any]:
    """Schedules that cannot be carried out, and why: id, code, text."""
    s = t.schedule
    columns = (s.c.id, s.c.reason_code, s.c.reason_text)
    return select(*columns).where(text("reason_code IS NOT NULL")).order_by(s.c.id).limit(limit)


def last_message(target: Target, source: str) -> Select[Any]:
    """When the latest message of a source was accepted for a chat."""
    m = t.message
    of_chat = (m.c.account == target.account, m.c.chat == target.chat, m.c.source == source)
    return select(m.c.created_at_ms).where(*of_chat).order_by(m.c.seq.desc()).limit(1)


_PROGRESS = int(MessageClass.PROGRESS)


def waiting_long(before_ms: int) -> Select[Any]:
    """Messages that have waited since before a time, by chat: account, chat, how many, since when, and one that
    has waited longest (ids sort by time of acceptance). Progress lines matter to nobody later. Reads the live rows
    in the order of their index."""
    m = t.message
    due_ms = case((m.c.not_before_ms > m.c.created_at_ms, m.c.not_before_ms), else_=m.c.created_at_ms)
    return (
        select(m.c.account, m.c.chat, func.count(), func.min(due_ms), func.min(m.c.id))
        .where(LIVE, due_ms <= before_ms, m.c["class"] != _PROGRESS)
        .group_by(m.c.account, m.c.chat)
    )


def long_queues(most: int) -> Select[Any]:
    """Accounts for which more messages wait than these, and how many. Reads the index of live rows only."""
    m = t.message
    query = select(m.c.account, func.count()).where(LIVE).group_by(m.c.account)
    return query.having(func.count() > most).order_by(m.c.account)


def held_in_doubt() -> Select[Any]:
    """Messages that wait for an operator, by chat, as waiting_long."""
    m = t.message
    return (
        select(m.c.account, m.c.chat, func.count(), func.min(m.c.created_at_ms), func.min(m.c.id))
        .where(LIVE, m.c.waiting_for == WaitingFor.OPERATOR.value)
        .group_by(m.c.account, m.c.chat)
    )


def ended_badly(state: MessageState, after_ms: int) -> Select[Any]:
    """Messages that have failed, or expired, since a time, by chat: account, chat, how many, when the last, and the
    newest. Reads the small index of such rows."""
    m = t.message
    return (
        select(m.c.account, m.c.chat, func.count(), func.max(m.c.finished_at_ms), func.max(m.c.id))
        .where(DEAD, m.c.state == state.value, m.c.finished_at_ms >= after_ms, m.c["class"] != _PROGRESS)
        .group_by(m.c.account, m.c.chat)
    )


def ghosting_chats(at_least: int, after_ms: int) -> Select[Any]:
    """Chats in use with so many sends in a row that were owed a receipt and got none."""
    c = t.chat
    some = text("chat.ghosts > 0")
    return select(c.c.account, c.c.id, c.c.ghosts).where(
        some, c.c.ghosts >= at_least, c.c.last_outbound_at_ms >= after_ms
    )


def ghosting_accounts(at_least: int) -> Select[Any]:
    """Accounts with so many of them, over all their chats."""
    return select(t.account.c.id, t.account.c.ghosts).where(t.account.c.ghosts >= at_least)


# What the store notes about itself.


# Schedules.


def erase_schedule(schedule: str) -> Delete:
    """Removes a schedule."""
    return delete(t.schedule).where(t.schedule.c.id == schedule)


def erase_runs(schedule: str) -> Delete:
    """Removes the history of a schedule."""
    return delete(t.schedule_run).where(t.schedule_run.c.schedule == schedule)


def schedules_page(after: str | None, limit: int) -> Select[Any]:
    """Schedules, the newest first."""
    query = select(t.schedule).order_by(t.schedule.c.id.desc()).limit(limit)
    return query if after is None else query.where(t.schedule.c.id < after)


def due_schedules(now_ms: int, limit: int) -> Select[Any]:
    """Schedules whose time has come, the longest due first."""
    s = t.schedule
    return select(s).where(s.c.fire_at_ms <= now_ms).order_by(s.c.fire_at_ms, s.c.id).limit(limit)


def next_schedule() -> Select[Any]:
    """When the next schedule is due."""
    s = t.schedule
    return select(func.min(s.c.fire_at_ms)).where(s.c.fire_at_ms.is_not(None))


def schedules_planned_after(at_ms: int, limit: int) -> Select[Any]:
    """Schedules that were looked at last when the clock showed a later time."""
    s = t.schedule
    return select(s).where(s.c.planned_ms > at_ms, s.c.fire_at_ms.is_not(None)).order_by(s.c.id).limit(limit)


def runs_page(schedule: str, after: str | None, limit: int) -> Select[Any]:
    """The history of a schedule, the newest run first."""
    r = t.schedule_run
    query = select(r).where(r.c.schedule == schedule).order_by(r.c.id.desc()).limit(limit)
    return query if after is None else query.where(r.c.id < after)


def run_by_id(schedule: str, run_id: str) -> Select[Any]:
    """One run of a schedule."""
    r = t.schedule_run
    return select(r).where(r.c.schedule == schedule, r.c.id == run_id)


def messages_of_turn(account: str, turn: str) -> Select[Any]:
    """What a turn has said; its messages are found by their keys."""
    m, first = t.message, f"turn:{turn}:"
    within = (m.c.idempotency_key >= first, m.c.idempotency_key < f"turn:{turn};")
    return select(m).where(m.c.account == account, m.c.idempotency_key.is_not(None), *within)


def old_runs(before_ms: int, limit: int) -> Select[Any]:
    """Runs from before a time."""
    r = t.schedule_run
    return select(r.c.schedule, r.c.key).where(r.c.at_ms < before_ms).order_by(r.c.at_ms).limit(limit)


# Idempotency keys that are no message's.


def claim_by_key(kind: str, key: str) -> Select[Any]:
    """Which id a key stands for, and what it was used for."""
    c = t.claim.c
    return select(c.id, c.body_sha256).where(c.kind == kind, c.key == key)


def add_claim(claim: Claim) -> Insert:
    """Writes down which id a key stands for."""
    return insert(t.claim).values(
        kind=claim.kind, key=claim.key, id=claim.id, body_sha256=claim.body_sha256, at_ms=claim.at_ms
    )


def erase_claim(claim: Claim) -> Delete:
    """Removes a claim."""
    c = t.claim.c
    return delete(t.claim).where(c.kind == claim.kind, c.key == claim.key, c.id == claim.id)


def old_claims(before_ms: int, limit: int) -> Select[Any]:
    """Claims from before a time."""
    c = t.claim.c
    return select(c.kind, c.key).where(c.at_ms < before_ms).order_by(c.at_ms).limit(limit)


# Webhooks.


def all_webhooks() -> Select[Any]:
    """Every webhook, in the order of their making."""
    return select(t.webhook).order_by(t.webhook.c.id)


def webhook_by_id(webhook: str) -> Select[Any]:
    """One webhook."""
    return select(t.webhook).where(t.webhook.c.id == webhook)


def webhook_secrets() -> Select[Any]:
    """The secrets of all webhooks, as they are kept."""
    return select(t.webhook.c.id, t.webhook.c.secret)


def add_webhook() -> Insert:
    """Adds a webhook."""
    return insert(t.webhook)


def change_webhook(webhook: str, values: Mapping[str, Any], generation: int | None = None) -> Update:
    """Changes columns of a webhook; with a generation only if that is still its own."""
    row = update(t.webhook).where(t.webhook.c.id == webhook).values(dict(values))
    return row if generation is None else row.where(t.webhook.c.generation == generation)


def erase_webhook(webhook: str) -> Delete:
    """Removes a webhook."""
    return delete(t.webhook).where(t.webhook.c.id == webhook)


def erase_posts(webhook: str) -> Delete:
    """Removes what is known of a webhook's posts."""
    return delete(t.webhook_post).where(t.webhook_post.c.webhook == webhook)


def erase_post(webhook: str, event: int) -> Delete:
    """Removes what is known of an event's posts, before it is written anew."""
    p = t.webhook_post
    return delete(p).where(p.c.webhook == webhook, p.c.event == event)


def add_post() -> Insert:
    """Writes down what became of an event."""
    return insert(t.webhook_post)


def posts_page(webhook: str, failed_only: bool, after: tuple[int, int] | None, limit: int) -> Select[Any]:
    """What became of events at a webhook, the latest first."""
    p = t.webhook_post
    query = select(p).where(p.c.webhook == webhook).order_by(p.c.at_ms.desc(), p.c.event.desc()).limit(limit)
    if failed_only:
        query = query.where(text("reason_code IS NOT NULL"))
    if after is not None:
        at_ms, event = after
        query = query.where((p.c.at_ms < at_ms) | ((p.c.at_ms == at_ms) & (p.c.event < event)))
    return query


def old_posts(before_ms: int, limit: int) -> Select[Any]:
    """What became of events long ago."""
    p = t.webhook_post
    return select(p.c.webhook, p.c.event).where(p.c.at_ms < before_ms).order_by(p.c.at_ms).limit(limit)


def meta_value(name: str) -> Select[Any]:
    """One note."""
    return select(t.meta.c.value).where(t.meta.c.name == name)


def add_meta(name: str, value: str) -> Insert:
    """Writes a new note."""
    return insert(t.meta).values(name=name, value=value)


def erase_meta(name: str) -> Delete:
    """Removes a note."""
    return delete(t.meta).where(t.meta.c.name == name)


def open_account_secrets() -> Select[Any]:
    """The secrets of every account as they are stored."""
    return select(t.account.c.id, t.account.c.secret, t.account.c.cursor)


def open_tokens() -> Select[Any]:
    """Every reply token as it is stored."""
    r = t.reply_token
    return select(r.c.account, r.c.chat, r.c.token_sha256, r.c.token)
