"""The page library's life: configured once per process, started and stopped with each gateway.

The library (NiceGUI) keeps one application, one socket server and all clients in globals. We give it an
application of our own to hang itself into, whose lifespan we run ourselves. What is global is set up once;
gateways follow each other in a process only in tests.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import cache

from fastapi import FastAPI
from nicegui import Client, core, ui
from starlette.types import ASGIApp

RECONNECT_S = 8.0
"""A browser that is gone for longer than this gets its page anew."""
RESEND_MAX = 200
"""Updates kept for a browser that comes back in time."""

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#2f6f5e"/>'
    '<path d="M8 17.5l5.5 5.5L24.5 10" fill="none" stroke="#fff" stroke-width="3.2" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)


@cache
def _application() -> FastAPI:
    """The library in an application of ours. Nothing is compressed: a proxy does that outside our event loop."""
    inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(
        inner,
        title="Yizhan",
        favicon=ICON,
        dark=False,
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECT_S,
        message_history_length=RESEND_MAX,
        gzip_middleware_factory=None,
        tailwind=False,
        show_welcome_message=False,
    )
    return inner


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[ASGIApp]:
    """The pages as an ASGI application, while the block lasts."""
    inner = _application()
    async with inner.router.lifespan_context(inner):
        try:
            yield inner
        finally:
            for client in list(Client.instances.values()):
                client.delete()
    await _stop_watching_sockets()


async def _stop_watching_sockets() -> None:
    """Ends the socket server's own task, which runs once there has been a socket; a later gateway gets a new one."""
    sockets = core.sio.eio
    if sockets.service_task_handle is not None:
        await core.sio.shutdown()
    sockets.start_service_task = True
