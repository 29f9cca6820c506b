"""What both sides do with every request: outages swallow it, faults dress the answer, the ledger hears of it."""

from __future__ import annotations

import msgspec

from yizhan_simulator.ledger import Effect
from yizhan_simulator.state import Exchange, Json, State, Told
from yizhan_simulator.weather import OUTAGE_WIRE, dress
from yizhan_simulator.wire import JSON_HEADERS, SimReply

_decode = msgspec.json.Decoder().decode


def swallowed(state: State, exchange: Exchange) -> SimReply | None:
    """The line's end of it, if an outage is on. Describe the exchange before, so that the ledger knows what is lost."""
    outage = state.weather.outage_at(exchange.now_ms) if state.weather.outages else None
    if outage is None:
        return None
    exchange.draft.effect = Effect.LOST
    state.ledger.note(exchange.now_ms, exchange.call, exchange.draft, 0, f"outage:{outage.kind}")
    return SimReply(0, JSON_HEADERS, b"", OUTAGE_WIRE[outage.kind])


def reply(state: State, exchange: Exchange, told: Told) -> SimReply:
    """As it leaves under the exchange's fault, and noted."""
    body = told.body if isinstance(told.body, bytes) else msgspec.json.encode(told.body)
    answer = SimReply(told.status, told.headers, body)
    wire = ""
    if exchange.fault is not None:
        wire, fault = exchange.fault
        answer = dress(fault, answer)
    state.ledger.note(exchange.now_ms, exchange.call, exchange.draft, answer.status, wire)
    return answer


def parsed(body: bytes) -> Json | None:
    """None: bytes that are no JSON object. No body at all counts as an empty object."""
    if not body:
        return {}
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
