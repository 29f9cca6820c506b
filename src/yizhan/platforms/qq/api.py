"""Calls of QQ's API with the account's access token on them. Thin.

A token that is refused is dropped, and the request goes once more with a new one: a refusal of the token judged
nothing else. Nothing else is ever repeated here; the outbox is the retry. All of it, tokens included, happens within
the time of the request.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from yizhan.core.connection import Lost, LostKind
from yizhan.model import Account, ChatId, ReplyToken
from yizhan.platforms.qq import calls
from yizhan.platforms.qq.access import Access
from yizhan.platforms.qq.answers import token_refused
from yizhan.platforms.qq.chats import Scope, read_chat
from yizhan.platforms.qq.events import EVENT_TOKEN
from yizhan.ports import Absence, AbsenceKind, Clock, Http, Reply, Request

LATE = Lost(LostKind.NETWORK, "no-token", "no access token in time")


class Api:
    """The authorised calls of one account."""

    def __init__(self, http: Http, access: Access, clock: Clock) -> None:
        self._http = http
        self._access = access
        self._clock = clock

    async def call(self, request: Request) -> Reply | Lost:
        """The reply, or why there was no token to ask with."""
        until_ms = self._clock.now_ms() + request.timeout_ms
        token = await self._token(until_ms)
        if isinstance(token, Lost):
            return token
        reply = await self._ask(request, token, until_ms)
        if isinstance(reply, Lost) or not token_refused(reply):
            return reply
        fresh = await self._token(until_ms)
        return (
            reply if isinstance(fresh, Lost) or fresh == token else await self._ask(request, fresh, until_ms)
        )

    async def _token(self, until_ms: int) -> str | Lost:
        """Whoever stops waiting does not end the question; the next call finds its answer."""
        try:
            async with asyncio.timeout(self._left_ms(until_ms) / 1_000):
                return await self._access.get()
        except TimeoutError:
            return LATE

    async def _ask(self, request: Request, token: str, until_ms: int) -> Reply | Lost:
        left_ms = self._left_ms(until_ms)
        if not left_ms:
            return LATE
        asked = self._access.direct(replace(request, timeout_ms=left_ms))
        reply = await self._http.call(_authorised(asked, token))
        self._access.note(reply)
        if token_refused(reply):
            self._access.drop(token)
        return reply

    def _left_ms(self, until_ms: int) -> int:
        return max(0, until_ms - self._clock.now_ms())


async def type_in(account: Account, api: Api, chat: ChatId, token: ReplyToken | None, now_ms: int) -> None:
    """Shows "typing…" as an answer to the token's message, best effort. Single chats only."""
    named = read_chat(chat)
    if named is None or named.scope is not Scope.C2C or token is None or token.token.startswith(EVENT_TOKEN):
        return
    await api.call(calls.typing(account, named, token.token, now_ms))


def sent(reply: Reply | Lost) -> Reply:
    """The reply to a send; without a token to send with, nothing has left."""
    return Absence(AbsenceKind.NOT_SENT, reply.text) if isinstance(reply, Lost) else reply


def _authorised(request: Request, token: str) -> Request:
    return replace(request, headers={**request.headers, "Authorization": f"QQBot {token}"})
