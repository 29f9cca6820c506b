"""What an agent says, heard to its end: pieces → whole outputs.

Hearing waits for nobody but the agent. What is made of an output, and whether the platform takes it, is a
matter of the store and of the road out: a slow sender never holds back the reader of a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import assert_never

from yizhan.ports import Later, OutputEnd, Piece, Progress, Session, Text


@dataclass(frozen=True, slots=True)
class Speech:
    """A whole answer.

    outputs  what the chat is to see, one message each; empty ones are left out
    session  the agent's own name of the conversation, None: it told none
    later    the answer, or the rest of it, comes through our API
    """

    outputs: tuple[str, ...] = ()
    session: str | None = None
    later: bool = False


async def eagerly(pieces: AsyncIterable[Piece]) -> AsyncGenerator[Piece]:
    """The same pieces, read as soon as they are said: however slowly they are taken here, the agent's stream is read.

    Raises what the agent raises, after what it has said. Ended early, it ends the agent's work.
    """
    said: asyncio.Queue[Piece | None] = asyncio.Queue()
    reading = asyncio.create_task(_read(pieces, said))
    try:
        while (piece := await said.get()) is not None:
            yield piece
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read(pieces: AsyncIterable[Piece], said: asyncio.Queue[Piece | None]) -> None:
    try:
        async for piece in pieces:
            said.put_nowait(piece)
    finally:
        said.put_nowait(None)
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


async def heard(pieces: AsyncIterable[Piece]) -> Speech:
    """Everything an agent says, however it was cut. Raises what the agent raises."""
    outputs, said = [], ""
    session, later = None, False
    async with aclosing(eagerly(pieces)) as read:
        async for piece in read:
            match piece:
                case Text(delta):
                    said += delta
                case OutputEnd():
                    outputs.append(said)
                    said = ""
                case Session(id):
                    session = id
                case Later():
                    later = True
                case Progress():
                    pass
                case _:
                    assert_never(piece)
    return Speech(tuple(output for output in [*outputs, said] if output), session, later)
