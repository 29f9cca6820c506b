"""Trouble that only a real process can have: a full disk, a stop in the middle of everything."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from benchmarks.stage import Stage, stage
from tests.web.console.conftest import launched, window
from yizhan_simulator import Limit
from yizhan_simulator.ledger import Effect

STOP_S = 2.0
PATIENCE = 5
"""A promise of a time may take five times as long on a noisy machine."""


def _fill_the_disk(made: Stage) -> None:
    """No file of the process may grow any more: what a full disk feels like to a database."""
    assert made.gateway.process is not None
    log_bytes = (made.gateway.home / "yizhan.db-wal").stat().st_size
    resource.prlimit(made.gateway.process.pid, resource.RLIMIT_FSIZE, (log_bytes, resource.RLIM_INFINITY))


def _free_the_disk(made: Stage) -> None:
    assert made.gateway.process is not None
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(made.gateway.process.pid, resource.RLIMIT_FSIZE, unlimited)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux to limit another process")
async def test_a_full_disk_is_said_clearly_loses_nothing_and_heals_by_itself() -> None:
    """Producers get a clear no, pollers stop, and when there is room again nobody needs to restart anything."""
    async with stage(2) as made:
        await made.send(made.users[0], "before")
        await made.shown(1)
        _fill_the_disk(made)
        problem = await _refused(made)
        assert "urn:yizhan:problem:busy" == problem["type"]
        assert problem["fix"]
        assert 503 == await _status(made, "/readyz")
        said_ms = made.sim.clock.now_ms()
        made.world.say(made.users[0], "written while the disk was full", said_ms)
        await asyncio.sleep(1)
        _free_the_disk(made)
        await _healed(made)
        await made.send(made.users[0], "after")
        await made.shown(2)
        assert "written while the disk was full" in await _inbound_texts(made)


async def _refused(made: Stage) -> dict:
    """Posts until the disk is felt; what was taken before is taken."""
    assert made.gateway.http is not None
    for number in range(200):
        body = {
            "to": f"{made.account}:{made.users[1]}",
            "text": "x" * 2_000,
            "not_before": "2099-01-01T00:00:00Z",
        }
        body |= {"expires_at": "2099-01-02T00:00:00Z", "idempotency_key": f"full {number}"}
        async with made.gateway.http.post("/v1/messages", json=body) as answer:
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) >= 1
                return dict(await answer.json(content_type=None))
            assert 202 == answer.status
    raise AssertionError("the disk never filled")


async def _status(made: Stage, path: str) -> int:
    assert made.gateway.http is not None
    async with made.gateway.http.get(path) as answer:
        return answer.status


async def _healed(made: Stage) -> None:
    async with asyncio.timeout(10 * PATIENCE):
        while await _status(made, "/readyz") != 200:
            await asyncio.sleep(0.2)


async def _inbound_texts(made: Stage) -> list[str]:
    async with asyncio.timeout(10 * PATIENCE):
        while True:
            rows = (await made.gateway.get(f"/v1/timeline?chat={made.account}:{made.users[0]}"))["items"]
            texts = [row["message"]["text"] for row in rows if row["kind"] == "inbound"]
            if "written while the disk was full" in texts:
                return texts
            await asyncio.sleep(0.2)


@pytest.mark.field("F74")
@pytest.mark.parametrize(
    "with_browser",
    [False, pytest.param(True, marks=[pytest.mark.browser, pytest.mark.xdist_group("browser")])],
    ids=["tab", "browser"],
)
async def test_sigterm_in_the_middle_of_everything_ends_quickly_and_well(with_browser: bool) -> None:
    """Work queued behind a limit, an event reader and a console tab open: 90 seconds and a SIGKILL were the rule
    elsewhere."""
    async with (
        stage(5, {"YIZHAN_CONSOLE__ENABLED": "true"}) as made,
        _browser_tab(made) if with_browser else made.gateway.console_tab(),
    ):
        made.world.add_limit(Limit(count=1, per_s=5), made.sim.clock.now_ms())
        for number in range(100):
            await made.send(made.users[number % 5], f"message {number}")
        assert made.gateway.http is not None
        reader = await made.gateway.http.get("/v1/events", timeout=aiohttp.ClientTimeout(total=None))
        took_s, code = await made.gateway.stop()
        reader.close()
        assert 0 == code
        assert took_s <= STOP_S * PATIENCE
        assert not (made.gateway.home / "gateway.json").exists()
        made.world.clear_weather()
        await made.gateway.start()
        await made.shown(100)


async def test_a_storm_behind_a_limit_is_quiet_in_the_log_and_quick_to_stop() -> None:
    """Two hundred chats behind one limit: elsewhere 3.4 GB, a dead event loop, and a SIGKILL after 90 seconds."""
    async with stage(200) as made:
        made.world.add_limit(Limit(count=5, per_s=20, scope="account"), made.sim.clock.now_ms())
        users = asyncio.Semaphore(50)

        async def send(number: int) -> None:
            async with users:
                await made.send(made.users[number % 200], f"message {number}")

        await asyncio.gather(*(send(number) for number in range(600)))
        took_s, code = await made.gateway.stop()
        assert (0, True) == (code, took_s <= STOP_S * PATIENCE)
        lines = (made.gateway.home / "gateway.log").read_text().splitlines()
        assert len(lines) <= 100, "lines follow from minutes and accounts, not from messages"
        await made.gateway.start()
        counts = (await made.gateway.get("/v1/accounts"))["items"][0]["live"]
        shown = len(made.world.ledger.select("sendmessage", effect=Effect.SHOWN))
        assert 600 <= sum(counts.values()) + shown + 5, "what was on the wire may be counted late"


@contextlib.asynccontextmanager
async def _browser_tab(made: Stage) -> AsyncIterator[None]:
    """The console in a real browser, signed in, its socket open."""
    async with launched() as browser, window(browser) as seen:
        async with seen.page.expect_event("websocket"):
            await seen.page.goto(str((await made.gateway.post("/v1/console/ticket", {}))["url"]))
        await seen.page.wait_for_function("window.did_handshake")
        yield


@pytest.mark.field("F80")
async def test_a_second_gateway_on_the_same_home_is_turned_away_and_the_first_goes_on() -> None:
    """Two processes on one store would steal each other's messages."""
    async with stage(1) as made:
        second = await asyncio.create_subprocess_exec(
            made.gateway.command[0],
            *made.gateway.command[1:],
            env=dict(made.gateway.environ),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await second.communicate()
        assert 3 == second.returncode
        assert b"gateway" in said
        assert made.gateway.http is not None
        await made.send(made.users[0], "still here")
        await made.shown(1)


async def test_a_database_server_that_goes_away_and_comes_back_costs_nobody_a_message(
    postgres_server: Any, make_database: Callable[[], str]
) -> None:
    """Its machine is restarted every month: producers are told to come again, people are answered afterwards, and
    nobody has to restart anything."""
    environ = {"YIZHAN_DATABASE__URL": make_database(), "YIZHAN_AGENT": "echo"}
    async with stage(2, environ) as made:
        await made.send(made.users[0], "before")
        await _shown_text(made, "before")
        await asyncio.to_thread(postgres_server.stop)
        try:
            body = {"to": f"{made.account}:{made.users[0]}", "text": "refused", "idempotency_key": "again"}
            status, headers = await _posted(made, body)
            assert (503, True) == (status, int(headers["Retry-After"]) >= 1)
            assert 503 == await _status(made, "/readyz")
            assert 200 == await _status(made, "/healthz")
            made.world.say(made.users[1], "written meanwhile", made.sim.clock.now_ms())
            await asyncio.sleep(1)
        finally:
            await asyncio.to_thread(postgres_server.start)
        await _healed(made)
        assert 202 == (await _posted(made, body))[0]
        for text in ("refused", "written meanwhile"):
            await _shown_text(made, text)
        shown = [record.text for record in made.world.ledger.select("sendmessage", effect=Effect.SHOWN)]
        assert (1, 1) == (shown.count("refused"), shown.count("written meanwhile"))


async def _posted(made: Stage, body: dict[str, str]) -> tuple[int, Any]:
    assert made.gateway.http is not None
    async with made.gateway.http.post("/v1/messages", json=body) as answer:
        return answer.status, answer.headers


async def _shown_text(made: Stage, text: str) -> None:
    async with asyncio.timeout(10 * PATIENCE):
        while not any(
            record.text == text for record in made.world.ledger.select("sendmessage", effect=Effect.SHOWN)
        ):
            await asyncio.sleep(0.05)
