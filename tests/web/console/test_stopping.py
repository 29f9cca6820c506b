"""A window left open holds nobody back: the process ends when it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import API_KEY, BEARER, window

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="module"),
]

STOP_MAX_S = 2.0
NO_SOCKETS = """const Socket = WebSocket;
window.WebSocket = function (url, protocols) { return new Socket("ws://127.0.0.1:9/", protocols); };"""
"""As behind a proxy that lets no WebSocket through: the page falls back to long polls."""


@dataclass(frozen=True)
class Running:
    """A gateway as a process of its own."""

    process: asyncio.subprocess.Process
    url: str

    async def stop(self) -> tuple[int, float]:
        """SIGTERM; answers the exit code and how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(self.process.wait(), 20)
        return code, time.monotonic() - began


@asynccontextmanager
async def running(home: Path, port: int = 0) -> AsyncIterator[Running]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("YIZHAN_")}
    environ |= {"YIZHAN_SERVER__PORT": str(port), "YIZHAN_API_KEY": API_KEY, "YIZHAN_HOME": str(home)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "yizhan",
        "run",
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=(home / "log").open("w"),
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        assert line.startswith("ready "), (home / "log").read_text()
        yield Running(process, line.removeprefix("ready ").strip())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def sign_in_address(url: str) -> str:
    async with httpx.AsyncClient(headers=BEARER) as client:
        return str((await client.post(f"{url}/v1/console/ticket")).json()["url"])


async def page_on(seen: Any, url: str) -> None:
    await seen.page.goto(await sign_in_address(url))
    await seen.page.get_by_text("No account yet").wait_for()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_sigterm_ends_the_process_with_a_console_tab_open(
    browser: Any, tmp_path: Path, transport: str
) -> None:
    """systemd waits 90 s and then kills; a forgotten tab must not cost a clean end."""
    async with running(tmp_path) as gateway, window(browser) as seen:
        if transport == "polling":
            await seen.page.add_init_script(NO_SOCKETS)
        await page_on(seen, gateway.url)
        code, took_s = await gateway.stop()
        assert 0 == code, (tmp_path / "log").read_text()
        assert took_s < STOP_MAX_S
        assert "Traceback" not in (tmp_path / "log").read_text()


async def test_a_tab_comes_back_after_a_restart(browser: Any, tmp_path: Path) -> None:
    """The session outlives the process, and the page finds the new one by itself, looking every other second at
    the latest: nobody should have to reload."""
    async with window(browser) as seen:
        async with running(tmp_path) as gateway:
            await page_on(seen, gateway.url)
            await seen.page.wait_for_function("window.socket.io.reconnectionDelayMax() <= 2000")
            port = int(gateway.url.rpartition(":")[2])
            assert 0 == (await gateway.stop())[0]
        await seen.page.get_by_text("The connection to the gateway is lost").wait_for()
        async with running(tmp_path, port):
            async with seen.page.expect_navigation(timeout=30_000):
                pass
            await seen.page.get_by_text("No account yet").wait_for()
