"""`yizhan run`, with somebody who looks at the event loop's clock: for the figure about stalls.

A beat every few milliseconds says how late it was. On a machine that other programs use, a beat is also late
because nobody ran us; so of each lateness only as much counts as this process has computed meanwhile, in all
of its threads. (What blocks the loop without computing, a disk for example, would be missed here; the store
has a thread of its own, and nothing else in the loop touches files.) The worst beat since the last SIGUSR1 is
kept in the file that BENCH_STALLS names.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from yizhan import app
from yizhan.cli.main import main

BEAT_S = 0.005


class Watch:
    """The worst beat so far, in memory and in its file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._worst_ms = 0.0
        self.forget()

    def forget(self) -> None:
        self._note(0)

    async def run(self) -> None:
        while True:
            began_s, cpu_s = time.monotonic(), time.process_time()
            await asyncio.sleep(BEAT_S)
            late_s = time.monotonic() - began_s - BEAT_S
            stall_ms = 1_000 * min(late_s, time.process_time() - cpu_s)
            if stall_ms > self._worst_ms:
                self._note(stall_ms)

    def _note(self, worst_ms: float) -> None:
        self._worst_ms = worst_ms
        self._file.write_text(f"{worst_ms:.1f}")


async def _serve(*args: Any, **more: Any) -> int:
    watch = Watch(Path(os.environ["BENCH_STALLS"]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, watch.forget)
    watching = asyncio.create_task(watch.run())
    try:
        return await _served(*args, **more)
    finally:
        watching.cancel()


if __name__ == "__main__":
    _served, app.serve = app.serve, _serve
    raise SystemExit(main(["run"]))
