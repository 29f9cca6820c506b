"""Runs schedules. One loop: it sleeps until the next one is due, and has everything run that is due then.

A run, its messages and the schedule's next due time are one commit (store/writes_schedules.py), many schedules in each.
Whatever ends in between, the process, or the store's patience, is looked at again: what is in the table has
happened, what is not has not. When something is due, and what was missed, core/schedule.py says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from yizhan.core.schedule import failing, plan, planned
from yizhan.core.timetable import Unreadable
from yizhan.errors import RequestError, StoreError, UnknownSchedule
from yizhan.model import (
    SCHEDULE_SENDER,
    Access,
    Dispatch,
    Inbound,
    InboundId,
    Reason,
    Run,
    RunCause,
    RunId,
    RunState,
    Schedule,
    Target,
)
from yizhan.ports import Chance, Clock, Draft, Fired, Firing, PlannedRun, Store
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.patience import STORE_PAUSE_MS
from yizhan.runtime.turns import Turns
from yizhan.runtime.views import Order

NOBODY = Reason("nobody-answers", "Nobody answers in this chat any more.")

log = structlog.get_logger("cron")

BATCH = 200
"""Schedules in one write; between two of them others have their turn."""
LOADED = 1_000
"""Schedules in memory at a time."""
LOOK_MS = 60_000
"""The table is looked at so often at least."""


class Cron:
    """Carries out what is due. `poke` when a schedule has changed, or the clock. What is asked while nothing runs is
    answered after the next start."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Chance,
        outbound: Outbound,
        turns: Turns,
        running: Callable[[], bool],
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._outbound = outbound
        self._turns = turns
        self._running = running
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """Something changed: look again now."""
        self._poked.set()

    async def run(self) -> None:
        """For ever, until cancelled."""
        await self._plan_again()
        while True:
            self._poked.clear()
            try:
                more = await self._fire_due()
                wait_ms = 0 if more else await self._quiet_ms()
            except StoreError as error:
                self._outbound.log.warning("schedules.wait_for_store", error=error.detail)
                wait_ms = STORE_PAUSE_MS
            await self._wait(wait_ms)

    async def _plan_again(self) -> None:
        """What was planned when the clock was ahead of where it is now: due times may have come back into the future.
        A run that has happened does not happen again, for its key is in the table."""
        while True:
            now_ms = self._clock.now_ms()
            try:
                ahead = await self._store.schedules_planned_after(now_ms, BATCH)
                if not ahead:
                    return
                log.warning("schedules.planned_again", schedules=len(ahead))
                await self._store.fire([self._planned_again(each, now_ms) for each in ahead])
            except StoreError:
                await self._clock.sleep_ms(STORE_PAUSE_MS)

    async def _fire_due(self) -> bool:
        """As many as may be in memory. Answers whether there may be more."""
        now_ms = self._clock.now_ms()
        due = await self._store.due_schedules(now_ms, LOADED)
        batches: list[list[Firing]] = []
        for first in range(0, len(due), BATCH):
            batches.append([self._firing(schedule, now_ms) for schedule in due[first : first + BATCH]])
            await asyncio.sleep(0)
        for outcome in await asyncio.gather(*map(self._fire_all, batches), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return len(due) == LOADED

    async def _fire_all(self, firings: Sequence[Firing]) -> None:
        """Together; where that breaks, each by itself, so that the one that breaks it holds up no other. Raises
        StoreError."""
        try:
            await self.fire(firings)
        except StoreError:
            raise
        except Exception as error:
            if len(firings) > 1:
                for firing in firings:
                    await self._fire_all([firing])
                return
            with contextlib.suppress(UnknownSchedule):
                broken = await self._store.schedule(firings[0].following.id)
                await self._store.fire([_failing(broken, error, self._clock.now_ms())])

    async def fire(self, firings: Sequence[Firing]) -> tuple[Fired, ...]:
        """Commits runs, and lets their messages go. Raises StoreError."""
        try:
            fired = await self._store.fire(firings)
        except StoreError:
            for target in _targets(firings):  # perhaps only the store's answer was lost
                self._outbound.changed(target)
            raise
        for each in fired:
            for accepted in each.accepted:
                self._outbound.admit(accepted)
            for question in each.questions if self._running() else ():
                self._turns.offer(question)
        return fired

    async def _quiet_ms(self) -> int:
        next_ms = await self._store.next_schedule_ms()
        return LOOK_MS if next_ms is None else min(LOOK_MS, max(0, next_ms - self._clock.now_ms()))

    async def _wait(self, wait_ms: int) -> None:
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._poked.wait()
        except TimeoutError:
            pass

    # from a plan to what will be stored

    def _planned_again(self, schedule: Schedule, now_ms: int) -> Firing:
        try:
            return Firing(planned(schedule, now_ms, now_ms))
        except Exception as error:
            return _failing(schedule, error, now_ms)

    def _firing(self, schedule: Schedule, now_ms: int) -> Firing:
        """Whatever is wrong with a schedule, the others go on."""
        try:
            return self._planned(schedule, now_ms)
        except Exception as error:
            return _failing(schedule, error, now_ms)

    def _planned(self, schedule: Schedule, now_ms: int) -> Firing:
        planned_now = plan(schedule, now_ms)
        runs = [self.run_of(schedule, due_ms, now_ms) for due_ms in planned_now.due]
        if planned_now.missed and runs:
            runs[0] = replace(runs[0], run=replace(runs[0].run, missed=planned_now.missed))
        elif planned_now.missed and planned_now.last_ms is not None:
            runs = [self._skipped(schedule, planned_now.last_ms, planned_now.missed, now_ms)]
        return Firing(planned_now.following, tuple(runs))

    def _skipped(self, schedule: Schedule, due_ms: int, missed: int, now_ms: int) -> PlannedRun:
        return PlannedRun(self._run(schedule, RunCause.DUE, RunState.SKIPPED, due_ms, now_ms, missed))

    def run_of(self, schedule: Schedule, due_ms: int, now_ms: int) -> PlannedRun:
        """The run of a due time, with its messages."""
        run = self._run(schedule, RunCause.DUE, RunState.FIRED, due_ms, now_ms)
        return self.spoken(run, schedule, f"due:{due_ms}")

    def by_hand(self, schedule: Schedule, key: str | None, now_ms: int) -> PlannedRun:
        """A run that somebody asks for; the same key asks for the same one."""
        run = self._run(schedule, RunCause.MANUAL, RunState.FIRED, now_ms, now_ms)
        return self.spoken(replace(run, key=f"run:{key or run.id}"), schedule, str(run.id))

    def _run(
        self, schedule: Schedule, cause: RunCause, state: RunState, due_ms: int, now_ms: int, missed: int = 0
    ) -> Run:
        run_id = RunId(self._chance.new_id("r"))
        return Run(run_id, schedule.id, f"due:{due_ms}", cause, state, due_ms, now_ms, missed)

    def spoken(self, run: Run, schedule: Schedule, name: str) -> PlannedRun:
        """The run with what it says to each of its targets; `name` tells it from the schedule's other runs."""
        if schedule.prompt:
            return self._asking(run, schedule)
        drafts: list[Draft] = []
        refused: list[tuple[Target, Reason]] = []
        for number, target in enumerate(schedule.targets):
            try:
                drafts.append(self._draft(schedule, target, f"schedule:{schedule.id}:{name}:{number}", run))
            except RequestError as error:
                refused.append((target, Reason(error.name, error.detail)))
        return PlannedRun(replace(run, refused=tuple(refused)), tuple(drafts))

    def _asking(self, run: Run, schedule: Schedule) -> PlannedRun:
        """The run with the question that it asks the agent in each of its targets."""
        answered = [target for target in schedule.targets if self._turns.answers(target, schedule.text)]
        nobody = tuple((target, NOBODY) for target in schedule.targets if target not in answered)
        questions = tuple(self._question(schedule, target, run.at_ms) for target in answered)
        return PlannedRun(replace(run, refused=nobody), questions=questions)

    def _question(self, schedule: Schedule, target: Target, at_ms: int) -> Inbound:
        return Inbound(
            id=InboundId(self._chance.new_id("in")),
            account=target.account,
            chat=target.chat,
            platform_message_id=None,
            sender_id=f"{SCHEDULE_SENDER}{schedule.id}",
            sender_name=schedule.name,
            text=schedule.text,
            quoted_text="",
            items=(),
            sent_at_ms=0,
            received_at_ms=at_ms,
            access=Access.ALLOWED,
            dispatch=Dispatch.TURN,
        )

    def _draft(self, schedule: Schedule, target: Target, key: str, run: Run) -> Draft:
        lifetime_ms = schedule.lifetime_ms
        order = Order(
            str(target),
            schedule.text,
            source="schedule",
            idempotency_key=key,
            expires_at_ms=None if lifetime_ms is None else run.at_ms + lifetime_ms,
        )
        drafts = self._outbound.drafts
        return drafts.draft(target, drafts.checked(order), keep_first=True)


def _failing(schedule: Schedule, error: Exception, now_ms: int) -> Firing:
    """It is said in its row, and tried again later. Unreadable: its zone has left the data base since; everything else
    is our mistake."""
    if isinstance(error, Unreadable):
        reason, trace = Reason("unreadable", f"{error.text} {error.fix}"), None
    else:
        reason, trace = Reason("internal-error", f"our mistake ({type(error).__name__}); see the log"), error
    log.error("schedule.failing", schedule=schedule.id, code=reason.code, exc_info=trace)
    return Firing(failing(schedule, reason, now_ms))


def _targets(firings: Sequence[Firing]) -> set[Target]:
    return {draft.target for firing in firings for run in firing.runs for draft in run.drafts}
