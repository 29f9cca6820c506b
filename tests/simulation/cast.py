"""Those who use a gateway: an agent that answers, and programs that hand messages over with care."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from simulation import plan
from simulation.books import Asked, Promise, Speech
from simulation.station import Crash, Station
from simulation.streamer import Streamer
from yizhan.errors import RequestError, StoreError
from yizhan.model import AccountId, MessageId, Target
from yizhan.ports import AgentFailed, OutputEnd, Piece, Question, Text
from yizhan.runtime.views import Order

PATIENCE_S = 5
"""How long a program waits for an answer before it asks again."""


class ScriptedAgent:
    """Answers slowly, in several outputs, sometimes not at all; asked again it answers something else. In some chats it
    is the plan's streamer who speaks. Writes down what was asked, and what was said."""

    name = "scripted"

    def __init__(self, script: plan.Agent, seed: int, streamer: Streamer | None = None) -> None:
        self.asked: list[Asked] = []
        self.speeches: list[Speech] = []
        self.streams: Callable[[Target], bool] = lambda target: False
        self.last_event: Callable[[], Awaitable[int]]
        self._well = False
        self._script = script
        self._streamer = streamer
        self._random = random.Random(f"agent {seed}")

    def recover(self) -> None:
        """From now on all is well."""
        self._well = True
        if self._streamer is not None:
            self._streamer.well = True

    @property
    def met(self) -> Counter[str]:
        """What has befallen it in chats where it speaks in pieces."""
        return self._streamer.met if self._streamer is not None else Counter()

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        self.asked.append(Asked(question.turn, tuple(question.text.split("\n"))))
        speech = Speech(question.turn, await self.last_event())
        self.speeches.append(speech)
        streams = self._streamer is not None and self.streams(question.target)
        talk = self._streamer.answer(question) if self._streamer and streams else self._plain()
        async with aclosing(talk) as pieces:
            async for piece in pieces:
                if isinstance(piece, Text):
                    speech.said += piece.delta
                elif isinstance(piece, OutputEnd):
                    speech.said += " "
                yield piece
        speech.whole = True

    async def _plain(self) -> AsyncGenerator[Piece]:
        time = len(self.asked)
        outputs = self._random.randint(0 if self._script.outputs > 1 else 1, self._script.outputs)
        for number in range(outputs):
            await asyncio.sleep(0 if self._well else self._random.random() * self._script.slow_s)
            if not self._well and self._random.random() < self._script.fails:
                raise AgentFailed("agent-broke", "as the script says")
            yield Text(f"answer {number} of {outputs} at time {time}")
            yield OutputEnd()

    async def close(self) -> None:
        """Holds nothing."""


class Program:
    """Hands one message over: with a key until it is answered, without one once. Writes down what it was told."""

    def __init__(self, station: Station, push: plan.Push, account: AccountId, user: str) -> None:
        now_ms = station.host.wall_ms()
        self._station = station
        self._push = push
        self._key = f"key of {push.text}" if push.keyed else None
        self.message: MessageId | None = None
        self.promises: list[Promise] = []
        self._order = Order(
            f"{account}:{user}",
            push.whole,
            push.klass,
            idempotency_key=self._key,
            not_before_ms=_at(now_ms, push.starts_s),
            expires_at_ms=_at(now_ms, push.lives_s),
        )

    async def run(self) -> None:
        for _ in range(1 + (self._push.again if self._push.keyed else 0)):
            await self._until_told()

    async def _until_told(self) -> None:
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    accepted = await self._station.ask(self._station.gateway.accept(self._order))
            except RequestError:
                return  # told no: for example, its time was over before the disk had room for it
            except (Crash, StoreError, TimeoutError):
                if self._key is None:
                    return
                await asyncio.sleep(0.3)
                continue
            self.message = accepted.message.id
            self.promises.append(Promise(accepted.message.id, self._key, self._push.text))
            return


def _at(now_ms: int, in_s: float | None) -> int | None:
    return None if in_s is None else now_ms + int(in_s * 1000)
