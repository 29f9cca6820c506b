"""A store on each engine, and short words for what the tests do with it."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from yizhan.model import (
    Access,
    AccountId,
    ChatId,
    Credentials,
    Dispatch,
    Entry,
    Event,
    InboundId,
    Item,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    ReplyToken,
    Target,
    TokenState,
    WaitingFor,
)
from yizhan.ports import Accepted, Arrival, Draft, Heard, InboundCommit, InboundCommitted, Intent, Settlement
from yizhan.store import SqlStore, open_store
from yizhan.store.tables import metadata

ACCOUNT = AccountId("weixin:ab12@im.bot")
CREDENTIALS = Credentials("bot-secret", "https://ilink.example", user_id="owner@im.wechat")
T0 = 1_800_000_000_000
DAY_MS = 86_400_000


class CountedChance:
    """Ids in order, secrets that differ."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def jitter(self) -> float:
        return 0.5

    def new_id(self, kind: str) -> str:
        return f"{kind}_{next(self._numbers):08d}"

    def token_hex(self, size: int) -> str:
        return f"{next(self._numbers):0{2 * size}x}"


class StillClock:
    """Time stands at T0."""

    def now_ms(self) -> int:
        return T0

    async def sleep_until(self, at_ms: int) -> None:
        await asyncio.sleep(0)

    async def sleep_ms(self, wait_ms: int) -> None:
        await asyncio.sleep(0)


@dataclass
class Place:
    """Where a store lies; it can be opened again and again. Whatever is still open is closed after the test."""

    engine: str
    url: str | None
    home: Path
    stack: AsyncExitStack
    chance: CountedChance

    async def open(self, **options: Any) -> SqlStore:
        store = await open_store(self.url, self.home, clock=StillClock(), chance=self.chance, **options)
        self.stack.push_async_callback(store.close)
        return store


@pytest.fixture
async def make_place(tmp_path: Path) -> AsyncIterator[Callable[..., Place]]:
    """Makes places from the name of an engine and, for a server, its address."""
    chance = CountedChance()
    async with AsyncExitStack() as stack:
        yield lambda engine, url=None: Place(engine, url, tmp_path / "home", stack, chance)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, make_place: Callable[..., Place]) -> Place:
    """A place for a store, on each engine: empty, or with its tables already where the test asks for a desk."""
    furnished = "desk" in request.fixturenames
    if request.param == "sqlite":
        place = make_place("sqlite")
        if furnished:
            _copy(request.getfixturevalue("furnished_file"), place)
        return place
    if furnished:
        return make_place("postgres", _emptied(request.getfixturevalue("furnished_schema")))
    return make_place("postgres", request.getfixturevalue("make_database")())


@pytest.fixture
def sqlite_place(request: pytest.FixtureRequest, make_place: Callable[..., Place]) -> Place:
    """For what only a file can suffer."""
    place = make_place("sqlite")
    if "sqlite_desk" in request.fixturenames:
        _copy(request.getfixturevalue("furnished_file"), place)
    return place


# Running the migrations for each test would be most of the suite's time; the tests of opening do run them.


@pytest.fixture(scope="session")
def furnished_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("furnished")
    _furnish(None, home)
    return home / "yizhan.db"


@pytest.fixture(scope="session")
def furnished_schema(make_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    url = make_database()
    _furnish(url, tmp_path_factory.mktemp("unused"))
    return url


def _furnish(url: str | None, home: Path) -> None:
    async def furnish() -> None:
        store = await open_store(url, home, clock=StillClock(), chance=CountedChance(), inline=True)
        await store.close()

    asyncio.run(furnish())


def _copy(file: Path, place: Place) -> None:
    place.home.mkdir(mode=0o700)
    shutil.copy(file, place.home)


def _emptied(url: str) -> str:
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        tables = ", ".join(f'"{name}"' for name in metadata.tables if name != "counter")
        connection.execute(f"TRUNCATE {tables}; UPDATE counter SET value = 0")  # type: ignore[arg-type]
    return url


class Desk:
    """A store with one account, and short words for its verbs. Every call is a moment later than the one before."""

    def __init__(self, store: SqlStore, chance: CountedChance) -> None:
        self.store = store
        self.chance = chance
        self.now_ms = T0
        self.heard_events: list[Event] = []
        store.subscribe(self.heard_events.extend)

    def tick(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def target(self, chat: str = "o1@im.wechat") -> Target:
        return Target(ACCOUNT, ChatId(chat))

    def draft(self, text: str = "hello", chat: str = "o1@im.wechat", parts: int = 1, **more: Any) -> Draft:
        now_ms = self.tick()
        shape: dict[str, Any] = {
            "id": MessageId(self.chance.new_id("m")),
            "target": self.target(chat),
            "klass": MessageClass.PUSH,
            "source": "api",
            "text": text,
            "texts": tuple(f"{text} {no}" for no in range(1, parts + 1)),
            "client_ids": tuple(self.chance.new_id("c") for _ in range(parts)),
            "created_at_ms": now_ms,
            "expires_at_ms": now_ms + 7 * DAY_MS,
            "body_sha256": f"sha of {text}",
        }
        return Draft(**(shape | more))

    async def accept(
        self, text: str = "hello", chat: str = "o1@im.wechat", parts: int = 1, **more: Any
    ) -> Message:
        return (await self.store.accept(self.draft(text, chat, parts, **more))).message

    async def begin(self, message: Message, no: int = 1, n: int = 1, with_token: bool = False) -> bool:
        return await self.store.begin_attempt(Intent(message.id, no, n, self.tick(), with_token))

    def settlement(self, message: Message, no: int = 1, n: int = 1, **more: Any) -> Settlement:
        """By default: delivered."""
        entry = replace(
            message.entries[no - 1], state=MessageState.DELIVERED, receipt="receipt-1", attempts_made=n
        )
        shape: dict[str, Any] = {
            "message": message.id,
            "target": message.target,
            "n": n,
            "at_ms": self.tick(),
            "verdict": "Delivered",
            "code": "",
            "text": "",
            "entry": entry,
        }
        return Settlement(**(shape | more))

    async def settle(self, message: Message, no: int = 1, n: int = 1, **more: Any) -> Message:
        return await self.store.settle(self.settlement(message, no, n, **more))

    async def deliver(self, message: Message, no: int = 1, n: int = 1) -> Message:
        assert await self.begin(message, no, n)
        return await self.settle(message, no, n)

    async def fail(self, message: Message, state: MessageState = MessageState.FAILED) -> Message:
        """One attempt at part 1 that ends in a state."""
        assert await self.begin(message)
        return await self.settle(message, verdict="Rejected", entry=self.entry(message, state))

    async def learn(self, token: ReplyToken, state: TokenState) -> None:
        """A send of a message has taught this of the token."""
        message = await self.accept("probe")
        assert await self.begin(message, with_token=True)
        await self.settle(message, token=replace(token, state=state))

    def entry(
        self, message: Message, state: MessageState, waiting_for: WaitingFor | None = None, **more: Any
    ) -> Entry:
        return replace(
            message.entries[0], state=state, waiting_for=waiting_for, attempts_made=1, receipt=None, **more
        )

    def arrival(self, text: str = "hi", **more: Any) -> Arrival:
        now_ms = self.tick()
        shape: dict[str, Any] = {
            "chat": ChatId("o1@im.wechat"),
            "chat_kind": "c2c",
            "platform_message_id": self.chance.new_id("p"),
            "sender_id": "o1@im.wechat",
            "sender_name": "Ming",
            "text": text,
            "quoted_text": "",
            "items": (Item("text"),),
            "sent_at_ms": now_ms,
        }
        door = {
            "access": more.pop("access", Access.ALLOWED),
            "dispatch": more.pop("dispatch", Dispatch.TURN),
        }
        heard = Heard(**(shape | more))
        return Arrival(InboundId(self.chance.new_id("in")), heard, now_ms, **door)

    async def receive(self, *arrivals: Arrival, cursor: str | None = None) -> InboundCommitted:
        return await self.store.commit_inbound(InboundCommit(ACCOUNT, arrivals, cursor, self.tick()))

    async def token(self, chat: str = "o1@im.wechat") -> ReplyToken | None:
        (lane,) = await self.store.lanes([self.target(chat)], 1, self.now_ms)
        return lane.token

    async def events(self) -> tuple[Event, ...]:
        return await self.store.events_after(0, 1000)

    async def accepted(self, *drafts: Draft) -> list[Accepted]:
        """Accepts them together, so that they share a commit."""
        return list(await asyncio.gather(*(self.store.accept(draft) for draft in drafts)))


@pytest.fixture
async def desk(place: Place) -> Desk:
    """An open store on each engine, with one account."""
    return await _desk(place)


@pytest.fixture
async def sqlite_desk(sqlite_place: Place) -> Desk:
    return await _desk(sqlite_place)


@pytest.fixture
def sit_down() -> Callable[[SqlStore, Place], Desk]:
    """A desk at a store that was opened by the test, which has its account already."""
    return lambda store, place: Desk(store, place.chance)


async def _desk(place: Place) -> Desk:
    store = await place.open()
    await store.put_account(ACCOUNT, CREDENTIALS, T0)
    return Desk(store, place.chance)
