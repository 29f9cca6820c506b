"""/v1/messages: hand over a message, see what became of it, revive or cancel it.

202 means committed to disk; 200 means that the same idempotency key came again and names the same message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from yizhan.core.contract import PRIORITIES, message_object
from yizhan.errors import InvalidRequest
from yizhan.model import AccountId, InboundId, MessageId, MessageState
from yizhan.ports import MessageFilter
from yizhan.runtime.views import Order
from yizhan.web import shapes
from yizhan.web.exchange import Body, Word, answer, gateway_of, read_body, takes, time_ms
from yizhan.web.repeats import KEY_HEADER, KEY_MAX_CHARS, ONCE, SAME, usable

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway

router = APIRouter(tags=["messages"])

LONGEST_WAIT_S = 60

IdempotencyKey = Annotated[Word, Field(max_length=KEY_MAX_CHARS)]


class MessageBody(Body):
    """A message to send. Times are RFC 3339 with an offset."""

    to: Word = Field(description="platform:account:chat, or platform:chat where the platform has one account")
    text: str = Field(description="what to say; cut into parts where the platform needs it")
    idempotency_key: IdempotencyKey | None = Field(
        None,
        description="the same key names the same message; unique per account, kept as long as the message",
    )
    priority: Literal["reply", "push", "progress"] = Field("push", description="the class of the message")
    not_before: shapes.Time | None = Field(None, description="not sent earlier")
    expires_at: shapes.Time | None = Field(None, description="not sent later; ends as expired")
    in_reply_to: Word | None = Field(None, description="id of a received message that this answers")


@router.post(
    "/v1/messages",
    status_code=202,
    responses={
        202: {"model": shapes.Message, "description": "accepted: committed to disk"},
        200: {"model": shapes.Message, "description": SAME},
    },
    openapi_extra=takes(MessageBody) | ONCE,
)
async def post_message(request: Request) -> Response:
    """Hand over a message. The answer comes after it is committed to disk."""
    gateway = gateway_of(request)
    body = await read_body(request, MessageBody)
    order = _order(body, request.headers.get(KEY_HEADER))
    accepted = await gateway.accept(order)
    return answer(message_object(gateway.overlay(accepted.message)), 202 if accepted.created else 200)


def _order(body: MessageBody, key_header: str | None) -> Order:
    return Order(
        to=body.to,
        text=body.text,
        klass=PRIORITIES[body.priority],
        idempotency_key=_one_key(body.idempotency_key, key_header),
        not_before_ms=time_ms(body.not_before, "not_before") if body.not_before is not None else None,
        expires_at_ms=time_ms(body.expires_at, "expires_at") if body.expires_at is not None else None,
        in_reply_to=InboundId(body.in_reply_to) if body.in_reply_to is not None else None,
    )


def _one_key(in_body: str | None, in_header: str | None) -> str | None:
    """The idempotency key, wherever it was given. Raises InvalidRequest if it was given twice, differently."""
    if in_header is None:
        return in_body
    key = usable(in_header)
    if in_body is not None and in_body != key:
        raise InvalidRequest(
            f"The header {KEY_HEADER} and idempotency_key differ.", "Give one of them, or the same in both."
        )
    return key


@router.get("/v1/messages", responses={200: {"model": shapes.MessagePage}})
async def list_messages(
    request: Request,
    account: Annotated[Word | None, Query(description="only this account's")] = None,
    chat: Annotated[Word | None, Query(description="only this chat's (a TARGET)")] = None,
    state: Annotated[
        list[Word] | None, Query(description="only these states; separated by commas, or repeated")
    ] = None,
    since: Annotated[
        shapes.Time | None, Query(description="only those accepted at or after this time")
    ] = None,
    cause: Annotated[
        Word | None, Query(description="only those that wait for this, or whose reason has this code")
    ] = None,
    cursor: Annotated[Word | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Messages, newest first, without their attempts."""
    gateway = gateway_of(request)
    where = await filter_of(gateway, account, chat, state, since, cause)
    page = await gateway.store.messages(where, cursor, limit)
    rows = [message_object(gateway.overlay(row), with_attempts=False) for row in page.rows]
    return answer({"items": rows, "next": page.next})


async def filter_of(
    gateway: Gateway,
    account: str | None,
    chat: str | None,
    state: Iterable[str] | None,
    since: str | None,
    cause: str | None,
) -> MessageFilter:
    """The query parameters of lists of messages. Raises InvalidRequest, UnknownAccount, UnknownChat."""
    where = MessageFilter(
        account=AccountId(account) if account else None,
        states=_states(state or ()),
        since_ms=time_ms(since, "since") if since else None,
        cause=cause or "",
    )
    return await _within_chat(gateway, where, chat) if chat else where


def _states(given: Iterable[str]) -> frozenset[MessageState]:
    names = [name.strip() for words in given for name in words.split(",")]
    try:
        return frozenset(MessageState(name) for name in names)
    except ValueError:
        known = ", ".join(MessageState)
        raise InvalidRequest("state names a state that does not exist.", f"The states are {known}.") from None


async def _within_chat(gateway: Gateway, where: MessageFilter, chat: str) -> MessageFilter:
    target = await gateway.resolve(chat)
    if where.account not in (None, target.account):
        raise InvalidRequest("The chat is not one of that account.", "Give one of the two.")
    return replace(where, account=target.account, chat=target.chat)


@router.get("/v1/messages/{message_id}", responses={200: {"model": shapes.Message}})
async def get_message(
    request: Request,
    message_id: Word,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT_S, description="seconds to hold the answer until the next change")
    ] = 0,
) -> Response:
    """One message with its parts and attempts; with `wait`, at its next change or after that time."""
    gateway = gateway_of(request)
    return answer(message_object(gateway.overlay(await gateway.message(MessageId(message_id), wait))))


@router.post("/v1/messages/{message_id}/retry", responses={200: {"model": shapes.Message}})
async def retry_message(request: Request, message_id: Word) -> Response:
    """Revive what ended failed, expired, cancelled or unconfirmed; hurry what waits."""
    gateway = gateway_of(request)
    return answer(message_object(gateway.overlay(await gateway.retry(MessageId(message_id)))))


@router.post("/v1/messages/{message_id}/cancel", responses={200: {"model": shapes.Message}})
async def cancel_message(request: Request, message_id: Word) -> Response:
    """End every part that is not on the wire."""
    gateway = gateway_of(request)
    return answer(message_object(gateway.overlay(await gateway.cancel(MessageId(message_id)))))
