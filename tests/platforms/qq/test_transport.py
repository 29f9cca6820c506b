"""The line of a bot without a gateway around it: renewal beside the living session, bounds, and real sockets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from aiohttp import web

from simulation.bridge import SimHttp
from simulation.process import Process
from simulation.sockets import SimSockets
from simulation.virtual import Host, SeededChance, VirtualClock, run
from yizhan.core.connection import Lost, LostKind, NotGranted
from yizhan.model import Account, AccountId, AccountState, Credentials
from yizhan.platforms.qq import QqPlatform, link
from yizhan.platforms.qq.intents import GROUP_AND_C2C
from yizhan.platforms.qq.session import Session, read_cursor, write_cursor
from yizhan.platforms.websocket import AiohttpSockets
from yizhan.ports import Absence, Batch, Hangup
from yizhan_simulator import World
from yizhan_simulator.qq.people import ALL_INTENTS

DAY_S = 86_400


class Scene:
    """A bot on a simulated QQ and its transport; `heard` is what came, `cursor` what would be stored."""

    def __init__(self) -> None:
        self.world = World(seed=1)
        self.world.add_user("Ann")
        bot = self.world.qq.add_bot(name="bot")
        self.host, process = Host(), Process()
        clock, chance = VirtualClock(self.host), SeededChance(3)
        self.http = SimHttp(self.world, self.host, process, 1)
        self.sockets = SimSockets(self.world, self.host, process, 1)
        credentials = Credentials(bot.secret, "http://sim.example", token_url="http://sim.example")
        self.account = account = Account(AccountId(f"qq:{bot.app_id}"), credentials, AccountState.UP, 0, 0)
        self.platform = QqPlatform(self.http, self.sockets, clock, chance)
        self.line = self.platform.transport(account)
        self.heard: list[str] = []
        self.lost: list[Lost] = []
        self.cursor = ""

    async def listen(self) -> None:
        while True:
            news = await self.line.receive(self.cursor, 0)
            if isinstance(news, Lost):
                self.lost.append(news)
                await asyncio.sleep(max(news.wait_ms, 500) / 1_000)
            else:
                self.cursor = news.cursor or self.cursor
                self.heard += [each.text for each in news.heard]

    def say(self, text: str) -> None:
        self.world.qq.say("Ann", text, self.host.true_ms())

    async def end(self, listening: asyncio.Task[None]) -> None:
        listening.cancel()
        await asyncio.wait({listening})
        await self.line.close(True)
        await self.sockets.close()
        await self.http.close()


@pytest.mark.parametrize("recycle", ["op7", "never"])
def test_a_session_is_renewed_every_day_beside_the_living_one(recycle: str) -> None:
    """Sessions of several days resumed well and delivered nothing; a break between two of them loses messages."""

    async def story() -> None:
        scene = Scene()
        scene.world.turn(qq={"recycle": recycle})
        listening = asyncio.create_task(scene.listen())
        await asyncio.sleep(1)
        told = [f"line {number}" for number in range(5 * DAY_S // 4 // 301)]
        for text in told:
            scene.say(text)
            await asyncio.sleep(301)
        identified = [record for record in scene.world.ledger if record.call == "qq.identify"]
        assert 2 == len(identified), "a new one after a day"
        assert 1 == scene.sockets.alive()
        assert set(told) == set(scene.heard), "nothing said meanwhile is lost"
        assert {LostKind.RECYCLED} >= {lost.kind for lost in scene.lost}
        await scene.end(listening)

    run(story())


def test_what_a_bot_may_not_hear_is_known_across_restarts_until_it_is_granted() -> None:
    """A bot that QQ sends no buttons looked as well as any other; and a right that was given later changed nothing."""

    async def story() -> None:
        scene = Scene()
        bot = scene.world.qq.bot("bot")
        bot.intents = GROUP_AND_C2C
        listening = asyncio.create_task(scene.listen())
        await asyncio.sleep(120)
        assert scene.line.not_granted is not None
        assert "buttons" in scene.line.not_granted.text
        listening.cancel()
        await scene.line.close(True)
        scene.line = scene.platform.transport(scene.account)
        listening = asyncio.create_task(scene.listen())
        await asyncio.sleep(120)
        assert scene.world.qq.online("bot")
        assert scene.line.not_granted is not None, "the resumed session hears as little as before"
        bot.intents = ALL_INTENTS
        await asyncio.sleep(DAY_S + 900)
        assert scene.line.not_granted is None
        await scene.end(listening)

    run(story())


def test_a_right_that_is_missing_does_not_keep_a_session_from_being_renewed() -> None:
    """All is asked for first, which QQ refuses; then what it grants."""

    async def story() -> None:
        scene = Scene()
        scene.world.qq.bot("bot").intents = GROUP_AND_C2C
        listening = asyncio.create_task(scene.listen())
        await asyncio.sleep(120)
        first = read_cursor(scene.cursor)
        await asyncio.sleep(DAY_S + 3_600)
        second = read_cursor(scene.cursor)
        assert first is not None
        assert second is not None
        assert second.born_ms - first.born_ms > DAY_S * 800
        assert first.rung == second.rung > 0
        assert LostKind.BARRED not in {lost.kind for lost in scene.lost}
        await scene.end(listening)

    run(story())


@pytest.mark.parametrize(
    ("intents", "kind", "words"),
    [
        (ALL_INTENTS, type(None), ""),
        (GROUP_AND_C2C, NotGranted, "guild channels"),
        (1, Lost, "may not ask"),
    ],
)
def test_an_examination_finds_what_a_bot_may_hear_and_leaves_nothing_behind(
    intents: int, kind: type, words: str
) -> None:
    """`yizhan doctor` without a gateway said that all was well with a bot that could hear nothing."""

    async def story() -> None:
        scene = Scene()
        scene.world.qq.bot("bot").intents = intents
        found = await scene.platform.examine(scene.account)
        assert isinstance(found, kind)
        assert words in getattr(found, "text", "")
        assert 0 == scene.sockets.alive()
        await scene.http.close()

    run(story())


def test_an_examination_begins_no_session_while_another_waits_to_be_resumed() -> None:
    """What was said to that one meanwhile would be lost."""

    async def story() -> None:
        scene = Scene()
        listening = asyncio.create_task(scene.listen())
        await asyncio.sleep(5)
        listening.cancel()
        await scene.line.close(True)
        kept = replace(scene.account, cursor=scene.cursor)
        assert 1 == len(scene.world.ledger.select(call="qq.identify"))
        assert await scene.platform.examine(kept) is None
        assert 1 == len(scene.world.ledger.select(call="qq.identify"))
        await scene.http.close()

    run(story())


def test_what_nobody_takes_is_bounded_and_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store takes nothing, memory must not grow with what arrives."""
    monkeypatch.setattr(link, "NEWS_MAX", 20)

    async def story() -> None:
        scene = Scene()
        news = await scene.line.receive("", 0)
        assert isinstance(news, Batch)
        scene.cursor = news.cursor or ""
        for number in range(50):
            scene.say(f"line {number}")
            await asyncio.sleep(0.5)
        listening = asyncio.create_task(scene.listen())
        await asyncio.sleep(30)
        assert [f"line {number}" for number in range(50)] == list(dict.fromkeys(scene.heard))
        assert "full" in {lost.code for lost in scene.lost}
        await scene.end(listening)

    run(story())


def test_a_receive_that_is_cancelled_while_it_connects_leaves_no_socket_behind() -> None:
    async def story() -> None:
        for after_ms in range(0, 200, 7):
            scene = Scene()
            receiving = asyncio.create_task(scene.line.receive("", 0))
            await asyncio.sleep(after_ms / 1_000)
            receiving.cancel()
            await asyncio.wait({receiving})
            await scene.line.close(True)
            assert 0 == scene.sockets.alive()
            await scene.http.close()

    run(story())


HELLO = {"op": 10, "d": {"heartbeat_interval": 41_250}}


def ready(session: str) -> dict[str, object]:
    return {"op": 0, "s": 1, "t": "READY", "d": {"version": 1, "session_id": session, "user": {"id": "1"}}}


def said(text: str, seq: int) -> dict[str, object]:
    d = {"id": f"m{seq}", "content": text, "author": {"user_openid": "A" * 32}}
    return {"op": 0, "s": seq, "t": "C2C_MESSAGE_CREATE", "id": f"C2C_MESSAGE_CREATE:m{seq}", "d": d}


class Dealt:
    """`ports.Socket` on which QQ says what the test deals, whatever we say."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[str | Hangup] = asyncio.Queue()

    def deal(self, *said: object) -> None:
        for each in said:
            self._said.put_nowait(each if isinstance(each, Hangup) else json.dumps(each))

    async def send(self, text: str) -> None:
        """Taken, and left alone."""

    async def receive(self) -> str | Hangup:
        return await self._said.get()

    async def close(self) -> None:
        """Nothing holds it."""


class Dealer:
    """`ports.Sockets`; each begins with its hand."""

    def __init__(self, *hands: tuple[object, ...]) -> None:
        self._hands = list(hands)
        self.opened: list[Dealt] = []

    async def open(self, url: str, timeout_ms: int, max_frame_bytes: int) -> Dealt:
        socket = Dealt()
        socket.deal(*self._hands.pop(0))
        self.opened.append(socket)
        return socket


def test_a_replay_that_breaks_off_is_heard_and_does_not_make_the_bot_up() -> None:
    """Shown as up between two connections that failed, and what waited was sent while QQ did not see the bot."""

    async def story() -> None:
        scene = Scene()
        dealer = Dealer((HELLO, said("are you there?", 8), Hangup(None, "broke")))
        clock, kept = VirtualClock(scene.host), Session("kept", 7, scene.host.true_ms())
        platform = QqPlatform(scene.http, dealer, clock, SeededChance(3))
        line = platform.transport(scene.account)
        news = await line.receive(write_cursor(kept), 0)
        assert isinstance(news, Batch)
        assert ["are you there?"] == [each.text for each in news.heard]
        assert news.lacking is not None
        assert (AccountState.DEGRADED, False) == (news.lacking.after.state, news.lacking.speaks)
        assert isinstance(await line.receive(news.cursor or "", 0), Lost), "and then it is told how it ended"
        await line.close(True)
        await scene.http.close()

    run(story())


def test_what_was_heard_and_not_taken_is_handed_over_when_the_line_ends() -> None:
    """It went with the line; and where the session was new, nobody could come back to it."""

    async def story() -> None:
        scene = Scene()
        dealer = Dealer((HELLO, ready("first")))
        platform = QqPlatform(scene.http, dealer, VirtualClock(scene.host), SeededChance(3))
        line = platform.transport(scene.account)
        news = await line.receive("", 0)
        assert isinstance(news, Batch)
        dealer.opened[0].deal(said("one", 2), said("two", 3))
        await asyncio.sleep(1)
        rest = await line.close(True)
        assert rest is not None
        assert ["one", "two"] == [each.text for each in rest.heard]
        session = read_cursor(rest.cursor or "")
        assert session is not None
        assert ("first", 3) == (session.id, session.seq)
        assert await line.close(True) is None, "once"
        await scene.http.close()

    run(story())


def test_what_was_said_just_before_a_bot_is_divided_otherwise_is_not_lost() -> None:
    """A guild more, and QQ wants the bot divided anew: what one shard had heard by then went with the division."""

    async def story() -> None:
        scene = Scene()
        scene.world.turn(qq={"shards": 2})
        dealer = Dealer((HELLO, ready("first")), (HELLO,))
        line = QqPlatform(scene.http, dealer, VirtualClock(scene.host), SeededChance(3)).transport(
            scene.account
        )
        news = await line.receive("", 0)
        asyncio.get_running_loop().call_later(10, lambda: dealer.opened[0].deal(said("one", 2)))
        while isinstance(news, Batch) and not news.heard:
            news = await line.receive(news.cursor or "", 0)
        assert isinstance(news, Batch)
        assert ["one"] == [each.text for each in news.heard]
        dealer.opened[0].deal(said("two", 3))
        dealer.opened[1].deal(Hangup(4011, "too many guilds"))
        await asyncio.sleep(1)
        last = await line.receive(news.cursor or "", 0)
        assert isinstance(last, Batch)
        assert ["two"] == [each.text for each in last.heard]
        assert last.lacking is not None
        assert not last.lacking.speaks
        end = await line.receive(news.cursor or "", 0)
        assert isinstance(end, Lost)
        assert "close 4011" == end.code
        await line.close(True)
        await scene.http.close()

    run(story())


async def test_a_real_socket_carries_frames_bounds_them_and_ends() -> None:
    """What virtual time cannot prove: aiohttp's side of it."""

    async def talk(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.data == "large":
                await ws.send_str("x" * 2_000)
            elif message.data == "close":
                await ws.close(code=4009, message=b"Session timed out")
            elif message.data == "break":
                assert request.transport is not None
                request.transport.abort()
            else:
                await ws.send_str(f"heard {message.data}")
        return ws

    app = web.Application()
    app.router.add_get("/websocket", talk)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    sockets = AiohttpSockets()
    url = f"ws://127.0.0.1:{port}/websocket"
    try:
        for word, expected in (("close", 4009), ("break", None), ("large", None)):
            socket = await sockets.open(url, 5_000, 1_000)
            assert not isinstance(socket, Absence)
            await socket.send("hello")
            assert "heard hello" == await socket.receive()
            await socket.send(word)
            end = await socket.receive()
            assert isinstance(end, Hangup)
            assert expected == end.code
            assert isinstance(await socket.receive(), Hangup), "over is over"
            await socket.send("into the void")
            await socket.close()
        assert isinstance(await sockets.open(f"ws://127.0.0.1:{port}/nothing", 5_000, 1_000), Absence)
        assert isinstance(await sockets.open("ws://127.0.0.1:1/", 5_000, 1_000), Absence)
        assert isinstance(await sockets.open("not an address", 5_000, 1_000), Absence)
    finally:
        await sockets.close()
        await runner.cleanup()
    assert isinstance(await sockets.open(url, 1_000, 1_000), Absence)
