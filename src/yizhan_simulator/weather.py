"""Bad weather: faults of single requests, and outages of the whole server.

A fault first decides whether the request takes *effect*, then what becomes of the answer. The kinds are one
table, `KINDS`. An outage swallows every request for a time.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any, Literal

import msgspec

from yizhan_simulator.knobs import Refusal
from yizhan_simulator.limits import Hint
from yizhan_simulator.wire import JSON_HEADERS, PLAIN, SimReply, Wire, WireKind

HttpKind = Literal[
    "reset_before", "reset_after", "hang", "lost_answer", "slow", "status", "html", "truncated", "cut",
    "null", "list", "number", "text", "bytes", "wrong_types", "nested", "gzip_bomb", "huge", "wrong_length",
    "drip", "empty", "empty_object", "ret0", "refuse", "auth", "ghost",
]  # fmt: skip
FrameKind = Literal[
    "silence", "mute", "close", "invalid_session", "slow", "late", "accept_close", "accept_mute", "lose_gap",
    "replay_older", "double", "double_new_s", "absurd_interval", "not_json", "not_object", "unknown_op", "no_op",
    "wrong_types", "nested", "unknown_event", "null_d", "empty_d", "bare", "extra", "forged", "stale_stamp",
]  # fmt: skip
"""What befalls single frames of a QQ socket, and postings to a webhook; see `qq/session.py`."""

KINDS: dict[str, bool] = {
    "reset_before": False,
    "reset_after": True,
    "hang": False,
    "lost_answer": True,
    "slow": True,
    "status": False,
    "html": False,
    "truncated": True,
    "cut": True,
    "null": True,
    "list": True,
    "number": True,
    "text": True,
    "bytes": True,
    "wrong_types": True,
    "nested": True,
    "gzip_bomb": True,
    "huge": True,
    "wrong_length": True,
    "drip": True,
    "empty": True,
    "empty_object": True,
    "ret0": True,
    "refuse": False,
    "auth": False,
}
"""Kind of a request's fault → does the request take effect, unless the rule says otherwise with `effect`."""

_SENDS = frozenset({"ghost"})
_ACCEPTED = frozenset({"accept_close", "accept_mute"})
_ODD = frozenset({"not_json", "not_object", "unknown_op", "no_op", "wrong_types", "nested"})
_EVENTS = frozenset({"unknown_event", "null_d", "empty_d", "bare", "extra"})
FRAMES: dict[str, frozenset[str]] = {
    "qq.hello": frozenset({"silence", "mute", "close", "slow", "absurd_interval"}) | _ODD,
    "qq.identify": frozenset({"silence", "mute", "close", "slow", "invalid_session"}) | _ACCEPTED | _ODD,
    "qq.heartbeat": frozenset({"silence", "mute", "close", "slow", "invalid_session"}) | _ODD,
    "qq.resume": frozenset(
        {"silence", "mute", "close", "slow", "invalid_session", "lose_gap", "replay_older"}
    )
    | _ACCEPTED
    | _ODD,
    "qq.dispatch": frozenset({"silence", "mute", "close", "late", "double", "double_new_s", "accept_close"})
    | _EVENTS
    | _ODD,
    "qq.webhook": frozenset({"double", "forged", "stale_stamp"}),
}
"""Frame → the kinds that can strike it."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`call`: `sendmessage`, `qq.send.c2c`, `qq.resume` …, `qq.send.*`, or `*` for every request. It strikes
    `times` times (null: always), during `between_s` of the script, with `probability`, optionally for one `user` or
    `bot` only; `skip` lets the first ones pass.
    """

    kind: HttpKind | FrameKind
    call: str = "sendmessage"
    times: int | None = None
    skip: int = 0
    between_s: tuple[float, float] | None = None
    probability: float = 1.0
    effect: bool | None = None
    status: int | None = None
    """null: 502; for a refusal of QQ, what goes with its code."""
    delay_s: float = 60
    chunk: int = 1
    every_ms: int = 1000
    announced: int = 1 << 30
    user: str = ""
    bot: str = ""
    refusal: Refusal = Refusal()
    hint: Hint = Hint(kind="none")
    code: int = 0
    """QQ: of the refusal (`err_code` beside it), or of the close."""
    err_code: int | None = None
    reason: str = ""
    """QQ: the words of the close."""
    count: int = 3
    """`replay_older`: how many events too many."""
    value: Any = -1
    """`absurd_interval`: what HELLO announces."""
    name: str = ""

    def __post_init__(self) -> None:
        known = FRAMES.get(self.call, KINDS.keys() | (_SENDS if self.call.startswith("qq.send") else set()))
        if self.kind not in known:
            raise ValueError(
                f"`{self.kind}` does not befall `{self.call}`; what does: {', '.join(sorted(known))}"
            )

    @property
    def takes_effect(self) -> bool:
        return KINDS.get(self.kind, True) if self.effect is None else self.effect

    def concerns(self, call: str) -> bool:
        if self.call.endswith("*"):
            return call not in FRAMES and call.startswith(self.call[:-1])
        return self.call == call


class Outage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """refuse: no connection; reset: accepted, then reset; hang: accepted, never answered."""

    from_s: float = 0
    to_s: float = 20
    kind: Literal["refuse", "reset", "hang"] = "refuse"
    name: str = ""


@dataclass(slots=True)
class _Armed:
    fault: Fault
    since_ms: int
    seen: int = 0
    struck: int = 0


@dataclass(slots=True)
class Weather:
    rng: Random
    faults: dict[str, _Armed] = field(default_factory=dict)
    outages: dict[str, tuple[Outage, int, int]] = field(default_factory=dict)
    _number: int = 0

    def add_fault(self, fault: Fault, now_ms: int) -> str:
        name = fault.name or self._name("fault")
        self.faults[name] = _Armed(fault, now_ms)
        return name

    def add_outage(self, outage: Outage, now_ms: int) -> str:
        name = outage.name or self._name("outage")
        self.outages[name] = (
            outage,
            now_ms + round(outage.from_s * 1000),
            now_ms + round(outage.to_s * 1000),
        )
        return name

    def _name(self, word: str) -> str:
        self._number += 1
        return f"{word}-{self._number}"

    def remove(self, name: str) -> bool:
        return self.faults.pop(name, None) is not None or self.outages.pop(name, None) is not None

    def outage_at(self, now_ms: int) -> Outage | None:
        for outage, start_ms, end_ms in self.outages.values():
            if start_ms <= now_ms < end_ms:
                return outage
        return None

    def struck(self, name: str) -> int:
        armed = self.faults.get(name)
        return armed.struck if armed else 0

    def pick(self, call: str, bot_id: str, users: tuple[str, ...], now_ms: int) -> tuple[str, Fault] | None:
        """The first fault that strikes this request; `users` are the names the request's user goes by."""
        for name, armed in self.faults.items():
            if _concerns(armed, call, bot_id, users, now_ms) and self._strikes(armed):
                armed.struck += 1
                return name, armed.fault
        return None

    def _strikes(self, armed: _Armed) -> bool:
        armed.seen += 1
        fault = armed.fault
        if armed.seen <= fault.skip:
            return False
        return fault.probability >= 1 or self.rng.random() < fault.probability


def _concerns(armed: _Armed, call: str, bot_id: str, users: tuple[str, ...], now_ms: int) -> bool:
    fault = armed.fault
    if not fault.concerns(call) or (fault.times is not None and armed.struck >= fault.times):
        return False
    if fault.between_s is not None:
        since_s = (now_ms - armed.since_ms) / 1000
        if not fault.between_s[0] <= since_s < fault.between_s[1]:
            return False
    return (not fault.bot or fault.bot == bot_id) and (not fault.user or fault.user in users)


# How the answer is changed. Refusals ("refuse", "auth") are worded by the world, which knows the shapes.

_HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
_TEXT = {"Content-Type": "text/html; charset=utf-8"}
_WRONG_TYPES = {
    "ret": "0", "errcode": [], "errmsg": 7, "message_id": {"id": 1}, "msgs": {"0": None}, "get_updates_buf": 7,
    "access_token": 7, "expires_in": "soon", "url": [], "shards": "one", "session_start_limit": 3, "code": {}, "id": 9,
    "longpolling_timeout_ms": "soon", "typing_ticket": ["x"], "status": 3, "qrcode": None, "upload_param": 1.5,
}  # fmt: skip
_BODIES = {
    "null": b"null",
    "list": b"[]",
    "number": b"42",
    "text": b'"ok"',
    "bytes": b'{"errmsg":"\xff\xfe\x00"}',
    "wrong_types": msgspec.json.encode(_WRONG_TYPES),
    "nested": b'{"msgs":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "empty": b"",
    "empty_object": b"{}",
    "ret0": b'{"ret":0}',
}


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    """128 MiB of spaces in a few hundred kilobytes; made once, piece by piece."""
    packer = zlib.compressobj(level=6, wbits=31)
    pieces = [packer.compress(b'{"errmsg":"')]
    pieces += [packer.compress(b" " * (1 << 20)) for _ in range(128)]
    return b"".join([*pieces, packer.compress(b'"}'), packer.flush()])


def dress(fault: Fault, reply: SimReply) -> SimReply:
    """The reply as it leaves under this fault. Total over all kinds; unknown effects are impossible by type."""
    if fault.kind in _BODIES:
        return SimReply(200, JSON_HEADERS, _BODIES[fault.kind])
    if fault.kind == "status":
        status = fault.status or 502
        return SimReply(status, _TEXT, f"<h1>{status}</h1>".encode())
    if fault.kind == "html":
        return SimReply(200, _TEXT, _HTML)
    if fault.kind == "gzip_bomb":
        return SimReply(200, {**JSON_HEADERS, "Content-Encoding": "gzip"}, _bomb())
    if fault.kind == "truncated":
        return SimReply(reply.status, reply.headers, reply.body[: max(1, len(reply.body) // 2)])
    return SimReply(reply.status, reply.headers, reply.body, _wire(fault, len(reply.body)))


def _wire(fault: Fault, length: int) -> Wire:
    match fault.kind:
        case "reset_before" | "reset_after":
            return Wire(WireKind.RESET)
        case "hang" | "lost_answer":
            return Wire(WireKind.HANG)
        case "slow":
            return Wire(delay_ms=round(fault.delay_s * 1000))
        case "cut":
            return Wire(WireKind.CUT)
        case "drip":
            return Wire(WireKind.DRIP, chunk=max(1, fault.chunk), every_ms=fault.every_ms)
        case "huge":
            return Wire(WireKind.WRONG_LENGTH, announced=fault.announced)
        case "wrong_length":
            return Wire(WireKind.WRONG_LENGTH, announced=length + 10)
        case _:
            return PLAIN


OUTAGE_WIRE = {
    "refuse": Wire(WireKind.REFUSED),
    "reset": Wire(WireKind.RESET),
    "hang": Wire(WireKind.HANG),
}
