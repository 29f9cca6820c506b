"""QQ on real sockets: frames, every way a connection ends, scripts, and the control API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from yizhan_simulator import Fault, Script, ScriptError, World
from yizhan_simulator.clock import ManualClock
from yizhan_simulator.qq.people import ALL_INTENTS
from yizhan_simulator.server import SimServer, running

SCRIPT: dict[str, Any] = {
    "users": [{"name": "Ann"}, {"name": "Bob"}],
    "knobs": {"qq": {"heartbeat_interval_ms": 5000}},
    "qq": {
        "bots": [{"name": "Echo", "app_id": "102000000", "secret": "s3cr3t"}],
        "groups": [{"name": "Team", "members": ["Ann", "Bob"], "bots": ["Echo"]}],
        "channels": [{"name": "general", "members": ["Ann"], "bots": ["102000000"]}],
        "timeline": [
            {"at_s": 5, "do": "say", "user": "Ann", "text": "hi", "to": "Echo"},
            {"at_s": 6, "do": "say", "user": "Bob", "text": "status?", "to": "Team", "at": True},
            {"at_s": 7, "do": "close", "bot": "Echo", "code": 4009},
        ],
    },
}


@asynccontextmanager
async def connected(sim: SimServer, session: aiohttp.ClientSession) -> AsyncIterator[Any]:
    """A client that has identified; it does not answer pings by itself."""
    bot = next(iter(sim.world.qq.state.register.bots.values()))
    secret = {"appId": bot.app_id, "clientSecret": bot.secret}
    async with session.post(f"{sim.url}/app/getAppAccessToken", json=secret) as response:
        token = (await response.json())["access_token"]
    headers = {"Authorization": f"QQBot {token}"}
    async with session.get(f"{sim.url}/gateway/bot", headers=headers) as response:
        url = (await response.json())["url"]
    async with session.ws_connect(url, autoping=False) as ws:
        assert 10 == (await ws.receive_json())["op"]
        wish = {"token": f"QQBot {token}", "intents": ALL_INTENTS, "shard": [0, 1]}
        await ws.send_json({"op": 2, "d": wish})
        assert "READY" == (await ws.receive_json())["t"]
        yield ws


async def test_a_script_plays_over_a_real_socket() -> None:
    """People, rooms and a timeline from one table; the clock is moved by hand."""
    clock = ManualClock()
    world = Script.from_dict(SCRIPT).world(clock.now_ms())
    async with (
        running(world, clock=clock) as sim,
        aiohttp.ClientSession() as session,
        connected(sim, session) as ws,
    ):
        clock.advance(6000)
        assert ["hi", " status?"] == [(await ws.receive_json())["d"]["content"] for _ in range(2)]
        clock.advance(1000)
        ended = await ws.receive()
        assert (aiohttp.WSMsgType.CLOSE, 4009, "Session timed out") == (ended.type, ended.data, ended.extra)


@pytest.mark.parametrize("code", [4006, 4915, 1000, 1005, 1006])
async def test_connections_end_as_they_should(world: World, ann: str, code: int) -> None:
    """With a code, with a frame that has none (1005), and with no frame at all (1006)."""
    world.qq.add_bot("Echo")
    async with (
        running(world) as sim,
        aiohttp.ClientSession() as session,
        connected(sim, session) as ws,
    ):
        world.qq.close("Echo", code, sim.clock.now_ms())
        ended = await ws.receive()
        frame = ended.data if ended.type is aiohttp.WSMsgType.CLOSE else None
        # aiohttp reads a close frame without a code as 0.
        assert {1005: 0, 1006: None}.get(code, code) == frame


async def test_a_muted_socket_answers_no_ping_and_no_close(world: World, ann: str) -> None:
    """Half-open on the wire too: neither the protocol's own ping nor a close gets an answer."""
    world.qq.add_bot("Echo")
    async with (
        running(world) as sim,
        aiohttp.ClientSession() as session,
        connected(sim, session) as ws,
    ):
        await ws.ping(b"1")
        assert aiohttp.WSMsgType.PONG is (await ws.receive()).type
        world.qq.mute("Echo", sim.clock.now_ms())
        await ws.ping(b"2")
        await ws.send_json({"op": 1, "d": 1})
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.2)
        assert not world.qq.online("Echo")


async def test_an_upgrade_can_be_refused(world: World, ann: str) -> None:
    """Requests' faults befall the upgrade as any other request."""
    bot = world.qq.add_bot("Echo")
    async with running(world) as sim, aiohttp.ClientSession() as session:
        world.add_fault(Fault(kind="status", call="qq.socket", status=403), sim.clock.now_ms())
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(sim, session):
                pass
        assert 403 == refused.value.status
        assert not world.qq.online(bot.app_id)


async def test_everything_can_be_arranged_from_outside(world: World) -> None:
    """The control API: people, bots, rooms, words, switches, strikes, and what a phone shows."""
    async with running(world) as sim, aiohttp.ClientSession() as session:

        async def call(method: str, path: str, body: Any = None, status: int = 200) -> Any:
            async with session.request(method, f"{sim.control_url}/_sim/{path}", json=body) as response:
                told = await response.json()
                assert status == response.status, told
                return told

        for name in ("Ann", "Bob"):
            await call("POST", "users", {"name": name})
        bot = await call("POST", "qq/bots", {"name": "Echo", "intents": ["group_and_c2c"]})
        await call("POST", "qq/groups", {"name": "Team", "members": ["Ann", "Bob"], "bots": ["Echo"]})
        await call("POST", "qq/channels", {"name": "general", "members": ["Ann"], "bots": ["Echo"]})
        said = await call("POST", "qq/users/Ann/say", {"to": "Echo", "text": "hi"})
        await call("POST", "qq/users/Bob/say", {"to": "Team", "text": "status?", "at": ["Echo"]})
        await call("POST", "qq/users/Ann/change", {"bot": "Echo", "what": "forbid", "to": "Team"})
        await call("POST", "qq/users/Ann/press", {"bot": "Echo", "payload": "x"})
        view = await call("GET", f"view?user=Ann&bot=c2c:{bot['app_id']}:{world.user('Ann').user_id}")
        assert [said["message_id"]] == [row["message_id"] for row in view["bubbles"]]
        assert [("qq", "c2c", "Echo"), ("qq", "group", "Team"), ("qq", "channel", "general")] == [
            (row["platform"], row["scene"], row["label"]) for row in view["contacts"]
        ]
        assert 2 == len((await call("GET", "view?user=Bob"))["contacts"])
        bubbles = (await call("GET", "qq/rooms/Team/bubbles"))["bubbles"]
        assert [("Bob", "@Echo status?")] == [(row["author"], row["text"]) for row in bubbles]
        rooms = (await call("GET", "qq/rooms"))["rooms"]
        assert {"Ann": "owner", "Bob": "member"} == next(
            row["members"] for row in rooms if row["name"] == "Team"
        )
        assert 3 == (await call("POST", "qq/bots/Echo/expire_windows", {}))["struck"]
        altered = await call("PATCH", "qq/bots/Echo", {"offline": True, "intents": ["interaction"]})
        assert (True, 1 << 26) == (altered["offline"], altered["intents"])
        assert "nothing is called" in (await call("POST", "qq/bots/Echo/dance", {}, 400))["error"]
        assert "no QQ bot" in (await call("POST", "qq/bots/Nobody/mute", {}, 400))["error"]
        assert "no intent" in (await call("POST", "qq/bots", {"intents": ["all"]}, 400))["error"]
        wrong = await call("POST", "qq/users/Ann/say", {"txt": "hi"}, 400)
        assert "did you mean `text`" in wrong["error"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"qq": {"bots": [{"nam": "Echo"}]}}, "did you mean `name`"),
        ({"knobs": {"qq": {"c2c_window": 1}}}, "did you mean `c2c_window_s`"),
        ({"qq": {"groups": [{"name": "Team", "members": ["Zoe"], "bots": []}]}}, "no user 'Zoe'"),
        ({"qq": {"timeline": [{"at_s": 1, "do": "close", "bot": "Echo"}]}}, "no QQ bot 'Echo'"),
        ({"faults": [{"kind": "mute", "call": "qq.token"}]}, "does not befall"),
    ],
)
def test_a_wrong_script_is_refused_at_once(table: dict[str, Any], words: str) -> None:
    """By name, with the nearest right one, and not in the middle of the night."""
    with pytest.raises(ScriptError, match=words):
        Script.from_dict(table).world(0)


async def test_an_open_connection_ends_with_the_server(world: World, ann: str) -> None:
    """Stopping waits for nobody."""
    world.qq.add_bot("Echo")
    async with aiohttp.ClientSession() as session, contextlib.AsyncExitStack() as stack:
        async with running(world) as sim:
            ws = await stack.enter_async_context(connected(sim, session))
        assert (await ws.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
