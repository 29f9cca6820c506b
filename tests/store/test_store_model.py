"""The store against a dictionary: whatever order the road's steps come in, both say the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from yizhan.core import window
from yizhan.core.states import message_state
from yizhan.errors import NotCancellable, NotRevivable
from yizhan.model import (
    AccountId,
    ChatId,
    Credentials,
    Entry,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Target,
)
from yizhan.ports import Draft, Intent, Settlement
from yizhan.store import SqlStore, open_store

ACCOUNT = AccountId("weixin:ab12@im.bot")
ENDS = (
    MessageState.WAITING,
    MessageState.DELIVERED,
    MessageState.UNCONFIRMED,
    MessageState.FAILED,
)


class Numbers:
    def jitter(self) -> float:
        return 0.5

    def new_id(self, kind: str) -> str:
        return kind

    def token_hex(self, size: int) -> str:
        return "0" * 2 * size


class Road(RuleBasedStateMachine):
    """`states` is the model: for each message the state of each part."""

    messages = Bundle("messages")

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="yizhan-"))
        self.loop = asyncio.new_event_loop()
        self.now_ms = 1000
        self.states: dict[MessageId, list[MessageState]] = {}
        self.attempts: dict[tuple[MessageId, int], int] = {}
        self.order: dict[str, list[MessageId]] = {}
        self.store = self.run(self.open())
        self.run(self.store.put_account(ACCOUNT, Credentials("s", "https://x"), 1))

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    async def open(self) -> SqlStore:
        return await open_store(None, self.home, clock=None, chance=Numbers(), inline=True)  # type: ignore[arg-type]

    def tick(self) -> int:
        self.now_ms += 1
        return self.now_ms

    @rule(target=messages, chat=st.sampled_from("ab"), parts=st.integers(1, 3))
    def accept(self, chat: str, parts: int) -> Any:
        message_id = MessageId(f"m_{len(self.states):04d}")
        texts = tuple(f"part {no}" for no in range(parts))
        draft = Draft(
            id=message_id,
            target=Target(ACCOUNT, ChatId(chat)),
            klass=MessageClass.PUSH,
            source="api",
            text="text",
            texts=texts,
            client_ids=texts,
            created_at_ms=self.tick(),
            expires_at_ms=10**9,
            body_sha256="sha",
        )
        self.run(self.store.accept(draft))
        self.states[message_id] = [MessageState.QUEUED] * parts
        self.order.setdefault(chat, []).append(message_id)
        return multiple(message_id)

    @rule(message=messages, part=st.integers(0, 2))
    def begin(self, message: MessageId, part: int) -> None:
        if part >= len(self.states[message]):
            return
        n = self.attempts.get((message, part), 0) + 1
        begun = self.run(self.store.begin_attempt(Intent(message, part + 1, n, self.tick(), False)))
        free = self.states[message][part] in (MessageState.QUEUED, MessageState.WAITING)
        assert free == begun
        if begun:
            self.states[message][part] = MessageState.SENDING
            self.attempts[message, part] = n

    @rule(message=messages, part=st.integers(0, 2), end=st.sampled_from(ENDS), twice=st.booleans())
    def settle(self, message: MessageId, part: int, end: MessageState, twice: bool) -> None:
        n = self.attempts.get((message, part))
        if n is None:
            return
        stored: Message = self.run(self.store.message(message))
        entry: Entry = replace(stored.entries[part], state=end, attempts_made=n)
        settlement = Settlement(message, stored.target, n, self.tick(), "Verdict", "", "", entry)
        for _ in range(1 + twice):
            self.run(self.store.settle(settlement))
        if self.states[message][part] is MessageState.SENDING:
            self.states[message][part] = end

    @rule(message=messages)
    def cancel(self, message: MessageId) -> None:
        waiting = {MessageState.QUEUED, MessageState.WAITING}
        possible = bool(waiting & set(self.states[message]))
        try:
            self.run(self.store.cancel(message, self.tick()))
            assert possible
        except NotCancellable:
            assert not possible
        self.states[message] = [
            MessageState.CANCELLED if state in waiting else state for state in self.states[message]
        ]

    @rule(message=messages)
    def retry(self, message: MessageId) -> None:
        over = {MessageState.UNCONFIRMED, MessageState.FAILED, MessageState.CANCELLED}
        possible = bool((over | {MessageState.WAITING}) & set(self.states[message]))
        try:
            self.run(self.store.retry(message, self.tick(), 10**9))
            assert possible
        except NotRevivable:
            assert not possible
        self.states[message] = [
            MessageState.QUEUED if state in over else state for state in self.states[message]
        ]

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(self.open())
        sending = sum(states.count(MessageState.SENDING) for states in self.states.values())
        assert sending == self.run(self.store.recover(self.tick()))
        for states in self.states.values():
            states[:] = [MessageState.WAITING if state is MessageState.SENDING else state for state in states]

    @invariant()
    def every_part_is_where_the_model_says(self) -> None:
        for message_id, states in self.states.items():
            message: Message = self.run(self.store.message(message_id))
            assert states == [entry.state for entry in message.entries]
            assert message_state(message.entries) is message.state
            open_ones = [a for entry in message.entries for a in entry.attempts if a.verdict is None]
            assert states.count(MessageState.SENDING) == len(open_ones)

    @invariant()
    def lanes_hold_what_lives_in_order(self) -> None:
        for chat, order in self.order.items():
            (lane,) = self.run(self.store.lanes([Target(ACCOUNT, ChatId(chat))], 1000, self.now_ms))
            live = [message for message in order if any(state.live for state in self.states[message])]
            assert sorted(live) == sorted(message.id for message in lane.messages)
            begun = [window.begun(message) for message in lane.messages]
            assert sorted(begun, reverse=True) == begun
            for kind in (True, False):
                ids = [m.id for m, was in zip(lane.messages, begun, strict=True) if was is kind]
                assert sorted(ids) == ids

    @invariant()
    def events_have_no_gaps(self) -> None:
        ids = [event.id for event in self.run(self.store.events_after(0, 10_000))]
        assert list(range(1, len(ids) + 1)) == ids

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        shutil.rmtree(self.home)


TestRoad = Road.TestCase
TestRoad.settings = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
