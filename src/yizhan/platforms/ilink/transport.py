"""The line of one WeChat account: thin I/O. Requests come from `calls.py`, replies are judged elsewhere."""

from __future__ import annotations

from yizhan.model import Account, ChatId, ReplyToken
from yizhan.platforms.ilink import listening
from yizhan.platforms.ilink.calls import Calls
from yizhan.platforms.ilink.typing_signal import TypingSignal
from yizhan.ports import (
    Batch,
    Callback,
    CallbackRefused,
    Clock,
    Http,
    Lost,
    RefusedBecause,
    Reply,
    Request,
)


class IlinkTransport:
    """`ports.Transport` for WeChat. `typing` False: nobody's phone shows that an answer is in the making."""

    def __init__(self, account: Account, http: Http, calls: Calls, clock: Clock, typing: bool) -> None:
        self._account = account
        self._http = http
        self._calls = calls
        self._signal = TypingSignal(account, http, calls, clock) if typing else None

    @property
    def not_granted(self) -> None:
        """iLink grants everything or nothing."""
        return None

    async def open(self) -> None:
        """Announces that we are listening. Best effort: what it changes on the server is not known."""
        await self._http.call(self._calls.start(self._account))

    async def receive(self, cursor: str, hold_ms: int) -> Batch | Lost:
        """One long poll. Cancelling it closes its connection; a faithful server then keeps the messages."""
        reply = await self._http.call(self._calls.poll(self._account, cursor, hold_ms))
        return listening.decode(self._account, reply)

    def look(self) -> None:
        """Every poll ends by itself soon enough."""

    async def called_back(self, callback: Callback) -> CallbackRefused:
        """iLink has no webhooks."""
        return CallbackRefused(RefusedBecause.UNEXPECTED, "WeChat posts nothing to anybody.")

    async def send(self, request: Request) -> Reply:
        return await self._http.call(request)

    async def typing(self, chat: ChatId, token: ReplyToken | None, on: bool) -> None:
        """Shows ("may be called as often as one likes") or ends the signal; returns when that is done or failed."""
        if self._signal is None:
            return
        tell = self._signal.show if on else self._signal.end
        await tell(chat, token.token if token else "")

    async def close(self, announce: bool) -> Batch | None:
        """Says goodbye if asked to, within 1.5 s. The connections belong to `Http`."""
        if announce:
            await self._http.call(self._calls.stop(self._account))
        return None
