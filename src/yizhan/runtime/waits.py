"""For what a live message waits at this moment, until when, and why: what people are shown.

The table tells what was true when its row was written. Gates, accounts and chats change without touching a row, so
whoever shows a message lays over it what holds it now.
"""

from __future__ import annotations

from dataclasses import replace

from yizhan.core.ghosts import slowed
from yizhan.core.hosts import Hosts
from yizhan.core.lanes import Lanes
from yizhan.model import AccountState, Message, MessageState, Reason, Target, WaitingFor
from yizhan.ports import Clock
from yizhan.runtime.standing import Standing

NOT_SENDING = frozenset({AccountState.LOGIN_NEEDED, AccountState.BARRED, AccountState.PAUSED})
NO_RECEIPTS = Reason(
    "no-receipts",
    "the chat's last messages were accepted without a receipt; pushes to it are slowed down",
)


class Waits:
    """Reads lanes, hosts and accounts; changes nothing."""

    def __init__(self, lanes: Lanes, hosts: Hosts, standing: Standing, clock: Clock) -> None:
        self._lanes = lanes
        self._hosts = hosts
        self._standing = standing
        self._clock = clock

    def overlay(self, message: Message, running: bool) -> Message:
        """A live message with what its gates and its account make it wait for right now. What only the user or an
        operator can end stays as it was written; an account that may not send explains everything else."""
        if not message.state.live or message.state is MessageState.SENDING:
            return message
        if message.waiting_for is WaitingFor.OPERATOR or _never_written(message):
            return message
        waiting_for, at_ms, reason = self._of(message) if running else (None, None, message.reason)
        if waiting_for is None:
            waiting_for, at_ms = message.waiting_for, message.next_attempt_at_ms
            if running and waiting_for in (WaitingFor.ALLOWANCE, WaitingFor.USER):
                waiting_for, at_ms, reason = None, None, None  # released, and on its way
        now_ms = self._clock.now_ms()
        if message.not_before_ms and message.not_before_ms > now_ms:
            at_ms = max(message.not_before_ms, at_ms or 0)
        if at_ms is not None and at_ms < now_ms:
            at_ms = None
        now = (waiting_for, at_ms, reason)
        if now == (message.waiting_for, message.next_attempt_at_ms, message.reason):
            return message
        parked = waiting_for in (WaitingFor.ALLOWANCE, WaitingFor.USER)
        state = MessageState.WAITING if parked else message.state
        return replace(message, state=state, waiting_for=waiting_for, next_attempt_at_ms=at_ms, reason=reason)

    def _of(self, message: Message) -> tuple[WaitingFor | None, int | None, Reason | None]:
        """What the message waits for at this moment, until when, and why; (None, None, …) if for nothing."""
        waiting_for, at_ms = self._of_chat(message.target)
        push_ms = self._push_waits_until(message)
        if waiting_for is None and push_ms is not None:
            return WaitingFor.LIMIT, push_ms, NO_RECEIPTS
        return waiting_for, at_ms, self._why(message, waiting_for)

    def _of_chat(self, target: Target) -> tuple[WaitingFor | None, int | None]:
        """For what the chat's next message waits now, and until when; (None, None) if for nothing."""
        now_ms = self._clock.now_ms()
        account, lane = self._lanes.account_lanes(target.account), self._lanes.lane(target)
        if account is None or not account.open:
            return (account.waits if account else WaitingFor.LOGIN), None
        if lane is not None and (held := lane.held_by(now_ms)) is not None:
            return held, None
        if lane is not None and (parked := lane.parked(now_ms)) is not None:
            return parked.waiting_for, parked.at_ms
        host_ms = self._hosts.breaker(account.host).ready_at(now_ms)
        gates = self._lanes.gates_of(target)
        answers_ms = gates.answers.ready_at(now_ms)
        if max(host_ms, answers_ms) > now_ms:
            return WaitingFor.CONNECTION, max(host_ms, answers_ms)
        limit_ms = max(gates.chat.ready_at(now_ms), gates.account.ready_at(now_ms))
        if limit_ms > now_ms:
            return (WaitingFor.CONNECTION if gates.chat.doubts else WaitingFor.LIMIT), limit_ms
        return None, None

    def _push_waits_until(self, message: Message) -> int | None:
        """Until when a push waits because its chat gives no receipts; None if it does not."""
        lane = self._lanes.lane(message.target)
        if lane is None or not slowed(message) or lane.push_at_ms <= self._clock.now_ms():
            return None
        return lane.push_at_ms

    def _why(self, message: Message, waiting_for: WaitingFor | None) -> Reason | None:
        """What the platform said to it; else what stands before its account, its chat or its host."""
        if message.reason is not None or waiting_for is None:
            return message.reason
        account, lane = self._standing.known(message.account), self._lanes.lane(message.target)
        if account is not None and account.state in NOT_SENDING:
            return account.reason or Reason(account.state.value, f"the account is {account.state.value}")
        match waiting_for:
            case WaitingFor.ALLOWANCE | WaitingFor.USER:
                parked = lane.parked(self._clock.now_ms()) if lane else None
                return parked.reason if parked else None
            case WaitingFor.OPERATOR if lane is not None and lane.paused:
                return Reason("chat-paused", f"a person paused the chat: yizhan chat resume {message.target}")
            case WaitingFor.CONNECTION:
                return Reason("unreachable", "the platform cannot be reached, or its answers are lost")
            case WaitingFor.LIMIT:
                return Reason("limited", "the platform limits sending")
            case _:
                return None


def _never_written(message: Message) -> bool:
    """The other side has never been heard; known even while the account itself cannot send."""
    reason = message.reason
    return message.waiting_for is WaitingFor.USER and reason is not None and reason.code == "never-written"
