"""Frames that no documentation knows: what a client must survive. They come before the true one, never instead."""

from __future__ import annotations

from yizhan_simulator.qq.socket import Json, Socket
from yizhan_simulator.qq.state import QqState, Session
from yizhan_simulator.weather import Fault

_LOOSE: dict[str, Json | str] = {
    "not_json": '{"op":0,"s":',
    "not_object": "[0, 1]",
    "unknown_op": {"op": 99, "d": {"anything": True}},
    "no_op": {"d": None},
    "wrong_types": {"op": "0", "s": "nine", "t": 7, "d": []},
    "nested": '{"op":0,"d":' + "[" * 5000 + "]" * 5000 + "}",
}
"""Kind → a frame without a number of its own."""

_NUMBERED: dict[str, Json] = {
    "unknown_event": {"t": "SOMETHING_NEW", "id": "SOMETHING_NEW:1", "d": {"id": "1", "content": "?"}},
    "null_d": {"t": "C2C_MESSAGE_CREATE", "id": "C2C_MESSAGE_CREATE:0", "d": None},
    "empty_d": {"t": "C2C_MESSAGE_CREATE", "id": "C2C_MESSAGE_CREATE:0", "d": {}},
}
"""Kind → an event with the next number of the session, which a replay repeats."""


def before(state: QqState, socket: Socket, fault: Fault, session: Session | None = None) -> None:
    if (frame := _LOOSE.get(fault.kind)) is not None:
        socket.put(frame)
    if session is not None and (event := _NUMBERED.get(fault.kind)) is not None:
        session.seq += 1
        numbered = {"op": 0, "s": session.seq, **event}
        session.buffer.append((session.seq, numbered))
        socket.put(numbered)
    state.shared.signal(socket.key)


def altered(fault: Fault, frame: Json) -> Json:
    """The event itself with fields missing that the documentation calls optional, or with new ones."""
    body = frame["d"]
    if fault.kind == "bare" and isinstance(body, dict):
        bare = {name: value for name, value in body.items() if name in _NEEDED}
        return {**{name: value for name, value in frame.items() if name != "id"}, "d": bare}
    if fault.kind == "extra" and isinstance(body, dict):
        return {**frame, "v": 2, "d": {**body, "new_field": {"deep": [1, None]}, "flag": True}}
    return frame


_NEEDED = {
    "id", "author", "content", "timestamp", "group_openid", "channel_id", "guild_id", "openid", "op_member_openid",
}  # fmt: skip
