"""The shelves of the cellar: one SQLAlchemy Core description for SQLite and PostgreSQL.

How to think of it. A chat hands out positions (`chat.next_seq`). Whatever happens in a chat, an inbound
message, a repeat that was suppressed, a turn, a message we promised to send, takes the next position, so that
one number orders the whole chat: the lane, the timeline and the history. Every key begins with the account,
and no transaction needs rows of two accounts to agree.

    account ─┬─ chat ─┬─ inbound      what was heard            (account, chat, seq)
             │        ├─ suppressed   repeats of it             (account, chat, seq)
             │        ├─ turn         answers in the making     (account, chat, seq)
             │        ├─ message      what we promised to send  (account, chat, seq)
             │        │    └─ entry   its parts                 (account, message_id, no)
             │        │        └─ attempt                       (account, message_id, no, n)
             │        ├─ session      what is to be remembered  (account, chat, person)
             │        ├─ reply_token                            (account, chat, token_sha256)
             │        └─ allowance    what an inbound message permits   (account, chat, key)
             └─ sender_rule           who may ask               (account, sender_id)
    schedule     what is to be said when
     └─ schedule_run  each time that it was due, once          (schedule, key)
    alert       troubles that a person should know of, open until they are cleared
    webhook     addresses that events are posted to, and how far each has come
     └─ webhook_post  what became of each event there          (webhook, event)
    event       facts for programs, numbered by the row `event` of `counter`
    api_key     keys of the HTTP API, hashed
    claim       idempotency keys that are no message's, and the id that each stands for
    meta        what the store knows about itself: salt, owner

Types are the few that both engines share: text, 64-bit integers (times in ms, flags as 0 and 1). There are no
foreign keys: the account of a message may be removed while its history stays, and rows are pruned by age.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, SmallInteger, Table, Text, text
from sqlalchemy.types import TypeEngine

metadata = MetaData()

_NAME: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared and sorted: byte order on both engines."""


def _name(column: str, *, key: bool = False, null: bool = False) -> Column[str]:
    return Column(column, _NAME, primary_key=key, nullable=null)


def _text(column: str, *, null: bool = False) -> Column[str]:
    return Column(column, Text(), nullable=null)


def _int(column: str, *, key: bool = False, null: bool = False) -> Column[int]:
    return Column(column, BigInteger(), primary_key=key, nullable=null, autoincrement=False)


def _flag(column: str) -> Column[int]:
    return Column(column, SmallInteger(), nullable=False)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


account = Table(
    "account",
    metadata,
    _name("id", key=True),
    _text("secret"),
    _text("base_url"),
    _text("cdn_base_url"),
    _text("token_url"),
    _text("user_id"),
    _flag("webhook"),
    _text("state"),
    _int("since_ms"),
    _int("created_at_ms"),
    _flag("paused"),
    _text("reason_code", null=True),
    _text("reason_text", null=True),
    _text("action"),
    _int("last_server_answer_at_ms", null=True),
    _int("next_attempt_at_ms", null=True),
    _flag("gives_receipts"),
    _int("ghosts"),
    _text("cursor"),
    _text("gate"),
    _text("allowance"),
    _text("unfit_forms"),
)

chat = Table(
    "chat",
    metadata,
    _name("account", key=True),
    _name("id", key=True),
    _text("kind"),
    _text("title"),
    _int("created_at_ms"),
    _int("last_inbound_at_ms", null=True),
    _int("last_outbound_at_ms", null=True),
    _flag("paused"),
    _text("gate"),
    _int("ghosts"),
    _text("unasked"),
    _int("taken_over_at_ms", null=True),
    _text("agent"),
    _int("activity_at_ms"),
    _int("next_seq"),
    _partial("ix_chat_ghosts", "account", where="ghosts > 0"),
    sqlite_with_rowid=False,
)

reply_token = Table(
    "reply_token",
    metadata,
    _name("account", key=True),
    _name("chat", key=True),
    _name("token_sha256", key=True),
    _text("token"),
    _name("inbound_id"),
    _int("issued_at_ms"),
    _text("state"),
    _text("reason"),
    _int("seq"),
    sqlite_with_rowid=False,
)

allowance = Table(
    "allowance",
    metadata,
    _name("account", key=True),
    _name("chat", key=True),
    _name("key", key=True),
    _int("opened_at_ms"),
    _int("seq"),
    _int("used"),
    _flag("unsure"),
    _int("accepted_at_ms"),
    _flag("closed"),
    _int("closed_before"),
    _int("probes"),
    _int("probe_at_ms"),
    _flag("noticed"),
    _flag("pending"),
    _int("sent"),
    sqlite_with_rowid=False,
)

inbound = Table(
    "inbound",
    metadata,
    _name("account", key=True),
    _name("chat", key=True),
    _int("seq", key=True),
    _name("id"),
    _name("platform_message_id", null=True),
    _name("sender_id"),
    _text("sender_name"),
    _text("text"),
    _text("quoted_text"),
    _text("items"),
    _int("sent_at_ms"),
    _int("received_at_ms"),
    _text("access"),
    _text("dispatch"),
    _name("turn_id", null=True),
    _name("content_sha256"),
    _text("rule"),
    Index("ix_inbound_id", "id", unique=True),
    _partial(
        "ix_inbound_platform_id",
        "account",
        "platform_message_id",
        where="platform_message_id IS NOT NULL",
        unique=True,
    ),
    _partial("ix_inbound_same", "account", "sender_id", "sent_at_ms", where="sent_at_ms > 0"),
    _partial("ix_inbound_pending", "received_at_ms", "id", where="dispatch <> 'done'"),
    Index("ix_inbound_age", "received_at_ms"),
)

suppressed = Table(
    "suppressed",
    metadata,
    _name("account", key=True),
    _name("chat", key=True),
    _int("seq", key=True),
    _name("original_id"),
    _name("platform_message_id", null=True),
    _int("at_ms"),
    _text("rule"),
    Index("ix_suppressed_age", "at_ms"),
    sqlite_with_rowid=False,
)

session = Table(
    "session",
    metadata,
    _name("account", key=True),
    _name("chat", key=True),
    _name("person", key=True),
    _int("since_ms"),
    _int("used_at_ms"),
    _text("agent"),
    _text("agent_session"),
    Index("ix_session_age", "used_at_ms"),
    sqlite_with_rowid=False,
)

turn = Table(
    "turn",
    metadata,
    _name("account", key=True),
    _name("chat", key=True),
    _int("seq", key=True),
    _name("id"),
    _text("agent"),
    _text("state"),
    _text("inbound_ids"),
    _int("created_at_ms"),
    _int("started_at_ms", null=True),
    _int("ended_at_ms", null=True),
    _text("reason_code", null=True),
    _text("reason_text", null=True),
    _int("outputs"),
    _name("person"),
    Index("ix_turn_id", "id", unique=True),
    Index("ix_turn_newest", "account", "id"),
    _partial("ix_turn_open", "created_at_ms", "id", where="ended_at_ms IS NULL"),
    _partial("ix_turn_age", "ended_at_ms", where="ended_at_ms IS NOT NULL"),
)

message = Table(
    "message",
    metadata,
    _name("account", key=True),
    _name("chat", key=True),
    _int("seq", key=True),
    _name("id"),
    _int("class"),
    _text("source"),
    _text("text"),
    _int("created_at_ms"),
    _int("expires_at_ms"),
    _text("state"),
    _text("waiting_for", null=True),
    _int("next_attempt_at_ms", null=True),
    _text("reason_code", null=True),
    _text("reason_text", null=True),
    _flag("possibly_doubled"),
    _name("idempotency_key", null=True),
    _text("body_sha256"),
    _name("in_reply_to", null=True),
    _name("turn_id", null=True),
    _int("ordinal", null=True),
    _int("not_before_ms", null=True),
    _int("finished_at_ms", null=True),
    _flag("live"),
    _int("rank"),
    Index("ix_message_id", "id", unique=True),
    Index("ix_message_newest", "account", "id"),
    Index("ix_message_created", "created_at_ms"),
    _partial(
        "ix_message_key", "account", "idempotency_key", where="idempotency_key IS NOT NULL", unique=True
    ),
    _partial("ix_message_lane", "account", "chat", "rank", "seq", where="live = 1"),
    _partial("ix_message_expiry", "expires_at_ms", where="live = 1"),
    _partial("ix_message_age", "finished_at_ms", where="live = 0"),
    _partial("ix_message_dead", "finished_at_ms", where="state IN ('failed', 'expired')"),
)

entry = Table(
    "entry",
    metadata,
    _name("account", key=True),
    _name("message_id", key=True),
    _int("no", key=True),
    _text("text"),
    _name("client_id"),
    _text("state"),
    _text("waiting_for", null=True),
    _int("next_attempt_at_ms", null=True),
    _text("reason_code", null=True),
    _text("reason_text", null=True),
    _text("receipt", null=True),
    _int("attempts_made"),
    _flag("possibly_doubled"),
    _flag("in_doubt"),
    _text("sent_as"),
    _text("form"),
    _partial("ix_entry_receipt", "account", "receipt", where="receipt IS NOT NULL"),
)

attempt = Table(
    "attempt",
    metadata,
    _name("account", key=True),
    _name("message_id", key=True),
    _int("no", key=True),
    _int("n", key=True),
    _int("at_ms"),
    _flag("with_token"),
    _int("ended_at_ms", null=True),
    _text("verdict", null=True),
    _text("code", null=True),
    _text("text", null=True),
    Index("ix_attempt_age", "at_ms"),
    sqlite_with_rowid=False,
)

sender_rule = Table(
    "sender_rule",
    metadata,
    _name("account", key=True),
    _name("sender_id", key=True),
    _text("sender_name"),
    _text("rule"),
    _text("first_text"),
    _int("first_seen_at_ms", null=True),
    _int("last_seen_at_ms", null=True),
    _int("refused"),
    _int("decided_at_ms", null=True),
    _text("refused_by"),
    _text("code"),
    sqlite_with_rowid=False,
)

schedule = Table(
    "schedule",
    metadata,
    _name("id", key=True),
    _text("name"),
    _text("when_text"),
    _text("zone"),
    _text("text"),
    _text("targets"),
    _int("created_at_ms"),
    _int("written_ms"),
    _int("planned_ms"),
    _text("missed"),
    _int("missed_most"),
    _int("jitter_ms"),
    _int("lifetime_ms", null=True),
    _int("ends_at_ms", null=True),
    _flag("paused"),
    _flag("prompt"),
    _int("next_due_ms", null=True),
    _int("fire_at_ms", null=True),
    _int("last_due_ms", null=True),
    _int("revision"),
    _text("reason_code", null=True),
    _text("reason_text", null=True),
    _partial("ix_schedule_due", "fire_at_ms", "id", where="fire_at_ms IS NOT NULL"),
    _partial("ix_schedule_failing", "id", where="reason_code IS NOT NULL"),
)

schedule_run = Table(
    "schedule_run",
    metadata,
    _name("schedule", key=True),
    _name("key", key=True),
    _name("id"),
    _text("cause"),
    _text("state"),
    _int("due_ms"),
    _int("at_ms"),
    _int("missed"),
    _text("messages"),
    _text("refused"),
    _text("asked"),
    Index("ix_schedule_run_id", "schedule", "id", unique=True),
    Index("ix_schedule_run_age", "at_ms"),
    sqlite_with_rowid=False,
)

alert = Table(
    "alert",
    metadata,
    _name("id", key=True),
    _text("kind"),
    _text("severity"),
    _name("account", null=True),
    _name("chat", null=True),
    _name("message_id", null=True),
    _text("text"),
    _text("action"),
    _int("since_ms"),
    _int("last_seen_ms"),
    _int("count"),
    _int("cleared_at_ms", null=True),
    _partial("ix_alert_open", "since_ms", where="cleared_at_ms IS NULL"),
    _partial("ix_alert_age", "cleared_at_ms", where="cleared_at_ms IS NOT NULL"),
)

api_key = Table(
    "api_key",
    metadata,
    _name("id", key=True),
    _text("name"),
    _text("sha256"),
    _text("scopes"),
    _int("created_at_ms"),
    _int("revoked_at_ms", null=True),
)

webhook = Table(
    "webhook",
    metadata,
    _name("id", key=True),
    _text("url"),
    _text("secret"),
    _int("created_at_ms"),
    _int("cursor"),
    _text("types"),
    _flag("private"),
    _name("account", null=True),
    _flag("paused"),
    _int("generation"),
    _int("failures"),
    _int("failing_since_ms", null=True),
    _int("next_attempt_at_ms", null=True),
    _int("last_success_at_ms", null=True),
    _text("reason_code", null=True),
    _text("reason_text", null=True),
    _int("missed"),
)

webhook_post = Table(
    "webhook_post",
    metadata,
    _name("webhook", key=True),
    _int("event", key=True),
    _text("type"),
    _int("at_ms"),
    _int("took_ms"),
    _int("status", null=True),
    _text("reason_code", null=True),
    _text("reason_text", null=True),
    _int("tries"),
    Index("ix_webhook_post_newest", "webhook", "at_ms", "event"),
    Index("ix_webhook_post_age", "at_ms"),
    _partial("ix_webhook_post_failed", "webhook", "at_ms", "event", where="reason_code IS NOT NULL"),
    sqlite_with_rowid=False,
)

event = Table(
    "event",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    _int("at_ms"),
    _text("type"),
    _name("account", null=True),
    _name("chat", null=True),
    _text("data"),
)

claim = Table(
    "claim",
    metadata,
    _name("kind", key=True),
    _name("key", key=True),
    _name("id"),
    _text("body_sha256"),
    _int("at_ms"),
    Index("ix_claim_age", "at_ms"),
    sqlite_with_rowid=False,
)

counter = Table("counter", metadata, _name("name", key=True), _int("value"))

meta = Table("meta", metadata, _name("name", key=True), _text("value"))
