"""The statements of every batch of writes, compiled for one engine."""

from __future__ import annotations

from sqlalchemy import Dialect

from yizhan.store import queries
from yizhan.store.engine import StoreEngine
from yizhan.store.statement import ListQuery, Statement


class BatchStatements:
    """What a working set loads and flushes with; the names say what, `queries.py` says it in a sentence."""

    def __init__(self, engine: StoreEngine) -> None:
        dialect = engine.dialect
        self._loads(dialect)
        self._writes_of_the_road_out(engine, dialect)
        self._writes_of_the_road_in(dialect)

    def _loads(self, dialect: Dialect) -> None:
        pair = ("", "")
        self.accounts_by_id = ListQuery(queries.accounts_by_id, "", dialect)
        self.chats_by_key = ListQuery(queries.chats_by_key, pair, dialect)
        self.messages_by_id = ListQuery(queries.messages_by_id, "", dialect)
        self.messages_by_key = ListQuery(queries.messages_by_key, pair, dialect)
        self.live_progress_of = ListQuery(queries.live_progress_of, pair, dialect)
        self.entries_of = ListQuery(queries.entries_of, "", dialect)
        self.attempts_of = ListQuery(queries.attempts_of, "", dialect)
        self.inbound_by_id = ListQuery(queries.inbound_by_id, "", dialect)
        self.inbound_by_platform_id = ListQuery(queries.inbound_by_platform_id, pair, dialect)
        self.inbound_of_moments = ListQuery(queries.inbound_of_moments, ("", "", 0), dialect)
        self.sessions_by_key = ListQuery(queries.sessions_by_key, ("", "", ""), dialect)
        self.turns_by_id = ListQuery(queries.turns_by_id, "", dialect)
        self.ledgers_of = ListQuery(queries.ledgers_of, pair, dialect)
        self.tokens_of = ListQuery(queries.tokens_of, pair, dialect)
        self.rules_by_key = ListQuery(queries.rules_by_key, pair, dialect)
        self.schedules_by_id = ListQuery(queries.schedules_by_id, "", dialect)
        self.runs_by_key = ListQuery(queries.runs_by_key, pair, dialect)

    def _writes_of_the_road_out(self, engine: StoreEngine, dialect: Dialect) -> None:
        self.insert_message = Statement(queries.INSERT_MESSAGE, dialect)
        self.update_message = Statement(queries.UPDATE_MESSAGE, dialect)
        self.insert_entry = Statement(queries.INSERT_ENTRY, dialect)
        self.update_entry = Statement(queries.UPDATE_ENTRY, dialect)
        self.begin_attempt = Statement(engine.upserts.begin_attempt, dialect)
        self.update_attempt = Statement(queries.UPDATE_ATTEMPT, dialect)
        self.insert_token = Statement(queries.INSERT_TOKEN, dialect)
        self.update_token = Statement(queries.UPDATE_TOKEN, dialect)
        self.judge_token = Statement(queries.JUDGE_TOKEN, dialect)
        self.erase_token = Statement(queries.ERASE_TOKEN, dialect)
        self.keep_ledger = Statement(engine.upserts.keep_ledger, dialect)
        self.forget_ledgers = Statement(queries.FORGET_LEDGERS, dialect)
        self.delete_token = Statement(queries.DELETE_TOKEN, dialect)
        self.take_event_ids = Statement(queries.TAKE_EVENT_IDS, dialect)
        self.insert_event = Statement(queries.INSERT_EVENT, dialect)

    def _writes_of_the_road_in(self, dialect: Dialect) -> None:
        self.insert_account = Statement(queries.INSERT_ACCOUNT, dialect)
        self.update_account = Statement(queries.UPDATE_ACCOUNT, dialect)
        self.insert_chat = Statement(queries.INSERT_CHAT, dialect)
        self.update_chat = Statement(queries.UPDATE_CHAT, dialect)
        self.insert_rule = Statement(queries.INSERT_RULE, dialect)
        self.update_rule = Statement(queries.UPDATE_RULE, dialect)
        self.insert_inbound = Statement(queries.INSERT_INBOUND, dialect)
        self.update_inbound = Statement(queries.UPDATE_INBOUND, dialect)
        self.insert_suppressed = Statement(queries.INSERT_SUPPRESSED, dialect)
        self.insert_session = Statement(queries.INSERT_SESSION, dialect)
        self.update_session = Statement(queries.UPDATE_SESSION, dialect)
        self.insert_turn = Statement(queries.INSERT_TURN, dialect)
        self.update_turn = Statement(queries.UPDATE_TURN, dialect)
        self.insert_schedule = Statement(queries.INSERT_SCHEDULE, dialect)
        self.update_schedule = Statement(queries.UPDATE_SCHEDULE, dialect)
        self.insert_run = Statement(queries.INSERT_RUN, dialect)
