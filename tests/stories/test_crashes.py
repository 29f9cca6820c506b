"""The process dies at every commit, before and after it reaches the disk, and is started again."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from simulation.checker import answered_once, findings
from simulation.station import Crash, Station, finals
from simulation.virtual import run
from yizhan.errors import YizhanError
from yizhan.model import AccountId, MessageState

PUSHES = 3
SAID = ["good morning", "are you there?"]


async def _morning(station: Station, account: AccountId, user: str) -> None:
    """A short scene: two messages come in and are echoed, three pushes go out under keys."""
    station.say(user, SAID[0])
    await asyncio.sleep(0.3)
    for number in range(PUSHES):
        await _push_until_taken(station, account, user, f"push {number}")
    await asyncio.sleep(1.5)
    station.say(user, SAID[1])
    await asyncio.sleep(2)


async def _push_until_taken(station: Station, account: AccountId, user: str, text: str) -> None:
    """What a careful program does: the same key until it is answered."""
    while True:
        if station.gate.struck.is_set():
            await station.restart()
        try:
            async with asyncio.timeout(2):
                await station.push(account, user, text, idempotency_key=text)
                return
        except (TimeoutError, YizhanError, Crash):
            continue


async def _scene(home: Path, crash_at: int | None, after: bool, seed: int = 1) -> tuple[Station, int]:
    """Answers the station, still running, and how many commits the scene took up to its end."""
    station = Station(home, seed)
    station.world.turn(quota_per_inbound=0)
    user = station.world.add_user("Ann")
    await station.start()
    account = await station.link(user)
    await asyncio.sleep(1)
    station.gate.at, station.gate.after = crash_at, after
    watcher = asyncio.create_task(_restart_when_struck(station))
    await _morning(station, account, user)
    await asyncio.sleep(5)
    watcher.cancel()
    if station.gate.struck.is_set():
        await station.restart()
    commits = len(station.gate.seen)
    await station.until_quiet(120)
    return station, commits


async def _restart_when_struck(station: Station) -> None:
    await station.gate.struck.wait()
    await asyncio.sleep(0.5)
    if station.gate.struck.is_set():
        await station.restart()


async def _verdict(station: Station, crash: str) -> None:
    user = next(iter(station.world.conversations())).user_id
    found = await findings(station) + answered_once(station, user, SAID)
    assert [] == found, crash
    assert {MessageState.DELIVERED} == set(finals(await station.messages())), crash


def _commits(home: Path) -> int:
    async def count() -> int:
        station, commits = await _scene(home, None, False)
        await station.stop()
        return commits

    return run(count())


@pytest.mark.field("F29")
@pytest.mark.field("F30")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("slice_", range(4))
def test_a_crash_at_any_commit_loses_nothing_and_doubles_nothing(
    home: Path, after: bool, slice_: int
) -> None:
    """Accepted is accepted, answered is answered: whichever commit was the last."""
    total = _commits(home / "count")
    assert total > 12, "the scene is too short to tell anything"

    async def story(at: int) -> None:
        station, _ = await _scene(home / f"at-{at}", at, after)
        await _verdict(station, f"crashed {'after' if after else 'before'} commit {at}: {station.gate.seen}")
        await station.stop()

    for at in range(1 + slice_, total + 1, 4):
        run(story(at))


@pytest.mark.parametrize("seed", range(1, 7))
def test_a_second_crash_during_recovery_loses_nothing(home: Path, seed: int) -> None:
    """A machine that dies once often dies twice."""

    async def story() -> None:
        chance = random.Random(seed)
        station = Station(home, seed)
        station.world.turn(quota_per_inbound=0)
        user = station.world.add_user("Ann")
        await station.start()
        account = await station.link(user)
        await asyncio.sleep(1)
        station.say(user, SAID[0])
        for number in range(PUSHES):
            await station.push(account, user, f"push {number}")
        for _ in range(4):
            await asyncio.sleep(chance.random() * 0.4)
            await station.restart()
        station.say(user, SAID[1])
        await asyncio.sleep(2)
        await station.until_quiet(120)
        await _verdict(station, f"seed {seed}")
        await station.stop()

    run(story())
