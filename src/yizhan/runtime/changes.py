"""Who waits for the next change of a message, and how they are told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

from yizhan.model import Event, MessageId


class Changes:
    """Listens to committed events. `stopping` ends every wait."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping
        self._watchers: dict[MessageId, set[asyncio.Event]] = {}

    def note(self, events: Sequence[Event]) -> None:
        """These were committed."""
        if not self._watchers:
            return
        for event in events:
            if event.type == "message.state":
                for message, waiting in self._watchers.items():
                    if f'"id":"{message}"'.encode() in event.data:
                        for changed in waiting:
                            changed.set()

    @contextlib.contextmanager
    def watched(self, message: MessageId) -> Iterator[asyncio.Event]:
        """An event that is set at the message's next change."""
        changed = asyncio.Event()
        waiting = self._watchers.setdefault(message, set())
        waiting.add(changed)
        try:
            yield changed
        finally:
            waiting.discard(changed)
            if not waiting:
                self._watchers.pop(message, None)

    async def either(self, changed: asyncio.Event, wait_s: float) -> None:
        """Until the change, the time, or the end of the process."""
        waits = [asyncio.create_task(changed.wait()), asyncio.create_task(self._stopping.wait())]
        try:
            await asyncio.wait(waits, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
