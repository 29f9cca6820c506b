"""The header Idempotency-Key on every route that makes something: a repeat makes no second one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.web.conftest import ACCOUNT, CHAT, Station, problem_name

TARGET = f"{ACCOUNT}:{CHAT}"
MAKERS = [
    ("/v1/schedules", {"when": "every 1h", "to": [TARGET], "text": "hi"}, {"text": "ho"}),
    ("/v1/webhooks", {"url": "https://example.com/hook"}, {"private": True}),
]


@pytest.mark.parametrize(("path", "body", "other"), MAKERS)
async def test_a_program_that_repeats_itself_makes_one(
    station: Station, path: str, body: dict[str, Any], other: dict[str, Any]
) -> None:
    """Also two at once, and after the first has been answered; another body under the same key is a mistake."""
    await station.with_account()
    key = {"Idempotency-Key": "k-1"}
    answers = await asyncio.gather(*(station.client.post(path, json=body, headers=key) for _ in range(3)))
    answers += [await station.client.post(path, json=body, headers=key)]
    assert [200, 200, 200, 201] == sorted(answer.status_code for answer in answers)
    assert 1 == len({answer.text for answer in answers})
    assert 1 == len((await station.client.get(path)).json()["items"])
    wrong = await station.client.post(path, json=body | other, headers=key)
    assert (409, "idempotency-conflict") == (wrong.status_code, problem_name(wrong))
    assert 201 == (await station.client.post(path, json=body)).status_code


@pytest.mark.parametrize(("path", "body", "other"), MAKERS)
async def test_what_was_claimed_and_never_made_is_made_by_the_repeat(
    station: Station, path: str, body: dict[str, Any], other: dict[str, Any]
) -> None:
    """A gateway that died between the two owes nobody an explanation."""
    await station.with_account()
    made = (await station.client.post(path, json=body, headers={"Idempotency-Key": "k"})).json()["id"]
    assert 204 == (await station.client.delete(f"{path}/{made}")).status_code
    again = await station.client.post(path, json=body, headers={"Idempotency-Key": "k"})
    assert (201, made) == (again.status_code, again.json()["id"])


async def test_a_key_of_the_api_is_made_once_and_shown_once(station: Station) -> None:
    """Its text is kept nowhere, so the repeat can only tell what to do."""
    body, key = {"name": "bot", "scopes": ["read"]}, {"Idempotency-Key": "k"}
    made = await station.client.post("/v1/keys", json=body, headers=key)
    again = await station.client.post("/v1/keys", json=body, headers=key)
    assert (201, 409, "idempotency-conflict") == (made.status_code, again.status_code, problem_name(again))
    assert made.json()["id"] in again.json()["fix"]
    assert 1 == len((await station.client.get("/v1/keys")).json()["items"])


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("/v1/schedules", MAKERS[0][1], {"when": "at 2020-01-01T00:00"}),
        ("/v1/webhooks", MAKERS[1][1], {"url": "http://127.0.0.1/"}),
    ],
)
async def test_what_was_refused_has_not_used_its_key(
    station: Station, path: str, body: dict[str, Any], wrong: dict[str, Any]
) -> None:
    """Whoever mends his request sends it again under the same key."""
    await station.with_account()
    key = {"Idempotency-Key": "k"}
    for _ in range(2):
        assert 422 == (await station.client.post(path, json=body | wrong, headers=key)).status_code
    assert 201 == (await station.client.post(path, json=body, headers=key)).status_code
    conflict = await station.client.post(path, json=body | wrong, headers=key)
    assert (409, "idempotency-conflict") == (conflict.status_code, problem_name(conflict))
