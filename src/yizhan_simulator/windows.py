"""The windows: the phone page, its stream of changes, media, and the control API over HTTP.

JSON in, JSON out. Errors: `{"error": "…"}` with 400 (impossible) or 404 (no such route).
"""

from __future__ import annotations

import asyncio
import contextlib
from importlib.resources import files
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from aiohttp import web

from yizhan_simulator.ask import Ask
from yizhan_simulator.control import Control
from yizhan_simulator.people import SimError
from yizhan_simulator.reading import ScriptError


class Windows:
    def __init__(self, control: Control) -> None:
        self._control = control
        self._world = control.world
        self._page_moved = asyncio.Event()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """None: not ours."""
        path = request.path
        if path in ("/", "/phone", "/phone/"):
            return _page()
        if path.startswith("/q/"):
            code = quote(request.query.get("qrcode", ""), safe="")
            return web.Response(
                status=302, headers={"Location": f"{self._control.control_url}/phone?scan={code}"}
            )
        if not path.startswith("/_sim/"):
            return None
        if path == "/_sim/stream":
            return await self._stream(request)
        if path.startswith("/_sim/media/"):
            return self._media(path.rsplit("/", 1)[-1])
        return await self._json(request)

    async def _json(self, request: web.BaseRequest) -> web.Response:
        parts = tuple(unquote(part) for part in request.rel_url.raw_path.split("/")[2:] if part)
        route = self._control.find(request.method, parts)
        if route is None:
            return _answer({"error": f"no route {request.method} {request.path}"}, 404)
        try:
            raw = await request.read()
            body = msgspec.json.decode(raw) if raw else {}
            return _answer(route(Ask(parts, dict(request.query), body)))
        except (SimError, ScriptError, ValueError, msgspec.MsgspecError) as error:
            return _answer({"error": str(error)}, 400)

    def page_changed(self) -> None:
        self._page_moved.set()

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        """Server-sent events: the revision, at most ten times a second, and at least every 15 s."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        told = -1
        with contextlib.suppress(ConnectionError):
            while True:
                if self._world.state.revision != told:
                    told = self._world.state.revision
                    await response.write(f"data: {told}\n\n".encode())
                else:
                    await response.write(b": still here\n\n")
                await asyncio.sleep(0.1)
                self._page_moved.clear()
                if self._world.state.revision == told:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._page_moved.wait(), 15)
        return response

    def _media(self, number: str) -> web.Response:
        """What a bubble's picture or file looks like on the phone; 404 when the phone cannot open it."""
        bubbles = (bubble for chat in self._world.conversations() for bubble in chat.bubbles)
        found = next((bubble for bubble in bubbles if str(bubble.number) == number), None)
        param, _, key = found.media.partition(" ") if found else ("", "", "")
        plain = self._world.state.cdn.plain(param, key)
        if plain is None:
            return web.Response(status=404)
        return web.Response(body=plain, headers={"Content-Type": "application/octet-stream"})


def _answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(value), headers={"Content-Type": "application/json"}
    )


def _page() -> web.Response:
    page = files("yizhan_simulator").joinpath("phone.html").read_bytes()
    return web.Response(
        body=page, headers={"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    )
