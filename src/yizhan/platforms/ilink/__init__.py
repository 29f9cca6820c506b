"""WeChat through Tencent's iLink bot API ("ClawBot"). Start with README.md in this folder."""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.core.policy import Policy
from yizhan.model import Account
from yizhan.platforms.ilink.addresses import host_of
from yizhan.platforms.ilink.calls import Calls
from yizhan.platforms.ilink.codec import IlinkCodec
from yizhan.platforms.ilink.listening import read, refused
from yizhan.platforms.ilink.login import IlinkLogin
from yizhan.platforms.ilink.policy import LOGIN_URL, PLATFORM, POLICY, STALE_LOGIN
from yizhan.platforms.ilink.transport import IlinkTransport
from yizhan.ports import Chance, Clock, Http, Lost, LostKind, NotGranted

__all__ = ["LOGIN_URL", "IlinkPlatform"]


class IlinkPlatform:
    """`ports.Platform` for WeChat.

    Args:  login_url  where QR codes come from, unless a login names another gateway
           typing     whether phones show "typing…"
    """

    def __init__(
        self, http: Http, clock: Clock, chance: Chance, *, login_url: str = LOGIN_URL, typing: bool = True
    ) -> None:
        self._http = http
        self._clock = clock
        self._calls = Calls(chance)
        self._codec = IlinkCodec(self._calls)
        self._login_url = login_url
        self._typing = typing

    @property
    def name(self) -> str:
        return PLATFORM

    @property
    def policy(self) -> Policy:
        return POLICY

    @property
    def codec(self) -> IlinkCodec:
        return self._codec

    @property
    def base_url(self) -> str:
        return self._login_url

    def transport(self, account: Account) -> IlinkTransport:
        return IlinkTransport(account, self._http, self._calls, self._clock, self._typing)

    def login(self, known: Sequence[Account], base_url: str | None) -> IlinkLogin:
        """A QR login. `known`: accounts of any platform; those of this one may turn out to be linked already."""
        mine = [account for account in known if account.platform == PLATFORM]
        return IlinkLogin(self._http, self._clock, self._calls, base_url or self._login_url, mine)

    def host(self, account: Account) -> str:
        """Host and port of the account's API."""
        return host_of(account.credentials.base_url)

    async def examine(self, account: Account) -> Lost | NotGranted | None:
        """There is nothing that iLink grants to some."""
        return await self.probe(account)

    async def probe(self, account: Account) -> Lost | None:
        """Asks for a typing ticket: any answer of the API but `-14` proves that the login is accepted.

        Source: hermes-agent, cc2wechat, dsh-wechat-bridge: `getconfig` without a conversation answers `-4`,
        without a user `-2 ilink_user_id required`, with a dead token `-14`; it takes no messages.
        """
        envelope = read(await self._http.call(self._calls.config(account, account.credentials.user_id)))
        if isinstance(envelope, Lost):
            return envelope
        if envelope.code is None and not envelope.fields.text("typing_ticket"):
            return Lost(LostKind.SERVER, "empty", "the answer holds nothing that an answer of the API holds")
        return refused(envelope) if envelope.code == STALE_LOGIN else None
