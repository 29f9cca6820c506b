"""Any endpoint that speaks OpenAI's chat completions, read as it streams.

How an answer ends decides what it is worth. It is whole when the model said why it stopped
(`finish_reason`) or the stream said `[DONE]`. A stream that merely stops is a failure, however much text
came: half an answer that looks like a whole one is worse than being asked again. Where an answer is cut,
by our bound or by the model's, a line in the chat's language says so.

What the endpoint is told of the conversation depends on who is behind it: presets.py.

How it is asked, and for how long, stands in endpoint.py: silence is allowed for long, since a local model may load for
a minute before its first byte.

Source: OpenAI API reference, "Create chat completion" and "chat.completion.chunk" (2026);
`reasoning_content` as DeepSeek and vLLM stream it, which is not part of the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import aiohttp
import msgspec

from yizhan.agents.answer import AnswerText, Language
from yizhan.agents.completion import NoCompletion, Reading, complaint
from yizhan.agents.endpoint import MAX_COMPLAINT_BYTES, Endpoint
from yizhan.agents.history import alternating, caught_up, remembered
from yizhan.agents.presets import PRESETS
from yizhan.agents.sse import EventStream, EventTooLong
from yizhan.ports import AgentFailed, Piece, Question, Said, Session
from yizhan.settings import OpenAiAgent

MAX_EVENT_BYTES = 4 * 1024 * 1024
MAX_BODY_BYTES = 8 * 1024 * 1024
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
        self._key = settings.api_key.strip()
        self._endpoint = Endpoint(
            _completions_url(settings.base_url),
            place=f"agents.{name}",
            address_name=f"base_url and agents.{name}.model",
            key_name="api_key",
            hidden=[self._key],
            connect_timeout_s=settings.connect_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
            timeout_s=settings.timeout_s,
        )

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        by = self._endpoint.due()
        body = request_body(self._settings, question)
        try:
            async with (
                self._endpoint.asked(body, self._headers(question), by) as response,
                aclosing(self._read(response, by)) as pieces,
            ):
                async for piece in pieces:
                    yield piece
        except (EventTooLong, NoCompletion) as error:
            raise AgentFailed("agent-broken-stream", f"{self._endpoint.url}: {error}.") from None

    async def close(self) -> None:
        await self._endpoint.close()

    def _headers(self, question: Question) -> dict[str, str]:
        headers = {"Accept": "text/event-stream, application/json", **self._preset.headers(question)}
        return headers | {"Authorization": f"Bearer {self._key}"} if self._key else headers

    # reading

    async def _read(self, response: aiohttp.ClientResponse, by: float) -> AsyncGenerator[Piece]:
        if response.status != 200:
            said = await self._endpoint.body(response, MAX_COMPLAINT_BYTES, by)
            raise self._endpoint.refusal(response.status, complaint(said))
        if session := response.headers.get(self._preset.session_header, "")[:MAX_SESSION_CHARS]:
            yield Session(session)
        reading = Reading(AnswerText(self._settings.max_answer_chars, self._language))
        if response.content_type == "text/event-stream":
            async with aclosing(self._read_stream(response, reading, by)) as pieces:
                async for piece in pieces:
                    yield piece
        else:
            body = await self._endpoint.body(response, MAX_BODY_BYTES, by)
            for piece in self._read_whole(body, reading):
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
            async with self._endpoint.patience(by):
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
            raise self._endpoint.web_page(f"Check agents.{self.name}.base_url; it often ends in /v1.")
        if start.startswith((b"data:", b"event:", b":")):
            stream = EventStream(MAX_BODY_BYTES)
            events = [*stream.feed(body), *stream.end()]
            return [piece for event in events for piece in reading.take_event(event)]
        return reading.take_whole(body)

    def _closed(self, reading: Reading) -> list[Piece]:
        """What is left to be said of a whole answer; of another one, why it is none."""
        url = self._endpoint.url
        if reading.complaint is not None:
            raise AgentFailed("agent-error", f"{url} failed: {self._endpoint.clean(reading.complaint)}")
        if not reading.enough and not reading.whole:
            raise AgentFailed("agent-broken-stream", f"{url} broke off in the middle of its answer.")
        rest = reading.end()
        if reading.silent:
            why = f" (finish_reason {reading.finish_reason[:40]})" if reading.finish_reason else ""
            raise AgentFailed("agent-silent", f"{url} ended its answer without any text{why}.")
        return rest


def _completions_url(base_url: str) -> str:
    base = base_url.rstrip("/")
    return base if base.endswith("/chat/completions") else f"{base}/chat/completions"


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
    text = caught_up(question) if preset.remembers else question.text
    lines = remembered(question.history, most, settings.history_tokens, question.language)
    return [*system, *alternating([*lines, Said("user", text, 0)])]
