"""A clock that jumps, repeatable chance, and platforms that answer from a script."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from yizhan.model import Account, AccountId, AccountState, Credentials
from yizhan.ports import Absence, AbsenceKind, Answer, Reply, Request


class JumpingClock:
    """Time that passes only by sleeping. A sleep lets everybody else act first, then jumps to its end."""

    def __init__(self) -> None:
        self.at_ms = 1_790_000_000_000

    def now_ms(self) -> int:
        return self.at_ms

    async def sleep_ms(self, wait_ms: int) -> None:
        await self.sleep_until(self.at_ms + wait_ms)

    async def sleep_until(self, at_ms: int) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        self.at_ms = max(self.at_ms, at_ms)


class SeededChance:
    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def jitter(self) -> float:
        return self._random.random()

    def new_id(self, kind: str) -> str:
        return f"{kind}_{self._random.getrandbits(64):016x}"

    def token_hex(self, size: int) -> str:
        return self._random.randbytes(size).hex()


class ScriptedHttp:
    """Answers every call with what the script says and remembers what was asked."""

    def __init__(self, script: Callable[[Request], Reply]) -> None:
        self.script = script
        self.asked: list[Request] = []

    async def call(self, request: Request) -> Reply:
        self.asked.append(request)
        await asyncio.sleep(0)
        return self.script(request)

    async def close(self) -> None:
        pass

    def calls(self) -> list[str]:
        return [request.call for request in self.asked]


def answer(body: str | bytes, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, body.encode() if isinstance(body, str) else body)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def chance() -> SeededChance:
    return SeededChance()


@pytest.fixture
def scripted() -> Callable[[Callable[[Request], Reply]], ScriptedHttp]:
    return ScriptedHttp


@pytest.fixture
def replies() -> type[Replies]:
    return Replies


class Replies:
    """Short names for replies."""

    answer = staticmethod(answer)
    not_sent = Absence(AbsenceKind.NOT_SENT, "host: connection refused")
    lost = Absence(AbsenceKind.NO_ANSWER, "host: connection reset by peer")


@pytest.fixture
def account() -> Account:
    return weixin_account()


@pytest.fixture
def make_account() -> Callable[..., Account]:
    return weixin_account


def weixin_account(
    bot: str = "b0f5860fdecb@im.bot",
    base_url: str = "http://127.0.0.1:1",
    user: str = "",
    created_at_ms: int = 0,
) -> Account:
    return Account(
        id=AccountId(f"weixin:{bot}"),
        credentials=Credentials(secret=f"{bot}:060000aa11", base_url=base_url, user_id=user),
        state=AccountState.UP,
        since_ms=0,
        created_at_ms=created_at_ms,
    )
