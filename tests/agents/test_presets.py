"""How endpoints are told which conversation is meant, and what models that remember nothing are told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agents.conftest import DONE, QUESTION, Play, ask, chunk, streams
from yizhan.agents.history import LINE_TOKENS, UNSEEN, caught_up, remembered, tokens
from yizhan.agents.openai import OpenAiAnswers
from yizhan.agents.presets import PRESETS, plain_name
from yizhan.ports import AgentFailed, Piece, Progress, Said, Session, Text
from yizhan.settings import OpenAiAgent

HISTORY = (("user", "before"), ("assistant", "yes?"))
SESSION, CHAT = plain_name("s_1"), plain_name(str(QUESTION.target))


async def told(
    play: Play, preset: Any, agent_session: str = "", headers: dict[str, str] | None = None, *pieces: bytes
) -> tuple[dict[str, Any], dict[str, str], list[Piece]]:
    """What an endpoint of that preset is asked: body, headers; and the pieces of its answer."""
    endpoint = await play(streams(*(pieces or (chunk("ok", finish="stop"), DONE)), headers=headers))
    chosen = OpenAiAgent(
        kind="openai",
        base_url=endpoint.base_url,
        model="m",
        preset=preset,
        api_key="k",
        system_prompt="be brief",
    )
    agent = OpenAiAnswers("main", chosen, "en")
    try:
        question = replace(ask("now", *HISTORY), agent_session=agent_session)
        said = [piece async for piece in agent.answer(question)]
    finally:
        await agent.close()
    return endpoint.asked[0], endpoint.headers[0], said


@pytest.mark.parametrize("preset", ["plain", "openwebui"])
async def test_models_that_forget_are_told_the_history(play: Play, preset: str) -> None:
    """And nothing of ours that they did not ask for."""
    body, headers, _ = await told(play, preset)
    assert ["system", "user", "assistant", "user"] == [line["role"] for line in body["messages"]]
    assert {"model", "messages", "stream"} == set(body)
    assert not any("session" in name for name in headers)


@pytest.mark.parametrize(
    ("preset", "roles", "members", "sent"),
    [
        ("hermes", ["system", "user"], {}, {"x-hermes-session-id": SESSION, "x-hermes-session-key": CHAT}),
        ("openclaw", ["system", "user"], {}, {"x-openclaw-session-key": SESSION}),
        ("nanobot", ["user"], {"session_id": SESSION}, {}),
        ("cowagent", ["user"], {"conversation_id": SESSION}, {}),
    ],
)
async def test_agents_that_remember_are_told_the_session_only(
    play: Play, preset: str, roles: list[str], members: dict[str, str], sent: dict[str, str]
) -> None:
    """Told the history as well, they would read everything twice; without a name, chats would meet."""
    body, headers, _ = await told(play, preset)
    assert roles == [line["role"] for line in body["messages"]]
    assert "now" == body["messages"][-1]["content"]
    assert members == {name: body[name] for name in set(body) - {"model", "messages", "stream"}}
    assert sent == {name: value for name, value in headers.items() if "session" in name}


async def test_the_session_that_an_agent_names_is_told_and_given_back(play: Play) -> None:
    """Hermes goes on in another session after it has compressed one; the returned id counts."""
    _, _, said = await told(play, "hermes", "", {"X-Hermes-Session-Id": "20261121_new"})
    assert [Session("20261121_new"), Text("ok")] == said
    _, headers, _ = await told(play, "hermes", "20261121_new")
    assert "20261121_new" == headers["x-hermes-session-id"]


async def test_tools_of_hermes_are_progress_and_no_part_of_the_answer(play: Play) -> None:
    """Shape: hermes-agent 0.19.0, `_write_sse_chat_completion`."""
    running = (
        b'event: hermes.tool.progress\ndata: {"tool": "terminal", "label": "ls -l", "status": "running"}\n\n'
    )
    done = b'event: hermes.tool.progress\ndata: {"tool": "terminal", "status": "completed"}\n\n'
    odd = b"event: hermes.tool.progress\ndata: [\n\n"
    _, _, said = await told(
        play, "hermes", "", {}, running, done, odd, chunk("Three files.", finish="stop"), DONE
    )
    assert [Progress("ls -l"), Text("Three files.")] == said


def _beside(event: str, **choice: Any) -> bytes:
    told = json.dumps({"choices": [{"index": 0, "delta": {}, **choice}]})[:-1] + f', "cow_event": {event}}}'
    return f"data: {told}\n\n".encode()


async def test_tools_of_cowagent_are_progress_and_no_part_of_the_answer(play: Play) -> None:
    """Shape: zhayujie/CowAgent 2.2, `channel/web/openai_api.py`, `_tool_events`."""
    start = _beside('{"type": "tool_start", "id": "1", "name": "bash", "arguments": {"command": "ls"}}')
    result = _beside('{"type": "tool_result", "id": "1", "name": "bash", "result": [1], "elapsed": 0.2}')
    thought = _beside('{"type": "reasoning", "delta": "hm"}', delta={"reasoning_content": "hm"})
    odd = [_beside(event) for event in ("[1]", "null", '{"type": 7}', '{"type": "tool_start", "name": null}')]
    _, _, said = await told(
        play, "cowagent", "", {}, thought, start, result, *odd, chunk("Three files.", finish="stop"), DONE
    )
    assert [Progress("bash"), Text("Three files.")] == said


async def test_a_failure_of_cowagent_in_the_middle_names_its_reason(play: Play) -> None:
    """Its stream ends as if all were well, but for an event beside it."""
    failure = _beside('{"type": "error", "message": "CowAgent failed to complete the request."}')
    with pytest.raises(AgentFailed, match="CowAgent failed to complete") as failed:
        await told(
            play, "cowagent", "", {}, chunk("Three"), failure, _beside("null", finish_reason="error"), DONE
        )
    assert "agent-error" == failed.value.code


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        (
            "hermes",
            "(Since you were asked last, this was also said in the chat:)\n> deploy?\n> They wrote: yes\n\nyes, do it",
        ),
        ("plain", "yes\n\nyes, do it"),
    ],
)
async def test_what_others_said_meanwhile_is_told_to_those_who_remember(
    play: Play, preset: Any, said: str
) -> None:
    """A schedule asked, a person says "yes, do it": an agent with a memory of its own has to know to what."""
    endpoint = await play(streams(chunk("ok", finish="stop"), DONE))
    settings = OpenAiAgent(kind="openai", base_url=endpoint.base_url, model="m", preset=preset)
    agent = OpenAiAnswers("main", settings, "en")
    history = (
        Said("user", "hi", 1),
        Said("assistant", "hello", 2),
        Said("assistant", "deploy?", 3, unasked=True),
        Said("user", "yes", 4, unheard=True),
    )
    question = replace(ask("yes, do it"), history=history, language="en")
    try:
        assert [Text("ok")] == [piece async for piece in agent.answer(question)]
    finally:
        await agent.close()
    assert said == endpoint.asked[0]["messages"][-1]["content"]


def test_what_was_answered_since_is_not_told_again() -> None:
    """Only what came after the agent's last words is news to it."""
    lines = (Said("assistant", "old", 1, unasked=True), Said("user", "hi", 2), Said("assistant", "hello", 3))
    assert "now" == caught_up(replace(ask("now"), history=lines))
    picture = Said("user", "", 4, unheard=True)
    assert "now" == caught_up(replace(ask("now"), history=(*lines, picture)))


@given(st.text(max_size=300))
def test_names_are_fit_for_headers_and_files(name: str) -> None:
    """Groups of QQ have a slash in their name; one endpoint keeps its sessions in files."""
    told = plain_name(name)
    assert told.isascii()
    assert told.isprintable()
    assert not set(told) & set("/\\.: ")
    assert len(told) <= 200


@given(st.sets(st.text("ab/:#", min_size=1, max_size=5), min_size=2))
def test_two_chats_never_share_a_name(names: set[str]) -> None:
    """Sharing a session is reading each other's messages."""
    assert len(names) == len(set(map(plain_name, names)))


def test_history_is_bounded_by_lines_and_by_tokens() -> None:
    """The newest lines stay."""
    lines = [Said("user", "一二三四", at) for at in range(10)]
    assert lines[-3:] == remembered(lines, 3, None, "zh")
    assert lines[-2:] == remembered(lines, 10, 2 * (4 + LINE_TOKENS), "zh")
    assert [] == remembered(lines, 10, 3, "zh")
    assert [] == remembered(lines, 0, None, "zh")


def test_what_the_chat_has_not_seen_is_marked() -> None:
    """Else the model says "as I wrote above" of what is still in the queue."""
    (line,) = remembered([Said("assistant", "Done.", 1, undelivered=True)], 5, None, "en")
    assert f"Done.\n{UNSEEN['en']}" == line.text


@pytest.mark.parametrize(("text", "count"), [("", 0), ("abcd", 1), ("abcde", 2), ("驿站", 2), ("驿站 ok", 3)])
def test_tokens_are_estimated(text: str, count: int) -> None:
    """Roughly; a bound that is sometimes a little too strict does no harm."""
    assert count == tokens(text)


def test_every_preset_of_the_settings_is_known() -> None:
    """A name that the settings take and nobody knows would end every turn."""
    assert set(PRESETS) == set(OpenAiAgent.model_fields["preset"].annotation.__args__)  # type: ignore[union-attr]
