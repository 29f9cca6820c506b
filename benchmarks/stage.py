"""A real gateway process beside a simulator in this one, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from yizhan_simulator import World
from yizhan_simulator.ledger import Record
from yizhan_simulator.server import SimServer, running

READY_TIMEOUT_S = 20
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Gateway:
    """A `yizhan run` process and its API."""

    home: Path
    environ: Mapping[str, str]
    url: str = ""
    process: asyncio.subprocess.Process | None = None
    http: aiohttp.ClientSession | None = field(default=None, repr=False)
    jar: aiohttp.CookieJar | None = field(default=None, repr=False)
    command: tuple[str, ...] = (sys.executable, "-m", "yizhan", "run")

    async def start(self) -> float:
        """Starts it; answers the seconds until it was ready."""
        began = time.monotonic()
        log = (self.home / "gateway.log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            *self.command,
            env=dict(self.environ) | {"BENCH_STALLS": str(self.home / "stalls")},
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(READY_TIMEOUT_S):
            words = (await self.process.stdout.readline()).decode().split()
        if words[:1] != ["ready"]:
            raise RuntimeError((self.home / "gateway.log").read_text()[-2000:])
        self.url = words[1]
        key = (self.home / "api-key").read_text().strip()
        self.http = aiohttp.ClientSession(self.url, headers={"Authorization": f"Bearer {key}"})
        return time.monotonic() - began

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[float, int]:
        """Ends it; answers the seconds it took, and its exit code."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(how)
        code = await self.process.wait()
        took = time.monotonic() - began
        if self.http is not None:
            await self.http.close()
        return took, code

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert self.http is not None
        async with self.http.post(path, json=body) as answer:
            answer.raise_for_status()
            return dict(json.loads(await answer.read()))

    async def get(self, path: str) -> dict[str, Any]:
        assert self.http is not None
        async with self.http.get(path) as answer:
            answer.raise_for_status()
            return dict(json.loads(await answer.read()))

    @contextlib.asynccontextmanager
    async def console_tab(self, page: str = "") -> AsyncIterator[None]:
        """A console page with its socket, as a browser holds them; signs in by a ticket the first time."""
        if self.jar is None:
            ticket = await self.post("/v1/console/ticket", {})
            self.jar = aiohttp.CookieJar(unsafe=True)
            async with (
                aiohttp.ClientSession(cookie_jar=self.jar) as tab,
                tab.get(str(ticket["url"])) as answer,
            ):
                answer.raise_for_status()
        async with aiohttp.ClientSession(cookie_jar=self.jar) as tab:
            async with tab.get(URL(f"{self.url}/console/{page}", encoded=True)) as answer:
                answer.raise_for_status()
                query = _socket_query(await answer.text())
            address = f"{self.url}/console/_nicegui_ws/socket.io/"
            async with tab.ws_connect(address, params=query) as socket:
                await socket.receive_str(timeout=10)
                await socket.send_str("40")
                if not (await socket.receive_str(timeout=10)).startswith("40"):
                    raise RuntimeError("the console refused the page's socket")
                yield

    def cpu_s(self) -> float:
        """CPU seconds of the process so far."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self) -> float:
        """Resident memory of the process now."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def worst_stall_ms(self) -> float:
        """Of its event loop, since the start or the last `forget_stalls`; where it runs as `benchmarks.watched`."""
        return float((self.home / "stalls").read_text())

    def forget_stalls(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)


@dataclass
class Stage:
    """A world on a real socket, a gateway, one bot and its users. `arrivals`: client id → seconds (monotonic)."""

    sim: SimServer
    gateway: Gateway
    account: str
    users: list[str]
    arrivals: dict[str, float] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.sim.world

    async def send(self, user: str, text: str, **more: Any) -> dict[str, Any]:
        return await self.gateway.post("/v1/messages", {"to": f"{self.account}:{user}", "text": text, **more})

    async def shown(self, count: int, within_s: float = 60) -> None:
        """Until so many sends have reached the platform."""
        async with asyncio.timeout(within_s):
            while len(self.arrivals) < count:
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def stage(
    chats: int,
    environ: Mapping[str, str] | None = None,
    command: tuple[str, ...] = Gateway.command,
    **knobs: Any,
) -> AsyncIterator[Stage]:
    """A running stage; everything it makes lies in a directory that is removed."""
    world = World(seed=1)
    world.turn(quota_per_inbound=0, needs_inbound=False, **knobs)
    users = [world.add_user(f"user {number}") for number in range(chats)]
    bot = world.add_bot(users[0])
    with tempfile.TemporaryDirectory(prefix="yizhan-bench-") as where:
        async with running(world) as sim:
            home = Path(where)
            gateway = Gateway(home, _inherited() | _environ(home) | dict(environ or {}), command=command)
            made = Stage(sim, gateway, f"weixin:{bot.bot_id}", users)
            world.ledger.watchers.append(lambda record: _note(made, record))
            await gateway.start()
            try:
                await gateway.post(
                    "/v1/accounts",
                    {"platform": "weixin", "account_id": bot.bot_id, "token": bot.token, "base_url": sim.url},
                )
                for user in users:
                    world.say(user, "hi", sim.clock.now_ms(), bot_id=bot.bot_id)
                await asyncio.sleep(0.5)
                yield made
            finally:
                if gateway.process is not None and gateway.process.returncode is None:
                    await gateway.stop()


def _socket_query(page: str) -> dict[str, str]:
    """What the page's own script opens its socket with."""
    found = re.search(r"query: \{.*'client_id': '([^']+)'", page)
    if found is None:
        raise RuntimeError("the console answered with something else than a page")
    return {
        "EIO": "4",
        "transport": "websocket",
        "client_id": found[1],
        "next_message_id": "0",
        "implicit_handshake": "true",
        "document_id": "bench",
        "tab_id": "bench",
    }


def _inherited() -> dict[str, str]:
    """Ours, as an installed gateway has it: with the byte code that installing has made, or the first start makes."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _environ(home: Path) -> dict[str, str]:
    return {
        "YIZHAN_HOME": str(home),
        "YIZHAN_SERVER__PORT": "0",
        "YIZHAN_ACCESS__POLICY": "open",
        "YIZHAN_AGENT": "none",
        "YIZHAN_CONSOLE__ENABLED": "false",
        "YIZHAN_LOGGING__LEVEL": "warning",
        "YIZHAN_DELIVERY__ALLOWANCE__SENDS": "10000",  # counted, and never spent: the stage's platform has no quota
    }


def _note(made: Stage, record: Record) -> None:
    if record.call == "sendmessage":
        made.arrivals.setdefault(record.client_id, time.monotonic())
