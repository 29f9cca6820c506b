"""How an answer leaves on a real connection: whole, late, cut, dripping, with a wrong length, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

from yizhan_simulator.wire import SimReply, Wire, WireKind

_FOREVER_MS = 3_600_000

Sleep = Callable[[int], Awaitable[None]]
"""Waits so many milliseconds of the simulator's clock."""


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Closes with RST, so that the peer sees a reset and not an orderly end."""
    if transport is None:
        return
    found = transport.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(found.fileno())) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
    else:
        transport.close()


async def send(request: web.BaseRequest, reply: SimReply, sleep: Sleep) -> web.StreamResponse:
    """Carries out `reply.wire`. A connection that is gone afterwards gets a response object nobody reads."""
    wire = reply.wire
    if wire.delay_ms:
        await sleep(wire.delay_ms)
    if wire.kind is WireKind.NORMAL:
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)
    transport = request.transport
    if isinstance(transport, asyncio.WriteTransport):
        await _misbehave(transport, reply, wire, sleep)
    return web.Response(status=200)


async def _misbehave(transport: asyncio.WriteTransport, reply: SimReply, wire: Wire, sleep: Sleep) -> None:
    match wire.kind:
        case WireKind.CUT:
            transport.write(_head(reply, len(reply.body)) + reply.body[: len(reply.body) // 2])
            transport.close()
        case WireKind.DRIP:
            await _drip(transport, reply, wire, sleep)
            transport.close()
        case WireKind.WRONG_LENGTH:
            transport.write(_head(reply, wire.announced) + reply.body)
            await sleep(_FOREVER_MS)
            reset(transport)
        case WireKind.HANG:
            await sleep(_FOREVER_MS)
            reset(transport)
        case WireKind.NORMAL | WireKind.REFUSED | WireKind.RESET:
            reset(transport)


async def _drip(transport: asyncio.WriteTransport, reply: SimReply, wire: Wire, sleep: Sleep) -> None:
    transport.write(_head(reply, len(reply.body)))
    for start in range(0, len(reply.body), wire.chunk):
        if transport.is_closing():
            return
        await sleep(wire.every_ms)
        transport.write(reply.body[start : start + wire.chunk])


def _head(reply: SimReply, length: int) -> bytes:
    lines = [f"HTTP/1.1 {reply.status or 200} OK"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode("latin-1")
