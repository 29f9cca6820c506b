"""The OpenAI-compatible agent against a real loopback server that behaves, misbehaves and lies."""

from __future__ import annotations

import asyncio
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from tests.agents.conftest import (
    DONE,
    Endpoint,
    Play,
    answers,
    ask,
    chunk,
    cut_the_line,
    for_ever,
    says,
    streams,
)
from yizhan.agents import FAILURE_CODES
from yizhan.agents.answer import MODEL_STOPPED, TOO_LONG
from yizhan.agents.openai import OpenAiAnswers
from yizhan.core.text import clean
from yizhan.ports import AgentFailed, Text
from yizhan.settings import OpenAiAgent

Agents = Callable[..., OpenAiAnswers]


@pytest.fixture
async def agent_for() -> AsyncIterator[Agents]:
    """`agent_for(endpoint or url, **settings)` → an agent; closed at the end."""
    made: list[OpenAiAnswers] = []

    def make(where: Endpoint | str, **settings: Any) -> OpenAiAnswers:
        base_url = where if isinstance(where, str) else where.base_url
        chosen = OpenAiAgent(kind="openai", base_url=base_url, model="tiny", **settings)
        made.append(OpenAiAnswers("main", chosen, "zh"))
        return made[-1]

    yield make
    for agent in made:
        await agent.close()


async def failure(agent: OpenAiAnswers) -> AgentFailed:
    with pytest.raises(AgentFailed) as caught:
        await answers(agent)
    assert caught.value.code in FAILURE_CODES
    return caught.value


async def test_streamed_pieces_become_one_output(play: Play, agent_for: Agents) -> None:
    """The chat gets one message, not one per token."""
    endpoint = await play(streams(chunk("你"), chunk("好"), chunk("！", finish="stop"), DONE))
    assert ["你好！"] == await answers(agent_for(endpoint))


async def test_pieces_cut_anywhere_are_read_the_same(play: Play, agent_for: Agents) -> None:
    """TCP cuts inside characters and inside line ends; a proxy may turn LF into CR LF."""
    whole = (chunk("驿站") + chunk("答复", finish="stop") + DONE).replace(b"\n", b"\r\n")

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for at in range(0, len(whole), 7):
            await response.write(whole[at : at + 7])
            await asyncio.sleep(0)
        return response

    assert ["驿站答复"] == await answers(agent_for(await play(drip)))


async def test_an_emoji_that_the_stream_cuts_in_half_arrives_whole(play: Play, agent_for: Agents) -> None:
    """A server that cuts its text by UTF-16 writes the halves as escapes; the whole answer was lost for one smile."""
    halves = chunk("so \ud83d"), chunk("\ude00 glad", finish="stop"), DONE
    (said,) = await answers(agent_for(await play(streams(*halves))))
    assert "so 😀 glad" == clean(said)


async def test_the_question_carries_prompt_history_model_and_key(play: Play, agent_for: Agents) -> None:
    """What the endpoint is asked is the whole of what the settings promise."""
    endpoint = await play(streams(chunk("ok", finish="stop"), DONE))
    agent = agent_for(
        endpoint, api_key=" sk-1 \n", system_prompt="be brief", temperature=0.5, history_messages=2
    )
    await answers(agent, ask("third", ("user", "zero"), ("user", "first"), ("assistant", "second")))
    expected = {
        "model": "tiny",
        "stream": True,
        "temperature": 0.5,
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "second"},
            {"role": "user", "content": "third"},
        ],
    }
    assert expected == endpoint.asked[0]
    assert "Bearer sk-1" == endpoint.headers[0]["authorization"]


async def test_nothing_is_sent_that_was_not_set(play: Play, agent_for: Agents) -> None:
    """Strict endpoints refuse empty keys and null temperatures."""
    endpoint = await play(streams(chunk("ok", finish="stop"), DONE))
    await answers(agent_for(endpoint, history_messages=0), ask("now", ("user", "before")))
    assert {"model", "stream", "messages"} == set(endpoint.asked[0])
    assert [{"role": "user", "content": "now"}] == endpoint.asked[0]["messages"]
    assert "authorization" not in endpoint.headers[0]


async def test_roles_alternate_for_strict_prompt_templates(play: Play, agent_for: Agents) -> None:
    """Some models refuse two lines of one role in a row, or an assistant who speaks first."""
    endpoint = await play(streams(chunk("ok", finish="stop"), DONE))
    await answers(agent_for(endpoint), ask("yes", ("assistant", "tea?"), ("user", "wait"), ("user", "hm")))
    roles = [(line["role"], line["content"]) for line in endpoint.asked[0]["messages"]]
    assert [("user", "…"), ("assistant", "tea?"), ("user", "wait\n\nhm\n\nyes")] == roles


async def test_server_that_ignores_streaming_is_understood(play: Play, agent_for: Agents) -> None:
    """Small servers answer with one JSON object whatever was asked."""
    body = json.dumps(
        {"choices": [{"message": {"role": "assistant", "content": "whole"}, "finish_reason": None}]}
    )
    assert ["whole"] == await answers(agent_for(await play(says(body))))


async def test_content_in_parts_is_understood(play: Play, agent_for: Agents) -> None:
    """Content may be a list of typed pieces."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    body = json.dumps({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]})
    assert ["ab"] == await answers(agent_for(await play(says(body))))


async def test_stream_under_a_wrong_content_type_is_understood(play: Play, agent_for: Agents) -> None:
    """Some proxies call a stream text/plain."""
    body = b": hello\n\n" + chunk("fine", finish="stop") + DONE
    assert ["fine"] == await answers(agent_for(await play(says(body, content_type="text/plain"))))


async def test_last_event_without_an_empty_line_counts(play: Play, agent_for: Agents) -> None:
    """A server that ends right after its last line has still said it."""
    assert ["ok"] == await answers(agent_for(await play(streams(chunk("ok", finish="stop").rstrip()))))


async def test_reasoning_is_not_part_of_the_answer(play: Play, agent_for: Agents) -> None:
    """Nobody in the chat wants the model's draft."""
    script = streams(
        chunk(reasoning_content="let me think"),
        chunk("<thi"),
        chunk("nk>hm, tags\nand more</think>\n\nThe"),
        chunk(" tag `<think>` is plain here", finish="stop"),
        DONE,
    )
    assert ["The tag `<think>` is plain here"] == await answers(agent_for(await play(script)))


async def test_stream_that_stays_open_after_its_end_is_an_answer(
    play: Play, agent_for: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finish_reason is an end; some servers forget to hang up."""
    monkeypatch.setattr("yizhan.agents.openai.LINGER_S", 0.05)
    endpoint = await play(streams(chunk("ok", finish="stop"), then=for_ever))
    assert ["ok"] == await answers(agent_for(endpoint))


async def test_text_after_a_repeated_finish_reason_is_kept(play: Play, agent_for: Agents) -> None:
    """Some gateways put `stop` on every chunk."""
    endpoint = await play(streams(chunk("a", finish="stop"), chunk("b", finish="stop"), DONE))
    assert ["ab"] == await answers(agent_for(endpoint))


async def test_answer_cut_by_the_model_says_so(play: Play, agent_for: Agents) -> None:
    """A reader must not take a torso for the whole."""
    endpoint = await play(streams(chunk("half", finish="length"), DONE))
    assert [f"half\n\n{MODEL_STOPPED['zh']}"] == await answers(agent_for(endpoint))


async def test_megabyte_answer_is_cut_visibly(play: Play, agent_for: Agents) -> None:
    """Bounded, and the chat is told in its own language."""
    endpoint = await play(streams(*[chunk("好" * 10_000)] * 100, chunk(finish="stop"), DONE))
    (text,) = await answers(agent_for(endpoint, max_answer_chars=1000))
    assert "好" * 1000 + "\n\n" + TOO_LONG["zh"] == text


async def test_endless_stream_takes_bounded_memory_and_ends(play: Play, agent_for: Agents) -> None:
    """A model in a loop must not fill the gateway, nor hold the turn once enough has come."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(chunk("x" * 5000))

    endpoint = await play(endless)
    tracemalloc.start()
    (text,) = await answers(agent_for(endpoint, max_answer_chars=200_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text.endswith(TOO_LONG["zh"])
    assert peak < 8 * 1024 * 1024
    await asyncio.wait_for(endpoint.hung_up.wait(), 5)


async def test_one_endless_line_is_refused(
    play: Play, agent_for: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event without an end must not be collected for ever."""
    monkeypatch.setattr("yizhan.agents.openai.MAX_EVENT_BYTES", 50_000)
    endpoint = await play(streams(b"data: ", *[b"x" * 10_000] * 20, then=for_ever))
    assert "agent-broken-stream" == (await failure(agent_for(endpoint))).code


async def test_thinking_without_end_is_silence_not_memory(play: Play, agent_for: Agents) -> None:
    """A model that only thinks has not answered."""
    thought = [chunk("<think>")] + [chunk("hm " * 3000)] * 50
    endpoint = await play(streams(*thought, chunk(finish="stop"), DONE))
    assert "agent-silent" == (await failure(agent_for(endpoint, max_answer_chars=100))).code


@pytest.mark.parametrize(
    "pieces",
    [(chunk("half an ans"),), (), (b": ping\n\n",), (chunk("half"), b"data: {not json}\n\n")],
    ids=["in the middle", "at once", "only comments", "nonsense"],
)
async def test_stream_that_breaks_off_is_a_failure(
    play: Play, agent_for: Agents, pieces: tuple[bytes, ...]
) -> None:
    """Half an answer that looks whole is worse than being asked again."""
    problem = await failure(agent_for(await play(streams(*pieces))))
    assert "agent-broken-stream" == problem.code
    assert "half" not in problem.detail


async def test_connection_reset_in_the_stream_is_a_failure(play: Play, agent_for: Agents) -> None:
    """The same, when the line is cut below HTTP."""
    endpoint = await play(streams(chunk("half"), then=cut_the_line))
    assert "agent-broken-stream" == (await failure(agent_for(endpoint))).code


async def test_error_object_in_the_stream_is_reported(play: Play, agent_for: Agents) -> None:
    """Servers that have sent 200 already can only fail this way."""
    error = b'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n'
    problem = await failure(agent_for(await play(streams(chunk("half"), error))))
    assert "agent-error" == problem.code
    assert "CUDA out of memory" in problem.detail


@pytest.mark.parametrize(
    ("status", "body", "code", "hint"),
    [
        (401, '{"error": {"message": "bad key sk-secret"}}', "agent-refused", "agents.main.api_key"),
        (403, "", "agent-refused", "agents.main.api_key"),
        (404, '{"detail": "Not Found"}', "agent-not-found", "agents.main.base_url"),
        (404, '{"error": "model \\"tiny\\" not found"}', "agent-not-found", 'model "tiny" not found'),
        (429, '{"error": {"message": "quota"}}', "agent-busy", "quota"),
        (400, '{"object": "error", "message": "context too long"}', "agent-error", "context too long"),
        (422, '{"detail": [{"input": "你好"}]}', "agent-error", "http 422"),
        (
            422,
            '{"detail": [{"loc": ["body", "model", 0], "msg": "Field required", "input": "你好"}, {}]}',
            "agent-error",
            "http 422: body.model.0: Field required.",
        ),
        (500, "[" * 100_000, "agent-error", "http 500"),
        (503, "model is still loading\n", "agent-error", "http 503: model is still loading."),
        (401, "unknown token sk-secret", "agent-refused", "unknown token …"),
        (502, "<html><h1>Bad Gateway</h1></html>", "agent-error", "http 502"),
    ],
)
async def test_refusals_have_stable_codes_and_say_what_to_check(
    play: Play, agent_for: Agents, status: int, body: str, code: str, hint: str
) -> None:
    """The operator reads which key to change; neither our key nor the question is repeated."""
    problem = await failure(agent_for(await play(says(body, status)), api_key="sk-secret"))
    assert code == problem.code
    assert hint in problem.detail
    assert "sk-secret" not in problem.detail
    assert "你好" not in problem.detail


async def test_error_object_with_status_200_is_reported(play: Play, agent_for: Agents) -> None:
    """Some proxies always answer 200."""
    problem = await failure(agent_for(await play(says('{"error": {"message": "no credit"}}'))))
    assert ("agent-error", True) == (problem.code, "no credit" in problem.detail)


async def test_web_page_says_that_the_base_url_is_wrong(play: Play, agent_for: Agents) -> None:
    """The commonest mistake: the address of the chat page instead of its API."""
    page = "\n<!doctype html><html><body>Welcome</body></html>"
    problem = await failure(agent_for(await play(says(page, content_type="text/html"))))
    assert "agent-web-page" == problem.code
    assert "agents.main.base_url" in problem.detail
    assert "Welcome" not in problem.detail


@pytest.mark.parametrize("body", ["null", "[]", "{}", "", "hello", '{"choices": "many"}', "[" * 100_000])
async def test_odd_bodies_are_failures_not_crashes(play: Play, agent_for: Agents, body: str) -> None:
    """Whatever a server says, a turn ends with a code."""
    assert "agent-broken-stream" == (await failure(agent_for(await play(says(body))))).code


@pytest.mark.parametrize(
    "body",
    [
        '{"choices": []}',
        '{"choices": [{"message": {"content": null}}]}',
        '{"choices": [{"message": {"content": "\\u200b\\ufeff\\u0007"}}]}',
    ],
)
async def test_answer_without_text_is_silence(play: Play, agent_for: Agents, body: str) -> None:
    """An empty bubble cannot be sent; the operator hears why."""
    assert "agent-silent" == (await failure(agent_for(await play(says(body))))).code


@pytest.mark.field("F87")
async def test_redirect_is_not_followed(play: Play, agent_for: Agents) -> None:
    """The key must not travel to a host that nobody configured."""

    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/v1/chat/completions")

    assert "agent-not-found" == (await failure(agent_for(await play(elsewhere)))).code


async def test_nobody_listens(agent_for: Agents) -> None:
    """A model server that is not running is named with its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        problem = await failure(agent_for(url))
    assert "agent-unreachable" == problem.code
    assert url in problem.detail


@pytest.mark.parametrize("url", ["http://", "http://256.0.0.1.invalid./v1", "http://" + "a" * 80 + "/v1"])
async def test_impossible_address_is_unreachable(agent_for: Agents, url: str) -> None:
    """A typing error in the address ends a turn, not a worker."""
    assert "agent-unreachable" == (await failure(agent_for(url))).code


async def test_host_that_accepts_and_hangs_up(agent_for: Agents) -> None:
    """A port with something else behind it."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert "agent-unreachable" == (await failure(agent_for(f"http://127.0.0.1:{port}/v1"))).code


async def test_stall_before_the_first_byte_times_out(play: Play, agent_for: Agents) -> None:
    """A hung model server must give the chat's turn back."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await for_ever(request)
        raise AssertionError

    endpoint = await play(hang)
    problem = await failure(agent_for(endpoint, idle_timeout_s=0.1))
    assert ("agent-timeout", True) == (problem.code, "said nothing for 0.1 s" in problem.detail)
    await asyncio.wait_for(endpoint.hung_up.wait(), 5)


async def test_stall_in_the_stream_times_out(play: Play, agent_for: Agents) -> None:
    """The same in the middle."""
    endpoint = await play(streams(chunk("half"), then=for_ever))
    assert "agent-timeout" == (await failure(agent_for(endpoint, idle_timeout_s=0.1))).code


async def test_slow_but_steady_answer_outlives_the_idle_limit(play: Play, agent_for: Agents) -> None:
    """Silence is measured between bytes, not from the start."""

    async def steady(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(12):
            await response.write(b": still thinking\n\n")
            await asyncio.sleep(0.1)
        await response.write(chunk("ok", finish="stop") + DONE)
        return response

    assert ["ok"] == await answers(agent_for(await play(steady), idle_timeout_s=1))


async def test_endless_chatter_meets_the_whole_limit(play: Play, agent_for: Agents) -> None:
    """Comments keep a line open, but not for ever."""

    async def chatter(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b": ping\n\n")
            await asyncio.sleep(0.01)

    problem = await failure(agent_for(await play(chatter), timeout_s=0.3))
    assert ("agent-timeout", True) == (problem.code, "did not finish within 0.3 s" in problem.detail)


async def test_cancelling_the_turn_ends_the_request(play: Play, agent_for: Agents) -> None:
    """`/stop` must stop the model too, not only our waiting."""
    endpoint = await play(streams(chunk("half"), then=for_ever))
    asking = asyncio.create_task(answers(agent_for(endpoint)))
    await endpoint.reached.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(endpoint.hung_up.wait(), 5)


async def test_words_are_told_as_they_stream(play: Play, agent_for: Agents) -> None:
    """The chat may read the first sentence while the model still thinks about the second."""
    more = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(chunk("First. "))
        await more.wait()
        await response.write(chunk("Second.", finish="stop") + DONE)
        return response

    pieces = agent_for(await play(slow)).answer(ask())
    assert Text("First.") == await anext(pieces)
    more.set()
    assert [Text(" Second.")] == [rest async for rest in pieces]


async def test_failure_inside_a_finished_stream_is_a_failure(play: Play, agent_for: Agents) -> None:
    """Agents that crash in the middle end the stream properly and say so in its last chunk."""
    endpoint = await play(streams(chunk("half"), chunk(finish="error"), DONE))
    assert "agent-error" == (await failure(agent_for(endpoint))).code


async def test_whole_message_after_its_pieces_is_not_said_twice(play: Play, agent_for: Agents) -> None:
    """Some servers close a stream with the whole answer once more."""
    again = json.dumps({"choices": [{"message": {"content": "once"}, "finish_reason": "stop"}]}).encode()
    assert ["once"] == await answers(
        agent_for(await play(streams(chunk("once"), b"data: " + again + b"\n\n", DONE)))
    )


async def test_agent_can_be_asked_again_after_a_failure_and_in_parallel(
    play: Play, agent_for: Agents
) -> None:
    """One agent serves every chat; one chat's trouble stays its own."""
    calls = iter([says("oops", 500), *[streams(chunk("ok", finish="stop"), DONE)] * 20])

    async def next_one(request: web.Request) -> web.StreamResponse:
        return await next(calls)(request)

    agent = agent_for(await play(next_one))
    assert "agent-error" == (await failure(agent)).code
    assert [["ok"]] * 20 == await asyncio.gather(*[answers(agent) for _ in range(20)])


@pytest.mark.parametrize("tail", ["", "/", "/chat/completions"])
async def test_base_url_is_forgiving_about_its_end(play: Play, agent_for: Agents, tail: str) -> None:
    """All three spellings are seen in the wild."""
    endpoint = await play(streams(chunk("ok", finish="stop"), DONE))
    assert ["ok"] == await answers(agent_for(endpoint.base_url + tail))
