"""What the writer remembers from batch to batch: the messages it wrote last."""

from __future__ import annotations

from collections.abc import Iterable

from yizhan.model import MessageId
from yizhan.store.rows import KeptMessage

RECALLED = 1024


class Recall:
    """The messages that were written last, as they are in the table, so that the next step of the same message
    need not read it again (a fifth of a message's cost). Right because one writer writes; it forgets everything
    when a transaction fails."""

    def __init__(self, room: int = RECALLED) -> None:
        self._room = room
        self._messages: dict[MessageId, KeptMessage] = {}

    def get(self, message: MessageId) -> KeptMessage | None:
        return self._messages.get(message)

    def remember(self, written: Iterable[KeptMessage]) -> None:
        """Live ones are wanted again, finished ones hardly ever."""
        for kept in written:
            self._messages.pop(kept.message.id, None)
            if kept.message.state.live:
                self._messages[kept.message.id] = kept
        while len(self._messages) > self._room:
            del self._messages[next(iter(self._messages))]

    def forget(self) -> None:
        self._messages.clear()
