"""/v1/webhooks as a program sees it; what is posted is in tests/runtime/test_webhooks.py."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import ACCOUNT, Station, problem_name
from yizhan.web import shapes

PATH = "/v1/webhooks"
URL = "https://example.com/hook?key=value"


async def test_a_webhook_is_added_shown_changed_replayed_and_removed(station: Station) -> None:
    """Its secret is shown once."""
    await station.with_account()
    made = await station.client.post(PATH, json={"url": URL, "types": ["alert"], "account": str(ACCOUNT)})
    assert made.status_code == 201, made.text
    shapes.WebhookAdded.model_validate(made.json())
    shown = {name: value for name, value in made.json().items() if name != "secret"}
    assert made.json()["secret"].startswith("whsec_")
    assert [shown] == (await station.client.get(PATH)).json()["items"]
    path = f"{PATH}/{shown['id']}"
    assert shown == (await station.client.get(path)).json()
    changed = await station.client.patch(path, json={"paused": True, "account": None, "types": []})
    assert ("paused", None, []) == tuple(changed.json()[name] for name in ("state", "account", "types"))
    replayed = await station.client.post(f"{path}/replay", json={"after": "0"})
    assert "0" == replayed.json()["cursor"]
    deliveries = await station.client.get(f"{path}/deliveries")
    shapes.PostPage.model_validate(deliveries.json())
    assert 204 == (await station.client.delete(path)).status_code
    for answer in (await station.client.get(path), await station.client.delete(path)):
        assert (404, "unknown-webhook") == (answer.status_code, problem_name(answer))


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "url"),
        ({"url": "ftp://example.com/"}, 422, "http or https address"),
        ({"url": "http://localhost:1/\n"}, 422, "url"),
        ({"url": "http://127.0.0.1:8080/"}, 422, "this machine"),
        ({"url": "https://user:word@example.com/"}, 422, "user name"),
        ({"url": URL, "types": ["message.sent"]}, 422, "types"),
        ({"url": URL, "private": "yes"}, 422, "private"),
        ({"url": URL, "account": "weixin:nobody@im.bot"}, 404, "no account"),
        ({"url": URL, "secret": "mine"}, 422, "secret"),
    ],
)
async def test_what_cannot_be_is_refused(
    station: Station, body: dict[str, Any], status: int, words: str
) -> None:
    """With what to change."""
    answer = await station.client.post(PATH, json=body)
    assert (status, True) == (answer.status_code, words in answer.json()["detail"]), answer.text
    assert [] == (await station.client.get(PATH)).json()["items"]


async def test_nothing_is_tested_without_a_running_gateway(station: Station) -> None:
    """Whoever has no gateway running is told so, and not that the address is wrong."""
    made = (await station.client.post(PATH, json={"url": URL})).json()
    answer = await station.client.post(f"{PATH}/{made['id']}/test")
    assert (422, True) == (answer.status_code, "no gateway runs" in answer.json()["detail"])
    assert 404 == (await station.client.post(f"{PATH}/wh_none/test")).status_code


async def test_an_event_that_never_was_cannot_be_replayed(station: Station) -> None:
    """As with the event stream."""
    made = (await station.client.post(PATH, json={"url": URL})).json()
    for after, status in (("99", 410), ("x", 422)):
        answer = await station.client.post(f"{PATH}/{made['id']}/replay", json={"after": after})
        assert status == answer.status_code
    answer = await station.client.patch(f"{PATH}/{made['id']}", json={})
    assert 422 == answer.status_code
