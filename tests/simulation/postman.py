"""Carries what the simulated QQ posts to webhooks into the gateway's own HTTP application, in virtual time."""

from __future__ import annotations

import asyncio

import httpx

from simulation.process import Crash
from simulation.station import Station
from yizhan.web import create_app
from yizhan_simulator.qq.posting import Posting


class Postman:
    """Every posting is a request of its own, as from a platform that waits for nobody. `answers`: status and body of
    each, in order; None where nothing came back."""

    def __init__(self, station: Station) -> None:
        self.answers: list[tuple[int | None, bytes]] = []
        self._station = station
        self._under_way: set[asyncio.Task[None]] = set()
        self._unlisten = station.world.listen(self._heard)

    def close(self) -> None:
        self._unlisten()
        for task in self._under_way:
            task.cancel()

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, within_s: float = 5
    ) -> httpx.Response:
        """One request to the running gateway. Raises Crash, TimeoutError."""
        app = create_app(self._station.gateway, api_key="a-key", version="1")
        async with (
            asyncio.timeout(within_s),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
        ):
            return await self._station.process.run(client.post(url, headers=headers, content=body))

    def _heard(self, key: str) -> None:
        if key not in ("postings", "*"):
            return
        for posting in self._station.world.qq.postings():
            task = asyncio.get_running_loop().create_task(self._carry(posting))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _carry(self, posting: Posting) -> None:
        status, body = None, b""
        try:
            await asyncio.sleep(0.02)
            reply = await self.post(
                posting.url, dict(posting.headers), posting.body, posting.timeout_ms / 1_000
            )
            status, body = reply.status_code, reply.content
        except (TimeoutError, Crash):
            pass
        self.answers.append((status, body))
        self._station.world.qq.posted(posting, status, body, self._station.host.true_ms())
