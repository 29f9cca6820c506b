"""The gateway as its windows see it: every verb of the API is one method here.

A gateway may also be *open but not running*: the store is there, nothing polls and nothing sends. The
command line uses that when no process is running, so that each verb exists once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from yizhan.core.connection import Lost
from yizhan.core.hosts import Hosts
from yizhan.errors import StoreError, TurnEnded, TurnOpen, UnknownTurn
from yizhan.model import (
    Account,
    AccountId,
    Alert,
    Chat,
    Credentials,
    Message,
    MessageId,
    Reason,
    Rule,
    SenderRule,
    Target,
    Turn,
    TurnId,
)
from yizhan.ports import (
    Accepted,
    Agent,
    Answer,
    Callback,
    CallbackRefused,
    Chance,
    Clock,
    Http,
    Page,
    Platform,
    Store,
)
from yizhan.runtime.accounts import Accounts
from yizhan.runtime.alerts import Watch
from yizhan.runtime.changes import Changes
from yizhan.runtime.connections import Connections
from yizhan.runtime.crier import Crier
from yizhan.runtime.cron import Cron
from yizhan.runtime.door import Door
from yizhan.runtime.gates import gates_of
from yizhan.runtime.inbound import InboundRoad
from yizhan.runtime.lines import Lines, not_granted
from yizhan.runtime.logins import Logins
from yizhan.runtime.numbers import (
    access_numbers_of,
    alert_numbers_of,
    frequency_numbers_of,
    road_numbers_of,
)
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.patience import to_the_end
from yizhan.runtime.reach import Reach
from yizhan.runtime.repeats import Asked, Repeats
from yizhan.runtime.schedules import Schedules
from yizhan.runtime.standing import Standing
from yizhan.runtime.supervisor import Supervisor
from yizhan.runtime.targets import must_show, parse_target
from yizhan.runtime.turns import TurnNumbers, Turns, roster_of
from yizhan.runtime.upkeep import Upkeep, UpkeepNumbers
from yizhan.runtime.views import AccountView, Order, Readiness
from yizhan.runtime.waits import Waits
from yizhan.runtime.webhooks import Webhooks
from yizhan.settings import Settings

log = structlog.get_logger("gateway")

STOP_WIRE_MS = 1_000
"""How long a stop waits for replies on the wire."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway is made of; app.py chooses, tests choose otherwise."""

    settings: Settings
    store: Store
    clock: Clock
    chance: Chance
    platforms: Mapping[str, Platform]
    agent: Agent | None
    free_bytes: Callable[[], int | None] = lambda: None
    """Room left where the store lies."""
    zone: str = "UTC"
    """The machine's time zone, for schedules that name none."""
    agents: Mapping[str, Agent] = field(default_factory=dict)
    """Those who answer beside the default, by name."""
    outside: Http | None = None
    """For posts to programs; None: none are made."""


class Gateway:
    """Accepts, sends, receives, answers; and says how things are."""

    def __init__(self, parts: Parts) -> None:
        settings, store, clock, chance = parts.settings, parts.store, parts.clock, parts.chance
        self.settings = settings
        self.store = store
        self.clock = clock
        self.chance = chance
        self.platforms = parts.platforms
        self.agent = parts.agent
        self.roster = roster_of(settings, parts.agent, parts.agents)
        self._agents = [*parts.agents.values(), *([parts.agent] if parts.agent else [])]
        self.running = False
        self.stopping = asyncio.Event()
        self.supervisor = Supervisor(clock, chance)
        self._numbers = road_numbers_of(settings)
        self._lines: Lines = {}
        self._reach = Reach(Hosts(self._numbers.reaction.breaker), clock, chance)
        self._door = Door(store, clock, access_numbers_of(settings), frequency_numbers_of(settings))
        self._upkeep = Upkeep(store, clock, UpkeepNumbers.of(settings), self._woken)
        self._changes = Changes(self.stopping)
        store.subscribe(self._changes.note)
        self._build_roads(TurnNumbers.of(settings, parts.zone))
        self._crier = Crier(
            store,
            clock,
            self.outbound,
            self.resolve,
            settings.alerts.tell or "",
            int(settings.alerts.tell_every_s * 1_000),
            settings.language,
        )
        self.watch = Watch(
            store,
            clock,
            self.standing,
            self.outbound,
            alert_numbers_of(settings),
            parts.free_bytes,
            lambda: not_granted(self._lines),
            self._crier.note,
        )
        self._waits = Waits(self.outbound.lanes, self._reach.hosts, self.standing, clock)
        self._accounts = Accounts(
            store,
            clock,
            self.platforms,
            self._lines,
            self.connections,
            self.standing,
            self.turns,
            lambda: self.running,
        )
        self.webhooks = Webhooks(
            store, clock, chance, parts.outside, self.supervisor, settings.webhooks.allow_private
        )
        store.subscribe(self.webhooks.note)
        self._cron = Cron(store, clock, chance, self.outbound, self.turns, lambda: self.running)
        self.schedules = Schedules(
            store,
            clock,
            chance,
            self._cron,
            self.outbound.drafts,
            self.resolve,
            settings.schedules.zone or parts.zone,
            self.turns.answers,
        )
        self._reruns = Repeats(store, clock)
        self._rerunning = asyncio.Lock()
        self.logins = Logins(store, clock, chance, self.platforms, self._accounts.adopt)

    def _build_roads(self, turns: TurnNumbers) -> None:
        """The road out, the turns that use it, the road in that feeds them, and the lines that both go through."""
        store, clock, chance = self.store, self.clock, self.chance
        self.outbound = Outbound(
            store,
            clock,
            chance,
            self.platforms,
            self._lines,
            self._reach,
            self._numbers,
            on_barred=lambda account, verdict: self.connections.barred(account, verdict),
            on_trouble=lambda: self.watch.poke(),
        )
        self._reach.on_change = self.outbound.host_changed
        self.standing = Standing(store, clock, self.outbound, self.platforms)
        self.standing.on_person_needed = lambda: self.watch.poke()
        self.turns = Turns(
            store,
            clock,
            chance,
            self.outbound,
            self._lines,
            self._door,
            self.roster,
            turns,
            self.standing.state,
        )
        self._inbound = InboundRoad(store, clock, chance, self._door, self.outbound, self.turns)
        self.connections = Connections(
            clock,
            chance,
            self.platforms,
            self._lines,
            self._reach,
            self.outbound,
            self._inbound,
            self.standing,
            self.supervisor,
            self._numbers.reaction.pace,
        )

    # life

    async def open(self) -> None:
        """Reads what every verb needs. The store is not changed."""
        await self._door.open()
        await self._accounts.open()
        await self.webhooks.open()

    async def start(self) -> None:
        """Recovers what a crash left open, then polls, answers and sends."""
        left = await self.store.recover(self.clock.now_ms(), self._numbers.reaction.in_doubt)
        if left:
            log.warning("recovered", in_doubt=left)
        accounts = await self.store.accounts()
        for account in accounts:
            self.connections.prepare(account)
        await self.watch.open()
        await self._crier.take_up(self.watch.known_alerts())
        self.supervisor.keep("standing", self.standing.run)
        self.supervisor.keep("dispatcher", self.outbound.run)
        self.supervisor.keep("sweeper", self.outbound.expiry.run)
        self.supervisor.keep("upkeep", self._upkeep.run)
        self.supervisor.keep("watch", self.watch.run)
        if self._crier.wanted:
            self.supervisor.keep("crier", self._crier.run)
        self.supervisor.keep("summary", self.outbound.carrier.attempts.run)
        await self.turns.recover()
        await self._inbound.recover()
        self.running = True
        self.webhooks.start()
        self.supervisor.keep("cron", self._cron.run)
        for (
            account
        ) in accounts:  # last, with what is due: what they hear and ask is not to be recovered as well
            self.connections.listen(account.id)

    async def stop(self) -> None:
        """No new sends, replies on the wire awaited for a moment, polls ended, store left to its owner."""
        self.stopping.set()
        await self.logins.stop()  # stopping twice does no harm
        if not self.running:
            return
        self.running = False
        await self.turns.stop()
        await asyncio.gather(self.outbound.finish(STOP_WIRE_MS), self.connections.stop())
        await self.supervisor.stop()
        for agent in self._agents:
            await agent.close()
        try:
            await self.store.recover(self.clock.now_ms(), self._numbers.reaction.in_doubt)
        except StoreError as error:
            log.warning("stop.in_doubt_later", error=error.detail)

    # messages

    async def resolve(self, to: str) -> Target:
        """The chat a TARGET names. Raises InvalidRequest, UnknownAccount, UnknownChat."""
        target = parse_target(to, self._accounts.names)
        self.platforms[target.platform].codec.check_chat(target.chat)
        return target

    @to_the_end
    async def accept(self, order: Order) -> Accepted:
        """Commits a message; it is owed an outcome from now on. Raises RequestError, StoreError."""
        accepted = await self.outbound.accept(await self.resolve(order.to), order)
        self.turns.answered(accepted.message)
        return accepted

    async def message(self, message: MessageId, wait_s: float = 0) -> Message:
        """The message as it is; with `wait_s`, at its next change, at the latest then."""
        if wait_s <= 0:
            return self.overlay(await self.store.message(message))
        with self._changes.watched(message) as changed:
            before = await self.store.message(message)
            if before.state.live:
                await self._changes.either(changed, wait_s)
            return self.overlay(await self.store.message(message))

    def overlay(self, message: Message) -> Message:
        """A stored message with what it waits for right now."""
        return self._waits.overlay(message, self.running)

    @to_the_end
    async def cancel(self, message: MessageId) -> Message:
        """Ends every part that is not on the wire."""
        before = await self.store.message(message, with_attempts=False)
        with self.outbound.doubtful(before.target):
            cancelled = await self.store.cancel(message, self.clock.now_ms())
        self.outbound.changed(cancelled.target)
        return cancelled

    @to_the_end
    async def retry(self, message: MessageId) -> Message:
        """Revives a message that ended without delivery, or hurries a waiting one."""
        now_ms = self.clock.now_ms()
        before = await self.store.message(message, with_attempts=False)
        expires_at_ms = max(before.expires_at_ms, now_ms + self._numbers.lifetimes_ms[before.klass])
        with self.outbound.doubtful(before.target):
            revived = await self.store.retry(message, now_ms, expires_at_ms)
        self.outbound.changed(revived.target)
        self.outbound.insist(revived.target)
        return revived

    @to_the_end
    async def pause_chat(self, target: Target, paused: bool) -> Chat:
        """Holds back what is to be sent there, or lets it go."""
        with self.outbound.doubtful(target):
            chat = await self.store.set_chat_paused(target, paused, self.clock.now_ms())
        self.outbound.pause(target, chat.paused)
        return chat

    @to_the_end
    async def take_over(self, target: Target, taken: bool) -> Chat:
        """A person answers the chat instead of the agent, or hands it back. What the agent was at is over."""
        now_ms = self.clock.now_ms()
        if not taken:
            return await self.store.hand_back(target, now_ms)
        chat = await self.store.take_over(target, now_ms)
        self.turns.leave_to_person(target)
        return chat

    # turns

    @to_the_end
    async def rerun(self, turn: TurnId) -> Turn:
        """Asks the agent again about the messages of a turn that has ended, in a new turn.

        Raises: UnknownTurn, TurnOpen, UnknownAccount, InvalidRequest
        """
        return (await self.rerun_once(turn, None))[0]

    @to_the_end
    async def rerun_once(self, turn: TurnId, asked: Asked | None) -> tuple[Turn, bool]:
        """Answers also whether it is new. Raises as `rerun`, and IdempotencyConflict."""
        old = await self.store.turn(turn)
        if old.ended_at_ms is None:
            raise TurnOpen(f"Turn {turn} is {old.state.value}.", "Stop it first, or wait for its end.")
        name = self.chance.new_id("t")
        async with self._rerunning, self._reruns.settled(asked, name) as settled:
            if settled != name:
                with contextlib.suppress(UnknownTurn):
                    return await self.store.turn(TurnId(settled)), False
            await self._asked_nowhere(old)
            again = await self.turns.again(old, TurnId(settled))
            if self.running:
                self.turns.resume(again)
            return again, True

    async def _asked_nowhere(self, old: Turn) -> None:
        """Two people see the same failed turn, and both press. Raises TurnOpen."""
        asked = await self.store.inbound(old.inbound_ids)
        for name in {inbound.turn_id for inbound in asked if inbound.turn_id not in (None, old.id)}:
            later = await self.store.turn(name)
            if later.ended_at_ms is None:
                raise TurnOpen(f"Turn {name} asks again already.", "Wait for its end, or stop it first.")

    @to_the_end
    async def stop_turn(self, turn: TurnId) -> Turn:
        """Ends an open turn at once. Raises UnknownTurn, TurnEnded."""
        known = await self.store.turn(turn)
        if known.ended_at_ms is not None:
            raise TurnEnded(f"Turn {turn} is {known.state.value}.", "There is nothing left to stop.")
        await self.turns.end(known)
        return await self.store.turn(turn)

    # accounts

    async def accounts(self) -> tuple[AccountView, ...]:
        """Every account with its true state, its gates, and what waits. Nothing is tried for one that is paused,
        whatever its gates say: none is shown."""
        counts, now_ms = await self.store.counts(), self.clock.now_ms()
        views = []
        for stored in await self.store.accounts():
            account = self.standing.account(stored)
            live = {
                state: number
                for (owner, state), number in counts.by_account_state.items()
                if owner == account.id and state.live
            }
            oldest_ms = counts.oldest_live_at_ms.get(account.id)
            allowance = self.outbound.allowances.of_account(account.id)
            gates = gates_of(account.id, self.outbound.lanes, self._reach.hosts, now_ms)
            oldest = counts.oldest_live.get(account.id)
            waits_for = counts.waits_for.get(account.id, {})
            seen = () if account.paused else gates
            views.append(AccountView(account, seen, live, oldest_ms, allowance, oldest, waits_for))
        return tuple(views)

    async def add_account(
        self, platform: str, external_id: str, credentials: Credentials
    ) -> tuple[Account, bool]:
        """Adds an account, or replaces its credentials; its queue is kept. Raises InvalidRequest."""
        return await self._accounts.add(platform, external_id, credentials)

    async def try_login(self, platform: str, external_id: str, credentials: Credentials) -> Lost | None:
        """Whether the platform takes these credentials, and why not; nothing is changed. Raises InvalidRequest."""
        return await self._accounts.try_login(platform, external_id, credentials)

    async def remove_account(self, account: AccountId) -> None:
        """Live messages end as cancelled, credentials are erased, history stays. Raises UnknownAccount."""
        await self._accounts.remove(account)

    async def pause_account(self, account: AccountId, paused: bool) -> Account:
        """Raises UnknownAccount."""
        return await self._accounts.pause(account, paused)

    async def called_back(self, account: AccountId, callback: Callback) -> Answer | CallbackRefused:
        """Somebody posts something in the name of the account's platform; answered when it is stored."""
        return await self.connections.called_back(account, callback)

    async def set_rule(self, account: AccountId, sender_id: str, rule: Rule) -> SenderRule:
        """Allows or blocks a sender. Raises UnknownAccount, InvalidRequest."""
        self._accounts.must_know(account)
        must_show("The sender's id", sender_id)
        return await self._door.set_rule(account, sender_id, rule)

    async def approve(self, code: str) -> SenderRule:
        """Allows the sender who was told a code. Raises UnknownCode."""
        return await self._door.approve(code)

    # how things are

    async def readiness(self) -> Readiness:
        """Ready: the store takes writes and the dispatcher runs. No account is ready too."""
        reasons = []
        if (trouble := self.store.writable()) is not None:
            reasons.append(trouble)
        if not self.supervisor.alive("dispatcher"):
            reasons.append(Reason("not-running", "the dispatcher does not run"))
        states = {account: self.standing.state(account) for account in self._accounts.names}
        return Readiness(not reasons, tuple(reasons), states)

    async def alerts(self, is_open: bool | None, after: str | None, limit: int) -> Page[Alert]:
        """Open alerts first; without a running gateway, those last written down."""
        if self.running:
            return await self.watch.page(is_open, after, limit)
        return await self.store.alerts(is_open, after, limit)

    async def open_alerts(self) -> tuple[Alert, ...]:
        """Every open alert: those of the running watch, else those last written down."""
        if self.running:
            return self.watch.open_alerts()
        return tuple(alert for alert in await self.store.alerts_since(self.clock.now_ms()) if alert.open)

    def _woken(self) -> None:
        """The host has slept, or its clock has jumped: what is due goes, and lines are looked at."""
        self.outbound.poke()
        self._cron.poke()
        self.connections.look()
        self.webhooks.look()
