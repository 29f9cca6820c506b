"""A road in slow motion: a table, the lanes, and the wire, in virtual time, driven by hand.

It does what runtime/outbound.py and runtime/carrier.py do, step by step and without a loop, so that a test can
stop between any two steps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from yizhan.core import limiter, spending
from yizhan.core.allowance import NOTICE_SOURCE, Ledger, opened
from yizhan.core.breaker import BreakerNumbers
from yizhan.core.choice import Choice, Load, Loaded, LookAgain, Notify, Park, Send
from yizhan.core.hosts import Hosts
from yizhan.core.lanes import Lanes
from yizhan.core.limiter import Pace
from yizhan.core.reaction import Circumstances, Decision, Gates, Numbers, react
from yizhan.core.release import Parked, Withdraw, notice_key
from yizhan.core.states import derive
from yizhan.core.tokens import token_for, usable
from yizhan.core.verdict import Deferred, Delivered, Verdict
from yizhan.core.window import held_back, place_of
from yizhan.model import (
    AccountId,
    ChatId,
    Entry,
    InboundId,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    ReplyToken,
    Target,
)

T0 = 1_800_000_000_000
DAY = 86_400_000
DELIVERED = Delivered("r")


@dataclass
class ChatRow:
    token: ReplyToken | None = None
    has_written: bool = True
    paused: bool = False
    pace: Pace = limiter.OPEN
    accepted: int = 0
    ledger: Ledger | None = None


@dataclass
class OnWire:
    message: Message
    entry: Entry
    token: ReplyToken | None
    known: ReplyToken | None


class Road:
    def __init__(self, per_lane: int = 16, idle_max: int = 4_096, numbers: Numbers | None = None) -> None:
        self.numbers = numbers or Numbers()
        self.hosts = Hosts(BreakerNumbers())
        self.lanes = Lanes(self.hosts, per_lane, idle_max)
        self.now_ms = T0
        self.table: dict[MessageId, Message] = {}
        self.chats: dict[Target, ChatRow] = {}
        self.host_of: dict[AccountId, str] = {}
        self.wire: dict[Target, OnWire] = {}
        self.sent: list[str] = []
        self.loads = 0
        self.heard = 0
        self.notices: list[str] = []
        self.withdrawn: list[str] = []
        self.parks: list[str] = []

    # accounts and chats

    def target(self, chat: str = "c1", account: str = "weixin:a") -> Target:
        return Target(AccountId(account), ChatId(chat))

    def open(
        self, account: str = "weixin:a", host: str = "h1", in_flight_max: int = 4, gates: Gates | None = None
    ) -> None:
        self.host_of[AccountId(account)] = host
        self.lanes.account(AccountId(account), host, in_flight_max, gates or Gates())
        self.lanes.open_account(AccountId(account), None)

    def chat(self, target: Target) -> ChatRow:
        return self.chats.setdefault(target, ChatRow())

    def token(self, target: Target, name: str) -> ReplyToken:
        return ReplyToken(target.account, target.chat, InboundId(name), name, self.now_ms)

    def hear(self, target: Target, name: str = "") -> None:
        """The other side writes; with `name` it brings a reply token."""
        row, token = self.chat(target), self.token(target, name) if name else None
        row.has_written, row.token = True, token or row.token
        self.heard += 1
        key = f"in{self.heard}"
        row.ledger = opened(key, self.now_ms, self.heard, None, False)
        self.lanes.heard(target, token, self.now_ms, key)

    # accepting

    def commit(
        self,
        name: str,
        chat: str = "c1",
        account: str = "weixin:a",
        *,
        klass: MessageClass = MessageClass.PUSH,
        parts: int = 1,
        not_before_ms: int | None = None,
        expires_at_ms: int = T0 + 30 * DAY,
        source: str = "test",
        key: str | None = None,
    ) -> Message:
        """Into the table only."""
        target = self.target(chat, account)
        self.chat(target).accepted += 1
        message = Message(
            id=MessageId(name),
            account=target.account,
            chat=target.chat,
            seq=self.chat(target).accepted,
            klass=klass,
            source=source,
            idempotency_key=key,
            text=name,
            created_at_ms=self.now_ms,
            expires_at_ms=expires_at_ms,
            entries=tuple(Entry(no, name, f"{name}:{no}") for no in range(1, parts + 1)),
            not_before_ms=not_before_ms,
        )
        self.table[message.id] = message
        return message

    def accept(self, name: str, chat: str = "c1", account: str = "weixin:a", **more: Any) -> Message:
        message = self.commit(name, chat, account, **more)
        self.lanes.add(message)
        return message

    def end(self, message: Message, state: MessageState) -> None:
        """In the table: everything of it that is not on the wire ends."""
        now = self.table[message.id]
        for entry in now.entries:
            if entry.state in (MessageState.QUEUED, MessageState.WAITING):
                now = with_entry(now, replace(entry, state=state), self.now_ms)
        self.table[message.id] = now

    def passes_audit(self, name: str, no: int) -> None:
        """The platform has looked at a part that it held back, and shows it."""
        now = self.table[MessageId(name)]
        entry = next(each for each in now.entries if each.no == no)
        passed = replace(entry, state=MessageState.DELIVERED, waiting_for=None)
        self.table[now.id] = with_entry(now, passed, self.now_ms)
        self.lanes.changed(now.target)

    # carrying

    def view(self, target: Target) -> Loaded:
        """What the table says now."""
        mine = (each for each in self.table.values() if each.target == target)
        live = [each for each in mine if each.state.live and not held_back(each)]
        live.sort(key=lambda each: place_of(each, self.now_ms))
        row, most = self.chat(target), self.lanes.per_lane
        return Loaded(
            target,
            tuple(live[:most]),
            len(live) > most,
            row.token,
            row.has_written,
            row.paused,
            row.pace,
            ledger=row.ledger,
        )

    def turn(self) -> Choice:
        """One question to the lanes; a window is read at once, a send goes on the wire."""
        choice = self.lanes.choose(self.now_ms)
        if isinstance(choice, Load):
            self.loads += 1
            self.lanes.loaded(self.view(choice.target))
        elif isinstance(choice, Send):
            self.begin(choice)
        elif isinstance(choice, Notify):
            self.notify(choice)
        elif isinstance(choice, Park):
            self.park(choice.parked)
        elif isinstance(choice, Withdraw):
            self.withdrawn.append(choice.message.id)
            self.end(choice.message, MessageState.CANCELLED)
            self.lanes.ended(self.table[choice.message.id])
        return choice

    def notify(self, choice: Notify) -> None:
        """What runtime/allowances.py does, at once."""
        target, key = choice.target, notice_key(choice.target.chat, choice.ledger)
        name = f"notice-{target.chat}-{choice.ledger.key}"
        if MessageId(name) not in self.table:
            self.commit(
                name,
                target.chat,
                target.account,
                klass=MessageClass.NOTICE,
                source=NOTICE_SOURCE,
                key=key,
            )
            self.notices.append(name)
        self.lanes.noticed(target, choice.ledger.key)
        self.lanes.put_back(target, self.now_ms)

    def park(self, parked: Parked) -> None:
        now = self.table[parked.message.id]
        waits = replace(
            parked.entry,
            state=MessageState.WAITING,
            waiting_for=parked.waiting_for,
            reason=parked.reason,
            next_attempt_at_ms=parked.at_ms,
        )
        self.table[now.id] = with_entry(now, waits, self.now_ms)
        self.parks.append(f"{now.id}.{waits.no}")
        self.lanes.ended(self.table[now.id])

    def begin(self, send: Send) -> None:
        target = send.message.target
        assert target not in self.wire, "two in flight in one chat"
        lane = self.lanes.lane(target)
        assert lane is not None
        token, known = token_for(lane.token, lane.trial, self.now_ms, 0), lane.token
        spending.begun(lane, spending.intended(lane, send.entry, token is not None, self.now_ms))
        self.chat(target).ledger = lane.ledger
        entry = replace(
            send.entry,
            state=MessageState.SENDING,
            attempts_made=send.entry.attempts_made + 1,
            waiting_for=None,
        )
        self.table[send.message.id] = with_entry(self.table[send.message.id], entry, self.now_ms)
        self.wire[target] = OnWire(send.message, entry, token, known if usable(known) else None)
        self.sent.append(f"{send.message.id}.{entry.no}")

    def dispatch(self, most: int = 10_000) -> list[str]:
        """Until nothing more can go now; answers what went on the wire."""
        before = len(self.sent)
        for _ in range(most):
            if isinstance(self.turn(), LookAgain):
                return self.sent[before:]
        raise AssertionError("choose() never comes to rest")

    def look_again(self) -> int | None:
        """When the lanes want to be asked again, as ms from now; nothing may be ready."""
        choice = self.lanes.choose(self.now_ms)
        assert isinstance(choice, LookAgain), choice
        return None if choice.at_ms is None else choice.at_ms - self.now_ms

    def judge(self, target: Target, verdict: Verdict, jitter: float = 0.0) -> Decision:
        """What the verdict leads to; the lanes learn it, nothing is kept yet."""
        on_wire, lane = self.wire[target], self.lanes.lane(target)
        assert lane is not None
        if isinstance(verdict, Deferred):
            self.hosts.unreachable(self.host_of[target.account], self.now_ms, jitter)
        else:
            self.hosts.worked(self.host_of[target.account])
        self.lanes.host_changed(self.host_of[target.account])
        seen = Circumstances(
            target=target,
            message=on_wire.message.id,
            entry=on_wire.entry,
            token=on_wire.known,
            with_token=on_wire.token is not None,
            has_written=lane.has_written,
            gates=self.lanes.gates_of(target),
            traffic=self.lanes.traffic(target),
            trial=lane.trial,
            superseded=lane.token is not None and usable(lane.token) and lane.token is not on_wire.known,
        )
        decision = react(verdict, seen, self.numbers, self.now_ms, jitter)
        self.lanes.learned(target, decision.gates, decision.token, decision.trial)
        if decision.pardoned is not None:
            self.lanes.pardoned(decision.pardoned)
        spending.ended(lane, on_wire.entry, verdict, decision.trial, on_wire.token, self.now_ms)
        return spending.parked(lane, decision, self.now_ms)

    def keep(self, target: Target, decision: Decision) -> None:
        """The settlement's transaction, and what follows it."""
        on_wire, row = self.wire.pop(target), self.chat(target)
        row.pace = decision.gates.chat
        if decision.pardoned is not None:
            self.chat(decision.pardoned.target).pace = decision.pardoned.before
        lane = self.lanes.lane(target)
        row.ledger = lane.ledger if lane else row.ledger
        if decision.token is not None and row.token is not None and decision.token.token == row.token.token:
            row.token = decision.token
        now = self.table[on_wire.message.id]
        self.table[now.id] = with_entry(now, decision.entry, self.now_ms)
        self.lanes.ended(with_entry(on_wire.message, decision.entry, self.now_ms))

    def answer(self, target: Target, verdict: Verdict = DELIVERED, jitter: float = 0.0) -> Decision:
        decision = self.judge(target, verdict, jitter)
        self.keep(target, decision)
        return decision

    def answer_all(self, verdict: Verdict = DELIVERED) -> None:
        for target in list(self.wire):
            self.answer(target, verdict)

    def run(self, most: int = 100_000) -> list[str]:
        """Everything is answered well and time passes, until nothing happens by time alone any more."""
        before = len(self.sent)
        for _ in range(most):
            self.dispatch()
            if self.wire:
                self.answer_all()
                continue
            choice = self.lanes.choose(self.now_ms)
            assert isinstance(choice, LookAgain)
            if choice.at_ms is None:
                return self.sent[before:]
            self.now_ms = choice.at_ms
        raise AssertionError("the road never comes to rest")


@pytest.fixture(scope="session")
def road_of() -> type[Road]:
    return Road


@pytest.fixture
def road() -> Road:
    """A road with one open account, weixin:a."""
    made = Road()
    made.open()
    return made


@pytest.fixture(scope="session")
def calls() -> Callable[[Callable[[], object]], int]:
    """Counts the calls of Python functions that something makes: work, without a clock."""

    def count(work: Callable[[], object]) -> int:
        counted = 0

        def note(frame: Any, event: str, argument: Any) -> None:
            nonlocal counted
            counted += event == "call"

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            work()
        finally:
            sys.setprofile(before)
        return counted

    return count


def with_entry(message: Message, entry: Entry, now_ms: int) -> Message:
    """The message with one entry replaced, its own state derived anew."""
    entries = tuple(entry if each.no == entry.no else each for each in message.entries)
    return derive(message, now_ms, entries)
