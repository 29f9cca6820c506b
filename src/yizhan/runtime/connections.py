"""The lines to the platforms: one loop per account, for as long as the account is here and not paused.

    wait for the host → receive → decode → commit → decide (core/connection.py) → show → wait

Every turn of the loop goes through the same decision, whatever happened in it, so that no failure is a hot
loop and none is the last. "up" means that the server has just answered us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import structlog

from yizhan.core.connection import Line, Lost, LostKind, Step, step
from yizhan.core.limiter import PaceNumbers, decode
from yizhan.core.reaction import Gates
from yizhan.core.verdict import Barred
from yizhan.errors import StoreError
from yizhan.model import Account, AccountId, AccountState, Reason, WaitingFor
from yizhan.ports import AccountChange, Batch, Chance, Clock, Platform, Reply, Store
from yizhan.runtime.inbound import InboundRoad
from yizhan.runtime.lines import Lines, OpenLine
from yizhan.runtime.outbound import STORE_PAUSE_MS, Outbound
from yizhan.runtime.reach import Reach
from yizhan.runtime.supervisor import Supervisor

log = structlog.get_logger("connections")

HELD_MS = 200
IDLE_TURN_MS = 1_000
"""A poll that is answered with nothing within HELD_MS is followed by this pause: a server that does not hold its
polls must not make us a hot loop."""

VOUCH_AFTER_MS = 500
IN_VAIN_MAX = 2

_NO_SENDING = {
    AccountState.LOGIN_NEEDED: WaitingFor.LOGIN,
    AccountState.BARRED: WaitingFor.OPERATOR,
    AccountState.PAUSED: WaitingFor.OPERATOR,
    AccountState.STANDBY: WaitingFor.CONNECTION,
}


class Connections:
    """Owns the lines of all accounts. `now` holds the true state of each, also between writes to the store."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Chance,
        platforms: Mapping[str, Platform],
        lines: Lines,
        reach: Reach,
        outbound: Outbound,
        inbound: InboundRoad,
        supervisor: Supervisor,
        pace: PaceNumbers,
    ) -> None:
        self.now: dict[AccountId, Account] = {}
        self._store = store
        self._clock = clock
        self._chance = chance
        self._platforms = platforms
        self._lines = lines
        self._reach = reach
        self._outbound = outbound
        self._inbound = inbound
        self._supervisor = supervisor
        self._pace = pace
        self._vouched: set[AccountId] = set()
        self._in_vain: dict[AccountId, int] = {}
        self._barred_until_ms: dict[AccountId, int] = {}
        self._showing: set[asyncio.Task[None]] = set()
        self._successor: dict[AccountId, AccountId] = {}

    def open(self, account: Account) -> None:
        """Starts the account's line, or starts it anew with other credentials."""
        platform = self._platforms[account.platform]
        self.now[account.id] = account
        self._supervisor.drop(_loop_name(account.id))
        self._lines[account.id] = OpenLine(account, platform, platform.transport(account))
        gates = Gates(account=decode(account.gate, self._pace, self._clock.now_ms()))
        self._outbound.lanes.account(
            account.id, platform.host(account), platform.policy.sends_in_flight, gates
        )
        if account.paused:
            self._hold(account.id, AccountState.PAUSED)
            return
        self._hold(account.id, AccountState.STARTING)
        self._supervisor.keep(_loop_name(account.id), lambda: self._listen(account.id))

    async def shut(self, account: AccountId) -> None:
        """Ends the account's line; its messages wait."""
        task = self._supervisor.drop(_loop_name(account))
        self._hold(account, AccountState.PAUSED)
        if task is not None:
            await asyncio.wait({task}, timeout=2)

    async def forget(self, account: AccountId) -> None:
        """The account is gone."""
        await self.shut(account)
        self._outbound.lanes.forget_account(account)
        self._lines.pop(account, None)
        self.now.pop(account, None)

    async def stop(self) -> None:
        """Ends all lines: what was read is committed, open polls are aborted, goodbyes are best effort."""
        tasks = [self._supervisor.drop(_loop_name(account)) for account in list(self._lines)]
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)

    def succeeded(self, old: AccountId, new: AccountId) -> None:
        """The person behind `old` has logged in again as `new`: the platform ends the old login."""
        self._successor[old] = new

    def barred(self, account: AccountId, verdict: Barred) -> None:
        """A send was answered with a ban: nothing more is sent until a person acts, whatever the polls say; now
        and then one send finds out whether somebody has acted."""
        lost = Lost(LostKind.BARRED, verdict.code, verdict.text, verdict.action)
        after = step(Line(), lost, self._clock.now_ms(), 0)
        self._barred_until_ms[account] = self._clock.now_ms() + after.wait_ms
        task = asyncio.create_task(self._show(account, after))
        self._showing.add(task)
        task.add_done_callback(self._showing.discard)

    def state(self, account: AccountId) -> AccountState:
        known = self.now.get(account)
        return known.state if known else AccountState.DOWN

    # one account's loop

    async def _listen(self, account_id: AccountId) -> None:
        line = self._lines[account_id]
        state, cursor = Line(), line.account.cursor
        hold_ms = line.platform.policy.poll_hold_ms
        try:
            await self._reached(line)
            await line.transport.open()
            while True:
                await self._reached(line)
                began_ms = self._clock.now_ms()
                vouching = self._vouching(line)
                try:
                    outcome, cursor = await self._turn(line, cursor, hold_ms)
                finally:
                    vouching.cancel()
                state, after = await self._decide(account_id, state, outcome)
                if isinstance(outcome, Batch):
                    hold_ms = outcome.hold_ms or hold_ms
                    if not outcome.heard and self._clock.now_ms() - began_ms < HELD_MS:
                        await self._clock.sleep_ms(IDLE_TURN_MS)
                await self._pause(line, after)
        finally:
            await line.transport.close(announce=not self._reach.hosts.breaker(line.host).shut)

    async def _decide(self, account: AccountId, state: Line, outcome: Batch | Lost) -> tuple[Line, Step]:
        lost = outcome if isinstance(outcome, Lost) else None
        self._trust(account, lost)
        after = step(state, lost, self._clock.now_ms(), self._chance.jitter())
        await self._show(account, after)
        return after.line, after

    def _vouching(self, line: OpenLine) -> asyncio.Task[None]:
        """While a poll is held, "up" would have to wait for its end. If we are not up, and the server has held the
        poll for a moment without complaint, a short request that it answers well is the answer we were missing."""

        account = line.account.id

        async def vouch() -> None:
            if self.state(account) is AccountState.UP or self._in_vain.get(account, 0) >= IN_VAIN_MAX:
                return
            await self._clock.sleep_ms(VOUCH_AFTER_MS)
            if await line.platform.probe(line.account) is None:
                self._vouched.add(account)
                self._heard_from(account)
                await self._show(account, step(Line(), None, self._clock.now_ms(), 0))

        return asyncio.create_task(vouch())

    def _trust(self, account: AccountId, lost: Lost | None) -> None:
        """Counts polls that failed after somebody had vouched for them: soon only a poll's own answer counts."""
        if lost is None:
            self._in_vain.pop(account, None)
        elif account in self._vouched:
            self._in_vain[account] = self._in_vain.get(account, 0) + 1
        self._vouched.discard(account)

    async def _turn(self, line: OpenLine, cursor: str, hold_ms: int) -> tuple[Batch | Lost, str]:
        """One receive and what follows from it. A reply that has been read is committed, also while we end."""
        receiving = asyncio.create_task(line.transport.receive(cursor, hold_ms))
        try:
            await asyncio.wait({receiving})
        except asyncio.CancelledError:
            if not receiving.done():
                receiving.cancel()
                raise
            await asyncio.wait(
                {asyncio.create_task(self._digest(line, receiving.result(), cursor))}, timeout=1
            )
            raise
        digesting = asyncio.create_task(self._digest(line, receiving.result(), cursor))
        try:
            return await asyncio.shield(digesting)
        except asyncio.CancelledError:
            await asyncio.wait({digesting}, timeout=1)
            raise

    async def _digest(self, line: OpenLine, reply: Reply, cursor: str) -> tuple[Batch | Lost, str]:
        self._reach.note(line.host, reply)
        outcome = line.platform.codec.decode(line.account, reply)
        if isinstance(outcome, Lost):
            return outcome, cursor
        self._heard_from(line.account.id)
        if outcome.unreadable:
            log.warning("inbound.unreadable", account=line.account.id, messages=outcome.unreadable)
        await self._inbound.commit(line.account, outcome)
        return outcome, outcome.cursor or cursor

    async def _reached(self, line: OpenLine) -> None:
        """Waits while the host cannot be reached. The one that probes does so with a short request, since a
        poll would be held and tell nothing for half a minute."""
        while await self._reach.turn(line.host, line):
            try:
                lost = await line.platform.probe(line.account)
                if lost is not None and lost.kind is LostKind.NETWORK:
                    self._reach.unreachable(line.host, lost.text)
                else:
                    self._reach.reachable(line.host)
            finally:
                self._reach.give_back(line.host, line)

    async def _pause(self, line: OpenLine, after: Step) -> None:
        if after.wait_ms and not self._reach.hosts.breaker(line.host).shut:
            await self._clock.sleep_ms(after.wait_ms)
        if after.reopen:
            await line.transport.open()

    # what is shown

    def _heard_from(self, account: AccountId) -> None:
        self.now[account] = replace(self.now[account], last_server_answer_at_ms=self._clock.now_ms())

    async def _show(self, account_id: AccountId, after: Step) -> None:
        """Writes a change of state down: row, event, one log line. No change writes nothing."""
        known = self.now.get(account_id)
        if known is None or known.paused:
            return
        if after.state is AccountState.UP and self._barred_until_ms.get(account_id, 0) > self._clock.now_ms():
            return
        reason, action = self._explained(account_id, after)
        if (known.state, known.reason and known.reason.code) == (after.state, reason and reason.code):
            self._hold(account_id, after.state)
            return
        now_ms = self._clock.now_ms()
        change = AccountChange(
            account=account_id,
            state=after.state,
            at_ms=now_ms,
            reason=reason,
            action=action,
            next_attempt_at_ms=now_ms + after.wait_ms if after.wait_ms else None,
            last_server_answer_at_ms=known.last_server_answer_at_ms,
        )
        self._hold(account_id, after.state)
        if after.state is AccountState.UP:
            self._outbound.recovered(account_id)
        self.now[account_id] = replace(
            known,
            state=change.state,
            reason=reason,
            action=action,
            since_ms=now_ms if known.state is not change.state else known.since_ms,
            next_attempt_at_ms=change.next_attempt_at_ms,
        )
        told = log.info if after.state is AccountState.UP else log.warning
        told(
            "account.state",
            account=account_id,
            state=after.state.value,
            code=reason and reason.code,
            action=action,
        )
        await self._persist(change)

    def _explained(self, account: AccountId, after: Step) -> tuple[Reason | None, str]:
        successor = self._successor.get(account)
        if after.state is AccountState.LOGIN_NEEDED and successor:
            reason = Reason("linked-elsewhere", f"this WeChat is linked as {successor} now")
            return (
                reason,
                f"remove this account (yizhan account remove {account}); {successor} has taken its place",
            )
        return after.reason, after.action

    def _hold(self, account: AccountId, state: AccountState) -> None:
        self._outbound.lanes.open_account(account, _NO_SENDING.get(state))
        self._outbound.poke()

    async def _persist(self, change: AccountChange) -> None:
        while True:
            try:
                await self._store.change_account(change)
                return
            except StoreError as error:
                log.warning("account.not_written", account=change.account, error=error.detail)
                await self._clock.sleep_ms(STORE_PAUSE_MS)


def _loop_name(account: AccountId) -> str:
    return f"line {account}"
