"""Pieces of an answer become the messages that the chat sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from yizhan.ports import AgentFailed, Later, OutputEnd, Piece, Progress, Session, Text
from yizhan.runtime.speech import Speech, eagerly, heard


async def saying(*pieces: Piece) -> AsyncIterator[Piece]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize(
    ("pieces", "speech"),
    [
        ((), Speech()),
        ((Text("你"), Text("好")), Speech(("你好",))),
        ((Text("one"), OutputEnd(), Text("two")), Speech(("one", "two"))),
        ((Text("one"), OutputEnd(), OutputEnd()), Speech(("one",))),
        ((Progress("reading"), Text("done")), Speech(("done",))),
        ((Session("s1"), Text("a"), Session("s2")), Speech(("a",), "s2")),
        ((Session(""), Text("a")), Speech(("a",), "")),
        ((Later(),), Speech(later=True)),
    ],
)
async def test_pieces_are_joined_into_whole_outputs(pieces: tuple[Piece, ...], speech: Speech) -> None:
    """However an agent cuts its words, the chat gets one message for each output."""
    assert speech == await heard(saying(*pieces))


async def test_failure_after_some_words_is_a_failure() -> None:
    """Half an answer that looks whole is worse than none."""

    async def breaking() -> AsyncIterator[Piece]:
        yield Text("half")
        raise AgentFailed("agent-broken-stream", "broke off")

    with pytest.raises(AgentFailed):
        await heard(breaking())


async def test_slow_listener_does_not_hold_back_the_stream() -> None:
    """An endpoint whose stream is not read hangs up; whoever sends slowly must not cause that."""
    over = asyncio.Event()

    async def stream() -> AsyncIterator[Piece]:
        for number in range(1000):
            yield Text(f"{number} ")
        over.set()

    listening = eagerly(stream())
    assert Text("0 ") == await anext(listening)
    await over.wait()
    assert 999 == len([piece async for piece in listening])


async def test_listener_who_leaves_ends_the_agents_work() -> None:
    """A request or a program must not go on when nobody wants its answer."""
    ended = asyncio.Event()

    async def stream() -> AsyncIterator[Piece]:
        try:
            yield Text("first")
            await asyncio.Event().wait()
        finally:
            ended.set()

    listening = eagerly(stream())
    await anext(listening)
    await listening.aclose()
    assert ended.is_set()
