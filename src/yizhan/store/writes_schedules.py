"""The writes of schedules: what people change, and the runs.

A run, what it says and when its schedule is due next are one transaction. So a run that a crash interrupts has not
happened, and one that has happened happens no second time: its key is in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from yizhan.errors import RequestError
from yizhan.model import Inbound, MessageId, Reason, Schedule, ScheduleId, Target
from yizhan.ports import Accepted, Fired, Firing, PlannedRun
from yizhan.store.queries import schedules
from yizhan.store.rows import KeptInbound
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet
from yizhan.store.writes_drafts import accept_draft, want_draft
from yizhan.store.writes_turns import must_be_the_agents


@dataclass(frozen=True, slots=True)
class AddSchedule:
    label: ClassVar[str] = "add_schedule"
    alone: ClassVar[bool] = False
    schedule: Schedule

    def wants(self, wants: Wants) -> None:
        wants.schedules.add(self.schedule.id)

    def apply(self, rows: WorkingSet) -> Schedule:
        if self.schedule.id not in rows.schedules:
            rows.put_schedule(self.schedule)
        return rows.schedules[self.schedule.id]


@dataclass(frozen=True, slots=True)
class ChangeSchedule:
    """Writes what was made of the row as it was read, unless somebody else was faster."""

    label: ClassVar[str] = "change_schedule"
    alone: ClassVar[bool] = False
    schedule: Schedule

    def wants(self, wants: Wants) -> None:
        wants.schedules.add(self.schedule.id)

    def apply(self, rows: WorkingSet) -> Schedule | None:
        if rows.schedule(self.schedule.id).revision != self.schedule.revision:
            return None
        rows.put_schedule(self.schedule)
        return rows.schedules[self.schedule.id]


@dataclass(frozen=True, slots=True)
class RemoveSchedule:
    """The schedule and its history; what its runs have accepted stays."""

    label: ClassVar[str] = "remove_schedule"
    alone: ClassVar[bool] = True
    schedule: ScheduleId

    def wants(self, wants: Wants) -> None:
        wants.schedules.add(self.schedule)

    def apply(self, rows: WorkingSet) -> None:
        rows.schedule(self.schedule)
        rows.changes += 1
        rows.connection.execute(schedules.erase_schedule(self.schedule))
        rows.connection.execute(schedules.erase_runs(self.schedule))


@dataclass(frozen=True, slots=True)
class FireSchedules:
    """The runs of many schedules, and when each of them is due next."""

    label: ClassVar[str] = "fire_schedules"
    alone: ClassVar[bool] = False
    firings: Sequence[Firing]

    def wants(self, wants: Wants) -> None:
        for firing in self.firings:
            wants.schedules.add(firing.following.id)
            for planned in firing.runs:
                wants.runs.add((planned.run.schedule, planned.run.key))
                for draft in planned.drafts:
                    want_draft(draft, wants)
                for question in planned.questions:
                    wants.accounts.add(question.account)
                    wants.chats.add(Target(question.account, question.chat))

    def apply(self, rows: WorkingSet) -> tuple[Fired, ...]:
        return tuple(fired for firing in self.firings for fired in _fire(firing, rows))


def _fire(firing: Firing, rows: WorkingSet) -> list[Fired]:
    """A schedule that was changed or removed since it was planned is planned anew by whoever asked."""
    known = rows.schedules.get(firing.following.id)
    if known is None or known.revision != firing.following.revision:
        return []
    fired = [_run(planned, known, rows) for planned in firing.runs]
    if firing.following != known:
        rows.put_schedule(firing.following)
    return fired


def _run(planned: PlannedRun, schedule: Schedule, rows: WorkingSet) -> Fired:
    """What is done in its place if the run has happened already: nothing."""
    happened = rows.runs.get((planned.run.schedule, planned.run.key))
    if happened is not None:
        return Fired(happened, (), created=False)
    accepted: list[Accepted] = []
    refused: list[tuple[Target, Reason]] = list(planned.run.refused)
    for draft in planned.drafts:
        try:
            accepted.append(accept_draft(draft, rows))
        except RequestError as error:
            refused.append((draft.target, Reason(error.name, error.detail)))
    asked: list[Inbound] = []
    for question in planned.questions:
        try:
            asked.append(_ask(question, rows))
        except RequestError as error:
            refused.append((Target(question.account, question.chat), Reason(error.name, error.detail)))
    ids = tuple(question.id for question in asked)
    run = replace(planned.run, messages=_ids(accepted), refused=tuple(refused), asked=ids)
    rows.add_run(run, schedule)
    return Fired(run, tuple(accepted), created=True, questions=tuple(asked))


def _ask(question: Inbound, rows: WorkingSet) -> Inbound:
    """Takes its place in the chat, as a message of a person would, and permits no answer as that would."""
    rows.account(question.account)
    target = Target(question.account, question.chat)
    must_be_the_agents(rows.chat_for(target, question.received_at_ms))
    rows.add_question(KeptInbound(question, rows.next_seq(target), content_sha256=""))
    return question


def _ids(accepted: Sequence[Accepted]) -> tuple[MessageId, ...]:
    return tuple(each.message.id for each in accepted)
