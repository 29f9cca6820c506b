"""Requests to addresses that somebody else has named, kept away from what only we can reach.

The guard stands where the socket is made, behind every resolution, every redirect and every spelling of an
address: what is connected to is exactly what was judged. Nothing resolved earlier is trusted, so a name that
changes its mind between two look-ups gains nothing.

    async with aiohttp.ClientSession(connector=guarded_connector()) as session:
        async with session.post(url, allow_redirects=False) as response: ...

A forbidden address ends the request with an aiohttp.ClientConnectorError, in which `why_forbidden` finds the reason.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import aiohttp
from aiohttp.connector import AddrInfoType

from yizhan.core.addresses import Forbidden, judge_address

Judge = Callable[[str], Forbidden | None]


class AddressForbidden(OSError):
    """The address may not be called. An OSError, as every other reason not to get a connection."""

    def __init__(self, forbidden: Forbidden) -> None:
        super().__init__(forbidden.why)
        self.forbidden = forbidden


def guarded_socket(judge: Judge = judge_address) -> Callable[[AddrInfoType], socket.socket]:
    """Makes the sockets of a connector, for what `judge` lets pass."""

    def socket_for(address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, place = address
        if (forbidden := judge(str(place[0]))) is not None:
            raise AddressForbidden(forbidden)
        return socket.socket(family, kind, protocol)

    return socket_for


def guarded_connector(judge: Judge = judge_address, limit: int = 100) -> aiohttp.TCPConnector:
    """A connector that connects to what `judge` lets pass. It asks no proxy: that would resolve on its own."""
    return aiohttp.TCPConnector(socket_factory=guarded_socket(judge), limit=limit, force_close=True)


def why_forbidden(error: BaseException) -> Forbidden | None:
    """The judge's reason, if it was the guard that ended the request."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AddressForbidden):
            return seen.forbidden
        if isinstance(seen, aiohttp.ClientConnectorError) and isinstance(seen.os_error, AddressForbidden):
            return seen.os_error.forbidden
        seen = seen.__cause__
    return None
