"""/v1/messages as programs use it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from typing import Any

import pytest

from tests.web.conftest import ACCOUNT, CHAT, Station, problem_name
from yizhan.errors import StoreBusy, StoreUnavailable
from yizhan.web import exports, shapes

TARGET = f"{ACCOUNT}:{CHAT}"


async def test_a_message_is_accepted_and_can_be_looked_at(station: Station) -> None:
    """202 is a promise; the id is how to hold us to it."""
    await station.with_account()
    answer = await station.send(idempotency_key="k1", priority="reply")
    message = answer.json()
    assert 202 == answer.status_code
    assert ("queued", TARGET, "reply", "k1") == tuple(
        message[k] for k in ("state", "to", "priority", "idempotency_key")
    )
    assert [1] == [part["no"] for part in message["parts"]]
    assert message == (await station.client.get(f"/v1/messages/{message['id']}")).json()
    shapes.Message.model_validate(message)


async def test_the_same_key_names_the_same_message(station: Station) -> None:
    """A program that got no answer asks again, and must not send twice."""
    await station.with_account()
    first = await station.send(idempotency_key="k1")
    again = await station.send(idempotency_key="k1")
    assert (202, 200) == (first.status_code, again.status_code)
    assert first.json()["id"] == again.json()["id"]
    other = await station.send("something else", idempotency_key="k1")
    assert (409, "idempotency-conflict") == (other.status_code, problem_name(other))


async def test_the_key_may_stand_in_the_header(station: Station) -> None:
    """Many clients know the header; both at once must agree."""
    await station.with_account()

    async def post(header: bytes, **body: Any) -> Any:
        body = {"to": TARGET, "text": "hello", **body}
        return await station.client.post("/v1/messages", json=body, headers={"Idempotency-Key": header})

    first = await post("早安-1".encode())
    assert "早安-1" == first.json()["idempotency_key"]
    assert 200 == (await post("早安-1".encode(), idempotency_key="早安-1")).status_code
    assert "invalid-request" == problem_name(await post(b"a", idempotency_key="b"))
    for unusable in (b"", b"x" * 256, b"a\x07b"):
        assert "invalid-request" == problem_name(await post(unusable))


async def test_a_target_may_leave_out_the_only_account(station: Station) -> None:
    """Whoever has one account should not have to spell it."""
    await station.with_account()
    answer = await station.client.post("/v1/messages", json={"to": f"weixin:{CHAT}", "text": "x"})
    assert TARGET == answer.json()["to"]


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        ({"to": "weixin:nobody@im.bot:o1@im.wechat", "text": "x"}, 404, "unknown-account"),
        ({"to": "telegram:1:2", "text": "x"}, 404, "unknown-account"),
        ({"to": f"{ACCOUNT}:no chat of weixin", "text": "x"}, 404, "unknown-chat"),
        ({"to": "nonsense", "text": "x"}, 422, "invalid-request"),
        ({"to": "", "text": "x"}, 422, "invalid-request"),
        ({"to": TARGET, "text": ""}, 422, "text-empty"),
        ({"to": TARGET, "text": " \n\t\x07 "}, 422, "text-empty"),
        ({"to": TARGET, "text": "长" * 2001}, 413, "text-too-long"),
        ({"to": TARGET, "text": "x" * 1_000_000}, 413, "text-too-long"),
        ({"to": TARGET}, 422, "invalid-request"),
        ({"text": "x"}, 422, "invalid-request"),
        ({"to": TARGET, "text": 5}, 422, "invalid-request"),
        ({"to": TARGET, "text": None}, 422, "invalid-request"),
        ({"to": TARGET, "text": "x", "txet": "y"}, 422, "invalid-request"),
        ({"to": TARGET, "text": "x", "priority": "notice"}, 422, "invalid-request"),
        ({"to": TARGET, "text": "x", "idempotency_key": "a\x00b"}, 422, "invalid-request"),
        ({"to": TARGET, "text": "x", "idempotency_key": ""}, 422, "invalid-request"),
        ({"to": TARGET, "text": "x", "expires_at": "2001-01-01T00:00:00Z"}, 422, "invalid-request"),
        ({"to": TARGET, "text": "x", "expires_at": "tomorrow"}, 422, "invalid-request"),
        ({"to": TARGET, "text": "x", "expires_at": ""}, 422, "invalid-request"),
        ({"to": TARGET, "text": "x", "not_before": "2100-01-01T00:00:00"}, 422, "invalid-request"),
        ({"to": TARGET, "text": "x", "not_before": 5}, 422, "invalid-request"),
        ({"to": TARGET, "text": "x", "in_reply_to": "i_nothing"}, 404, "unknown-message"),
        ([], 422, "invalid-request"),
        ("text", 422, "invalid-request"),
        (None, 422, "invalid-request"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_a_reason(
    station: Station, body: Any, status: int, name: str
) -> None:
    """Each refusal says what to change, and nothing was accepted."""
    await station.with_account()
    answer = await station.client.post("/v1/messages", json=body)
    assert (status, name) == (answer.status_code, problem_name(answer))
    assert answer.json()["fix"]
    assert [] == (await station.client.get("/v1/messages")).json()["items"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"to": "\xff", "text": "x"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"to": "a", "text": "x"} trailing',
        b"1" * 10_000,
        b'{"to": NaN, "text": Infinity}',
    ],
)
async def test_what_is_no_json_is_refused(station: Station, raw: bytes) -> None:
    """Odd bytes are the caller's mistake, never ours."""
    answer = await station.client.post("/v1/messages", content=raw)
    assert (422, "invalid-request") == (answer.status_code, problem_name(answer))


async def test_half_a_character_does_not_cost_the_message(station: Station) -> None:
    """Programs that cut a stream in the middle of an emoji send a lone surrogate."""
    await station.with_account()
    raw = json.dumps({"to": TARGET, "text": "good \ud83d morning \U0001f600"}).encode()
    assert b"\\ud83d " in raw
    assert 202 == (await station.client.post("/v1/messages", content=raw)).status_code
    row = (await station.client.get("/v1/timeline", params={"chat": TARGET})).json()["items"][0]
    assert "good \ufffd morning \U0001f600" == row["text"]


async def test_a_byte_order_mark_is_passed_over(station: Station) -> None:
    """Some editors write one in front of what is then posted."""
    await station.with_account()
    raw = b"\xef\xbb\xbf" + json.dumps({"to": TARGET, "text": "x"}).encode()
    assert 202 == (await station.client.post("/v1/messages", content=raw)).status_code


async def test_problems_never_repeat_the_text(station: Station) -> None:
    """Problems end up in logs; what people write to each other must not."""
    await station.with_account()
    secret = "geheim-4711"
    bodies: list[Any] = [
        {"to": TARGET, "text": [secret]},
        {"to": TARGET, "text": secret, "priority": secret},
        {"to": TARGET, "text": secret, "expires_at": secret},
        {"to": TARGET, "text": secret * 1000},
        {"to": 5, "text": secret},
        {"text": secret},
    ]
    for body in bodies:
        answer = await station.client.post("/v1/messages", json=body)
        assert 400 <= answer.status_code < 500
        assert secret not in answer.text


async def test_times_are_understood_with_any_offset(station: Station) -> None:
    """A caller in Shanghai may say so."""
    await station.with_account()
    answer = await station.send(not_before="2096-01-01T08:00:00+08:00", expires_at="2096-01-02T00:00:00Z")
    message = answer.json()
    assert 202 == answer.status_code
    assert ("2096-01-02T00:00:00.000Z", "2096-01-01T00:00:00.000Z") == (
        message["expires_at"],
        message["next_attempt_at"],
    )


@pytest.mark.parametrize(("error", "after_s"), [(StoreBusy, "1"), (StoreUnavailable, "5")])
async def test_a_store_that_cannot_write_is_busy(
    station: Station, monkeypatch: pytest.MonkeyPatch, error: type[Exception], after_s: str
) -> None:
    """Better a clear no with a time than a yes that is none."""
    await station.with_account()

    async def full(_: object) -> Any:
        raise error("The disk is full.", "Make room.")

    monkeypatch.setattr(station.gateway.store, "accept", full)
    answer = await station.send()
    assert (503, "busy", after_s) == (answer.status_code, problem_name(answer), answer.headers["retry-after"])


async def test_our_own_mistakes_show_nothing(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error may carry anything in its words."""

    async def fall(_: object) -> Any:
        raise RuntimeError("the text was: geheim")

    monkeypatch.setattr(station.gateway, "accept", fall)
    answer = await station.send()
    assert (500, "internal-error") == (answer.status_code, problem_name(answer))
    assert "geheim" not in answer.text


async def test_cancel_and_retry(station: Station) -> None:
    """The two buttons of the outbox, and what each refuses."""
    await station.with_account()
    path = f"/v1/messages/{(await station.send()).json()['id']}"
    assert "cancelled" == (await station.client.post(f"{path}/cancel")).json()["state"]
    again = await station.client.post(f"{path}/cancel")
    assert (409, "not-cancellable") == (again.status_code, problem_name(again))
    assert (await station.client.post(f"{path}/retry")).json()["state"] in ("queued", "waiting")
    for verb in ("", "/retry", "/cancel"):
        missing = await station.client.request("POST" if verb else "GET", f"/v1/messages/m_nothing{verb}")
        assert (404, "unknown-message") == (missing.status_code, problem_name(missing))


async def test_wait_answers_at_the_next_change(station: Station) -> None:
    """One request instead of asking every second."""
    await station.with_account()
    path = f"/v1/messages/{(await station.send()).json()['id']}"
    asking = asyncio.create_task(station.client.get(path, params={"wait": 30}))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await station.client.post(f"{path}/cancel")
    assert "cancelled" == (await asking).json()["state"]
    assert time.monotonic() - began < 10


async def test_wait_ends_by_itself_and_when_the_gateway_stops(station: Station) -> None:
    """Neither a caller nor the process may hang on it."""
    await station.with_account()
    path = f"/v1/messages/{(await station.send()).json()['id']}"
    assert "queued" == (await station.client.get(path, params={"wait": 0.05})).json()["state"]
    asking = asyncio.create_task(station.client.get(path, params={"wait": 60}))
    await asyncio.sleep(0.05)
    station.gateway.stopping.set()
    assert "queued" == (await asyncio.wait_for(asking, 5)).json()["state"]


@pytest.mark.parametrize("wait", ["61", "-1", "nan", "x"])
async def test_a_wait_out_of_bounds_is_refused(station: Station, wait: str) -> None:
    """A minute is the longest answer."""
    answer = await station.client.get("/v1/messages/m", params={"wait": wait})
    assert (422, "invalid-request") == (answer.status_code, problem_name(answer))


async def test_lists_are_filtered_and_paged(station: Station) -> None:
    """The outbox of a busy day does not fit one answer."""
    await station.with_account()
    await station.with_account("zz99@im.bot")
    ids = [(await station.send(f"n{i}")).json()["id"] for i in range(5)]
    other = await station.client.post(
        "/v1/messages", json={"to": f"weixin:zz99@im.bot:{CHAT}", "text": "other"}
    )
    await station.client.post(f"/v1/messages/{ids[0]}/cancel")

    async def listed(**query: Any) -> list[str]:
        answer = await station.client.get("/v1/messages", params=query)
        shapes.MessagePage.model_validate(answer.json())
        return [row["id"] for row in answer.json()["items"]]

    assert [other.json()["id"], *reversed(ids)] == await listed()
    assert list(reversed(ids)) == await listed(account=ACCOUNT)
    assert list(reversed(ids)) == await listed(chat=TARGET)
    assert [ids[0]] == await listed(state="cancelled")
    assert list(reversed(ids)) == await listed(state="cancelled,queued", account=ACCOUNT)
    assert list(reversed(ids)) == await listed(state=["cancelled", "queued"], account=ACCOUNT)
    assert [] == await listed(since="2095-01-01T00:00:00Z")
    pages, cursor = [], None
    for _ in range(3):
        query = {"account": ACCOUNT, "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await station.client.get("/v1/messages", params=query)).json()
        pages.append([row["id"] for row in page["items"]])
        cursor = page["next"]
    assert [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]] == pages
    assert cursor is None


@pytest.mark.parametrize(
    "query",
    [
        {"state": "lost"},
        {"since": "yesterday"},
        {"cursor": "garbage"},
        {"cursor": "WzFd"},
        {"limit": "0"},
        {"limit": "201"},
        {"chat": "nonsense"},
        {"account": "a\x00b"},
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(station: Station, query: dict[str, str]) -> None:
    """An empty list would look like an answer."""
    answer = await station.client.get("/v1/messages", params=query)
    assert (422, "invalid-request") == (answer.status_code, problem_name(answer))


async def test_a_list_shows_no_attempts_and_one_message_does(station: Station) -> None:
    """Lists stay small; the whole story of a message is one request away."""
    await station.with_account()
    message = (await station.send()).json()
    assert [] == message["parts"][0]["attempts"]
    listed = (await station.client.get("/v1/messages")).json()["items"][0]
    assert "attempts" not in listed["parts"][0]


async def test_a_filter_of_the_outbox_as_a_file(station: Station) -> None:
    """More than a page, without text, and nothing that a spreadsheet would compute."""
    await station.with_account()
    for number in range(exports.PAGE + 3):
        assert 202 == (await station.send(f"a secret {number}", idempotency_key=f"=cmd{number}")).status_code
    path = "/v1/export/messages?state=queued"
    answer = await station.client.get(path)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert exports.PAGE + 3 == len(rows) == len({row["id"] for row in rows})
    assert ("queued", "1", "0", f"'=cmd{exports.PAGE + 2}") == tuple(
        rows[0][name] for name in ("state", "parts", "delivered_parts", "idempotency_key")
    )
    assert "secret" not in answer.text
    assert "attachment" in answer.headers["Content-Disposition"]
    as_json = (await station.client.get(f"{path}&format=json")).json()
    assert [row["id"] for row in rows] == [row["id"] for row in as_json["items"]]
    assert 1 == len((await station.client.get("/v1/export/messages?state=failed")).text.splitlines())
    for wrong in ("format=xml", "state=lost", "chat=nonsense"):
        assert 422 == (await station.client.get(f"/v1/export/messages?{wrong}")).status_code
