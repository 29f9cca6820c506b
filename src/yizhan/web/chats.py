"""/v1/chats, /v1/chat and /v1/timeline: what was said, what was generated and what was delivered, per chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from yizhan.core.contract import JsonObject, chat_object, reason_object, time_text, timeline_object
from yizhan.errors import InvalidRequest
from yizhan.model import AccountId, Message
from yizhan.ports import TimelineRow
from yizhan.runtime.views import ChatAllowanceView
from yizhan.web import shapes
from yizhan.web.exchange import Body, Word, answer, gateway_of, read_body, takes

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway

router = APIRouter(tags=["chats"])

ChatQuery = Annotated[Word, Query(description="a TARGET: platform:account:chat, or platform:chat")]
CursorQuery = Annotated[Word | None, Query(description="`next` of the page before")]
SearchQuery = Annotated[Word | None, Query(description="only what contains these words")]
LimitQuery = Annotated[int, Query(ge=1, le=200)]


class ChatBody(Body):
    """What to change of a chat; at least one of them."""

    paused: bool | None = Field(None, description="hold back what is to be sent there, or let it go")
    taken_over: bool | None = Field(
        None, description="a person answers instead of the agent, until it is handed back"
    )


@router.get("/v1/chats", responses={200: {"model": shapes.ChatPage}})
async def list_chats(
    request: Request,
    account: Annotated[Word | None, Query(description="only this account's")] = None,
    search: SearchQuery = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 50,
) -> Response:
    """The conversations, the most recently used first."""
    gateway = gateway_of(request)
    page = await gateway.store.chats(AccountId(account) if account else None, cursor, limit, search or "")
    left = await gateway.outbound.allowances.of_chats([chat.target for chat in page.rows])
    items = [
        chat_object(chat) | {"allowance": _allowance_object(left.get(chat.target))} for chat in page.rows
    ]
    return answer({"items": items, "next": page.next})


@router.patch("/v1/chat", responses={200: {"model": shapes.ChatListed}}, openapi_extra=takes(ChatBody))
async def change_chat(request: Request, chat: ChatQuery) -> Response:
    """Hold back what is to be sent to a chat, or let it go again; answer it yourself, or hand it back to the agent."""
    gateway = gateway_of(request)
    body = await read_body(request, ChatBody)
    if body.paused is None and body.taken_over is None:
        raise InvalidRequest("Nothing is to be changed.", "Give paused, taken_over, or both.")
    target = await gateway.resolve(chat)
    if body.paused is not None:
        chat_now = await gateway.pause_chat(target, body.paused)
    if body.taken_over is not None:
        chat_now = await gateway.take_over(target, body.taken_over)
    left = await gateway.outbound.allowances.of_chats([target])
    return answer(chat_object(chat_now) | {"allowance": _allowance_object(left.get(target))})


@router.get("/v1/timeline", responses={200: {"model": shapes.TimelinePage}})
async def get_timeline(
    request: Request,
    chat: ChatQuery,
    search: SearchQuery = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 50,
) -> Response:
    """Inbound, turns, outbound with parts, and recognised repeats of one chat, newest first."""
    gateway = gateway_of(request)
    page = await gateway.store.timeline(await gateway.resolve(chat), cursor, limit, search or "")
    rows = [timeline_object(_current(gateway, row)) for row in page.rows]
    return answer({"items": rows, "next": page.next})


def _allowance_object(view: ChatAllowanceView | None) -> JsonObject | None:
    if view is None:
        return None
    return {
        "used": view.used,
        "left": view.left,
        "until": time_text(view.until_ms),
        "waiting_for": view.waiting_for and view.waiting_for.value,
        "reason": reason_object(view.reason),
        "next_attempt_at": time_text(view.next_attempt_at_ms),
    }


def _current(gateway: Gateway, row: TimelineRow) -> TimelineRow:
    return gateway.overlay(row) if isinstance(row, Message) else row
