"""The application: every route of docs/contract.md, behind the guard, with problem documents and OpenAPI.

Guard (auth.py) → routes (messages, accounts, logins, chats, access, keys, events, health, sessions)
                  └── each a thin call of the gateway; the shapes of the answers are core/contract.py's
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from yizhan.errors import YizhanError
from yizhan.web import (
    access,
    accounts,
    alerts,
    chats,
    events,
    exports,
    health,
    hooks,
    keys,
    logins,
    messages,
    problems,
    schedules,
    sessions,
    shapes,
    turns,
    webhooks,
)
from yizhan.web.auth import BODY_MAX_BYTES, Guard, HostNames
from yizhan.web.exchange import Body
from yizhan.web.hub import EventHub
from yizhan.web.keys import KeyRing
from yizhan.web.metrics import Metrics
from yizhan.web.quotas import Quotas
from yizhan.web.sessions import Sessions
from yizhan.web.strict import known_parameters_only

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway
    from yizhan.settings import Settings

ROUTERS: tuple[APIRouter, ...] = (
    messages.router,
    exports.router,
    turns.router,
    logins.router,
    accounts.router,
    chats.router,
    access.router,
    alerts.router,
    schedules.router,
    hooks.router,
    keys.router,
    events.router,
    health.router,
    webhooks.router,
)

BODIES: tuple[type[Body], ...] = (
    messages.MessageBody,
    accounts.AccountBody,
    logins.VerifyBody,
    chats.ChatBody,
    access.RuleBody,
    access.ApprovalBody,
    keys.KeyBody,
    schedules.ScheduleBody,
    schedules.ScheduleChange,
    schedules.PreviewBody,
    hooks.WebhookBody,
    hooks.WebhookChange,
    hooks.ReplayBody,
)
"""Request bodies that routes read themselves; OpenAPI learns of them here."""

BYTES_PER_CHAR = 12
"""A character beyond the basic plane, escaped in JSON, is this long."""


def create_app(gateway: Gateway, *, api_key: str, version: str) -> FastAPI:
    """The HTTP application of a gateway.

    Args:    api_key  the one plain key, which may do everything; not empty.
    Raises:  ValueError  without a key.
    """
    if not api_key:
        raise ValueError("an empty API key would let everybody in")
    app = FastAPI(
        title="Yizhan",
        version=version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.gateway = gateway
    app.state.keys = KeyRing(gateway.store, gateway.clock, gateway.chance, api_key)
    app.state.sessions = Sessions(gateway.clock, gateway.chance, api_key)
    app.state.hub = EventHub(gateway.store, gateway.stopping)
    app.state.metrics = Metrics(version)
    gateway.store.subscribe(app.state.metrics.count)
    _add_routes(app, gateway.settings)
    problems.install(app)
    _add_guard(app, gateway.settings)
    return app


class Express:
    """Takes the one request that every message causes past the framework's routing, of which it needs nothing.

    That routing and its layers cost more CPU than the request itself. OpenAPI knows the route from its router,
    and everything but a plain refusal is left to the layers outside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"] == "/v1/messages" and scope["method"] == "POST"
        if not ours or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        try:
            response = await messages.post_message(Request(scope, receive))
        except (YizhanError, problems.BodyTooLarge) as error:
            response = problems.problem_of_any(error).response()
        await response(scope, receive, send)


def _add_routes(app: FastAPI, settings: Settings) -> None:
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(known_parameters_only)])
    if settings.console.enabled:
        app.include_router(sessions.router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]


def _add_guard(app: FastAPI, settings: Settings) -> None:
    """The layer added last stands outside."""
    app.add_middleware(Express)
    app.add_middleware(
        Guard,
        keys=app.state.keys,
        sessions=app.state.sessions,
        names=HostNames(settings.server),
        quotas=Quotas(
            app.state.gateway.clock,
            settings.server.key_requests_per_minute,
            settings.server.wrong_keys_per_minute,
        ),
        body_max_bytes=max(BODY_MAX_BYTES, BYTES_PER_CHAR * settings.delivery.text_max_chars),
    )


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The schema, made once: the framework's, with the bodies that routes read themselves and every problem."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        _add_bodies(schema)
        for operations in schema["paths"].values():
            for operation in operations.values():
                _add_problem(operation)
        _add_security(schema)
        app.openapi_schema = schema
    return app.openapi_schema


def _add_bodies(schema: dict[str, Any]) -> None:
    wanted = [(kind, "validation") for kind in BODIES] + [(shapes.Problem, "serialization")]
    _, found = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    components.update(found["$defs"])
    for framework_own in ("HTTPValidationError", "ValidationError"):
        components.pop(framework_own, None)


def _add_problem(operation: dict[str, Any]) -> None:
    """Whatever is not named otherwise is a problem document."""
    shape = {"schema": {"$ref": "#/components/schemas/Problem"}}
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "a problem document",
        "content": {problems.MEDIA_TYPE: shape},
    }


def _add_security(schema: dict[str, Any]) -> None:
    schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"key": []}]
    for path, method in (("/healthz", "get"), ("/readyz", "get"), (webhooks.PATH, "post")):
        schema["paths"][path][method]["security"] = []
