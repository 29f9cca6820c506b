"""The clock that jumps, and what it must not jump over."""

from __future__ import annotations

import asyncio
import threading

import pytest

from simulation.virtual import ThreadUsed, run


def test_work_in_a_thread_is_refused_where_time_would_not_wait_for_it() -> None:
    """A story that looks now before and now after the thread is a test that fails one time in four."""

    async def story() -> None:
        await asyncio.to_thread(lambda: None)

    with pytest.raises(ThreadUsed):
        run(story())


def test_a_thread_of_somebody_else_that_reports_back_is_noticed() -> None:
    async def story() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(done.set))
        thread.start()
        thread.join()
        await asyncio.sleep(1)

    with pytest.raises(ThreadUsed):
        run(story())
