"""Which accounts are here: adding, pausing and removing them, and what that does to their lines."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping

import structlog

from yizhan.core.connection import Lost
from yizhan.errors import InvalidRequest, StoreError, UnknownAccount
from yizhan.model import Account, AccountId, AccountState, Credentials
from yizhan.ports import Clock, NewLogin, Platform, Store
from yizhan.runtime.connections import Connections
from yizhan.runtime.lines import Lines
from yizhan.runtime.patience import persist, to_the_end
from yizhan.runtime.standing import Standing
from yizhan.runtime.targets import must_show
from yizhan.runtime.turns import Turns

log = structlog.get_logger("gateway")


class Accounts:
    """The accounts by name. `running` tells whether lines are to be opened: else only the store is changed."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        platforms: Mapping[str, Platform],
        lines: Lines,
        connections: Connections,
        standing: Standing,
        turns: Turns,
        running: Callable[[], bool],
    ) -> None:
        self._store = store
        self._clock = clock
        self._platforms = platforms
        self._lines = lines
        self._connections = connections
        self._standing = standing
        self._turns = turns
        self._running = running
        self._accounts: dict[AccountId, None] = {}

    async def open(self) -> None:
        """Reads which accounts there are."""
        self._accounts = {account.id: None for account in await self._store.accounts()}

    @property
    def names(self) -> Collection[AccountId]:
        """In the order in which they came."""
        return self._accounts

    def must_know(self, account: AccountId) -> None:
        """Raises UnknownAccount."""
        if account not in self._accounts:
            raise UnknownAccount(f"There is no account {account} here.", "yizhan account list shows them.")

    @to_the_end
    async def add(self, platform: str, external_id: str, credentials: Credentials) -> tuple[Account, bool]:
        """Adds an account, or replaces its credentials; its queue is kept. Raises InvalidRequest."""
        self._check(platform, external_id, credentials)
        account_id = AccountId(f"{platform}:{external_id.strip()}")
        account, created = await self._store.put_account(account_id, credentials, self._clock.now_ms())
        self._accounts[account_id] = None
        self._note_succession(account)
        if self._running():
            await self._connections.open(account)
        return account, created

    async def try_login(self, platform: str, external_id: str, credentials: Credentials) -> Lost | None:
        """Asks the platform whether it takes these credentials; nothing is changed. None: it does."""
        self._check(platform, external_id, credentials)
        now_ms = self._clock.now_ms()
        account_id = AccountId(f"{platform}:{external_id.strip()}")
        account = Account(account_id, credentials, AccountState.STARTING, now_ms, now_ms)
        return await self._platforms[platform].probe(account)

    @to_the_end
    async def remove(self, account: AccountId) -> None:
        """Live messages end as cancelled, credentials are erased, history stays."""
        self.must_know(account)
        async with self._line_ended(account):
            await self._store.remove_account(account, self._clock.now_ms())
        self._turns.forget(account)
        self._connections.forget(account)
        self._accounts.pop(account, None)

    @to_the_end
    async def pause(self, account: AccountId, paused: bool) -> Account:
        """Stops the account's line, or opens it again; its messages wait meanwhile. If the store refuses that, the line
        is not touched: it may hold what cannot be stored yet."""
        self.must_know(account)
        changed = await self._store.set_paused(account, paused, self._clock.now_ms())
        if self._running():
            await self._connections.shut(account)
            await self._connections.open(changed)
        return changed

    async def adopt(self, login: NewLogin) -> None:
        """New credentials are given once and never again: they are stored, however long the store takes."""
        platform, _, external_id = login.account.partition(":")

        def tell(error: StoreError) -> None:
            log.warning("login.waits_for_store", error=error.detail)

        await persist(self._clock, lambda: self.add(platform, external_id, login.credentials), tell)

    def _check(self, platform: str, external_id: str, credentials: Credentials) -> None:
        if platform not in self._platforms:
            known = ", ".join(sorted(self._platforms))
            raise InvalidRequest(f"There is no platform {platform!r} here.", f"Known: {known}.")
        if credentials.webhook and not self._platforms[platform].policy.webhooks:
            raise InvalidRequest(f"{platform} posts nothing to anybody.", "Leave webhook out.")
        if not external_id.strip() or not credentials.secret.strip():
            raise InvalidRequest("An account needs an id and a token.", "Give both.")
        must_show("The account's id", external_id.strip())
        if not all("!" <= letter <= "~" for letter in credentials.secret):
            raise InvalidRequest(
                "The token holds white space or characters that no token has.",
                "Copy it again, whole and alone.",
            )

    @contextlib.asynccontextmanager
    async def _line_ended(self, account: AccountId) -> AsyncIterator[None]:
        """The account's line is ended for what follows. If the store refuses that, it goes on as before."""
        if not self._running():
            yield
            return
        await self._connections.shut(account)
        try:
            yield
        except BaseException:
            await self._connections.open(self._lines[account].account)
            raise

    def _note_succession(self, account: Account) -> None:
        """One person is linked to one bot at a time: an older account of the same person has lost its login."""
        for other in self._standing.all():
            same_person = (
                other.credentials.user_id and other.credentials.user_id == account.credentials.user_id
            )
            if same_person and other.id != account.id and other.platform == account.platform:
                self._standing.succeeded(other.id, account.id)
