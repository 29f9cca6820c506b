"""The writes of people's decisions: a chat is paused, taken over and handed back, a sender let in, an API key made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from yizhan.errors import UnknownKey
from yizhan.model import AccountId, ApiKey, Chat, Reason, Rule, SenderRule, Target, TurnState
from yizhan.ports import TurnEnd
from yizhan.store.queries import people, road_in
from yizhan.store.rows import key_of, key_values
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet
from yizhan.store.writes_turns import ask_nothing, end_turn

TAKEN_OVER = Reason("taken-over", "A person has taken the chat over.")


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
