"""What Claude Code and Codex print, in recorded shapes, becomes pieces; and how they are started."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agents.conftest import QUESTION
from yizhan.agents.answer import TOO_LONG, AnswerText
from yizhan.agents.command import CommandAnswers
from yizhan.agents.dialects import DIALECTS, NoSense, claude_argv, codex_argv
from yizhan.ports import AgentFailed, Piece, Progress, Session, Text
from yizhan.settings import CommandAgent

SAMPLES = Path(__file__).parent / "samples"
CLAUDE_SESSION = "3f2b8c1e-0b7d-4c55-9a51-0d6f1f0a7c11"
CODEX_THREAD = "0199a213-81c0-7800-8aa1-bbab2a035a53"
ANSWER = Text("两个文件：a.md 和 b.md。")


def printed(name: str) -> bytes:
    return (SAMPLES / f"{name}.jsonl").read_bytes()


def read(dialect: str, *chunks: bytes, max_chars: int = 1000) -> list[Piece]:
    reading = DIALECTS[dialect][0](AnswerText(max_chars, "en"))
    said = [piece for chunk in chunks for piece in reading.feed(chunk)]
    return [*said, *reading.last(), *reading.end()]


EXPECTED: dict[str, list[Piece]] = {
    "claude": [
        Session(CLAUDE_SESSION),
        Progress("I will look at the folder."),
        Progress("Bash"),
        ANSWER,
    ],
    "codex": [
        Session(CODEX_THREAD),
        Progress("bash -lc ls"),
        Progress("search"),
        Progress("I will look at the folder."),
        ANSWER,
    ],
}


@pytest.mark.parametrize("dialect", ["claude", "codex"])
def test_answer_session_and_steps_are_told_apart(dialect: str) -> None:
    """The chat gets the answer; what leads to it is progress, and warnings between the lines are nothing."""
    assert EXPECTED[dialect] == read(dialect, printed(f"{dialect}-answer"))


@pytest.mark.parametrize("dialect", ["claude", "codex"])
@given(data=st.data())
def test_cutting_what_is_printed_changes_nothing(dialect: str, data: Any) -> None:
    """Pipes cut inside lines and inside characters."""
    whole = printed(f"{dialect}-answer")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert EXPECTED[dialect] == read(dialect, *chunks)


@pytest.mark.parametrize("dialect", ["claude", "codex"])
def test_breaking_after_any_line_is_no_answer(dialect: str) -> None:
    """What the assistant said on the way is not what it wanted to say."""
    lines = printed(f"{dialect}-answer").splitlines(keepends=True)
    for count in range(len(lines)):
        with pytest.raises(NoSense):
            read(dialect, *lines[:count])


@pytest.mark.parametrize("dialect", ["claude", "codex"])
@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b'{"type": 7}', b"null", b'{"type":"result","result":[1]}', b"\xff\xfe{"]
)
def test_odd_lines_are_passed_over(dialect: str, line: bytes) -> None:
    """A program that grows a new event, or prints something else, still answers."""
    assert EXPECTED[dialect] == read(dialect, line + b"\n" + printed(f"{dialect}-answer"))


@pytest.mark.parametrize(
    ("dialect", "lines"),
    [
        ("claude", rb'{"type":"result","result":"cut \ud83d"}'),
        (
            "codex",
            rb'{"type":"item.completed","item":{"type":"agent_message","text":"cut \ud83d"}}'
            b'\n{"type":"turn.completed"}',
        ),
    ],
)
def test_half_of_an_emoji_does_not_cost_the_answer(dialect: str, lines: bytes) -> None:
    """The line was passed over as no JSON, and the run failed as one that ended without a result."""
    assert [Text("cut \ud83d")] == read(dialect, lines + b"\n")


@pytest.mark.parametrize("dialect", ["claude", "codex"])
def test_line_without_an_end_is_refused(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not be collected for ever."""
    monkeypatch.setattr("yizhan.agents.dialects.MAX_LINE_BYTES", 1000)
    with pytest.raises(NoSense):
        read(dialect, b"x" * 2000)


def test_long_answer_is_cut_visibly() -> None:
    """As everywhere."""
    (*_, cut, mark) = read("claude", printed("claude-answer"), max_chars=5)
    assert (Text("两个文件："), Text(f"\n\n{TOO_LONG['en']}")) == (cut, mark)


def test_sessions_are_resumed_by_arguments() -> None:
    """The operator's own arguments stay in front; the question is never among them."""
    claude = ["claude", "--model", "sonnet", "-p", "--output-format", "stream-json", "--verbose"]
    assert claude == claude_argv(["claude", "--model", "sonnet"], "")
    assert [*claude, "--resume", "s"] == claude_argv(["claude", "--model", "sonnet"], "s")
    assert ["codex", "exec", "--json", "-"] == codex_argv(["codex"], "")
    resumed = ["codex", "exec", "--sandbox", "read-only", "--json", "resume", "s", "-"]
    assert resumed == codex_argv(["codex", "exec", "--sandbox", "read-only"], "s")


PLAYER = """
import pathlib, sys
asked = sys.argv[3:]
pathlib.Path("argv").write_text(" ".join(asked))
pathlib.Path("stdin").write_text(sys.stdin.read())
name, code = (sys.argv[1], 0) if "--resume" not in asked else (sys.argv[2], 1)
sys.stdout.write(open(name).read().rstrip())  # as programs do that do not end their last line
sys.exit(code if name == sys.argv[2] else int("error" in name or "failed" in name))
"""


def player(home: Path, dialect: str, sample: str, resumed: str = "") -> CommandAnswers:
    """A program that prints a sample, and another one when it is to resume a session."""
    files = [str(SAMPLES / f"{name}.jsonl") for name in (sample, resumed or sample)]
    argv = (sys.executable, "-c", PLAYER, *files)
    return CommandAnswers("main", CommandAgent(kind="command", argv=argv, dialect=dialect), home, "en")


async def said(agent: CommandAnswers, session: str = "") -> list[Piece]:
    return [piece async for piece in agent.answer(replace(QUESTION, agent_session=session))]


async def test_program_is_asked_on_stdin_in_its_dialect(tmp_path: Path) -> None:
    """The whole way with a real process."""
    assert EXPECTED["codex"] == await said(player(tmp_path, "codex", "codex-answer"), "t1")
    assert "exec --json resume t1 -" == (tmp_path / "argv").read_text()
    assert QUESTION.text == (tmp_path / "stdin").read_text()


async def test_session_that_is_gone_is_begun_anew(tmp_path: Path) -> None:
    """The program has refused before it read the question, so that asking again repeats nothing."""
    pieces = await said(player(tmp_path, "claude", "claude-answer", resumed="claude-lost"), "00000000-dead")
    assert [Session(""), *EXPECTED["claude"]] == pieces
    assert "--resume" not in (tmp_path / "argv").read_text()


@pytest.mark.field("F88")
@pytest.mark.parametrize("dialect", ["claude", "codex"])
@pytest.mark.parametrize("text", ["; touch x $(touch x)", "--dangerously-skip-permissions", "/etc/passwd"])
async def test_a_question_is_never_an_argument(tmp_path: Path, dialect: str, text: str) -> None:
    """A message that tries to be a command line, an option or a path is read as what it is."""
    agent = player(tmp_path, dialect, f"{dialect}-answer")
    said = [piece async for piece in agent.answer(replace(QUESTION, text=text))]
    assert EXPECTED[dialect] == said
    argv = {"claude": "-p --output-format stream-json --verbose", "codex": "exec --json -"}[dialect]
    assert (text, argv) == ((tmp_path / "stdin").read_text(), (tmp_path / "argv").read_text())
    assert {"stdin", "argv"} == set(os.listdir(tmp_path))


@pytest.mark.parametrize("session", ["--dangerously-skip-permissions", "a b", "-", "../x", "x" * 200])
async def test_session_that_looks_like_an_option_is_not_given(tmp_path: Path, session: str) -> None:
    """The name came out of a program's output; it must not become one of its settings."""
    await said(player(tmp_path, "claude", "claude-answer"), session)
    assert "--resume" not in (tmp_path / "argv").read_text()


@pytest.mark.parametrize("sample", ["claude-error", "codex-failed"])
def test_a_complaint_needs_no_line_end(sample: str) -> None:
    """Its words were lost: it stood there as a program that does not speak its dialect."""
    reading = DIALECTS[sample.partition("-")[0]][0](AnswerText(1000, "en"))
    reading.feed(printed(sample).splitlines()[-1])
    assert reading.complaint is None
    reading.last()
    assert reading.complaint is not None


@pytest.mark.parametrize(
    ("dialect", "sample", "hint"),
    [("claude", "claude-error", "selected model"), ("codex", "codex-failed", "401 Unauthorized")],
)
async def test_the_programs_own_words_say_why_it_failed(
    tmp_path: Path, dialect: str, sample: str, hint: str
) -> None:
    """They stand in its output, not on standard error."""
    with pytest.raises(AgentFailed) as caught:
        await said(player(tmp_path, dialect, sample))
    assert "agent-error" == caught.value.code
    assert hint in caught.value.detail
