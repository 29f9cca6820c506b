"""How often one may call, and what is said to those who call too often or ask for what there is not."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.web.conftest import API_KEY, Station, problem_name
from yizhan.runtime.clock import SystemClock
from yizhan.web import create_app
from yizhan.web.quotas import Quotas, Windows


class HandClock(SystemClock):
    def __init__(self) -> None:
        super().__init__()
        self.at_ms = 1_000_000

    def now_ms(self) -> int:
        return self.at_ms


def test_a_window_moves(tmp_path: Path) -> None:
    """Two in a minute: the third waits for the first to be a minute old, not for the clock to strike."""
    clock = HandClock()
    quotas = Quotas(clock, per_key=2, wrong_keys=1)
    assert quotas.called(b"a") is None
    clock.at_ms += 40_000
    assert quotas.called(b"a") is None
    problem = quotas.called(b"a")
    assert problem is not None
    assert (429, "too-many-requests", "20") == (problem.status, problem.name, problem.headers["Retry-After"])
    assert quotas.called(b"b") is None, "each key has its own"
    clock.at_ms += 20_000
    assert quotas.called(b"a") is None
    assert quotas.called(b"a") is not None
    assert quotas.failed("10.0.0.1") is None
    assert quotas.failed("10.0.0.1") is not None
    assert quotas.failed("10.0.0.2") is None


def test_nothing_is_counted_where_nothing_is_bounded() -> None:
    quotas = Quotas(HandClock(), per_key=0, wrong_keys=0)
    assert [None] * 100 == [quotas.called(b"a") for _ in range(100)]
    assert quotas.failed("10.0.0.1") is None


def test_strangers_do_not_fill_the_memory() -> None:
    """Addresses are many; whoever called longest ago is forgotten."""
    windows = Windows(HandClock(), callers_max=3)
    for number in range(10):
        assert windows.acquire_entry(f"address {number}", 1, 60)
    assert not windows.acquire_entry("address 9", 1, 60)
    assert windows.acquire_entry("address 0", 1, 60)


@pytest.fixture
def bounded(station: Station) -> httpx.AsyncClient:
    """A station whose key may call three times a minute, and whose strangers may err twice."""
    settings = station.gateway.settings
    server = settings.server.model_copy(update={"key_requests_per_minute": 3, "wrong_keys_per_minute": 2})
    station.gateway.settings = settings.model_copy(update={"server": server})
    app = create_app(station.gateway, api_key=API_KEY, version="1")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


async def test_a_key_that_is_used_too_often_waits(bounded: httpx.AsyncClient) -> None:
    """The answer says when to come again; other callers and open routes go on."""
    right = {"Authorization": f"Bearer {API_KEY}"}
    answers = [await bounded.get("/v1/accounts", headers=right) for _ in range(4)]
    assert [200, 200, 200, 429] == [answer.status_code for answer in answers]
    assert "too-many-requests" == problem_name(answers[-1])
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert 200 == (await bounded.get("/healthz")).status_code
    assert 401 == (await bounded.get("/v1/accounts")).status_code


async def test_a_key_is_counted_however_the_header_is_written(bounded: httpx.AsyncClient) -> None:
    """Spaces and capitals make no other key of it."""
    spelled = [f"Bearer {API_KEY}", f"bearer {API_KEY}", f"BEARER  {API_KEY}", f"Bearer   {API_KEY}"]
    answers = [await bounded.get("/v1/accounts", headers={"Authorization": text}) for text in spelled]
    assert [200, 200, 200, 429] == [answer.status_code for answer in answers]


async def test_wrong_keys_are_answered_so_often_and_a_right_one_always(bounded: httpx.AsyncClient) -> None:
    """Whoever shares the address of somebody with a wrong key must not suffer."""
    wrong = {"Authorization": "Bearer wrong"}
    answers = [await bounded.get("/v1/accounts", headers=wrong) for _ in range(3)]
    assert [401, 401, 429] == [answer.status_code for answer in answers]
    right = {"Authorization": f"Bearer {API_KEY}"}
    assert 200 == (await bounded.get("/v1/accounts", headers=right)).status_code
    assert 401 == (await bounded.get("/v1/accounts")).status_code, "who shows nothing is not counted"


@pytest.mark.parametrize(
    ("method", "path", "fix"),
    [
        ("GET", "/v1/messages?stat=failed", "Did you mean state?"),
        ("GET", "/v1/messages?acount=x", "Did you mean account?"),
        ("GET", "/v1/messages?zzz=1", "Known: account"),
        ("GET", "/v1/keys?limit=5", "takes none"),
        ("POST", "/v1/messages?wait=5", "takes none"),
        ("GET", "/v1/messages/m_1?waits=5", "Did you mean wait?"),
    ],
)
async def test_a_parameter_that_does_not_exist_is_named_with_its_neighbour(
    station: Station, method: str, path: str, fix: str
) -> None:
    """A filter that is passed over shows, or retries, everything."""
    answer = await station.client.request(method, path, json={} if method == "POST" else None)
    assert (422, "invalid-request") == (answer.status_code, problem_name(answer)), answer.text
    assert fix in answer.json()["fix"]


async def test_parameters_that_exist_are_known(station: Station) -> None:
    """Repeated ones and those of the event stream, too."""
    for path in ("/v1/messages?state=failed&state=expired&limit=5", "/readyz?accounts=all&anything=1"):
        assert (await station.client.get(path)).status_code in (200, 503)
