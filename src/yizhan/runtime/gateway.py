"""The gateway as its windows see it: every verb of the API is one method here.

A gateway may also be *open but not running*: the store is there, nothing polls and nothing sends. The
command line uses that when no process is running, so that each verb exists once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from yizhan.core.alerts import AlertNumbers
from yizhan.core.ghosts import GhostNumbers
from yizhan.core.hosts import Hosts
from yizhan.core.pace import Pace
from yizhan.core.reaction import Numbers
from yizhan.errors import InvalidRequest, StoreError, UnknownAccount
from yizhan.model import (
    Account,
    AccountId,
    AccountState,
    Alert,
    Chat,
    Credentials,
    Event,
    InDoubtPolicy,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Reason,
    Rule,
    SenderRule,
    Target,
    WaitingFor,
)
from yizhan.ports import Accepted, Agent, Chance, Clock, NewLogin, Page, Platform, Store
from yizhan.runtime.alerts import Watch
from yizhan.runtime.allowances import AllowanceNumbers
from yizhan.runtime.connections import Connections
from yizhan.runtime.door import Door
from yizhan.runtime.inbound import InboundRoad
from yizhan.runtime.lines import Lines
from yizhan.runtime.logins import Logins
from yizhan.runtime.outbound import STORE_PAUSE_MS, Outbound
from yizhan.runtime.reach import Reach
from yizhan.runtime.standing import Standing
from yizhan.runtime.supervisor import Supervisor
from yizhan.runtime.targets import parse_target
from yizhan.runtime.turns import TurnNumbers, Turns
from yizhan.runtime.upkeep import Upkeep, UpkeepNumbers
from yizhan.runtime.views import AccountView, GateView, Order, Readiness
from yizhan.settings import Settings

log = structlog.get_logger("gateway")

NOT_SENDING = frozenset({AccountState.LOGIN_NEEDED, AccountState.BARRED, AccountState.PAUSED})
NO_RECEIPTS = Reason(
    "no-receipts",
    "the chat's last messages were accepted without a receipt; pushes to it are slowed down",
)
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


class Gateway:
    """Accepts, sends, receives, answers; and says how things are."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self.settings = settings
        self.store = parts.store
        self.clock = parts.clock
        self.chance = parts.chance
        self.platforms = parts.platforms
        self.agent = parts.agent
        self.running = False
        self.stopping = asyncio.Event()
        self.supervisor = Supervisor(parts.clock, parts.chance)
        self._numbers = numbers_of(settings)
        self._lines: Lines = {}
        self._reach = Reach(Hosts(self._numbers.breaker), parts.clock, parts.chance)
        self._door = Door(parts.store, parts.clock, settings.access.policy, frozenset(settings.access.allow))
        self.outbound = Outbound(
            parts.store,
            parts.clock,
            parts.chance,
            parts.platforms,
            self._lines,
            self._reach,
            self._numbers,
            text_max_chars=settings.delivery.text_max_chars,
            lifetimes_ms=lifetimes_of(settings),
            requests_per_s=settings.delivery.max_requests_per_s,
            on_trouble=lambda: self.watch.poke(),
            allowances=allowance_numbers_of(settings),
            chunk_gap_ms=_ms(settings.delivery.chunk_gap_s),
            part_max_chars=settings.delivery.part_max_chars,
            on_barred=lambda account, verdict: self.connections.barred(account, verdict),
        )
        self._reach.on_change = self.outbound.host_changed
        self.turns = Turns(
            parts.store,
            parts.clock,
            parts.chance,
            self.outbound,
            self._lines,
            parts.agent,
            turn_numbers_of(settings),
            lambda target: self.standing.state(target.account),
        )
        self._inbound = InboundRoad(
            parts.store, parts.clock, parts.chance, self._door, self.outbound, self.turns
        )
        self.standing = Standing(parts.store, parts.clock, self.outbound)
        self.watch = Watch(
            parts.store,
            parts.clock,
            self.standing,
            self.outbound,
            alert_numbers_of(settings),
            parts.free_bytes,
        )
        self.connections = Connections(
            parts.clock,
            parts.chance,
            parts.platforms,
            self._lines,
            self._reach,
            self.outbound,
            self._inbound,
            self.standing,
            self.supervisor,
            self._numbers.pace,
        )
        self.logins = Logins(parts.store, parts.clock, parts.chance, parts.platforms, self._adopt)
        self._upkeep = Upkeep(parts.store, parts.clock, UpkeepNumbers.of(settings), self.outbound.poke)
        self._accounts: dict[AccountId, None] = {}
        self._watchers: dict[MessageId, set[asyncio.Event]] = {}
        parts.store.subscribe(self._watch)

    # life

    async def open(self) -> None:
        """Reads what every verb needs. The store is not changed."""
        await self._door.open()
        self._accounts = {account.id: None for account in await self.store.accounts()}

    async def start(self) -> None:
        """Recovers what a crash left open, then polls, answers and sends."""
        left = await self.store.recover(self.clock.now_ms(), self._numbers.in_doubt)
        if left:
            log.warning("recovered", in_doubt=left)
        for account in await self.store.accounts():
            await self.connections.open(account)
        await self.watch.open()
        self.supervisor.keep("standing", self.standing.run)
        self.supervisor.keep("dispatcher", self.outbound.run)
        self.supervisor.keep("sweeper", self.outbound.sweep)
        self.supervisor.keep("upkeep", self._upkeep.run)
        self.supervisor.keep("watch", self.watch.run)
        self.supervisor.keep("summary", self.outbound.summarise)
        await self.turns.recover()
        await self._inbound.recover()
        self.running = True

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
        if self.agent is not None:
            await self.agent.close()
        try:
            await self.store.recover(self.clock.now_ms(), self._numbers.in_doubt)
        except StoreError as error:
            log.warning("stop.in_doubt_later", error=error.detail)

    # messages

    async def resolve(self, to: str) -> Target:
        """The chat a TARGET names. Raises InvalidRequest, UnknownAccount, UnknownChat."""
        target = parse_target(to, self._accounts)
        self.platforms[target.platform].codec.check_chat(target.chat)
        return target

    async def accept(self, order: Order) -> Accepted:
        """Commits a message; it is owed an outcome from now on. Raises RequestError, StoreError."""
        return await self.outbound.accept(await self.resolve(order.to), order)

    async def message(self, message: MessageId, wait_s: float = 0) -> Message:
        """The message as it is; with `wait_s`, at its next change, at the latest then."""
        if wait_s <= 0:
            return self.overlay(await self.store.message(message))
        changed = asyncio.Event()
        self._watchers.setdefault(message, set()).add(changed)
        try:
            before = await self.store.message(message)
            if before.state.live:
                await self._either(changed, wait_s)
            return self.overlay(await self.store.message(message))
        finally:
            self._unwatch(message, changed)

    def overlay(self, message: Message) -> Message:
        """A live message with what its gates and its account make it wait for right now. What only the user or an
        operator can end stays as it was written; an account that may not send explains everything else."""
        if not message.state.live or message.state is MessageState.SENDING:
            return message
        if message.waiting_for is WaitingFor.OPERATOR or _never_written(message):
            return message
        waiting_for, at_ms, reason = self._waits(message) if self.running else (None, None, message.reason)
        if waiting_for is None:
            waiting_for, at_ms = message.waiting_for, message.next_attempt_at_ms
            if self.running and waiting_for in (WaitingFor.ALLOWANCE, WaitingFor.USER):
                waiting_for, at_ms, reason = None, None, None  # released, and on its way
        now_ms = self.clock.now_ms()
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

    def _waits(self, message: Message) -> tuple[WaitingFor | None, int | None, Reason | None]:
        """What the message waits for at this moment, until when, and why; (None, None, …) if for nothing."""
        waiting_for, at_ms = self.outbound.waits(message.target)
        push_ms = self.outbound.push_waits_until(message)
        if waiting_for is None and push_ms is not None:
            return WaitingFor.LIMIT, push_ms, NO_RECEIPTS
        return waiting_for, at_ms, self._why_it_waits(message, waiting_for)

    def _why_it_waits(self, message: Message, waiting_for: WaitingFor | None) -> Reason | None:
        """What the platform said to it; else what stands before its account, its chat or its host."""
        if message.reason is not None or waiting_for is None:
            return message.reason
        account, lane = self.standing.known(message.account), self.outbound.lanes.lane(message.target)
        if account is not None and account.state in NOT_SENDING:
            return account.reason or Reason(account.state.value, f"the account is {account.state.value}")
        match waiting_for:
            case WaitingFor.ALLOWANCE | WaitingFor.USER:
                parked = self.outbound.parked(message.target)
                return parked.reason if parked else None
            case WaitingFor.OPERATOR if lane is not None and lane.paused:
                return Reason("chat-paused", f"a person paused the chat: yizhan chat resume {message.target}")
            case WaitingFor.CONNECTION:
                return Reason("unreachable", "the platform cannot be reached, or its answers are lost")
            case WaitingFor.LIMIT:
                return Reason("limited", "the platform limits sending")
            case _:
                return None

    # alerts

    async def alerts(self, is_open: bool | None, after: str | None, limit: int) -> Page[Alert]:
        """Open alerts first; without a running gateway, those last written down."""
        if self.running:
            return await self.watch.page(is_open, after, limit)
        return await self.store.alerts(is_open, after, limit)

    async def cancel(self, message: MessageId) -> Message:
        cancelled = await self.store.cancel(message, self.clock.now_ms())
        self.outbound.changed(cancelled.target)
        return cancelled

    async def retry(self, message: MessageId) -> Message:
        """Revives a message that ended without delivery, or hurries a waiting one."""
        now_ms = self.clock.now_ms()
        before = await self.store.message(message, with_attempts=False)
        expires_at_ms = max(before.expires_at_ms, now_ms + lifetimes_of(self.settings)[before.klass])
        with self.outbound.doubtful(before.target):
            revived = await self.store.retry(message, now_ms, expires_at_ms)
        self.outbound.changed(revived.target)
        self.outbound.insist(revived.target)
        return revived

    # accounts

    async def accounts(self) -> tuple[AccountView, ...]:
        """Every account with its true state, its gates, and what waits."""
        counts = await self.store.counts()
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
            views.append(AccountView(account, self._gates(account.id), live, oldest_ms, allowance))
        return tuple(views)

    async def add_account(
        self, platform: str, external_id: str, credentials: Credentials
    ) -> tuple[Account, bool]:
        """Adds an account, or replaces its credentials; its queue is kept."""
        if platform not in self.platforms:
            known = ", ".join(sorted(self.platforms))
            raise InvalidRequest(f"There is no platform {platform!r} here.", f"Known: {known}.")
        if not external_id.strip() or not credentials.secret.strip():
            raise InvalidRequest("An account needs an id and a token.", "Give both.")
        if not all("!" <= letter <= "~" for letter in credentials.secret):
            raise InvalidRequest(
                "The token holds white space or characters that no token has.",
                "Copy it again, whole and alone.",
            )
        account_id = AccountId(f"{platform}:{external_id.strip()}")
        account, created = await self.store.put_account(account_id, credentials, self.clock.now_ms())
        self._accounts[account_id] = None
        self._note_succession(account)
        if self.running:
            await self.connections.open(account)
        return account, created

    async def remove_account(self, account: AccountId) -> None:
        """Live messages end as cancelled, credentials are erased, history stays."""
        self._must_know(account)
        async with self._line_ended(account):
            await self.store.remove_account(account, self.clock.now_ms())
        self.turns.forget(account)
        self.connections.forget(account)
        self._accounts.pop(account, None)

    async def pause_account(self, account: AccountId, paused: bool) -> Account:
        self._must_know(account)
        async with self._line_ended(account):
            changed = await self.store.set_paused(account, paused, self.clock.now_ms())
        if self.running:
            await self.connections.open(changed)
        return changed

    async def pause_chat(self, target: Target, paused: bool) -> Chat:
        with self.outbound.doubtful(target):
            chat = await self.store.set_chat_paused(target, paused, self.clock.now_ms())
        self.outbound.changed(target)
        return chat

    async def set_rule(self, account: AccountId, sender_id: str, rule: Rule) -> SenderRule:
        self._must_know(account)
        return await self._door.set_rule(account, sender_id, rule)

    # how things are

    async def readiness(self) -> Readiness:
        """Ready: the store takes writes and the dispatcher runs. No account is ready too."""
        reasons = []
        if (trouble := self.store.writable()) is not None:
            reasons.append(trouble)
        if not self.supervisor.alive("dispatcher"):
            reasons.append(Reason("not-running", "the dispatcher does not run"))
        states = {account: self.standing.state(account) for account in self._accounts}
        return Readiness(not reasons, tuple(reasons), states)

    async def open_alerts(self) -> tuple[Alert, ...]:
        """Every open alert: those of the running watch, else those last written down."""
        if self.running:
            return self.watch.open_alerts()
        return tuple(alert for alert in await self.store.alerts_since(self.clock.now_ms()) if alert.open)

    # inside

    @contextlib.asynccontextmanager
    async def _line_ended(self, account: AccountId) -> AsyncIterator[None]:
        """The account's line is ended for what follows. If the store refuses that, it goes on as before."""
        if not self.running:
            yield
            return
        await self.connections.shut(account)
        try:
            yield
        except BaseException:
            await self.connections.open(self._lines[account].account)
            raise

    def _must_know(self, account: AccountId) -> None:
        if account not in self._accounts:
            raise UnknownAccount(f"There is no account {account} here.", "yizhan account list shows them.")

    def _note_succession(self, account: Account) -> None:
        """One person is linked to one bot at a time: an older account of the same person has lost its login."""
        for other in self.standing.all():
            same_person = (
                other.credentials.user_id and other.credentials.user_id == account.credentials.user_id
            )
            if same_person and other.id != account.id and other.platform == account.platform:
                self.standing.succeeded(other.id, account.id)

    async def _adopt(self, login: NewLogin) -> None:
        """New credentials are given once and never again: they are stored, however long the store takes."""
        platform, _, external_id = login.account.partition(":")
        while True:
            try:
                await self.add_account(platform, external_id, login.credentials)
                return
            except StoreError as error:
                log.warning("login.waits_for_store", error=error.detail)
                await self.clock.sleep_ms(STORE_PAUSE_MS)

    def _gates(self, account: AccountId) -> tuple[GateView, ...]:
        lanes = self.outbound.lanes.account_lanes(account)
        if lanes is None:
            return ()
        now_ms = self.clock.now_ms()
        views = [
            _limiter_view("chat", lane.target.chat, lane.pace, now_ms)
            for lane in self.outbound.lanes.shut_lanes(account)
            if lane.pace and lane.pace.ready_at(now_ms) > now_ms
        ]
        for lane in self.outbound.lanes.quiet_lanes(account, now_ms):
            why = f"{lane.ghosts} in a row were accepted without a receipt; pushes wait"
            views.append(GateView("chat", lane.target.chat, lane.push_at_ms, 0, why, ghosts=lane.ghosts))
        gates = lanes.gates
        if not gates.account.blank:
            views.append(_limiter_view("account", account, gates.account, now_ms))
        if gates.answers.shut:
            at_ms = gates.answers.ready_at(now_ms)
            views.append(GateView("account", account, at_ms, gates.answers.rounds, LOST))
        host = self._reach.hosts.breaker(lanes.host)
        if host.shut:
            text = "the host cannot be reached"
            views.append(GateView("host", lanes.host, host.ready_at(now_ms), host.rounds, text))
        return tuple(views)

    def _watch(self, events: Sequence[Event]) -> None:
        if not self._watchers:
            return
        for event in events:
            if event.type == "message.state":
                for message, waiting in self._watchers.items():
                    if f'"id":"{message}"'.encode() in event.data:
                        for changed in waiting:
                            changed.set()

    def _unwatch(self, message: MessageId, changed: asyncio.Event) -> None:
        waiting = self._watchers.get(message, set())
        waiting.discard(changed)
        if not waiting:
            self._watchers.pop(message, None)

    async def _either(self, changed: asyncio.Event, wait_s: float) -> None:
        """Until the change, the time, or the end of the process."""
        waits = [asyncio.create_task(changed.wait()), asyncio.create_task(self.stopping.wait())]
        try:
            await asyncio.wait(waits, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


LOST = "answers were lost"


def _limiter_view(scope: str, subject: str, pace: Pace, now_ms: int) -> GateView:
    limit = pace.limit.words() if pace.limit else ""
    if pace.refusals:
        why = f"refused {pace.refusals} times in a row" if pace.refusals > 1 else "refused once"
    else:
        why = LOST if pace.doubts else "keeps to the limit it has learned"
    return GateView(scope, subject, pace.ready_at(now_ms), pace.refusals, why, limit)


def _never_written(message: Message) -> bool:
    """The other side has never been heard; known even while the account itself cannot send."""
    reason = message.reason
    return message.waiting_for is WaitingFor.USER and reason is not None and reason.code == "never-written"


def numbers_of(settings: Settings) -> Numbers:
    """The road's numbers from the operator's."""
    from yizhan.core.breaker import BreakerNumbers
    from yizhan.core.limiter import PaceNumbers

    limiter, breaker = settings.delivery.limiter, settings.delivery.breaker
    return Numbers(
        pace=PaceNumbers(
            first_quiet_ms=_ms(limiter.first_quiet_s),
            growth=limiter.growth,
            soft_cap_ms=_ms(limiter.soft_cap_s),
            max_quiet_ms=_ms(limiter.max_quiet_s),
            reject_budget=limiter.reject_budget,
        ),
        breaker=BreakerNumbers(
            probe_ms=_ms(breaker.probe_s),
            slow_after_ms=_ms(breaker.slow_after_s),
            slow_probe_ms=_ms(breaker.slow_probe_s),
            in_doubt_base_ms=_ms(breaker.in_doubt_base_s),
            in_doubt_cap_ms=_ms(breaker.in_doubt_cap_s),
            in_doubt_threshold=breaker.threshold,
        ),
        ghosts=GhostNumbers(
            alarm_after=settings.delivery.ghosts.alarm_after,
            push_pause_ms=_ms(settings.delivery.ghosts.push_pause_s),
            push_pause_max_ms=_ms(settings.delivery.ghosts.push_pause_max_s),
        ),
        in_doubt=InDoubtPolicy(settings.delivery.in_doubt),
    )


def alert_numbers_of(settings: Settings) -> AlertNumbers:
    alerts = settings.alerts
    return AlertNumbers(
        down_ms=_ms(alerts.account_down_s),
        waiting_ms=_ms(alerts.waiting_s),
        limited_ms=_ms(alerts.limited_s),
        dead_letter_ms=_ms(alerts.dead_letter_s),
        ghosts=settings.delivery.ghosts.alarm_after,
        disk_free_bytes=alerts.disk_free_mib * 1024 * 1024,
    )


def allowance_numbers_of(settings: Settings) -> AllowanceNumbers:
    allowance = settings.delivery.allowance
    return AllowanceNumbers(
        language=settings.language,
        sends=allowance.sends,
        window_ms=None if allowance.window_s is None else _ms(allowance.window_s),
        progress_reserve=allowance.progress_reserve,
        probe_ms=_ms(allowance.probe_s),
        notice=allowance.notice,
    )


def lifetimes_of(settings: Settings) -> dict[MessageClass, int]:
    """How long a message of each class waits before it expires, in ms."""
    retention = settings.retention
    reply_ms = _ms(retention.reply_s)
    return {
        MessageClass.REPLY: reply_ms,
        MessageClass.NOTICE: reply_ms,
        MessageClass.PUSH: _ms(retention.push_s),
        MessageClass.PROGRESS: _ms(retention.progress_s),
    }


def turn_numbers_of(settings: Settings) -> TurnNumbers:
    agent = settings.agents.get(settings.agent)
    return TurnNumbers(
        language=settings.language,
        debounce_ms=_ms(settings.turns.debounce_s),
        debounce_long_ms=_ms(settings.turns.debounce_long_s),
        debounce_long_chars=settings.turns.debounce_long_chars,
        workers=settings.turns.workers,
        history_limit=agent.history_messages if agent and agent.kind == "openai" else 0,
        failure_notice=settings.turns.failure_notice,
    )


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
