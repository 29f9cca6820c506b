"""A host that takes requests and answers none: it is noticed soon when it answers again, and nothing storms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simulation.checker import findings
from simulation.station import Station
from simulation.virtual import VirtualClock, run
from yizhan.core.connection import Lost, LostKind
from yizhan.runtime.silence import Silence
from yizhan_simulator import Fault, Outage
from yizhan_simulator.ledger import Effect

KNOCK_LIVES_S = 5


class Host:
    """Answers knocks by a plan: seconds since the start → what is said, None for silence."""

    def __init__(self, plan: Callable[[float], Lost | str | None]) -> None:
        self.plan = plan
        self.knocks = 0

    async def probe(self, account: object) -> Lost | None:
        self.knocks += 1
        said = self.plan(asyncio.get_running_loop().time())
        if said is None:
            await asyncio.sleep(KNOCK_LIVES_S)
            return Lost(LostKind.NETWORK, "no_answer", "no answer within 5 s")
        return said if isinstance(said, Lost) else None


def watched(
    plan: Callable[[float], Lost | str | None], for_s: float, doubts: int = 1
) -> tuple[list[float], int]:
    """When the end of a silence was told, and how many knocks that took."""

    async def story() -> tuple[list[float], int]:
        ends: list[float] = []
        host = Host(plan)
        line: Any = SimpleNamespace(host="h", account="a", platform=host)
        silence = Silence(VirtualClock(), lambda host: ends.append(asyncio.get_running_loop().time()))
        for _ in range(doubts):
            silence.suspect(line)
        await asyncio.sleep(for_s)
        silence.stop()
        silence.suspect(line)
        await asyncio.sleep(1)
        return ends, host.knocks

    return run(story())


def test_end_of_a_silence_is_noticed_within_a_second() -> None:
    """A knock hangs as a send does; the next one does not wait for it."""
    ends, _ = watched(lambda now_s: "yes" if now_s >= 33.3 else None, for_s=60)
    assert [34.0] == ends


def test_end_of_a_long_silence_is_noticed_within_ten_seconds_and_few_knocks() -> None:
    """An hour of it costs a knock every ten seconds."""
    ends, knocks = watched(lambda now_s: "yes" if now_s >= 3_601 else None, for_s=4_000)
    assert [3_610.0] == ends
    assert knocks <= 120 + 350


@pytest.mark.parametrize("lost", [LostKind.NETWORK, LostKind.SERVER])
def test_page_of_a_proxy_is_no_answer(lost: LostKind) -> None:
    """A gateway whose server is gone answers at once, and says nothing."""
    ends, _ = watched(lambda now_s: "yes" if now_s >= 5 else Lost(lost, "http 502", "trouble"), for_s=60)
    assert [5.0] == ends


@pytest.mark.parametrize("said", ["yes", Lost(LostKind.LOGIN, "-14", "session timeout")])
def test_host_that_answers_the_first_knock_was_never_silent(said: Lost | str) -> None:
    """Then the doubt had another cause, and hurrying would only make a loop of it."""
    assert ([], 1) == watched(lambda now_s: said, for_s=60)


def test_many_doubts_are_one_watch() -> None:
    """A thousand accounts behind one silent host must not knock a thousand times a second."""
    _, knocks = watched(lambda now_s: None, for_s=60, doubts=1_000)
    assert knocks <= 61


@pytest.mark.parametrize(
    ("kind", "within_s"), [("hang", 12), ("reset", 2), ("502", 2)], ids=["silence", "resets", "bad gateway"]
)
def test_first_message_after_an_outage_that_lets_everybody_in(home: Path, kind: Any, within_s: float) -> None:
    """It took half a minute to notice that the server was back: the poll hung, and repeats had become rare. (What is on
    the wire when a silence ends may still hang for the ten seconds of a send.)"""

    async def story() -> None:
        async with Station(home, 1) as station:
            station.world.turn(quota_per_inbound=0)
            user = station.world.add_user("Ann")
            account = await station.link(user)
            await asyncio.sleep(1)
            station.say(user, "hello", account)
            await asyncio.sleep(3)
            began_ms = station.clock.now_ms()
            if kind == "502":
                station.world.add_fault(Fault("status", "*", between_s=(0, 90)), began_ms)
            else:
                station.world.add_outage(Outage(to_s=90, kind=kind), began_ms)
            for number in range(9):
                await station.push(account, user, f"push {number}")
                await asyncio.sleep(10)
            await station.until_quiet(600)
            shown = station.world.ledger.select("sendmessage", effect=Effect.SHOWN)
            first_ms = min(record.at_ms for record in shown if record.at_ms >= began_ms)
            assert first_ms - (began_ms + 90_000) <= 1_000 * within_s
            assert [] == await findings(station)

    run(story())
