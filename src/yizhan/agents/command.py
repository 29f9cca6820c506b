"""A program that answers: the question on stdin, the answer on stdout. Never a shell.

What it prints is read in a dialect (dialects.py): as text, or as the JSON lines of an agent that keeps sessions.

    stdin        the text in UTF-8, then its end
    environment  ours without our own variables; YIZHAN_HOME, YIZHAN_CHAT, YIZHAN_SENDER, YIZHAN_SESSION,
                 YIZHAN_TURN; then what `env` of the settings adds
    stdout       the answer, in the dialect; no text, with exit code 0, means that there is nothing to say
    stderr       for the operator: its last 2 KB go with a failure
    exit code    0, or the turn fails

The program leads a process group of its own, and the group ends with the turn, however that ends: asked
first (TERM), made to 2 s later (KILL). What is to outlive an answer must leave the group (`setsid`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from yizhan.agents.answer import AnswerText, Language
from yizhan.agents.dialects import DIALECTS, SESSION_LOST, Dialect, NoSense, NothingSaid
from yizhan.agents.history import caught_up
from yizhan.agents.limits import limited
from yizhan.agents.program import Program, started
from yizhan.ports import AgentFailed, Piece, Question, Session
from yizhan.settings import CommandAgent, inherited_environment

STDERR_TAIL_BYTES = 2048

_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""A session's name becomes an argument: one that looks like an option is not given."""


class CommandAnswers:
    """Starts one program for each question. Says its output as one message."""

    def __init__(self, name: str, settings: CommandAgent, home: Path, language: Language) -> None:
        self.name = name
        self._settings = settings
        self._home = home
        self._cwd = Path(settings.cwd).expanduser() if settings.cwd else home
        self._language = language
        self._reads, self._asks = DIALECTS[settings.dialect]

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        by = asyncio.get_running_loop().time() + self._settings.timeout_s
        session = question.agent_session if _SESSION.fullmatch(question.agent_session) else ""
        dialect = self._reads(AnswerText(self._settings.max_answer_chars, self._language))
        try:
            async with aclosing(self._ask(question, session, dialect, by)) as said:
                async for piece in said:
                    yield piece
            return
        except AgentFailed:
            if not (session and dialect.session_lost):
                raise
        yield Session("")
        dialect = self._reads(AnswerText(self._settings.max_answer_chars, self._language))
        async with aclosing(self._ask(question, "", dialect, by)) as said:
            async for piece in said:
                yield piece

    async def close(self) -> None:
        """Holds nothing between questions."""

    @property
    def _program(self) -> str:
        return self._settings.argv[0]

    async def _ask(
        self, question: Question, session: str, dialect: Dialect, by: float
    ) -> AsyncGenerator[Piece]:
        try:
            async with asyncio.timeout_at(by):
                running = await self._start(question, session)
            try:
                async with aclosing(self._listen(running, dialect, by)) as said:
                    async for piece in said:
                        yield piece
            finally:
                await running.end()
        except TimeoutError:
            limit = f"{self._settings.timeout_s:g} s"
            raise AgentFailed("agent-timeout", f"{self._program} did not finish within {limit}.") from None
        except NothingSaid:
            raise AgentFailed("agent-silent", f"{self._program} ended its answer without any text.") from None
        except NoSense as error:
            raise AgentFailed(
                "agent-broken-stream", f"{self._program} does not speak {self._settings.dialect}: {error}."
            ) from None

    async def _start(self, question: Question, session: str) -> Program:
        asked = question.text if self._settings.dialect == "text" else caught_up(question)
        text = asked.encode("utf-8", "replace")
        environment = self._environment(question)
        argv = self._asks(self._settings.argv, session)
        try:
            limits = limited(argv, self._settings.memory_mib, self._cwd, environment)
            return await started(limits, self._cwd, environment, text)
        except FileNotFoundError:
            missing = self._program if self._cwd.is_dir() else f"the directory {self._cwd}"
            raise AgentFailed(
                "agent-not-found", f"{missing} was not found. Check agents.{self.name}."
            ) from None
        except (OSError, ValueError) as error:
            raise AgentFailed("agent-unreachable", f"{self._program} cannot be started: {error}.") from None

    def _environment(self, question: Question) -> dict[str, str]:
        told = {
            "YIZHAN_HOME": str(self._home),
            "YIZHAN_CHAT": str(question.target),
            "YIZHAN_SENDER": question.sender_id,
            "YIZHAN_SESSION": question.session,
            "YIZHAN_TURN": question.turn,
        }
        clean = {name: value.replace("\0", "") for name, value in told.items()}
        return {**inherited_environment(), **clean, **self._settings.env}

    async def _listen(self, running: Program, dialect: Dialect, by: float) -> AsyncGenerator[Piece]:
        """Says what it prints until its end, or until more has come than fits; then judges."""
        words = _Tail(STDERR_TAIL_BYTES)
        complaining = asyncio.create_task(_keep_tail(running.stderr, words))
        try:
            async with aclosing(running.printed(by)) as chunks:
                async for chunk in chunks:
                    for piece in dialect.feed(chunk):
                        yield piece
                    if dialect.full:
                        break
            if not dialect.full:
                for piece in dialect.last():
                    yield piece
                await running.last_words(complaining)
                self._judge(dialect, words, running.returncode)
            for piece in dialect.end():
                yield piece
        finally:
            complaining.cancel()
            await asyncio.gather(complaining, return_exceptions=True)

    def _judge(self, dialect: Dialect, words: _Tail, returncode: int | None) -> None:
        """Raises AgentFailed unless it ended well."""
        said = words.text()
        if SESSION_LOST in said:
            dialect.session_lost = True
        if dialect.complaint is not None:
            raise AgentFailed(
                "agent-error", f"{self._program} failed: {dialect.complaint[:STDERR_TAIL_BYTES]}"
            )
        if returncode != 0:
            code = returncode or 0
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            raise AgentFailed(
                "agent-error", f"{self._program} ended with {how}" + (f": {said}" if said else ".")
            )


class _Tail:
    """The last bytes of a stream."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept = b""

    def add(self, chunk: bytes) -> None:
        self._kept = (self._kept + chunk)[-self._max_bytes :]

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace").strip()


async def _keep_tail(stream: asyncio.StreamReader, words: _Tail) -> None:
    while chunk := await stream.read(64 * 1024):
        words.add(chunk)
