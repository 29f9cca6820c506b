"""Every trouble that an agent can have, for each kind of agent: what the turn is told, and what is left behind.

A row is a trouble, what the agent does in it, and the code that the operator reads; "says" is an answer. After each,
nothing is left, no task and no process of the group; and no complaint repeats a key or the question.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from tests.agents.conftest import (
    DONE,
    Play,
    Script,
    answers,
    ask,
    chunk,
    cut_the_line,
    for_ever,
    says,
    streams,
)
from yizhan.agents import FAILURE_CODES
from yizhan.agents.answer import TOO_LONG
from yizhan.agents.command import CommandAnswers
from yizhan.agents.openai import OpenAiAnswers
from yizhan.agents.webhook import WebhookAnswers
from yizhan.ports import Agent, AgentFailed
from yizhan.settings import CommandAgent, OpenAiAgent, WebhookAgent

KEY = "kumquat-key-4711-0815"
WORDS = "kumquat question 你好"
SAYS = "says"
SOON_S, LATE_S = 0.15, 30.0
"""Time-outs of rows that are about time, and of all others."""


@dataclass(frozen=True)
class Outcome:
    """A code, or `says` and what was said."""

    code: str
    told: str


async def outcome(agent: Agent) -> Outcome:
    try:
        ended = Outcome(SAYS, "\n".join(await answers(agent, ask(WORDS))))
    except AgentFailed as failed:
        ended = Outcome(failed.code, failed.detail)
    finally:
        await agent.close()
    assert ended.code in (SAYS, *FAILURE_CODES)
    assert KEY not in ended.told
    assert WORDS not in ended.told
    return ended


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """No task goes on that did not before; the server's may need a moment to see that nobody listens."""
    before = len(asyncio.all_tasks())
    yield
    async with asyncio.timeout(60):
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.01)


# agents behind an address

Kind = Callable[[str, float], Agent]


def openai(url: str, timeout_s: float) -> Agent:
    settings = OpenAiAgent(
        kind="openai", base_url=url, model="m", api_key=KEY, timeout_s=LATE_S, idle_timeout_s=timeout_s,
        max_answer_chars=1000,
    )  # fmt: skip
    return OpenAiAnswers("main", settings, "en")


def webhook(url: str, timeout_s: float) -> Agent:
    settings = WebhookAgent(
        kind="webhook", url=f"{url}/chat/completions", secret=KEY, timeout_s=timeout_s, max_answer_chars=1000
    )
    return WebhookAnswers("main", settings, "en", lambda: 0)


KINDS: dict[str, Kind] = {"openai": openai, "webhook": webhook}


async def hangs(request: web.Request) -> web.StreamResponse:
    await for_ever(request)
    raise AssertionError


async def drips(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


def body(text: str, kind: str) -> str:
    whole = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    return json.dumps({"openai": whole, "webhook": {"text": text}}[kind])


NOT_UTF8 = {
    "openai": b'{"choices": [{"message": {"content": "\xff\xfe"}, "finish_reason": "stop"}]}',
    "webhook": b'{"text": "\xff\xfe"}',
}


def half(kind: str) -> Script:
    return streams(body("half an answer", kind)[:-9].encode(), then=cut_the_line)


HTTP_ROWS: list[tuple[str, Callable[[str], Script], dict[str, str] | str, float]] = [
    ("wrong key", lambda kind: says(f'{{"error": "no such key {KEY}"}}', 401), "agent-refused", LATE_S),
    ("forbidden", lambda kind: says("", 403), "agent-refused", LATE_S),
    ("model missing", lambda kind: says('{"error": "no such model"}', 404), "agent-not-found", LATE_S),
    ("moved", lambda kind: says("", 307), "agent-not-found", LATE_S),
    ("limited", lambda kind: says("", 429), "agent-busy", LATE_S),
    ("broken", lambda kind: says("[" * 100_000, 500), "agent-error", LATE_S),
    ("error object", lambda kind: says('{"error": {"message": "no credit"}}', 400), "agent-error", LATE_S),
    ("web page", lambda kind: says("<html>", content_type="text/html"), "agent-web-page", LATE_S),
    (
        "not UTF-8",
        lambda kind: says(NOT_UTF8[kind]),
        "agent-broken-stream",
        LATE_S,
    ),
    ("nonsense", lambda kind: says("[1, 2"), "agent-broken-stream", LATE_S),
    ("nothing", lambda kind: says(body("", kind)), {"openai": "agent-silent", "webhook": SAYS}, LATE_S),
    ("breaks off", half, "agent-broken-stream", LATE_S),
    ("hangs up", lambda kind: streams(then=cut_the_line), "agent-broken-stream", LATE_S),
    ("stalls", lambda kind: hangs, "agent-timeout", SOON_S),
    ("stalls in the middle", lambda kind: streams(b'{"te', then=for_ever), "agent-timeout", SOON_S),
    ("never ends", lambda kind: drips, "agent-broken-stream", LATE_S),
    ("megabyte", lambda kind: says(body("y" * 1_000_000, kind)), SAYS, LATE_S),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("script", "code", "timeout_s"), [row[1:] for row in HTTP_ROWS], ids=[row[0] for row in HTTP_ROWS]
)
async def test_trouble_behind_an_address(
    play: Play, kind: str, script: Callable[[str], Script], code: dict[str, str] | str, timeout_s: float
) -> None:
    """One line for the operator, one short sentence for the chat, and nothing left behind."""
    endpoint = await play(script(kind))
    async with nothing_left():
        ended = await outcome(KINDS[kind](endpoint.base_url, timeout_s))
    assert (code if isinstance(code, str) else code[kind]) == ended.code
    assert len(ended.told) <= 1000 + len(TOO_LONG["en"]) + 2


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_at_the_address(kind: str) -> None:
    """The commonest trouble of all."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with nothing_left():
            ended = await outcome(KINDS[kind](f"http://127.0.0.1:{free.getsockname()[1]}/v1", LATE_S))
    assert "agent-unreachable" == ended.code


PIECES = [
    b": ping\n\n",
    chunk("", role="assistant"),
    chunk("one "),
    b'event: hermes.tool.progress\ndata: {"tool": "t"}\n\n',
    chunk("two "),
    chunk("three"),
    chunk(finish="stop"),
    DONE,
]
WHOLE_FROM = 7
"""With so many pieces the answer is whole: the model has said why it stopped."""


@pytest.mark.parametrize("then", [cut_the_line, None, for_ever], ids=["cut", "ended", "silent"])
@pytest.mark.parametrize("count", range(len(PIECES) + 1))
async def test_stream_that_ends_between_any_two_pieces(
    play: Play,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    then: Callable[[web.Request], Awaitable[None]] | None,
) -> None:
    """Whole or failed: never half an answer that looks like a whole one."""
    monkeypatch.setattr("yizhan.agents.openai.LINGER_S", SOON_S)
    endpoint = await play(streams(*PIECES[:count], then=then))
    async with nothing_left():
        stalls = then is for_ever and count < WHOLE_FROM
        ended = await outcome(openai(endpoint.base_url, SOON_S if stalls else LATE_S))
    failed = "agent-timeout" if stalls else "agent-broken-stream"
    assert (Outcome(SAYS, "one two three") if count >= WHOLE_FROM else Outcome(failed, ended.told)) == ended


@pytest.mark.parametrize("times", [2, 50])
async def test_stream_that_repeats_itself_is_an_answer_and_bounded(play: Play, times: int) -> None:
    """A model in a loop is tedious, not a fault; what follows the end is not read."""
    endpoint = await play(
        streams(*[chunk("again ")] * times * 20, chunk(finish="stop"), DONE, chunk("more"), DONE)
    )
    ended = await outcome(openai(endpoint.base_url, LATE_S))
    assert SAYS == ended.code
    assert "more" not in ended.told
    assert ended.told.startswith("again again")
    assert len(ended.told) <= 1000 + len(TOO_LONG["en"]) + 2


# agents that are programs

FORKS = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        time.sleep(600)
print("parent", flush=True)
"""
STUBBORN = """
import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
while True:
    time.sleep(600)
"""
BYTES = "import sys; sys.stdout.buffer.write(bytes(range(256)))"
RESULT = r"""
import sys
sys.stdout.buffer.write(b'{"type":"result","is_error":false,"session_id":"s","result":"\xff"}')
"""
EMPTY_RESULT = """print('{"type":"result","is_error":false,"session_id":"s","result":" "}')"""
EMPTY_TURN = """print('{"type":"turn.completed"}')"""
CLOSES = "import os, time; os.close(1); os.close(2); time.sleep(600)"
LINE = "import sys\nwhile True: sys.stdout.write('x' * 100_000)"
COMPLAINTS = "import sys\nwhile True: sys.stderr.write('x' * 100_000)"
PROGRAM_ROWS: list[tuple[str, str, str, str, float]] = [
    ("fails", "text", "import sys; sys.exit('no model')", "agent-error", LATE_S),
    ("crashes", "text", "import os; os.kill(os.getpid(), 11)", "agent-error", LATE_S),
    ("says nothing", "text", "", SAYS, LATE_S),
    ("not UTF-8", "text", BYTES, SAYS, LATE_S),
    ("not UTF-8, claude", "claude", BYTES, "agent-broken-stream", LATE_S),
    ("not UTF-8 in an answer", "claude", RESULT, "agent-broken-stream", LATE_S),
    ("says nothing, codex", "codex", "", "agent-broken-stream", LATE_S),
    ("answers nothing, claude", "claude", EMPTY_RESULT, "agent-silent", LATE_S),
    ("answers nothing, codex", "codex", EMPTY_TURN, "agent-silent", LATE_S),
    ("speaks text, claude", "claude", "print('hello')", "agent-broken-stream", LATE_S),
    ("closes its output and stays", "text", CLOSES, "agent-timeout", 1.0),
    ("stalls", "text", "import time; print('half', flush=True); time.sleep(600)", "agent-timeout", 1.0),
    ("stalls, codex", "codex", "import time; time.sleep(600)", "agent-timeout", 1.0),
    ("floods its output", "text", "while True: print('y' * 100_000)", SAYS, LATE_S),
    ("floods with JSON", "claude", "while True: print('{}')", "agent-timeout", 1.0),
    ("floods with a line", "codex", LINE, "agent-broken-stream", LATE_S),
    ("floods its complaints", "text", COMPLAINTS, "agent-timeout", 1.0),
    ("forks", "text", FORKS, SAYS, LATE_S),
    ("ignores signals", "text", STUBBORN, "agent-timeout", 1.0),
]


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")
@pytest.mark.parametrize(
    ("dialect", "source", "code", "timeout_s"),
    [row[1:] for row in PROGRAM_ROWS],
    ids=[row[0] for row in PROGRAM_ROWS],
)
async def test_trouble_with_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: str, source: str, code: str, timeout_s: float
) -> None:
    """However it ends, its whole group ends with it."""
    monkeypatch.setattr("yizhan.agents.program.GRACE_S", 0.2)
    told = f"import os\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    settings = CommandAgent.model_validate({
        "kind": "command", "argv": [sys.executable, "-I", "-S", "-c", told + textwrap.dedent(source)],
        "dialect": dialect, "timeout_s": timeout_s, "max_answer_chars": 1000, "env": {"TOKEN": KEY},
    })  # fmt: skip
    async with nothing_left():
        ended = await outcome(CommandAnswers("main", settings, tmp_path, "en"))
    assert code == ended.code
    assert len(ended.told) <= 4000
    pid = tmp_path / "pid"
    assert not pid.exists() or await group_gone(int(pid.read_text() or "0"))


async def group_gone(group: int) -> bool:
    """Whether nobody of the group is alive after a while; those that nobody has collected yet are not."""
    for _ in range(1000):
        if group == 0 or not living(group):
            return True
        await asyncio.sleep(0.01)
    return False


def living(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    stats = [words(place) for place in Path("/proc").glob("[0-9]*/stat")]
    return not stats or any(stat[2:3] == [str(group)] and stat[0] != "Z" for stat in stats)


def words(place: Path) -> list[str]:
    """State, parent, group … of a process; empty if it has gone."""
    try:
        return place.read_text().rpartition(")")[2].split()
    except OSError:
        return []
