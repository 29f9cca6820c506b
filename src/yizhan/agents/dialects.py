"""What the programs that people use print, as pieces. Pure: bytes in, pieces out.

`text` is any program: what it prints is the answer, as it prints it. The others print JSON, a line for each event:

claude  Claude Code, `claude -p --output-format stream-json --verbose`. The answer is the `result` of the last event;
        what the assistant says before it, and the tools it uses, is progress.
        Source: code.claude.com/docs, "Headless mode"; anthropics/claude-agent-sdk-python, `message_parser.py`.
codex   Codex, `codex exec --json`. The answer is the last `agent_message` of a completed turn.
        Source: openai/codex, `codex-rs/exec/src/exec_events.rs`, `sdk/typescript/src/exec.ts`.

Both take the question on standard input and name their session, so that the next question can resume it. Lines
that are no JSON, and events of other kinds, are passed over: both print warnings, and grow.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from yizhan.agents.answer import AnswerText
from yizhan.agents.shapes import Shape
from yizhan.ports import Piece, Progress, Session, Text

MAX_LINE_BYTES = 8 * 1024 * 1024
PROGRESS_CHARS = 200


class NoSense(ValueError):
    """What was printed is no answer. Says so without repeating it."""


class NothingSaid(ValueError):
    """An agent has come to its end, and has answered with no text."""


class Dialect(Protocol):
    """One answer being read.

    complaint     the program's own words when it says that it failed, else None
    session_lost  it does not know the session that it was to resume, and has done nothing
    """

    complaint: str | None
    session_lost: bool

    @property
    def full(self) -> bool:
        """More has come than fits: nothing further needs to be read."""
        ...

    def feed(self, chunk: bytes) -> list[Piece]:
        """What these bytes say. Raises NoSense."""
        ...

    def last(self) -> list[Piece]:
        """What the last bytes say, which nothing follows. Told once, and before anybody looks at `complaint`."""
        ...

    def end(self) -> list[Piece]:
        """What remains to be said after exit code 0. Raises NoSense if the answer is not whole, NothingSaid if there is
        none where there must be one."""
        ...


class PlainText:
    """What is printed is the answer; nothing means that there is nothing to say."""

    def __init__(self, text: AnswerText) -> None:
        self.complaint: str | None = None
        self.session_lost = False
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def full(self) -> bool:
        return self._text.full

    def feed(self, chunk: bytes) -> list[Piece]:
        return _spoken(self._text.add(self._decoder.decode(chunk)))

    def last(self) -> list[Piece]:
        return _spoken(self._text.add(self._decoder.decode(b"", final=True)))

    def end(self) -> list[Piece]:
        return _spoken(self._text.end())


class _Lines:
    """Splits what is printed into lines; each one that is a JSON object of ours goes to `_take`."""

    def __init__(self, text: AnswerText) -> None:
        self.complaint: str | None = None
        self.session_lost = False
        self._text = text
        self._rest = b""
        self._whole = False

    @property
    def full(self) -> bool:
        return False  # the answer comes at the end, and is cut there

    def feed(self, chunk: bytes) -> list[Piece]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise NoSense(f"a line of more than {MAX_LINE_BYTES} bytes")
        return [piece for line in lines for piece in self._line(line)]

    def last(self) -> list[Piece]:
        line, self._rest = self._rest, b""
        return self._line(line)

    def end(self) -> list[Piece]:
        if not self._whole:
            raise NoSense("it ended without a result")
        rest = self._text.end()
        if self._text.silent:
            raise NothingSaid
        return _spoken(rest)

    def _line(self, line: bytes) -> list[Piece]:
        raise NotImplementedError


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""
    name: str = ""


class _Spoken(msgspec.Struct):
    content: list[_Block] | str = ""


class _ClaudeEvent(msgspec.Struct):
    type: str
    session_id: str = ""
    message: _Spoken | None = None
    is_error: bool = False
    result: str | None = None
    errors: list[str] | None = None
    parent_tool_use_id: str | None = None


_claude = Shape(_ClaudeEvent)
SESSION_LOST = "No conversation found with session ID"
"""Claude Code's words, on stderr or among `errors`, for a session that is not on its disk."""


class ClaudeLines(_Lines):
    """Events `system`, `assistant`, `user`, `result`; each names the session, which may change with every run."""

    def __init__(self, text: AnswerText) -> None:
        super().__init__(text)
        self._session = ""
        self._held: list[Piece] = []

    def _line(self, line: bytes) -> list[Piece]:
        event = _claude.read(line)
        if event is None:
            return []
        if event.type == "result":
            return self._result(event)
        if event.type == "assistant" and event.parent_tool_use_id is None:
            return self._step(event.message)
        return self._named(event.session_id) if event.type == "system" else []

    def _step(self, message: _Spoken | None) -> list[Piece]:
        """What was said last is progress only if something follows: else it is the answer, which comes by itself."""
        blocks = message.content if message and isinstance(message.content, list) else []
        told = [block.text if block.type == "text" else block.name for block in blocks]
        before, self._held = self._held, [progress(one) for one in told if one.strip()]
        return before

    def _result(self, event: _ClaudeEvent) -> list[Piece]:
        if event.is_error or event.result is None:
            self.complaint = event.result or "; ".join(event.errors or []) or "no reason given"
            self.session_lost = SESSION_LOST in self.complaint
            return []
        self._whole = True
        return [*self._named(event.session_id), *_spoken(self._text.add(event.result))]

    def _named(self, session: str) -> list[Piece]:
        if not session or session == self._session:
            return []
        self._session = session
        return [Session(session)]


class _Item(msgspec.Struct):
    type: str = ""
    text: str = ""
    command: str = ""
    tool: str = ""
    query: str = ""


class _Error(msgspec.Struct):
    message: str = ""


class _CodexEvent(msgspec.Struct):
    type: str
    thread_id: str = ""
    item: _Item | None = None
    error: _Error | None = None
    message: str = ""


_codex = Shape(_CodexEvent)


class CodexLines(_Lines):
    """Events of a thread. An `error` is final only if no completed turn follows: lost connections are told alike."""

    def __init__(self, text: AnswerText) -> None:
        super().__init__(text)
        self._last = ""

    def _line(self, line: bytes) -> list[Piece]:
        event = _codex.read(line)
        if event is None:
            return []
        match event.type:
            case "thread.started":
                return [Session(event.thread_id)] if event.thread_id else []
            case "item.started" | "item.completed" if event.item is not None:
                return self._item(event.item, event.type == "item.completed")
            case "turn.completed":
                self._whole, self.complaint = True, None
                return _spoken(self._text.add(self._last))
            case "turn.failed" | "error":
                told = event.error.message if event.error else event.message
                self.complaint = told or self.complaint or "no reason given"
        return []

    def _item(self, item: _Item, completed: bool) -> list[Piece]:
        if item.type == "agent_message" and completed:
            before, self._last = self._last, item.text
            return [progress(before)] if before.strip() else []
        step = item.command or item.tool or item.query
        return [progress(step)] if step.strip() and not completed else []


def progress(told: str) -> Progress:
    """One bounded line."""
    line = " ".join(told.split())
    return Progress(line if len(line) <= PROGRESS_CHARS else line[: PROGRESS_CHARS - 1] + "…")


def _spoken(text: str) -> list[Piece]:
    return [Text(text)] if text else []


def claude_argv(argv: Sequence[str], session: str) -> list[str]:
    asked = [*argv, "-p", "--output-format", "stream-json", "--verbose"]
    return [*asked, "--resume", session] if session else asked


def codex_argv(argv: Sequence[str], session: str) -> list[str]:
    asked = [*argv, *([] if "exec" in argv else ["exec"]), "--json"]
    return [*asked, "resume", session, "-"] if session else [*asked, "-"]


def plain_argv(argv: Sequence[str], session: str) -> list[str]:
    return list(argv)


DIALECTS: Mapping[str, tuple[Callable[[AnswerText], Dialect], Callable[[Sequence[str], str], list[str]]]] = {
    "text": (PlainText, plain_argv),
    "claude": (ClaudeLines, claude_argv),
    "codex": (CodexLines, codex_argv),
}
"""Name → how an answer is read, and the argv for a session (empty: a new one)."""
