"""The pages as a person sees them, in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from yizhan.model import AccountState, ChatId, Reason, Target

from .conftest import CHAT, DOWN, LOST, UP, House, Served, Window, served, window

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="module"),
]


def chat_url(open_house: Served, target: Target = CHAT) -> str:
    return f"{open_house.url}/console/chat?chat={quote(str(target), safe='')}"


@asynccontextmanager
async def looking(browser: Any, open_house: Served, **context: Any) -> AsyncIterator[Window]:
    """A signed-in window on the overview. Whatever happens, it has asked nobody else."""
    async with window(browser, **context) as seen:
        await seen.page.goto(open_house.sign_in_url())
        await seen.page.wait_for_selector("h1")
        yield seen
        assert [] == seen.strangers(open_house.url)


async def test_the_overview_shows_the_truth_and_keeps_it(browser: Any, house: House) -> None:
    """The state that a person reads is the state that is, without reloading."""
    await house.account(UP, AccountState.UP, last_server_answer_at_ms=house.now_ms)
    await house.account(LOST, AccountState.LOGIN_NEEDED, Reason("-14", "session timeout"))
    await house.says("waits", target=Target(UP, ChatId("o9cq@im.wechat")))
    async with served(house) as open_house, looking(browser, open_house) as seen:
        card = seen.page.locator(f'[data-account="{UP}"]')
        await card.get_by_text("Connected", exact=True).wait_for()
        await card.get_by_text("0 waiting, 1 queued, 0 on the wire").wait_for()
        await seen.page.locator(f'[data-account="{LOST}"]').get_by_text("You: Log in again").wait_for()
        reason = Reason("not_sent", "connection refused")
        await house.account(UP, AccountState.DOWN, reason, next_attempt_at_ms=house.now_ms + 60_000)
        await card.get_by_text("Not connected").wait_for()
        await card.get_by_text("The platform could not be reached").wait_for()
        await house.account(DOWN, AccountState.UP)
        await seen.page.locator(f'[data-account="{DOWN}"]').wait_for()
        assert "canary" not in await seen.page.content()


async def test_a_timeline_of_thousands_shows_a_hundred_rows_and_finds_its_way_back(
    browser: Any, house: House
) -> None:
    """Whoever looks at the past of a busy chat must neither drown the browser nor lose the present."""
    await house.account(UP, AccountState.UP)
    for number in range(230):
        await house.hears(f"line {number}.")
    async with served(house) as open_house, looking(browser, open_house) as seen:
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


async def test_many_chats_are_paged(browser: Any, house: House) -> None:
    await house.account(UP, AccountState.UP)
    for number in range(60):
        await house.hears("hello", Target(UP, ChatId(f"o{number:03}@im.wechat")), name=f"Person {number}")
        await asyncio.sleep(0.002)
    async with served(house) as open_house, looking(browser, open_house) as seen:
        page = seen.page
        await page.goto(f"{open_house.url}/console/chats")
        await page.get_by_role("link", name="Person 59", exact=True).wait_for()
        assert 50 == await page.locator("table tbody tr").count()
        await page.get_by_role("button", name="Older").click()
        await page.get_by_role("link", name="Person 0", exact=True).wait_for()
        await page.get_by_role("button", name="Newer").click()
        await page.get_by_role("link", name="Person 59", exact=True).click()
        await page.get_by_text("hello").wait_for()


async def test_the_language_is_the_browsers_until_it_is_switched(browser: Any, house: House) -> None:
    await house.account(UP, AccountState.UP)
    async with served(house) as open_house, looking(browser, open_house, locale="zh-CN") as seen:
        page = seen.page
        await page.get_by_role("heading", name="总览").wait_for()
        await page.get_by_text("全部账号连接正常").wait_for()
        assert "zh-CN" == await page.evaluate("document.documentElement.lang")
        await page.get_by_role("button", name="English").click()
        await page.get_by_role("heading", name="Overview").wait_for()
        await page.get_by_role("link", name="Chats", exact=True).click()
        await page.get_by_role("heading", name="No chats yet").wait_for()
        assert "en" == await page.evaluate("document.documentElement.lang")


async def test_light_and_dark_follow_the_browser_until_they_are_switched(browser: Any, house: House) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    async with served(house) as open_house, looking(browser, open_house, color_scheme="dark") as seen:
        page = seen.page
        dark = await page.evaluate(background)
        await page.get_by_role("button", name="Theme: Auto").click()
        await page.get_by_role("button", name="Theme: Light").wait_for()
        light = await page.evaluate(background)
        assert light != dark
        await page.get_by_role("button", name="Theme: Light").click()
        await page.get_by_role("button", name="Theme: Dark").wait_for()
        assert dark == await page.evaluate(background)


async def test_a_used_sign_in_address_opens_nothing(browser: Any, open_house: Served) -> None:
    async with window(browser) as seen:
        address = open_house.sign_in_url()
        await seen.page.goto(address)
        await seen.page.wait_for_selector("h1")
        await seen.page.context.clear_cookies()
        await seen.page.goto(address)
        await seen.page.get_by_text("used up or too old").wait_for()
