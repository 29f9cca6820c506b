"""/v1/webhooks: addresses of programs that events are posted to. (webhooks.py takes what platforms post to us.)"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, Field, StringConstraints
from starlette.responses import Response

from yizhan.core.contract import JsonObject, reason_object, time_text, webhook_object
from yizhan.errors import InvalidRequest
from yizhan.model import AccountId, Post
from yizhan.runtime.views import WebhookWish
from yizhan.web import shapes
from yizhan.web.chats import CursorQuery, LimitQuery
from yizhan.web.exchange import Body, Word, answer, gateway_of, read_body, takes
from yizhan.web.repeats import ONCE, SAME, asked_of

router = APIRouter(tags=["webhooks"])

EventType = Literal[
    "message.state", "message.received", "turn.state", "account.state", "chat.state", "alert", "schedule.run"
]


def _address(text: str) -> str:
    if not re.fullmatch(r"https?://[!-~]+", text):
        raise ValueError("should be an http or https address, for example https://example.com/hook")
    return text


def _event_id(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError("should be the id of an event, for example 184467, or 0 for all that are kept")
    return text


Url = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_address)]
EventId = Annotated[str, AfterValidator(_event_id)]


class WebhookBody(Body):
    """An address to post events to."""

    url: Url = Field(description="http or https; private addresses only with webhooks.allow_private")
    types: list[EventType] = Field([], max_length=20, description="none: all that it may have")
    private: bool = Field(False, description="message.received too, with its text")
    account: Word | None = Field(None, description="only the events of this one, and those of none")


class WebhookChange(Body):
    """What to change of a webhook; what is not named stays."""

    url: Url = ""
    types: list[EventType] = Field([], max_length=20)
    private: bool = False
    account: Word | None = None
    paused: bool = False


class ReplayBody(Body):
    """From where on events are posted once more."""

    after: EventId = Field(description="id of the event behind which it goes on; 0: the oldest that is kept")


@router.get("/v1/webhooks", responses={200: {"model": shapes.WebhookList}})
async def list_webhooks(request: Request) -> Response:
    """The webhooks and how far each has come; never their secrets."""
    return answer({"items": [webhook_object(hook) for hook in gateway_of(request).webhooks.all()]})


@router.post(
    "/v1/webhooks",
    status_code=201,
    responses={201: {"model": shapes.WebhookAdded}, 200: {"model": shapes.WebhookAdded, "description": SAME}},
    openapi_extra=takes(WebhookBody) | ONCE,
)
async def add_webhook(request: Request) -> Response:
    """Post events to an address, from now on. The secret is in this answer and nowhere else."""
    body = await read_body(request, WebhookBody)
    wish, asked = await _wish(request, body), asked_of(request, "webhook", body)
    hook, new = await gateway_of(request).webhooks.add_once(body.url, wish, asked)
    return answer(webhook_object(hook) | {"secret": hook.secret}, 201 if new else 200)


@router.get("/v1/webhooks/{webhook_id}", responses={200: {"model": shapes.Webhook}})
async def get_webhook(request: Request, webhook_id: Word) -> Response:
    """One webhook."""
    return answer(webhook_object(gateway_of(request).webhooks.one(webhook_id)))


@router.patch(
    "/v1/webhooks/{webhook_id}",
    responses={200: {"model": shapes.Webhook}},
    openapi_extra=takes(WebhookChange),
)
async def change_webhook(request: Request, webhook_id: Word) -> Response:
    """Change a webhook, pause it, or resume it; what waits is tried at once."""
    body = await read_body(request, WebhookChange)
    if not body.model_fields_set:
        raise InvalidRequest("Nothing is to be changed.", "Name what to change, for example `paused`.")
    hook = await gateway_of(request).webhooks.change(webhook_id, await _wish(request, body))
    return answer(webhook_object(hook))


@router.delete("/v1/webhooks/{webhook_id}", status_code=204)
async def remove_webhook(request: Request, webhook_id: Word) -> Response:
    """Post nothing there any more."""
    await gateway_of(request).webhooks.remove(webhook_id)
    return Response(status_code=204)


@router.get("/v1/webhooks/{webhook_id}/deliveries", responses={200: {"model": shapes.PostPage}})
async def list_deliveries(
    request: Request,
    webhook_id: Word,
    state: Annotated[Literal["failed"] | None, Query(description="only what was not taken")] = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 50,
) -> Response:
    """What became of each event, the latest first."""
    webhooks = gateway_of(request).webhooks
    page = await webhooks.posts(webhook_id, state == "failed", cursor, limit)
    return answer({"items": [_post_object(post) for post in page.rows], "next": page.next})


@router.post("/v1/webhooks/{webhook_id}/test", responses={200: {"model": shapes.Post}})
async def test_webhook(request: Request, webhook_id: Word) -> Response:
    """Post a signed test, once, and tell what was answered; no event is touched."""
    return answer(_post_object(await gateway_of(request).webhooks.test(webhook_id)))


@router.post(
    "/v1/webhooks/{webhook_id}/replay",
    responses={200: {"model": shapes.Webhook}},
    openapi_extra=takes(ReplayBody),
)
async def replay_webhook(request: Request, webhook_id: Word) -> Response:
    """Post events once more, from behind one of them on."""
    body = await read_body(request, ReplayBody)
    webhooks = gateway_of(request).webhooks
    after = int(body.after) or await webhooks.before_the_oldest()
    return answer(webhook_object(await webhooks.replay(webhook_id, after)))


def _post_object(post: Post) -> JsonObject:
    return {
        "event": str(post.event),
        "type": post.type,
        "at": time_text(post.at_ms),
        "took_ms": post.took_ms,
        "tries": post.tries,
        "status": post.status,
        "reason": reason_object(post.reason),
    }


async def _wish(request: Request, body: WebhookBody | WebhookChange) -> WebhookWish:
    """What the body names. Raises UnknownAccount."""
    given = body.model_fields_set
    if body.account:
        await gateway_of(request).store.account(AccountId(body.account))
    return WebhookWish(
        url=body.url if "url" in given else None,
        types=frozenset(body.types) if "types" in given else None,
        private=body.private if "private" in given else None,
        account=AccountId(body.account or "") if "account" in given else None,
        paused=body.paused if isinstance(body, WebhookChange) and "paused" in given else None,
    )
