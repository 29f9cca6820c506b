"""The pages as a person sees them, in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from yizhan.model import AccountState, ChatId, MessageState, Reason, Target, WaitingFor
from yizhan.ports import LoginStatus, LoginView

from .conftest import CHAT, DOWN, LOST, UP, House, Served, Window, served, window

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def chat_url(open_house: Served, target: Target = CHAT) -> str:
    return f"{open_house.url}/console/chat?chat={quote(str(target), safe='')}"


@asynccontextmanager
async def looking(chromium_path: str, open_house: Served, **context: Any) -> AsyncIterator[Window]:
    """A signed-in window on the overview. Whatever happens, it has asked nobody else."""
    async with window(chromium_path, **context) as seen:
        await seen.page.goto(open_house.sign_in_url())
        await seen.page.wait_for_selector("h1")
        yield seen
        assert [] == seen.strangers(open_house.url)


async def test_the_overview_shows_the_truth_and_keeps_it(chromium_path: str, house: House) -> None:
    """The state that a person reads is the state that is, without reloading."""
    await house.account(UP, AccountState.UP, last_server_answer_at_ms=house.now_ms)
    await house.account(LOST, AccountState.LOGIN_NEEDED, Reason("-14", "session timeout"))
    await house.says("waits", target=Target(UP, ChatId("o9cq@im.wechat")))
    async with served(house) as open_house, looking(chromium_path, open_house) as seen:
        card = seen.page.locator(f'[data-account="{UP}"]')
        await card.get_by_text("Connected", exact=True).wait_for()
        await card.get_by_text("0 waiting, 1 queued, 0 on the wire").wait_for()
        await seen.page.locator(f'[data-account="{LOST}"]').get_by_text("You: log in again").wait_for()
        reason = Reason("not_sent", "connection refused")
        await house.account(UP, AccountState.DOWN, reason, next_attempt_at_ms=house.now_ms + 60_000)
        await card.get_by_text("Not connected").wait_for()
        await card.get_by_text("The platform could not be reached").wait_for()
        await house.account(DOWN, AccountState.UP)
        await seen.page.locator(f'[data-account="{DOWN}"]').wait_for()
        assert "canary" not in await seen.page.content()


async def test_a_timeline_follows_a_message_to_its_end(chromium_path: str, house: House) -> None:
    """Generated beside delivered: a limited part waits visibly, and turns to delivered without a reload."""
    await house.account(UP, AccountState.UP)
    turn = await house.turn(await house.hears("what is <b>new</b>?", name="Lin"))
    async with served(house) as open_house, looking(chromium_path, open_house) as seen:
        page = seen.page
        await page.goto(chat_url(open_house))
        await page.get_by_text("main has yet to answer").or_(page.get_by_text("main is answering")).wait_for()
        await page.get_by_text("what is <b>new</b>?").wait_for()
        answer = await house.answers(turn, "first part", "second part")
        await page.get_by_text("main generated 1").wait_for()
        parts = page.locator(f'[data-message="{answer.id}"] [data-part]')
        await parts.nth(1).get_by_text("Queued").wait_for()
        await house.delivered(answer, 1)
        await parts.nth(0).get_by_text("Delivered").wait_for()
        await house.limited(answer, 2)
        await parts.nth(1).get_by_text("the platform limits sending").wait_for()
        await (
            parts.nth(1)
            .get_by_text("1 of 2")
            .or_(page.get_by_text("1 of 2 parts delivered"))
            .first.wait_for()
        )
        assert 0 == await parts.nth(1).get_by_text("Delivered").count()
        await parts.nth(1).get_by_role("button", name="Attempts: 1").click()
        await parts.nth(1).get_by_text("-2 rate limited", exact=True).wait_for()
        await house.delivered(answer, 2)
        await parts.nth(1).get_by_text("Delivered").first.wait_for()
        await page.get_by_text("2 of 2 parts delivered").wait_for()


async def test_doubt_and_ghosts_are_told_apart(chromium_path: str, house: House) -> None:
    await house.account(UP, AccountState.UP)
    await house.hears("hello")
    ghost, doubted = await house.says("a ghost"), await house.says("in doubt")
    async with served(house) as open_house, looking(chromium_path, open_house) as seen:
        page = seen.page
        await page.goto(chat_url(open_house))
        await page.locator(f'[data-message="{ghost.id}"]').wait_for()
        await house.goes(
            ghost,
            1,
            MessageState.UNCONFIRMED,
            "Ghost",
            reason=Reason("no-receipt", "accepted without a receipt"),
        )
        await house.goes(
            doubted,
            1,
            MessageState.WAITING,
            "InDoubt",
            "no_answer",
            "reset",
            waiting_for=WaitingFor.CONNECTION,
            possibly_doubled=True,
            in_doubt=True,
            reason=Reason("no_answer", "reset"),
        )
        await page.locator(f'[data-message="{ghost.id}"]').get_by_text("Unconfirmed").wait_for()
        await page.locator(f'[data-message="{doubted.id}"]').get_by_text("Possibly doubled").wait_for()


async def test_a_timeline_of_thousands_shows_a_hundred_rows_and_finds_its_way_back(
    chromium_path: str, house: House
) -> None:
    """Whoever looks at the past of a busy chat must neither drown the browser nor lose the present."""
    await house.account(UP, AccountState.UP)
    for number in range(230):
        await house.hears(f"line {number}.")
    async with served(house) as open_house, looking(chromium_path, open_house) as seen:
        page = seen.page
        await page.goto(chat_url(open_house))
        await page.get_by_text("line 229.").wait_for()
        assert 50 == await page.locator(".rows > li").count()
        for oldest in ("line 130.", "line 80.", "line 30.", "line 0."):
            await page.get_by_role("button", name="Load older").click()
            await page.get_by_text(oldest).wait_for()
            assert await page.locator(".rows > li").count() <= 100
        await page.get_by_text("This is where it begins").wait_for()
        await house.hears("something new")
        await page.get_by_role("button", name="Back to the newest").click()
        await page.get_by_text("something new").wait_for()
        await house.hears("and something live")
        await page.get_by_text("and something live").wait_for()


async def test_many_chats_are_paged(chromium_path: str, house: House) -> None:
    await house.account(UP, AccountState.UP)
    for number in range(60):
        await house.hears("hello", Target(UP, ChatId(f"o{number:03}@im.wechat")), name=f"Person {number}")
        await asyncio.sleep(0.002)
    async with served(house) as open_house, looking(chromium_path, open_house) as seen:
        page = seen.page
        await page.goto(f"{open_house.url}/console/chats")
        await page.get_by_role("link", name="Person 59", exact=True).wait_for()
        assert 50 == await page.locator("table tbody tr").count()
        await page.get_by_role("button", name="Older").click()
        await page.get_by_role("link", name="Person 0", exact=True).wait_for()
        await page.get_by_role("button", name="Newer").click()
        await page.get_by_role("link", name="Person 59", exact=True).click()
        await page.get_by_text("hello").wait_for()


async def test_the_language_is_the_browsers_until_it_is_switched(chromium_path: str, house: House) -> None:
    await house.account(UP, AccountState.UP)
    async with served(house) as open_house, looking(chromium_path, open_house, locale="zh-CN") as seen:
        page = seen.page
        await page.get_by_role("heading", name="总览").wait_for()
        await page.get_by_text("全部账号连接正常").wait_for()
        assert "zh-CN" == await page.evaluate("document.documentElement.lang")
        await page.get_by_role("button", name="English").click()
        await page.get_by_role("heading", name="Overview").wait_for()
        await page.get_by_role("link", name="Chats", exact=True).click()
        await page.get_by_role("heading", name="No chats yet").wait_for()
        assert "en" == await page.evaluate("document.documentElement.lang")


async def test_light_and_dark_follow_the_browser_until_they_are_switched(
    chromium_path: str, house: House
) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    async with served(house) as open_house, looking(chromium_path, open_house, color_scheme="dark") as seen:
        page = seen.page
        dark = await page.evaluate(background)
        await page.get_by_role("button", name="Theme: Auto").click()
        await page.get_by_role("button", name="Theme: Light").wait_for()
        light = await page.evaluate(background)
        assert light != dark
        await page.get_by_role("button", name="Theme: Light").click()
        await page.get_by_role("button", name="Theme: Dark").wait_for()
        assert dark == await page.evaluate(background)


@pytest.mark.parametrize("path", ["", "chats", "chat"])
async def test_nothing_sticks_out_of_a_phone(chromium_path: str, house: House, path: str) -> None:
    await house.account(UP, AccountState.UP, Reason("x" * 90, "y" * 200))
    await house.hears("w" * 900, name="n" * 90)
    await house.limited(await house.says("a part"), 1)
    narrow = {"viewport": {"width": 390, "height": 844}}
    async with served(house) as open_house, looking(chromium_path, open_house, **narrow) as seen:
        page = seen.page
        await page.goto(chat_url(open_house) if path == "chat" else f"{open_house.url}/console/{path}")
        await page.locator("article, table").first.wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        assert (
            await page.evaluate(
                "Math.max(...[...document.querySelectorAll('.scroll')].map(e => e.scrollWidth), 0)"
            )
            <= 390
        )


class Logins:
    """A platform's logins, as far as the dialog asks."""

    def __init__(self) -> None:
        self.now = LoginView(LoginStatus.WAIT, "https://weixin.example/qr/abc")
        self.typed: list[str] = []
        self.cancelled: list[str] = []

    async def start(self, platform: str) -> str:
        assert "weixin" == platform
        return "login_1"

    def view(self, login: str) -> LoginView:
        assert "login_1" == login
        return self.now

    def verify(self, login: str, code: str) -> None:
        self.typed.append(code)

    def cancel(self, login: str) -> None:
        self.cancelled.append(login)

    async def stop(self) -> None:
        pass


async def test_a_login_goes_from_code_to_account(chromium_path: str, house: House) -> None:
    """Scan, type the digits, done: nobody needs a terminal for it."""
    logins: Any = Logins()
    house.gateway.logins = logins
    async with served(house) as open_house, looking(chromium_path, open_house) as seen:
        page = seen.page
        await page.get_by_role("button", name="Log in with WeChat").click()
        await page.get_by_text("Scan this with WeChat").wait_for()
        await page.locator(".qr svg").wait_for()
        logins.now = LoginView(LoginStatus.VERIFY_CODE, "https://weixin.example/qr/abc")
        await page.get_by_label("Digits").fill("4711")
        await page.get_by_role("button", name="Confirm").click()
        logins.now = LoginView(LoginStatus.CONFIRMED, account=UP)
        await page.get_by_text(f"Logged in: {UP}").wait_for()
        await page.get_by_role("button", name="Close").click()
        assert ["4711"] == logins.typed
        assert [] == logins.cancelled
        await page.get_by_role("button", name="Log in with WeChat").click()
        logins.now = LoginView(LoginStatus.WAIT, "https://weixin.example/qr/def")
        await page.get_by_text("Scan this with WeChat").wait_for()
        await page.keyboard.press("Escape")
        await page.get_by_text("Scan this with WeChat").wait_for(state="hidden")
        async with asyncio.timeout(10):
            while not logins.cancelled:
                await page.wait_for_timeout(50)
        assert ["login_1"] == logins.cancelled


async def test_a_used_sign_in_address_opens_nothing(chromium_path: str, open_house: Served) -> None:
    async with window(chromium_path) as seen:
        address = open_house.sign_in_url()
        await seen.page.goto(address)
        await seen.page.wait_for_selector("h1")
        await seen.page.context.clear_cookies()
        await seen.page.goto(address)
        await seen.page.get_by_text("used up or too old").wait_for()
