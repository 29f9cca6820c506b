"""One address that is asked by POST, with three patiences: to connect, with silence, and with the whole.

A question is never sent twice by itself: each uses a connection of its own, so that no idle one can turn out dead after
the question has left. Redirects are not followed. What the other side says when it refuses is for the operator, in
one bounded line, without our secrets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp

from yizhan import __version__
from yizhan.ports import AgentFailed

MAX_COMPLAINT_BYTES = 64 * 1024
_WORDS_CHARS = 300


class Endpoint:
    """Where an agent listens.

    Args:  place         the agent's place in the settings, for advice
           address_name  what leads there, below it
           key_name      what the other side does not accept when it does not know us
           hidden        what must not stand in any complaint
    """

    def __init__(
        self,
        url: str,
        *,
        place: str,
        address_name: str,
        key_name: str,
        hidden: Sequence[str],
        connect_timeout_s: float,
        idle_timeout_s: float,
        timeout_s: float,
    ) -> None:
        self.url = url
        self._place = place
        self._address_name = address_name
        self._key_name = key_name
        self._hidden = [secret for secret in hidden if secret]
        self._connect_timeout_s = connect_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    def due(self) -> float:
        """When the time for an answer to a question asked now is over, in the loop's time."""
        return asyncio.get_running_loop().time() + self._timeout_s

    @asynccontextmanager
    async def asked(
        self, body: bytes, headers: Mapping[str, str], by: float
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The beginning of the answer. What breaks while it is read is an AgentFailed, too."""
        try:
            async with await self._post(body, headers, by) as response:
                yield response
        except aiohttp.ClientPayloadError as error:
            raise AgentFailed("agent-broken-stream", f"{self.url}: {error}.") from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            why = str(error) or type(error).__name__
            raise AgentFailed("agent-unreachable", f"{self.url} cannot be reached: {why}.") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, body: bytes, headers: Mapping[str, str], by: float) -> aiohttp.ClientResponse:
        ours = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"yizhan/{__version__}",
        }
        async with self.patience(by):
            return await self._opened_session().post(
                self.url, data=body, headers={**ours, **headers}, allow_redirects=False
            )

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    @asynccontextmanager
    async def patience(self, by: float) -> AsyncIterator[None]:
        """One wait for the endpoint: it ends with a silence longer than the settings allow, and when the time for the
        whole answer is over."""
        idle = asyncio.get_running_loop().time() + self._idle_timeout_s
        try:
            async with asyncio.timeout_at(min(idle, by)):
                yield
        except aiohttp.ClientError:  # its own time-out to connect is a TimeoutError too
            raise
        except TimeoutError:
            late = f"did not finish within {self._timeout_s:g} s"
            silent = f"said nothing for {self._idle_timeout_s:g} s"
            raise AgentFailed("agent-timeout", f"{self.url} {silent if idle < by else late}.") from None

    async def body(self, response: aiohttp.ClientResponse, max_bytes: int, by: float) -> bytes:
        """What came, at most `max_bytes` of it."""
        body = bytearray()
        while len(body) < max_bytes:
            async with self.patience(by):
                chunk = await response.content.readany()
            if not chunk:
                break
            body += chunk
        return bytes(body[:max_bytes])

    # judging

    def refusal(self, status: int, words: str) -> AgentFailed:
        """What a status means that is no answer."""
        code, advice = self._judge(status)
        cleaned = self.clean(words)
        said = f": {cleaned}" if cleaned else ""
        return AgentFailed(code, f"{self.url} answered http {status}{said}. {advice}".strip())

    def web_page(self, advice: str) -> AgentFailed:
        return AgentFailed("agent-web-page", f"{self.url} answers a web page, not an API. {advice}")

    def clean(self, words: str) -> str:
        """The endpoint's words in one bounded line, without our secrets."""
        line = " ".join(words.split())
        for secret in self._hidden:
            line = line.replace(secret, "…")
        return line[:_WORDS_CHARS].rstrip(".")

    def _judge(self, status: int) -> tuple[str, str]:
        """A stable code and what to do."""
        if status in (401, 403):
            return "agent-refused", f"Check {self._place}.{self._key_name}."
        if status in (404, 405, 410) or 300 <= status < 400:
            return "agent-not-found", f"Check {self._place}.{self._address_name}."
        if status == 429:
            return "agent-busy", "The endpoint limits us; ask less, or raise its limit."
        return "agent-error", ""
