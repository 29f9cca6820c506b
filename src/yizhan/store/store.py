"""The cellar's door: `ports.Store` on one committer that writes and a few threads that read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection

from yizhan.core.alerts import AlertChange, AlertNumbers, Troubles
from yizhan.core.allowance import Ledger
from yizhan.errors import StoreError, StoreUnavailable
from yizhan.model import (
    Account,
    AccountId,
    Alert,
    ApiKey,
    Chat,
    ChatSession,
    Credentials,
    Event,
    Inbound,
    InboundId,
    InDoubtPolicy,
    Message,
    MessageId,
    Post,
    Reason,
    Rule,
    RunId,
    Schedule,
    ScheduleId,
    SenderRule,
    Target,
    Turn,
    TurnId,
    Webhook,
)
from yizhan.ports import (
    Accepted,
    AccountChange,
    Audit,
    Claim,
    Consent,
    Counts,
    Draft,
    Expired,
    Fired,
    Firing,
    Heard,
    InboundCommit,
    InboundCommitted,
    Intent,
    LaneView,
    MessageFilter,
    Page,
    Parking,
    RunView,
    Said,
    Settlement,
    Tally,
    TimelineRow,
    TurnEnd,
    TurnFilter,
    TurnOpened,
    TurnStart,
)
from yizhan.store import (
    reads,
    schedules,
    watching,
    writes_accounts,
    writes_alerts,
    writes_claims,
    writes_drafts,
    writes_ends,
    writes_in,
    writes_out,
    writes_people,
    writes_schedules,
    writes_sessions,
    writes_turns,
    writes_upkeep,
    writes_webhooks,
)
from yizhan.store.committer import CLOSED, Committer
from yizhan.store.engine import READERS, StoreEngine, cause_of
from yizhan.store.secrets import Seal
from yizhan.store.statements import BatchStatements

R = TypeVar("R")


class SqlStore:
    """An open store. Made by `open_store`; used in the event loop it was opened in.

    Messages that writes answer carry their attempts only where a person asked (cancel, retry, an idempotency
    key used again); read the message for them otherwise.
    """

    def __init__(
        self, engine: StoreEngine, committer: Committer, seal: Seal, pool: ThreadPoolExecutor | None
    ) -> None:
        self._engine = engine
        self._committer = committer
        self._seal = seal
        self._pool = pool
        self._statements = BatchStatements(engine)
        self._lanes = reads.LaneReader(engine.dialect, seal)
        self._closed = False

    # Writes: the road out.

    async def accept(self, draft: Draft) -> Accepted:
        return await self._committer.submit(writes_drafts.Accept(draft))

    async def begin_attempt(self, intent: Intent) -> bool:
        return await self._committer.submit(writes_out.BeginAttempt(intent))

    async def settle(self, settlement: Settlement) -> Message:
        return await self._committer.submit(writes_out.Settle(settlement))

    async def park(self, parking: Parking) -> Message:
        return await self._committer.submit(writes_out.Park(parking))

    async def withdraw(self, message: MessageId, at_ms: int) -> Message:
        return await self._committer.submit(writes_ends.Withdraw(message, at_ms))

    async def cancel(self, message: MessageId, at_ms: int) -> Message:
        return await self._committer.submit(writes_ends.Cancel(message, at_ms))

    async def retry(self, message: MessageId, at_ms: int, expires_at_ms: int) -> Message:
        return await self._committer.submit(writes_ends.Retry(message, at_ms, expires_at_ms))

    async def expire_due(self, at_ms: int, limit: int, unheard_since_ms: int | None = None) -> Expired:
        return await self._committer.submit(writes_ends.ExpireDue(at_ms, limit, unheard_since_ms))

    async def recover(self, at_ms: int, in_doubt: InDoubtPolicy = InDoubtPolicy.RESEND) -> int:
        return await self._committer.submit(writes_out.Recover(at_ms, in_doubt))

    # Writes: the road in.

    async def note_consent(self, account: AccountId, consent: Consent, at_ms: int) -> None:
        await self._committer.submit(writes_in.NoteConsent(account, consent, at_ms))

    async def settle_audit(self, account: AccountId, audit: Audit, at_ms: int) -> Message | None:
        return await self._committer.submit(writes_out.SettleAudit(account, audit, at_ms))

    async def commit_inbound(self, commit: InboundCommit) -> InboundCommitted:
        return await self._committer.submit(writes_in.CommitInbound(commit))

    async def dispatch_done(self, inbound: Sequence[InboundId]) -> None:
        await self._committer.submit(writes_turns.DispatchDone(tuple(inbound)))

    async def start_turn(self, start: TurnStart) -> TurnOpened:
        return await self._committer.submit(writes_turns.StartTurn(start))

    async def begin_turn(self, turn: Turn, at_ms: int) -> TurnOpened | None:
        return await self._committer.submit(writes_turns.BeginTurn(turn.id, turn.person, turn.target, at_ms))

    async def extend_turn(self, turn: Turn, inbound: Sequence[InboundId], at_ms: int) -> TurnOpened | None:
        claim = writes_turns.ExtendTurn(turn.id, turn.person, turn.target, tuple(inbound), at_ms)
        return await self._committer.submit(claim)

    async def say(self, turn: TurnId, draft: Draft) -> Accepted | None:
        return await self._committer.submit(writes_turns.Say(turn, draft))

    async def end_turn(self, end: TurnEnd) -> tuple[Accepted, ...]:
        return await self._committer.submit(writes_turns.EndTurn(end))

    async def new_session(self, target: Target, sender: str, by_person: bool, at_ms: int) -> None:
        await self._committer.submit(writes_sessions.NewSession(target, sender, by_person, at_ms))

    async def choose_agent(self, target: Target, agent: str, at_ms: int) -> None:
        await self._committer.submit(writes_sessions.ChooseAgent(target, agent, at_ms))

    # Writes: the watch.

    async def note_alerts(self, changes: Sequence[AlertChange], at_ms: int) -> None:
        if changes:
            await self._committer.submit(writes_alerts.NoteAlerts(tuple(changes), at_ms))

    async def claim(self, claim: Claim) -> str:
        return await self._committer.submit(writes_claims.SettleClaim(claim))

    async def unclaim(self, claim: Claim) -> None:
        await self._committer.submit(writes_claims.DropClaim(claim))

    # Writes: schedules.

    async def add_schedule(self, schedule: Schedule) -> Schedule:
        return await self._committer.submit(writes_schedules.AddSchedule(schedule))

    async def change_schedule(self, schedule: Schedule) -> Schedule | None:
        return await self._committer.submit(writes_schedules.ChangeSchedule(schedule))

    async def remove_schedule(self, schedule: ScheduleId) -> None:
        await self._committer.submit(writes_schedules.RemoveSchedule(schedule))

    async def fire(self, firings: Sequence[Firing]) -> tuple[Fired, ...]:
        return await self._committer.submit(writes_schedules.FireSchedules(tuple(firings)))

    # Writes: webhooks.

    async def add_webhook(self, hook: Webhook) -> Webhook:
        return await self._committer.submit(writes_webhooks.AddWebhook(hook, self._seal))

    async def change_webhook(self, hook: Webhook, rewound: bool) -> None:
        await self._committer.submit(writes_webhooks.ChangeWebhook(hook, rewound))

    async def webhook_progress(self, hook: Webhook, post: Post | None = None) -> None:
        await self._committer.submit(writes_webhooks.NoteProgress(hook, post))

    async def remove_webhook(self, webhook: str) -> None:
        await self._committer.submit(writes_webhooks.RemoveWebhook(webhook))

    # Writes: accounts, people, keys, and the broom.

    async def put_account(
        self, account: AccountId, credentials: Credentials, at_ms: int
    ) -> tuple[Account, bool]:
        return await self._committer.submit(writes_accounts.PutAccount(account, credentials, at_ms))

    async def remove_account(self, account: AccountId, at_ms: int) -> None:
        await self._committer.submit(writes_accounts.RemoveAccount(account, at_ms))

    async def set_paused(self, account: AccountId, paused: bool, at_ms: int) -> Account:
        return await self._committer.submit(writes_accounts.SetPaused(account, paused, at_ms))

    async def set_chat_paused(self, target: Target, paused: bool, at_ms: int) -> Chat:
        return await self._committer.submit(writes_people.SetChatPaused(target, paused, at_ms))

    async def take_over(self, target: Target, at_ms: int) -> Chat:
        return await self._committer.submit(writes_people.TakeOver(target, at_ms))

    async def hand_back(self, target: Target, at_ms: int) -> Chat:
        return await self._committer.submit(writes_people.HandBack(target, at_ms))

    async def change_account(self, change: AccountChange) -> Account:
        return await self._committer.submit(writes_accounts.ChangeAccount(change))

    async def set_rule(self, account: AccountId, sender_id: str, rule: Rule, at_ms: int) -> SenderRule:
        return await self._committer.submit(writes_people.SetRule(account, sender_id, rule, at_ms))

    async def add_key(self, key: ApiKey) -> None:
        await self._committer.submit(writes_people.AddKey(key))

    async def revoke_key(self, key_id: str, at_ms: int) -> ApiKey:
        return await self._committer.submit(writes_people.RevokeKey(key_id, at_ms))

    async def prune(self, now_ms: int, finished_before_ms: int, events_before_ms: int, limit: int) -> int:
        """Times ahead of now are taken as now."""
        finished, events = min(finished_before_ms, now_ms), min(events_before_ms, now_ms)
        return await self._committer.submit(writes_upkeep.Prune(finished, events, limit))

    # Reads.

    async def accounts(self) -> tuple[Account, ...]:
        return await self._read(lambda c: reads.accounts(c, self._seal))

    async def account(self, account: AccountId) -> Account:
        return await self._read(lambda c: reads.account(c, self._seal, account))

    async def chats(
        self, account: AccountId | None, after: str | None, limit: int, containing: str = ""
    ) -> Page[Chat]:
        return await self._read(lambda c: reads.chats(c, account, after, limit, containing))

    async def chat(self, target: Target) -> Chat | None:
        return await self._read(lambda c: reads.chat(c, target))

    async def live_chats(self) -> tuple[Target, ...]:
        return await self._read(reads.live_chats)

    async def paused_chats(self) -> tuple[Target, ...]:
        return await self._read(reads.paused_chats)

    async def lanes(self, targets: Sequence[Target], per_lane: int, now_ms: int) -> tuple[LaneView, ...]:
        return await self._read(lambda c: self._lanes.lanes(c, targets, per_lane, now_ms))

    async def ledgers(self, targets: Sequence[Target]) -> Mapping[Target, Ledger]:
        return await self._read(lambda c: reads.ledgers(c, targets))

    async def parts_left(self, target: Target, now_ms: int) -> int:
        return await self._read(lambda c: reads.parts_left(c, target, now_ms))

    async def heard_before(self, account: AccountId, heard: Heard) -> bool:
        return await self._read(lambda c: writes_in.heard_before(c, account, heard))

    async def quoted(self, account: AccountId, platform_id: str) -> str | None:
        return await self._read(lambda c: reads.quoted(c, account, platform_id))

    async def message(self, message: MessageId, with_attempts: bool = True) -> Message:
        return await self._read(lambda c: reads.message(c, self._statements, message, with_attempts))

    async def messages(self, where: MessageFilter, after: str | None, limit: int) -> Page[Message]:
        return await self._read(lambda c: reads.messages(c, self._statements, where, after, limit))

    async def timeline(
        self, target: Target, before: str | None, limit: int, containing: str = ""
    ) -> Page[TimelineRow]:
        return await self._read(
            lambda c: reads.timeline(c, self._statements, target, before, limit, containing)
        )

    async def history(self, session: ChatSession, limit: int) -> tuple[Said, ...]:
        return await self._read(lambda c: reads.history(c, session, limit))

    async def pending_inbound(self) -> tuple[Inbound, ...]:
        return await self._read(reads.pending_inbound)

    async def open_turns(self) -> tuple[Turn, ...]:
        return await self._read(reads.open_turns)

    async def turn(self, turn: TurnId) -> Turn:
        return await self._read(lambda c: reads.turn(c, turn))

    async def spoken(self, turn: Turn) -> tuple[str, ...]:
        return await self._read(lambda c: reads.spoken(c, turn))

    async def turns(self, where: TurnFilter, after: str | None, limit: int) -> Page[Turn]:
        return await self._read(lambda c: reads.turns(c, where, after, limit))

    async def inbound(self, ids: Sequence[InboundId]) -> tuple[Inbound, ...]:
        return await self._read(lambda c: reads.inbound(c, ids))

    async def rules(self, account: AccountId | None) -> tuple[SenderRule, ...]:
        return await self._read(lambda c: reads.rules(c, account))

    async def chosen_agents(self) -> Mapping[Target, str]:
        return await self._read(reads.chosen_agents)

    async def asked_since(self, at_ms: int) -> tuple[tuple[AccountId, str, int], ...]:
        return await self._read(lambda c: reads.asked_since(c, at_ms))

    async def sender(self, account: AccountId, sender_id: str) -> SenderRule | None:
        return await self._read(lambda c: reads.sender(c, account, sender_id))

    async def keys(self) -> tuple[ApiKey, ...]:
        return await self._read(reads.keys)

    async def events_after(self, after_id: int, limit: int) -> tuple[Event, ...]:
        return await self._read(lambda c: reads.events_after(c, after_id, limit))

    async def event_range(self) -> tuple[int, int]:
        return await self._read(reads.event_range)

    async def counts(self) -> Counts:
        return await self._read(reads.counts)

    async def tallies(self, since_ms: int, step_ms: int) -> tuple[Tally, ...]:
        return await self._read(lambda c: reads.tallies(c, since_ms, step_ms))

    async def troubles(self, numbers: AlertNumbers, now_ms: int) -> Troubles:
        return await self._read(lambda c: watching.troubles(c, numbers, now_ms))

    async def alerts(self, is_open: bool | None, after: str | None, limit: int) -> Page[Alert]:
        return await self._read(lambda c: watching.alerts(c, is_open, after, limit))

    async def alerts_since(self, at_ms: int) -> tuple[Alert, ...]:
        return await self._read(lambda c: watching.alerts_since(c, at_ms))

    async def webhook_posts(
        self, webhook: str, failed_only: bool, after: str | None, limit: int
    ) -> Page[Post]:
        return await self._read(lambda c: reads.posts(c, webhook, failed_only, after, limit))

    async def last_message_ms(self, target: Target, source: str) -> int | None:
        return await self._read(lambda c: watching.last_message_ms(c, target, source))

    async def webhooks(self) -> tuple[Webhook, ...]:
        return await self._read(lambda c: reads.webhooks(c, self._seal))

    async def schedule(self, schedule: ScheduleId) -> Schedule:
        return await self._read(lambda c: schedules.schedule(c, schedule))

    async def schedules(self, after: str | None, limit: int) -> Page[Schedule]:
        return await self._read(lambda c: schedules.schedules(c, after, limit))

    async def due_schedules(self, now_ms: int, limit: int) -> tuple[Schedule, ...]:
        return await self._read(lambda c: schedules.due(c, now_ms, limit))

    async def next_schedule_ms(self) -> int | None:
        return await self._read(schedules.next_ms)

    async def schedules_planned_after(self, at_ms: int, limit: int) -> tuple[Schedule, ...]:
        return await self._read(lambda c: schedules.planned_after(c, at_ms, limit))

    async def runs(self, schedule: ScheduleId, after: str | None, limit: int) -> Page[RunView]:
        return await self._read(lambda c: schedules.runs(c, self._statements, schedule, after, limit))

    async def run(self, schedule: ScheduleId, run: RunId) -> RunView:
        return await self._read(lambda c: schedules.run(c, self._statements, schedule, run))

    # Life.

    def subscribe(self, listener: Callable[[Sequence[Event]], None]) -> None:
        self._committer.subscribe(listener)

    def writable(self) -> Reason | None:
        return self._committer.writable()

    async def limit_pages(self, spare: int | None) -> None:
        """For drills, on SQLite: the file may grow by `spare` pages and then the disk is full; None: no limit."""
        await self._committer.submit(writes_upkeep.LimitPages(self._engine, spare))

    async def close(self) -> None:
        """Commits what was submitted, ends the threads, lets another gateway in. May be called again."""
        if self._closed:
            return
        self._closed = True
        await self._committer.close()
        if self._pool is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)
        self._engine.close()

    # How a read is run.

    async def _read(self, read: Callable[[Connection], R]) -> R:
        if self._closed:
            raise CLOSED
        if self._pool is None:
            return self._read_now(read)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read_now, read)

    def _read_now(self, read: Callable[[Connection], R]) -> R:
        """One transaction. Connections that were lost while nobody looked are replaced once."""
        try:
            return self._read_once(read)
        except self._engine.errors:
            self._engine.reads.dispose()
        try:
            return self._read_once(read)
        except self._engine.errors as error:
            raise self._as_store_error(error) from None

    def _read_once(self, read: Callable[[Connection], R]) -> R:
        with self._engine.reads.connect() as connection:
            try:
                with connection.begin():
                    return read(connection)
            except self._engine.errors:
                connection.invalidate()
                raise

    def _as_store_error(self, error: Exception) -> StoreError:
        judged = self._engine.judge(error)
        if judged is not None:
            return judged
        kind = type(cause_of(error)).__name__
        return StoreUnavailable(f"The database could not be read ({kind}).", "Try again.")


def reader_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="yizhan-reader")
