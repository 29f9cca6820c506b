"""The webhook agent against a real loopback server: what it is told, how that is proved, what it may answer."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from tests.agents.conftest import QUESTION, Endpoint, Play, ask, for_ever, says
from yizhan.agents import FAILURE_CODES
from yizhan.agents.answer import TOO_LONG
from yizhan.agents.webhook import WebhookAnswers, signature
from yizhan.model import InboundId
from yizhan.ports import AgentFailed, Later, OutputEnd, Piece, Question, Session, Text
from yizhan.settings import WebhookAgent, load

SECRET = "0123456789abcdef"
NOW_S = 1_790_000_000
Hooks = Callable[..., WebhookAnswers]


@pytest.fixture
async def hook() -> AsyncIterator[Hooks]:
    """`hook(endpoint or url, **settings)` → an agent; closed at the end."""
    made: list[WebhookAnswers] = []

    def make(where: Endpoint | str, **settings: Any) -> WebhookAnswers:
        url = where if isinstance(where, str) else f"{where.base_url}/chat/completions"
        chosen = WebhookAgent.model_validate({"kind": "webhook", "url": url, "secret": SECRET, **settings})
        made.append(WebhookAnswers("main", chosen, "en", lambda: NOW_S * 1000))
        return made[-1]

    yield make
    for agent in made:
        await agent.close()


async def said(agent: WebhookAnswers, question: Question = QUESTION) -> list[Piece]:
    return [piece async for piece in agent.answer(question)]


async def failure(agent: WebhookAnswers) -> AgentFailed:
    with pytest.raises(AgentFailed) as caught:
        await said(agent)
    assert caught.value.code in FAILURE_CODES
    assert SECRET not in caught.value.detail
    return caught.value


@pytest.mark.parametrize(
    ("body", "pieces"),
    [
        ('{"text": "hello"}', [Text("hello"), OutputEnd()]),
        ('{"texts": ["one", "two"], "more": 1}', [Text("one"), OutputEnd(), Text("two"), OutputEnd()]),
        ('{"text": "a", "session": "s9"}', [Session("s9"), Text("a"), OutputEnd()]),
        ('{"texts": []}', []),
        ('{"text": " "}', []),
        ("{}", []),
        ('{"text": "cut \\ud83d"}', [Text("cut \ud83d"), OutputEnd()]),
        ('\ufeff{"text": "marked"}', [Text("marked"), OutputEnd()]),
    ],
)
async def test_answer_in_the_reply_is_said(play: Play, hook: Hooks, body: str, pieces: list[Piece]) -> None:
    """The quick way: 200 with the answer, or with nothing to say."""
    assert pieces == await said(hook(await play(says(body))))


async def test_plain_text_is_an_answer_too(play: Play, hook: Hooks) -> None:
    """The smallest program that can answer has no JSON; bytes that are no UTF-8 are shown as such."""
    script = says(b"ok \xff", content_type="text/plain")
    assert [Text("ok \ufffd"), OutputEnd()] == await said(hook(await play(script)))


async def test_accepted_means_that_the_answer_comes_later(play: Play, hook: Hooks) -> None:
    """A long job answers by the API, when it is done."""
    assert [Later()] == await said(hook(await play(says("", 202))))
    assert [Session("s"), Later()] == await said(hook(await play(says('{"session": "s"}', 202))))


async def test_no_content_means_nothing_to_say(play: Play, hook: Hooks) -> None:
    assert [] == await said(hook(await play(says("", 204))))


async def test_question_says_all_that_is_needed_to_answer_later(play: Play, hook: Hooks) -> None:
    """The chat and `in_reply_to` are fit for POST /v1/messages as they stand."""
    endpoint = await play(says("{}"))
    question = replace(
        ask("now", ("user", "before"), ("assistant", "yes?")),
        in_reply_to=InboundId("i_1"),
        quoted="a quote",
        agent_session="s0",
    )
    await said(hook(endpoint, history_messages=1, headers={"X-Mine": "1", "Webhook-Id": "forged"}), question)
    expected = {
        "turn": "t_1",
        "in_reply_to": "i_1",
        "chat": "weixin:ab12@im.bot:o9@im.wechat",
        "sender": {"id": "o9@im.wechat", "name": "小明"},
        "text": "now",
        "quoted": "a quote",
        "session": "s_1",
        "agent_session": "s0",
        "language": "zh",
        "history": [{"role": "assistant", "text": "yes?"}],
    }
    assert expected == endpoint.asked[0]
    assert ("1", "t_1") == (endpoint.headers[0]["x-mine"], endpoint.headers[0]["webhook-id"])


async def test_question_is_signed(play: Play, hook: Hooks) -> None:
    """Whoever answers can tell that we asked, and when."""
    endpoint = await play(says("{}"))
    await said(hook(endpoint))
    proof = endpoint.headers[0]
    assert str(NOW_S) == proof["webhook-timestamp"]
    assert signature(SECRET.encode(), "t_1", str(NOW_S), endpoint.bodies[0]) == proof["webhook-signature"]


async def test_long_answer_is_cut_visibly(play: Play, hook: Hooks) -> None:
    """As everywhere."""
    body = json.dumps({"text": "y" * 1_000_000})
    (text, _) = await said(hook(await play(says(body)), max_answer_chars=1000))
    assert Text("y" * 1000 + f"\n\n{TOO_LONG['en']}") == text


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["yyyy"] * 100_000, ["yyyy"] * 25 + [TOO_LONG["en"]]),
        (["y" * 60] * 3, ["y" * 60, "y" * 40 + f"\n\n{TOO_LONG['en']}"]),
        (["y" * 60, "y" * 40, " "], ["y" * 60, "y" * 40]),
    ],
)
async def test_an_answer_of_very_many_messages_does_not_flood_the_chat(
    play: Play, hook: Hooks, texts: list[str], told: list[str]
) -> None:
    """The bound is for the answer, in however many messages it is said."""
    pieces = await said(hook(await play(says(json.dumps({"texts": texts}))), max_answer_chars=100))
    assert told == [piece.delta for piece in pieces if isinstance(piece, Text)]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, '{"message": "bad signature for 0123456789abcdef"}', "agent-refused"),
        (403, "", "agent-refused"),
        (404, "", "agent-not-found"),
        (410, "", "agent-not-found"),
        (302, "", "agent-not-found"),
        (429, "", "agent-busy"),
        (500, "<html>", "agent-error"),
        (200, "hello", "agent-broken-stream"),
        (200, '{"text": 7}', "agent-broken-stream"),
        (200, "[" * 100_000, "agent-broken-stream"),
        (200, "<html>Welcome</html>", "agent-web-page"),
    ],
)
async def test_refusals_and_nonsense_have_codes(
    play: Play, hook: Hooks, status: int, body: str, code: str
) -> None:
    """And never tell the secret."""
    assert code == (await failure(hook(await play(says(body, status))))).code


async def test_nobody_listens(hook: Hooks) -> None:
    """The address is in the detail."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/hook"
        problem = await failure(hook(url))
    assert ("agent-unreachable", True) == (problem.code, url in problem.detail)


async def test_silence_ends_the_question(play: Play, hook: Hooks) -> None:
    """A program that wants to think for long says 202 first."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await for_ever(request)
        raise AssertionError

    assert "agent-timeout" == (await failure(hook(await play(hang), timeout_s=0.1))).code


def test_secret_must_be_one(tmp_path: Any) -> None:
    """An empty or guessable secret signs nothing."""
    for secret in ("short", "whsec_not base64 at all", "whsec_=========="):
        agents = {"hook": {"kind": "webhook", "url": "http://x/", "secret": secret}}
        with pytest.raises(Exception, match=r"agents\.hook\.secret") as caught:
            load(tmp_path, {}, {"agents": agents})
        assert secret not in str(caught.value)
