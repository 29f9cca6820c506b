"""A lived-in house behind the console: a real store and gateway, a real server, and a browser that looks at it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI

from yizhan.model import (
    Access,
    AccountId,
    AccountState,
    ChatId,
    Credentials,
    Dispatch,
    InboundId,
    Item,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Reason,
    Target,
    TurnId,
    TurnState,
    WaitingFor,
)
from yizhan.platforms.http import AiohttpHttp
from yizhan.platforms.ilink import IlinkPlatform
from yizhan.ports import (
    AccountChange,
    Arrival,
    Draft,
    Heard,
    InboundCommit,
    Intent,
    Settlement,
    TurnEnd,
    TurnStart,
)
from yizhan.runtime.clock import SystemChance, SystemClock
from yizhan.runtime.gateway import Gateway, Parts
from yizhan.settings import Settings
from yizhan.store import open_store
from yizhan.web import console_path, create_app
from yizhan.web.console import attach
from yizhan.web.console.entrance import Entrance

API_KEY = "the-key-of-the-home"
BEARER = {"Authorization": f"Bearer {API_KEY}"}
SECRET = "canary-secret-of-the-account"

UP = AccountId("weixin:ab12@im.bot")
DOWN = AccountId("weixin:cd34@im.bot")
LOST = AccountId("weixin:ef56@im.bot")
CHAT = Target(UP, ChatId("o9cq8Lin@im.wechat"))
HOUR_MS = 3_600_000


class House:
    """A gateway that is open and does not run; what happens in it is written into its store, as the roads do."""

    def __init__(self, gateway: Gateway, api: FastAPI) -> None:
        self.gateway = gateway
        self.api = api
        self.store = gateway.store
        self._count = 0

    @property
    def now_ms(self) -> int:
        return self.gateway.clock.now_ms()

    def number(self) -> int:
        self._count += 1
        return self._count

    async def account(
        self, account: AccountId, state: AccountState, reason: Reason | None = None, **more: Any
    ) -> None:
        credentials = Credentials(SECRET, "https://ilink.example", user_id="person")
        await self.store.put_account(account, credentials, self.now_ms)
        await self.store.change_account(AccountChange(account, state, self.now_ms, reason, **more))
        await self.gateway.open()

    async def hears(
        self,
        text: str,
        target: Target = CHAT,
        name: str = "",
        access: Access = Access.ALLOWED,
        items: tuple[Item, ...] = (),
        quoted: str = "",
        platform_id: str | None = None,
    ) -> InboundId:
        number = self.number()
        platform_id = platform_id or f"p{number}"
        heard = Heard(
            target.chat,
            "direct",
            platform_id,
            target.chat,
            name,
            text,
            quoted,
            items,
            self.now_ms,
            f"token-{number}",
        )
        arrival = Arrival(InboundId(f"i_{number:06}"), heard, self.now_ms, access, Dispatch.DONE)
        done = await self.store.commit_inbound(InboundCommit(target.account, (arrival,), None, self.now_ms))
        return done.new[0].id if done.new else arrival.id

    async def turn(self, inbound: InboundId, target: Target = CHAT, agent: str = "main") -> TurnId:
        turn = TurnId(f"t_{self.number():06}")
        await self.store.start_turn(TurnStart(turn, target, agent, (inbound,), self.now_ms))
        return turn

    async def says(
        self,
        *texts: str,
        target: Target = CHAT,
        klass: MessageClass = MessageClass.REPLY,
        source: str = "turn",
        turn: TurnId | None = None,
    ) -> Message:
        draft = self.draft(*texts, target=target, klass=klass, source=source, turn=turn)
        return (await self.store.accept(draft)).message

    def draft(
        self,
        *texts: str,
        target: Target = CHAT,
        klass: MessageClass = MessageClass.REPLY,
        source: str = "turn",
        turn: TurnId | None = None,
    ) -> Draft:
        number = self.number()
        return Draft(
            id=MessageId(f"m_{number:06}"),
            target=target,
            klass=klass,
            source=source,
            text="\n".join(texts),
            texts=texts,
            client_ids=tuple(f"c{number}-{i}" for i in range(len(texts))),
            created_at_ms=self.now_ms,
            expires_at_ms=self.now_ms + 24 * HOUR_MS,
            body_sha256=f"{number:064x}",
            turn_id=turn,
            ordinal=0 if turn and klass is MessageClass.REPLY else None,
        )

    async def answers(
        self, turn: TurnId, *texts: str, target: Target = CHAT, reason: Reason | None = None
    ) -> Message:
        """The turn ends with one message in these parts: an answer, or with a reason a notice of failure."""
        state, klass = (
            (TurnState.FAILED, MessageClass.NOTICE) if reason else (TurnState.DONE, MessageClass.REPLY)
        )
        draft = self.draft(*texts, target=target, klass=klass, turn=turn)
        return (await self.store.end_turn(TurnEnd(turn, state, self.now_ms, (draft,), reason)))[0].message

    async def goes(
        self,
        message: Message,
        no: int,
        state: MessageState,
        verdict: str,
        code: str = "",
        text: str = "",
        **entry: Any,
    ) -> Message:
        """One attempt at a part, begun and settled."""
        current = await self.store.message(message.id)
        part = current.entries[no - 1]
        n = part.attempts_made + 1
        assert await self.store.begin_attempt(Intent(message.id, no, n, self.now_ms, True))
        began = (await self.store.message(message.id)).entries[no - 1]
        settled = replace(began, state=state, attempts=(), **entry)
        return await self.store.settle(
            Settlement(message.id, message.target, n, self.now_ms, verdict, code, text, settled)
        )

    async def delivered(self, message: Message, no: int = 1) -> Message:
        return await self.goes(
            message,
            no,
            MessageState.DELIVERED,
            "Delivered",
            receipt=f"74{self.number()}",
            reason=None,
            waiting_for=None,
        )

    async def limited(self, message: Message, no: int = 1, wait_ms: int = 42_000) -> Message:
        return await self.goes(
            message,
            no,
            MessageState.WAITING,
            "Throttled",
            "-2",
            "rate limited",
            waiting_for=WaitingFor.LIMIT,
            next_attempt_at_ms=self.now_ms + wait_ms,
            reason=Reason("-2", "rate limited"),
        )


@dataclass(frozen=True)
class Served:
    """The house with its door open."""

    house: House
    url: str
    entrance: Entrance
    server: uvicorn.Server
    serving: asyncio.Task[None]

    def sign_in_url(self) -> str:
        return self.url + console_path(self.house.api)

    async def close(self) -> None:
        """As the process stops: the stop event, then the server."""
        self.house.gateway.stopping.set()
        self.server.should_exit = True
        await asyncio.wait_for(self.serving, 5)
        await asyncio.wait_for(self.entrance.ended.wait(), 5)


@contextlib.asynccontextmanager
async def house_at(home: Path, **settings: Any) -> AsyncIterator[House]:
    clock, chance = SystemClock(), SystemChance()
    chosen = Settings.model_validate({"home": home, **settings})
    store = await open_store(None, home, clock=clock, chance=chance)
    http = AiohttpHttp()
    weixin = IlinkPlatform(http, clock, chance, login_url="http://127.0.0.1:9", typing=False)
    gateway = Gateway(Parts(chosen, store, clock, chance, {"weixin": weixin}, None))
    await gateway.open()
    try:
        yield House(gateway, create_app(gateway, api_key=API_KEY, version="1.2.3"))
    finally:
        await gateway.stop()
        await http.close()
        await store.close()


@contextlib.asynccontextmanager
async def served(house: House) -> AsyncIterator[Served]:
    """The house behind a real server on loopback, with its console."""
    entrance = attach(house.api, house.gateway)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            house.api, ws="websockets-sansio", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        open_house = Served(house, url, entrance, server, serving)
        try:
            yield open_house
        finally:
            await open_house.close()


@pytest_asyncio.fixture(loop_scope="module")
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(tmp_path) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="module")
async def open_house(house: House) -> AsyncIterator[Served]:
    async with served(house) as open_house:
        yield open_house


NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-background-networking"]
PATIENCE_MS = 30_000
"""So long a page may take to show what is expected: the machine may be busy with everything else."""


def chromium() -> str:
    """The browser on this machine. Without one the test is skipped, or fails where it is required."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    missing = f"no Chromium on PATH (looked for {', '.join(NAMES)})"
    if "browser" in os.environ.get("YIZHAN_TEST_REQUIRE", ""):
        pytest.fail(missing)
    pytest.skip(missing)


@contextlib.asynccontextmanager
async def launched() -> AsyncIterator[Any]:
    """A browser, until the end of the context."""
    from playwright.async_api import async_playwright

    path = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    """One browser for all tests of a module: starting it costs more than they do."""
    async with launched() as browser:
        yield browser


@dataclass
class Window:
    """A browser's window, and every address it has asked for."""

    page: Any
    asked: list[str]

    def strangers(self, url: str) -> list[str]:
        """Addresses of other hosts. What a page carries in itself (data:) asks nobody."""
        own = (url, url.replace("http://", "ws://"), "data:", "blob:")
        return [address for address in self.asked if not address.startswith(own)]


@contextlib.asynccontextmanager
async def window(browser: Any, **chosen: Any) -> AsyncIterator[Window]:
    """A window of its own, without anybody's cookies."""
    size = {"width": 1280, "height": 800}
    context = await browser.new_context(**{"locale": "en-US", "viewport": size} | chosen)
    try:
        page = await context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.set_default_timeout(PATIENCE_MS)
        yield Window(page, asked)
    finally:
        await context.close()
