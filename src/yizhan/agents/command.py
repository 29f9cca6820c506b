"""A program that answers: the question on stdin, the answer on stdout. Never a shell.

    stdin        the text in UTF-8, then its end
    environment  ours without our own variables; YIZHAN_HOME, YIZHAN_CHAT, YIZHAN_SENDER, YIZHAN_SESSION,
                 YIZHAN_TURN; then what `env` of the settings adds
    stdout       the answer; none, with exit code 0, means that there is nothing to say
    stderr       for the operator: its last 2 KB go with a failure
    exit code    0, or the turn fails

The program leads a process group of its own, and the group ends with the turn, however that ends: asked
first (TERM), made to 2 s later (KILL). What is to outlive an answer must leave the group (`setsid`).
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator
from pathlib import Path

from yizhan.agents.answer import AnswerText, Language
from yizhan.agents.program import Program, started
from yizhan.ports import AgentFailed, Piece, Question, Text
from yizhan.settings import CommandAgent, inherited_environment

STDERR_TAIL_BYTES = 2048
LAST_WORDS_S = 0.5
"""After the program itself has ended, what its children still hold open is read no longer than this."""

_CHUNK = 64 * 1024


class CommandAnswers:
    """Starts one program for each question. Yields its output as one message."""

    def __init__(self, name: str, settings: CommandAgent, home: Path, language: Language) -> None:
        self.name = name
        self._settings = settings
        self._home = home
        self._cwd = Path(settings.cwd).expanduser() if settings.cwd else home
        self._language = language

    async def answer(self, question: Question) -> AsyncIterator[Piece]:
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                text = await self._ask(question)
        except TimeoutError:
            limit = f"{self._settings.timeout_s:g} s"
            raise AgentFailed("agent-timeout", f"{self._program} did not finish within {limit}.") from None
        if text:
            yield Text(text)

    async def close(self) -> None:
        """Holds nothing between questions."""

    @property
    def _program(self) -> str:
        return self._settings.argv[0]

    async def _ask(self, question: Question) -> str:
        text = question.text.encode("utf-8", "replace")
        try:
            running = await started(self._settings.argv, self._cwd, self._environment(question), text)
        except FileNotFoundError:
            missing = self._program if self._cwd.is_dir() else f"the directory {self._cwd}"
            raise AgentFailed(
                "agent-not-found", f"{missing} was not found. Check agents.{self.name}."
            ) from None
        except (OSError, ValueError) as error:
            raise AgentFailed("agent-unreachable", f"{self._program} cannot be started: {error}.") from None
        try:
            return await self._listen(running)
        finally:
            await running.end()

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

    async def _listen(self, running: Program) -> str:
        """Waits for the end, or for more than fits, whichever is first; then judges."""
        answer = AnswerText(self._settings.max_answer_chars, self._language)
        words = _Tail(STDERR_TAIL_BYTES)
        reading = asyncio.create_task(_collect(running.stdout, answer))
        complaining = asyncio.create_task(_keep_tail(running.stderr, words))
        ending = asyncio.create_task(running.wait())
        try:
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.full:
                await ending
                await asyncio.wait({reading, complaining}, timeout=LAST_WORDS_S)
            return self._judged(answer, words, running.returncode)
        finally:
            for task in (reading, complaining, ending):
                task.cancel()
            await asyncio.gather(reading, complaining, ending, return_exceptions=True)

    def _judged(self, answer: AnswerText, words: _Tail, returncode: int | None) -> str:
        if answer.full or returncode == 0:
            return answer.finish()
        how = f"exit code {returncode}" if (returncode or 0) >= 0 else f"signal {-(returncode or 0)}"
        said = words.text()
        raise AgentFailed("agent-error", f"{self._program} ended with {how}" + (f": {said}" if said else "."))


class _Tail:
    """The last bytes of a stream."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept = b""

    def add(self, chunk: bytes) -> None:
        self._kept = (self._kept + chunk)[-self._max_bytes :]

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace").strip()


async def _collect(stream: asyncio.StreamReader, answer: AnswerText) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while not answer.full and (chunk := await stream.read(_CHUNK)):
        answer.add(decoder.decode(chunk))
    answer.add(decoder.decode(b"", final=True))


async def _keep_tail(stream: asyncio.StreamReader, words: _Tail) -> None:
    while chunk := await stream.read(_CHUNK):
        words.add(chunk)
