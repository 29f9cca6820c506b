"""The server's end of a WebSocket: HELLO, the frames that come in, and heartbeats that may not stay away.

A socket comes and goes; a session outlives it. Events are numbered within the session and kept for replay, so a
client that resumes with the last number it has *kept* loses nothing. See `identify.py`, `resume.py`, `ends.py`.

Source: bot.q.qq.com "event-emit" for frames and codes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from yizhan_simulator.ledger import Effect
from yizhan_simulator.qq import ends
from yizhan_simulator.qq.frames import Strike, name_of, struck
from yizhan_simulator.qq.identify import identify
from yizhan_simulator.qq.resume import resume
from yizhan_simulator.qq.socket import Json, Socket
from yizhan_simulator.qq.state import QqState

HELLO, ACK = 10, 11


def opened(state: QqState, now_ms: int) -> Socket:
    """A client has connected: HELLO, and from now on it must send heartbeats."""
    socket = Socket(state.number(), now_ms)
    state.sockets[socket.number] = socket
    _watch(state, socket, now_ms)
    strike = state.strike("qq.hello", "", (), now_ms)
    state.note(now_ms, "qq.hello", "", token=socket.key, wire=name_of(strike))
    struck(state, socket, strike, now_ms, lambda at_ms: _hello(state, socket, strike))
    return socket


def _hello(state: QqState, socket: Socket, strike: Strike) -> None:
    absurd = strike is not None and strike[1].kind == "absurd_interval"
    interval_ms: Any = strike[1].value if strike and absurd else state.knobs.heartbeat_interval_ms
    ends.put(state, socket, {"op": HELLO, "d": {"heartbeat_interval": interval_ms}})


def received(state: QqState, socket: Socket, text: str, now_ms: int) -> None:
    """One frame from the client."""
    if not socket.live:
        state.note(now_ms, "qq.frame", socket.app_id, effect=Effect.LOST, token=socket.key, wire="muted")
        return
    frame = _parsed(text)
    match frame.get("op") if frame else None:
        case 1:
            _heartbeat(state, socket, frame.get("d"), now_ms)
        case 2:
            identify(state, socket, frame.get("d"), now_ms)
        case 6:
            resume(state, socket, frame.get("d"), now_ms)
        case None:
            ends.drop(state, socket, 4002, now_ms)
        case _:
            ends.drop(state, socket, 4001, now_ms)


def _parsed(text: str) -> Json:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _heartbeat(state: QqState, socket: Socket, told: Any, now_ms: int) -> None:
    socket.beat_ms = now_ms
    strike = state.strike("qq.heartbeat", socket.app_id, (), now_ms)
    state.note(
        now_ms, "qq.heartbeat", socket.app_id, token=socket.key, detail=str(told), wire=name_of(strike)
    )  # fmt: skip
    struck(state, socket, strike, now_ms, lambda at_ms: ends.put(state, socket, {"op": ACK}))


def _watch(state: QqState, socket: Socket, now_ms: int) -> None:
    """Drops the connection when op 1 stays away; looks again after each patience."""
    patience_ms = round(state.knobs.heartbeat_interval_ms * state.knobs.heartbeat_tolerance)

    def look(at_ms: int) -> None:
        if socket.ended:
            return
        if at_ms - socket.beat_ms >= patience_ms:
            ends.drop(state, socket, 4009, at_ms)
        else:
            _watch(state, socket, at_ms)

    state.shared.later(max(now_ms + 1, socket.beat_ms + patience_ms), look)
