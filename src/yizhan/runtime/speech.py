"""What an agent says, heard to its end: pieces → whole outputs.

Hearing waits for nobody but the agent. What is made of an output, and whether the platform takes it, is a
matter of the store and of the road out: a slow sender never holds back the reader of a stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
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


async def heard(pieces: AsyncIterable[Piece]) -> Speech:
    """Everything an agent says, however it was cut. Raises what the agent raises."""
    outputs, said = [], ""
    session, later = None, False
    async for piece in pieces:
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
