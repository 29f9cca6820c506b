"""The simulator on real sockets: carries requests into a `World` and does on the line what it says.

Two listeners: the platform's own, which an outage takes away, and one for the phone page and the control API,
which always answers. (Both serve `/_sim/` and `/phone`; use the second where outages matter.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web
from yarl import URL

from yizhan_simulator import line
from yizhan_simulator.clock import Clock, RealClock
from yizhan_simulator.control import Control
from yizhan_simulator.ledger import Record
from yizhan_simulator.qq.carrier import Carrier
from yizhan_simulator.script import Script
from yizhan_simulator.windows import Windows
from yizhan_simulator.wire import Hold, SimReply, SimRequest, WireKind
from yizhan_simulator.world import World, call_of

MAX_BODY_BYTES = 64 << 20
_log = logging.getLogger(__name__)


class SimServer:
    """A running simulator. `url`: the platform's base address. `control_url`: phone page and control API."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world = world
        self.clock = clock
        self.url = ""
        self.control_url = ""
        self._control = Control(world, clock)
        self._pages = Windows(self._control)
        self._carrier = Carrier(world.qq, clock, self._sleep)
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._agenda_moved = asyncio.Event()
        self._platform = self._web_server()
        self._windows = self._web_server()
        self._address = ("127.0.0.1", 0)
        self._listener: asyncio.Server | None = None
        self._reserved: socket.socket | None = None
        self._closers: list[Callable[[], None]] = []
        self._keeper: asyncio.Task[None] | None = None

    @property
    def phone_url(self) -> str:
        return f"{self.control_url}/phone"

    def _web_server(self) -> web.Server:
        def request_of(message, payload, protocol, writer, task):  # type: ignore[no-untyped-def]
            loop = asyncio.get_running_loop()
            return web.BaseRequest(
                message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES
            )  # fmt: skip

        return web.Server(
            self._answer, request_factory=request_of, handler_cancellation=True, access_log=None
        )

    # Life.

    async def start(self, host: str, port: int, control_port: int) -> None:
        """Raises: OSError when a port is taken."""
        windows = _bound(host, control_port)
        self._reserved = _bound(host, port)
        self._address = self._reserved.getsockname()[:2]
        self.url = _url(self._address)
        self.control_url = _url(windows.getsockname()[:2])
        self._control.platform_url, self._control.control_url = self.url, self.control_url
        loop = asyncio.get_running_loop()
        control_listener = await loop.create_server(self._windows, sock=windows, backlog=1024)
        self._closers = [control_listener.close, self.world.listen(self._heard)]
        await self._tend_listener()
        self._keeper = asyncio.create_task(self._keep_time())

    async def stop(self) -> None:
        """Ends at once; requests under way are cut."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for close in self._closers:
            close()
        await self._carrier.stop()
        await self._close_listener()
        if self._reserved is not None:
            self._reserved.close()
        for server in (self._platform, self._windows):
            await server.shutdown(0.1)

    # Time: what happens by itself, and the listener that outages close.

    async def _keep_time(self) -> None:
        while True:
            self._agenda_moved.clear()
            cancel = None
            next_at = self.world.next_event_at()
            if next_at is not None:
                cancel = self.clock.call_at(next_at, self._agenda_moved.set)
            await self._agenda_moved.wait()
            if cancel is not None:
                cancel()
            self.world.advance(self.clock.now_ms())
            await self._tend_listener()

    async def _tend_listener(self) -> None:
        refusing = self.world.outage_kind(self.clock.now_ms()) == "refuse"
        if refusing and self._listener is not None:
            await self._close_listener()
            self._reserved = _bound(*self._address)
        if not refusing and self._listener is None and self._reserved is not None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._platform, sock=self._reserved, backlog=1024)
            self._reserved = None

    async def _close_listener(self) -> None:
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        for connection in list(self._platform.connections):
            line.reset(connection.transport)
        await asyncio.sleep(0)

    # Holds.

    def _heard(self, key: str) -> None:
        if key in ("agenda", "*"):
            self._agenda_moved.set()
        if key == "page":
            self._pages.page_changed()
        self._carrier.heard(key)
        keys = list(self._waiters) if key == "*" else [key]
        for waiter in (waiter for key in keys for waiter in self._waiters.pop(key, ())):
            if not waiter.done():
                waiter.set_result(None)

    async def _wait(self, hold: Hold) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(hold.key, set())
        waiters.add(waiter)
        cancel = self.clock.call_at(hold.until_ms, lambda: None if waiter.done() else waiter.set_result(None))
        try:
            await waiter
        finally:
            cancel()
            waiters.discard(waiter)
            if not waiters and self._waiters.get(hold.key) is waiters:
                del self._waiters[hold.key]

    async def _sleep(self, for_ms: int) -> None:
        woken = asyncio.Event()
        cancel = self.clock.call_at(self.clock.now_ms() + for_ms, woken.set)
        try:
            await woken.wait()
        finally:
            cancel()

    # Requests.

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if self._carrier.wanted(request):
            return await self._carrier.carry(request)
        if not call_of(path) and (found := await self._pages.answer(request)) is not None:
            return found
        query: Mapping[str, str] = request.query
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        asked = SimRequest(request.method, path, query, headers, body)
        return await line.send(request, await self._ask(asked), self._sleep)

    async def _ask(self, asked: SimRequest) -> SimReply:
        answer = self.world.handle(asked, self.clock.now_ms())
        while isinstance(answer, Hold):
            try:
                await self._wait(answer)
            except asyncio.CancelledError:
                self.world.abandon(answer)
                raise
            answer = self.world.resume(answer, self.clock.now_ms())
        if answer.wire.kind is WireKind.REFUSED:
            self._agenda_moved.set()
        return answer


def _bound(host: str, port: int) -> socket.socket:
    """Bound and not listening: the port stays ours while a client's connection is refused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _url(address: tuple[str, int]) -> str:
    return str(URL.build(scheme="http", host=address[0], port=address[1]))


@asynccontextmanager
async def running(
    world: World, host: str = "127.0.0.1", port: int = 0, clock: Clock | None = None, control_port: int = 0
) -> AsyncIterator[SimServer]:
    """The world on a real socket as long as the block lasts; port 0 takes a free one."""
    server = SimServer(world, clock or RealClock())
    await server.start(host, port, control_port)
    try:
        yield server
    finally:
        await server.stop()


async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    control_port: int = 0,
    script: Script | None = None,
    ledger: Path | None = None,
    clock: Clock | None = None,
    on_ready: Callable[[SimServer], None] | None = None,
    stop: asyncio.Event | None = None,
    until_stdin_closes: bool = False,
) -> None:
    """Runs until `stop` is set or, without it, until SIGINT or SIGTERM; with `until_stdin_closes` also until the end
    of standard input, so that a child ends with its parent however that ends. `ledger`: a file that gets every
    record as one line of JSON, at most half a second late.
    """
    clock = clock or RealClock()
    world = (script or Script()).world(clock.now_ms(), ledger_limit=200_000)
    ended = stop or _signalled()
    if until_stdin_closes:
        _set_at_end_of_stdin(ended)
    with contextlib.ExitStack() as stack:
        book = stack.enter_context(_LedgerFile(ledger, world)) if ledger else None
        async with running(world, host, port, clock, control_port) as server:
            (on_ready or _announce)(server)
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), 0.5)
                if book is not None:
                    book.flush()


def _signalled() -> asyncio.Event:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    return ended


def _set_at_end_of_stdin(ended: asyncio.Event) -> None:
    """In a thread, since an event loop watches pipes, but neither files nor /dev/null."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, daemon=True).start()


def _announce(server: SimServer) -> None:
    print(f"simulator {server.url}", flush=True)
    print(f"phone {server.phone_url}", flush=True)


class _LedgerFile:
    """Writes records as they come; nothing is encoded before `flush`."""

    def __init__(self, path: Path, world: World) -> None:
        self._file = path.open("ab")
        self._waiting: list[Record] = []
        self._watchers = world.ledger.watchers

    def __enter__(self) -> _LedgerFile:
        self._watchers.append(self._waiting.append)
        return self

    def flush(self) -> None:
        self._file.writelines(msgspec.json.encode(record) + b"\n" for record in self._waiting)
        self._waiting.clear()
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._file.close()
