"""/v1/events: the route of the event stream (hub.py has the events) and the response that carries it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from yizhan.core.contract import EVENT_TYPES
from yizhan.errors import InvalidRequest
from yizhan.model import AccountId
from yizhan.web.exchange import Word, gateway_of
from yizhan.web.hub import EventHub, Reader, Wanted
from yizhan.web.keys import KeyRing, key_in, ring_of

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway

router = APIRouter(tags=["events"])

FAREWELL_S = 0.2
"""For the proper end of a stream whose client may take nothing any more."""
ID_MAX = 2**63 - 1


class EventStream(Response):
    """The response of an event stream: ends with its reader, with its key, or when the client goes away."""

    def __init__(self, hub: EventHub, reader: Reader, keys: KeyRing, key: bytes) -> None:
        self._hub = hub
        self._reader = reader
        self._keys = keys
        self._key = key
        self.status_code = 200
        self.background = None
        self.init_headers(
            {
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        gone = asyncio.create_task(self._until_gone(receive), name="events-client")
        self._hub.join(self._reader)
        try:
            with self._keys.while_good(self._key, self._reader.cut):
                await self._reader.run(send)
        finally:
            self._hub.leave(self._reader)
            gone.cancel()
        await self._farewell(send)

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._reader.cut()

    async def _farewell(self, send: Send) -> None:
        """The proper end of the body, unless the client takes nothing any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})


@router.get(
    "/v1/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "a stream that does not end"},
    },
)
async def get_events(
    request: Request,
    last_event_id: Annotated[
        str | None, Header(description="go on after this id; 0: from the oldest kept")
    ] = None,
    since: Annotated[
        str | None, Query(alias="last_event_id", description="the same, for clients without headers")
    ] = None,
    account: Annotated[Word | None, Query(description="only this account's")] = None,
    chat: Annotated[Word | None, Query(description="only this chat's (a TARGET)")] = None,
    types: Annotated[Word | None, Query(description="only these types, separated by commas")] = None,
) -> Response:
    """Events as they are committed, from now or from the id given."""
    hub = hub_of(request)
    wanted = await _wanted(gateway_of(request), account, chat, types)
    reader = await hub.open(_event_id(last_event_id or since), wanted)
    key = key_in(request.headers.get("authorization", "").encode("latin-1")) or b""
    return EventStream(hub, reader, ring_of(request), key)


def hub_of(request: Request) -> EventHub:
    hub = request.app.state.hub
    assert isinstance(hub, EventHub)
    return hub


def _event_id(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= ID_MAX):
        raise InvalidRequest(
            "Last-Event-ID is no event id.", "Send an id that an event carried, or 0, or none."
        )
    return int(text)


async def _wanted(gateway: Gateway, account: str | None, chat: str | None, types: str | None) -> Wanted:
    kinds = frozenset(filter(None, (types or "").split(",")))
    if not kinds <= set(EVENT_TYPES):
        raise InvalidRequest(
            "types names an event type that does not exist.", f"Known: {', '.join(EVENT_TYPES)}."
        )
    if chat:
        target = await gateway.resolve(chat)
        if account not in (None, target.account):
            raise InvalidRequest("The chat is not one of that account.", "Give one of the two.")
        return Wanted(target.account, target.chat, kinds)
    return Wanted(AccountId(account) if account else None, None, kinds)
