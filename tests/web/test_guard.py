"""The guard: nothing passes without a key or a session, from a foreign name, or from a foreign page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.web.conftest import API_KEY, BEARER, EventStore, Stream, client_of, gateway_on
from yizhan.settings import Server
from yizhan.web import console_path, create_app
from yizhan.web.auth import BODY_MAX_BYTES, HostNames, same_origin
from yizhan.web.keys import KeyRing

EXEMPT = {"/healthz", "/readyz", "/console/login", "/webhooks/platform/account"}


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of everything that answers, also of what OpenAPI does not show."""
    for context in effective(app):
        for method in sorted((getattr(context, "methods", None) or {"GET"}) - {"HEAD"}):
            yield method, str(context.path).replace("{", "").replace("}", "")


def effective(app: FastAPI) -> Iterator[Any]:
    for route in app.routes:
        included = getattr(route, "effective_route_contexts", None)
        yield from included() if included else [route]


async def test_every_route_but_the_exempt_ones_wants_a_key(bare_app: FastAPI) -> None:
    """A route that somebody adds tomorrow must be shut too."""
    seen = set()
    async with client_of(bare_app, {}) as client:
        for method, path in routes_of(bare_app):
            answer = await client.request(method, path)
            seen.add(path)
            if path in EXEMPT:
                assert 401 != answer.status_code, path
            else:
                assert 401 == answer.status_code, (method, path)
                assert "urn:yizhan:problem:unauthorized" == answer.json()["type"]
                assert "Bearer" == answer.headers["www-authenticate"]
    assert EXEMPT < seen
    assert {"/v1/messages", "/v1/events", "/v1/keys", "/metrics", "/openapi.json"} < seen


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/console/",
        "/nowhere",
        "/healthz/",
        "/healthzz",
        "/webhooks/qq/",
        "/webhooks/qq/1/2",
        "//healthz",
    ],
)
async def test_what_only_resembles_an_exempt_path_wants_a_key(bare_app: FastAPI, path: str) -> None:
    """Exemptions are whole paths, not beginnings."""
    async with client_of(bare_app, {}) as client:
        assert 401 == (await client.get(path)).status_code


@pytest.mark.parametrize(
    "path",
    [
        "/console/_nicegui/client/abc/upload/1",
        "/console/_nicegui/3.18.0/dynamic_resources/x",
        "/console/_nicegui_ws/socket.io/",
    ],
)
async def test_console_paths_with_content_want_a_session(bare_app: FastAPI, path: str) -> None:
    """Only static files of the console are free."""
    async with client_of(bare_app, {}) as client:
        assert 401 == (await client.get(path)).status_code
        assert 404 == (await client.get("/console/_nicegui/3.18.0/static/nicegui.js")).status_code
        assert 404 == (await client.post("/webhooks/qq/1020304")).status_code


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer", "Bearer ", "Basic abc", API_KEY, f"Bearer {API_KEY}x", "Bearer \xff\xfe"],
)
async def test_a_wrong_key_is_refused(bare_app: FastAPI, header: str) -> None:
    """Whatever is not the key is not the key."""
    async with client_of(bare_app, {}) as client:
        answer = await client.get("/v1/settings", headers={"Authorization": header.encode("latin-1")})
        assert 401 == answer.status_code


async def test_a_wrong_key_is_not_mended_by_a_good_session(bare_app: FastAPI) -> None:
    """A program that shows a key wants that key to count."""
    async with client_of(bare_app, {}) as client:
        await client.get(console_path(bare_app))
        assert 200 == (await client.get("/v1/settings")).status_code
        assert 401 == (await client.get("/v1/settings", headers={"Authorization": "Bearer no"})).status_code


async def test_keys_made_later_do_what_their_scopes_say(bare_app: FastAPI, event_store: EventStore) -> None:
    """A program that only pushes should not be able to read chats or make keys."""
    async with client_of(bare_app) as admin:
        made = {
            scope: (await admin.post("/v1/keys", json={"name": scope, "scopes": [scope]})).json()
            for scope in ("read", "send", "admin")
        }
    assert all(made[scope]["key"] not in repr(event_store.api_keys) for scope in made)
    tries = {
        "read": {
            ("GET", "/v1/chats"),
            ("GET", "/metrics"),
            ("GET", "/v1/messages/x"),
            ("GET", "/openapi.json"),
        },
        "send": {("POST", "/v1/messages"), ("GET", "/v1/messages/x"), ("GET", "/openapi.json")},
    }
    everything = (
        tries["read"] | tries["send"] | {("GET", "/v1/keys"), ("PATCH", "/v1/chat"), ("DELETE", "/v1/keys/x")}
    )
    tries["admin"] = everything
    for scope, allowed in tries.items():
        async with client_of(bare_app, {"Authorization": f"Bearer {made[scope]['key']}"}) as client:
            for method, path in everything:
                status = (await client.request(method, path)).status_code
                assert ((method, path) in allowed) == (status != 403), (scope, method, path, status)
                assert 401 != status


async def test_a_revoked_key_is_refused_at_once(bare_app: FastAPI) -> None:
    """Revoking is what one does when a key has leaked."""
    async with client_of(bare_app) as admin:
        made = (await admin.post("/v1/keys", json={"name": "n", "scopes": ["admin"]})).json()
        async with client_of(bare_app, {"Authorization": f"Bearer {made['key']}"}) as client:
            assert 200 == (await client.get("/v1/keys")).status_code
            revoked = await client.delete(f"/v1/keys/{made['id']}")
            assert revoked.json()["revoked_at"]
            assert 401 == (await client.get("/v1/keys")).status_code
        assert "key" not in (await admin.get("/v1/keys")).json()["items"][0]
        assert 404 == (await admin.delete("/v1/keys/nothing")).status_code


async def test_whoever_reads_events_with_a_leaked_key_is_cut_off_when_it_is_revoked(
    bare_app: FastAPI, event_store: EventStore
) -> None:
    """And nobody else; also one whose key is revoked between the look at it and the first byte."""
    async with client_of(bare_app) as admin:
        made = (await admin.post("/v1/keys", json={"name": "n", "scopes": ["read"]})).json()
        async with Stream(bare_app, key=made["key"]) as leaked, Stream(bare_app) as other:
            await admin.delete(f"/v1/keys/{made['id']}")
            await leaked.end()
            assert event_store.commit(1) == await other.ids(1)
    late: list[str] = []
    with bare_app.state.keys.while_good(made["key"].encode(), lambda: late.append("cut")):
        assert ["cut"] == late


async def test_the_home_key_works_while_the_store_does_not(
    bare_app: FastAPI, event_store: EventStore
) -> None:
    """The operator must get in when the database is the trouble; other keys cannot be judged then."""
    event_store.broken = True
    async with client_of(bare_app) as client:
        assert 200 == (await client.get("/v1/settings")).status_code
        other = await client.get("/v1/settings", headers={"Authorization": "Bearer yz_other"})
        assert (503, "5") == (other.status_code, other.headers["retry-after"])


# the console's session


async def test_a_ticket_signs_in_once(bare_app: FastAPI) -> None:
    """The address is shown on a terminal and lands in a browser's history."""
    async with client_of(bare_app) as admin:
        ticket = (await admin.post("/v1/console/ticket")).json()
    assert ticket["url"].startswith("http://127.0.0.1:8787/console/login?ticket=")
    async with client_of(bare_app, {}) as browser:
        answer = await browser.get(ticket["url"])
        assert (303, "/console/") == (answer.status_code, answer.headers["location"])
        cookie = answer.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=strict", "max-age=604800"))
        assert 200 == (await browser.get("/v1/settings")).status_code
    async with client_of(bare_app, {}) as other:
        assert 403 == (await other.get(ticket["url"])).status_code
        assert 401 == (await other.get("/v1/settings")).status_code


async def test_a_ticket_is_good_for_five_minutes(bare_app: FastAPI) -> None:
    """An address found later must be worthless."""
    path = console_path(bare_app)
    bare_app.state.gateway.clock.ahead_ms = 5 * 60_000 + 1
    async with client_of(bare_app, {}) as browser:
        assert 403 == (await browser.get(path)).status_code


async def test_a_session_ends_after_seven_days(bare_app: FastAPI) -> None:
    """The cookie's own age is a request to the browser; the gateway keeps its own count."""
    async with client_of(bare_app, {}) as browser:
        await browser.get(console_path(bare_app))
        bare_app.state.gateway.clock.ahead_ms = 7 * 24 * 3_600_000 - 60_000
        assert 200 == (await browser.get("/v1/settings")).status_code
        bare_app.state.gateway.clock.ahead_ms += 120_000
        assert 401 == (await browser.get("/v1/settings")).status_code


@pytest.mark.parametrize("value", ["", "x", "9999999999999.aa.bb", "..", "9999999999999.aa.", "é"])
async def test_a_made_up_session_is_refused(bare_app: FastAPI, value: str) -> None:
    """Cookies come from the other side."""
    name = bare_app.state.sessions.cookie_name
    async with client_of(bare_app, {}) as browser:
        answer = await browser.get("/v1/settings", headers={"Cookie": f"{name}={value}".encode()})
        assert 401 == answer.status_code


async def test_a_session_of_another_gateway_is_refused(bare_app: FastAPI, tmp_path: Path) -> None:
    """Cookies know no ports: two gateways on one host must not open each other's doors."""
    other = create_app(gateway_on(EventStore(), tmp_path), api_key="another-key", version="1")
    async with client_of(other, {}) as browser:
        await browser.get(console_path(other))
        value = next(iter(browser.cookies.values()))
    async with client_of(bare_app, {"Cookie": f"{bare_app.state.sessions.cookie_name}={value}"}) as browser:
        assert 401 == (await browser.get("/v1/settings")).status_code


async def test_a_person_without_a_session_gets_a_page(bare_app: FastAPI) -> None:
    """Somebody who types the address should learn how to sign in."""
    async with client_of(bare_app, {"Accept": "text/html,*/*"}) as browser:
        answer = await browser.get("/console/")
        assert 401 == answer.status_code
        assert "yizhan console" in answer.text


async def test_a_key_or_a_code_that_is_typed_signs_in(bare_app: FastAPI) -> None:
    """A person at a phone cannot click on what a terminal prints."""
    ring: KeyRing = bare_app.state.keys
    _, admin = await ring.add("operator", frozenset({"admin"}))
    _, reader = await ring.add("reader", frozenset({"read", "send"}))
    code = console_path(bare_app).rpartition("ticket=")[2]
    whole = f"http://127.0.0.1:8787{console_path(bare_app)}"
    for typed, status in (
        (API_KEY, 303), (f"  {admin}\n", 303), (code, 303), (whole, 303),
        (code, 403), (reader, 403), ("guessed", 403), ("", 403), ("驿站" * 300, 403),
    ):  # fmt: skip
        async with client_of(bare_app, {}) as browser:
            answer = await browser.post("/console/login", data={"key": typed})
            assert status == answer.status_code, typed
            reached = (await browser.get("/v1/settings")).status_code
            assert (200 if status == 303 else 401) == reached
            assert typed.strip() == "" or typed.strip() not in answer.text


async def test_a_page_elsewhere_cannot_sign_anybody_in(bare_app: FastAPI) -> None:
    async with client_of(bare_app, {"Origin": "http://evil.example"}) as browser:
        assert 403 == (await browser.post("/console/login", data={"key": API_KEY})).status_code


async def test_whoever_opens_the_door_is_asked_for_a_code(bare_app: FastAPI) -> None:
    async with client_of(bare_app, {}) as browser:
        answer = await browser.get("/console/login")
        assert (200, True) == (answer.status_code, '<form method="post"' in answer.text)
        assert "Set-Cookie" not in answer.headers


async def test_without_a_console_nobody_signs_in(tmp_path: Path) -> None:
    """A window that is switched off has no door either."""
    app = create_app(
        gateway_on(EventStore(), tmp_path, console={"enabled": False}), api_key=API_KEY, version="1"
    )
    async with client_of(app) as client:
        assert 404 == (await client.post("/v1/console/ticket")).status_code
        assert 404 == (await client.get("/console/login?ticket=x")).status_code


# names and origins


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8787", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8787", 200),
        ("127.8.8.8", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.168.0.9:8787", 403),
        ("", 403),
        ("localhost@evil.example", 403),
    ],
)
async def test_a_foreign_host_name_is_refused(bare_app: FastAPI, host: str, status: int) -> None:
    """A stranger's page whose name was rebound to 127.0.0.1 still says its own name."""
    async with client_of(bare_app) as client:
        for path in ("/healthz", "/v1/settings"):
            answer = await client.get(path, headers={"Host": host})
            assert status == answer.status_code
            if status == 403:
                assert "urn:yizhan:problem:forbidden" == answer.json()["type"]


@pytest.mark.parametrize("hosts", [("127.0.0.1", "evil.example"), ("evil.example", "127.0.0.1")])
async def test_two_host_headers_are_refused(bare_app: FastAPI, hosts: tuple[str, str]) -> None:
    """Whoever sends two wants one of us to read the other."""
    async with client_of(bare_app) as client:
        headers = [*(("Host", host) for host in hosts), *BEARER.items()]
        assert 403 == (await client.get("/v1/settings", headers=headers)).status_code


def test_names_can_be_added_and_numbers_count_when_listening_everywhere() -> None:
    """Behind a proxy the name is the proxy's; in a container one is reached by number."""
    proxied = HostNames(Server(allowed_hosts=("Gate.Example", "other.example:443")))
    assert [True, True, False] == [
        proxied.known(h) for h in (b"gate.example:443", b"other.example", b"10.0.0.2")
    ]
    everywhere = HostNames(Server(host="0.0.0.0"))
    assert [True, True, False] == [
        everywhere.known(h) for h in (b"10.0.0.2:8787", b"[fe80::1]", b"gate.example")
    ]
    one = HostNames(Server(host="10.0.0.2"))
    assert [True, False] == [one.known(h) for h in (b"10.0.0.2:1", b"10.0.0.3")]


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        (b"http://127.0.0.1:8787", True),
        (b"https://127.0.0.1:8787", True),
        (b"http://127.0.0.1:8788", False),
        (b"http://127.0.0.1", False),
        (b"http://localhost:8787", False),
        (b"http://evil.example", False),
        (b"null", False),
        (b"", False),
        (b"chrome-extension://abc", False),
    ],
)
async def test_a_foreign_page_may_not_call(bare_app: FastAPI, origin: bytes, same: bool) -> None:
    """A browser carries the cookie along; only the Origin tells whose page it is."""
    assert same == same_origin(origin, b"127.0.0.1:8787")
    async with client_of(bare_app, {}) as browser:
        await browser.get(console_path(bare_app))
        answer = await browser.get("/v1/settings", headers={"Origin": origin})
        assert (200 if same else 403) == answer.status_code
    assert same_origin(b"https://gate.example", b"gate.example:443")


async def connect(app: FastAPI, headers: list[tuple[bytes, bytes]], extension: bool) -> list[dict[str, Any]]:
    """Asks for a WebSocket; answers what the application said."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        said.append(dict(message))

    scope = {
        "type": "websocket",
        "path": "/console/_nicegui_ws/socket.io/",
        "raw_path": b"/console/_nicegui_ws/socket.io/",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}} if extension else {},
    }
    await asyncio.wait_for(app(scope, receive, send), 5)
    return said


HOST = (b"host", b"127.0.0.1:8787")
KEY = (b"authorization", f"Bearer {API_KEY}".encode())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([HOST], 401),
        ([(b"host", b"evil.example"), KEY], 403),
        ([HOST, KEY, (b"origin", b"http://evil.example")], 403),
        ([HOST, KEY, (b"origin", b"null")], 403),
    ],
)
async def test_a_socket_is_guarded_like_everything_else(
    bare_app: FastAPI, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    """Browsers do not keep pages from opening sockets to other origins; the server must."""
    assert status == (await connect(bare_app, headers, True))[0]["status"]
    assert [{"type": "websocket.close", "code": 1008}] == await connect(bare_app, headers, False)


async def test_our_own_page_may_open_a_socket(bare_app: FastAPI) -> None:
    """Past the guard the router decides; without a console it knows no socket and closes."""
    async with client_of(bare_app, {}) as browser:
        await browser.get(console_path(bare_app))
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = [HOST, (b"cookie", cookie.encode()), (b"origin", b"http://127.0.0.1:8787")]
    said = await connect(bare_app, headers, True)
    assert 1008 != said[0].get("code")
    assert said[0].get("status") not in (401, 403)


# size


async def test_an_announced_body_that_is_too_large_is_refused(bare_app: FastAPI) -> None:
    """Nothing of it is read."""
    async with client_of(bare_app) as client:
        answer = await client.post("/v1/keys", content=b"x" * (BODY_MAX_BYTES + 1))
        assert (413, "urn:yizhan:problem:text-too-long") == (answer.status_code, answer.json()["type"])


async def test_a_chunked_body_is_counted_while_it_comes(bare_app: FastAPI) -> None:
    """A body without a length must not fill the memory; it is dropped when it passes the limit."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50 * BODY_MAX_BYTES:
            sent += 65_536
            yield b"x" * 65_536

    async with client_of(bare_app) as client:
        answer: httpx.Response = await client.post("/v1/keys", content=endless())
    assert (413, "urn:yizhan:problem:text-too-long") == (answer.status_code, answer.json()["type"])
    assert sent <= BODY_MAX_BYTES + 65_536


def test_an_empty_key_opens_nothing(tmp_path: Path) -> None:
    """`Authorization: Bearer` with nothing behind it would be the key."""
    with pytest.raises(ValueError, match="empty"):
        create_app(gateway_on(EventStore(), tmp_path), api_key="", version="1")


def test_every_operation_has_a_name_of_its_own(bare_app: FastAPI) -> None:
    """Generated clients name their methods after these."""
    names = [
        operation["operationId"]
        for path in bare_app.openapi()["paths"].values()
        for operation in path.values()
    ]
    assert len(names) == len(set(names)) > 20
