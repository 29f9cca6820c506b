"""The console: pages in the browser, on the API's own port, below /console.

    Guard (web/auth.py) → Entrance ─┬─ static/            our style sheet and script, before anything else is up
                                    └─ pages.py           NiceGUI, loaded beside the running gateway

The pages are a guest of the house: they read through the same functions as the API's routes (gateway, store,
core), they start after the dispatcher, and they end on the gateway's stop event. Rows are made as HTML by
plain functions (overview.py, chats.py, timeline.py); the page_*.py put them on the screen and keep them true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse

from yizhan.web.console.entrance import MOUNT, Entrance
from yizhan.web.console.house import Console

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway


def attach(api: FastAPI, gateway: Gateway) -> Entrance:
    """Hangs the console into the application. Call it in the event loop, once, when the gateway has started.

    Returns at once: the pages are loaded beside the gateway's work, a request that comes earlier waits for
    them. Everything ends by itself when `gateway.stopping` is set; `Entrance.ended` tells when.
    """
    entrance = Entrance(Console.of(gateway, api.state.keys))
    api.add_route(MOUNT, _with_slash, include_in_schema=False)
    api.mount(MOUNT, entrance)
    entrance.open()
    return entrance


async def _with_slash(request: Request) -> RedirectResponse:
    return RedirectResponse(f"{request.url.path}/", 307)
