"""/v1/schedules: what is said at set times, when that was, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from yizhan.core.contract import (
    JsonObject,
    message_object,
    run_object,
    schedule_object,
    time_text,
    turn_object,
)
from yizhan.core.schedule import JITTER_MAX_MS, MISSED_MOST
from yizhan.errors import InvalidRequest
from yizhan.model import Missed, ScheduleId
from yizhan.ports import RunView
from yizhan.runtime.schedules import TARGETS_MAX
from yizhan.runtime.views import ScheduleWish
from yizhan.web import shapes
from yizhan.web.chats import CursorQuery, LimitQuery
from yizhan.web.exchange import Body, Word, answer, gateway_of, read_body, takes, time_ms
from yizhan.web.repeats import ONCE, SAME, asked_of, key_of

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway

router = APIRouter(tags=["schedules"])

PREVIEWED = 5
LONGEST_S = 315_360_000

When = Annotated[Word, Field(max_length=200)]
Zone = Annotated[Word, Field(max_length=100)]
Name = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Lifetime = Annotated[float, Field(gt=0, le=LONGEST_S)]
Jitter = Annotated[float, Field(ge=0, le=JITTER_MAX_MS / 1000)]
MissedMost = Annotated[int, Field(ge=1, le=MISSED_MOST)]
Targets = Annotated[list[Word], Field(min_length=1, max_length=TARGETS_MAX)]
MissedRule = Annotated[Missed, Field(strict=False)]

WHEN = "a cron expression (0 9 * * 1-5), every 2h, 30m, at 18:00 or at 2026-12-24T18:00"


class ScheduleBody(Body):
    """A schedule to add."""

    when: When = Field(description=WHEN)
    to: Targets = Field(description="TARGETs: who is written to")
    text: str | None = Field(None, description="what to say")
    prompt: str | None = Field(None, description="or: what to ask the agent, whose answer is said")
    name: Name = Field("", description="for people")
    zone: Zone | None = Field(None, description="of the clock meant, as Asia/Shanghai; else schedules.zone")
    missed: MissedRule = Field(
        Missed.ONCE, description="what becomes of runs that were due while no gateway ran"
    )
    missed_most: MissedMost = Field(10, description="the most runs that are made up for with `all`")
    jitter_s: Jitter = Field(0, description="a run begins up to so much later than it is due")
    expires_after_s: Lifetime | None = Field(
        None, description="how long what it says waits for its delivery; else retention.push_s"
    )
    ends_at: shapes.Time | None = Field(None, description="nothing is due after this")
    paused: bool = Field(False, description="nothing is due until it is resumed")


class ScheduleChange(Body):
    """What to change of a schedule; what is not named stays. null takes an end or a lifetime away."""

    when: When = ""
    to: Targets = []  # noqa: RUF012  (frozen models copy their defaults)
    text: str = ""
    prompt: str = ""
    name: Name = ""
    zone: Zone = ""
    missed: MissedRule = Missed.ONCE
    missed_most: MissedMost = 10
    jitter_s: Jitter = 0
    expires_after_s: Lifetime | None = None
    ends_at: shapes.Time | None = None
    paused: bool = False


class PreviewBody(Body):
    """Something that is not written down yet."""

    when: When = Field(description=WHEN)
    zone: Zone | None = None
    ends_at: shapes.Time | None = None


@router.get("/v1/schedules", responses={200: {"model": shapes.SchedulePage}})
async def list_schedules(request: Request, cursor: CursorQuery = None, limit: LimitQuery = 50) -> Response:
    """The schedules, the newest first."""
    page = await gateway_of(request).schedules.page(cursor, limit)
    return answer({"items": [schedule_object(each) for each in page.rows], "next": page.next})


@router.post(
    "/v1/schedules",
    status_code=201,
    responses={201: {"model": shapes.Schedule}, 200: {"model": shapes.Schedule, "description": SAME}},
    openapi_extra=takes(ScheduleBody) | ONCE,
)
async def add_schedule(request: Request) -> Response:
    """Add a schedule."""
    body = await read_body(request, ScheduleBody)
    schedules = gateway_of(request).schedules
    schedule, new = await schedules.add_once(_wish(body), asked_of(request, "schedule", body))
    return answer(schedule_object(schedule), 201 if new else 200)


@router.post(
    "/v1/schedules/preview", responses={200: {"model": shapes.Preview}}, openapi_extra=takes(PreviewBody)
)
async def preview_schedule(request: Request) -> Response:
    """The next five due times of something that is not written down yet."""
    gateway = gateway_of(request)
    body = await read_body(request, PreviewBody)
    ends_at_ms = time_ms(body.ends_at, "ends_at") if body.ends_at is not None else None
    due = gateway.schedules.preview(body.when, body.zone, ends_at_ms, PREVIEWED)
    zone = body.zone or gateway.schedules.zone
    return answer({"zone": zone, "due": [time_text(at_ms) for at_ms in due]})


@router.get("/v1/schedules/{schedule_id}", responses={200: {"model": shapes.Schedule}})
async def get_schedule(request: Request, schedule_id: Word) -> Response:
    """One schedule."""
    return answer(schedule_object(await gateway_of(request).schedules.one(ScheduleId(schedule_id))))


@router.patch(
    "/v1/schedules/{schedule_id}",
    responses={200: {"model": shapes.Schedule}},
    openapi_extra=takes(ScheduleChange),
)
async def change_schedule(request: Request, schedule_id: Word) -> Response:
    """Change a schedule, pause it or resume it."""
    body = await read_body(request, ScheduleChange)
    schedule = await gateway_of(request).schedules.change(ScheduleId(schedule_id), _wish(body))
    return answer(schedule_object(schedule))


@router.delete("/v1/schedules/{schedule_id}", status_code=204)
async def remove_schedule(request: Request, schedule_id: Word) -> Response:
    """Remove a schedule and its history. What its runs have handed over stays."""
    await gateway_of(request).schedules.remove(ScheduleId(schedule_id))
    return Response(status_code=204)


@router.get("/v1/schedules/{schedule_id}/runs", responses={200: {"model": shapes.RunPage}})
async def list_runs(
    request: Request, schedule_id: Word, cursor: CursorQuery = None, limit: LimitQuery = 50
) -> Response:
    """When it ran, the newest run first, and what became of what it said."""
    gateway = gateway_of(request)
    page = await gateway.schedules.runs(ScheduleId(schedule_id), cursor, limit)
    return answer({"items": [_run(gateway, view) for view in page.rows], "next": page.next})


@router.post(
    "/v1/schedules/{schedule_id}/run",
    status_code=202,
    responses={
        202: {"model": shapes.Run, "description": "it has run: committed to disk"},
        200: {"model": shapes.Run, "description": SAME},
    },
    openapi_extra=ONCE,
)
async def run_schedule(request: Request, schedule_id: Word) -> Response:
    """Run it now, also if it is paused or over."""
    gateway = gateway_of(request)
    view, created = await gateway.schedules.run(ScheduleId(schedule_id), key_of(request))
    return answer(_run(gateway, view), 202 if created else 200)


def _run(gateway: Gateway, view: RunView) -> JsonObject:
    messages = [message_object(gateway.overlay(message), with_attempts=False) for message in view.messages]
    return run_object(view.run) | {"messages": messages, "turns": [turn_object(turn) for turn in view.turns]}


def _wish(body: ScheduleBody | ScheduleChange) -> ScheduleWish:
    """What the body names. Raises InvalidRequest for a change of nothing."""
    given: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if not given:
        raise InvalidRequest("Nothing is to be changed.", "Name what to change, for example `paused`.")
    wish = {name: given[name] for name in _AS_THEY_ARE & given.keys()}
    if "to" in given:
        wish["to"] = tuple(body.to)
    if "jitter_s" in given:
        wish["jitter_ms"] = int(body.jitter_s * 1000)
    if "expires_after_s" in given:
        wish["lifetime_ms"] = int((body.expires_after_s or 0) * 1000)
    if "ends_at" in given:
        wish["ends_at_ms"] = time_ms(body.ends_at, "ends_at") if body.ends_at else 0
    return ScheduleWish(**wish)


_AS_THEY_ARE = {"name", "when", "zone", "text", "prompt", "missed", "missed_most", "paused"}
