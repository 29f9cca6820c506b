"""Programs that are posted events, and somebody who looks after their addresses.

A program writes down whatever reaches it, and checks the signature by its own means. What is lost on the way back it
has all the same.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from simulation.books_hooks import Addressed, Posted
from simulation.plan_hooks import Hook, Hooks
from simulation.process import Crash, Process
from simulation.station import Station
from yizhan.errors import RequestError, StoreError
from yizhan.model import AccountId, Webhook
from yizhan.ports import Absence, AbsenceKind, Answer, Reply, Request
from yizhan.runtime.views import WebhookWish

REFUSED = Absence(AbsenceKind.NOT_SENT, "connection refused")
LOST = Absence(AbsenceKind.NO_ANSWER, "connection reset by the server")
HOST = "https://program.example"
CAUGHT_UP_S = 600
"""Long enough for everything that a world has told to be posted, one event after the other."""


class Receiver:
    """Where posts arrive. `met`: what has befallen them. `well`: everything is taken."""

    def __init__(self, station: Station) -> None:
        self.well = False
        self.met: Counter[str] = Counter()
        self.addresses: dict[str, Addressed] = {}
        self._station = station
        self._known: dict[str, Hook] = {}

    def expect(self, url: str, hook: Hook) -> None:
        """A program begins to listen."""
        self._known[url] = hook
        self.addresses[url] = Addressed(url, hook)

    async def arrive(self, request: Request, process: Process) -> Reply:
        """One post, on its way from a process."""
        address, hook = self.addresses[request.url], self._known[request.url]
        welcome = "taken"
        if not self.well and len(address.posts) < len(hook.welcomes):
            welcome = hook.welcomes[len(address.posts)]
        self.met[f"post {welcome}"] += 1
        posted = Posted(_event_of(request), process, dict(request.headers), request.body)
        address.posts.append(posted)
        await asyncio.sleep(0.005)
        return await self._answered(welcome, hook, posted, request.timeout_ms / 1000)

    async def _answered(self, welcome: str, hook: Hook, posted: Posted, patience_s: float) -> Reply:
        match welcome:
            case "status":
                return Answer(hook.status, {}, b"")
            case "gone":
                posted.gone = True
                return Answer(410, {}, b"")
            case "refused":
                return REFUSED
            case "silent":
                await asyncio.sleep(patience_s)
                return Absence(AbsenceKind.NO_ANSWER, "no answer")
            case "killed":
                await self._kill()
            case _:
                posted.taken = True
        if welcome == "killed late":
            await self._kill()
        if welcome == "lost":
            return LOST
        posted.heard = True
        return Answer(204, {}, b"")

    async def _kill(self) -> None:
        self._station.process.die()
        await asyncio.sleep(3_600)  # nobody waits for this any more

    def signed(self, url: str, secret: str) -> None:
        """From now on what arrives there must be signed with this."""
        self.addresses[url].key = base64.b64decode(secret.removeprefix("whsec_"))


class Keeper:
    """Adds addresses, and switches those on again that were switched off. `of_account`: its id, by its number."""

    def __init__(self, station: Station, told: Hooks, of_account: Callable[[int], AccountId]) -> None:
        self.receiver = Receiver(station)
        self._station = station
        self._told = told
        self._of_account = of_account
        self._progress = 0

    async def work(self, began_s: float) -> None:
        """Everything that the plan says, from the beginning of the chaos on."""
        async with asyncio.TaskGroup() as desks:
            for number, hook in enumerate(self._told.hooks):
                desks.create_task(self._add(number, hook, began_s))

    def fatal(self, label: str, after: bool) -> bool:
        """Whether the process dies at this commit."""
        if "webhook_progress" not in label.split("+"):
            return False
        self._progress += not after
        return (self._progress, after) in self._told.deaths

    async def recover(self) -> None:
        """All programs are well; whoever looks after them tells the gateway so."""
        self.receiver.well = True
        for address in self._kept():
            await self._insist(lambda address=address: self._switch_on(address))

    async def _switch_on(self, address: Addressed) -> None:
        address.resumed.append(len(address.posts))
        await self._station.gateway.webhooks.change(address.id, WebhookWish(paused=False))

    async def catch_up(self) -> None:
        """Waits until each program has what has happened until now."""
        _, newest = await self._station.gateway.store.event_range()
        for _ in range(CAUGHT_UP_S):
            if all(each.cursor >= newest for each in self._hooks()):
                break
            await asyncio.sleep(1)
        for address in self._kept():
            address.final = self._station.gateway.webhooks.one(address.id)
            address.until = newest

    def _kept(self) -> list[Addressed]:
        return [address for address in self.receiver.addresses.values() if address.id]

    def _hooks(self) -> list[Webhook]:
        return [self._station.gateway.webhooks.one(address.id) for address in self._kept()]

    async def _add(self, number: int, hook: Hook, began_s: float) -> None:
        """Asked again without an answer it is another address: whoever was asked may have heard, and calls both."""
        await asyncio.sleep(max(0, began_s + hook.at_s - asyncio.get_running_loop().time()))
        account = None if hook.account is None else self._of_account(hook.account)
        wish = WebhookWish(types=hook.types or None, private=hook.private, account=account)
        for time in range(1_000):
            url = f"{HOST}/{number}/{time}"
            self.receiver.expect(url, hook)
            try:
                made = await self._station.ask(self._station.gateway.webhooks.add(url, wish))
            except (Crash, StoreError):
                await asyncio.sleep(0.5)
                continue
            address = self.receiver.addresses[url]
            address.id, address.begins, address.account = made.id, made.cursor, account
            self.receiver.signed(url, made.secret)
            return

    async def _insist(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                return await self._station.ask(work())
            except RequestError:
                return None
            except (Crash, StoreError):
                await asyncio.sleep(0.5)


def _event_of(request: Request) -> int:
    return int(json.loads(request.body)["id"])
