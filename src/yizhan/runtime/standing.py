"""What is true of each account now: one place, one writer.

Everything that learns something about an account says it here, and everything that shows or uses it reads it
here. A change of state or reason is a row, an event and one log line; times are renewed in memory with every
step, so that "next attempt" is never in the past. What is written follows behind in order, however long the
store takes, and nobody who listens to a platform waits for that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from yizhan.core.connection import Step
from yizhan.errors import RequestError, StoreError
from yizhan.model import Account, AccountId, AccountState, Reason, WaitingFor
from yizhan.ports import AccountChange, Clock, Platform, Store
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.patience import STORE_PAUSE_MS

log = structlog.get_logger("accounts")

UNWRITTEN_MAX = 4_096
"""Changes that wait for the store; beyond it the oldest are left out of the record, never the newest."""

TRY = "yizhan account resume {account} tries at once"
"""What follows when the person has acted: else the platform is asked every ten minutes."""

_NO_SENDING = {
    AccountState.LOGIN_NEEDED: WaitingFor.LOGIN,
    AccountState.BARRED: WaitingFor.OPERATOR,
    AccountState.PAUSED: WaitingFor.OPERATOR,
    AccountState.STANDBY: WaitingFor.CONNECTION,
}


class Standing:
    """The accounts of this process as they stand. `on_person_needed` is told when only a person can go on, or when why
    that is so has changed."""

    def __init__(
        self, store: Store, clock: Clock, outbound: Outbound, platforms: Mapping[str, Platform]
    ) -> None:
        self._store = store
        self._clock = clock
        self._outbound = outbound
        self._platforms = platforms
        self._now: dict[AccountId, Account] = {}
        self._barred_until_ms: dict[AccountId, int] = {}
        self._successor: dict[AccountId, AccountId] = {}
        self._unwritten: deque[AccountChange] = deque(maxlen=UNWRITTEN_MAX)
        self._more = asyncio.Event()
        self.on_person_needed: Callable[[], None] = lambda: None

    # what others say

    def begins(self, account: Account) -> None:
        """The account is here, or here with other credentials: whatever was held against it is forgotten."""
        self._barred_until_ms.pop(account.id, None)
        state = AccountState.PAUSED if account.paused else AccountState.STARTING
        since_ms = account.since_ms if account.state is state else self._clock.now_ms()
        self._now[account.id] = replace(
            account, state=state, since_ms=since_ms, reason=None, action="", next_attempt_at_ms=None
        )
        self._let_send(account.id, state)

    def rests(self, account: AccountId) -> None:
        """The account's line is being ended; its messages wait."""
        self._let_send(account, AccountState.PAUSED)

    def forget(self, account: AccountId) -> None:
        for known in (self._now, self._barred_until_ms, self._successor):
            known.pop(account, None)

    def answered(self, account: AccountId) -> None:
        """The platform has just answered us."""
        known = self._now.get(account)
        if known is not None:
            self._now[account] = replace(known, last_server_answer_at_ms=self._clock.now_ms())

    def succeeded(self, old: AccountId, new: AccountId) -> None:
        """The person behind `old` has logged in again as `new`: the platform ends the old login."""
        self._successor[old] = new

    def bar(self, account: AccountId, after: Step) -> None:
        """Nothing more is sent until a person acts, whatever polls say; now and then one send finds out."""
        self._barred_until_ms[account] = self._clock.now_ms() + after.wait_ms
        self.show(account, after, None)

    def show(
        self,
        account_id: AccountId,
        after: Step,
        next_attempt_at_ms: int | None,
        attempted: bool = False,
        speaks: bool = False,
    ) -> None:
        """The account is as `after` says; the next attempt comes then, None if there is no waiting. `attempted`: an
        attempt to connect has failed, which is told even if it changes nothing. `speaks`: a part of the line stands,
        over which messages may be sent."""
        known = self._now.get(account_id)
        if known is None or known.paused or self._still_barred(account_id, after.state):
            return
        reason, action = self._explained(account_id, after)
        now_ms = self._clock.now_ms()
        self._now[account_id] = replace(
            known,
            state=after.state,
            reason=reason,
            action=action,
            since_ms=now_ms if known.state is not after.state else known.since_ms,
            next_attempt_at_ms=next_attempt_at_ms,
        )
        self._let_send(account_id, AccountState.UP if speaks else after.state)
        changed = (known.state, known.reason and known.reason.code) != (after.state, reason and reason.code)
        if changed and after.state in _NO_SENDING:
            self.on_person_needed()
        if changed or attempted:
            self._record(self._now[account_id], now_ms, known.state)
            if after.state is AccountState.UP:
                self._outbound.recovered(account_id)

    # what others ask

    def account(self, stored: Account) -> Account:
        """A stored account as it stands now."""
        return self._now.get(stored.id, stored)

    def state(self, account: AccountId) -> AccountState:
        known = self._now.get(account)
        return known.state if known else AccountState.DOWN

    def known(self, account: AccountId) -> Account | None:
        """The account as it stands now, None if it is not here."""
        return self._now.get(account)

    def all(self) -> list[Account]:
        return list(self._now.values())

    # the record

    async def run(self) -> None:
        """Writes changes down, in order."""
        while True:
            await self._more.wait()
            self._more.clear()
            await self.write_down()

    async def write_down(self) -> None:
        while self._unwritten:
            change = self._unwritten[0]
            try:
                await self._store.change_account(change)
            except StoreError as error:
                self._outbound.log.warning("account.not_written", account=change.account, error=error.detail)
                await self._clock.sleep_ms(STORE_PAUSE_MS)
                continue
            except RequestError:
                pass  # removed meanwhile; its end is on record
            if self._unwritten and self._unwritten[0] is change:
                self._unwritten.popleft()

    def _record(self, account: Account, now_ms: int, before: AccountState) -> None:
        """An ordinary start is told quietly; trouble, and its end, are not."""
        told = (
            log.info if (before, account.state) == (AccountState.STARTING, AccountState.UP) else log.warning
        )
        reason = account.reason
        told(
            "account.state",
            account=account.id,
            state=account.state.value,
            code=reason.code if reason else None,
            detail=reason.text if reason else None,
            action=account.action or None,
        )
        self._unwritten.append(
            AccountChange(
                account=account.id,
                state=account.state,
                at_ms=now_ms,
                reason=reason,
                action=account.action,
                next_attempt_at_ms=account.next_attempt_at_ms,
                last_server_answer_at_ms=account.last_server_answer_at_ms,
            )
        )
        self._more.set()

    def _still_barred(self, account: AccountId, state: AccountState) -> bool:
        return state is AccountState.UP and self._barred_until_ms.get(account, 0) > self._clock.now_ms()

    def _explained(self, account: AccountId, after: Step) -> tuple[Reason | None, str]:
        if after.state is AccountState.BARRED:
            return after.reason, "; ".join(filter(None, (after.action, TRY.format(account=account))))
        successor = self._successor.get(account)
        if after.state is not AccountState.LOGIN_NEEDED or successor is None:
            return after.reason, after.action
        reason = Reason("linked-elsewhere", f"this WeChat is linked as {successor} now")
        return reason, f"{successor} has taken its place; remove this one: yizhan account remove {account}"

    def _let_send(self, account: AccountId, state: AccountState) -> None:
        """A platform that pushes takes sends only over a line that is up: it accepts others, and shows them to nobody.
        Source: openclaw-qqbot #254, #299."""
        waits = _NO_SENDING.get(state)
        known = self._now.get(account)
        if waits is None and known and self._platforms[known.platform].policy.pushed:
            waits = None if state is AccountState.UP else WaitingFor.CONNECTION
        self._outbound.lanes.open_account(account, waits)
        self._outbound.poke()
