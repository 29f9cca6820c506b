"""A request to an address that somebody else named, against a real server that only we can reach."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from yizhan.core.addresses import Forbidden
from yizhan.guarded import guarded_connector, why_forbidden


class Names(AbstractResolver):
    """Every name leads to these addresses, the next one at each look-up."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Holds nothing."""


@pytest.fixture
async def inside() -> AsyncIterator[dict[str, Any]]:
    """A server on loopback that counts who reached it, and a page of it that leads to itself."""
    seen: dict[str, Any] = {"hits": 0}

    async def secret(_: web.Request) -> web.Response:
        seen["hits"] += 1
        return web.Response(text="the keys of the house")

    app = web.Application()
    app.router.add_get("/secret", secret)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    seen["port"] = runner.addresses[0][1]
    yield seen
    await runner.cleanup()


async def refusal(url: str, resolver: AbstractResolver | None = None) -> Forbidden | None:
    connector = guarded_connector()
    if resolver is not None:
        connector._resolver = resolver
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(url)
    return why_forbidden(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_no_spelling_of_this_machine_is_connected_to(inside: dict[str, Any], host: str) -> None:
    """Names, numbers and short forms lead to the same socket; the guard stands before it."""
    assert await refusal(f"http://{host}:{inside['port']}/secret") is not None
    assert 0 == inside["hits"]


@pytest.mark.field("F87")
async def test_name_that_looks_public_and_leads_inside_is_refused(inside: dict[str, Any]) -> None:
    """A stranger's domain may have any address; only the address counts."""
    resolver = Names("127.0.0.1")
    assert Forbidden("it is this machine") == await refusal(
        f"http://news.example:{inside['port']}/secret", resolver
    )
    assert 0 == inside["hits"]


@pytest.mark.field("F87")
async def test_redirect_to_the_inside_is_refused(inside: dict[str, Any]) -> None:
    """The first address may be as public as it likes: each hop makes a socket, and each socket is judged."""

    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://127.0.0.1:{inside['port']}/secret")

    app = web.Application()
    app.router.add_get("/", away)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    judgements = [None, Forbidden("it is this machine")]
    try:
        async with aiohttp.ClientSession(connector=guarded_connector(lambda _: judgements.pop(0))) as session:
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await session.get(f"http://127.0.0.1:{port}/")
    finally:
        await runner.cleanup()
    assert why_forbidden(caught.value) is not None
    assert 0 == inside["hits"]


async def test_what_is_let_pass_is_reached(inside: dict[str, Any]) -> None:
    """The guard refuses addresses, not requests."""
    async with (
        aiohttp.ClientSession(connector=guarded_connector(lambda _: None)) as session,
        session.get(f"http://127.0.0.1:{inside['port']}/secret") as response,
    ):
        assert 200 == response.status
    assert 1 == inside["hits"]


def test_other_failures_are_not_taken_for_the_guards() -> None:
    """An operator who reads "forbidden" must not go looking for a broken line."""
    assert why_forbidden(OSError("refused")) is None
