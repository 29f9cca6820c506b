"""/v1/accounts: the bots this gateway speaks for, each with its true state."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints
from starlette.responses import Response

from yizhan.core.contract import JsonObject, account_object, time_text
from yizhan.errors import InvalidRequest
from yizhan.model import AccountId, Credentials
from yizhan.runtime.targets import must_show
from yizhan.runtime.views import AccountView, AllowanceView, GateView
from yizhan.web import shapes
from yizhan.web.exchange import Body, WebAddress, Word, answer, gateway_of, read_body, takes

router = APIRouter(tags=["accounts"])

ExternalId = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\s:/\x00-\x1f\x7f]+$")
]
"""What the platform calls the account. Without a colon, which separates it from platform and chat in a TARGET."""

Token = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[\x21-\x7e]+$")]


class AccountBody(Body):
    """An account and what opens its login. The same account again replaces that; its queue is kept."""

    platform: Word
    account_id: ExternalId = Field(
        description="the platform's id of the bot, for example ab12@im.bot; QQ: the app id"
    )
    token: Token = Field(repr=False, description="what opens it; QQ: the client secret")
    user_id: Word | None = Field(None, description="who confirmed the login; is allowed from the start")
    base_url: WebAddress | None = Field(
        None, description="the platform's server; left out: the platform's own"
    )
    cdn_base_url: WebAddress | None = None
    token_url: WebAddress | None = Field(None, description="QQ: where access tokens are issued")
    webhook: bool = Field(False, description="QQ: events are posted to /webhooks/qq/APP; no socket is kept")


@router.get("/v1/accounts", responses={200: {"model": shapes.AccountList}})
async def list_accounts(request: Request) -> Response:
    """All accounts: state, reason, who must act, gates that are not open, what is waiting."""
    views = await gateway_of(request).accounts()
    return answer({"items": [listed_object(view) for view in views]})


def _allowance_object(view: AllowanceView | None) -> JsonObject | None:
    if view is None:
        return None
    window_s = None if view.window_ms is None else view.window_ms / 1000
    return {"sends": view.sends, "window_s": window_s, "learned": view.learned}


def listed_object(view: AccountView) -> JsonObject:
    """An account with its gates, its live messages by state, and when the oldest of them was accepted."""
    return account_object(view.account) | {
        "gates": [_gate_object(gate) for gate in view.gates],
        "allowance": _allowance_object(view.allowance),
        "live": {state.value: count for state, count in view.live.items()},
        "oldest_live_at": time_text(view.oldest_live_at_ms),
    }


def _gate_object(gate: GateView) -> JsonObject:
    return {
        "scope": gate.scope,
        "subject": gate.subject,
        "ready_at": time_text(gate.ready_at_ms),
        "refusals": gate.refusals,
        "reason": gate.reason,
        "limit": gate.limit or None,
    }


@router.post(
    "/v1/accounts",
    status_code=201,
    responses={
        201: {"model": shapes.AccountAdded, "description": "added"},
        200: {
            "model": shapes.AccountAdded,
            "description": "the account was known; its credentials are replaced",
        },
    },
    openapi_extra=takes(AccountBody),
)
async def add_account(request: Request) -> Response:
    """Add an account whose token is at hand, or replace its token."""
    gateway = gateway_of(request)
    body = await read_body(request, AccountBody)
    if body.platform not in gateway.platforms:
        known = ", ".join(sorted(gateway.platforms)) or "none"
        raise InvalidRequest("platform names no platform of this gateway.", f"Known: {known}.")
    must_show("The user's id", body.user_id or "")
    credentials = Credentials(
        secret=body.token,
        base_url=body.base_url or gateway.platforms[body.platform].base_url,
        cdn_base_url=body.cdn_base_url or "",
        token_url=body.token_url or "",
        user_id=body.user_id or "",
        webhook=body.webhook,
    )
    account, created = await gateway.add_account(body.platform, body.account_id, credentials)
    return answer({"id": account.id, "created": created}, 201 if created else 200)


@router.delete("/v1/accounts/{account}", status_code=204)
async def remove_account(request: Request, account: Word) -> Response:
    """Erase the login; what waits is cancelled, history stays."""
    await gateway_of(request).remove_account(AccountId(account))
    return Response(status_code=204)


@router.post("/v1/accounts/{account}/pause", responses={200: {"model": shapes.Account}})
async def pause_account(request: Request, account: Word) -> Response:
    """Stop receiving and sending until resumed."""
    return answer(account_object(await gateway_of(request).pause_account(AccountId(account), True)))


@router.post("/v1/accounts/{account}/resume", responses={200: {"model": shapes.Account}})
async def resume_account(request: Request, account: Word) -> Response:
    """Go on with a paused account."""
    return answer(account_object(await gateway_of(request).pause_account(AccountId(account), False)))
