"""The lines to the platforms: one loop per account, for as long as the account is here and not paused.

    wait for the host → receive → commit → decide (core/connection.py) → show → wait

Every turn of the loop goes through the same decision, whatever happened in it, so that no failure is a hot
loop and none is the last. "up" means that the server has just answered us.

A platform that is asked (a long poll) and one that pushes (a socket of its own) differ in nothing here but this:
while a poll is held, another request may vouch for the server; of a pushed line only the line itself tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from yizhan.core.connection import Line, Lost, LostKind, Step, step, woken
from yizhan.core.limiter import PaceNumbers, decode
from yizhan.core.reaction import Gates
from yizhan.core.verdict import Barred
from yizhan.model import Account, AccountId, AccountState
from yizhan.ports import Answer, Batch, Callback, CallbackRefused, Chance, Clock, Platform, RefusedBecause
from yizhan.runtime.custody import Custody
from yizhan.runtime.inbound import InboundRoad
from yizhan.runtime.lines import Lines, OpenLine
from yizhan.runtime.naps import Naps
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.reach import Reach
from yizhan.runtime.standing import Standing
from yizhan.runtime.supervisor import Supervisor

log = structlog.get_logger("connections")

HELD_MS = 200
IDLE_TURN_MS = 1_000
"""A poll that is answered with nothing within HELD_MS is followed by this pause: a server that does not hold its
polls must not make us a hot loop."""

VOUCH_AFTER_MS = 500
IN_VAIN_MAX = 2
GOODBYE_S = 3
"""A line gets this long to commit what it has read and to say goodbye."""

Turned = tuple[Batch | Lost, str]
"""What a turn of a line's loop brought, and the cursor from now on."""


class Connections:
    """Owns the lines of all accounts; what it finds out it says to the Standing."""

    def __init__(
        self,
        clock: Clock,
        chance: Chance,
        platforms: Mapping[str, Platform],
        lines: Lines,
        reach: Reach,
        outbound: Outbound,
        inbound: InboundRoad,
        standing: Standing,
        supervisor: Supervisor,
        pace: PaceNumbers,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._platforms = platforms
        self._lines = lines
        self._reach = reach
        self._outbound = outbound
        self._custody = Custody(lines, inbound)
        self._standing = standing
        self._supervisor = supervisor
        self._pace = pace
        self._vouched: set[AccountId] = set()
        self._in_vain: dict[AccountId, int] = {}
        self._naps = Naps(clock)

    async def open(self, account: Account) -> None:
        """Starts the account's line, or starts it anew with other credentials, after the old one has ended."""
        await self._end(account.id)
        self.prepare(self._custody.as_far_as_it_came(account))
        self.listen(account.id)

    def prepare(self, account: Account) -> None:
        """The account is here; its line does not listen yet."""
        platform = self._platforms[account.platform]
        self._lines[account.id] = OpenLine(account, platform, platform.transport(account))
        gates = Gates(account=decode(account.gate, self._pace, self._clock.now_ms()))
        self._outbound.lanes.account(
            account.id, platform.host(account), platform.policy.sends_in_flight, gates
        )
        allowance = self._outbound.allowances.of(platform.policy, account)
        self._outbound.lanes.allow(account.id, allowance)
        self._in_vain.pop(account.id, None)
        self._standing.begins(account)
        self._outbound.lanes.hurry(account.id, self._clock.now_ms())
        self._outbound.poke()

    def listen(self, account: AccountId) -> None:
        """What arrives is stored and passed on from now on, unless the account is paused."""
        if not self._lines[account].account.paused:
            self._supervisor.keep(_loop_name(account), lambda: self._listen(account))

    async def shut(self, account: AccountId) -> None:
        """Ends the account's line; its messages wait."""
        self._standing.rests(account)
        await self._end(account)

    def forget(self, account: AccountId) -> None:
        """The account, whose line has been shut, is gone."""
        self._outbound.lanes.forget_account(account)
        self._lines.pop(account, None)
        self._custody.forget(account)
        self._standing.forget(account)

    async def stop(self) -> None:
        """Ends all lines: what was read is committed, open polls are aborted, goodbyes are best effort."""
        await asyncio.gather(*(self._end(account) for account in list(self._lines)))

    def barred(self, account: AccountId, verdict: Barred) -> None:
        """A send was answered with a ban."""
        lost = Lost(LostKind.BARRED, verdict.code, verdict.text, verdict.action)
        self._standing.bar(account, step(Line(), lost, self._clock.now_ms(), 0))

    def look(self) -> None:
        """The host has slept: whoever has a line of its own is to see whether it still lives, and who waits for his
        next attempt, or for a host, makes it now."""
        self._reach.look()
        self._naps.wake()
        for line in self._lines.values():
            line.transport.look()

    async def called_back(self, account: AccountId, callback: Callback) -> Answer | CallbackRefused:
        """Somebody posts something in the name of the account's platform."""
        line = self._lines.get(account)
        if line is None:
            return CallbackRefused(RefusedBecause.UNEXPECTED, "Nothing is to be posted for this account.")
        answer = await line.transport.called_back(callback)
        if isinstance(answer, CallbackRefused):
            self._outbound.log.warning(
                "callback.refused", account=account, because=answer.because.value, detail=answer.text
            )
        return answer

    async def _end(self, account: AccountId) -> None:
        task = self._supervisor.drop(_loop_name(account))
        if task is not None:
            await asyncio.wait({task}, timeout=GOODBYE_S)

    # one account's loop

    async def _listen(self, account_id: AccountId) -> None:
        line, told_to_end = self._lines[account_id], False
        hold_ms = line.platform.policy.poll_hold_ms
        state = await self._reached(line, Line())
        try:
            cursor = await self._custody.begins_at(line)
            await line.transport.open()
            while True:
                state = await self._reached(line, state)
                began_ms = self._clock.now_ms()
                vouching = asyncio.create_task(self._vouch(line))
                try:
                    outcome, cursor = await self._turn(line, cursor, hold_ms)
                finally:
                    vouching.cancel()
                after = self._conclude(line, state, outcome)
                if isinstance(outcome, Batch):
                    hold_ms = outcome.hold_ms or hold_ms
                    if self._hasty(line, outcome, self._clock.now_ms() - began_ms):
                        await self._clock.sleep_ms(IDLE_TURN_MS)
                state = await self._pause(line, after)
        except asyncio.CancelledError:
            told_to_end = _is_told_to_end()
            raise
        finally:
            rest = await line.transport.close(announce=not self._reach.shut(line.host))
            if told_to_end and rest is not None:
                await self._custody.store_rest(line, rest)

    def _conclude(self, line: OpenLine, state: Line, outcome: Batch | Lost) -> Step:
        """What follows from a turn for the loop. A part that is lacking is the line's own affair; we only say so."""
        lost = outcome if isinstance(outcome, Lost) else None
        if lost is not None or not isinstance(outcome, Batch) or outcome.lacking is None:
            return self._decide(line, state, lost, attempted=self._was_attempt(line, lost))
        part = outcome.lacking
        self._standing.show(line.account.id, part.after, part.at_ms, part.attempted, part.speaks)
        return Step(Line(), part.after.state, 0)

    def _was_attempt(self, line: OpenLine, lost: Lost | None) -> bool:
        """Whether this turn tried to connect in vain. Polls fail so often while a server is in trouble that only their
        changes are told."""
        return lost is not None and line.platform.policy.pushed

    def _hasty(self, line: OpenLine, batch: Batch, took_ms: int) -> bool:
        """A server that should have held the question has not."""
        return not line.platform.policy.pushed and not batch.heard and took_ms < HELD_MS

    def _decide(self, line: OpenLine, state: Line, lost: Lost | None, attempted: bool = False) -> Step:
        """What follows from a turn, and what is true of the account from now on. `attempted`: it failed to connect."""
        self._trust(line.account.id, lost)
        now_ms = self._clock.now_ms()
        after = step(state, lost, now_ms, self._chance.jitter())
        next_ms = self._next_attempt(line, after, now_ms)
        self._standing.show(line.account.id, after, next_ms, attempted)
        return after

    def _next_attempt(self, line: OpenLine, after: Step, now_ms: int) -> int | None:
        if self._reach.shut(line.host):
            return self._reach.next_attempt_at_ms(line.host)
        return now_ms + after.wait_ms if after.wait_ms else None

    async def _vouch(self, line: OpenLine) -> None:
        """While a poll is held, "up" would have to wait for its end. If we are not up, and the server has held the
        poll for a moment without complaint, a short request that it answers well is the answer we were missing."""
        account = line.account.id
        if line.platform.policy.pushed or self._in_vain.get(account, 0) >= IN_VAIN_MAX:
            return
        if self._standing.state(account) is AccountState.UP:
            return
        await self._clock.sleep_ms(VOUCH_AFTER_MS)
        if await line.platform.probe(line.account) is None:
            self._vouched.add(account)
            self._standing.answered(account)
            self._standing.show(account, step(Line(), None, self._clock.now_ms(), 0), None)

    def _trust(self, account: AccountId, lost: Lost | None) -> None:
        """Counts polls that failed after somebody had vouched for them: soon only a poll's own answer counts."""
        if lost is None:
            self._in_vain.pop(account, None)
        elif account in self._vouched:
            self._in_vain[account] = self._in_vain.get(account, 0) + 1
        self._vouched.discard(account)

    async def _turn(self, line: OpenLine, cursor: str, hold_ms: int) -> Turned:
        """One receive and what follows from it. A reply that has been read is committed, also while we end."""
        receiving = asyncio.create_task(line.transport.receive(cursor, hold_ms))
        try:
            await asyncio.wait({receiving})
        except asyncio.CancelledError:
            if not receiving.done():
                receiving.cancel()
            elif isinstance(outcome := receiving.result(), Batch):
                await self._custody.store_last(line, outcome)
            raise
        outcome = receiving.result()
        self._note(line, outcome)
        if isinstance(outcome, Lost):
            return outcome, cursor
        await self._custody.store(line, outcome)
        return outcome, outcome.cursor or cursor

    def _note(self, line: OpenLine, outcome: Batch | Lost) -> None:
        """What a turn says about the host and the platform. News over a line that stood already says nothing of the
        host."""
        if isinstance(outcome, Lost) and outcome.kind is LostKind.UNREACHABLE:
            self._reach.unreachable(line.host, outcome.text)
        elif not line.platform.policy.pushed:
            self._reach.reachable(line.host)
        if isinstance(outcome, Lost):
            return
        self._standing.answered(line.account.id)
        if outcome.unreadable:
            log.warning("inbound.unreadable", account=line.account.id, messages=outcome.unreadable)

    async def _reached(self, line: OpenLine, state: Line) -> Line:
        """Waits while the host cannot be reached, and says so for this account at every attempt, whoever makes it.
        The attempt is a short request, since a poll would be held and tell nothing for half a minute."""
        attempted = False
        while self._reach.shut(line.host):
            lost = Lost(LostKind.UNREACHABLE, "unreachable", f"{line.host} cannot be reached")
            state = self._decide(line, state, lost, attempted).line
            attempted = await self._reach.probe(line.host, line, lambda: line.platform.probe(line.account))
        return state

    async def _pause(self, line: OpenLine, after: Step) -> Line:
        """The line as it is after it."""
        rests = after.wait_ms and not self._reach.shut(line.host)
        slept = rests and await self._naps.rest(after.wait_ms)
        if after.reopen:
            await line.transport.open()
        return woken(after.line, self._clock.now_ms()) if slept else after.line


def _is_told_to_end() -> bool:
    """Whether somebody has cancelled us; else something in here broke, and what was heard last may be what broke it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _loop_name(account: AccountId) -> str:
    return f"line {account}"
