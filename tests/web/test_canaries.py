"""Secrets and words are planted everywhere; afterwards every window is looked through for them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from tests.web.conftest import ACCOUNT, API_KEY, CHAT, SetClock, Station, client_of, gateway_on
from yizhan.model import Access, Dispatch, InboundId
from yizhan.ports import Arrival, Heard, InboundCommit
from yizhan.runtime.clock import SystemChance
from yizhan.store import open_store
from yizhan.web import create_app

SECRET, WORDS = "canary-secret", "canary words"
TARGET = f"{ACCOUNT}:{CHAT}"
AGENTS = {
    "main": {"kind": "openai", "base_url": "http://a", "model": "m", "api_key": f"{SECRET}-agent"},
    "tool": {"kind": "command", "argv": ["cat"], "env": {"TOKEN": f"{SECRET}-env"}},
}
TEXT_MAY_STAND_IN = re.compile(r"/v1/(timeline|access|schedules)")
"""And in `message.received`; nowhere else (docs/contract.md)."""


@pytest.fixture
async def planted(tmp_path: Path) -> AsyncIterator[tuple[Station, list[dict[str, Any]]]]:
    """A station that holds every kind of secret, and what it has logged."""
    clock, chance = SetClock(), SystemChance()
    with capture_logs() as lines:
        store = await open_store(None, tmp_path, clock=clock, chance=chance)
        gateway = gateway_on(store, tmp_path, clock, agents=AGENTS, database={"url": None})
        await gateway.open()
        app = create_app(gateway, api_key=API_KEY, version="1")
        async with client_of(app) as client:
            yield Station(gateway, app, client), lines
        await gateway.stop()
        await store.close()


async def _plant(station: Station) -> tuple[dict[str, str], list[str]]:
    """Answers ids for paths, and the secrets that only an answer has shown."""
    client = station.client
    body = {"platform": "weixin", "account_id": "ab12@im.bot", "token": f"{SECRET}-bot", "user_id": "u1"}
    assert 201 == (await client.post("/v1/accounts", json=body)).status_code
    heard = Heard(CHAT, "c2c", "p1", "u2", "Ann", f"{WORDS} heard", "", (), 0, token=f"{SECRET}-reply")
    arrival = Arrival(InboundId("in_1"), heard, 5, Access.PENDING, Dispatch.DONE)
    await station.gateway.store.commit_inbound(InboundCommit(ACCOUNT, (arrival,), f"{SECRET}-cursor", 5))
    message = (await client.post("/v1/messages", json={"to": TARGET, "text": f"{WORDS} sent"})).json()
    key = (await client.post("/v1/keys", json={"name": "n", "scopes": ["read"]})).json()
    hook = (await client.post("/v1/webhooks", json={"url": "https://example.com/"})).json()
    schedule = {"when": "0 9 * * *", "to": [TARGET], "text": f"{WORDS} scheduled"}
    made = (await client.post("/v1/schedules", json=schedule)).json()
    await client.post(f"/v1/schedules/{made['id']}/run")
    ids = {"message_id": message["id"], "schedule_id": made["id"], "webhook_id": hook["id"]}
    return ids, [key["key"], hook["secret"], API_KEY, SECRET]


async def _windows(station: Station, ids: dict[str, str]) -> dict[str, str]:
    """Every GET of the schema that ends, by its address, with parameters that exist."""
    paths = (await station.client.get("/openapi.json")).json()["paths"]
    shown = {}
    for path, operations in paths.items():
        if "get" not in operations or path == "/v1/events":
            continue
        filled = re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], "unknown"), path)
        wanted = {one["name"]: one for one in operations["get"].get("parameters", []) if one["in"] == "query"}
        filled += f"?chat={quote(TARGET)}" if wanted.get("chat", {}).get("required") else ""
        shown[filled] = (await station.client.get(filled)).text
    return shown


async def _problems(station: Station) -> list[str]:
    """Refusals of requests that hold secrets and words themselves."""
    client = station.client
    tries: list[tuple[str, str, Any]] = [
        ("POST", "/v1/messages", {"to": "nonsense", "text": WORDS}),
        ("POST", "/v1/messages", {"to": TARGET, "text": WORDS, "colour": WORDS}),
        ("POST", "/v1/messages", {"to": TARGET, "text": WORDS * 10_000}),
        ("POST", "/v1/accounts", {"platform": "weixin", "account_id": "x", "token": SECRET, "port": SECRET}),
        ("POST", "/v1/schedules", {"when": "every 1h", "to": ["nonsense"], "text": WORDS}),
        ("POST", "/v1/webhooks", {"url": "https://example.com/", "secret": SECRET}),
    ]
    answers = [await client.request(method, path, json=body) for method, path, body in tries]
    answers.append(await client.post("/v1/messages", content=f'{{"text": "{WORDS} {SECRET}'))
    answers.append(await client.get("/v1/keys", headers={"Authorization": f"Bearer {SECRET}"}))
    assert all(400 <= answer.status_code < 500 for answer in answers), [a.status_code for a in answers]
    return [answer.text for answer in answers]


async def test_no_window_shows_a_secret_and_words_stand_where_they_may(
    planted: tuple[Station, list[dict[str, Any]]],
) -> None:
    """Every GET, every event, every metric, every problem, every log line."""
    station, lines = planted
    ids, secrets = await _plant(station)
    windows = await _windows(station, ids)
    assert len(windows) > 20
    assert WORDS in windows[f"/v1/timeline?chat={quote(TARGET)}"], "the words are there to be found"
    events = list(await station.gateway.store.events_after(0, 1_000))
    told = {f"event {event.id} {event.type}": event.data.decode() for event in events}
    problems = {f"problem {n}": text for n, text in enumerate(await _problems(station))}
    logged = {f"log {n}": json.dumps(line, default=str) for n, line in enumerate(lines)}
    everything = windows | told | problems | logged
    assert [] == [
        (where, secret) for where, text in everything.items() for secret in secrets if secret in text
    ]
    assert [] == [
        where
        for where, text in everything.items()
        if WORDS in text and not TEXT_MAY_STAND_IN.match(where) and "message.received" not in where
    ]
