"""The rows that a batch of writes works on.

How to think of it. Operations of many callers are carried out together in three strides: *load* every row that
any of them wants, with one statement per table; *apply* them one after the other, in the order of their
submission, in memory; *flush* what has changed, again with one statement per table. So operations on one
message in one batch see each other, and a batch costs a dozen statements however many it carries.

A noun in here is always the latest. Events are collected as the operations change things, and numbered in the
flush (`news.py`). A working set lives for one flush.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from yizhan.core.allowance import Ledger
from yizhan.core.states import derive
from yizhan.errors import UnknownAccount, UnknownMessage, UnknownSchedule
from yizhan.model import (
    Account,
    AccountId,
    Attempt,
    Chat,
    ChatSession,
    Entry,
    Event,
    Inbound,
    InboundId,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    ReplyToken,
    Run,
    Schedule,
    ScheduleId,
    SenderRule,
    Suppressed,
    Target,
    TokenState,
    TurnId,
)
from yizhan.store import rows
from yizhan.store.messages import messages_of
from yizhan.store.news import News
from yizhan.store.queries import people
from yizhan.store.queries.by_key import attempt_by_key
from yizhan.store.recall import Recall
from yizhan.store.rows import KeptChat, KeptInbound, KeptMessage, KeptSuppressed, KeptToken, KeptTurn, Row
from yizhan.store.secrets import Seal, token_hash
from yizhan.store.statement import ListQuery, Statement
from yizhan.store.statements import BatchStatements
from yizhan.store.wants import Moment, SessionKey, Wants

TOKENS_KEPT = 20
"""Reply tokens kept per chat; older ones are removed as newer ones come."""

AttemptKey = tuple[MessageId, int, int]


class WorkingSet:
    """Loaded rows as nouns, and what has changed. Blocks; lives in the writer's thread."""

    def __init__(
        self, connection: Connection, statements: BatchStatements, seal: Seal, recall: Recall
    ) -> None:
        self.connection = connection
        self._recall = recall
        self.changes = 0
        self._sql = statements
        self._seal = seal
        self.accounts: dict[AccountId, Account] = {}
        self.chats: dict[Target, KeptChat] = {}
        self.messages: dict[MessageId, KeptMessage] = {}
        self.by_key: dict[tuple[AccountId, str], MessageId] = {}
        self._progress: dict[Target, dict[MessageId, None]] = defaultdict(dict)
        self.inbound: dict[InboundId, KeptInbound] = {}
        self.by_platform_id: dict[tuple[AccountId, str], InboundId] = {}
        self.by_moment: dict[Moment, list[InboundId]] = defaultdict(list)
        self.turns: dict[TurnId, KeptTurn] = {}
        self.sessions: dict[SessionKey, ChatSession] = {}
        self.tokens: dict[Target, list[KeptToken]] = defaultdict(list)
        self.rules: dict[tuple[AccountId, str], SenderRule] = {}
        self.schedules: dict[ScheduleId, Schedule] = {}
        self.runs: dict[tuple[ScheduleId, str], Run] = {}
        self._new: set[object] = set()
        self._changed: dict[str, dict[Any, None]] = defaultdict(dict)
        self._suppressed: list[KeptSuppressed] = []
        self._happened: list[Run] = []
        self._begun: dict[AttemptKey, Attempt] = {}
        self._ended: dict[AttemptKey, Attempt] = {}
        self._token_chats: set[Target] = set()
        self._token_news: list[rows.Values] = []
        self._erased_tokens: list[rows.Values] = []
        self._ledgers: dict[tuple[Target, str], Ledger] = {}
        self._old_ledgers: list[rows.Values] = []
        self._dropped_tokens: list[KeptToken] = []
        self.news = News()

    # Load.

    def load(self, wants: Wants) -> None:
        """Reads what is wanted; rows that do not exist are simply absent."""
        self._load_messages(wants)
        self._load_accounts(wants.accounts)
        for row in self._read(self._sql.chats_by_key, _pairs(wants.chats)):
            kept = rows.chat_of(row)
            self.chats[kept.chat.target] = kept
        for row in self._read(self._sql.turns_by_id, wants.turns):
            turn = rows.turn_of(row)
            self.turns[turn.turn.id] = turn
        for row in self._read(self._sql.sessions_by_key, wants.sessions):
            session = rows.session_of(row)
            self.sessions[session.key] = session
        for turn_id in wants.inbound_of_turns & self.turns.keys():
            wants.inbound.update(self.turns[turn_id].turn.inbound_ids)
        self._load_inbound(wants)
        self._token_chats |= wants.tokens
        for row in self._read(self._sql.tokens_of, _pairs(wants.tokens)):
            token = rows.token_of(row, self._seal)
            self.tokens[Target(token.token.account, token.token.chat)].append(token)
        for row in self._read(self._sql.rules_by_key, wants.rules):
            rule = rows.rule_of(row)
            self.rules[rule.account, rule.sender_id] = rule
        self._load_schedules(wants)

    def _load_schedules(self, wants: Wants) -> None:
        for row in self._read(self._sql.schedules_by_id, wants.schedules):
            schedule = rows.schedule_of(row)
            self.schedules[schedule.id] = schedule
        for row in self._read(self._sql.runs_by_key, wants.runs):
            run = rows.run_of(row)
            self.runs[run.schedule, run.key] = run

    def _read(self, query: ListQuery, keys: Iterable[object]) -> list[Row]:
        return query.read(self.connection, keys)

    def _load_messages(self, wants: Wants) -> None:
        progress = self._read(self._sql.live_progress_of, _pairs(wants.progress))
        wants.messages.update(MessageId(row[0]) for row in progress)
        by_key = self._read(self._sql.messages_by_key, wants.keys)
        keyed = {rows.message_id_of(row) for row in by_key}
        with_attempts = wants.with_attempts | keyed
        unknown = []
        for message_id in wants.messages - keyed:
            kept = None if message_id in with_attempts else self._recall.get(message_id)
            if kept is None:
                unknown.append(message_id)
            else:
                self._know_message(kept)
        found = [*by_key, *self._read(self._sql.messages_by_id, unknown)]
        for kept in messages_of(self.connection, self._sql, found, with_attempts):
            self._know_message(kept)

    def written_messages(self) -> list[KeptMessage]:
        """The messages that the flush has written, without attempts."""
        return [_without_attempts(self.messages[message]) for message in self._changed.get("message", ())]

    def _load_accounts(self, ids: Iterable[AccountId]) -> None:
        for row in self._read(self._sql.accounts_by_id, ids):
            account = rows.account_of(row, self._seal)
            self.accounts[account.id] = account

    def _load_inbound(self, wants: Wants) -> None:
        found = [
            *self._read(self._sql.inbound_by_id, wants.inbound),
            *self._read(self._sql.inbound_by_platform_id, wants.platform_ids),
            *self._read(self._sql.inbound_of_moments, wants.moments),
        ]
        for row in found:
            kept = rows.inbound_of(row)
            if kept.inbound.id not in self.inbound:
                self._know_inbound(kept)

    # Accounts, chats, senders.

    def account(self, account: AccountId) -> Account:
        """Raises UnknownAccount."""
        if account not in self.accounts:
            self._load_accounts([account])
        try:
            return self.accounts[account]
        except KeyError:
            raise UnknownAccount(
                f"There is no account {account}.", "See the accounts with `yizhan account list`."
            ) from None

    def put_account(self, account: Account) -> None:
        self._note("account", account.id, new=account.id not in self.accounts)
        self.accounts[account.id] = account

    def erase_account(self, account: AccountId) -> None:
        """Removes the account's row and its reply tokens; only for operations that run alone."""
        self.changes += 1
        self.accounts.pop(account, None)
        self.connection.execute(people.erase_account(account))
        self.connection.execute(people.erase_tokens(account))
        self.connection.execute(people.erase_ledgers(account))

    def put_chat(self, chat: Chat) -> None:
        kept = self.chats.get(chat.target)
        self._note("chat", chat.target, new=kept is None)
        self.chats[chat.target] = KeptChat(chat, 1 if kept is None else kept.next_seq)

    def chat_for(self, target: Target, at_ms: int) -> Chat:
        """The chat, made if nobody has seen it yet."""
        if target not in self.chats:
            self.put_chat(Chat(target.account, target.chat, kind="", title="", created_at_ms=at_ms))
        return self.chats[target].chat

    def next_seq(self, target: Target) -> int:
        """Takes the next position of a known chat."""
        kept = self.chats[target]
        self._note("chat", target)
        self.chats[target] = KeptChat(kept.chat, kept.next_seq + 1)
        return kept.next_seq

    def put_rule(self, rule: SenderRule) -> None:
        key = rule.account, rule.sender_id
        self._note("rule", key, new=key not in self.rules)
        self.rules[key] = rule

    # Schedules.

    def schedule(self, schedule: ScheduleId) -> Schedule:
        """A wanted one. Raises UnknownSchedule."""
        try:
            return self.schedules[schedule]
        except KeyError:
            raise UnknownSchedule(
                f"There is no schedule {schedule}.", "See the schedules with `yizhan schedule list`."
            ) from None

    def put_schedule(self, schedule: Schedule) -> None:
        """Each writing of the row has a number."""
        known = self.schedules.get(schedule.id)
        self._note("schedule", schedule.id, new=known is None)
        revision = 1 if known is None else known.revision + 1
        self.schedules[schedule.id] = replace(schedule, revision=revision)

    def add_run(self, run: Run, schedule: Schedule) -> None:
        """A run whose key is wanted and not there yet."""
        self.changes += 1
        self._happened.append(run)
        self.runs[run.schedule, run.key] = run
        self.news.schedule_run(run, schedule)

    # The road out.

    def message(self, message: MessageId) -> Message:
        """Raises UnknownMessage."""
        try:
            return self.messages[message].message
        except KeyError:
            raise UnknownMessage(f"There is no message {message}.", "See `yizhan outbox list`.") from None

    def untouched_progress(self, target: Target) -> list[Message]:
        """Progress messages of a chat whose progress is wanted, of which nothing has been sent."""
        known = (self.messages[message].message for message in self._progress.get(target, ()))
        return [message for message in known if message.state is MessageState.QUEUED]

    def add_message(self, kept: KeptMessage) -> None:
        self._know_message(kept)
        self._note("message", kept.message.id, new=True)
        self.news.message_state(kept.message, kept.message.created_at_ms)

    def change_message(
        self, changed: Message, at_ms: int, entries: tuple[Entry, ...] | None = None
    ) -> Message:
        """Takes over changed entries and lets the message's state follow; announces it if it shows."""
        kept = self.messages[changed.id]
        message = derive(changed, at_ms, entries)
        self._note("message", message.id)
        for entry, before in zip(message.entries, kept.message.entries, strict=True):
            if entry is not before and entry != before:
                self._note("entry", (message.id, entry.no))
        self.messages[message.id] = kept._replace(message=message)
        if _visible(message) != _visible(kept.message):
            self.news.message_state(message, at_ms)
        return message

    def begin_attempt(self, message: MessageId, no: int, attempt: Attempt) -> None:
        self.changes += 1
        self._ended.pop((message, no, attempt.n), None)
        self._begun[message, no, attempt.n] = attempt

    def end_attempt(self, message: MessageId, no: int, attempt: Attempt) -> None:
        """Ends the attempt of that number. Its beginning is taken from where it was written."""
        self.changes += 1
        key = message, no, attempt.n
        begun = self._begun.get(key)
        if begun is None:
            self._ended[key] = attempt
        else:
            self._begun[key] = replace(attempt, at_ms=begun.at_ms, with_token=begun.with_token)

    def is_open_attempt(self, message: Message, no: int, n: int) -> bool:
        """Whether an attempt was begun and has not ended; asks the database if the batch does not know."""
        key = message.id, no, n
        if key in self._ended:
            return False
        known = self._begun.get(key)
        if known is None:
            row = self.connection.execute(attempt_by_key(message.account, message.id, no, n)).first()
            known = None if row is None else rows.attempt_of(row)
        return known is not None and known.verdict is None

    # Reply tokens.

    def newest_tokens(self, target: Target) -> list[KeptToken]:
        """Those of a wanted chat, newest first."""
        return self.tokens[target]

    def add_token(self, kept: KeptToken) -> None:
        """Puts it on top; one with the same text is replaced, the oldest leave."""
        target = _chat_of(kept.token)
        others = [known for known in self.tokens[target] if known.sha256 != kept.sha256]
        same = len(others) < len(self.tokens[target])
        self.tokens[target] = [kept, *others[: TOKENS_KEPT - 1]]
        self._dropped_tokens += others[TOKENS_KEPT - 1 :]
        self._note("token", (target, kept.sha256), new=not same)

    def judge_token(self, token: ReplyToken) -> None:
        """Keeps what a send has taught of a token, unless it has been removed or was issued anew since. A stale one
        loses its text."""
        place = self._place_of(token)
        if place is not None:  # tokens that were loaded change in memory, others by their key, unread
            tokens = self.tokens[_chat_of(token)]
            tokens[place] = tokens[place]._replace(token=token)
            self._note("token", (_chat_of(token), tokens[place].sha256))
        elif _chat_of(token) not in self._token_chats:
            self.changes += 1
            stale = token.state is TokenState.STALE
            (self._erased_tokens if stale else self._token_news).append(rows.token_news(token))

    def _place_of(self, token: ReplyToken) -> int | None:
        sha256 = token_hash(token.token)
        for place, kept in enumerate(self.tokens.get(_chat_of(token), ())):
            if kept.sha256 == sha256 and kept.token.inbound_id == token.inbound_id:
                return place
        return None

    # Allowances.

    def keep_ledger(self, target: Target, ledger: Ledger) -> None:
        """The allowance of an inbound message as it is now. Nobody but the lane changes it, so it is not read."""
        self.changes += 1
        self._ledgers[target, ledger.key] = ledger

    def open_ledger(self, target: Target, ledger: Ledger, honoured_ms: int) -> None:
        """A new one, of the chat's newest inbound message; those from before `honoured_ms` go."""
        self.keep_ledger(target, ledger)
        where = {"account": target.account, "chat": target.chat}
        self._old_ledgers.append(where | {"seq": ledger.seq, "opened_at_ms": honoured_ms})

    # The road in.

    def add_inbound(self, kept: KeptInbound, at_ms: int) -> None:
        self._know_inbound(kept)
        inbound = kept.inbound
        self._note("inbound", inbound.id, new=True)
        self.news.message_received(inbound, at_ms)

    def add_question(self, kept: KeptInbound) -> None:
        """What a schedule asks: kept as if somebody had written it, and announced by its turn only."""
        self._know_inbound(kept)
        self._note("inbound", kept.inbound.id, new=True)

    def change_inbound(self, inbound: Inbound) -> None:
        self._note("inbound", inbound.id)
        self.inbound[inbound.id] = self.inbound[inbound.id]._replace(inbound=inbound)

    def add_suppressed(self, suppressed: Suppressed, seq: int) -> None:
        self.changes += 1
        self._suppressed.append(KeptSuppressed(suppressed, seq))

    def put_turn(self, kept: KeptTurn, at_ms: int) -> None:
        turn = kept.turn
        self._note("turn", turn.id, new=turn.id not in self.turns)
        self.turns[turn.id] = kept
        self.news.turn_state(turn, at_ms)

    def session_for(self, target: Target, person: str) -> ChatSession:
        """A wanted session as it is, or a new one."""
        key = target.account, target.chat, person
        return self.sessions.get(key) or ChatSession(*key)

    def put_session(self, session: ChatSession) -> None:
        self._note("session", session.key, new=session.key not in self.sessions)
        self.sessions[session.key] = session

    # Flush.

    def flush(self) -> list[Event]:
        """Writes every change and answers the events with their ids, in order."""
        seal = self._seal
        self._write("account", self.accounts, lambda account: rows.account_values(account, seal))
        self._write("chat", self.chats, rows.chat_values)
        self._write("rule", self.rules, rows.rule_values)
        self._write("inbound", self.inbound, rows.inbound_values)
        self._write("turn", self.turns, rows.turn_values)
        self._write("session", self.sessions, rows.session_values)
        self._write("schedule", self.schedules, rows.schedule_values)
        self._sql.insert_run.write(self.connection, [rows.run_values(run) for run in self._happened])
        self._flush_tokens()
        self._flush_ledgers()
        self._flush_messages()
        self._sql.insert_suppressed.write(
            self.connection, [rows.suppressed_values(kept) for kept in self._suppressed]
        )
        return self.news.write(self.connection, self._sql)

    def _write(self, kind: str, nouns: dict[Any, Any], values: Callable[[Any], rows.Values]) -> None:
        changed = self._changed.get(kind)
        if not changed:
            return
        new = [values(nouns[key]) for key in changed if (kind, key) in self._new]
        old = [values(nouns[key]) for key in changed if (kind, key) not in self._new]
        self._statement(f"insert_{kind}").write(self.connection, new)
        self._statement(f"update_{kind}").write(self.connection, old)

    def _statement(self, name: str) -> Statement:
        statement: Statement = getattr(self._sql, name)
        return statement

    def _flush_tokens(self) -> None:
        gone = [rows.token_values(kept, self._seal) for kept in self._dropped_tokens]
        self._sql.delete_token.write(self.connection, gone)
        changed = self._changed.pop("token", {})
        kept_ones = {(target, kept.sha256): kept for target, tokens in self.tokens.items() for kept in tokens}
        self._changed["token"] = {key: None for key in changed if key in kept_ones}
        self._write("token", kept_ones, lambda kept: rows.token_values(kept, self._seal))
        self._sql.judge_token.write(self.connection, self._token_news)
        self._sql.erase_token.write(self.connection, self._erased_tokens)

    def _flush_ledgers(self) -> None:
        kept = [rows.ledger_values(target, ledger) for (target, _), ledger in self._ledgers.items()]
        self._sql.keep_ledger.write(self.connection, kept)
        self._sql.forget_ledgers.write(self.connection, self._old_ledgers)

    def _flush_messages(self) -> None:
        connection, sql = self.connection, self._sql
        new, old, new_entries, old_entries = [], [], [], []
        for message_id in self._changed.get("message", ()):
            kept = self.messages[message_id]
            if ("message", message_id) in self._new:
                new.append(rows.message_values(kept))
                new_entries += [rows.entry_values(kept.message, entry) for entry in kept.message.entries]
            else:
                old.append(rows.message_changes(kept.message))
        for message_id, no in self._changed.get("entry", ()):
            if ("message", message_id) not in self._new:
                message = self.messages[message_id].message
                old_entries.append(rows.entry_changes(message, message.entries[no - 1]))
        sql.insert_message.write(connection, new)
        sql.update_message.write(connection, old)
        sql.insert_entry.write(connection, new_entries)
        sql.update_entry.write(connection, old_entries)
        sql.begin_attempt.write(connection, self._attempt_values(self._begun))
        sql.update_attempt.write(connection, self._attempt_values(self._ended))

    def _attempt_values(self, attempts: dict[AttemptKey, Attempt]) -> list[rows.Values]:
        return [
            rows.attempt_values(self.messages[message_id].message, no, attempt)
            for (message_id, no, _), attempt in attempts.items()
        ]

    # Bookkeeping.

    def _note(self, kind: str, key: object, new: bool = False) -> None:
        self.changes += 1
        self._changed[kind][key] = None
        if new:
            self._new.add((kind, key))

    def _know_message(self, kept: KeptMessage) -> None:
        message = kept.message
        self.messages[message.id] = kept
        if message.klass is MessageClass.PROGRESS:
            self._progress[message.target][message.id] = None
        if message.idempotency_key is not None:
            self.by_key[message.account, message.idempotency_key] = message.id

    def _know_inbound(self, kept: KeptInbound) -> None:
        inbound = kept.inbound
        self.inbound[inbound.id] = kept
        if inbound.platform_message_id is not None:
            self.by_platform_id[inbound.account, inbound.platform_message_id] = inbound.id
        if inbound.sent_at_ms > 0:
            self.by_moment[inbound.account, inbound.sender_id, inbound.sent_at_ms].append(inbound.id)


def _without_attempts(kept: KeptMessage) -> KeptMessage:
    if not any(entry.attempts for entry in kept.message.entries):
        return kept
    return kept._replace(message=rows.with_attempts(kept.message, {}))


def _visible(message: Message) -> tuple[object, ...]:
    """What a `message.state` event is about."""
    reason = message.reason and message.reason.code
    waiting = message.waiting_for
    return message.state, waiting, message.possibly_doubled, reason, message.next_attempt_at_ms


def _chat_of(token: ReplyToken) -> Target:
    return Target(token.account, token.chat)


def _pairs(targets: Iterable[Target]) -> list[tuple[str, str]]:
    return [(target.account, target.chat) for target in targets]
