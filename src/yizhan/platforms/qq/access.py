"""Access tokens: what opens QQ's API and its gateway for two hours at most.

The endpoint answers HTTP 200 whatever it says, gives the same token until its last minute, and a new one then,
while the old one still lives: so it is asked in the last minute and no sooner. One question at a time, whoever
needs a token; a refusal is remembered for as long as it should be, so that nobody hammers.
Source: the wiki bot.q.qq.com, "access-token" (2026); botpy #141 (a page in place of an answer).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog

from yizhan.core.connection import Lost, LostKind
from yizhan.model import Account
from yizhan.platforms.http import host_of
from yizhan.platforms.qq import calls
from yizhan.platforms.qq.answers import read
from yizhan.platforms.qq.bases import OTHERS, Bases, bases_of, directed, noted
from yizhan.platforms.qq.policy import API_URL, TOKEN_URL
from yizhan.ports import Answer, Clock, Http, Reply, Request

log = structlog.get_logger("qq")

LIFETIME_MS = 7_200_000
RENEW_MS = 45_000
"""With less than this left, a new one is asked for; within the last minute the endpoint gives one."""
LAST_MS = 2_000
"""With less than this left, a token is not used: it might not live until it arrives."""
ASK_GAP_MS = 5_000
"""Between two questions that are answered with a token."""
FAILED_MS = 1_000
TOO_OFTEN_MS = 30_000
"""A failure, and the answer "too often", stand for so long."""

TOO_OFTEN = frozenset({100001, 100017})
ADVICE = "check app id and client secret: yizhan account add qq --app-id … replaces them"
WRONG = {
    100007: "QQ does not know this app id, or the bot is banned or deleted",
    100016: "app id and client secret do not belong together",
    10004: "there is no such bot",
}
"""Source: the wiki bot.q.qq.com, "access-token"."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A token and when it ends, by our clock."""

    token: str = field(repr=False)
    until_ms: int


def read_grant(reply: Reply, now_ms: int) -> Grant | Lost:
    """The endpoint's answer. `expires_in` comes as a text, whatever the documents say; a token without one is
    believed to live as long as they all do."""
    envelope = read(reply)
    if isinstance(envelope, Lost):
        return _explained(envelope, reply)
    token = envelope.fields.text("access_token").strip()
    if not token or not token.isascii() or not token.isprintable() or len(token) > 4_096:
        return Lost(LostKind.SERVER, "no-token", "the token endpoint's answer holds no token")
    seconds = envelope.fields.integer("expires_in")
    lives_ms = LIFETIME_MS if seconds is None else max(0, min(seconds * 1_000, LIFETIME_MS))
    return Grant(token, now_ms + lives_ms)


def _explained(lost: Lost, reply: Reply) -> Lost:
    """What cannot be reached is the token's host, which is not the API's: its trouble stays its own."""
    if lost.kind is LostKind.UNREACHABLE:
        return replace(lost, kind=LostKind.NETWORK, text=f"no access token: {lost.text}")
    if not isinstance(reply, Answer) or not lost.code.isdigit():
        return replace(lost, text=f"no access token: {lost.text}")
    code = int(lost.code)
    if code in WRONG:
        return Lost(LostKind.BARRED, lost.code, WRONG[code], ADVICE)
    if code in TOO_OFTEN:
        return Lost(
            LostKind.SERVER, lost.code, "access tokens were asked for too often", wait_ms=TOO_OFTEN_MS
        )
    return lost


class Access:
    """The token of one account. `get` may be called by anybody, as often as they like."""

    def __init__(
        self, account: Account, http: Http, clock: Clock, others: Mapping[str, str] = OTHERS
    ) -> None:
        """`others`: addresses at which the same is served."""
        self._account = account
        self._api = bases_of(account.credentials.base_url or API_URL, others)
        self._tokens = bases_of(account.credentials.token_url or TOKEN_URL, others)
        self._http = http
        self._clock = clock
        self._grant: Grant | None = None
        self._lost: tuple[Lost, int] | None = None
        self._asked_ms: int | None = None
        self._asking: asyncio.Task[None] | None = None

    async def get(self) -> str | Lost:
        """A token that lives, or why there is none."""
        if self._due(self._clock.now_ms()):
            await self._ask_once()
        grant, now_ms = self._grant, self._clock.now_ms()
        if grant is not None and grant.until_ms - now_ms > LAST_MS:
            return grant.token
        if self._lost is not None:
            return self._lost[0]
        return Lost(LostKind.SERVER, "token-refused", "QQ refused the access token that it had just given")

    def drop(self, token: str) -> None:
        """The platform does not accept this one any more."""
        if self._grant is not None and self._grant.token == token:
            self._grant = None

    def direct(self, request: Request) -> Request:
        """A call of the API as it is sent to the address in use."""
        return directed(request, self._api)

    def note(self, reply: Reply) -> None:
        """What came back from there."""
        self._api = self._told(self._api, noted(self._api, reply))

    def _told(self, before: Bases, after: Bases) -> Bases:
        if after.at != before.at:
            log.warning("qq.other_address", account=self._account.id, host=host_of(after.url))
        return after

    def _due(self, now_ms: int) -> bool:
        if self._lost is not None and now_ms < self._lost[1]:
            return False
        if self._asked_ms is not None and now_ms - self._asked_ms < ASK_GAP_MS and self._lost is None:
            return False  # the endpoint would give the same one
        return self._grant is None or self._grant.until_ms - now_ms <= RENEW_MS

    async def _ask_once(self) -> None:
        """Everybody waits for the one question; who stops waiting does not end it for the others."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        self._asked_ms = self._clock.now_ms()
        reply = await self._http.call(directed(calls.access_token(self._account), self._tokens))
        self._tokens = self._told(self._tokens, noted(self._tokens, reply))
        now_ms = self._clock.now_ms()
        grant = read_grant(reply, self._asked_ms)
        if isinstance(grant, Lost):
            self._lost = (grant, now_ms + max(FAILED_MS, grant.wait_ms))
        else:
            self._grant, self._lost = grant, None
