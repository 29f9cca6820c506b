"""Access tokens: one question at a time, when it is time, and every way in which the answer can be none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from simulation.virtual import VirtualClock, run
from yizhan.core.connection import Lost, LostKind
from yizhan.model import Account, AccountId, AccountState, Credentials
from yizhan.platforms.qq.access import Access, Grant, read_grant
from yizhan.platforms.qq.api import Api
from yizhan.platforms.qq.discovery import Gateway, read_gateway
from yizhan.ports import Absence, AbsenceKind, Answer, Reply, Request

ACCOUNT = Account(
    AccountId("qq:102"), Credentials("secret", "http://api", token_url="http://t"), AccountState.UP, 0, 0
)
NOW = 1_790_000_000_000


def answer(told: Any, status: int = 200) -> Answer:
    return Answer(status, {}, told if isinstance(told, bytes) else json.dumps(told).encode())


class Wire:
    """Answers what the test says; the last answer stays."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[Request] = []

    async def call(self, request: Request) -> Reply:
        self.asked.append(request)
        await asyncio.sleep(0.1)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def close(self) -> None: ...


def test_ten_who_need_a_token_ask_once() -> None:
    async def story() -> None:
        wire = Wire(answer({"access_token": "a", "expires_in": "7200"}))
        access = Access(ACCOUNT, wire, VirtualClock())
        assert ["a"] * 10 == await asyncio.gather(*(access.get() for _ in range(10)))
        assert 1 == len(wire.asked)
        assert {"appId": "102", "clientSecret": "secret"} == json.loads(wire.asked[0].body)
        assert "http://t/app/getAppAccessToken" == wire.asked[0].url

    run(story())


def test_somebody_who_stops_waiting_does_not_end_the_question_for_the_others() -> None:
    async def story() -> None:
        wire = Wire(answer({"access_token": "a", "expires_in": "7200"}))
        access = Access(ACCOUNT, wire, VirtualClock())
        first, second = asyncio.create_task(access.get()), asyncio.create_task(access.get())
        await asyncio.sleep(0.05)
        first.cancel()
        assert "a" == await second
        assert 1 == len(wire.asked)

    run(story())


def test_a_token_is_renewed_in_its_last_minute_and_used_until_then() -> None:
    """The endpoint gives the same token until its last minute; asking sooner is asking in vain."""

    async def story() -> None:
        old = answer({"access_token": "a", "expires_in": "300"})
        wire = Wire(
            old, Absence(AbsenceKind.NO_ANSWER, "gone"), answer({"access_token": "b", "expires_in": 7200})
        )
        access = Access(ACCOUNT, wire, VirtualClock())
        assert "a" == await access.get()
        await asyncio.sleep(250)
        assert "a" == await access.get()
        assert 1 == len(wire.asked)
        await asyncio.sleep(10)
        assert "a" == await access.get(), "a failed renewal does not cost the one that lives"
        await asyncio.sleep(6)
        assert "b" == await access.get()
        assert 3 == len(wire.asked)

    run(story())


def test_a_refusal_is_remembered_and_not_asked_for_again_at_once() -> None:
    async def story() -> None:
        wire = Wire(answer({"code": 100001, "message": "x"}))
        access = Access(ACCOUNT, wire, VirtualClock())
        for _ in range(50):
            assert isinstance(await access.get(), Lost)
            await asyncio.sleep(1)
        assert len(wire.asked) <= 3

    run(story())


@pytest.mark.parametrize(
    ("told", "kind", "code"),
    [
        ({"code": 100016, "message": "x"}, LostKind.BARRED, "100016"),
        ({"code": 100007}, LostKind.BARRED, "100007"),
        ({"code": 10004}, LostKind.BARRED, "10004"),
        ({"code": 100001}, LostKind.SERVER, "100001"),
        ({"code": 5}, LostKind.SERVER, "5"),
        ({}, LostKind.SERVER, "no-token"),
        ({"access_token": ""}, LostKind.SERVER, "no-token"),
        ({"access_token": 5}, LostKind.SERVER, "no-token"),
        ({"access_token": "a\nb"}, LostKind.SERVER, "no-token"),
        (b"<html>sign in to this Wi-Fi</html>", LostKind.SERVER, "web-page"),
        (b"", LostKind.SERVER, "no-token"),
    ],
)
def test_what_is_no_token_says_why(told: Any, kind: LostKind, code: str) -> None:
    """HTTP 200 all of them."""
    lost = read_grant(answer(told), NOW)
    assert isinstance(lost, Lost)
    assert (kind, code) == (lost.kind, lost.code)
    assert (kind is LostKind.BARRED) == bool(lost.action)


@pytest.mark.parametrize(
    ("expires_in", "lives_ms"),
    [("61", 61_000), (7200, 7_200_000), (None, 7_200_000), ("soon", 7_200_000), (-5, 0), (10**9, 7_200_000)],
)
def test_lifetimes_may_be_text_and_are_bounded(expires_in: Any, lives_ms: int) -> None:
    assert Grant("a", NOW + lives_ms) == read_grant(
        answer({"access_token": "a", "expires_in": expires_in}), NOW
    )


def test_a_token_host_that_is_gone_is_not_the_apis_trouble() -> None:
    lost = read_grant(Absence(AbsenceKind.NOT_SENT, "no connection"), NOW)
    assert isinstance(lost, Lost)
    assert LostKind.NETWORK is lost.kind


def test_a_refused_token_is_renewed_once_and_an_address_that_is_not_listed_is_not() -> None:
    """401 says both; refreshing tokens in a loop for an address helped nobody."""

    async def story() -> None:
        tokens = [answer({"access_token": name, "expires_in": "7200"}) for name in "ab"]
        wire = Wire(
            tokens[0],
            answer({"id": "1"}),
            answer({"code": 11244, "err_code": 11244}, 401),
            tokens[1],
            answer({"id": "2"}),
            answer({"code": 11298, "err_code": 40023002}, 401),
        )
        clock = VirtualClock()
        api = Api(wire, Access(ACCOUNT, wire, clock), clock)
        ask = Request("me", "GET", "http://api/users/@me", {}, b"", 1_000)
        for expected in (200, None, 200, 401, 401):
            if expected is None:
                await asyncio.sleep(60)
                continue
            reply = await api.call(ask)
            assert isinstance(reply, Answer)
            assert expected == reply.status
        sent = [request.headers.get("Authorization") for request in wire.asked if request.call == "me"]
        assert ["QQBot a", "QQBot a", "QQBot b", "QQBot b", "QQBot b"] == sent

    run(story())


def test_the_address_to_connect_to_is_read_with_its_ration() -> None:
    """Source: bot-docs, GET /gateway/bot."""
    ration = {"total": 1000, "remaining": 999, "reset_after": 14400000, "max_concurrency": 1}
    told = {"url": "wss://api.sgroup.qq.com/websocket", "shards": 1, "session_start_limit": ration}
    assert Gateway("wss://api.sgroup.qq.com/websocket", 999, 14_400_000) == read_gateway(answer(told))
    short = read_gateway(answer(told | {"session_start_limit": ration | {"remaining": 3}}))
    assert isinstance(short, Gateway)
    lost = short.may_identify()
    assert lost is not None
    assert 14_400_000 == lost.wait_ms


@pytest.mark.parametrize(
    "told", [{}, {"url": 5}, {"url": "https://x"}, {"url": "wss://"}, {"url": "wss://[x"}, b"[]"]
)
def test_what_is_no_address_is_a_loss(told: Any) -> None:
    assert isinstance(read_gateway(answer(told)), Lost)
