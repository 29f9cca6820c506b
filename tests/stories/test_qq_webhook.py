"""A QQ bot with a webhook: the same road in, with strangers at the door."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from simulation.postman import Postman
from stories.conftest import Says
from stories.qq_words import BOT, QqTale, on_qq
from yizhan.model import AccountState, MessageState
from yizhan_simulator.qq.posting import signature


def texts_in(rows: list[dict[str, object]]) -> list[str]:
    return [str(row["message"]["text"]) for row in rows]  # type: ignore[index]


def signed(tale: QqTale, body: bytes) -> dict[str, str]:
    stamp = str(tale.true_ms // 1_000)
    secret = tale.world.qq.bot(BOT).secret
    return {"X-Signature-Ed25519": signature(secret, stamp, body), "X-Signature-Timestamp": stamp}


def path(tale: QqTale) -> str:
    return "/webhooks/" + tale.account_id.replace(":", "/")


def said(text: str, message_id: str = "ROBOT1.0_1") -> bytes:
    author = {"user_openid": "0F1E2D3C4B5A69788796A5B4C3D2E1F0"}
    body = {"id": message_id, "author": author, "content": text, "timestamp": "2026-09-21T18:02:03+08:00"}
    return json.dumps({"op": 0, "s": 1, "t": "C2C_MESSAGE_CREATE", "id": "C2C:1", "d": body}).encode()


def test_a_bot_with_a_webhook_hears_and_answers_without_a_socket(home: Path) -> None:
    """The console of QQ sends one or the other way; what people see must not depend on it."""

    @on_qq(Says("pong"), webhook=True)
    async def story(tale: QqTale) -> None:
        postman = Postman(tale.station)
        assert AccountState.UP is (await tale.account()).state
        tale.world.qq.validate_webhook(BOT, tale.true_ms)
        await tale.passes(1)
        await tale.says("ping")
        await tale.passes(5)
        assert ["pong"] == tale.phone()
        team = tale.group("Ann", "Bob")
        await tale.says("status?", who="Bob", to="friends", at=True)
        await tale.passes(5)
        assert ["pong"] == tale.phone("friends")
        await tale.push("good morning", to=team)
        tale.world.qq.press("Ann", BOT, "ok", "approve:42", tale.true_ms)
        await tale.passes(5)
        assert ["pong", "good morning"] == tale.phone("friends")
        assert 1 == len(tale.seen("qq.interaction")), "the button's spinner ends"
        assert {200} == {status for status, _ in postman.answers}
        assert [] == tale.station.sockets.attempts_ms
        assert not tale.seen("qq.webhook", "refused"), "QQ has read every answer as a yes"
        await tale.passes(3_600)
        assert 55 <= len(tale.seen("qq.me")) <= 65, "a quiet webhook is asked after once a minute"
        postman.close()

    story(home)


def test_what_is_forged_old_or_doubled_is_heard_once_or_never(home: Path) -> None:
    """The address of a webhook is no secret."""

    @on_qq(webhook=True)
    async def story(tale: QqTale) -> None:
        postman = Postman(tale.station)
        tale.turn(webhook_tries=1)
        for kind in ("forged", "stale_stamp"):
            tale.breaks(kind, "qq.webhook", times=1)
            await tale.says(kind)
        tale.breaks("double", "qq.webhook", times=1)
        await tale.says("doubled")
        assert ["doubled"] == texts_in(await tale.events("message.received"))
        assert [401, 401, 200, 200] == [status for status, _ in postman.answers]
        problems = [json.loads(body) for status, body in postman.answers if status == 401]
        assert {"urn:yizhan:problem:not-signed"} == {problem["type"] for problem in problems}
        assert "3600 s behind" in problems[1]["detail"]
        assert all(problem["fix"] for problem in problems)
        postman.close()

    story(home)


def test_a_stranger_learns_nothing_and_can_send_nothing_large(home: Path) -> None:
    """What costs nothing to send must cost nothing to refuse."""

    @on_qq(webhook=True)
    async def story(tale: QqTale) -> None:
        postman = Postman(tale.station)
        large = said("x" * 1_100_000)
        tries = {
            (401, "not-signed"): (path(tale), {}, said("hi")),
            (413, "text-too-long"): (path(tale), signed(tale, large), large),
            (422, "invalid-request"): (path(tale), signed(tale, b"not json"), b"not json"),
            (404, "not-found"): ("/webhooks/qq/1", signed(tale, said("hi")), said("hi")),
        }
        for (status, name), asked in tries.items():
            answer = await postman.post(*asked)
            assert (status, f"urn:yizhan:problem:{name}") == (answer.status_code, answer.json()["type"])
        assert [] == await tale.events("message.received")
        postman.close()

    story(home)


def test_nothing_is_posted_for_a_bot_that_keeps_a_connection(home: Path) -> None:
    """One road in for each bot: a second one would be one that nobody watches."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        postman = Postman(tale.station)
        answer = await postman.post(path(tale), signed(tale, said("hi")), said("hi"))
        assert 404 == answer.status_code
        postman.close()

    story(home)


def test_qq_is_answered_when_its_event_is_on_disk_and_not_before(home: Path) -> None:
    """Answered first and stored later, every crash between lost a message."""

    @on_qq(webhook=True)
    async def story(tale: QqTale) -> None:
        postman = Postman(tale.station)
        body = said("kept")
        tale.station.gate.at = len(tale.station.gate.seen) + 1
        posted = asyncio.create_task(postman.post(path(tale), signed(tale, body), body))
        await asyncio.wait({posted})
        assert isinstance(posted.exception(), BaseException), "nobody was told that it was heard"
        await tale.restarts()
        assert [] == texts_in(await tale.events("message.received"))
        again = await postman.post(path(tale), signed(tale, body), body)
        assert (200, {"op": 12, "d": 0}) == (again.status_code, again.json())
        assert ["kept"] == texts_in(await tale.events("message.received"))
        await tale.restarts()
        third = await postman.post(path(tale), signed(tale, body), body)
        assert 200 == third.status_code
        assert ["kept"] == texts_in(await tale.events("message.received")), (
            "known by its id, also after a restart"
        )
        postman.close()

    story(home)


def test_what_comes_while_the_api_is_gone_is_kept_and_pushes_wait(home: Path) -> None:
    """QQ may reach us while we do not reach QQ."""

    @on_qq(webhook=True)
    async def story(tale: QqTale) -> None:
        postman = Postman(tale.station)
        tale.is_gone(600)
        await tale.passes(90)
        assert AccountState.DOWN is (await tale.account()).state
        push = await tale.push("late")
        await tale.says("while you were away")
        await tale.passes(900)
        assert ["while you were away"] == texts_in(await tale.events("message.received"))
        assert [MessageState.DELIVERED] == await tale.states(push)
        assert AccountState.UP is (await tale.account()).state
        postman.close()

    story(home)


@pytest.mark.parametrize(
    "trouble", [("hang", "qq.me"), ("status", "qq.me"), ("html", "qq.token"), ("reset_before", "qq.me")]
)
def test_what_is_posted_is_taken_while_our_own_calls_fail(home: Path, trouble: tuple[str, str]) -> None:
    """QQ reached us, we did not reach QQ, and refused what it said until it gave up."""

    @on_qq(webhook=True)
    async def story(tale: QqTale) -> None:
        postman = Postman(tale.station)
        kind, call = trouble
        tale.breaks(kind, call, between_s=(0, 900))
        tale.world.qq.expire_tokens(BOT)
        await tale.passes(180)
        assert AccountState.DOWN is (await tale.account()).state
        for number in range(5):
            body = said(f"line {number}", f"m{number}")
            began_ms = tale.true_ms
            answer = await postman.post(path(tale), signed(tale, body), body)
            assert (200, {"op": 12, "d": 0}) == (answer.status_code, answer.json())
            assert tale.true_ms - began_ms <= 100
            await tale.passes(30)
        assert AccountState.DOWN is (await tale.account()).state, "and still says that it cannot answer"
        assert [f"line {number}" for number in range(5)] == texts_in(await tale.events("message.received"))
        await tale.passes(900)
        assert AccountState.UP is (await tale.account()).state
        postman.close()

    story(home)


@pytest.mark.parametrize(("knob", "value"), [("address_allowed", False)])
def test_what_only_a_person_can_change_is_said_for_a_webhook_too(home: Path, knob: str, value: bool) -> None:
    @on_qq(webhook=True)
    async def story(tale: QqTale) -> None:
        tale.turn(**{knob: value})
        await tale.passes(90)
        account = await tale.account()
        assert AccountState.BARRED is account.state
        assert "IP whitelist" in account.action

    story(home)
