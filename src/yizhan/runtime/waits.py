"""For what a live message waits at this moment, until when, and why: what people are shown.

The table tells what was true when its row was written. Gates, accounts and chats change without touching a row, so
whoever shows a message lays over it what holds it now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from yizhan.core.ghosts import slowed
from yizhan.core.hosts import Hosts
from yizhan.core.lane import AccountLanes
from yizhan.core.lanes import Lanes
from yizhan.core.release import head_of
from yizhan.core.shares import is_bulk
from yizhan.model import AccountId, AccountState, Message, MessageState, Reason, Target, WaitingFor
from yizhan.ports import Clock
from yizhan.runtime.standing import Standing

NOT_SENDING = frozenset({AccountState.LOGIN_NEEDED, AccountState.BARRED, AccountState.PAUSED})
PARKED = (WaitingFor.ALLOWANCE, WaitingFor.USER)
_HELD = (WaitingFor.OPERATOR, WaitingFor.AUDIT)
_OF_THE_PLATFORM = (WaitingFor.LIMIT, WaitingFor.CONNECTION, WaitingFor.LOGIN)

NO_RECEIPTS = Reason(
    "no-receipts",
    "the chat's last messages were accepted without a receipt; pushes to it are slowed down",
)
UNREACHABLE = Reason("unreachable", "the platform cannot be reached, or its answers are lost")
LIMITED = Reason("limited", "the platform limits sending")
ANSWERS_FIRST = Reason("answers-first", "the platform limits the account; answers go before pushes")
BEHIND = Reason("behind-another", "a message before it in the chat is held until somebody acts")


@dataclass(frozen=True, slots=True)
class Wait:
    """What a message waits for, until when, and why; None: not known, or not by time."""

    waiting_for: WaitingFor | None = None
    until_ms: int | None = None
    reason: Reason | None = None


class Waits:
    """Reads lanes, hosts and accounts; changes nothing."""

    def __init__(self, lanes: Lanes, hosts: Hosts, standing: Standing, clock: Clock) -> None:
        self._lanes = lanes
        self._hosts = hosts
        self._standing = standing
        self._clock = clock

    def overlay(self, message: Message, running: bool) -> Message:
        """A live message with what its gates and its account make it wait for right now. What only the user, an
        operator or the platform's audit can end stays as it was written; an account that may not send explains
        everything else."""
        if not message.state.live or message.state is MessageState.SENDING or self._stays(message):
            return message
        now_ms = self._clock.now_ms()
        wait = _dated(message, self._now(message) if running else _as_written(message), now_ms)
        over = wait.until_ms is not None and wait.until_ms < now_ms
        return _shown(message, replace(wait, until_ms=None) if over else wait)

    def _stays(self, message: Message) -> bool:
        """Held in doubt or by the platform, or nobody has been heard yet; that is so while the account itself cannot
        send as well."""
        lane = self._lanes.lane(message.target)
        heard = lane is not None and lane.has_written
        return message.waiting_for in _HELD or (_never_written(message) and not heard)

    def _now(self, message: Message) -> Wait:
        """What the platform said to it stays its reason for as long as it explains the wait; else what stands before
        its account, its chat or its host does. Of several gates the last to open holds it."""
        wait = self._of_chat(message.target) or Wait()
        if wait.waiting_for in (None, WaitingFor.LIMIT):
            wait = max([wait, *self._of_pushes(message)], key=lambda each: each.until_ms or 0)
        if wait.reason in (NO_RECEIPTS, ANSWERS_FIRST):
            return wait
        if wait.waiting_for is None:
            released = message.waiting_for in PARKED  # and on its way
            return Wait() if released else _as_written(message)
        same = wait.waiting_for is message.waiting_for or message.waiting_for is None
        if same and message.reason is not None and wait.waiting_for in _OF_THE_PLATFORM:
            return replace(wait, reason=message.reason)
        return wait

    def _of_chat(self, target: Target) -> Wait | None:
        """For what the chat's next message waits now; None if for nothing."""
        now_ms = self._clock.now_ms()
        account, lane = self._lanes.account_lanes(target.account), self._lanes.lane(target)
        if account is None or not account.open:
            waits = account.waits if account else WaitingFor.LOGIN
            return Wait(waits, None, self._why_not_sending(target.account))
        if self._lanes.paused(target):
            text = f"a person paused the chat: yizhan chat resume {target}"
            return Wait(WaitingFor.OPERATOR, None, Reason("chat-paused", text))
        if lane is not None and (held := lane.held(now_ms)) is not None:
            return Wait(held.waiting_for, None, BEHIND if held.in_doubt else held.reason)
        gate = self._of_gates(account, target, now_ms)
        if lane is not None and (parked := lane.parked(now_ms)) is not None:
            at_ms = parked.at_ms and max(parked.at_ms, (gate and gate.until_ms) or 0)
            return Wait(parked.waiting_for, at_ms, parked.reason)
        return gate

    def _of_gates(self, account: AccountLanes, target: Target, now_ms: int) -> Wait | None:
        gates = self._lanes.gates_of(target)
        host_ms = self._hosts.breaker(account.host).ready_at(now_ms)
        lost_ms = max(host_ms, gates.answers.ready_at(now_ms))
        if lost_ms > now_ms:
            return Wait(WaitingFor.CONNECTION, lost_ms, UNREACHABLE)
        limit_ms = max(gates.chat.ready_at(now_ms), gates.account.ready_at(now_ms))
        if limit_ms <= now_ms:
            return None
        if gates.chat.doubts:
            return Wait(WaitingFor.CONNECTION, limit_ms, UNREACHABLE)
        return Wait(WaitingFor.LIMIT, limit_ms, LIMITED)

    def _of_pushes(self, message: Message) -> Iterator[Wait]:
        """What only pushes wait for: their chat gives no receipts, or the account's room is left to answers."""
        now_ms = self._clock.now_ms()
        account, lane = self._lanes.account_lanes(message.account), self._lanes.lane(message.target)
        if lane is not None and slowed(message) and lane.push_at_ms > now_ms:
            yield Wait(WaitingFor.LIMIT, lane.push_at_ms, NO_RECEIPTS)
        if account is not None and is_bulk(message.klass):
            share_ms = account.share.bulk_ready_at(account.gates.account, now_ms)
            if share_ms > now_ms:
                yield Wait(WaitingFor.LIMIT, share_ms, ANSWERS_FIRST)

    def _why_not_sending(self, account_id: AccountId) -> Reason | None:
        account = self._standing.known(account_id)
        if account is None or account.state not in NOT_SENDING:
            return None
        return account.reason or Reason(account.state.value, f"the account is {account.state.value}")


def _shown(message: Message, wait: Wait) -> Message:
    """The message and its next part with this wait: it is the part that waits, and those behind wait for that one."""
    state, head = _state(message, wait), head_of(message)
    first = replace(
        head,
        state=state if state is MessageState.QUEUED or wait.waiting_for in PARKED else head.state,
        waiting_for=wait.waiting_for,
        next_attempt_at_ms=wait.until_ms,
        reason=wait.reason,
    )
    return replace(
        message,
        state=state,
        waiting_for=wait.waiting_for,
        next_attempt_at_ms=wait.until_ms,
        reason=wait.reason,
        entries=tuple(first if entry is head else entry for entry in message.entries),
    )


def _state(message: Message, wait: Wait) -> MessageState:
    """What is parked waits, though its row may not say so yet; what was parked and never tried is only queued."""
    if wait.waiting_for in PARKED:
        return MessageState.WAITING
    untried = not any(entry.attempts_made for entry in message.entries)
    released = message.waiting_for in PARKED and wait.waiting_for is None
    return MessageState.QUEUED if released and untried else message.state


def _as_written(message: Message) -> Wait:
    return Wait(message.waiting_for, message.next_attempt_at_ms, message.reason)


def _dated(message: Message, wait: Wait, now_ms: int) -> Wait:
    """A date to come is the first time at which it can go; a gate that opens before holds nothing up."""
    date_ms = message.not_before_ms or 0
    if date_ms <= now_ms:
        return wait
    if wait.until_ms is not None and wait.until_ms <= date_ms:
        wait = _as_written(message)
    return replace(wait, until_ms=max(date_ms, wait.until_ms or 0))


def _never_written(message: Message) -> bool:
    """The other side has never been heard; known even while the account itself cannot send."""
    reason = message.reason
    return message.waiting_for is WaitingFor.USER and reason is not None and reason.code == "never-written"
