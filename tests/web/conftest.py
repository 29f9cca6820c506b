"""The application as a client sees it, and an event stream's client that can refuse to read."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from yizhan.errors import StoreUnavailable, UnknownKey
from yizhan.model import Account, AccountId, ApiKey, ChatId, Event, Reason
from yizhan.platforms.ilink import IlinkPlatform
from yizhan.ports import Absence, AbsenceKind, LoginStatus, LoginView, NewLogin, Request
from yizhan.runtime.clock import SystemChance, SystemClock
from yizhan.runtime.gateway import Gateway, Parts
from yizhan.settings import Settings
from yizhan.store import open_store
from yizhan.web import create_app

API_KEY = "the-key-of-the-home"
BEARER = {"Authorization": f"Bearer {API_KEY}"}
ACCOUNT = AccountId("weixin:ab12@im.bot")
CHAT = ChatId("o9cq@im.wechat")


class SetClock(SystemClock):
    """A clock that a test may set forward."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


class EventStore:
    """Of a store only events and keys: enough for streams and the guard, and able to fail on demand."""

    def __init__(self) -> None:
        self.kept: list[Event] = []
        self.api_keys: dict[str, ApiKey] = {}
        self.broken = False
        self.while_reading: Callable[[], None] = lambda: None
        self._listeners: list[Callable[[Sequence[Event]], None]] = []

    def subscribe(self, listener: Callable[[Sequence[Event]], None]) -> None:
        self._listeners.append(listener)

    def commit(self, count: int, account: AccountId = ACCOUNT, kind: str = "message.state") -> list[int]:
        """Commits events in one transaction; answers their ids."""
        first = self.kept[-1].id + 1 if self.kept else 1
        data = json.dumps({"type": kind, "message": {"state": "queued"}}, separators=(",", ":")).encode()
        new = [Event(first + i, 1, kind, account, CHAT, data) for i in range(count)]
        self.kept += new
        for listener in self._listeners:
            listener(new)
        return [event.id for event in new]

    def forget_until(self, event_id: int) -> None:
        self.kept = [event for event in self.kept if event.id > event_id]

    async def events_after(self, after_id: int, limit: int) -> tuple[Event, ...]:
        self._check()
        page = tuple([event for event in self.kept if event.id > after_id][:limit])
        self.while_reading()
        await asyncio.sleep(0)
        return page

    async def event_range(self) -> tuple[int, int]:
        self._check()
        return (self.kept[0].id, self.kept[-1].id) if self.kept else (0, 0)

    async def keys(self) -> tuple[ApiKey, ...]:
        self._check()
        return tuple(self.api_keys.values())

    async def add_key(self, key: ApiKey) -> None:
        self._check()
        self.api_keys[key.id] = key

    async def revoke_key(self, key_id: str, at_ms: int) -> ApiKey:
        if key_id not in self.api_keys:
            raise UnknownKey(f"There is no key {key_id}.")
        key = self.api_keys[key_id]
        self.api_keys[key_id] = ApiKey(key.id, key.name, key.sha256, key.scopes, key.created_at_ms, at_ms)
        return self.api_keys[key_id]

    async def accounts(self) -> tuple[Account, ...]:
        self._check()
        return ()

    def writable(self) -> Reason | None:
        return Reason("disk-full", "no space left") if self.broken else None

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailable("The database does not answer.", "Check the disk.")


class NoWire:
    """No test here may reach a platform."""

    async def call(self, request: Request) -> Absence:
        return Absence(AbsenceKind.NOT_SENT, f"{request.call} was not expected")

    async def close(self) -> None:
        return None


class ScriptedLogin:
    """A login that does what the test says."""

    def __init__(self) -> None:
        self.now = LoginView(LoginStatus.WAIT, "https://weixin.example/q?c=1", "Scan the code.")
        self.codes: list[str] = []
        self.outcome: asyncio.Future[NewLogin | AccountId | None] = asyncio.get_running_loop().create_future()

    def view(self) -> LoginView:
        return self.now

    async def run(self) -> NewLogin | AccountId | None:
        return await self.outcome

    def verify(self, code: str) -> None:
        self.codes.append(code)


class PaperPlatform(IlinkPlatform):
    """WeChat whose logins are scripted; nothing goes over a wire."""

    def __init__(self, clock: SystemClock) -> None:
        super().__init__(NoWire(), clock, SystemChance())
        self.logins: list[ScriptedLogin] = []

    def login(self, known: Sequence[Account], base_url: str | None) -> ScriptedLogin:  # type: ignore[override]
        self.logins.append(ScriptedLogin())
        return self.logins[-1]


def gateway_on(store: Any, home: Path, clock: SystemClock | None = None, **settings: Any) -> Gateway:
    """A gateway that is neither opened nor running."""
    chosen = Settings.model_validate({"home": home, **settings})
    clock = clock or SetClock()
    return Gateway(Parts(chosen, store, clock, SystemChance(), {"weixin": PaperPlatform(clock)}, None))


@dataclass(frozen=True)
class Station:
    """An open gateway on a real store, its application, and a client with the key."""

    gateway: Gateway
    app: FastAPI
    client: httpx.AsyncClient

    async def with_account(self, name: str = "ab12@im.bot") -> str:
        body = {"platform": "weixin", "account_id": name, "token": f"{name}:secret-token", "user_id": "u1"}
        answer = await self.client.post("/v1/accounts", json=body)
        assert answer.status_code == 201
        return str(answer.json()["id"])

    async def send(self, text: str = "hello", **more: Any) -> httpx.Response:
        return await self.client.post("/v1/messages", json={"to": f"{ACCOUNT}:{CHAT}", "text": text, **more})


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    """A station with nothing in it. Its dispatcher does not run: what is accepted stays queued."""
    clock, chance = SetClock(), SystemChance()
    store = await open_store(None, tmp_path, clock=clock, chance=chance)
    gateway = gateway_on(store, tmp_path, clock, delivery={"text_max_chars": 2000})
    await gateway.open()
    app = create_app(gateway, api_key=API_KEY, version="1.2.3")
    async with client_of(app) as client:
        yield Station(gateway, app, client)
    await gateway.stop()
    await store.close()


def problem_name(answer: httpx.Response) -> str:
    """The name of the problem, after a look at its shape."""
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(document) == {"type", "title", "status", "detail", "fix"}
    assert document["status"] == answer.status_code
    assert document["detail"]
    return str(document["type"]).removeprefix("urn:yizhan:problem:")


@asynccontextmanager
async def client_of(app: FastAPI, headers: Mapping[str, str] = BEARER) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8787", headers=headers
    ) as client:
        yield client


@pytest.fixture
def event_store() -> EventStore:
    return EventStore()


def bare_app_on(store: EventStore, home: Path) -> FastAPI:
    """The application of a gateway that starts now: its ring is empty, whatever the store holds already."""
    return create_app(gateway_on(store, home), api_key=API_KEY, version="1.2.3")


@pytest.fixture
async def bare_app(event_store: EventStore, tmp_path: Path) -> FastAPI:
    """The application over an EventStore."""
    return bare_app_on(event_store, tmp_path)


@dataclass(frozen=True)
class Heard:
    """One event as a client reads it."""

    id: int
    event: str
    data: dict[str, Any]


class Stream:
    """A reader of /v1/events. While `flowing` is clear it takes nothing, as a client does whose line is stuck."""

    def __init__(
        self, app: FastAPI, query: str = "", last_event_id: str | None = None, key: str = API_KEY
    ) -> None:
        headers = [(b"host", b"127.0.0.1:8787"), (b"authorization", f"Bearer {key}".encode())]
        if last_event_id is not None:
            headers.append((b"last-event-id", last_event_id.encode()))
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/v1/events",
            "raw_path": b"/v1/events",
            "root_path": "",
            "query_string": query.encode(),
            "headers": headers,
            "client": None,
            "server": None,
        }
        self._app = app
        self._buffer = b""
        self._came = asyncio.Event()
        self._hung_up = asyncio.Event()
        self._asked = False
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.status = 0
        self.comments = 0
        self.ended = False

    async def __aenter__(self) -> Stream:
        self.task = asyncio.create_task(self._app(self._scope, self._receive, self._send))
        self.task.add_done_callback(lambda _: self._came.set())
        await self._until(lambda: self.status != 0)
        if self.status == 200:
            await self._until(lambda: b"\n\n" in self._buffer)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.flowing.set()
        self.hang_up()
        await asyncio.wait_for(self.task, 5)

    def hang_up(self) -> None:
        self._hung_up.set()

    async def next(self) -> Heard:
        """The next event; comments are counted and passed over."""
        while True:
            await self._until(lambda: b"\n\n" in self._buffer or self.ended or self.task.done())
            head, separator, self._buffer = self._buffer.partition(b"\n\n")
            if not separator:
                raise EOFError("the stream has ended")
            if head.startswith(b":"):
                self.comments += 1
            else:
                fields = dict(line.split(b": ", 1) for line in head.split(b"\n"))
                return Heard(int(fields[b"id"]), fields[b"event"].decode(), json.loads(fields[b"data"]))

    async def ids(self, count: int) -> list[int]:
        return [(await self.next()).id for _ in range(count)]

    async def rest(self) -> list[int]:
        """The ids of everything that came before the end."""
        ids: list[int] = []
        with contextlib.suppress(EOFError):
            while True:
                ids.append((await self.next()).id)
        return ids

    async def end(self) -> None:
        await self._until(lambda: self.ended)

    async def body(self) -> bytes:
        await self.end()
        return self._buffer

    async def _until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not ready():
                self._came.clear()
                await self._came.wait()

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._hung_up.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.flowing.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self._buffer += message["body"]
            self.ended = not message.get("more_body", False)
        self._came.set()
