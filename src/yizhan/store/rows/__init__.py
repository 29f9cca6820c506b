"""Between rows and nouns. A row is a tuple of text, integers and None in the order of its table's columns, as
both drivers give and take it; a noun is a frozen value of `model.py`. Nothing here runs a query.
"""

from yizhan.store.rows.accounts import account_of, account_values, activity_of, chat_of, chat_values
from yizhan.store.rows.alerts import alert_of, alert_values
from yizhan.store.rows.events import event_of, event_values
from yizhan.store.rows.inbox import (
    inbound_of,
    inbound_values,
    items_of,
    items_text,
    suppressed_of,
    suppressed_values,
    turn_of,
    turn_values,
)
from yizhan.store.rows.kept import (
    KeptChat,
    KeptInbound,
    KeptMessage,
    KeptSuppressed,
    KeptToken,
    KeptTurn,
    Row,
    Values,
    reason_of,
    waiting_of,
)
from yizhan.store.rows.ledgers import ledger_of, ledger_values
from yizhan.store.rows.outbox import (
    attempt_of,
    attempt_values,
    entry_changes,
    entry_of,
    entry_values,
    message_changes,
    message_id_of,
    message_of,
    message_values,
    rank_of,
    with_attempts,
)
from yizhan.store.rows.people import key_of, key_values, rule_of, rule_values
from yizhan.store.rows.schedules import run_of, run_values, schedule_of, schedule_values
from yizhan.store.rows.tokens import kept_token, token_news, token_of, token_values, usable_token

__all__ = [
    "KeptChat",
    "KeptInbound",
    "KeptMessage",
    "KeptSuppressed",
    "KeptToken",
    "KeptTurn",
    "Row",
    "Values",
    "account_of",
    "account_values",
    "activity_of",
    "alert_of",
    "alert_values",
    "attempt_of",
    "attempt_values",
    "chat_of",
    "chat_values",
    "entry_changes",
    "entry_of",
    "entry_values",
    "event_of",
    "event_values",
    "inbound_of",
    "inbound_values",
    "items_of",
    "items_text",
    "kept_token",
    "key_of",
    "key_values",
    "ledger_of",
    "ledger_values",
    "message_changes",
    "message_id_of",
    "message_of",
    "message_values",
    "rank_of",
    "reason_of",
    "rule_of",
    "rule_values",
    "run_of",
    "run_values",
    "schedule_of",
    "schedule_values",
    "suppressed_of",
    "suppressed_values",
    "token_news",
    "token_of",
    "token_values",
    "turn_of",
    "turn_values",
    "usable_token",
    "waiting_of",
    "with_attempts",
]
