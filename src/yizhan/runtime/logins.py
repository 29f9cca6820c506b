"""Interactive logins in progress: started by a person, watched by the API, ended by the platform."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from yizhan.errors import InvalidRequest, UnknownLogin
from yizhan.ports import Chance, Clock, Login, LoginStatus, LoginView, NewLogin, Platform, Store

log = structlog.get_logger("logins")

KEPT_MS = 600_000
"""A finished login can be looked at this long."""
AT_ONCE = 8


class Logins:
    """Runs logins side by side. `adopt` is given new credentials before the login counts as confirmed."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Chance,
        platforms: Mapping[str, Platform],
        adopt: Callable[[NewLogin], Awaitable[None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._platforms = platforms
        self._adopt = adopt
        self._logins: dict[str, Login] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._open: set[str] = set()

    async def start(self, platform: str) -> str:
        """Begins a login; answers its id. Raises InvalidRequest where the platform has none, or too many run."""
        door = self._platforms.get(platform)
        known = [account for account in await self._store.accounts() if account.platform == platform]
        login = door.login(known, None) if door else None
        if login is None:
            raise InvalidRequest(
                f"{platform} has no login by scanning.", "Add the account with its credentials."
            )
        if len(self._open) >= AT_ONCE:
            raise InvalidRequest(f"{AT_ONCE} logins are open already.", "Finish one, or wait some minutes.")
        login_id = self._chance.new_id("login")
        self._logins[login_id] = login
        self._open.add(login_id)
        task = asyncio.create_task(self._run(login_id, login))
        task.add_done_callback(lambda ended: self._ended(login_id, ended))
        self._tasks[login_id] = task
        return login_id

    def view(self, login_id: str) -> LoginView:
        """The login as it stands. It counts as confirmed when its account is in the store, not before."""
        view = self._known(login_id).view()
        if view.status is LoginStatus.CONFIRMED and login_id in self._open:
            return replace(view, status=LoginStatus.SCANNED)
        return view

    def verify(self, login_id: str, code: str) -> None:
        """The digits shown on the phone."""
        digits = code.strip()
        if not digits.isdigit() or len(digits) > 12:
            raise InvalidRequest("The code must be the digits that the phone shows.", "Type digits only.")
        self._known(login_id).verify(digits)

    def cancel(self, login_id: str) -> None:
        self._known(login_id)
        self._tasks[login_id].cancel()

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _known(self, login_id: str) -> Login:
        login = self._logins.get(login_id)
        if login is None:
            raise UnknownLogin(f"There is no login {login_id}.", "Start a new one.")
        return login

    async def _run(self, login_id: str, login: Login) -> None:
        outcome = await login.run()
        if isinstance(outcome, NewLogin):
            await self._adopt(outcome)
        self._open.discard(login_id)
        log.info("login.ended", status=login.view().status.value)
        await self._clock.sleep_ms(KEPT_MS)

    def _ended(self, login_id: str, task: asyncio.Task[None]) -> None:
        """Forgets a login that is over, been looked at long enough, or broken."""
        self._open.discard(login_id)
        self._logins.pop(login_id, None)
        self._tasks.pop(login_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("login.broke", error=repr(error), exc_info=error)
