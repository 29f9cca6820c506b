"""The door between the API's application and the pages.

The library that draws the pages takes half a second to import and works through globals of the process. So it
is imported in a thread while the gateway already works, started by us (the application's lifespan is not ours
to change), and stopped when the gateway stops. What is particular to one gateway travels with each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yizhan.web.console.house import CONSOLE, STATIC, Console

log = structlog.get_logger("console")

MOUNT = "/console"
STORAGE = "console"
"""Folder below the home where the page library may keep something."""

LOAD_MAX_S = 30
FOR_EVER = "private, max-age=31536000, immutable"
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Nothing from another host, and nobody may frame us. Vue compiles templates in the browser, hence the evals."""


class Entrance:
    """The ASGI application below /console. `ended` is set when nothing of the console is left running."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._static = StaticFiles(directory=STATIC)
        self._pages: ASGIApp | None = None
        self._decided = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    def open(self) -> None:
        """Starts loading the pages; they live until the gateway stops."""
        self._life = asyncio.create_task(self._live(), name="console")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["type"] == "http":
            send = _with_headers(send, path)
        if path.startswith("/static/") and scope["type"] == "http":
            await self._static(_below(scope, "/static"), receive, send)
            return
        pages = await self._loaded()
        if pages is None:
            await _refuse(scope, receive, send)
            return
        scope[CONSOLE] = self._console
        await pages(scope, receive, send)

    async def _loaded(self) -> ASGIApp | None:
        """The pages, as soon as they are there; None if they are not, or not any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOAD_MAX_S):
                await self._decided.wait()
        return self._pages

    async def _live(self) -> None:
        gateway = self._console.gateway
        try:
            await asyncio.to_thread(_import_pages, gateway.settings.home / STORAGE)
            async with _running() as pages:
                self._pages = pages
                self._decided.set()
                await gateway.stopping.wait()
                self._pages = None
        except ImportError as error:
            log.error("console.not_loaded", error=repr(error), fix="install Yizhan with its dependencies")
        finally:
            self._decided.set()
            self.ended.set()


def _import_pages(storage: Path) -> None:
    """Imports the library and our pages. Where the library keeps things, it reads from the environment."""
    with _told_by_environment("NICEGUI_STORAGE_PATH", str(storage)):
        importlib.import_module("yizhan.web.console.pages")


@contextlib.contextmanager
def _told_by_environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextlib.asynccontextmanager
async def _running() -> AsyncIterator[ASGIApp]:
    """The pages, started; and stopped, so that no task of theirs is left."""
    from yizhan.web.console import stage

    async with stage.running() as pages:
        yield pages


def _below(scope: Scope, folder: str) -> Scope:
    return {**scope, "root_path": scope.get("root_path", "") + folder}


def _with_headers(send: Send, path: str) -> Send:
    """Adds to every answer what keeps a browser from asking, or showing us, elsewhere."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            if message["status"] == 200 and _never_changes(path):
                headers["Cache-Control"] = FOR_EVER
        await send(message)

    return sending


def _never_changes(path: str) -> bool:
    """Files of the library carry its version in their path."""
    return path.startswith("/_nicegui/") and "/dynamic_resources/" not in path


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1012})
        return
    response = PlainTextResponse("The console is not available just now.\n", 503, {"Retry-After": "2"})
    await response(scope, receive, send)
