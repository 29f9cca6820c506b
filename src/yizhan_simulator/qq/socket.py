"""One WebSocket as the server sees it: frames that wait to be carried to the client, and whether it is still alive.

It knows no network. A carrier takes what waits (`take`) whenever `key` is signalled, and does with it what it says.
A muted socket is half-open: it stays, nothing more comes out of it, and nothing that is put into it is heard.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Text:
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HangUp:
    """1005: a close frame without a code. 1006: the connection is gone, and there was no close frame."""

    code: int
    reason: str = ""


Outgoing = Text | HangUp


@dataclass(slots=True)
class Socket:
    """`beat_ms`: when the client was last heard of with op 1 (or connected). `session_id`: empty before READY."""

    number: int
    beat_ms: int
    waiting: deque[Outgoing] = field(default_factory=deque)
    muted: bool = False
    ended: bool = False
    session_id: str = ""
    app_id: str = ""

    @property
    def key(self) -> str:
        return f"socket:{self.number}"

    @property
    def live(self) -> bool:
        """Does what is put on it now reach a client that listens?"""
        return not self.ended and not self.muted

    def put(self, frame: Json | str) -> None:
        """A frame for the client; swallowed when nobody can hear it."""
        if self.live:
            text = frame if isinstance(frame, str) else msgspec.json.encode(frame).decode()
            self.waiting.append(Text(text))

    def hang_up(self, code: int, reason: str) -> None:
        if not self.muted:
            self.waiting.append(HangUp(code, reason))
        self.ended = True

    def take(self) -> list[Outgoing]:
        """What waits for the client, in order; taken out."""
        taken = list(self.waiting)
        self.waiting.clear()
        return taken


def id_in(frame: Json) -> str:
    """The message's id in an event; empty where there is none."""
    body = frame.get("d")
    return str(body.get("id", "")) if isinstance(body, dict) else ""
