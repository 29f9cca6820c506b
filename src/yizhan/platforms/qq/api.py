"""Calls of QQ's API with the account's access token on them. Thin.

A token that is refused is dropped, and the request goes once more with a new one: a refusal of the token judged
nothing else. Nothing else is ever repeated here; the outbox is the retry.
"""

from __future__ import annotations

from dataclasses import replace

from yizhan.core.connection import Lost
from yizhan.platforms.qq.access import Access
from yizhan.platforms.qq.answers import token_refused
from yizhan.ports import Absence, AbsenceKind, Http, Reply, Request


class Api:
    """The authorised calls of one account."""

    def __init__(self, http: Http, access: Access) -> None:
        self._http = http
        self._access = access

    async def call(self, request: Request) -> Reply | Lost:
        """The reply, or why there is no token to ask with."""
        token = await self._access.get()
        if isinstance(token, Lost):
            return token
        reply = await self._http.call(_authorised(request, token))
        if not token_refused(reply):
            return reply
        self._access.drop(token)
        fresh = await self._access.get()
        return reply if isinstance(fresh, Lost) or fresh == token else await self._again(request, fresh)

    async def _again(self, request: Request, token: str) -> Reply:
        reply = await self._http.call(_authorised(request, token))
        if token_refused(reply):
            self._access.drop(token)
        return reply


def sent(reply: Reply | Lost) -> Reply:
    """The reply to a send; without a token to send with, nothing has left."""
    return Absence(AbsenceKind.NOT_SENT, reply.text) if isinstance(reply, Lost) else reply


def _authorised(request: Request, token: str) -> Request:
    return replace(request, headers={**request.headers, "Authorization": f"QQBot {token}"})
