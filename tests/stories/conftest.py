"""The words in which stories of the field are told: a phone, a program, a simulated WeChat, and time that passes.

    @pytest.mark.field("F01")
    @in_virtual_time()
    async def test_what_the_user_saw(tale: Tale) -> None:
        await tale.ann_writes("hi")
        tale.wechat_refuses(for_s=60)
        push = await tale.push("good morning")
        await tale.passes(60)
        assert ["good morning"] == tale.phone()

Ann has one chat with the account `tale.account`; Bob, who exists from the first time he is named, another one
with the same account. What a program does goes through the HTTP API, as do all looks at messages and accounts.
Unless a story says otherwise nobody answers, and this WeChat counts no allowance.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulation.checker import findings
from simulation.station import Crash, Station
from simulation.virtual import run
from yizhan.core.contract import parse_time, time_text
from yizhan.model import AccountId
from yizhan.ports import Agent, OutputEnd, Piece, Question, Text
from yizhan.web import create_app
from yizhan_simulator import Fault, Outage
from yizhan_simulator.knobs import Refusal
from yizhan_simulator.ledger import Record

KEY = "the-key-of-the-home"
LIMITED = "rate limited"
Story = Callable[..., Awaitable[None]]


class Says:
    """An agent that answers every question with these texts, after a time."""

    name = "says"

    def __init__(self, *texts: str, takes_s: float = 0) -> None:
        self.asked: list[str] = []
        self._texts = texts
        self._takes_s = takes_s

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        self.asked.append(question.text)
        await asyncio.sleep(self._takes_s)
        for text in self._texts:
            yield Text(text)
            yield OutputEnd()

    async def close(self) -> None:
        pass


class Tale:
    """One home and everybody around it. Starts and ends with the story."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.station: Station
        self.account: AccountId
        self._api: tuple[object, httpx.AsyncClient] | None = None

    async def begin(self, agent: Agent | None = None, **settings: Any) -> None:
        self.station = Station(self._home, answers=agent, **{"agent": "none"} | settings)
        self.world = self.station.world
        self.world.turn(quota_per_inbound=0)
        await self.station.start()
        self.account = await self.station.link(self.world.add_user("Ann"))
        await self.passes(1)

    async def end(self) -> None:
        """A story may end with the gateway stopped or dead."""
        if not self.station.gate.struck.is_set() and self.station.gateway.running:
            await self.station.stop()

    # people

    async def writes(self, who: str, text: str = "hi") -> None:
        """Somebody writes to the account on the phone, and the gateway has heard it."""
        self._person(who)
        self.station.say(who, text, self.account)
        await self.passes(1)

    async def ann_writes(self, text: str = "hi") -> None:
        await self.writes("Ann", text)

    def phone(self, who: str = "Ann") -> list[str]:
        """What the bot has put on somebody's screen, in order."""
        return self.station.shown(self._person(who))

    def _person(self, who: str) -> str:
        known = {user.name for user in self.world.state.people.users.values()}
        return self.world.user(who).user_id if who in known else self.world.add_user(who)

    # programs

    async def push(self, text: str, to: str = "Ann", **body: Any) -> str:
        """A program sends a message; answers its id."""
        order = {"to": f"{self.account}:{self._person(to)}", "text": text, **body}
        answer = await self.api("POST", "/v1/messages", json=order)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def message(self, message: str) -> dict[str, Any]:
        """The message object as the API shows it now."""
        return dict((await self.api("GET", f"/v1/messages/{message}")).json())

    async def state(self, message: str) -> tuple[str, str | None]:
        """State, and what it waits for."""
        shown = await self.message(message)
        return shown["state"], shown["waiting_for"]

    async def parts(self, message: str) -> list[str]:
        return [part["state"] for part in (await self.message(message))["parts"]]

    async def messages(self) -> list[dict[str, Any]]:
        """Every message in the outbox, oldest first."""
        return list((await self.api("GET", "/v1/messages?limit=100")).json()["items"][::-1])

    async def gates(self) -> list[dict[str, Any]]:
        """Gates of the account that are not open, as its page shows them."""
        accounts = (await self.api("GET", "/v1/accounts")).json()["items"]
        return list(accounts[0]["gates"])

    async def alerts(self) -> list[dict[str, Any]]:
        answer = await self.api("GET", "/v1/alerts")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """Everything that a reader of the event stream has been told of one kind."""
        rows = await self.station.gateway.store.events_after(0, 10_000)
        return [json.loads(row.data) for row in rows if row.type == kind]

    async def api(self, method: str, path: str, **more: Any) -> httpx.Response:
        gateway = self.station.gateway
        if self._api is None or self._api[0] is not gateway:
            transport = httpx.ASGITransport(create_app(gateway, api_key=KEY, version="1"))
            headers = {"Authorization": f"Bearer {KEY}"}
            self._api = (
                gateway,
                httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers),
            )
        return await self._api[1].request(method, path, **more)

    # WeChat

    def wechat_refuses(
        self,
        for_s: float | None = None,
        words: str | None = LIMITED,
        *,
        code: int = -2,
        who: str = "",
        times: int | None = None,
        skip: int = 0,
    ) -> str:
        """Sends are refused, for a time or a number of times; all of them, or those to one person."""
        if who:
            self._person(who)
        between_s = None if for_s is None else (0.0, float(for_s))
        refusal = Refusal(ret=code, errmsg=words)
        return self._fault(
            Fault(kind="refuse", refusal=refusal, user=who, times=times, skip=skip, between_s=between_s)
        )

    def wechat_answers(self, kind: str, **fault: Any) -> str:
        """Sends are answered oddly; the kinds are those of the simulator's weather."""
        return self._fault(Fault(kind=kind, **fault))  # type: ignore[arg-type]

    def wechat_is_gone(self, for_s: float, kind: str = "refuse") -> None:
        self.world.add_outage(Outage(to_s=for_s, kind=kind), self.now_ms)  # type: ignore[arg-type]

    def tokens_go_stale(self, words: str | None = LIMITED, code: int = -2) -> None:
        """Every reply token so far is refused from now on; sends without one are taken."""
        self.world.turn(stale_refusal={"ret": code, "errmsg": words})
        self.world.expire_tokens()

    def requests(self, who: str = "") -> list[Record]:
        """Every send that reached WeChat, oldest first."""
        return self.world.ledger.sends(user_id=self._person(who) if who else "")

    def refusals(self) -> int:
        return len(self.world.ledger.refusals())

    def _fault(self, fault: Fault) -> str:
        return self.world.add_fault(fault, self.now_ms)

    # time and fate

    @property
    def now_ms(self) -> int:
        return self.station.clock.now_ms()

    def in_(self, seconds: float) -> str:
        """A moment from now, as the API writes it."""
        return str(time_text(self.now_ms + int(seconds * 1_000)))

    def seconds_to(self, moment: str) -> float:
        """How long it is until then."""
        return (parse_time(moment) - self.now_ms) / 1_000

    async def passes(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until_quiet(self, within_s: float = 3_600) -> None:
        """Until every message has ended."""
        async with asyncio.timeout(within_s):
            while (await self.station.gateway.store.counts()).oldest_live_at_ms:
                await self.passes(5 if within_s > 300 else 1)

    async def dies(self, down_s: float = 1) -> None:
        """SIGKILL, and a new process after a while."""
        await self.station.crash()
        await self.passes(down_s)
        await self.station.start()

    def dies_before(self, commit: str) -> None:
        """The process will be killed when it next wants to commit this; `is_back` starts it again."""
        gate = self.station.gate
        seldom = gate.before_commit

        def before_commit(label: str) -> None:
            seldom(label)
            if commit in label.split("+"):
                gate.struck.set()
                raise Crash

        gate.before_commit = before_commit  # type: ignore[method-assign]

    async def is_back(self, down_s: float = 1) -> None:
        async with asyncio.timeout(60):
            await self.station.gate.struck.wait()
        await self.dies(down_s)

    async def findings(self) -> list[str]:
        """What program, store and phone do not agree on, once all is quiet."""
        return await findings(self.station)


def in_virtual_time(agent: Agent | None = None, **settings: Any) -> Callable[[Story], Callable[..., None]]:
    """Runs an async test whose `tale` has begun, on a loop that jumps to the next timer when all wait."""

    def decorate(story: Story) -> Callable[..., None]:
        @functools.wraps(story)
        def told(**given: Any) -> None:
            async def whole() -> None:
                tale: Tale = given["tale"]
                await tale.begin(agent, **settings)
                try:
                    await story(**given)
                finally:
                    await tale.end()

            run(whole())

        return told

    return decorate


@pytest.fixture
def tale(home: Path) -> Tale:
    return Tale(home)


def gaps_s(requests: Sequence[Record]) -> list[float]:
    """Seconds between one request and the next."""
    return [(late.at_ms - early.at_ms) / 1000 for early, late in itertools.pairwise(requests)]
