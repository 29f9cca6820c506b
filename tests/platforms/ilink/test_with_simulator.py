"""Transport, codec and login against the simulated WeChat, on a real socket.

The simulator was written from recorded facts by other hands and shares no code with the codec, so that one
misreading cannot confirm itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from yizhan.core.verdict import Deferred, Delivered, Ghost, InDoubt, StaleToken, Throttled, Verdict, name_of
from yizhan.model import (
    Account,
    AccountId,
    AccountState,
    ChatId,
    Credentials,
    Entry,
    InboundId,
    Item,
    ReplyToken,
)
from yizhan.platforms.http import AiohttpHttp
from yizhan.platforms.ilink import IlinkPlatform
from yizhan.ports import Batch, Chance, Evidence, Heard, LoginStatus, Lost, LostKind, NewLogin
from yizhan_simulator import Attachment, Fault, Outage, Quote, Refusal, World
from yizhan_simulator.server import SimServer, running

ANN = "o9cq80ann@im.wechat"


class WallClock:
    """Real time, with the waits of a login shortened: the server's patience is real, ours need not be."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep_ms(self, wait_ms: int) -> None:
        await asyncio.sleep(min(wait_ms, 50) / 1_000)

    async def sleep_until(self, at_ms: int) -> None:
        await asyncio.sleep(max(0, at_ms - self.now_ms()) / 1_000)


@dataclass
class Desk:
    """Somebody at work with one bot of the simulated WeChat."""

    sim: SimServer
    platform: IlinkPlatform
    account: Account
    cursor: str = ""
    token: ReplyToken | None = None
    sent: int = 0

    async def poll(self) -> Batch | Lost:
        line = self.platform.transport(self.account)
        made = await line.receive(self.cursor, 2_000)
        if isinstance(made, Batch):
            self.cursor = made.cursor or self.cursor
        return made

    async def hear(self) -> tuple[Heard, ...]:
        made = await self.poll()
        assert isinstance(made, Batch), made
        for heard in made.heard:
            self.token = ReplyToken(self.account.id, heard.chat, InboundId("i"), heard.token, 0)
        return made.heard

    async def send(
        self, text: str, token: ReplyToken | None = None, client_id: str = "", timeout_ms: int = 9_000
    ) -> Verdict:
        self.sent += 1
        entry = Entry(no=1, text=text, client_id=client_id or f"yizhan:{self.sent}")
        request = self.platform.codec.encode(self.account, ChatId(ANN), entry, token)
        reply = await self.platform.transport(self.account).send(replace(request, timeout_ms=timeout_ms))
        return self.platform.codec.classify(reply, Evidence(token is not None, True, len(text.encode())))

    def say(self, text: str) -> None:
        self.sim.world.say("Ann", text, self.sim.clock.now_ms())

    def weather(self, fault: Fault) -> None:
        self.sim.world.add_fault(fault, self.sim.clock.now_ms())

    def shown(self) -> list[str]:
        return [bubble.text for bubble in self.sim.world.shown("Ann")]


@pytest.fixture
async def http() -> AsyncIterator[AiohttpHttp]:
    made = AiohttpHttp(connect_timeout_ms=2_000)
    yield made
    await made.close()


@pytest.fixture
async def desk(http: AiohttpHttp, chance: Chance) -> AsyncIterator[Desk]:
    world = World(seed=7)
    world.turn(hold_ms=300, quota_per_inbound=0, needs_inbound=False)
    world.add_user("Ann", ANN)
    bot = world.add_bot("Ann")
    async with running(world) as sim:
        platform = IlinkPlatform(http, WallClock(), chance, login_url=sim.url)
        credentials = Credentials(secret=bot.token, base_url=sim.url, user_id=ANN)
        account = Account(AccountId(f"weixin:{bot.bot_id}"), credentials, AccountState.UP, 0, 0)
        yield Desk(sim, platform, account)


async def test_a_message_comes_and_its_answer_goes(desk: Desk) -> None:
    """The whole way there and back."""
    desk.say("你好 👋🏽\n  second line")
    (heard,) = await desk.hear()
    assert ("你好 👋🏽\n  second line", ANN, ANN) == (heard.text, heard.chat, heard.sender_id)
    assert heard.platform_message_id is not None
    assert heard.platform_message_id.isdigit()
    assert abs(heard.sent_at_ms - time.time() * 1_000) < 60_000
    verdict = await desk.send("答 🙂", desk.token)
    assert isinstance(verdict, Delivered)
    assert ["答 🙂"] == desk.shown()
    (record,) = desk.sim.world.ledger.sends()
    assert ("fresh", verdict.receipt, "yizhan:1") == (record.token_state, record.receipt, record.client_id)


@pytest.mark.field("F63")
async def test_idle_poll_is_an_answer_and_the_cursor_goes_on(desk: Desk) -> None:
    """Nothing is heard twice once the cursor has moved."""
    desk.say("one")
    assert ["one"] == [heard.text for heard in await desk.hear()]
    assert () == await desk.hear()


async def test_media_and_quotes_are_named(desk: Desk) -> None:
    """What cannot be transferred yet is at least seen."""
    attachment = Attachment(kind="file", name="a.pdf", size=1_234)
    (first,) = desk.sim.world.say("Ann", "quoted in full", desk.sim.clock.now_ms())
    assert first
    desk.sim.world.say("Ann", "", desk.sim.clock.now_ms(), items=(attachment,))
    desk.sim.world.say("Ann", "this one", desk.sim.clock.now_ms(), quote=Quote(text="quoted in full"))
    heard = await desk.hear()
    assert Item("file", "a.pdf", 1_234) in [item for each in heard for item in each.items]
    assert ["quoted in full"] == [each.quoted_text for each in heard if each.text == "this one"]


async def test_dead_login_is_recognised_by_poll_send_and_probe(desk: Desk) -> None:
    """The three places where a person's help is the only way on."""
    assert await desk.platform.probe(desk.account) is None
    desk.say("hi")
    await desk.hear()
    desk.sim.world.revoke(desk.account.external_id, desk.sim.clock.now_ms())
    lost = await desk.poll()
    assert isinstance(lost, Lost)
    assert LostKind.LOGIN == lost.kind
    probed = await desk.platform.probe(desk.account)
    assert isinstance(probed, Lost)
    assert LostKind.LOGIN == probed.kind
    assert isinstance(await desk.send("x", desk.token), StaleToken)


@pytest.mark.parametrize(
    "errmsg", ["prepare failed", "rate limited", "freq limit", "unknown error", "invalid arguments", "", None]
)
async def test_stale_token_is_suspected_whatever_the_words(desk: Desk, errmsg: str | None) -> None:
    """Only one wording used to be recognised; pushes failed for ten days (hermes-agent #96416)."""
    desk.sim.world.turn(stale_refusal=Refusal(ret=-2, errmsg=errmsg))
    desk.say("hi")
    await desk.hear()
    desk.sim.world.expire_tokens()
    verdict = await desk.send("x", desk.token)
    assert isinstance(verdict, Throttled)
    assert verdict.token_suspect
    assert isinstance(await desk.send("x", None), Delivered)


async def test_silent_drop_is_a_ghost(desk: Desk) -> None:
    """`{"ret":0}` and nothing on the phone, for weeks (Tencent/openclaw-weixin #263)."""
    desk.sim.world.turn(silent_drop=["Ann"])
    verdict = await desk.send("x")
    assert isinstance(verdict, Ghost)
    assert verdict.alarming


@pytest.mark.parametrize(
    "kind", ["reset_before", "reset_after", "lost_answer", "hang", "status", "html", "truncated", "cut", "null",
             "list", "number", "text", "bytes", "wrong_types", "nested", "empty", "empty_object", "gzip_bomb",
             "huge", "wrong_length", "drip"]
)  # fmt: skip
async def test_no_bad_weather_is_ever_called_a_success(desk: Desk, kind: str) -> None:
    """Each leaves the send in doubt; sent again under its id it is on the screen once."""
    desk.weather(Fault(kind=kind, times=1))  # type: ignore[arg-type]
    slow = kind in ("lost_answer", "hang", "drip", "huge", "wrong_length")
    first = await asyncio.wait_for(desk.send("x", timeout_ms=700 if slow else 9_000), 12)
    assert "InDoubt" == name_of(first), first
    again = await desk.send("x", client_id="yizhan:1")
    assert isinstance(again, Delivered)
    assert ["x"] == desk.shown()


async def test_outage_costs_nothing(desk: Desk) -> None:
    """Nobody listens: unsent, and it works again afterwards."""
    desk.sim.world.add_outage(Outage(to_s=3_600), desk.sim.clock.now_ms())
    assert isinstance(await desk.send("x"), Deferred | InDoubt)
    assert isinstance(await desk.send("x", client_id="yizhan:1"), Deferred)
    desk.sim.world.clear_weather()
    for _ in range(100):
        if isinstance(await desk.send("x", client_id="yizhan:1"), Delivered):
            break
        await asyncio.sleep(0.05)
    assert ["x"] == desk.shown()


async def test_typing_is_seen_and_ends(desk: Desk) -> None:
    """With a ticket, on the phone of the one who waits."""
    desk.say("hi")
    await desk.hear()
    line = desk.platform.transport(desk.account)
    bot = desk.account.external_id
    await line.typing(ChatId(ANN), desk.token, True)
    assert desk.sim.world.typing("Ann", bot, desk.sim.clock.now_ms())
    await line.typing(ChatId(ANN), desk.token, False)
    assert not desk.sim.world.typing("Ann", bot, desk.sim.clock.now_ms())


async def test_line_opens_and_closes(desk: Desk) -> None:
    """Announced and taken leave of, each once."""
    line = desk.platform.transport(desk.account)
    await line.open()
    await line.close(announce=True)
    calls = [record.call.rpartition("/")[2] for record in desk.sim.world.ledger.select()]
    assert ["notifystart", "notifystop"] == [call for call in calls if call.startswith("notify")]


async def scanned_login(desk: Desk, known: tuple[Account, ...] = ()) -> tuple[object, LoginStatus]:
    """Runs a login while Ann holds her phone to the screen and types what it shows."""
    login = desk.platform.login(known, None)
    running_login = asyncio.create_task(login.run())
    world = desk.sim.world
    confirmed = False
    while not running_login.done():
        await asyncio.sleep(0.02)
        now_ms = desk.sim.clock.now_ms()
        for code in world.logins():
            if code.status == "wait":
                world.scan(code.handle, "Ann", now_ms)
            elif login.view().status is LoginStatus.VERIFY_CODE and code.verify_code:
                login.verify(code.verify_code)
            elif code.status == "scaned" and not confirmed:
                world.confirm(code.handle, now_ms)
                confirmed = True
    return await running_login, login.view().status


@pytest.mark.parametrize("verify_code", [None, "4711"])
async def test_login_by_phone_opens_an_account_that_works(desk: Desk, verify_code: str | None) -> None:
    """From the code on the screen to the first message, with and without digits."""
    desk.sim.world.turn(qr={"hold_ms": 300, "verify_code": verify_code})
    made, status = await scanned_login(desk)
    assert LoginStatus.CONFIRMED == status
    assert isinstance(made, NewLogin)
    assert (desk.sim.url, ANN) == (made.credentials.base_url, made.credentials.user_id)
    fresh = Desk(desk.sim, desk.platform, Account(made.account, made.credentials, AccountState.UP, 0, 0))
    desk.say("after the login")
    assert ["after the login"] == [heard.text for heard in await fresh.hear()]
    lost = await desk.poll()
    assert isinstance(lost, Lost), "the older link of the same person is dead"
    assert LostKind.LOGIN == lost.kind


async def test_login_of_a_linked_person_keeps_the_link(desk: Desk) -> None:
    """Listing the token that we hold saves it: nothing is revoked."""
    desk.sim.world.turn(qr={"hold_ms": 300})
    made, status = await scanned_login(desk, (desk.account,))
    assert (desk.account.id, LoginStatus.ALREADY_LINKED) == (made, status)
    assert await desk.platform.probe(desk.account) is None


async def test_login_follows_to_another_data_centre(desk: Desk) -> None:
    """A simulator on this machine may redirect in the clear."""
    host = desk.sim.url.removeprefix("http://")
    desk.sim.world.turn(qr={"hold_ms": 300, "redirect_host": host})
    made, status = await scanned_login(desk)
    assert LoginStatus.CONFIRMED == status
    assert isinstance(made, NewLogin)


async def test_login_survives_trouble_while_waiting(desk: Desk) -> None:
    """One lost packet must not cancel the scan."""
    desk.sim.world.turn(qr={"hold_ms": 300})
    desk.weather(Fault(kind="reset_before", call="get_qrcode_status", times=2))
    desk.weather(Fault(kind="status", status=524, call="get_qrcode_status", times=1))
    desk.weather(Fault(kind="html", call="get_bot_qrcode", times=1))
    _, status = await scanned_login(desk)
    assert LoginStatus.CONFIRMED == status
