"""Everything the first release keeps. The tables are explained in `store/tables.py`; this page is their history
and never changes again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _name(column: str, null: bool = False) -> sa.Column[str]:
    kind = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return sa.Column(column, kind, nullable=null)


def _text(column: str, null: bool = False) -> sa.Column[str]:
    return sa.Column(column, sa.Text(), nullable=null)


def _int(column: str, null: bool = False) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger(), autoincrement=False, nullable=null)


def _flag(column: str) -> sa.Column[int]:
    return sa.Column(column, sa.SmallInteger(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "account",
        _name("id"),
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
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "alert",
        _name("id"),
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
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_alert_age",
        "alert",
        ["cleared_at_ms"],
        unique=False,
        sqlite_where=sa.text("cleared_at_ms IS NOT NULL"),
        postgresql_where=sa.text("cleared_at_ms IS NOT NULL"),
    )
    op.create_index(
        "ix_alert_open",
        "alert",
        ["since_ms"],
        unique=False,
        sqlite_where=sa.text("cleared_at_ms IS NULL"),
        postgresql_where=sa.text("cleared_at_ms IS NULL"),
    )
    op.create_table(
        "allowance",
        _name("account"),
        _name("chat"),
        _name("key"),
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
        sa.PrimaryKeyConstraint("account", "chat", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "api_key",
        _name("id"),
        _text("name"),
        _text("sha256"),
        _text("scopes"),
        _int("created_at_ms"),
        _int("revoked_at_ms", null=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "attempt",
        _name("account"),
        _name("message_id"),
        _int("no"),
        _int("n"),
        _int("at_ms"),
        _flag("with_token"),
        _int("ended_at_ms", null=True),
        _text("verdict", null=True),
        _text("code", null=True),
        _text("text", null=True),
        sa.PrimaryKeyConstraint("account", "message_id", "no", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_attempt_age", "attempt", ["at_ms"], unique=False)
    op.create_table(
        "chat",
        _name("account"),
        _name("id"),
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
        sa.PrimaryKeyConstraint("account", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "claim",
        _name("kind"),
        _name("key"),
        _name("id"),
        _text("body_sha256"),
        _int("at_ms"),
        sa.PrimaryKeyConstraint("kind", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_claim_age", "claim", ["at_ms"], unique=False)
    op.create_index(
        "ix_chat_ghosts",
        "chat",
        ["account"],
        unique=False,
        sqlite_where=sa.text("ghosts > 0"),
        postgresql_where=sa.text("ghosts > 0"),
    )
    op.create_table("counter", _name("name"), _int("value"), sa.PrimaryKeyConstraint("name"))
    op.create_table(
        "entry",
        _name("account"),
        _name("message_id"),
        _int("no"),
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
        sa.PrimaryKeyConstraint("account", "message_id", "no"),
    )
    op.create_index(
        "ix_entry_receipt",
        "entry",
        ["account", "receipt"],
        unique=False,
        sqlite_where=sa.text("receipt IS NOT NULL"),
        postgresql_where=sa.text("receipt IS NOT NULL"),
    )
    op.create_table(
        "event",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        _int("at_ms"),
        _text("type"),
        _name("account", null=True),
        _name("chat", null=True),
        _text("data"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "inbound",
        _name("account"),
        _name("chat"),
        _int("seq"),
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
        sa.PrimaryKeyConstraint("account", "chat", "seq"),
    )
    op.create_index("ix_inbound_age", "inbound", ["received_at_ms"], unique=False)
    op.create_index("ix_inbound_id", "inbound", ["id"], unique=True)
    op.create_index(
        "ix_inbound_pending",
        "inbound",
        ["received_at_ms", "id"],
        unique=False,
        sqlite_where=sa.text("dispatch <> 'done'"),
        postgresql_where=sa.text("dispatch <> 'done'"),
    )
    op.create_index(
        "ix_inbound_platform_id",
        "inbound",
        ["account", "platform_message_id"],
        unique=True,
        sqlite_where=sa.text("platform_message_id IS NOT NULL"),
        postgresql_where=sa.text("platform_message_id IS NOT NULL"),
    )
    op.create_index(
        "ix_inbound_same",
        "inbound",
        ["account", "sender_id", "sent_at_ms"],
        unique=False,
        sqlite_where=sa.text("sent_at_ms > 0"),
        postgresql_where=sa.text("sent_at_ms > 0"),
    )
    op.create_table(
        "message",
        _name("account"),
        _name("chat"),
        _int("seq"),
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
        sa.PrimaryKeyConstraint("account", "chat", "seq"),
    )
    op.create_index(
        "ix_message_age",
        "message",
        ["finished_at_ms"],
        unique=False,
        sqlite_where=sa.text("live = 0"),
        postgresql_where=sa.text("live = 0"),
    )
    op.create_index(
        "ix_message_dead",
        "message",
        ["finished_at_ms"],
        unique=False,
        sqlite_where=sa.text("state IN ('failed', 'expired')"),
        postgresql_where=sa.text("state IN ('failed', 'expired')"),
    )
    op.create_index(
        "ix_message_expiry",
        "message",
        ["expires_at_ms"],
        unique=False,
        sqlite_where=sa.text("live = 1"),
        postgresql_where=sa.text("live = 1"),
    )
    op.create_index("ix_message_id", "message", ["id"], unique=True)
    op.create_index(
        "ix_message_key",
        "message",
        ["account", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "ix_message_lane",
        "message",
        ["account", "chat", "rank", "seq"],
        unique=False,
        sqlite_where=sa.text("live = 1"),
        postgresql_where=sa.text("live = 1"),
    )
    op.create_index("ix_message_newest", "message", ["account", "id"], unique=False)
    op.create_index("ix_message_created", "message", ["created_at_ms"], unique=False)
    op.create_table("meta", _name("name"), _text("value"), sa.PrimaryKeyConstraint("name"))
    op.create_table(
        "reply_token",
        _name("account"),
        _name("chat"),
        _name("token_sha256"),
        _text("token"),
        _name("inbound_id"),
        _int("issued_at_ms"),
        _text("state"),
        _text("reason"),
        _int("seq"),
        sa.PrimaryKeyConstraint("account", "chat", "token_sha256"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "schedule",
        _name("id"),
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
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_schedule_due",
        "schedule",
        ["fire_at_ms", "id"],
        unique=False,
        sqlite_where=sa.text("fire_at_ms IS NOT NULL"),
        postgresql_where=sa.text("fire_at_ms IS NOT NULL"),
    )
    op.create_index(
        "ix_schedule_failing",
        "schedule",
        ["id"],
        unique=False,
        sqlite_where=sa.text("reason_code IS NOT NULL"),
        postgresql_where=sa.text("reason_code IS NOT NULL"),
    )
    op.create_table(
        "schedule_run",
        _name("schedule"),
        _name("key"),
        _name("id"),
        _text("cause"),
        _text("state"),
        _int("due_ms"),
        _int("at_ms"),
        _int("missed"),
        _text("messages"),
        _text("refused"),
        _text("asked"),
        sa.PrimaryKeyConstraint("schedule", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_schedule_run_age", "schedule_run", ["at_ms"], unique=False)
    op.create_index("ix_schedule_run_id", "schedule_run", ["schedule", "id"], unique=True)
    op.create_table(
        "sender_rule",
        _name("account"),
        _name("sender_id"),
        _text("sender_name"),
        _text("rule"),
        _text("first_text"),
        _int("first_seen_at_ms", null=True),
        _int("last_seen_at_ms", null=True),
        _int("refused"),
        _int("decided_at_ms", null=True),
        _text("refused_by"),
        _text("code"),
        sa.PrimaryKeyConstraint("account", "sender_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "session",
        _name("account"),
        _name("chat"),
        _name("person"),
        _int("since_ms"),
        _int("used_at_ms"),
        _text("agent"),
        _text("agent_session"),
        sa.PrimaryKeyConstraint("account", "chat", "person"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_session_age", "session", ["used_at_ms"], unique=False)
    op.create_table(
        "suppressed",
        _name("account"),
        _name("chat"),
        _int("seq"),
        _name("original_id"),
        _name("platform_message_id", null=True),
        _int("at_ms"),
        _text("rule"),
        sa.PrimaryKeyConstraint("account", "chat", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_suppressed_age", "suppressed", ["at_ms"], unique=False)
    op.create_table(
        "turn",
        _name("account"),
        _name("chat"),
        _int("seq"),
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
        sa.PrimaryKeyConstraint("account", "chat", "seq"),
    )
    op.create_index(
        "ix_turn_age",
        "turn",
        ["ended_at_ms"],
        unique=False,
        sqlite_where=sa.text("ended_at_ms IS NOT NULL"),
        postgresql_where=sa.text("ended_at_ms IS NOT NULL"),
    )
    op.create_index("ix_turn_id", "turn", ["id"], unique=True)
    op.create_index("ix_turn_newest", "turn", ["account", "id"], unique=False)
    op.create_index(
        "ix_turn_open",
        "turn",
        ["created_at_ms", "id"],
        unique=False,
        sqlite_where=sa.text("ended_at_ms IS NULL"),
        postgresql_where=sa.text("ended_at_ms IS NULL"),
    )
    op.create_table(
        "webhook",
        _name("id"),
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
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "webhook_post",
        _name("webhook"),
        _int("event"),
        _text("type"),
        _int("at_ms"),
        _int("took_ms"),
        _int("status", null=True),
        _text("reason_code", null=True),
        _text("reason_text", null=True),
        _int("tries"),
        sa.PrimaryKeyConstraint("webhook", "event"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_webhook_post_newest", "webhook_post", ["webhook", "at_ms", "event"], unique=False)
    op.create_index("ix_webhook_post_age", "webhook_post", ["at_ms"], unique=False)
    op.create_index(
        "ix_webhook_post_failed",
        "webhook_post",
        ["webhook", "at_ms", "event"],
        unique=False,
        sqlite_where=sa.text("reason_code IS NOT NULL"),
        postgresql_where=sa.text("reason_code IS NOT NULL"),
    )
    op.execute("INSERT INTO counter (name, value) VALUES ('event', 0)")
