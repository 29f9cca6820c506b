"""The writes of accounts: registered, paused, changed, and removed with all that they still owed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from yizhan.model import Account, AccountId, AccountState, Credentials, MessageState, Reason, TurnState
from yizhan.ports import AccountChange, TurnEnd
from yizhan.store.entries import change_entries, ended
from yizhan.store.queries import road_in, road_out
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet
from yizhan.store.writes_out import doubted
from yizhan.store.writes_turns import ask_nothing, end_turn

REMOVED = Reason("removed", "The account was removed.")
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
