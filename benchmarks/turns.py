"""What a turn costs beyond its agent: a real gateway process, and an OpenAI-compatible endpoint in this one that notes
when it was asked and when it had answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from benchmarks.figure import Figure, quantile_ms
from benchmarks.load import WATCHED
from benchmarks.stage import Stage, stage

QUESTIONS, CHATS = 60, 20
STREAMS, CHUNKS, CHUNK_S = 200, 50, 0.1
EARLY = {"YIZHAN_TURNS__FIRST_SENTENCE": "always"}
SENTENCE = "The first sentence stands for itself. "


@dataclass
class Endpoint:
    """Streams `chunks` pieces, the first of which is a sentence. Times are monotonic seconds, as things happened."""

    chunks: int = 1
    gap_s: float = 0
    asked: list[float] = field(default_factory=list)
    sentences: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.asked.append(time.monotonic())
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        for number in range(self.chunks):
            if number:
                await asyncio.sleep(self.gap_s)
            await stream.write(_chunk(SENTENCE if number == 0 else f"piece {number} "))
            if number == min(1, self.chunks - 1):
                self.sentences.append(time.monotonic())
        self.answered.append(time.monotonic())
        await stream.write(b"data: [DONE]\n\n")
        return stream


def _chunk(text: str) -> bytes:
    shape = {"choices": [{"index": 0, "delta": {"content": text}}]}
    return f"data: {json.dumps(shape)}\n\n".encode()


@contextlib.asynccontextmanager
async def _listening(endpoint: Endpoint) -> AsyncIterator[dict[str, str]]:
    """The endpoint on a port of its own; gives the environment in which the gateway asks it at once."""
    application = web.Application()
    application.router.add_post("/v1/chat/completions", endpoint.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield {
            "YIZHAN_AGENT": "main",
            "YIZHAN_AGENTS__MAIN": f'{{kind: openai, base_url: "http://127.0.0.1:{port}/v1", model: m}}',
            "YIZHAN_TURNS__DEBOUNCE_S": "0",
        }
    finally:
        await runner.cleanup()


async def turn_overhead() -> list[Figure]:
    """From the tap on "send" to the agent's door, and from the agent's last byte to the platform's: one at a time."""
    endpoint = Endpoint()
    async with _listening(endpoint) as environ, stage(CHATS, environ) as made:
        await made.shown(CHATS)
        waits = [await _ask(made, endpoint, number) for number in range(QUESTIONS)]
    return [
        Figure("a turn beyond agent and debounce, p50", quantile_ms(waits, 0.5), 15, "ms"),
        Figure("a turn beyond agent and debounce, p99", quantile_ms(waits, 0.99), None, "ms"),
    ]


async def _ask(made: Stage, endpoint: Endpoint, number: int) -> float:
    """The gateway's share of one turn, in seconds."""
    seen, asked, began = len(made.arrivals), len(endpoint.asked), time.monotonic()
    made.world.say(made.users[number % CHATS], f"question {number}", made.sim.clock.now_ms())
    await made.shown(seen + 1)
    return (endpoint.asked[asked] - began) + (max(made.arrivals.values()) - endpoint.answered[asked])


async def first_bubble(questions: int = 12) -> list[Figure]:
    """From the end of the agent's first sentence to the platform, while the agent goes on; one answer at a time."""
    endpoint = Endpoint(chunks=4, gap_s=0.1)
    waits = []
    async with _listening(endpoint) as environ, stage(1, environ | EARLY) as made:
        await made.shown(2)
        for number in range(1, questions + 1):
            seen = len(made.arrivals)
            made.world.say(made.users[0], f"question {number}", made.sim.clock.now_ms())
            await made.shown(seen + 2)
            waits.append(sorted(made.arrivals.values())[seen] - endpoint.sentences[number])
    return [Figure("first sentence said → on the wire, p50", quantile_ms(waits, 0.5), 50, "ms")]


async def streams() -> list[Figure]:
    """Two hundred chats are answered at once, in five seconds of small pieces each; first sentences go ahead."""
    endpoint = Endpoint()
    extra = EARLY | {"YIZHAN_TURNS__WORKERS": str(STREAMS)}
    async with _listening(endpoint) as environ, stage(STREAMS, environ | extra, WATCHED) as made:
        await made.shown(STREAMS)
        await asyncio.sleep(1)
        return await _stream(made, endpoint)


async def _stream(made: Stage, endpoint: Endpoint) -> list[Figure]:
    before_mib, seen = made.gateway.memory_mib(), len(made.arrivals)
    made.gateway.forget_stalls()
    endpoint.chunks, endpoint.gap_s = CHUNKS, CHUNK_S
    for times in (endpoint.asked, endpoint.sentences, endpoint.answered):
        times.clear()
    for user in made.users:
        made.world.say(user, "tell me", made.sim.clock.now_ms())
    await made.shown(seen + 2 * STREAMS)
    added_mib, stall_ms = made.gateway.memory_mib() - before_mib, made.gateway.worst_stall_ms()
    bubbles = sorted(made.arrivals.values())[seen : seen + STREAMS]
    waits = [bubble - said for bubble, said in zip(bubbles, sorted(endpoint.sentences), strict=True)]
    early = sum(bubble < max(endpoint.answered) for bubble in bubbles)
    return [
        Figure("200 chats streaming at once: memory added", added_mib, 64, "MiB"),
        Figure("… longest stall of the event loop", stall_ms, 100, "ms"),
        Figure("… first bubbles before the last stream's end", early, None, ""),
        Figure("… first sentence said → on the wire, p50", quantile_ms(waits, 0.5), None, "ms"),
    ]
