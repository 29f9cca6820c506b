"""Composition root: Settings → a running gateway. The only place that names concrete classes.

It also owns the signals. Stop order: no new sends → a moment for replies on the wire, the rest is in doubt →
what a poll has read is committed, open polls are aborted → goodbyes, best effort → store closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from yizhan import __version__, home, logs, systemd
from yizhan.agents import make_agent
from yizhan.errors import SettingsError, StoreError
from yizhan.guarded import guarded_socket
from yizhan.platforms.http import AiohttpHttp
from yizhan.platforms.ilink import IlinkPlatform
from yizhan.platforms.qq import QqPlatform
from yizhan.platforms.websocket import AiohttpSockets
from yizhan.ports import Chance, Clock, Http, Platform, Sockets
from yizhan.runtime.clock import SystemChance, SystemClock
from yizhan.runtime.gateway import Gateway, Parts
from yizhan.settings import Settings
from yizhan.store import open_store

if TYPE_CHECKING:
    from fastapi import FastAPI

log = structlog.get_logger("app")

YOUNG_MAX = 10_000
"""Objects made and not yet gone before the collector looks at the young ones. Cycles are rare here, and what hundreds
of requests on their way hold is no garbage: at Python's 700 the collector took a tenth of a message's CPU."""

STOPPED, FAILED, MISCONFIGURED, IN_USE = 0, 1, 2, 3


def platforms_of(
    settings: Settings, http: Http, sockets: Sockets, clock: Clock, chance: Chance
) -> dict[str, Platform]:
    """Every platform by name. A further one is one folder under platforms/ and one line here."""
    doors: list[Platform] = [
        IlinkPlatform(
            http, clock, chance, login_url=settings.weixin.login_url, typing=settings.weixin.typing
        ),
        QqPlatform(http, sockets, clock, chance, typing=settings.qq.typing),
    ]
    return {door.name: door for door in doors}


def others_of(settings: Settings) -> list[str]:
    """Everybody who may be asked beside the default: by a route, or by choice."""
    named = [*settings.agents, *(route.agent for route in settings.routes), *settings.agent_choices]
    return [name for name in dict.fromkeys(named) if name not in ("none", settings.agent)]


@dataclass(frozen=True, slots=True)
class Station:
    """A running gateway with its windows, for those who announce it."""

    gateway: Gateway
    api: FastAPI
    url: str


Announce = Callable[[Station], None]
Prepare = Callable[[Gateway], Awaitable[None]]


@contextlib.asynccontextmanager
async def opened(settings: Settings, environ: Mapping[str, str] = os.environ) -> AsyncIterator[Gateway]:
    """A gateway that is open and does not run yet. Raises SettingsError, StoreError."""
    home.prepare(settings.home)
    clock, chance = SystemClock(), SystemChance()
    store = await open_store(
        settings.database.url,
        settings.home,
        clock=clock,
        chance=chance,
        secret_key=home.secret_key(environ),
    )
    http, sockets = AiohttpHttp(), AiohttpSockets()
    outside = AiohttpHttp(socket_for=None if settings.webhooks.allow_private else guarded_socket())
    try:
        agent = make_agent(settings.agent, settings, clock.now_ms)
        platforms = platforms_of(settings, http, sockets, clock, chance)
        free_bytes = partial(home.free_bytes, settings.home)
        others = {
            name: made for name in others_of(settings) if (made := make_agent(name, settings, clock.now_ms))
        }
        zone = home.time_zone(environ)
        parts = Parts(settings, store, clock, chance, platforms, agent, free_bytes, zone, others, outside)
        gateway = Gateway(parts)
        await gateway.open()
        yield gateway
    finally:
        await http.close()
        await outside.close()
        await sockets.close()
        await store.close()


@contextlib.asynccontextmanager
async def offline(settings: Settings) -> AsyncIterator[FastAPI]:
    """The API over an opened store, for verbs without a running gateway. Nothing polls, nothing sends."""
    async with opened(settings) as gateway:
        try:
            yield windows(gateway, os.environ)
        finally:
            await gateway.stop()


def windows(gateway: Gateway, environ: Mapping[str, str]) -> FastAPI:
    """The HTTP application of a gateway. Imported here and not above: half of a start's time is spent on it,
    and the road out need not wait for that."""
    from yizhan.web import create_app

    key = home.api_key(gateway.settings.home, environ, gateway.chance)
    return create_app(gateway, api_key=key, version=__version__)


async def serve(settings: Settings, announce: Announce | None = None, prepare: Prepare | None = None) -> int:
    """Runs a gateway until a signal stops it; answers the exit code.

    Args:  announce  told when everything answers; by default one line on stdout
           prepare   done before the gateway starts
    """
    logs.configure(settings.logging.level, settings.logging.format)
    stop = asyncio.Event()
    try:
        with _signals(stop), _listening(settings) as listener:
            async with opened(settings) as gateway:
                home.api_key(settings.home, os.environ, gateway.chance)
                if prepare is not None:
                    await prepare(gateway)
                return await _run(gateway, listener, stop, announce or _print_ready)
    except SettingsError as error:
        return _complain(error, MISCONFIGURED)
    except StoreError as error:
        return _complain(error, IN_USE if error.name == "store-in-use" else FAILED)


def run(work: Coroutine[Any, Any, int]) -> int:
    """Runs a coroutine on the fast event loop where there is one."""
    try:
        import uvloop
    except ImportError:
        loop_factory = None
    else:
        loop_factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(work)
    finally:
        _leave_closed_terminals()


def say(text: str) -> None:
    """A line for whoever started us. Where that terminal is gone its hang-up ends us, not an error."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _leave_closed_terminals() -> None:
    """What was left unsaid must not become the exit code (Python's own is 120)."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())


async def _run(gateway: Gateway, listener: socket.socket, stop: asyncio.Event, announce: Announce) -> int:
    settings = gateway.settings
    await gateway.start()
    try:
        await asyncio.to_thread(importlib.import_module, "yizhan.web.server")
        from yizhan.web.server import serving

        api = windows(gateway, os.environ)
        if settings.console.enabled:
            _attach_console(api, gateway)
        async with serving(api, listener) as server:
            station = Station(gateway, api, _url(settings, listener))
            home.announce(settings.home, station.url, __version__)
            _warn(settings)
            relieve_collector()
            announce(station)
            systemd.notify("READY=1", "STATUS=running")
            await _until(stop, server, gateway)
            systemd.notify("STOPPING=1")
            home.withdraw(settings.home)
            await gateway.stop()
    finally:
        home.withdraw(settings.home)
        await gateway.stop()
    return STOPPED if stop.is_set() else FAILED


async def _until(stop: asyncio.Event, server: asyncio.Task[None], gateway: Gateway) -> None:
    """Until somebody stops us or the server has failed."""
    stopped, beating = asyncio.create_task(stop.wait()), asyncio.create_task(_beat(gateway))
    await asyncio.wait({stopped, server}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    beating.cancel()


def relieve_collector() -> None:
    """From here on the collector works. What has been loaded by now stays for ever and is not walked through again."""
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, 20, 20)
    gc.enable()


def _attach_console(api: FastAPI, gateway: Gateway) -> None:
    """The console is the largest guest; it is loaded beside the running gateway."""
    from yizhan.web.console import attach

    attach(api, gateway)


async def _beat(gateway: Gateway) -> None:
    """Tells systemd's watchdog that the dispatcher is alive; silence lets systemd restart us."""
    every_s = systemd.watchdog_s()
    while every_s:
        if gateway.supervisor.alive("dispatcher"):
            systemd.notify("WATCHDOG=1")
        await asyncio.sleep(every_s)


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """A closed terminal (SIGHUP) ends us as well as the others do, unless we were started to outlive it (nohup)."""
    loop = asyncio.get_running_loop()
    caught = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        caught.append(signal.SIGHUP)
    for each in caught:
        loop.add_signal_handler(each, stop.set)
    try:
        yield
    finally:
        for each in caught:
            loop.remove_signal_handler(each)


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The listening socket, bound before anything else starts, so that a port in use costs nothing."""
    host, port = settings.server.host, settings.server.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
        listener.setblocking(False)
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {host} port {port}: {error.strerror or error}.",
            "Set server.port (YIZHAN_SERVER__PORT) to a free port, or 0 for any, and server.host to an address here.",
        ) from None
    with listener:
        yield listener


def _url(settings: Settings, listener: socket.socket) -> str:
    host = settings.server.host
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{listener.getsockname()[1]}"


def _warn(settings: Settings) -> None:
    if settings.agent == "none" and not settings.routes:
        log.warning("nobody.answers", fix="set agent (YIZHAN_AGENT) to echo or to a name under agents")
    if settings.server.host not in ("127.0.0.1", "::1", "localhost"):
        log.warning("listening.beyond_loopback", host=settings.server.host, fix="put TLS or a proxy in front")


def _print_ready(station: Station) -> None:
    say(f"ready {station.url}")


def _complain(error: SettingsError | StoreError, code: int) -> int:
    print(f"yizhan: {error.detail}\n{error.fix}".rstrip(), file=sys.stderr)
    return code
