"""An agent that is posted the question, and answers at once or later.

    request   POST of JSON: turn, in_reply_to, chat, sender, text, quoted, session, language, history
    proof     webhook-id (the turn), webhook-timestamp (seconds), webhook-signature: `v1,` and the base64 of
              HMAC-SHA256 over `id.timestamp.body`, with the secret; one that begins with `whsec_` is base64
    200       the answer: JSON with `text`, or `texts` for several messages, or plain text; empty: nothing to say
    202       the answer will come by POST /v1/messages with `in_reply_to`
    204       nothing to say

A turn that is asked again after a crash has the same webhook-id. The operator wrote the address down, so it may
be a private one.
Source: standardwebhooks/standard-webhooks, spec/standard-webhooks.md, "Signature scheme" (2026).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import aiohttp
import msgspec

from yizhan.agents.answer import AnswerText, Language
from yizhan.agents.completion import complaint
from yizhan.agents.endpoint import MAX_COMPLAINT_BYTES, Endpoint
from yizhan.agents.history import remembered
from yizhan.agents.shapes import Shape
from yizhan.core.signing import key_of, signature
from yizhan.ports import AgentFailed, Later, OutputEnd, Piece, Question, Session, Text
from yizhan.settings import WebhookAgent

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_SESSION_CHARS = 256
_OURS = frozenset(
    {"webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "content-length", "host"}
)


class _Answer(msgspec.Struct):
    text: str | None = None
    texts: list[str] | None = None
    session: str | None = None


_answer = Shape(_Answer)


class WebhookAnswers:
    """Posts each question to one address. `now_ms` reads the clock: a signature without a time could be replayed."""

    def __init__(
        self, name: str, settings: WebhookAgent, language: Language, now_ms: Callable[[], int]
    ) -> None:
        self.name = name
        self._settings = settings
        self._language = language
        self._now_ms = now_ms
        self._key = key_of(settings.secret)
        self._endpoint = Endpoint(
            settings.url,
            place=f"agents.{name}",
            address_name="url",
            key_name="secret",
            hidden=[settings.secret, *settings.headers.values()],
            connect_timeout_s=settings.connect_timeout_s,
            idle_timeout_s=settings.timeout_s,
            timeout_s=settings.timeout_s,
        )

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        by = self._endpoint.due()
        body = request_body(self._settings, question)
        async with self._endpoint.asked(body, self._headers(question, body), by) as response:
            said = await self._endpoint.body(response, MAX_BODY_BYTES, by)
        for piece in self._judged(response, said):
            yield piece

    async def close(self) -> None:
        await self._endpoint.close()

    def _headers(self, question: Question, body: bytes) -> dict[str, str]:
        given = {name: value for name, value in self._settings.headers.items() if name.lower() not in _OURS}
        return {"Accept": "application/json, text/plain", **given, **self._proof(question.turn, body)}

    def _proof(self, turn: str, body: bytes) -> dict[str, str]:
        stamp = str(self._now_ms() // 1000)
        return {
            "webhook-id": turn,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self._key, turn, stamp, body),
        }

    def _judged(self, response: aiohttp.ClientResponse, body: bytes) -> list[Piece]:
        if response.status == 202:
            return [*_session(_answer.read(body)), Later()]
        if response.status == 204:
            return []
        if response.status != 200:
            raise self._endpoint.refusal(response.status, complaint(body[:MAX_COMPLAINT_BYTES]))
        if response.content_type == "text/plain":
            return self._said([body.decode("utf-8", "replace")])
        if body.lstrip().startswith(b"<"):
            raise self._endpoint.web_page(f"Check agents.{self.name}.url.")
        answer = _answer.read(body)
        if answer is None:
            raise AgentFailed(
                "agent-broken-stream",
                f"{self._endpoint.url}: the answer is no JSON object with text or texts.",
            )
        texts = answer.texts if answer.texts is not None else [answer.text or ""]
        return [*_session(answer), *self._said(texts)]

    def _said(self, texts: list[str]) -> list[Piece]:
        """The messages of one answer, which share its bound."""
        pieces: list[Piece] = []
        room = self._settings.max_answer_chars
        for text in texts:
            bounded = AnswerText(room, self._language)
            if said := (bounded.add(text) + bounded.end()).lstrip():
                pieces += [Text(said), OutputEnd()]
            if bounded.full:
                break
            room -= len(said)
        return pieces


def request_body(settings: WebhookAgent, question: Question) -> bytes:
    """The JSON of one question."""
    lines = remembered(question.history, settings.history_messages, None, question.language)
    shape = {
        "turn": question.turn,
        "in_reply_to": question.in_reply_to,
        "chat": str(question.target),
        "sender": {"id": question.sender_id, "name": question.sender_name},
        "text": question.text,
        "quoted": question.quoted,
        "session": question.session,
        "agent_session": question.agent_session,
        "language": question.language,
        "history": [{"role": line.role, "text": line.text} for line in lines],
    }
    return msgspec.json.encode(shape)


def _session(answer: _Answer | None) -> list[Piece]:
    named = None if answer is None else answer.session
    return [] if named is None else [Session(named[:MAX_SESSION_CHARS])]
