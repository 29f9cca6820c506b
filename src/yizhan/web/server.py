"""The HTTP server, embedded: one process, one event loop, and no signal handlers of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

STOP_S = 1
"""Open requests get this long when the process ends."""


class _Server(uvicorn.Server):
    """Uvicorn without its own capture of signals: app.py owns them. `up` is set when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(api: FastAPI, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Answers on a listening socket while the block runs. The task ends early only if the server has failed."""
    server = _Server(
        uvicorn.Config(
            api,
            http="httptools",
            ws="websockets-sansio",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=STOP_S,
            server_header=False,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    up = asyncio.create_task(server.up.wait())
    await asyncio.wait({up, task}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield task
    finally:
        up.cancel()
        server.should_exit = True
        await asyncio.wait({task}, timeout=STOP_S)
