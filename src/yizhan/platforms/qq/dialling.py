"""From nothing to an open socket, for every shard of a bot: token, address, ration, socket.

An attempt goes through all its steps each time, each within a time of its own: addresses move, and a first failure
must not be the last. The ration of new sessions is the bot's, so the shards take their turns here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from yizhan.core.connection import Lost, LostKind
from yizhan.model import Account
from yizhan.platforms.qq import calls
from yizhan.platforms.qq import ration as rations
from yizhan.platforms.qq.access import Access
from yizhan.platforms.qq.api import Api
from yizhan.platforms.qq.discovery import Gateway, read_gateway
from yizhan.platforms.qq.frames import FRAME_MAX_BYTES
from yizhan.platforms.qq.line import Deliver
from yizhan.platforms.qq.link import Link
from yizhan.platforms.qq.policy import SOCKET_MS
from yizhan.platforms.qq.ration import Ration
from yizhan.platforms.qq.session import Session
from yizhan.ports import Absence, Clock, Sockets


class Dialler:
    """Opens the sockets of one bot."""

    def __init__(self, account: Account, api: Api, access: Access, sockets: Sockets, clock: Clock) -> None:
        self._account = account
        self._api = api
        self._access = access
        self._sockets = sockets
        self._clock = clock
        self._ration = Ration()
        self._one_by_one = asyncio.Lock()

    def stretched(self, shards: int) -> bool:
        """Whether so many new sessions were asked for of late that the next must wait."""
        return rations.is_stretched(self._ration, self._clock.now_ms(), shards)

    def drop(self, token: str) -> None:
        """The gateway does not accept this access token."""
        self._access.drop(token)

    async def dial(
        self,
        shard: int,
        of: int | None,
        rung: int,
        resumes: Session | None,
        on_event: Callable[[Deliver], None],
    ) -> Link | Lost:
        """A link on its way in, or how far it came.

        Args:  of  how many shards there are; None: as many as the gateway says
        """
        gateway = await self._gateway()
        if isinstance(gateway, Lost):
            return gateway
        token = await self._access.get()  # after the first call that proves one
        if isinstance(token, Lost):
            return token
        if resumes is None and (rationed := await self._turn(gateway)) is not None:
            return rationed
        socket = await self._sockets.open(gateway.url, SOCKET_MS, FRAME_MAX_BYTES)
        if isinstance(socket, Absence):
            return Lost(LostKind.NETWORK, "no-socket", socket.text)
        numbered = (shard, gateway.shards if of is None else of)
        return Link(socket, self._clock, token, numbered, rung, resumes, on_event)

    async def _gateway(self) -> Gateway | Lost:
        reply = await self._api.call(calls.gateway(self._account))
        return reply if isinstance(reply, Lost) else read_gateway(reply)

    async def _turn(self, gateway: Gateway) -> Lost | None:
        """Waits until a new session may be asked for; a loss where there are too few left today."""
        if (rationed := gateway.may_identify()) is not None:
            return rationed
        async with self._one_by_one:
            wait_ms = rations.wait_ms(self._ration, gateway.at_once, self._clock.now_ms())
            if wait_ms:
                await self._clock.sleep_ms(wait_ms)
            self._ration = rations.asking(self._ration, self._clock.now_ms())
        return None
