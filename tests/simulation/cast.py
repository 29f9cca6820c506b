"""Those who use a gateway: an agent that answers, and programs that hand messages over with care."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

from simulation import plan
from simulation.books import Asked, Promise
from simulation.station import Crash, Station
from yizhan.errors import RequestError, StoreError
from yizhan.model import AccountId, MessageId
from yizhan.ports import AgentFailed, OutputEnd, Piece, Question, Text
from yizhan.runtime.views import Order

PATIENCE_S = 5
"""How long a program waits for an answer before it asks again."""


class ScriptedAgent:
    """Answers slowly, in several outputs, sometimes not at all; asked again it answers something else."""

    name = "scripted"

    def __init__(self, script: plan.Agent, seed: int) -> None:
        self.asked: list[Asked] = []
        self.well = False
        self._script = script
        self._random = random.Random(f"agent {seed}")

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        self.asked.append(Asked(question.turn, tuple(question.text.split("\n"))))
        time = len(self.asked)
        outputs = self._random.randint(0 if self._script.outputs > 1 else 1, self._script.outputs)
        for number in range(outputs):
            await asyncio.sleep(0 if self.well else self._random.random() * self._script.slow_s)
            if not self.well and self._random.random() < self._script.fails:
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
