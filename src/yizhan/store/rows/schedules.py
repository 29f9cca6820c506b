"""Rows of schedules and of their runs."""

from __future__ import annotations

import msgspec

from yizhan.model import (
    AccountId,
    ChatId,
    InboundId,
    MessageId,
    Missed,
    Reason,
    Run,
    RunCause,
    RunId,
    RunState,
    Schedule,
    ScheduleId,
    Target,
)
from yizhan.store.rows.kept import Row, Values, reason_of

_targets = msgspec.json.Decoder(list[tuple[str, str]])
_names = msgspec.json.Decoder(list[str])
_refused = msgspec.json.Decoder(list[tuple[str, str, str, str]])


def schedule_of(row: Row) -> Schedule:
    (
        schedule_id,
        name,
        when,
        zone,
        text,
        targets,
        created_at_ms,
        written_ms,
        planned_ms,
        missed,
        missed_most,
        jitter_ms,
        lifetime_ms,
        ends_at_ms,
        paused,
        prompt,
        next_due_ms,
        fire_at_ms,
        last_due_ms,
        revision,
        code,
        reason,
    ) = row
    return Schedule(
        id=ScheduleId(schedule_id),
        name=name,
        when=when,
        zone=zone,
        text=text,
        targets=tuple(Target(AccountId(account), ChatId(chat)) for account, chat in _targets.decode(targets)),
        created_at_ms=created_at_ms,
        written_ms=written_ms,
        planned_ms=planned_ms,
        missed=Missed(missed),
        missed_most=missed_most,
        jitter_ms=jitter_ms,
        lifetime_ms=lifetime_ms,
        ends_at_ms=ends_at_ms,
        paused=bool(paused),
        prompt=bool(prompt),
        next_due_ms=next_due_ms,
        fire_at_ms=fire_at_ms,
        last_due_ms=last_due_ms,
        revision=revision,
        reason=reason_of(code, reason),
    )


def schedule_values(schedule: Schedule) -> Values:
    return {
        "id": schedule.id,
        "name": schedule.name,
        "when_text": schedule.when,
        "zone": schedule.zone,
        "text": schedule.text,
        "targets": _text([(target.account, target.chat) for target in schedule.targets]),
        "created_at_ms": schedule.created_at_ms,
        "written_ms": schedule.written_ms,
        "planned_ms": schedule.planned_ms,
        "missed": schedule.missed.value,
        "missed_most": schedule.missed_most,
        "jitter_ms": schedule.jitter_ms,
        "lifetime_ms": schedule.lifetime_ms,
        "ends_at_ms": schedule.ends_at_ms,
        "paused": int(schedule.paused),
        "prompt": int(schedule.prompt),
        "next_due_ms": schedule.next_due_ms,
        "fire_at_ms": schedule.fire_at_ms,
        "last_due_ms": schedule.last_due_ms,
        "revision": schedule.revision,
        "reason_code": schedule.reason and schedule.reason.code,
        "reason_text": schedule.reason and schedule.reason.text,
    }


def run_of(row: Row) -> Run:
    schedule, key, run_id, cause, state, due_ms, at_ms, missed, messages, refused, asked = row
    return Run(
        id=RunId(run_id),
        schedule=ScheduleId(schedule),
        key=key,
        cause=RunCause(cause),
        state=RunState(state),
        due_ms=due_ms,
        at_ms=at_ms,
        missed=missed,
        messages=tuple(MessageId(message) for message in _names.decode(messages)),
        refused=tuple(
            (Target(AccountId(account), ChatId(chat)), Reason(code, text))
            for account, chat, code, text in _refused.decode(refused)
        ),
        asked=tuple(InboundId(question) for question in _names.decode(asked)),
    )


def run_values(run: Run) -> Values:
    refused = [(target.account, target.chat, why.code, why.text) for target, why in run.refused]
    return {
        "schedule": run.schedule,
        "key": run.key,
        "id": run.id,
        "cause": run.cause.value,
        "state": run.state.value,
        "due_ms": run.due_ms,
        "at_ms": run.at_ms,
        "missed": run.missed,
        "messages": _text(run.messages),
        "refused": _text(refused),
        "asked": _text(run.asked),
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
