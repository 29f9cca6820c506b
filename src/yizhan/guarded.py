"""What somebody else has named, an address or a file, kept away from what only we can reach.

For addresses, the guard stands where the socket is made, behind every resolution, every redirect and every spelling:
what is connected to is exactly what was judged. Nothing resolved earlier is trusted, so a name that changes its
mind between two look-ups gains nothing.

    async with aiohttp.ClientSession(connector=guarded_connector()) as session:
        async with session.post(url, allow_redirects=False) as response: ...

A forbidden address ends the request with an aiohttp.ClientConnectorError, in which `why_forbidden` finds the reason.

For files, what is read is the very file that was judged: it is opened first, and judged by where it then lies.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import aiohttp
from aiohttp.connector import AddrInfoType

from yizhan.core.addresses import Forbidden, judge_address
from yizhan.core.folders import judge_file

Judge = Callable[[str], Forbidden | None]


class FileForbidden(OSError):
    """The file may not be read. An OSError, as every other reason not to get a file."""

    def __init__(self, forbidden: Forbidden) -> None:
        super().__init__(forbidden.why)
        self.forbidden = forbidden


def opened(named: str, folders: Sequence[Path]) -> BinaryIO:
    """The file of that name, open for reading, if it lies in one of the folders. Blocks on the disk.

    A device or a pipe is no file: it may never end. Raises OSError; FileForbidden where the guard refuses.
    """
    place = Path(os.path.realpath(os.path.expanduser(named.replace("\0", ""))))
    if (forbidden := judge_file(place, [Path(os.path.realpath(folder)) for folder in folders])) is not None:
        raise FileForbidden(forbidden)
    number = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise FileForbidden(Forbidden("it is no file"))
        if os.path.realpath(place) != str(place) or not os.path.samestat(found, os.stat(place)):
            raise FileForbidden(Forbidden("it was exchanged while it was judged"))
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


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
