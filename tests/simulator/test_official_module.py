"""The official npm client's own API module talks to the simulator."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from yizhan_simulator import Effect, World
from yizhan_simulator.server import running

PEERS = Path(__file__).resolve().parents[1] / "peers"
REQUIRED = "npm" in os.environ.get("YIZHAN_TEST_REQUIRE", "")
pytestmark = [pytest.mark.npm, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def _npm() -> None:
    """Skips where npm is missing, unless YIZHAN_TEST_REQUIRE names npm."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        if REQUIRED:
            pytest.fail("npm is missing, and YIZHAN_TEST_REQUIRE asks for it")
        pytest.skip("npm is not installed on this machine")


async def test_the_official_api_module_receives_and_sends(
    world: World, ann: str, request: pytest.FixtureRequest
) -> None:
    """Its own code reads our poll, ticket and receipt, and its ids arrive unharmed."""
    package: Path = request.getfixturevalue("official_package")
    bot = world.add_bot(ann)
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    async with running(world) as sim:
        ids = world.say(ann, "hello 你好", sim.clock.now_ms())
        process = await asyncio.create_subprocess_exec(
            "node", PEERS / "official.mjs", package, sim.url, bot.token,
            env=clean, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert 0 == process.returncode, errors.decode()[-3000:]
    told = json.loads(out.decode().splitlines()[-1])
    (bubble,) = world.shown(ann)
    assert "official heard: hello 你好" == bubble.text
    assert {"message_id": ids[0], "receipt": bubble.message_id, "ret": [0, 0, 0]} == told
    assert [] == [row for row in world.ledger if row.effect in (Effect.REFUSED, Effect.LOST)]
