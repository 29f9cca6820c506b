"""/v1/chats, /v1/chat and /v1/timeline: what was said, what was generated and what was delivered, per chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yizhan.core.contract import chat_object, timeline_object
from yizhan.model import AccountId, Message
from yizhan.ports import TimelineRow
from yizhan.web import shapes
from yizhan.web.exchange import Body, Word, answer, gateway_of, read_body, takes

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway

router = APIRouter(tags=["chats"])

ChatQuery = Annotated[Word, Query(description="a TARGET: platform:account:chat, or platform:chat")]
CursorQuery = Annotated[Word | None, Query(description="`next` of the page before")]
LimitQuery = Annotated[int, Query(ge=1, le=200)]


class ChatBody(Body):
    """What to change of a chat."""

    paused: bool


@router.get("/v1/chats", responses={200: {"model": shapes.ChatPage}})
async def list_chats(
    request: Request,
    account: Annotated[Word | None, Query(description="only this account's")] = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 50,
) -> Response:
    """The conversations, the most recently used first."""
    page = await gateway_of(request).store.chats(AccountId(account) if account else None, cursor, limit)
    return answer({"items": [chat_object(chat) for chat in page.rows], "next": page.next})


@router.patch("/v1/chat", responses={200: {"model": shapes.Chat}}, openapi_extra=takes(ChatBody))
async def change_chat(request: Request, chat: ChatQuery) -> Response:
    """Hold back what is to be sent to a chat, or let it go again."""
    gateway = gateway_of(request)
    body = await read_body(request, ChatBody)
    target = await gateway.resolve(chat)
    return answer(chat_object(await gateway.pause_chat(target, body.paused)))


@router.get("/v1/timeline", responses={200: {"model": shapes.TimelinePage}})
async def get_timeline(
    request: Request, chat: ChatQuery, cursor: CursorQuery = None, limit: LimitQuery = 50
) -> Response:
    """Inbound, turns, outbound with parts, and recognised repeats of one chat, newest first."""
    gateway = gateway_of(request)
    page = await gateway.store.timeline(await gateway.resolve(chat), cursor, limit)
    rows = [timeline_object(_current(gateway, row)) for row in page.rows]
    return answer({"items": rows, "next": page.next})


def _current(gateway: Gateway, row: TimelineRow) -> TimelineRow:
    return gateway.overlay(row) if isinstance(row, Message) else row
