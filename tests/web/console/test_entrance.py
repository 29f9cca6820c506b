"""The door of the console: who may come in, and what it tells browsers."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from .conftest import Served

module_loop = pytest.mark.asyncio(loop_scope="module")

SOCKET = "/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
POLLING = "/console/_nicegui_ws/socket.io/?EIO=4&transport=polling"


@contextlib.asynccontextmanager
async def signed_in(open_house: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=open_house.url, timeout=20) as client:
        assert 303 == (await client.get(open_house.sign_in_url())).status_code
        yield client


def cookie(client: httpx.AsyncClient) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}


async def socket_status(url: str, origin: str, headers: Mapping[str, str]) -> int:
    """101 if the socket opens, else the status of the refusal."""
    try:
        async with connect(url.replace("http", "ws") + SOCKET, origin=origin, additional_headers=headers):  # type: ignore[arg-type]
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@module_loop
async def test_pages_need_a_session_and_static_files_do_not(open_house: Served) -> None:
    async with httpx.AsyncClient(base_url=open_house.url, timeout=20) as stranger:
        for path in ("/console", "/console/", "/console/chats", "/console/chat", POLLING):
            assert 401 == (await stranger.get(path)).status_code, path
        assert 200 == (await stranger.get("/console/static/console.css")).status_code
        for way_out in ("/console/static/%2e%2e/pages.py", "/console/static/..%2fpages.py"):
            assert (await stranger.get(way_out)).status_code in (401, 404)


@module_loop
async def test_a_session_opens_every_page(open_house: Served) -> None:
    async with signed_in(open_house) as client:
        for path in (
            "",
            "chats",
            "chat?chat=weixin:nobody:nothing",
            "turns?state=open&chat=weixin:nobody:nothing",
            "outbox",
            "accounts",
            "people",
            "schedules",
            "schedule",
            "settings",
            "webhooks",
            "webhook?id=wh_none",
        ):
            answer = await client.get(f"/console/{path}")
            assert 200 == answer.status_code, path
            assert "no-store" in answer.headers["cache-control"]
        assert "/console/" == (await client.get("/console")).headers["location"]


@module_loop
async def test_the_outbox_says_by_which_causes_it_looks(open_house: Served) -> None:
    """A message was shown as waiting for a limit, and the filter for limits did not find it."""
    told = "Found by the cause that was written down"
    async with signed_in(open_house) as client:
        assert told in (await client.get("/console/outbox?cause=limit")).text
        assert told not in (await client.get("/console/outbox?state=live")).text


@module_loop
async def test_a_page_forbids_other_hosts_and_frames(open_house: Served) -> None:
    """The browser itself holds us to "no request to any other host"."""
    async with signed_in(open_house) as client:
        answer = await client.get("/console/")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "no-referrer" == answer.headers["referrer-policy"]
        assert "http:" not in policy
        assert "https:" not in policy


@module_loop
async def test_a_foreign_origin_gets_no_socket(open_house: Served) -> None:
    """The page library's socket would take any origin; a page elsewhere could then read every chat."""
    async with signed_in(open_house) as client:
        assert 200 == (await client.get("/console/")).status_code
        own, headers = open_house.url, cookie(client)
        assert 101 == await socket_status(open_house.url, own, headers)
        assert 403 == await socket_status(open_house.url, "http://evil.example", headers)
        assert 403 == await socket_status(open_house.url, "null", headers)
        assert 403 == (await client.get(POLLING, headers={"Origin": "http://evil.example"})).status_code
        assert 200 == (await client.get(POLLING, headers={"Origin": own})).status_code


@module_loop
async def test_a_socket_without_a_session_is_refused(open_house: Served) -> None:
    assert 401 == await socket_status(open_house.url, open_house.url, {})


@module_loop
async def test_what_the_page_library_keeps_lies_in_the_home(open_house: Served) -> None:
    async with signed_in(open_house) as client:
        await client.get("/console/")
    from nicegui import app

    assert "console" == app.storage.path.name


@module_loop
async def test_the_api_still_answers_beside_the_console(open_house: Served) -> None:
    async with httpx.AsyncClient(base_url=open_house.url) as client:
        assert 200 == (await client.get("/healthz")).status_code
        assert 401 == (await client.get("/v1/accounts")).status_code


def test_the_page_library_is_imported_late() -> None:
    """It takes half a second; the dispatcher does not wait for its windows."""
    told = "import sys, yizhan.web.console; print('nicegui' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, timeout=60, check=True
    )
    assert "False" == done.stdout.strip()


@module_loop
@pytest.mark.parametrize("path", ["/console/static/console.js", "/console/static/early.js"])
async def test_our_scripts_are_served_before_the_pages_are_loaded(open_house: Served, path: str) -> None:
    async with httpx.AsyncClient(base_url=open_house.url) as client:
        answer = await client.get(path)
    assert 200 == answer.status_code
    assert "javascript" in answer.headers["content-type"]
