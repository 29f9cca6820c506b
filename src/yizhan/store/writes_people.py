"""The writes of the office: accounts, pauses, decisions about senders, API keys, and the broom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sqlalchemy import Select, Table

from yizhan.errors import UnknownKey
from yizhan.model import (
    Account,
    AccountId,
    AccountState,
    ApiKey,
    Chat,
    Credentials,
    MessageState,
    Reason,
    Rule,
    SenderRule,
    Target,
    TurnState,
)
from yizhan.ports import AccountChange, TurnEnd
from yizhan.store import tables as t
from yizhan.store.engine import StoreEngine
from yizhan.store.entries import change_entries, ended
from yizhan.store.queries import people, pruning, road_in, road_out
from yizhan.store.rows import key_of, key_values
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet
from yizhan.store.writes_out import doubted
from yizhan.store.writes_turns import ask_nothing, end_turn

REMOVED = Reason("removed", "The account was removed.")
TAKEN_OVER = Reason("taken-over", "A person has taken the chat over.")
UNANSWERED = Reason("account-removed", "The account was removed.")


@dataclass(frozen=True, slots=True)
class PutAccount:
    label: ClassVar[str] = "put_account"
    alone: ClassVar[bool] = False
    account: AccountId
    credentials: Credentials
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.accounts.add(self.account)

    def apply(self, rows: WorkingSet) -> tuple[Account, bool]:
        known = rows.accounts.get(self.account)
        account = self._new() if known is None else self._renewed(known)
        rows.put_account(account)
        rows.news.account_state(account, self.at_ms)
        return account, known is None

    def _new(self) -> Account:
        return Account(self.account, self.credentials, AccountState.STARTING, self.at_ms, self.at_ms)

    def _renewed(self, known: Account) -> Account:
        same_secret = known.credentials.secret == self.credentials.secret
        return replace(
            known,
            credentials=self.credentials,
            cursor=known.cursor if same_secret else "",
            state=AccountState.PAUSED if known.paused else AccountState.STARTING,
            since_ms=self.at_ms,
            reason=None,
            action="",
            next_attempt_at_ms=None,
        )


@dataclass(frozen=True, slots=True)
class RemoveAccount:
    """Ends everything that was under way: messages, turns, and what still waited for one. What is on the wire may
    yet arrive, and says so."""

    label: ClassVar[str] = "remove_account"
    alone: ClassVar[bool] = True
    account: AccountId
    at_ms: int

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> None:
        account = rows.account(self.account)
        self._end_messages(rows)
        self._end_turns(rows)
        rows.erase_account(self.account)
        gone = replace(account, state=AccountState.PAUSED, since_ms=self.at_ms, reason=REMOVED, action="")
        rows.news.account_state(replace(gone, next_attempt_at_ms=None), self.at_ms)

    def _end_messages(self, rows: WorkingSet) -> None:
        live = rows.connection.scalars(road_out.live_messages_of(self.account)).all()
        rows.load(Wants(messages=set(live)))
        for message_id in live:
            message = change_entries(rows.message(message_id), doubted)
            over = change_entries(
                message,
                lambda entry: ended(entry, MessageState.CANCELLED, REMOVED) if entry.state.live else entry,
            )
            rows.change_message(over, self.at_ms)

    def _end_turns(self, rows: WorkingSet) -> None:
        turns = set(rows.connection.scalars(road_in.open_turns_of(self.account)))
        asking = set(rows.connection.scalars(road_in.pending_inbound_of(self.account)))
        rows.load(Wants(turns=turns, inbound_of_turns=set(turns), inbound=set(asking)))
        for turn in sorted(turns):
            end = TurnEnd(turn, TurnState.STOPPED, self.at_ms, reason=UNANSWERED)
            end_turn(rows.turns[turn], end, 0, rows)
        ask_nothing(sorted(asking), rows)


@dataclass(frozen=True, slots=True)
class SetPaused:
    label: ClassVar[str] = "set_paused"
    alone: ClassVar[bool] = False
    account: AccountId
    paused: bool
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.accounts.add(self.account)

    def apply(self, rows: WorkingSet) -> Account:
        known = rows.account(self.account)
        if known.paused == self.paused:
            return known
        account = replace(
            known,
            paused=self.paused,
            state=AccountState.PAUSED if self.paused else AccountState.STARTING,
            since_ms=self.at_ms,
            reason=None,
            action="",
            next_attempt_at_ms=None,
        )
        rows.put_account(account)
        rows.news.account_state(account, self.at_ms)
        return account


@dataclass(frozen=True, slots=True)
class SetChatPaused:
    label: ClassVar[str] = "set_chat_paused"
    alone: ClassVar[bool] = False
    target: Target
    paused: bool
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.accounts.add(self.target.account)
        wants.chats.add(self.target)

    def apply(self, rows: WorkingSet) -> Chat:
        rows.account(self.target.account)
        known = rows.chat_for(self.target, self.at_ms)
        chat = replace(known, paused=self.paused)
        if chat != known:
            rows.put_chat(chat)
            rows.news.chat_state(chat, self.at_ms)
        return chat


@dataclass(frozen=True, slots=True)
class TakeOver:
    """A person answers the chat from now on: what the agent was about to answer is over, in the same transaction, so
    that no restart lets it answer after all. What is in the outbox stays promised."""

    label: ClassVar[str] = "take_over"
    alone: ClassVar[bool] = True
    target: Target
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.accounts.add(self.target.account)
        wants.chats.add(self.target)

    def apply(self, rows: WorkingSet) -> Chat:
        rows.account(self.target.account)
        known = rows.chat_for(self.target, self.at_ms)
        if known.taken_over_at_ms is not None:
            return known
        turns = set(rows.connection.scalars(road_in.open_turns_in(self.target)))
        asking = set(rows.connection.scalars(road_in.pending_inbound_in(self.target)))
        rows.load(Wants(turns=turns, inbound_of_turns=set(turns), inbound=set(asking)))
        for turn in sorted(turns):
            end_turn(
                rows.turns[turn], TurnEnd(turn, TurnState.STOPPED, self.at_ms, reason=TAKEN_OVER), 0, rows
            )
        ask_nothing(sorted(asking), rows)
        chat = replace(known, taken_over_at_ms=self.at_ms)
        rows.put_chat(chat)
        rows.news.chat_state(chat, self.at_ms)
        return chat


@dataclass(frozen=True, slots=True)
class HandBack:
    """The agent answers the chat again, from its next message on."""

    label: ClassVar[str] = "hand_back"
    alone: ClassVar[bool] = False
    target: Target
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.accounts.add(self.target.account)
        wants.chats.add(self.target)

    def apply(self, rows: WorkingSet) -> Chat:
        rows.account(self.target.account)
        known = rows.chat_for(self.target, self.at_ms)
        chat = replace(known, taken_over_at_ms=None)
        if chat != known:
            rows.put_chat(chat)
            rows.news.chat_state(chat, self.at_ms)
        return chat


@dataclass(frozen=True, slots=True)
class ChangeAccount:
    label: ClassVar[str] = "change_account"
    alone: ClassVar[bool] = False
    change: AccountChange

    def wants(self, wants: Wants) -> None:
        wants.accounts.add(self.change.account)

    def apply(self, rows: WorkingSet) -> Account:
        change = self.change
        known = rows.account(change.account)
        if known.paused:  # it was found out before, and comes too late
            return known
        answered = change.last_server_answer_at_ms
        account = replace(
            known,
            state=change.state,
            since_ms=known.since_ms if change.state is known.state else change.at_ms,
            reason=change.reason,
            action=change.action,
            next_attempt_at_ms=change.next_attempt_at_ms,
            last_server_answer_at_ms=known.last_server_answer_at_ms if answered is None else answered,
        )
        if account != known:
            rows.put_account(account)
        if _shown(account) != _shown(known):
            rows.news.account_state(account, change.at_ms)
        return account


def _shown(account: Account) -> tuple[object, ...]:
    """What an `account.state` event is about."""
    return account.state, account.reason, account.action, account.next_attempt_at_ms


@dataclass(frozen=True, slots=True)
class SetRule:
    label: ClassVar[str] = "set_rule"
    alone: ClassVar[bool] = False
    account: AccountId
    sender_id: str
    rule: Rule
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.accounts.add(self.account)
        wants.rules.add((self.account, self.sender_id))

    def apply(self, rows: WorkingSet) -> SenderRule:
        rows.account(self.account)
        known = rows.rules.get((self.account, self.sender_id))
        if known is None:
            known = SenderRule(self.account, self.sender_id, "", self.rule, "", None, None)
        rule = replace(known, rule=self.rule, decided_at_ms=self.at_ms, code="")
        rows.put_rule(rule)
        return rule


@dataclass(frozen=True, slots=True)
class AddKey:
    label: ClassVar[str] = "add_key"
    alone: ClassVar[bool] = True
    key: ApiKey

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> None:
        if rows.connection.execute(people.key_by_id(self.key.id)).first() is None:
            rows.changes += 1
            rows.connection.execute(people.add_key(), [key_values(self.key)])


@dataclass(frozen=True, slots=True)
class RevokeKey:
    label: ClassVar[str] = "revoke_key"
    alone: ClassVar[bool] = True
    key_id: str
    at_ms: int

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> ApiKey:
        row = rows.connection.execute(people.key_by_id(self.key_id)).first()
        if row is None:
            raise UnknownKey(f"There is no API key {self.key_id}.", "See the keys with `yizhan key list`.")
        key = key_of(row)
        if key.revoked_at_ms is None:
            key = replace(key, revoked_at_ms=self.at_ms)
            rows.changes += 1
            rows.connection.execute(people.revoke_key(key.id, self.at_ms))
        return key


@dataclass(frozen=True, slots=True)
class Prune:
    """Removes at most `limit` rows of each kind, the oldest first; children go with their parents."""

    label: ClassVar[str] = "prune"
    alone: ClassVar[bool] = True
    finished_before_ms: int
    events_before_ms: int
    limit: int

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> int:
        old, young = self.finished_before_ms, self.events_before_ms
        messages = self._keys(rows, pruning.old_messages(old, self.limit))
        self._erase(rows, t.attempt, ("account", "message_id"), messages)
        self._erase(rows, t.entry, ("account", "message_id"), messages)
        position = ("account", "chat", "seq")
        return sum(
            (
                self._erase(rows, t.message, ("account", "id"), messages),
                self._sweep(rows, t.inbound, position, pruning.old_inbound(old, self.limit)),
                self._sweep(rows, t.suppressed, position, pruning.old_suppressed(old, self.limit)),
                self._sweep(rows, t.turn, position, pruning.old_turns(old, self.limit)),
                self._sweep(
                    rows, t.session, ("account", "chat", "person"), pruning.old_sessions(old, self.limit)
                ),
                self._sweep(
                    rows,
                    t.attempt,
                    ("account", "message_id", "no", "n"),
                    pruning.old_attempts(young, self.limit),
                ),
                self._sweep(rows, t.event, ("id",), pruning.old_events(young, self.limit)),
                self._sweep(rows, t.alert, ("id",), pruning.old_alerts(young, self.limit)),
                self._sweep(rows, t.schedule_run, ("schedule", "key"), pruning.old_runs(old, self.limit)),
                self._sweep(rows, t.webhook_post, ("webhook", "event"), pruning.old_posts(young, self.limit)),
                self._sweep(rows, t.claim, ("kind", "key"), pruning.old_claims(old, self.limit)),
            )
        )

    def _sweep(self, rows: WorkingSet, table: Table, columns: tuple[str, ...], old: Select[Any]) -> int:
        return self._erase(rows, table, columns, self._keys(rows, old))

    @staticmethod
    def _keys(rows: WorkingSet, old: Select[Any]) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in rows.connection.execute(old)]

    @staticmethod
    def _erase(rows: WorkingSet, table: Table, columns: tuple[str, ...], keys: list[tuple[Any, ...]]) -> int:
        if not keys:
            return 0
        rows.changes += 1
        rows.connection.execute(pruning.erase(table, columns, keys))
        return len(keys)


@dataclass(frozen=True, slots=True)
class LimitPages:
    """For drills: a disk that is full sooner."""

    label: ClassVar[str] = "limit_pages"
    alone: ClassVar[bool] = True
    engine: StoreEngine
    spare: int | None

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> None:
        self.engine.limit_pages(rows.connection, self.spare)
