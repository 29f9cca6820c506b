"""Alerts that are told in a chat of another account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from simulation.station import Station
from simulation.virtual import in_virtual_time
from yizhan.model import AccountId


@in_virtual_time
async def test_the_operator_hears_of_a_login_that_ended_and_of_its_end(home: Path) -> None:
    """By another bot of his; once when it begins, once when it is over, and never of the teller itself."""
    await _a_login_ends_and_is_over(home, restarted=False)


@in_virtual_time
async def test_the_all_clear_comes_also_if_the_gateway_was_restarted_in_between(home: Path) -> None:
    """As operators do who mend something; what was told is not told once more."""
    await _a_login_ends_and_is_over(home, restarted=True)


@in_virtual_time
async def test_an_alert_of_the_moment_before_a_crash_is_told_after_it(home: Path) -> None:
    """Nobody had been told, so nobody knows."""
    async with _operator_is_told(home) as (station, boss):
        account = AccountId(await station.link(station.world.add_user("Ann")))
        await asyncio.sleep(2)
        station.world.revoke(account.split(":", 1)[1], station.host.true_ms())
        async with asyncio.timeout(120):
            while not await station.gateway.open_alerts():
                await asyncio.sleep(0.5)
        await station.crash()
        await station.start()
        assert [] == station.shown(boss)
        await asyncio.sleep(90)
        (told,) = station.shown(boss)
        assert f"‼ {account}:" in told


@asynccontextmanager
async def _operator_is_told(home: Path) -> AsyncIterator[tuple[Station, str]]:
    """A gateway that tells its operator, who has a bot of his own for that."""
    async with Station(home, agent="none") as station:
        station.world.turn(quota_per_inbound=0)
        boss = station.world.add_user("Boss")
        teller = await station.link(boss)
        station.say(boss, "hi", teller)
        await asyncio.sleep(2)
    tell = {"tell": f"{teller}:{boss}"}
    again = Station(home, world=station.world, agent="none", language="en", alerts=tell)
    again.host = station.host
    async with again:
        yield again, boss


@in_virtual_time
async def test_a_trouble_of_wechat_is_told_on_qq(home: Path) -> None:
    """Whoever hears only by WeChat hears nothing on the day on which WeChat is the trouble."""
    async with Station(home, agent="none") as station:
        boss = station.world.add_user("Boss")
        teller = await station.link_qq(name="bot")
        await asyncio.sleep(3)
        station.world.qq.say("Boss", "hi", station.host.true_ms())
        await asyncio.sleep(2)
        tell = f"{teller}:c2c/{station.world.qq.openid('bot', 'Boss')}"
    again = Station(home, world=station.world, agent="none", language="en", alerts={"tell": tell})
    again.host = station.host
    async with again:
        account = AccountId(await again.link(boss))
        await asyncio.sleep(2)
        again.world.revoke(account.split(":", 1)[1], again.host.true_ms())
        await asyncio.sleep(90)
        await again.gateway.remove_account(account)
        await asyncio.sleep(400)
        told, over = [bubble.text for bubble in again.world.qq.shown("bot", "Boss")]
        assert f"‼ {account}:" in told
        assert f"✓ over {account}: The login is over" in over


async def _a_login_ends_and_is_over(home: Path, restarted: bool) -> None:
    async with _operator_is_told(home) as (again, boss):
        ann = again.world.add_user("Ann")
        account = AccountId(await again.link(ann))
        await asyncio.sleep(2)
        again.world.revoke(account.split(":", 1)[1], again.host.true_ms())
        await asyncio.sleep(90)
        (told,) = again.shown(boss)
        assert f"‼ {account}:" in told
        assert "yizhan login weixin" in told
        if restarted:
            await again.stop()
            await again.start()
            await asyncio.sleep(90)
            assert [told] == again.shown(boss)
        await again.gateway.remove_account(account)
        await asyncio.sleep(400)
        (over,) = again.shown(boss)[1:]
        assert f"✓ over {account}: The login is over" in over
