"""`yizhan webhook`: the requests it makes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Ran, SmallGateway

Run = Callable[..., Ran]
MADE = {"id": "wh_1", "state": "active", "cursor": "7", "url": "https://example.com/", "secret": "whsec_x"}


@pytest.mark.parametrize(
    ("words", "request_line", "body"),
    [
        (
            ("add", "https://example.com/", "--type", "alert", "--private"),
            ("POST", "/v1/webhooks"),
            {"url": "https://example.com/", "types": ["alert"], "account": None, "private": True},
        ),
        (("pause", "wh_1"), ("PATCH", "/v1/webhooks/wh_1"), {"paused": True}),
        (("resume", "wh_1"), ("PATCH", "/v1/webhooks/wh_1"), {"paused": False}),
        (("replay", "wh_1", "--after", "5"), ("POST", "/v1/webhooks/wh_1/replay"), {"after": "5"}),
    ],
)
def test_verbs_say_what_was_given(
    run: Run, gateway: SmallGateway, words: tuple[str, ...], request_line: tuple[str, str], body: object
) -> None:
    """And print what is new."""
    gateway.routes[request_line] = (200, MADE)
    ran = run("webhook", *words)
    assert (0, True) == (ran.code, "wh_1" in ran.out)
    assert body == gateway.only.body


@pytest.mark.parametrize(
    ("reason", "code", "words"),
    [
        (None, 0, "taken (204)"),
        ({"code": "http-500", "text": "it answered with status 500"}, 1, "it answered with status 500"),
    ],
)
def test_a_test_says_whether_it_was_taken(
    run: Run, gateway: SmallGateway, reason: object, code: int, words: str
) -> None:
    gateway.routes["POST", "/v1/webhooks/wh_1/test"] = (200, {"status": 204, "reason": reason})
    ran = run("webhook", "test", "wh_1")
    assert (code, True) == (ran.code, words in ran.out)


def test_the_list_says_what_is_wrong(run: Run, gateway: SmallGateway) -> None:
    """A program that takes nothing must not look well."""
    reason = {"code": "http-500", "text": "it answered with status 500"}
    gateway.routes["GET", "/v1/webhooks"] = (200, {"items": [MADE | {"state": "failing", "reason": reason}]})
    ran = run("webhook", "list")
    assert all(words in ran.out for words in ("failing", "status 500", "https://example.com/"))
    assert "whsec_x" not in ran.out


def test_what_was_not_taken_is_listed_with_its_event(run: Run, gateway: SmallGateway) -> None:
    """The event's id is what `replay` wants."""
    post = {"event": "41", "type": "alert", "at": "2026-11-22T01:00:00.000Z", "tries": 3, "status": 500}
    post |= {"reason": {"code": "http-500", "text": "it answered with status 500"}}
    gateway.routes["GET", "/v1/webhooks/wh_1/deliveries"] = (200, {"items": [post], "next": None})
    ran = run("webhook", "deliveries", "wh_1", "--failed")
    assert all(words in ran.out for words in ("41", "alert", "500", "3"))
    assert ["failed"] == gateway.only.query["state"]
