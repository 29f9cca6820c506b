"""/healthz, /readyz, /metrics and /v1/settings: how the gateway is, for those who keep it running."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from yizhan.core.contract import reason_object
from yizhan.model import AccountState, Reason
from yizhan.runtime.views import Readiness
from yizhan.web import metrics, shapes
from yizhan.web.events import hub_of
from yizhan.web.exchange import answer, gateway_of

router = APIRouter(tags=["health"])

HIDDEN = "…"
_USER = re.compile(r"(?<=://)[^/?#\s]*@")


@router.get("/healthz", responses={200: {"model": shapes.Health}})
async def healthz(request: Request) -> Response:
    """The process is alive."""
    return answer({"alive": True, "version": request.app.version})


@router.get(
    "/readyz",
    responses={
        200: {"model": shapes.Readiness, "description": "ready"},
        503: {"model": shapes.Readiness, "description": "not ready; `reasons` say why"},
    },
)
async def readyz(
    request: Request,
    accounts: Annotated[
        Literal["all"] | None, Query(description="all: ready only if every account is up as well")
    ] = None,
) -> Response:
    """The store takes writes and the dispatcher runs. A gateway without accounts is ready."""
    readiness = await gateway_of(request).readiness()
    reasons = (*readiness.reasons, *(_not_up(readiness) if accounts == "all" else ()))
    shape = {
        "ready": not reasons,
        "reasons": [reason_object(reason) for reason in reasons],
        "accounts": [{"id": id, "state": state.value} for id, state in readiness.accounts.items()],
    }
    return answer(shape, 503 if reasons else 200)


def _not_up(readiness: Readiness) -> list[Reason]:
    states = readiness.accounts.items()
    return [
        Reason("account-not-up", f"{account} is {state.value}")
        for account, state in states
        if state is not AccountState.UP
    ]


@router.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
async def get_metrics(request: Request) -> Response:
    """Prometheus's text format."""
    counted = request.app.state.metrics
    assert isinstance(counted, metrics.Metrics)
    reading = await metrics.read(gateway_of(request), hub_of(request).readers)
    return Response(counted.text(reading), 200, {"Content-Type": metrics.CONTENT_TYPE})


@router.get("/v1/settings", responses={200: {"model": shapes.Settings}})
async def get_settings(request: Request) -> Response:
    """What is in force, from file, environment and defaults; secrets are replaced."""
    settings = gateway_of(request).settings
    return answer({"settings": without_secrets(settings), "sources": dict(settings.sources)})


def without_secrets(section: BaseModel) -> dict[str, Any]:
    """The section as JSON values. What keeps out of `repr` is secret; so is a program's environment, and the user in an
    address."""
    shape = section.model_dump(mode="json", exclude={"home"})
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            shape[name] = without_secrets(value)
        elif name == "env":
            shape[name] = dict.fromkeys(value, HIDDEN)
        elif not field.repr and value:
            shape[name] = HIDDEN
        elif name == "agents":
            shape[name] = {key: without_secrets(agent) for key, agent in value.items()}
        elif isinstance(value, str):
            shape[name] = _USER.sub(f"{HIDDEN}@", value)
    return shape
