"""The statements of every batch of writes, compiled for one engine."""

from __future__ import annotations

from sqlalchemy import Dialect

from yizhan.store.engine import StoreEngine
from yizhan.store.queries import by_key, flush
from yizhan.store.statement import ListQuery, Statement


class BatchStatements:
    """What a working set loads and flushes with; the names say what, `queries/` says it in a sentence."""

    def __init__(self, engine: StoreEngine) -> None:
        dialect = engine.dialect
        self._loads(dialect)
        self._writes_of_the_road_out(engine, dialect)
        self._writes_of_the_road_in(dialect)

    def _loads(self, dialect: Dialect) -> None:
        pair = ("", "")
        self.accounts_by_id = ListQuery(by_key.accounts_by_id, "", dialect)
        self.chats_by_key = ListQuery(by_key.chats_by_key, pair, dialect)
        self.messages_by_id = ListQuery(by_key.messages_by_id, "", dialect)
        self.messages_by_key = ListQuery(by_key.messages_by_key, pair, dialect)
        self.live_progress_of = ListQuery(by_key.live_progress_of, pair, dialect)
        self.entries_of = ListQuery(by_key.entries_of, "", dialect)
        self.attempts_of = ListQuery(by_key.attempts_of, "", dialect)
        self.inbound_by_id = ListQuery(by_key.inbound_by_id, "", dialect)
        self.inbound_by_platform_id = ListQuery(by_key.inbound_by_platform_id, pair, dialect)
        self.inbound_of_moments = ListQuery(by_key.inbound_of_moments, ("", "", 0), dialect)
        self.sessions_by_key = ListQuery(by_key.sessions_by_key, ("", "", ""), dialect)
        self.turns_by_id = ListQuery(by_key.turns_by_id, "", dialect)
        self.ledgers_of = ListQuery(by_key.ledgers_of, pair, dialect)
        self.tokens_of = ListQuery(by_key.tokens_of, pair, dialect)
        self.rules_by_key = ListQuery(by_key.rules_by_key, pair, dialect)
        self.schedules_by_id = ListQuery(by_key.schedules_by_id, "", dialect)
        self.runs_by_key = ListQuery(by_key.runs_by_key, pair, dialect)

    def _writes_of_the_road_out(self, engine: StoreEngine, dialect: Dialect) -> None:
        self.insert_message = Statement(flush.INSERT_MESSAGE, dialect)
        self.update_message = Statement(flush.UPDATE_MESSAGE, dialect)
        self.insert_entry = Statement(flush.INSERT_ENTRY, dialect)
        self.update_entry = Statement(flush.UPDATE_ENTRY, dialect)
        self.begin_attempt = Statement(engine.upserts.begin_attempt, dialect)
        self.update_attempt = Statement(flush.UPDATE_ATTEMPT, dialect)
        self.insert_token = Statement(flush.INSERT_TOKEN, dialect)
        self.update_token = Statement(flush.UPDATE_TOKEN, dialect)
        self.judge_token = Statement(flush.JUDGE_TOKEN, dialect)
        self.erase_token = Statement(flush.ERASE_TOKEN, dialect)
        self.keep_ledger = Statement(engine.upserts.keep_ledger, dialect)
        self.forget_ledgers = Statement(flush.FORGET_LEDGERS, dialect)
        self.delete_token = Statement(flush.DELETE_TOKEN, dialect)
        self.take_event_ids = Statement(flush.TAKE_EVENT_IDS, dialect)
        self.insert_event = Statement(flush.INSERT_EVENT, dialect)

    def _writes_of_the_road_in(self, dialect: Dialect) -> None:
        self.insert_account = Statement(flush.INSERT_ACCOUNT, dialect)
        self.update_account = Statement(flush.UPDATE_ACCOUNT, dialect)
        self.insert_chat = Statement(flush.INSERT_CHAT, dialect)
        self.update_chat = Statement(flush.UPDATE_CHAT, dialect)
        self.insert_rule = Statement(flush.INSERT_RULE, dialect)
        self.update_rule = Statement(flush.UPDATE_RULE, dialect)
        self.insert_inbound = Statement(flush.INSERT_INBOUND, dialect)
        self.update_inbound = Statement(flush.UPDATE_INBOUND, dialect)
        self.insert_suppressed = Statement(flush.INSERT_SUPPRESSED, dialect)
        self.insert_session = Statement(flush.INSERT_SESSION, dialect)
        self.update_session = Statement(flush.UPDATE_SESSION, dialect)
        self.insert_turn = Statement(flush.INSERT_TURN, dialect)
        self.update_turn = Statement(flush.UPDATE_TURN, dialect)
        self.insert_schedule = Statement(flush.INSERT_SCHEDULE, dialect)
        self.update_schedule = Statement(flush.UPDATE_SCHEDULE, dialect)
        self.insert_run = Statement(flush.INSERT_RUN, dialect)
