"""Any endpoint that speaks OpenAI's chat completions, read as it streams.

How an answer ends decides what it is worth. It is whole when the model said why it stopped
(`finish_reason`) or the stream said `[DONE]`. A stream that merely stops is a failure, however much text
came: half an answer that looks like a whole one is worse than being asked again. Where an answer is cut,
by our bound or by the model's, a line in the chat's language says so.

What the endpoint is told of the conversation depends on who is behind it: presets.py.

Three patiences: to connect, with silence (before the first byte and between bytes, for a local model may
load for a minute), and with the whole. A question is never sent twice by itself: each uses a connection
of its own, so that no idle one can turn out dead after the question has left.

Source: OpenAI API reference, "Create chat completion" and "chat.completion.chunk" (2026);
`reasoning_content` as DeepSeek and vLLM stream it, which is not part of the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from yizhan import __version__
from yizhan.agents.answer import AnswerText, Language
from yizhan.agents.completion import NoCompletion, Reading, complaint
from yizhan.agents.history import alternating, remembered
from yizhan.agents.presets import PRESETS
from yizhan.agents.sse import EventStream, EventTooLong
from yizhan.ports import AgentFailed, Piece, Question, Said, Session
from yizhan.settings import OpenAiAgent

MAX_EVENT_BYTES = 4 * 1024 * 1024
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_COMPLAINT_BYTES = 64 * 1024
MAX_SESSION_CHARS = 256
LINGER_S = 5
"""After the model has said why it stopped, we wait no longer than this for the stream's own end."""


class OpenAiAnswers:
    """Asks one model of one endpoint. Says one output for each question, as it streams."""

    def __init__(self, name: str, settings: OpenAiAgent, language: Language) -> None:
        self.name = name
        self._settings = settings
        self._preset = PRESETS[settings.preset]
        self._language = language
        self._url = _completions_url(settings.base_url)
        self._session: aiohttp.ClientSession | None = None

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        by = asyncio.get_running_loop().time() + self._settings.timeout_s
        try:
            async with await self._post(question, by) as response:
                async for piece in self._read(response, by):
                    yield piece
        except (aiohttp.ClientPayloadError, EventTooLong, NoCompletion) as error:
            raise AgentFailed("agent-broken-stream", f"{self._url}: {error}.") from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            why = str(error) or type(error).__name__
            raise AgentFailed("agent-unreachable", f"{self._url} cannot be reached: {why}.") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # asking

    async def _post(self, question: Question, by: float) -> aiohttp.ClientResponse:
        async with self._patience(by):
            return await self._opened_session().post(
                self._url,
                data=request_body(self._settings, question),
                headers=self._headers(question),
                allow_redirects=False,
            )

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._settings.connect_timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _headers(self, question: Question) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"yizhan/{__version__}",
            **self._preset.headers(question),
        }
        key = self._settings.api_key.strip()
        return headers | {"Authorization": f"Bearer {key}"} if key else headers

    @asynccontextmanager
    async def _patience(self, by: float) -> AsyncIterator[None]:
        """One wait for the endpoint: it ends with a silence longer than the settings allow, and when the time for the
        whole answer is over."""
        idle = asyncio.get_running_loop().time() + self._settings.idle_timeout_s
        try:
            async with asyncio.timeout_at(min(idle, by)):
                yield
        except aiohttp.ClientError:  # its own time-out to connect is a TimeoutError too
            raise
        except TimeoutError:
            late = f"did not finish within {self._settings.timeout_s:g} s"
            silent = f"said nothing for {self._settings.idle_timeout_s:g} s"
            raise AgentFailed("agent-timeout", f"{self._url} {silent if idle < by else late}.") from None

    # reading

    async def _read(self, response: aiohttp.ClientResponse, by: float) -> AsyncGenerator[Piece]:
        if response.status != 200:
            raise self._refusal(response.status, await self._body(response, MAX_COMPLAINT_BYTES, by))
        if session := response.headers.get(self._preset.session_header, "")[:MAX_SESSION_CHARS]:
            yield Session(session)
        reading = Reading(AnswerText(self._settings.max_answer_chars, self._language))
        if response.content_type == "text/event-stream":
            async for piece in self._read_stream(response, reading, by):
                yield piece
        else:
            for piece in self._read_whole(await self._body(response, MAX_BODY_BYTES, by), reading):
                yield piece
        for piece in self._closed(reading):
            yield piece

    async def _read_stream(
        self, response: aiohttp.ClientResponse, reading: Reading, by: float
    ) -> AsyncGenerator[Piece]:
        stream = EventStream(MAX_EVENT_BYTES)
        while not reading.enough:
            chunk = await self._chunk(response, reading, by)
            for event in stream.feed(chunk) if chunk else stream.end():
                for piece in reading.take_event(event):
                    yield piece
            if not chunk:
                return

    async def _chunk(self, response: aiohttp.ClientResponse, reading: Reading, by: float) -> bytes:
        """The next bytes, empty at the end. Once the answer is whole, nothing that happens spoils it."""
        if not reading.whole:
            async with self._patience(by):
                return await response.content.readany()
        try:
            async with asyncio.timeout(LINGER_S):
                return await response.content.readany()
        except (TimeoutError, aiohttp.ClientError):
            return b""

    def _read_whole(self, body: bytes, reading: Reading) -> list[Piece]:
        """An answer without streaming, from a server that ignores `stream`, or a stream under a wrong name."""
        start = body.lstrip()[:6]
        if start.startswith(b"<"):
            raise AgentFailed(
                "agent-web-page",
                f"{self._url} answers a web page, not an API. Check agents.{self.name}.base_url; "
                "it often ends in /v1.",
            )
        if start.startswith((b"data:", b"event:", b":")):
            stream = EventStream(MAX_BODY_BYTES)
            events = [*stream.feed(body), *stream.end()]
            return [piece for event in events for piece in reading.take_event(event)]
        return reading.take_whole(body)

    async def _body(self, response: aiohttp.ClientResponse, max_bytes: int, by: float) -> bytes:
        """What came, at most `max_bytes` of it."""
        body = bytearray()
        while len(body) < max_bytes:
            async with self._patience(by):
                chunk = await response.content.readany()
            if not chunk:
                break
            body += chunk
        return bytes(body[:max_bytes])

    # judging

    def _closed(self, reading: Reading) -> list[Piece]:
        """What is left to be said of a whole answer; of another one, why it is none."""
        if reading.complaint is not None:
            raise AgentFailed("agent-error", f"{self._url} failed: {self._clean(reading.complaint)}")
        if not reading.enough and not reading.whole:
            raise AgentFailed("agent-broken-stream", f"{self._url} broke off in the middle of its answer.")
        rest = reading.end()
        if reading.silent:
            why = f" (finish_reason {reading.finish_reason[:40]})" if reading.finish_reason else ""
            raise AgentFailed("agent-silent", f"{self._url} ended its answer without any text{why}.")
        return rest

    def _refusal(self, status: int, body: bytes) -> AgentFailed:
        code, advice = _judge_status(status, self.name)
        words = self._clean(complaint(body))
        said = f": {words}" if words else ""
        return AgentFailed(code, f"{self._url} answered http {status}{said}. {advice}".strip())

    def _clean(self, words: str) -> str:
        """The endpoint's words in one bounded line, without our key."""
        key = self._settings.api_key.strip()
        line = " ".join(words.split())
        return (line.replace(key, "…") if key else line)[:300].rstrip(".")


def _completions_url(base_url: str) -> str:
    base = base_url.rstrip("/")
    return base if base.endswith("/chat/completions") else f"{base}/chat/completions"


def _judge_status(status: int, name: str) -> tuple[str, str]:
    """A stable code and what to do, for a status other than 200."""
    if status in (401, 403):
        return "agent-refused", f"Check agents.{name}.api_key."
    if status in (404, 405) or 300 <= status < 400:
        return "agent-not-found", f"Check agents.{name}.base_url and agents.{name}.model."
    if status == 429:
        return "agent-busy", "The endpoint limits us; ask less, or raise its limit."
    return "agent-error", ""


def request_body(settings: OpenAiAgent, question: Question) -> bytes:
    """The JSON of one question: system prompt, history where the endpoint has none, the text asked."""
    shape: dict[str, object] = {
        "model": settings.model,
        "messages": _messages(settings, question),
        "stream": True,
        **PRESETS[settings.preset].members(question),
    }
    if settings.temperature is not None:
        shape["temperature"] = settings.temperature
    return msgspec.json.encode(shape)


def _messages(settings: OpenAiAgent, question: Question) -> list[dict[str, str]]:
    preset = PRESETS[settings.preset]
    prompt = settings.system_prompt if preset.takes_system else ""
    system = [{"role": "system", "content": prompt}] if prompt else []
    most = 0 if preset.remembers else settings.history_messages
    lines = remembered(question.history, most, settings.history_tokens, question.language)
    return [*system, *alternating([*lines, Said("user", question.text, 0)])]
