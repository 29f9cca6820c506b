"""A question, and a small real HTTP server that plays an OpenAI endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from yizhan.model import AccountId, ChatId, Target, TurnId
from yizhan.ports import Agent, Question, Said
from yizhan.runtime.speech import heard

Script = Callable[[web.Request], Awaitable[web.StreamResponse]]

QUESTION = Question(
    turn=TurnId("t_1"),
    target=Target(AccountId("weixin:ab12@im.bot"), ChatId("o9@im.wechat")),
    sender_id="o9@im.wechat",
    sender_name="小明",
    text="你好",
    history=(),
    session="s_1",
)


def ask(text: str = "你好", *history: tuple[str, str]) -> Question:
    """A question after a history of (role, text)."""
    said = tuple(Said(role, line, at) for at, (role, line) in enumerate(history))
    return replace(QUESTION, text=text, history=said)


async def answers(agent: Agent, question: Question = QUESTION) -> list[str]:
    return list((await heard(agent.answer(question))).outputs)


def chunk(text: str = "", finish: str | None = None, **members: Any) -> bytes:
    """One event of a stream, as OpenAI sends it."""
    delta = {"content": text, **members}
    shape = {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(shape).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


@dataclass
class Endpoint:
    """Answers every request by `script`; keeps what it was asked and whether the asker hung up."""

    script: Script
    base_url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.asked.append(await request.json())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.reached.set()
        try:
            return await self.script(request)
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up.set()
            raise


def streams(
    *pieces: bytes,
    then: Callable[[web.Request], Awaitable[None]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Script:
    """A script that streams these bytes, and then does something or ends."""

    async def script(request: web.Request) -> web.StreamResponse:
        kind = {"Content-Type": "text/event-stream; charset=utf-8"}
        response = web.StreamResponse(headers={**kind, **(headers or {})})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if then is not None:
            await then(request)
        return response

    return script


def says(body: bytes | str, status: int = 200, content_type: str = "application/json") -> Script:
    """A script that answers with one body."""

    async def script(_: web.Request) -> web.StreamResponse:
        content = body.encode() if isinstance(body, str) else body
        return web.Response(body=content, status=status, content_type=content_type)

    return script


async def for_ever(_: web.Request) -> None:
    await asyncio.Event().wait()


async def cut_the_line(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


Play = Callable[[Script], Awaitable[Endpoint]]


@pytest.fixture
async def play() -> AsyncIterator[Play]:
    """`await play(script)` → a listening Endpoint."""
    runners: list[web.AppRunner] = []

    async def start(script: Script) -> Endpoint:
        endpoint = Endpoint(script)
        app = web.Application()
        app.router.add_post("/v1/chat/completions", endpoint.take)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        endpoint.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return endpoint

    yield start
    for runner in runners:
        await runner.cleanup()
