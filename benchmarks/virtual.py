"""The door to virtual time: the whole gateway and the simulator in one process, as the tests use them.

What depends on waiting (a penalty of an hour, an outage of five minutes) is measured there: the answer is the
same on every machine, and an hour takes a second.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from yizhan import logs

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from simulation.checker import findings
from simulation.station import Crash, Station
from simulation.virtual import run

T = TypeVar("T")

__all__ = ["Crash", "Station", "findings", "in_virtual_time"]


async def in_virtual_time(story: Callable[[Path], Coroutine[Any, Any, T]]) -> T:
    """Runs a story with a home in memory, on a loop of its own in a thread of its own."""
    return await asyncio.to_thread(_told, story)


def _told(story: Callable[[Path], Coroutine[Any, Any, T]]) -> T:
    logs.configure("error", "text")
    memory = Path("/dev/shm")
    home = Path(tempfile.mkdtemp(prefix="yizhan-bench-", dir=memory if memory.is_dir() else None))
    try:
        return run(story(home))
    finally:
        shutil.rmtree(home, ignore_errors=True)
