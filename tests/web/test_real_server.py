"""The application behind uvicorn on a real socket: the schema tells the truth, and a stop is quick."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.conftest import ACCOUNT, API_KEY, BEARER, CHAT, SetClock, client_of, gateway_on
from yizhan.model import Access, Dispatch, InboundId
from yizhan.ports import Arrival, Heard, InboundCommit
from yizhan.runtime.clock import SystemChance
from yizhan.runtime.gateway import Gateway
from yizhan.store import open_store
from yizhan.web import create_app

CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]


@dataclass
class Served:
    """A gateway that listens. `loop` is its own, in its own thread."""

    url: str
    gateway: Gateway
    loop: asyncio.AbstractEventLoop
    server: uvicorn.Server


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """uvicorn with the application, and one account in the store."""
    ready: Future[Served] = Future()
    thread = threading.Thread(target=asyncio.run, args=(_serve(tmp_path, ready),), daemon=True)
    thread.start()
    station = ready.result(20)
    yield station
    station.loop.call_soon_threadsafe(setattr, station.server, "should_exit", True)
    thread.join(10)
    assert not thread.is_alive()


EXAMPLES = {schemathesis.GenerationMode.POSITIVE: 2, schemathesis.GenerationMode.NEGATIVE: 1}
"""Requests for each operation and way; what is made wrong on purpose is refused at the door, one shows it."""


async def _serve(home: Path, ready: Future[Served]) -> None:
    clock = SetClock()
    store = await open_store(None, home, clock=clock, chance=SystemChance())
    gateway = gateway_on(store, home, clock)
    await gateway.open()
    app = create_app(gateway, api_key=API_KEY, version="1.2.3")
    async with client_of(app) as client:
        body = {"platform": "weixin", "account_id": "ab12@im.bot", "token": "t"}
        await client.post("/v1/accounts", json=body)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http="httptools", log_level="warning", timeout_graceful_shutdown=1, lifespan="off"
    )
    server = uvicorn.Server(config)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ready.set_result(Served(url, gateway, asyncio.get_running_loop(), server))
    await server.serve([listener])
    await gateway.stop()
    await store.close()


@pytest.mark.timeout(300)
def test_answers_are_what_the_schema_says(served: Served) -> None:
    """Clients are generated from it; whatever odd things they send, nothing is our fault."""
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json", headers=BEARER)
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == "/v1/events":
            continue
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

            @settings(
                max_examples=EXAMPLES[mode],
                phases=[Phase.generate],
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def try_it(case: schemathesis.Case) -> None:
                not_ready_is_an_answer = case.operation.path == "/readyz"
                checks = CHECKS if not_ready_is_an_answer else [*CHECKS, not_a_server_error]
                case.call_and_validate(headers=BEARER, checks=checks, timeout=10)

            with contextlib.suppress(Unsatisfiable):  # nothing of this request can be made wrong
                try_it()
        tried += 1
    assert tried > 20


def test_an_open_stream_does_not_hold_up_the_stop(served: Served) -> None:
    """SIGTERM, an event reader, and less than two seconds."""
    with httpx.stream("GET", f"{served.url}/v1/events", headers=BEARER, timeout=10) as answer:
        lines = answer.iter_lines()
        assert ": open" == next(lines)
        body = {"to": "weixin:o9cq@im.wechat", "text": "x"}
        sent = httpx.post(f"{served.url}/v1/messages", json=body, headers=BEARER)
        assert 202 == sent.status_code
        assert any(sent.json()["id"] in line for line in lines)
        began = time.monotonic()
        served.loop.call_soon_threadsafe(served.gateway.stopping.set)
        assert [] == [line for line in lines if line]
        assert time.monotonic() - began < 2


def test_a_client_that_never_reads_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its line is full, more than a thousand events pass: the server frees itself of it."""
    hub_of = served.server.config.app.state.hub  # type: ignore[union-attr]
    with socket.create_connection(("127.0.0.1", int(served.url.rsplit(":", 1)[1]))) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {API_KEY}\r\n\r\n"
        line.sendall(request.encode())
        came = b""
        while b": open" not in came:
            came += line.recv(100)
        assert 1 == hub_of.readers
        for batch in range(40):
            asyncio.run_coroutine_threadsafe(_hear(served.gateway, batch), served.loop).result(20)
            if not hub_of.readers:
                break
    assert 0 == hub_of.readers


async def _hear(gateway: Gateway, batch: int) -> None:
    """A hundred received messages in one commit, their texts long enough to fill a socket soon."""
    arrivals = tuple(
        Arrival(
            InboundId(f"i_{batch}_{no}"),
            Heard(CHAT, "direct", f"p{batch}-{no}", "u", "", "长" * 3000, "", (), 0),
            gateway.clock.now_ms(),
            Access.ALLOWED,
            Dispatch.DONE,
        )
        for no in range(100)
    )
    await gateway.store.commit_inbound(InboundCommit(ACCOUNT, arrivals, None, gateway.clock.now_ms()))
