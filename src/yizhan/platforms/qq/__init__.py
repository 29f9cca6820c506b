"""QQ through Tencent's bot open platform. Start with README.md in this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from yizhan.core.connection import Lost, LostKind, NotGranted
from yizhan.core.policy import Policy
from yizhan.model import Account, AccountId, Credentials
from yizhan.platforms.http import host_of
from yizhan.platforms.qq import calls
from yizhan.platforms.qq.access import Access
from yizhan.platforms.qq.answers import read
from yizhan.platforms.qq.api import Api
from yizhan.platforms.qq.bases import OTHERS
from yizhan.platforms.qq.chats import Scope
from yizhan.platforms.qq.codec import QqCodec
from yizhan.platforms.qq.intents import LADDER, not_granted
from yizhan.platforms.qq.memory import Memory, to_resume
from yizhan.platforms.qq.policy import API_URL, IDENTIFY_GAP_MS, PLATFORM, POLICY
from yizhan.platforms.qq.session import read_places
from yizhan.platforms.qq.transport import QqTransport
from yizhan.platforms.qq.webhook import QqWebhook
from yizhan.ports import Chance, Clock, Http, Sockets, Transport

__all__ = ["API_URL", "QqPlatform"]


class QqPlatform:
    """`ports.Platform` for QQ."""

    def __init__(
        self,
        http: Http,
        sockets: Sockets,
        clock: Clock,
        chance: Chance,
        others: Mapping[str, str] = OTHERS,
        *,
        typing: bool = False,
    ) -> None:
        """`others`: address → where the same is served, for when the first fails. `typing`: whether phones show it."""
        self._policy = replace(POLICY, typing_costs=Scope.C2C.value) if typing else POLICY
        self._others = others
        self._http = http
        self._sockets = sockets
        self._clock = clock
        self._chance = chance
        self._codec = QqCodec()
        self._opened: set[AccountId] = set()
        self._access: dict[AccountId, tuple[Credentials, Access]] = {}

    @property
    def name(self) -> str:
        return PLATFORM

    @property
    def policy(self) -> Policy:
        return self._policy

    @property
    def codec(self) -> QqCodec:
        return self._codec

    @property
    def base_url(self) -> str:
        return API_URL

    def transport(self, account: Account) -> Transport:
        access = self._access_of(account)
        if account.credentials.webhook:
            typing = bool(self._policy.typing_costs)
            return QqWebhook(account, self._http, access, self._clock, self._chance, typing=typing)
        again = account.id in self._opened
        self._opened.add(account.id)
        return self._socket_line(account, hopes=again)

    def _socket_line(self, account: Account, hopes: bool = False) -> QqTransport:
        """`hopes`: the line was open before in this process, so a person has just resumed or changed the account."""
        access = self._access_of(account)
        typing = bool(self._policy.typing_costs)
        return QqTransport(
            account, self._http, self._sockets, access, self._clock, self._chance, typing=typing, hopes=hopes
        )

    def login(self, known: Sequence[Account], base_url: str | None) -> None:
        """None yet: app id and secret are copied from q.qq.com."""
        return

    def host(self, account: Account) -> str:
        """Host and port of the account's API."""
        return host_of(account.credentials.base_url or API_URL)

    async def probe(self, account: Account) -> Lost | None:
        """Asks who we are: proves token, app id and address, and costs neither messages nor a session."""
        reply = await Api(self._http, self._access_of(account), self._clock).call(calls.myself(account))
        answer = reply if isinstance(reply, Lost) else read(reply)
        return answer if isinstance(answer, Lost) else None

    async def examine(self, account: Account) -> Lost | NotGranted | None:
        """What QQ grants a bot only a new session tells. None is begun while one may wait to be resumed, since it might
        cost what was said to that one; which events that one has is known from when it began. To a webhook no session
        belongs."""
        lost = await self.probe(account)
        if account.credentials.webhook:
            return lost
        kept = to_resume(Memory(), read_places(account.cursor).sessions.get(0), self._clock.now_ms())
        if lost is not None or kept is not None:
            return lost or (not_granted(kept.rung) if kept is not None else None)
        line = self._socket_line(account)
        try:
            news = await line.receive("", 0)
            for _ in LADDER[1:]:
                if not isinstance(news, Lost) or news.kind is LostKind.BARRED or line.not_granted is None:
                    break
                await self._clock.sleep_ms(max(news.wait_ms, IDENTIFY_GAP_MS))
                news = await line.receive("", 0)
            return news if isinstance(news, Lost) else line.not_granted
        finally:
            await line.close(announce=False)

    def _access_of(self, account: Account) -> Access:
        """One for each account and its present secret, so that all of its calls share one token."""
        known = self._access.get(account.id)
        if known is None or known[0] != account.credentials:
            known = self._access[account.id] = (
                account.credentials,
                Access(account, self._http, self._clock, self._others),
            )
        return known[1]
