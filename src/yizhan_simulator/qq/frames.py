"""What faults do to single frames of the handshake: the answer comes now, late, never, or is followed by an end."""

from __future__ import annotations

from collections.abc import Callable

from yizhan_simulator.qq import ends, odd
from yizhan_simulator.qq.socket import Socket
from yizhan_simulator.qq.state import QqState
from yizhan_simulator.weather import Fault

Strike = tuple[str, Fault] | None
"""A fault by its name."""


def struck(
    state: QqState, socket: Socket, strike: Strike, now_ms: int, answer: Callable[[int], None]
) -> None:
    """Gives the answer as the fault says: now, late, never, or followed by an end."""
    fault = strike[1] if strike else None
    if fault is None:
        return answer(now_ms)
    match fault.kind:
        case "silence":
            return None
        case "mute":
            return ends.mute(state, socket, now_ms)
        case "close":
            return ends.drop(state, socket, fault.code or 4009, now_ms, fault.reason)
        case "invalid_session":
            return ends.invalidate(state, socket, fault.code, now_ms)
        case "slow":
            return state.shared.later(now_ms + round(fault.delay_s * 1000), answer)
        case _:
            odd.before(state, socket, fault)
            answer(now_ms)
            return _after(state, socket, fault, now_ms)


def _after(state: QqState, socket: Socket, fault: Fault, now_ms: int) -> None:
    if fault.kind == "accept_close":
        ends.drop(state, socket, fault.code or 4009, now_ms, fault.reason)
    if fault.kind == "accept_mute":
        state.shared.later(now_ms + 1, lambda at_ms: ends.mute(state, socket, at_ms))


def name_of(strike: Strike) -> str:
    return strike[0] if strike else ""
