"""Server-sent events, the reading half. Pure: bytes in, whole events out.

Source: WHATWG HTML, "Server-sent events", parsing an event stream. Ids and retry times of events are not
needed here; comments are what keeps a quiet line open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """`name` is empty where the server gives none."""

    data: bytes
    name: bytes = b""


class EventTooLong(ValueError):
    """One event is larger than we are willing to hold."""


class EventStream:
    """Splits a byte stream into events, however the bytes are cut; holds at most `max_bytes` of an unfinished one."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rest = b""
        self._data: list[bytes] = []
        self._name = b""
        self._held = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes, in order. Raises EventTooLong."""
        *lines, self._rest = _lines(self._rest + chunk)
        events = [event for line in lines if (event := self._take(line)) is not None]
        if len(self._rest) + self._held > self._max_bytes:
            raise EventTooLong(f"an event of more than {self._max_bytes} bytes")
        return events

    def end(self) -> list[Event]:
        """The last event, of a server that does not close it with an empty line."""
        return self.feed(b"\n\n")

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._event()
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._held += len(value)
        elif field == b"event":
            self._name = value.removeprefix(b" ")
        return None

    def _event(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name, self._held = [], b"", 0
        return Event(b"\n".join(data), name) if data else None


def _lines(text: bytes) -> list[bytes]:
    """Whole lines and, last, what has no end yet; a final CR may be half of a CR LF and stays there."""
    if text.endswith(b"\r"):
        *lines, last = _LINE_END.split(text[:-1])
        return [*lines, last + b"\r"]
    return _LINE_END.split(text)
