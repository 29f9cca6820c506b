"""A client of our own, as small as can be, that speaks to a world without sockets; and the homes of other
people's clients, made when first needed.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.qq_caller import QqCaller
from tests.peers.homes import HOMES, PEERS, alone, made, run
from yizhan_simulator import Hold, SimReply, SimRequest, World

NOW = 1_790_000_000_000


class Caller:
    """One bot's view of a world. `now_ms` is moved by the test."""

    def __init__(self, world: World, token: str = "", now_ms: int = NOW) -> None:
        self.world = world
        self.token = token
        self.now_ms = now_ms
        self._sent = 0

    def ask(self, call: str, body: Any = None, method: str = "POST", **headers: str) -> SimReply | Hold:
        given = {"AuthorizationType": "ilink_bot_token", "Authorization": f"Bearer {self.token}", **headers}
        raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        path = call if call.startswith("http") else f"http://sim.test/ilink/bot/{call}"
        return self.world.handle(SimRequest.of(method, path, given, raw), self.now_ms)

    def reply(self, call: str, body: Any = None, method: str = "POST", **headers: str) -> SimReply:
        answer = self.ask(call, body, method, **headers)
        assert isinstance(answer, SimReply), f"{call} was held"
        return answer

    def json(self, call: str, body: Any = None, method: str = "POST", **headers: str) -> Any:
        return json.loads(self.reply(call, body, method, **headers).body)

    def message(
        self, to: str, text: str, client_id: str | None = None, token: str | None = None
    ) -> dict[str, Any]:
        self._sent += 1
        msg = {
            "from_user_id": "",
            "to_user_id": to,
            "client_id": client_id or f"c{self._sent}",
            "message_type": 2,
            "message_state": 2,
            "item_list": [{"type": 1, "text_item": {"text": text}}],
        }
        return {"msg": msg if token is None else {**msg, "context_token": token}}

    def send(self, to: str, text: str, client_id: str | None = None, token: str | None = None) -> Any:
        return self.json("sendmessage", self.message(to, text, client_id, token))

    def poll(self, cursor: str = "") -> Any:
        """The answer of a poll that does not have to wait."""
        return self.json("getupdates", {"get_updates_buf": cursor})

    def held(self, cursor: str = "") -> Hold:
        answer = self.ask("getupdates", {"get_updates_buf": cursor})
        assert isinstance(answer, Hold)
        return answer


@pytest.fixture
def world() -> World:
    return World(seed=1)


@pytest.fixture
def ann(world: World) -> str:
    return world.add_user("Ann")


@pytest.fixture
def caller(world: World, ann: str) -> Caller:
    """A client whose user Ann has just said hello, so that the conversation is open."""
    bot = world.add_bot(ann, now_ms=NOW)
    world.say(ann, "hello", NOW)
    return Caller(world, bot.token)


@pytest.fixture
def new_caller(world: World) -> type[Caller]:
    """For tests that log in themselves, or need a second client."""
    return Caller


@pytest.fixture(scope="session")
def peer_python() -> Path:
    """With other people's WeChat clients."""
    return made("python", PEERS / "requirements.txt")


@pytest.fixture(scope="session")
def qq_python() -> Path:
    """With other people's QQ clients."""
    return made("qq", PEERS / "qq-requirements.txt")


Drive = Callable[..., Awaitable[Any]]


@pytest.fixture
def drive() -> Drive:
    """Runs one driver of tests/peers to its end and reads its last line."""

    async def driven(python: Path, script: str, *arguments: str | Path) -> Any:
        clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        process = await asyncio.create_subprocess_exec(
            python,
            PEERS / script,
            *arguments,
            env=clean,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, errors = await asyncio.wait_for(process.communicate(), 60)
        except (TimeoutError, asyncio.CancelledError):
            process.kill()
            raise
        assert 0 == process.returncode, errors.decode()[-3000:]
        return json.loads(out.decode().splitlines()[-1])

    return driven


@pytest.fixture(scope="session")
def official_package() -> Path:
    """The unpacked official npm package in `.venv-peers/npm`, of the version that tests/peers/npm-package names."""
    name = (PEERS / "npm-package").read_text().strip()
    target = HOMES / "npm" / name.rsplit("@", 1)[1]
    with alone():
        if not (target / "package" / "package.json").exists():
            target.mkdir(parents=True, exist_ok=True)
            run("npm", "pack", "--silent", "--pack-destination", target, name, cwd=target)
            run("tar", "-xzf", next(target.glob("*.tgz")), "-C", target)
    return target / "package"


@pytest.fixture
def qq(world: World, ann: str) -> QqCaller:
    """A QQ client whose bot Echo is online, and to whom Ann has said hello."""
    client = QqCaller(world, world.qq.add_bot("Echo"))
    client.identify()
    world.qq.say(ann, "hello", client.now_ms)
    client.read()
    return client
