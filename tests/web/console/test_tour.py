"""A tour of the console in a real browser, beside a gateway at work and a simulated WeChat on loopback."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe

from yizhan.agents.echo import Echo
from yizhan.model import Access, AccountId, AccountState, Credentials, Target
from yizhan.platforms.http import AiohttpHttp
from yizhan.platforms.ilink import IlinkPlatform
from yizhan.platforms.qq import QqPlatform
from yizhan.platforms.websocket import AiohttpSockets
from yizhan.ports import Platform
from yizhan.runtime.clock import SystemChance, SystemClock
from yizhan.runtime.gateway import Gateway, Parts
from yizhan.runtime.views import Order
from yizhan.settings import Settings
from yizhan.store import open_store
from yizhan.web import create_app
from yizhan_simulator import Fault, Refusal, World
from yizhan_simulator.server import SimServer, running

from .conftest import API_KEY, House, Served, Window, served, window

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="module"),
]

PATIENCE_S = 60
PAGES = (
    "",
    "chats",
    "chat",
    "turns",
    "outbox",
    "accounts",
    "people",
    "schedules",
    "schedule",
    "settings",
    "webhooks",
)
SERIOUS = ("serious", "critical")
SIDEWAYS = """[...document.querySelectorAll("header, nav, form")]
  .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.outerHTML.slice(0, 100))"""
"""What has more on one line than it can show."""
NAMELESS = """[...document.querySelectorAll("form [id^=in-]")]
  .filter((box) => !box.name).map((box) => box.id)"""
"""Boxes whose content goes nowhere: the browser's cleaner has taken their name away."""


@dataclass
class Tour:
    """A gateway at work, its console, a simulated WeChat, and Ann, who may talk to the bot."""

    open_house: Served
    sim: SimServer
    ann: str
    account: AccountId

    @property
    def gateway(self) -> Gateway:
        return self.open_house.house.gateway

    @property
    def world(self) -> World:
        return self.sim.world

    @property
    def chat(self) -> Target:
        return Target(self.account, self.ann)  # type: ignore[arg-type]

    def url(self, page: str) -> str:
        asked = f"chat?chat={quote(str(self.chat), safe='')}" if page == "chat" else page
        return f"{self.open_house.url}/console/{asked}"

    def say(self, text: str) -> None:
        """Ann writes on her phone."""
        self.world.say(self.ann, text, self.sim.clock.now_ms())

    def shown(self) -> list[str]:
        """What Ann sees of the bot's messages."""
        return [bubble.text for bubble in self.world.shown(self.ann)]

    async def push(self, text: str, **order: Any) -> str:
        return str((await self.gateway.accept(Order(str(self.chat), text, **order))).message.id)

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def looking(self, browser: Any, page: str = "", **chosen: Any) -> AsyncIterator[Window]:
        """A signed-in window on a page. Whatever happens in it, it has asked nobody else."""
        async with window(browser, **chosen) as seen:
            await seen.page.goto(self.open_house.sign_in_url())
            await seen.page.wait_for_selector("h1")
            if page:
                await seen.page.goto(self.url(page))
                await seen.page.wait_for_selector("h1")
            yield seen
            assert [] == seen.strangers(self.open_house.url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tour(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tour]:
    async with AsyncExitStack() as stack:
        world = World(seed=1)
        world.turn(quota_per_inbound=0, needs_inbound=False, qr={"hold_ms": 200, "verify_code": "4711"})
        ann = world.add_user("Ann")
        sim = await stack.enter_async_context(running(world))
        gateway = await _gateway(tmp_path_factory.mktemp("tour"), sim, stack)
        bot = world.add_bot(ann)
        credentials = Credentials(bot.token, sim.url, f"{sim.url}/c2c", user_id=ann)
        account, _ = await gateway.add_account("weixin", bot.bot_id, credentials)
        house = House(gateway, create_app(gateway, api_key=API_KEY, version="1.2.3"))
        open_house = await stack.enter_async_context(served(house))
        made = Tour(open_house, sim, ann, account.id)
        made.say("good morning")
        await made.until(lambda: "good morning" in made.shown())
        yield made


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _fair_weather(tour: Tour) -> AsyncIterator[None]:
    """Whatever a test has done to the weather, the next one finds it fair, and the agent answering."""
    yield
    tour.world.clear_weather()
    tour.world.turn(silent_drop=[], client_id_dedupe=True)
    await tour.gateway.take_over(tour.chat, False)


async def _gateway(home: Path, sim: SimServer, stack: AsyncExitStack) -> Gateway:
    clock, chance = SystemClock(), SystemChance()
    settings = Settings.model_validate(
        {
            "home": home,
            "agent": "echo",
            "turns": {"debounce_s": 0.1},
            "access": {"policy": "pairing"},
            "webhooks": {"allow_private": True},
        }
    )
    store = await open_store(None, home, clock=clock, chance=chance)
    stack.push_async_callback(store.close)
    http = AiohttpHttp()
    stack.push_async_callback(http.close)
    weixin = IlinkPlatform(http, clock, chance, login_url=sim.url, typing=False)
    sockets = AiohttpSockets()
    stack.push_async_callback(sockets.close)
    doors: dict[str, Platform] = {"weixin": weixin, "qq": QqPlatform(http, sockets, clock, chance)}
    gateway = Gateway(Parts(settings, store, clock, chance, doors, Echo(), outside=http))
    await gateway.open()
    await gateway.start()
    stack.push_async_callback(gateway.stop)
    return gateway


async def test_a_key_signs_in_and_a_wrong_one_does_not(browser: Any, tour: Tour) -> None:
    async with window(browser) as seen:
        page = seen.page
        await page.goto(f"{tour.open_house.url}/console/")
        await page.locator("input[name=key]").fill("a-guess")
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("alert").filter(has_text="neither a one-time code").wait_for()
        await page.locator("input[name=key]").fill(API_KEY)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("heading", name="Overview").wait_for()
        await page.locator(f'[data-account="{tour.account}"]').get_by_text("Connected", exact=True).wait_for()
        await page.locator('[data-kind="delivered"]').wait_for()
        assert API_KEY not in await page.content()


async def test_a_login_goes_from_code_over_digits_to_an_account(browser: Any, tour: Tour) -> None:
    """Scan, type the digits, done: nobody needs a terminal for it."""
    async with tour.looking(browser, "accounts") as seen:
        page, world = seen.page, tour.world
        bob = world.add_user("Bob")
        await page.get_by_role("button", name="Log in with WeChat").click()
        await page.locator(".qr svg").wait_for()
        (code,) = [login for login in world.logins() if login.status == "wait"]
        world.scan(code.handle, bob, tour.sim.clock.now_ms())
        await page.get_by_label("Digits").fill("4711")
        await page.get_by_role("button", name="Confirm").click()
        await page.get_by_text("Scanned. Confirm on the phone").wait_for()
        world.confirm(code.handle, tour.sim.clock.now_ms())
        await page.get_by_text("Logged in: weixin:").wait_for()
        await page.get_by_role("button", name="Close").click()
        assert 2 == len(await tour.gateway.store.accounts())
        await page.locator("tr[data-account]").nth(1).get_by_text("Connected", exact=True).wait_for()
        (new,) = [a.id for a in await tour.gateway.store.accounts() if a.id != tour.account]
        row = page.locator(f'tr[data-account="{new}"]')
        await row.get_by_role("button", name="Test the login").click()
        await page.get_by_text(f"The platform accepts the login of {new}").wait_for()
        await row.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="No").click()
        assert 2 == len(await tour.gateway.store.accounts())
        await row.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, do it").click()
        await page.get_by_text(f"Removed {new}").wait_for()
        assert 1 == len(await tour.gateway.store.accounts())


async def test_a_qq_bot_is_tested_mended_saved_and_connected(browser: Any, tour: Tour) -> None:
    """A wrong secret is found before it is kept, with what to change; nothing is lost of what was typed."""
    bot = tour.world.qq.add_bot("Tester", secret="RightSecretOfTheBot0")
    async with tour.looking(browser, "accounts") as seen:
        page = seen.page
        await page.get_by_label("App id").fill(bot.app_id)
        await page.get_by_label("Client secret").fill("WrongSecretOfTheBot0")
        await page.locator("summary", has_text="Other addresses").click()
        await page.get_by_label("API address").fill(tour.sim.url)
        await page.get_by_label("Token address").fill(tour.sim.url)
        await page.get_by_role("button", name="Test", exact=True).click()
        await page.get_by_text("App id and client secret do not belong together").wait_for()
        await page.get_by_text("Copy both again from q.qq.com").wait_for()
        assert 1 == len(await tour.gateway.store.accounts())
        await page.get_by_label("Client secret").fill("RightSecretOfTheBot0")
        await page.get_by_role("button", name="Test", exact=True).click()
        await page.get_by_text("QQ accepts these; they are not saved yet").wait_for()
        assert 1 == len(await tour.gateway.store.accounts())
        await page.get_by_role("button", name="Save").click()
        row = page.locator(f'tr[data-account="qq:{bot.app_id}"]')
        await row.get_by_text("Connected", exact=True).wait_for()
        assert "SecretOfTheBot" not in await page.content()
        await row.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, do it").click()
        await row.wait_for(state="detached")


async def test_a_login_that_nobody_looks_at_is_given_up(browser: Any, tour: Tour) -> None:
    async with tour.looking(browser, "accounts") as seen:
        page = seen.page
        await page.get_by_role("button", name="Log in again").first.click()
        await page.locator(".qr svg").wait_for()
        (login,) = tour.gateway.logins._open
        await page.keyboard.press("Escape")
        await page.locator(".qr svg").wait_for(state="hidden")
        await tour.until(lambda: login not in tour.gateway.logins._open)
        assert AccountState.UP is tour.gateway.standing.state(tour.account)


async def test_a_limit_shows_why_a_part_waits_and_then_that_it_arrived(browser: Any, tour: Tour) -> None:
    """Generated beside delivered, live: that is what the console is for."""
    async with tour.looking(browser, "chat") as seen:
        page = seen.page
        refusing = tour.world.add_fault(
            Fault("refuse", user=tour.ann, refusal=Refusal(errmsg="rate limited")), tour.sim.clock.now_ms()
        )
        message = await tour.push("first")
        row = page.locator(f'[data-message="{message}"]')
        await row.get_by_text("the platform limits sending", exact=True).first.wait_for()
        assert 0 == await row.get_by_text("Delivered").count()
        await row.get_by_role("button", name="Attempts:").click()
        await row.get_by_text("rate limited", exact=False).first.wait_for()
        tour.world.remove(refusing)
        await row.get_by_role("button", name="Try now").click()
        await page.get_by_text("Back in the queue; not sent yet").wait_for()
        await row.get_by_text("Delivered", exact=True).first.wait_for()
        await tour.until(lambda: any("first" in text for text in tour.shown()))


async def test_what_a_stranger_writes_is_text_and_nothing_else(browser: Any, tour: Tour) -> None:
    """Markup stays what was typed, and what is invisible is seen."""
    async with tour.looking(browser, "chat") as seen:
        page = seen.page
        await tour.gateway.take_over(tour.chat, True)
        tour.say("<b>bold</b> <img src=x onerror='window.hit=1'> <script>window.hit=1</script> a\u202eb")
        said = page.locator(".inbound .text", has_text="<b>bold</b>")
        await said.get_by_text("<script>window.hit=1</script> a\ufffdb").wait_for()
        assert 0 == await said.locator("b, img, script").count()
        assert await page.evaluate("window.hit === undefined")


async def test_a_ghost_is_shown_as_unconfirmed(browser: Any, tour: Tour) -> None:
    """The platform says yes and gives no receipt: nobody may read "delivered" there."""
    async with tour.looking(browser, "chat") as seen:
        page = seen.page
        tour.world.turn(silent_drop=[tour.ann])
        message = await tour.push("perhaps nobody sees this")
        row = page.locator(f'[data-message="{message}"]')
        await row.get_by_text("Unconfirmed", exact=True).wait_for()
        assert 0 == await row.get_by_text("Delivered").count()
        tour.world.turn(silent_drop=[], client_id_dedupe=False)
        await row.get_by_role("button", name="Send again").click()
        await page.get_by_role("dialog").get_by_text("it may be shown twice").wait_for()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, do it").click()
        await row.get_by_text("Delivered", exact=True).wait_for()
        await row.get_by_text("Possibly doubled").wait_for()


async def test_a_person_takes_over_answers_and_hands_back(browser: Any, tour: Tour) -> None:
    async with tour.looking(browser, "chat") as seen:
        page = seen.page
        assert not await page.get_by_label("Your answer").is_visible()
        await page.get_by_role("button", name="Take over and answer myself").click()
        await page.get_by_text("You answer; the agent pauses, since").wait_for()
        tour.say("is anybody there?")
        await page.get_by_text("is anybody there?").wait_for()
        await page.get_by_label("Your answer").fill("Yes, a person.\nWhat is it?")
        await page.get_by_role("button", name="Hand over").click()
        await page.get_by_text("Accepted and queued; its fate shows in the timeline").wait_for()
        await tour.until(lambda: "Yes, a person.\nWhat is it?" in tour.shown())
        assert "" == await page.get_by_label("Your answer").input_value()
        assert "is anybody there?" not in tour.shown()
        await page.goto(tour.url("chats"))
        await page.get_by_text("You answer").wait_for()
        await page.goto(tour.url("chat"))
        await page.get_by_role("button", name="Hand back to the agent").click()
        await page.get_by_role("button", name="Take over and answer myself").wait_for()
        tour.say("and now the agent")
        await tour.until(lambda: "and now the agent" in tour.shown())
        assert "is anybody there?" not in tour.shown()


async def test_a_turn_is_stopped_and_asked_again(browser: Any, tour: Tour) -> None:
    house = tour.open_house.house
    turn = await house.turn(await house.hears("how late is it?", tour.chat), tour.chat, "echo")
    async with tour.looking(browser, "turns?state=open") as seen:
        page = seen.page
        row = page.locator(f'tr[data-turn="{turn}"]')
        await row.get_by_text("how late is it?").wait_for()
        await row.get_by_text("echo has yet to answer").wait_for()
        await row.get_by_role("button", name="Stop").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, do it").click()
        await row.wait_for(state="detached")
        await page.goto(tour.url("chat"))
        row = page.locator('[data-turn="stopped"]', has_text="A person stopped it")
        await row.get_by_role("button", name="Ask again").click()
        await page.get_by_text("Asked again; there is no answer yet").wait_for()
        await tour.until(lambda: "how late is it?" in tour.shown())


async def test_a_dead_letter_is_found_revived_and_delivered(browser: Any, tour: Tour) -> None:
    refusing = tour.world.add_fault(Fault("refuse", user=tour.ann), tour.sim.clock.now_ms())
    soon_ms = tour.gateway.clock.now_ms() + 1_500
    message = await tour.push("too late for this", expires_at_ms=soon_ms)
    async with tour.looking(browser, "outbox?state=dead") as seen:
        page = seen.page
        row = page.locator(f'tr[data-message="{message}"]')
        await row.get_by_text("Expired", exact=True).wait_for()
        tour.world.remove(refusing)
        await page.get_by_role("button", name="Retry chosen").wait_for()
        assert await page.get_by_role("button", name="Retry chosen").is_disabled()
        await row.get_by_role("checkbox").check()
        await page.get_by_text("1 chosen").wait_for()
        await page.get_by_role("button", name="Retry chosen").click()
        await page.get_by_role("dialog").get_by_text("Put the 1 chosen back").wait_for()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, do it").click()
        await page.get_by_text("Back in the queue: 1").wait_for()
        await tour.until(lambda: "too late for this" in tour.shown())
        await page.goto(tour.url("outbox?state=delivered"))
        await page.locator(f'tr[data-message="{message}"]').get_by_text("Delivered").wait_for()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Export as CSV").click()
        assert message in _text_of(await (await download.value).path())


async def test_a_schedule_is_made_runs_and_its_delivery_is_seen(browser: Any, tour: Tour) -> None:
    """With the next five times as one types, and with what became of what a run said."""
    async with tour.looking(browser, "schedules") as seen:
        page = seen.page
        await page.get_by_role("link", name="New schedule").click()
        await page.get_by_label("When", exact=True).fill("every banana")
        await page.locator("#preview .tone-bad").wait_for()
        await page.get_by_label("Time zone").fill("Asia/Shanghai")
        await page.get_by_label("When", exact=True).fill("30 9 * * *")
        await page.locator("#preview li").nth(4).wait_for()
        assert 5 == await page.locator("#preview li", has_text="09:30").count()
        await page.get_by_label("Words").fill("stand up and stretch")
        await page.locator("select[data-append]").select_option(str(tour.chat))
        assert str(tour.chat) == await page.get_by_label("To whom").input_value()
        await page.get_by_role("button", name="Add it").click()
        await page.get_by_text("It has not run yet").wait_for()
        await page.get_by_role("button", name="Run now").click()
        await page.get_by_text("It has run: what it says is queued, not delivered yet").wait_for()
        await page.locator("tr[data-run]").get_by_text("Delivered", exact=True).wait_for()
        await tour.until(lambda: "stand up and stretch" in tour.shown())
        await page.get_by_role("button", name="Pause", exact=True).click()
        await page.get_by_role("button", name="Resume", exact=True).wait_for()
        await page.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, do it").click()
        await page.get_by_text("There is no such schedule").wait_for()


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig")


async def test_a_stranger_is_allowed_and_a_key_is_made_and_revoked(browser: Any, tour: Tour) -> None:
    await tour.open_house.house.hears("let me <in>", tour.chat, access=Access.PENDING)
    async with tour.looking(browser, "people") as seen:
        page = seen.page
        row = page.locator('tr[data-rule="pending"]')
        await row.get_by_text("let me <in>").wait_for()
        await row.get_by_role("button", name="Allow").click()
        await page.get_by_text("is allowed and answered from the next message on").wait_for()
        await page.locator('tr[data-rule="allow"]').wait_for()
        await page.goto(tour.url("settings"))
        await page.locator("summary", has_text="Make a key").click()
        await page.get_by_label("What it is for").fill("my script")
        await page.get_by_label("send").check()
        await page.get_by_role("button", name="Make a key").dblclick()
        text = await page.locator(".key-text").inner_text()
        ring = tour.open_house.house.api.state.keys
        assert frozenset({"send"}) == await ring.scopes_of(text.encode())
        key = page.locator("tr[data-key]", has_text="my script")
        assert 1 == len(await ring.all()), "two presses make one key"
        await key.get_by_role("button", name="Revoke").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, do it").click()
        await key.get_by_text("revoked").wait_for()
        assert frozenset() == await ring.scopes_of(text.encode())


@asynccontextmanager
async def _program() -> AsyncIterator[str]:
    """Takes whatever is posted to it; answers its address."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


async def test_a_webhook_is_added_tested_followed_and_removed(browser: Any, tour: Tour) -> None:
    async with _program() as url, tour.looking(browser, "settings") as seen:
        page = seen.page
        await page.get_by_role("link", name="See and add them").click()
        await page.locator("summary", has_text="Add a webhook").click()
        await page.get_by_label("Address").fill(url)
        await page.get_by_role("button", name="Add it").click()
        secret = await page.locator(".key-text").inner_text()
        assert secret == tour.gateway.webhooks.all()[0].secret
        row = page.locator("tr[data-webhook]", has_text=url)
        await row.get_by_role("button", name="Test").click()
        await page.get_by_text("The test was taken (204").wait_for()
        await row.get_by_role("link").click()
        await page.locator('tr[data-event="0"]').get_by_text("Taken (204)").wait_for()
        assert secret not in await page.content()
        await tour.push("for the webhook")
        await page.locator("tr[data-event]", has_text="message.state").first.get_by_text("Taken").wait_for()
        await page.get_by_text("Nothing waits", exact=True).wait_for()
        await page.locator("summary", has_text="Post once more").click()
        await page.get_by_label("Behind which event").fill("99999999999")
        await page.get_by_role("button", name="Post once more").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, do it").click()
        await page.get_by_text("Events after 99999999999 are not kept").wait_for()
        await page.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, do it").click()
        await page.get_by_text("There is no such webhook").wait_for()
        assert () == tour.gateway.webhooks.all()


@pytest.mark.parametrize(("locale", "scheme", "width"), [("zh-CN", "light", 1280), ("en-US", "dark", 390)])
async def test_every_page_fits_a_phone_and_is_open_to_everybody(
    browser: Any, tour: Tour, locale: str, scheme: str, width: int
) -> None:
    """No page sticks out, none has a serious fault of accessibility, and each speaks the reader's language."""
    chosen = {"locale": locale, "color_scheme": scheme, "viewport": {"width": width, "height": 844}}
    async with tour.looking(browser, **chosen) as seen:
        for page in PAGES:
            await seen.page.goto(tour.url(page))
            await seen.page.locator("article, .list, .panel, .empty").first.wait_for()
            assert locale.startswith(await seen.page.evaluate("document.documentElement.lang")), page
            assert await seen.page.evaluate("document.documentElement.scrollWidth") <= width, page
            assert await seen.page.evaluate(SIDEWAYS) == [], page
            assert await seen.page.evaluate(NAMELESS) == [], page
            assert not await seen.page.locator("#popup").is_visible(), page
            found = (await Axe().run(seen.page)).response["violations"]
            serious = [
                (fault["id"], node["html"][:200])
                for fault in found
                for node in fault["nodes"]
                if fault["impact"] in SERIOUS
            ]
            assert [] == serious, page
        await seen.page.set_viewport_size({"width": 800, "height": 844})
        assert await seen.page.evaluate("document.documentElement.scrollWidth") <= 800, (
            "between phone and desk"
        )
