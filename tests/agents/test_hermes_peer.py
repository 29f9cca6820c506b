"""An agent that we did not write: the API server of hermes-agent, with a model of ours behind it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.agents.conftest import QUESTION, chunk, says, streams
from tests.peers.homes import PEERS, made
from yizhan.agents.openai import OpenAiAnswers
from yizhan.ports import AgentFailed, Piece, Session, Text
from yizhan.settings import OpenAiAgent

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("peers")]

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
CONFIG = """
model:
  default: tiny
  provider: custom
  base_url: {model}
  api_key: none
  context_length: 131072
"""


class Model:
    """Says how many times the user has spoken, as far as it was told, and what they said last."""

    def __init__(self) -> None:
        self.base_url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        users = [line["content"] for line in asked["messages"] if line["role"] == "user"]
        text = f"heard {len(users)}: {users[-1]}"
        if asked.get("stream"):
            return await streams(chunk(text), chunk(finish="stop"), b"data: [DONE]\n\n")(request)
        whole = {
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            ]
        }
        return await says(json.dumps(whole))(request)


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    playing = Model()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", playing.answer)
    app.router.add_get("/v1/models", says('{"object": "list", "data": [{"id": "tiny", "object": "model"}]}'))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    playing.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield playing
    await runner.cleanup()


@asynccontextmanager
async def hermes(python: Path, home: Path, model: Model) -> AsyncIterator[str]:
    """A running API server, by its base URL."""
    (home / "config.yaml").write_text(CONFIG.format(model=model.base_url))
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with (home / "stderr").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            python,
            PEERS / "hermes_server.py",
            KEY,
            env=clean | {"HERMES_HOME": str(home), "HOME": str(home)},
            cwd=home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        port = (await asyncio.wait_for(process.stdout.readline(), 300)).strip()
        assert port.isdigit(), (home / "stderr").read_text()[-3000:]
        draining = asyncio.create_task(process.stdout.read())
        yield f"http://127.0.0.1:{int(port)}/v1"
        draining.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_hermes_answers_and_knows_its_sessions_apart(tmp_path: Path, model: Model) -> None:
    """Asked twice in a chat it remembers, asked in another it does not, and without the key it refuses."""
    python = await asyncio.to_thread(made, "hermes", PEERS / "hermes-requirements.txt", True)

    def agent(base_url: str, key: str) -> OpenAiAnswers:
        settings: dict[str, Any] = {
            "base_url": base_url,
            "api_key": key,
            "model": "hermes-agent",
            "preset": "hermes",
        }
        patience = {"idle_timeout_s": 300, "timeout_s": 300}
        return OpenAiAnswers("main", OpenAiAgent(kind="openai", **settings, **patience), "en")

    async def ask(asked: OpenAiAnswers, **about: Any) -> tuple[str, str]:
        """The session that it names, and what it says."""
        pieces: list[Piece] = [piece async for piece in asked.answer(replace(QUESTION, **about))]
        session, *said = pieces
        assert isinstance(session, Session)
        return session.id, "".join(piece.delta for piece in said if isinstance(piece, Text))

    async with hermes(python, tmp_path, model) as base_url:
        ours, stranger = agent(base_url, KEY), agent(base_url, "0" * 32)
        try:
            session, first = await ask(ours, text="hello")
            _, second = await ask(ours, text="again", agent_session=session)
            other, third = await ask(ours, text="hello", session="another chat")
            with pytest.raises(AgentFailed) as refused:
                await ask(stranger, text="hello")
        finally:
            await ours.close()
            await stranger.close()
    assert ["heard 1: hello", "heard 2: again", "heard 1: hello"] == [first, second, third]
    assert session != other
    assert "agent-refused" == refused.value.code
