"""The simulator on a real socket: what a client sees of every fault, of outages, and of the clock."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from yizhan_simulator import Fault, Outage, World
from yizhan_simulator.clock import ManualClock
from yizhan_simulator.server import SimServer, running


class Client:
    """Speaks to the platform's port with a real HTTP library."""

    def __init__(self, session: aiohttp.ClientSession, sim: SimServer, token: str) -> None:
        self.session, self.sim, self.token = session, sim, token
        self._sent = 0

    async def post(self, call: str, body: Any, timeout_s: float = 5) -> Any:
        headers = {"AuthorizationType": "ilink_bot_token", "Authorization": f"Bearer {self.token}"}
        url = f"{self.sim.url}/ilink/bot/{call}"
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with self.session.post(url, json=body, headers=headers, timeout=timeout) as response:
            return json.loads(await response.read())

    async def send(self, to: str, text: str, timeout_s: float = 5) -> Any:
        self._sent += 1
        item = {"type": 1, "text_item": {"text": text}}
        msg = {"from_user_id": "", "to_user_id": to, "client_id": f"s{self._sent}", "message_type": 2}
        return await self.post(
            "sendmessage", {"msg": {**msg, "message_state": 2, "item_list": [item]}}, timeout_s
        )

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, f"{self.sim.control_url}/_sim/{path}", json=body) as response:
            return response.status, await response.json()


@pytest.fixture
async def sim(world: World) -> AsyncIterator[SimServer]:
    world.turn(hold_ms=400)
    async with running(world) as server:
        yield server


@pytest.fixture
async def client(sim: SimServer, ann: str) -> AsyncIterator[Client]:
    bot = sim.world.add_bot(ann, now_ms=sim.clock.now_ms())
    sim.world.say(ann, "hello", sim.clock.now_ms())
    async with aiohttp.ClientSession() as session:
        yield Client(session, sim, bot.token)


async def test_a_message_goes_there_and_back(sim: SimServer, ann: str, client: Client) -> None:
    """Poll, answer, bubble."""
    answer = await client.post("getupdates", {"get_updates_buf": ""})
    assert "hello" == answer["msgs"][0]["item_list"][0]["text_item"]["text"]
    assert "message_id" in await client.send(ann, "hi")
    assert ["hi"] == [bubble.text for bubble in sim.world.shown(ann)]


async def test_a_held_poll_is_answered_when_somebody_writes(sim: SimServer, ann: str, client: Client) -> None:
    """Within moments, not at the end of the window."""
    sim.world.turn(hold_ms=60_000)
    cursor = (await client.post("getupdates", {"get_updates_buf": ""}))["get_updates_buf"]
    poll = asyncio.ensure_future(client.post("getupdates", {"get_updates_buf": cursor}, 30))
    await asyncio.sleep(0.1)
    assert not poll.done()
    sim.world.say(ann, "now", sim.clock.now_ms())
    assert 1 == len((await poll)["msgs"])


async def test_a_poll_that_hung_up_takes_nothing_along(sim: SimServer, ann: str, client: Client) -> None:
    """The next poll gets the message although the first was still held."""
    sim.world.turn(hold_ms=60_000, inbound="consume")
    cursor = (await client.post("getupdates", {"get_updates_buf": ""}))["get_updates_buf"]
    with pytest.raises(asyncio.TimeoutError):
        await client.post("getupdates", {"get_updates_buf": cursor}, 0.2)
    await asyncio.sleep(0.1)
    sim.world.say(ann, "still there?", sim.clock.now_ms())
    assert 1 == len((await client.post("getupdates", {"get_updates_buf": cursor}))["msgs"])


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(kind="reset_before"), aiohttp.ClientConnectionError),
        (Fault(kind="reset_after"), aiohttp.ClientConnectionError),
        (Fault(kind="hang"), asyncio.TimeoutError),
        (Fault(kind="lost_answer"), asyncio.TimeoutError),
        (Fault(kind="slow", delay_s=30), asyncio.TimeoutError),
        (Fault(kind="cut"), aiohttp.ClientPayloadError),
        (Fault(kind="huge"), asyncio.TimeoutError),
        (Fault(kind="wrong_length"), asyncio.TimeoutError),
        (Fault(kind="drip", every_ms=500), asyncio.TimeoutError),
        (Fault(kind="truncated"), json.JSONDecodeError),
        (Fault(kind="html"), json.JSONDecodeError),
        (Fault(kind="empty"), json.JSONDecodeError),
        (Fault(kind="bytes"), UnicodeDecodeError),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
async def test_a_client_sees_each_fault_as_it_is_meant(
    sim: SimServer, ann: str, client: Client, fault: Fault, error: type[Exception]
) -> None:
    """On the wire, and only once."""
    sim.world.add_fault(Fault(kind=fault.kind, times=1, delay_s=fault.delay_s, every_ms=fault.every_ms), 0)
    with pytest.raises(error):
        await client.send(ann, "struck", 0.4 if error is asyncio.TimeoutError else 10)
    assert "message_id" in await client.send(ann, "fine")


async def test_a_reset_is_a_reset(sim: SimServer, client: Client) -> None:
    """RST, not an orderly close."""
    sim.world.add_fault(Fault(kind="reset_before", call="*"), 0)
    host, port = sim.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /ilink/bot/get_bot_qrcode?bot_type=3 HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_dripping_answer_arrives_in_the_end(sim: SimServer, ann: str, client: Client) -> None:
    """For clients that bound the whole call and not only the gaps."""
    sim.world.add_fault(Fault(kind="drip", chunk=8, every_ms=5), 0)
    assert "message_id" in await client.send(ann, "slowly")


async def test_during_an_outage_connections_are_refused_and_the_port_stays_ours(
    sim: SimServer, ann: str, client: Client
) -> None:
    """Refused at once; the phone page keeps working; afterwards the same address answers."""
    sim.world.turn(hold_ms=60_000)
    cursor = (await client.post("getupdates", {"get_updates_buf": ""}))["get_updates_buf"]
    poll = asyncio.ensure_future(client.post("getupdates", {"get_updates_buf": cursor}, 30))
    await asyncio.sleep(0.1)
    outage = sim.world.add_outage(Outage(to_s=3600), sim.clock.now_ms())
    with pytest.raises(aiohttp.ClientConnectionError):
        await poll
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.send(ann, "during")
    with socket.socket() as thief, pytest.raises(OSError):
        thief.bind(("127.0.0.1", int(sim.url.rsplit(":", 1)[1])))
    assert 200 == (await client.control("GET", "stats"))[0]
    sim.world.remove(outage)
    for _ in range(200):
        with contextlib.suppress(aiohttp.ClientConnectorError):
            assert "message_id" in await client.send(ann, "after")
            break
        await asyncio.sleep(0.02)
    assert ["after"] == [bubble.text for bubble in sim.world.shown(ann)]


@pytest.mark.parametrize(
    ("kind", "error"), [("reset", aiohttp.ClientConnectionError), ("hang", TimeoutError)]
)
def test_other_outages_accept_first(kind: Any, error: Any, world: World, ann: str) -> None:
    """Accepted then reset, or accepted and silent."""

    async def story() -> None:
        async with running(world) as sim, aiohttp.ClientSession() as session:
            client = Client(session, sim, world.add_bot(ann).token)
            world.add_outage(Outage(to_s=60, kind=kind), sim.clock.now_ms())
            with pytest.raises(error):
                await client.post("msg/notifystart", {}, 0.4 if kind == "hang" else 10)

    asyncio.run(story())


async def test_time_stands_still_until_a_test_moves_it(world: World, ann: str) -> None:
    """Held polls, delayed bubbles and outages follow the manual clock."""
    clock = ManualClock()
    async with running(world, clock=clock) as sim, aiohttp.ClientSession() as session:
        client = Client(session, sim, world.add_bot(ann).token)
        poll = asyncio.ensure_future(client.post("getupdates", {"get_updates_buf": ""}, 30))
        await asyncio.sleep(0.1)
        assert not poll.done()
        status, answer = await client.control("POST", "clock", {"advance_ms": 35_000})
        assert (200, clock.now_ms()) == (status, answer["now_ms"])
        assert [] == (await poll)["msgs"]
        assert 400 == (await client.control("POST", "clock", {"set_ms": 1}))[0]


async def test_the_control_api_does_all_a_test_needs(sim: SimServer, client: Client) -> None:
    """Another process arranges users, bots, weather, and asks what happened."""
    _, bob = await client.control("POST", "users", {"name": "Bob"})
    _, bot = await client.control("POST", "bots", {"user": "Bob", "token": "bbbbbbbbbbbb@im.bot:01"})
    assert ("bbbbbbbbbbbb@im.bot", bob["user_id"]) == (bot["bot_id"], bot["user_id"])
    items = [{"kind": "file", "name": "a.pdf", "size": 10}]
    _, said = await client.control("POST", "users/Bob/say", {"text": "hi", "items": items})
    assert 2 == len(said["message_ids"])
    client.token = bot["token"]
    assert "message_id" in await client.send(bob["user_id"], "hello Bob")
    _, rows = await client.control("GET", f"users/Bob/bubbles?bot={bot['bot_id']}")
    assert ["hi", "a.pdf", "hello Bob"] == [row["name"] or row["text"] for row in rows["bubbles"]]
    _, limit = await client.control("POST", "limits", {"count": 1, "per_s": 3600})
    _, fault = await client.control("POST", "faults", {"kind": "ret0", "times": 1})
    assert {"ret": 0} == await client.send(bob["user_id"], "one")
    assert "rate limited" == (await client.send(bob["user_id"], "two"))["errmsg"]
    _, weather = await client.control("GET", "weather")
    assert [limit["name"]] == [row["name"] for row in weather["limits"]]
    assert [(fault["name"], 1)] == [(row["name"], row["struck"]) for row in weather["faults"]]
    assert {"removed": True} == (await client.control("DELETE", f"weather/{limit['name']}"))[1]
    assert "message_id" in await client.send(bob["user_id"], "three")
    assert {"expired": 2} == (await client.control("POST", "tokens/expire", {"user": "Bob"}))[1]
    _, knobs = await client.control("PATCH", "knobs", {"silent_drop": ["Bob"], "qr": {"verify_code": "7"}})
    assert (["Bob"], "7", 120) == (knobs["silent_drop"], knobs["qr"]["verify_code"], knobs["qr"]["ttl_s"])
    _, ledger = await client.control("GET", "ledger?call=sendmessage")
    assert ["shown", "shown", "refused", "shown"] == [row["effect"] for row in ledger["records"]]
    _, stats = await client.control("GET", "stats")
    assert 1 == stats["counts"]["sendmessage/refused"]
    await client.control("POST", "bots/bbbbbbbbbbbb@im.bot/revoke")
    assert -14 == (await client.post("msg/notifystart", {}))["errcode"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "users", {"name": "Ann"}, 400, "already a user"),
        ("POST", "users", {"nam": "X"}, 400, "did you mean `name`"),
        ("POST", "users/Zoe/say", {"text": "hi"}, 400, "no user 'Zoe'"),
        ("POST", "users/Ann/say", {}, 400, "nothing to say"),
        ("POST", "users/Ann/say", {"items": [{"kind": "smell"}]}, 400, "kind must be"),
        ("POST", "users/Ann/say", {"items": [{"kind": "image", "content": "?"}]}, 400, "not base64"),
        ("POST", "limits", {"kind": "leaky"}, 400, "leaky"),
        ("PATCH", "knobs", {"quota": 1}, 400, "unknown field"),
        ("POST", "logins/xyz/scan", {"user": "Ann"}, 400, "no login"),
        ("POST", "clock", {"advance_ms": 1}, 400, "real clock"),
        ("GET", "nonsense", None, 404, "no route"),
    ],
)
async def test_the_control_api_says_what_is_wrong(
    client: Client, method: str, path: str, body: Any, status: int, words: str
) -> None:
    """In words, with the nearest key."""
    got, answer = await client.control(method, path, body)
    assert status == got
    assert words in answer["error"]


async def test_a_login_by_hand_through_page_and_api(sim: SimServer, ann: str, client: Client) -> None:
    """The QR code's address leads to the phone page; scan and confirm there."""
    qr = await client.post("get_bot_qrcode?bot_type=3", {})
    async with client.session.get(qr["qrcode_img_content"], allow_redirects=False) as response:
        assert (302, f"{sim.phone_url}?scan={qr['qrcode']}") == (
            response.status,
            response.headers["Location"],
        )
    async with client.session.get(sim.phone_url) as response:
        assert "text/html; charset=utf-8" == response.headers["Content-Type"]
        page = await response.text()
    assert "http://" not in page
    assert "https://" not in page
    _, waiting = await client.control("GET", "logins")
    assert [qr["qrcode"]] == [row["handle"] for row in waiting["logins"]]
    await client.control("POST", f"logins/{qr['qrcode']}/scan", {"user": "Ann"})
    await client.control("POST", f"logins/{qr['qrcode']}/confirm")
    url = f"{sim.url}/ilink/bot/get_qrcode_status?qrcode={qr['qrcode']}"
    async with client.session.get(url) as response:
        answer = await response.json()
    assert ("confirmed", sim.url, ann) == (answer["status"], answer["baseurl"], answer["ilink_user_id"])


async def test_the_page_hears_of_every_change(sim: SimServer, ann: str, client: Client) -> None:
    """Server-sent events carry a rising number; the view has all that a phone shows."""
    async with client.session.get(f"{sim.control_url}/_sim/stream") as stream:
        first = await asyncio.wait_for(stream.content.readline(), 5)
        await stream.content.readline()
        await client.send(ann, "look")
        second = await asyncio.wait_for(stream.content.readline(), 5)
    assert int(second.split(b":")[1]) > int(first.split(b":")[1])
    (bot,) = sim.world.state.people.live_bots()
    _, view = await client.control("GET", f"view?user=Ann&bot={bot.bot_id}")
    assert ["hello", "look"] == [row["text"] for row in view["bubbles"]]
    assert [(bot.bot_id, True, "look")] == [
        (c["bot_id"], c["mine"], c["last"]["text"]) for c in view["contacts"]
    ]
    assert {"shown": 1} == view["tally"]


async def test_the_process_announces_itself_and_keeps_its_ledger(tmp_path: Path) -> None:
    """Address on the first line, records as lines of JSON, exit code 0 on SIGTERM."""
    (tmp_path / "s.yaml").write_text("{users: [{name: Ann}], bots: [{user: Ann}], knobs: {hold_ms: 300}}")
    book = tmp_path / "out.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "yizhan_simulator", "--script", tmp_path / "s.yaml", "--ledger", book,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    word, url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().split()
    _, phone = (await process.stdout.readline()).decode().split()
    assert ("simulator", "/phone") == (word, phone[-6:])
    async with aiohttp.ClientSession() as session:
        control = phone.removesuffix("/phone")
        async with session.post(f"{control}/_sim/users/Ann/say", json={"text": "你好"}) as response:
            assert 200 == response.status
        async with session.get(f"{url}/ilink/bot/nothing") as response:
            assert 404 == response.status
    os.kill(process.pid, signal.SIGTERM)
    assert 0 == await asyncio.wait_for(process.wait(), 10)
    assert ["say", "nothing"] == [json.loads(line)["call"] for line in book.read_text().splitlines()]


@pytest.mark.parametrize(
    ("script", "port", "code", "words"),
    [("faults: [{kid: hang}]", "0", 2, "did you mean `kind`"), ("seed: 1", "taken", 1, "cannot listen")],
)
async def test_the_process_says_why_it_does_not_start(
    tmp_path: Path, script: str, port: str, code: int, words: str
) -> None:
    """A wrong script, a port in use."""
    (tmp_path / "s.yaml").write_text(script)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        chosen = str(taken.getsockname()[1]) if port == "taken" else port
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "yizhan_simulator", "--script", tmp_path / "s.yaml", "--port", chosen,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert code == process.returncode
    assert words in errors.decode()
