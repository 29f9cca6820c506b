"""Any story: table, lanes and wire in every order that a loop and a store could bring about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from yizhan.core.choice import Load, Loaded, LookAgain, Send
from yizhan.core.reaction import Decision
from yizhan.core.verdict import (
    Deferred,
    Delivered,
    Ghost,
    InDoubt,
    Rejected,
    StaleToken,
    Throttled,
    Verdict,
)
from yizhan.core.window import begun
from yizhan.model import AccountId, Message, MessageClass, MessageState, Target, WaitingFor

CHATS = [("weixin:a", "c1"), ("weixin:a", "c2"), ("weixin:b", "c1")]
ACCOUNTS = ["weixin:a", "weixin:b"]
VERDICTS: list[Verdict] = [
    Delivered("r"),
    Delivered("r"),
    Ghost(True),
    Throttled("-2", "limit"),
    Throttled("-2", "limit or token", None, True),
    Throttled("-2", "limit", 60_000),
    StaleToken("-14", "stale"),
    InDoubt("no_answer", "lost"),
    Rejected("-5", "never"),
    Deferred("not_sent", "no route"),
]
LIVE_OFF_WIRE = (MessageState.QUEUED, MessageState.WAITING)


class Story(RuleBasedStateMachine):
    """Rules are what may happen; the assertions stand where something is chosen, and at the end."""

    def __init__(self, road_of: Callable[..., Any]) -> None:
        super().__init__()
        self.road_of = road_of
        self.reads: dict[Target, Loaded] = {}
        self.decided: dict[Target, Decision] = {}
        self.unreported: list[Message] = []
        self.accepted = 0

    @initialize(
        per_lane=st.integers(1, 4), in_flight_max=st.integers(1, 3), idle_max=st.sampled_from([0, 4_096])
    )
    def begin(self, per_lane: int, in_flight_max: int, idle_max: int) -> None:
        self.road = self.road_of(per_lane, idle_max)
        self.in_flight_max = in_flight_max
        for account in ACCOUNTS:
            self.road.open(account, "h1", in_flight_max)
        for account, chat in CHATS:
            self.road.chat(self.road.target(chat, account)).has_written = chat == "c1"

    # what people and agents do

    @rule(
        where=st.sampled_from(CHATS),
        klass=st.sampled_from(MessageClass),
        parts=st.integers(1, 3),
        wait_ms=st.sampled_from([0, 0, 0, 0, 500, 30_000]),
        reported=st.sampled_from([True, True, False]),
    )
    def accept(
        self, where: tuple[str, str], klass: MessageClass, parts: int, wait_ms: int, reported: bool
    ) -> None:
        """Committed; reported to the lanes now, or a moment later, but always in the order of the commits."""
        self.accepted += 1
        not_before_ms = self.road.now_ms + wait_ms if wait_ms else None
        account, chat = where
        message = self.road.commit(
            f"m{self.accepted}", chat, account, klass=klass, parts=parts, not_before_ms=not_before_ms
        )
        self.unreported.append(message)
        if reported:
            self.report()

    @rule(where=st.sampled_from(CHATS), many=st.integers(2, 12))
    def accept_many(self, where: tuple[str, str], many: int) -> None:
        for _ in range(many):
            self.accept(where, MessageClass.PUSH, 1, 0, True)

    @precondition(lambda self: self.unreported)
    @rule()
    def report(self) -> None:
        for message in self.unreported:
            self.road.lanes.add(message)
        self.unreported = []

    @rule(which=st.integers(0, 1_000))
    def cancel(self, which: int) -> None:
        waiting = [each for each in self.road.table.values() if each.state.live]
        if waiting:
            message = waiting[which % len(waiting)]
            self.road.end(message, MessageState.CANCELLED)
            self.road.lanes.changed(message.target)

    @rule(where=st.sampled_from(CHATS), token=st.booleans())
    def hear(self, where: tuple[str, str], token: bool) -> None:
        self.accepted += 1
        self.road.hear(self.road.target(where[1], where[0]), f"t{self.accepted}" if token else "")

    @rule(where=st.sampled_from(CHATS), paused=st.booleans())
    def pause(self, where: tuple[str, str], paused: bool) -> None:
        target = self.road.target(where[1], where[0])
        self.road.chat(target).paused = paused
        self.road.lanes.pause(target, paused)

    @rule(where=st.sampled_from(CHATS))
    def hurry(self, where: tuple[str, str]) -> None:
        self.road.lanes.hurry(self.road.target(where[1], where[0]), self.road.now_ms)

    # what lines and hosts do

    @rule(account=st.sampled_from(ACCOUNTS), waits=st.sampled_from([None, None, WaitingFor.LOGIN]))
    def open_account(self, account: str, waits: WaitingFor | None) -> None:
        self.road.lanes.open_account(AccountId(account), waits)

    @rule(account=st.sampled_from(ACCOUNTS))
    def recover(self, account: str) -> None:
        self.road.lanes.recovered(AccountId(account), self.road.now_ms)

    @rule()
    def line_reaches_host(self) -> None:
        self.road.hosts.worked("h1")
        self.road.lanes.host_changed("h1")

    @rule(wait_ms=st.sampled_from([1, 300, 2_000, 20_000, 100_000]))
    def time_passes(self, wait_ms: int) -> None:
        self.road.now_ms += wait_ms

    # what the dispatcher does

    @rule()
    def choose(self) -> None:
        choice = self.road.lanes.choose(self.road.now_ms)
        match choice:
            case Load(target):
                assert target not in self.reads
                self.reads[target] = self.road.view(target)
            case Send():
                self.send(choice)
            case LookAgain(at_ms):
                assert at_ms is None or at_ms > self.road.now_ms

    @precondition(lambda self: self.reads)
    @rule(which=st.integers(0, 10), readable=st.sampled_from([True, True, True, False]))
    def read_ends(self, which: int, readable: bool) -> None:
        target = list(self.reads)[which % len(self.reads)]
        view = self.reads.pop(target)
        if readable:
            self.road.lanes.loaded(view)
        else:
            self.road.lanes.not_loaded(target, self.road.now_ms + 500)

    @precondition(lambda self: self.road.wire.keys() - self.decided.keys())
    @rule(which=st.integers(0, 10), verdict=st.sampled_from(VERDICTS), at_once=st.booleans())
    def answer(self, which: int, verdict: Verdict, at_once: bool) -> None:
        open_ones = [target for target in self.road.wire if target not in self.decided]
        target = open_ones[which % len(open_ones)]
        self.decided[target] = self.road.judge(target, verdict)
        if at_once:
            self.keep(0)

    @precondition(lambda self: self.decided)
    @rule(which=st.integers(0, 10))
    def keep(self, which: int) -> None:
        target = list(self.decided)[which % len(self.decided)]
        self.road.keep(target, self.decided.pop(target))

    @rule(steps=st.integers(1, 30))
    def all_goes_well(self, steps: int) -> None:
        for _ in range(steps):
            self.choose()
            if self.reads:
                self.read_ends(0, True)
            open_ones = [target for target in self.road.wire if target not in self.decided]
            if open_ones:
                self.answer(0, Delivered("r"), False)
                self.keep(len(self.decided) - 1)

    def send(self, send: Send) -> None:
        target, now_ms = send.message.target, self.road.now_ms
        assert target not in self.road.wire, "two requests of one chat"
        stored = self.road.table[send.message.id]
        entry = stored.entries[send.entry.no - 1]
        if entry.state not in LIVE_OFF_WIRE:
            assert entry.state is not MessageState.SENDING
            self.road.lanes.put_back(target, now_ms)
            return
        self.check_gates(target)
        self.check_order(send.message, stored)
        self.road.begin(send)

    def check_gates(self, target: Target) -> None:
        mine = [each for each in self.road.wire if each.account == target.account]
        gates = self.road.lanes.gates_of(target)
        probing = gates.account.probing or gates.answers.shut or self.road.hosts.breaker("h1").shut
        assert len(mine) < (1 if probing else self.in_flight_max)
        assert gates.account.ready_at(self.road.now_ms) <= self.road.now_ms
        assert self.road.hosts.breaker("h1").ready_at(self.road.now_ms) <= self.road.now_ms
        assert not self.road.chat(target).paused

    def check_order(self, chosen: Message, stored: Message) -> None:
        """Nothing that is known and may go stands before it. A date that has come counts from the next reading on."""
        unreported = {each.id for each in self.unreported}
        rivals = [
            each
            for each in self.road.table.values()
            if each.target == chosen.target and each.state.live and each.id not in unreported
            if begun(each) or not each.not_before_ms
        ]
        assert chosen.not_before_ms is None or chosen.not_before_ms <= self.road.now_ms
        key = (not begun(stored), stored.klass, stored.seq)
        assert all(key <= (not begun(each), each.klass, each.seq) for each in rivals)
        entry = next(each for each in stored.entries if each.state.live)
        assert entry == next(each for each in chosen.entries if each.state.live), (
            "the first part that is left"
        )

    # the end: gates open, everybody writes, all is answered

    def teardown(self) -> None:
        if not hasattr(self, "road"):
            return
        self.report()
        for view in self.reads.values():
            self.road.lanes.loaded(view)
        for target in list(self.decided):
            self.road.keep(target, self.decided.pop(target))
        self.road.answer_all()
        for account, chat in CHATS:
            target = self.road.target(chat, account)
            self.road.chat(target).paused = False
            self.road.lanes.pause(target, False)
            self.road.hear(target)
        for account in ACCOUNTS:
            self.road.lanes.open_account(AccountId(account), None)
        parts = sum(len(each.entries) for each in self.road.table.values())
        self.road.run(most=40 + 6 * parts)
        left = {name: each.state for name, each in self.road.table.items() if each.state.live}
        assert left == {}, "accepted and never sent"
        self.check_history()

    def check_history(self) -> None:
        """No part again after its end; within a class, messages begin in the order of acceptance."""
        ended: dict[str, int] = {}
        for part in self.road.sent:
            name, no = part.split(".")
            assert int(no) >= ended.get(name, 1), "parts in order"
            ended[name] = int(no)
        for each in self.road.table.values():
            assert all(entry.state is not MessageState.SENDING for entry in each.entries)


def test_no_story_loses_doubles_reorders_or_spins(road_of: Callable[..., Any]) -> None:
    """House rules 1, 3, 4 and 8 at once: order, one request per chat, every message ends, and the loop rests."""
    run_state_machine_as_test(
        lambda: Story(road_of),
        settings=settings(max_examples=25, stateful_step_count=40, deadline=None, derandomize=True),
    )


def test_a_story_notices_a_request_that_goes_twice(road_of: Callable[..., Any]) -> None:
    """The harness itself: a road that begins an entry twice is caught."""
    road = road_of()
    road.open()
    message = road.accept("m")
    road.dispatch()
    try:
        road.begin(Send(message, replace(message.entries[0])))
    except AssertionError:
        return
    raise AssertionError("not noticed")
