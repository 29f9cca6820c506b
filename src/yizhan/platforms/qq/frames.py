"""Frames of QQ's gateway: what we read, and what we say. Pure, bounded; odd input is `Odd`, never an error.

Source of shapes and opcodes: bot-docs (2025-04-21), the wiki bot.q.qq.com (2026), botgo, botpy 1.2.1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

from yizhan.platforms.fields import Fields, Odd, parse_object

FRAME_MAX_BYTES = 1024 * 1024
"""No message of a chat comes near to this; a larger frame ends the connection."""
_SEQ_MAX = 2**53
_NAME_MAX = 256
_encode = msgspec.json.Encoder().encode


class Op(IntEnum):
    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11
    HTTP_ACK = 12
    VALIDATION = 13


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the server.

    seq   `s`: its place in the session, None where it has none
    kind  `t`: what has happened, empty but for op 0
    id    the frame's own id, `event_id` of a reply to what is no message
    body  `d` if it is an object; else an empty one (RESUMED has a text, op 9 a boolean, op 7 nothing)
    """

    op: int
    seq: int | None = None
    kind: str = ""
    id: str = ""
    body: Fields = field(default_factory=lambda: Fields({}))


def read_frame(frame: str | bytes) -> Frame | Odd:
    """What the server said. Total."""
    raw = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
    if not raw.strip():
        return Odd("empty", "an empty frame")
    values = parse_object(raw)
    if isinstance(values, Odd):
        return values
    fields = Fields(values)
    op = values.get("op")
    if type(op) is not int or not 0 <= op < 1_000:
        return Odd("no-op", "a frame without a code of operation")
    seq = values.get("s")
    known = type(seq) is int and 0 <= seq < _SEQ_MAX
    return Frame(
        op=op,
        seq=seq if known else None,
        kind=fields.text("t")[:_NAME_MAX],
        id=fields.text("id")[:_NAME_MAX],
        body=fields.child("d") or Fields({}),
    )


def identify(token: str, intents: int, shard: tuple[int, int]) -> str:
    """Op 2. `token`: the access token without its scheme."""
    return _said(
        Op.IDENTIFY,
        {
            "token": f"QQBot {token}",
            "intents": intents,
            "shard": list(shard),
            "properties": {"$os": "linux", "$browser": "yizhan", "$device": "yizhan"},
        },
    )


def resume(token: str, session_id: str, seq: int) -> str:
    """Op 6. `seq`: the last place that is stored here."""
    return _said(Op.RESUME, {"token": f"QQBot {token}", "session_id": session_id, "seq": seq})


def heartbeat(seq: int | None) -> str:
    """Op 1 with the highest place heard, null before the first."""
    return json.dumps({"op": int(Op.HEARTBEAT), "d": seq}, separators=(",", ":"))


def _said(op: Op, body: dict[str, object]) -> str:
    return _encode({"op": int(op), "d": body}).decode()
