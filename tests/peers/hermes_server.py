"""hermes-agent's API server, unmodified: listens on a free port, prints its number, and serves until it is ended.

Arguments: the key that it asks for. Its home, with the address of its model, is HERMES_HOME.
"""

from __future__ import annotations

import asyncio
import sys

from gateway.config import PlatformConfig
from gateway.platforms.api_server import APIServerAdapter


async def serve(key: str) -> None:
    server = APIServerAdapter(
        PlatformConfig(enabled=True, extra={"host": "127.0.0.1", "port": 0, "key": key})
    )
    if not await server.connect():
        raise SystemExit("the API server does not start")
    print(server._runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(serve(sys.argv[1]))
