"""The phone page in a real browser: a newcomer's first minute."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from simulator.qq_caller import QqCaller
from yizhan_simulator import World
from yizhan_simulator.server import SimServer, running

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
REQUIRED = "browser" in os.environ.get("YIZHAN_TEST_REQUIRE", "")
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture
async def page() -> AsyncIterator[Any]:
    """Skips where no Chromium is installed, unless YIZHAN_TEST_REQUIRE names browser."""
    if not BROWSER:
        if REQUIRED:
            pytest.fail("Chromium is missing, and YIZHAN_TEST_REQUIRE asks for it")
        pytest.skip("no Chromium on this machine")
    from playwright.async_api import async_playwright

    async with async_playwright() as play:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await play.chromium.launch(executable_path=BROWSER, args=options)
        yield await browser.new_page(locale="en-US")
        await browser.close()


async def echo(sim: SimServer, session: aiohttp.ClientSession, token: str) -> None:
    """A bot that answers everything, typing first."""
    headers = {"AuthorizationType": "ilink_bot_token", "Authorization": f"Bearer {token}"}
    cursor, sent = "", 0

    async def post(call: str, body: Any) -> Any:
        async with session.post(f"{sim.url}/ilink/bot/{call}", json=body, headers=headers) as response:
            return await response.json()

    while True:
        answer = await post("getupdates", {"get_updates_buf": cursor})
        cursor = answer["get_updates_buf"]
        for message in answer["msgs"]:
            sent += 1
            text = f"echo: {message['item_list'][0]['text_item']['text']}"
            item = {"type": 1, "text_item": {"text": text}}
            msg = {"to_user_id": message["from_user_id"], "item_list": [item], "client_id": f"e{sent}"}
            await post(
                "sendmessage", {"msg": {"from_user_id": "", "message_type": 2, "message_state": 2, **msg}}
            )


async def test_a_newcomer_makes_a_person_scans_a_code_and_gets_an_answer(page: Any, world: World) -> None:
    """Everything by clicking: no user at first, a login waits, then a chat, then weather."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    world.turn(hold_ms=500, qr={"verify_code": "424242"})
    async with running(world) as sim, aiohttp.ClientSession() as session:
        async with session.get(f"{sim.url}/ilink/bot/get_bot_qrcode?bot_type=3") as response:
            qr = await response.json()
        status = f"{sim.url}/ilink/bot/get_qrcode_status?qrcode={qr['qrcode']}"
        await page.goto(qr["qrcode_img_content"])
        await page.get_by_placeholder("Name").fill("Ann")
        await page.get_by_role("button", name="Create").click()
        await page.get_by_role("button", name="A program wants to log in").click()
        await page.get_by_role("button", name="Scan as Ann").click()
        await page.get_by_text("424242").wait_for()
        async with session.get(f"{status}&verify_code=424242") as response:
            assert "scaned" == (await response.json())["status"]
        await page.get_by_role("button", name="Confirm login").click()
        async with session.get(status) as response:
            credentials = await response.json()
        bot = asyncio.ensure_future(echo(sim, session, credentials["bot_token"]))
        await page.get_by_role("button", name="Bot 1").click()
        await page.get_by_placeholder("Write something").fill("hello <b>there</b>")
        await page.keyboard.press("Enter")
        await (
            page.locator(".msg:not(.me) .bubble")
            .get_by_text("echo: hello <b>there</b>", exact=True)
            .wait_for()
        )
        await page.get_by_role("button", name="5 per 20 s").click()
        await page.get_by_text("at most 5 per 20 s").wait_for()
        assert 1 == len(world.state.limits.rules)
        await page.get_by_role("button", name="Clear all").click()
        await page.get_by_text("Fine weather.").wait_for()
        assert {} == world.state.limits.rules
        bot.cancel()
    assert [] == errors


def answering(world: World, bot: str, now_ms: int) -> QqCaller:
    """A QQ bot without a socket that answers whatever mentions it."""
    client = QqCaller(world, world.qq.bot(bot), now_ms)
    client.identify()

    def heard(key: str) -> None:
        if client.line is not None and key == client.line.key:
            for frame in client.read():
                if frame.get("t") == "GROUP_AT_MESSAGE_CREATE":
                    body = frame["d"]
                    path = f"/v2/groups/{body['group_openid']}/messages"
                    client.send(path, f"echo:{body['content']}", msg_id=body["id"])

    world.listen(heard)
    return client


async def test_a_qq_group_has_names_mentions_and_switches(page: Any, world: World, ann: str) -> None:
    """Everything by clicking: a group beside the chats, who said what, a mention, a bot silenced, a connection cut."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    world.add_user("Bob")
    for name in ("Echo", "Quiet"):
        world.qq.add_bot(name)
    world.qq.add_group("Weekend hike", ("Ann", "Bob"), ("Echo", "Quiet"))
    async with running(world) as sim:
        client = answering(world, "Echo", sim.clock.now_ms())
        world.qq.say("Bob", "where to?", sim.clock.now_ms(), "Weekend hike")
        await page.goto(f"{sim.phone_url}?user=Ann")
        await page.get_by_role("button", name="Weekend hike").click()
        await page.locator(".author").get_by_text("Bob", exact=True).wait_for()
        await page.get_by_role("button", name="@Quiet").click()
        await page.get_by_placeholder("Write something").fill("will it rain?")
        await page.keyboard.press("Enter")
        await page.locator(".bubble").get_by_text("echo: will it rain?", exact=True).wait_for()
        assert ["where to?", "@Echo will it rain?", "echo: will it rain?"] == [
            bubble.text for bubble in world.qq.room("Weekend hike").bubbles
        ]
        await page.get_by_role("button", name="What this bot may do").click()
        await page.get_by_role("switch", name="Muted").first.click()
        await page.get_by_role("switch", name="Muted", checked=True).wait_for()
        assert 40054002 == client.group("Weekend hike", "anybody?")["code"]
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="QQ: connection ends").click()
        await page.locator("#under").get_by_text("offline").wait_for()
        assert [4009] == client.ends
    assert [] == errors
