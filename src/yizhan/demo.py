"""`yizhan demo`: a simulated WeChat with a phone in the browser, and a gateway with a console, in one go.

The simulator is a process of its own, so that it can be cut off while the gateway runs; the gateway is this
process. Everything lies in one directory that is named at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yizhan import app, home, settings
from yizhan.errors import SettingsError
from yizhan.model import Credentials
from yizhan.runtime.gateway import Gateway
from yizhan.web import console_path

BOT_ID = "demo0000cafe@im.bot"
PERSON = "o9cq80demo0000000000000000ann@im.wechat"
OTHER = "o9cq80demo0000000000000000lin@im.wechat"
START_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `yizhan demo` was given. `agent_url` and `model` replace the echo by a real model."""

    home: Path | None
    port: int = 0
    agent_url: str = ""
    model: str = ""
    agent_key: str = ""


def run(options: DemoOptions) -> int:
    """Runs the demo until Ctrl-C; answers the exit code."""
    where = options.home or Path(tempfile.mkdtemp(prefix="yizhan-demo-"))
    return app.run(_demo(where, options))


async def _demo(where: Path, options: DemoOptions) -> int:
    home.prepare(where)
    _settings(where, options, "")
    async with _simulator(where) as addresses:
        url, phone_url = addresses
        chosen = _settings(where, options, url)
        return await app.serve(chosen, lambda station: _welcome(where, phone_url, station), _link(url))


def _settings(where: Path, options: DemoOptions, login_url: str) -> settings.Settings:
    """The demo's own configuration; the environment is not asked. QR logins begin at the simulator."""
    overrides: dict[str, Any] = {
        "server": {"port": options.port},
        "access": {"policy": "open"},
        "agent": "echo",
        "logging": {"level": "warning"},
        "weixin": {"login_url": login_url},
    }
    if options.agent_url:
        if not options.model:
            raise SettingsError(
                "AGENT_URL needs a MODEL as well.", "For example: make demo AGENT_URL=… MODEL=llama3"
            )
        model = {
            "kind": "openai",
            "base_url": options.agent_url,
            "model": options.model,
            "api_key": options.agent_key,
        }
        overrides |= {"agent": "model", "agents": {"model": model}}
    return settings.load(where, {}, overrides)


@contextlib.asynccontextmanager
async def _simulator(where: Path) -> AsyncIterator[tuple[str, str]]:
    """The simulator as a child process; answers its base address and that of the phone page."""
    script = where / "simulator.json"
    home.write_private(script, json.dumps(_script()))
    command = [sys.executable, "-m", "yizhan_simulator", "--port", "0", "--script", str(script)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, start_new_session=True, env=dict(os.environ)
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            addresses = [await _address(process) for _ in range(2)]
        yield addresses[0], addresses[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    words = (await process.stdout.readline()).decode().split()
    if len(words) != 2:
        raise SettingsError("The simulator did not start.", "Run yizhan sim to see why.")
    return words[1]


def _script() -> dict[str, Any]:
    return {
        "users": [{"name": "Ann", "user_id": PERSON}, {"name": "小林", "user_id": OTHER}],
        "bots": [{"user": "Ann", "token": _token(), "bot_id": BOT_ID}],
    }


def _token() -> str:
    return f"{BOT_ID}:060000demo"


def _link(url: str) -> app.Prepare:
    """Adds the demo's account, as after a QR login."""

    async def link(gateway: Gateway) -> None:
        credentials = Credentials(_token(), url, f"{url}/c2c", user_id=PERSON)
        await gateway.add_account("weixin", BOT_ID, credentials)

    return link


def _welcome(where: Path, phone_url: str, station: app.Station) -> None:
    console = station.url + console_path(station.api)
    answering = "your model" if station.gateway.settings.agent == "model" else "an echo"
    print(
        f"""
  Yizhan is running, with a simulated WeChat beside it; {answering} answers.

    phone     {phone_url}
    console   {console}

  Try this:
    1. Open the phone, choose Ann, write something: the answer comes back through the real protocol.
    2. Open the console beside it and watch each part of the answer get its receipt.
    3. On the phone page, start an outage or a limit, write on, and see that nothing is lost.
    4. Send a push from another terminal:
       yizhan send --home {where} -t weixin:{PERSON} "hello from the shell"

  The console's address works once, for five minutes; yizhan console --home {where} prints a new one.
  Everything lies in {where}; remove it when you are done. Ctrl-C ends the demo.
""",
        flush=True,
    )
