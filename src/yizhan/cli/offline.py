"""The API without a gateway: the same application, called in this process, the store opened under the home's lock.

It lives in one task of one event loop in its own thread, so that verbs stay plain functions and a QR login
goes on while a person types. Nothing is polled or sent; what is accepted waits for the next gateway.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from pathlib import Path

import httpx
from fastapi import FastAPI

from yizhan import app, logs, settings
from yizhan.cli.client import ANSWER_TIMEOUT_S, Json, Query, read_api_key, request_headers, unpack
from yizhan.core.connection import Lost, NotGranted
from yizhan.runtime.gateway import Gateway

CLOSE_TIMEOUT_S = 10


class OfflineApi:
    """See client.Api. Raises SettingsError and StoreError while opening."""

    running = False

    def __init__(self, home: Path, key_from_environment: str | None) -> None:
        self._settings = settings.load(home, os.environ)
        self._key = key_from_environment
        logs.configure("error", self._settings.logging.format)
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._opened: concurrent.futures.Future[httpx.AsyncClient] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name="offline-api", daemon=True)
        self._thread.start()
        try:
            self._http = self._opened.result()
        except BaseException:
            self.close()
            raise

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Json | None = None,
        wait_s: float = 0,
        key: str | None = None,
    ) -> Json:
        """See client.Api.call."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        headers = request_headers("", key)
        asking = self._http.request(
            method, path, params=given, json=body, headers=headers, timeout=ANSWER_TIMEOUT_S + wait_s
        )
        answer = asyncio.run_coroutine_threadsafe(asking, self._loop).result()
        return unpack(answer.status_code, answer.headers.get("content-type", ""), answer.content)

    def examine(self) -> dict[str, Lost | NotGranted | None]:
        """Asks the platforms whether they accept the accounts' logins and what they grant them; None: all is well.
        Paused ones are left alone."""
        return asyncio.run_coroutine_threadsafe(self._examine(), self._loop).result()

    async def _examine(self) -> dict[str, Lost | NotGranted | None]:
        gateway = self._gateway
        asked = [account for account in await gateway.store.accounts() if not account.paused]
        answers = await asyncio.gather(
            *(gateway.platforms[account.platform].examine(account) for account in asked)
        )
        return {account.id: answer for account, answer in zip(asked, answers, strict=True)}

    def close(self) -> None:
        """Closes the store and gives the lock back. The loop is closed here and not by its thread, which may end
        at any moment by itself: one that could not open has nothing to wait for."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(CLOSE_TIMEOUT_S)
        if not self._thread.is_alive():
            self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._live())

    async def _live(self) -> None:
        """Opens, waits for the end, closes: in one task, as context managers want it."""
        try:
            async with app.offline(self._settings) as asgi, self._client(asgi) as client:
                self._gateway: Gateway = asgi.state.gateway
                self._opened.set_result(client)
                await self._closing.wait()
        except BaseException as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)

    def _client(self, asgi: FastAPI) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(asgi, raise_app_exceptions=False),
            base_url="http://127.0.0.1",
            headers=request_headers(read_api_key(self._settings.home, self._key)),
        )
