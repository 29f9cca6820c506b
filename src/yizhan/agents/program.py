"""A program with its own process group and three pipes, ended as a group.

The pipes are ours and not the event loop's subprocess pipes: waiting for the program's end must not wait
for a grandchild that still holds its stdout, and closing them must not depend on anybody else's end.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast

GRACE_S = 2.0
"""Between asking the group to end (TERM) and ending it (KILL)."""
LEFTOVER_GRACE_S = 0.5
"""The same for what is left once the program itself has ended. Shorter: the dead may be counted among it
where nobody collects them (a container without an init)."""
LAST_WORDS_S = 0.5
"""After the program itself has ended, what its children still hold open is read no longer than this."""
_LOOK_EVERY_S = 0.02
_CHUNK = 64 * 1024


class Program:
    """A running program. `stdout` and `stderr` are read by whoever started it; `end` must be awaited."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._voice = _Voice()
        self._lines: list[asyncio.BaseTransport] = []
        self.stdout = asyncio.StreamReader()
        self.stderr = asyncio.StreamReader()

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    async def wait(self) -> None:
        """Until the program itself has ended; its children may go on."""
        await self._process.wait()

    async def printed(self, by: float) -> AsyncGenerator[bytes]:
        """What it prints, until it has ended. Raises TimeoutError when the loop's time `by` has come."""
        ending = asyncio.create_task(self.wait())
        reading: asyncio.Task[bytes] | None = None
        last_s: float | None = None
        try:
            while True:
                reading = asyncio.create_task(self.stdout.read(_CHUNK))
                async with asyncio.timeout_at(by):
                    await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
                if ending.done() and last_s is None:
                    last_s = asyncio.get_running_loop().time() + LAST_WORDS_S
                if last_s is not None:
                    left_s = last_s - asyncio.get_running_loop().time()
                    await asyncio.wait({reading}, timeout=max(0.0, left_s))
                if not reading.done() or not (chunk := reading.result()):
                    break
                yield chunk
            async with asyncio.timeout_at(by):
                await ending
        finally:
            tasks = [task for task in (reading, ending) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def last_words(self, complaining: asyncio.Task[None]) -> None:
        """Waits a moment for the end of another of its streams."""
        await asyncio.wait({complaining}, timeout=LAST_WORDS_S)

    async def end(self) -> None:
        """Ends what is left of the group and closes the pipes. Cancelled in between, it kills at once."""
        try:
            if self._signal(signal.SIGTERM):
                await self._grace()
        finally:
            self._signal(signal.SIGKILL)
            self._voice.drop()
            for line in self._lines:
                line.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self.wait()

    async def _grace(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self.wait()
            async with asyncio.timeout(LEFTOVER_GRACE_S):
                while self._signal(0):  # noqa: ASYNC110  nobody tells when a group is empty
                    await asyncio.sleep(_LOOK_EVERY_S)

    def _signal(self, number: int) -> bool:
        """Sends to the whole group; False if nobody is left to receive it."""
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    async def _connect(self, stdin: int, stdout: int, stderr: int, text: bytes) -> None:
        """Takes the parent's ends over, and starts to say the text; both streams are read in the background."""
        loop = asyncio.get_running_loop()
        for reader, number in ((self.stdout, stdout), (self.stderr, stderr)):
            protocol = asyncio.StreamReaderProtocol(reader)
            line, _ = await loop.connect_read_pipe(lambda p=protocol: p, os.fdopen(number, "rb", 0))  # type: ignore[misc]
            self._lines.append(line)
        writer, _ = await loop.connect_write_pipe(lambda: self._voice, os.fdopen(stdin, "wb", 0))
        writer.write(text)
        writer.write_eof()


async def started(argv: Sequence[str], cwd: Path, environment: Mapping[str, str], text: bytes) -> Program:
    """Starts it as leader of a new group and gives it the text on stdin, then the end of the text.

    Raises: OSError, ValueError when it cannot be started. Cancelled while starting, it leaves nothing behind.
    """
    starting = asyncio.ensure_future(_start(argv, cwd, environment, text))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(OSError, ValueError):
            await (await starting).end()
        raise


async def _start(argv: Sequence[str], cwd: Path, environment: Mapping[str, str], text: bytes) -> Program:
    with ExitStack() as ours, ExitStack() as theirs:
        stdin_read, stdin_write = _pipe(theirs, ours)
        stdout_read, stdout_write = _pipe(ours, theirs)
        stderr_read, stderr_write = _pipe(ours, theirs)
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=stdin_read,
            stdout=stdout_write,
            stderr=stderr_write,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
        ours.pop_all()
    program = Program(process)
    await program._connect(stdin_write, stdout_read, stderr_read, text)
    return program


def _pipe(reading: ExitStack, writing: ExitStack) -> tuple[int, int]:
    """(read end, write end), each closed by its side's stack."""
    read_end, write_end = os.pipe()
    reading.callback(os.close, read_end)
    writing.callback(os.close, write_end)
    return read_end, write_end


class _Voice(asyncio.BaseProtocol):
    """The line to the program's stdin. What it has not read is dropped; a plain close would wait for it."""

    def __init__(self) -> None:
        self._line: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._line = None

    def drop(self) -> None:
        if self._line is not None:
            self._line.abort()
