"""Trouble that only a real process can have: a full disk, a stop in the middle of everything."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import aiohttp
import pytest

from benchmarks.stage import Stage, stage
from yizhan_simulator import Limit

STOP_S = 2.0
PATIENCE = 5
"""A promise of a time may take five times as long on a noisy machine."""


def _fill_the_disk(made: Stage) -> None:
    """No file of the process may grow any more: what a full disk feels like to a database."""
    assert made.gateway.process is not None
    log_bytes = (made.gateway.home / "yizhan.db-wal").stat().st_size
    resource.prlimit(made.gateway.process.pid, resource.RLIMIT_FSIZE, (log_bytes, resource.RLIM_INFINITY))


def _free_the_disk(made: Stage) -> None:
    assert made.gateway.process is not None
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(made.gateway.process.pid, resource.RLIMIT_FSIZE, unlimited)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux to limit another process")
async def test_a_full_disk_is_said_clearly_loses_nothing_and_heals_by_itself() -> None:
    """Producers get a clear no, pollers stop, and when there is room again nobody needs to restart anything."""
    async with stage(2) as made:
        await made.send(made.users[0], "before")
        await made.shown(1)
        _fill_the_disk(made)
        problem = await _refused(made)
        assert "urn:yizhan:problem:busy" == problem["type"]
        assert problem["fix"]
        assert 503 == await _status(made, "/readyz")
        said_ms = made.sim.clock.now_ms()
        made.world.say(made.users[0], "written while the disk was full", said_ms)
        await asyncio.sleep(1)
        _free_the_disk(made)
        await _healed(made)
        await made.send(made.users[0], "after")
        await made.shown(2)
        assert "written while the disk was full" in await _inbound_texts(made)


async def _refused(made: Stage) -> dict:
    """Posts until the disk is felt; what was taken before is taken."""
    assert made.gateway.http is not None
    for number in range(200):
        body = {
            "to": f"{made.account}:{made.users[1]}",
            "text": "x" * 2_000,
            "not_before": "2099-01-01T00:00:00Z",
        }
        body |= {"expires_at": "2099-01-02T00:00:00Z", "idempotency_key": f"full {number}"}
        async with made.gateway.http.post("/v1/messages", json=body) as answer:
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) >= 1
                return dict(await answer.json(content_type=None))
            assert 202 == answer.status
    raise AssertionError("the disk never filled")


async def _status(made: Stage, path: str) -> int:
    assert made.gateway.http is not None
    async with made.gateway.http.get(path) as answer:
        return answer.status


async def _healed(made: Stage) -> None:
    async with asyncio.timeout(10 * PATIENCE):
        while await _status(made, "/readyz") != 200:
            await asyncio.sleep(0.2)


async def _inbound_texts(made: Stage) -> list[str]:
    async with asyncio.timeout(10 * PATIENCE):
        while True:
            rows = (await made.gateway.get(f"/v1/timeline?chat={made.account}:{made.users[0]}"))["items"]
            texts = [row["message"]["text"] for row in rows if row["kind"] == "inbound"]
            if "written while the disk was full" in texts:
                return texts
            await asyncio.sleep(0.2)


async def test_sigterm_in_the_middle_of_everything_ends_quickly_and_well() -> None:
    """Work queued behind a limit, an event reader open: 90 seconds and a SIGKILL were the rule elsewhere."""
    async with stage(5) as made:
        made.world.add_limit(Limit(count=1, per_s=5), made.sim.clock.now_ms())
        for number in range(100):
            await made.send(made.users[number % 5], f"message {number}")
        assert made.gateway.http is not None
        reader = await made.gateway.http.get("/v1/events", timeout=aiohttp.ClientTimeout(total=None))
        took_s, code = await made.gateway.stop()
        reader.close()
        assert 0 == code
        assert took_s <= STOP_S * PATIENCE
        assert not (made.gateway.home / "gateway.json").exists()
        made.world.clear_weather()
        await made.gateway.start()
        await made.shown(100)


async def test_a_second_gateway_on_the_same_home_is_turned_away_and_the_first_goes_on() -> None:
    """Two processes on one store would steal each other's messages."""
    async with stage(1) as made:
        second = await asyncio.create_subprocess_exec(
            made.gateway.command[0],
            *made.gateway.command[1:],
            env=dict(made.gateway.environ),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await second.communicate()
        assert 3 == second.returncode
        assert b"gateway" in said
        assert made.gateway.http is not None
        await made.send(made.users[0], "still here")
        await made.shown(1)
