"""Rate limits, as a platform that does not explain itself might have them.

A rule counts accepted sends per scope (a chat, an account, or each of both) and refuses the rest. All rules
are asked first; a send counts only if none refuses. A rule may punish: `extend_s` adds to the block with each
refusal, `cooldown_s` starts it anew. Hints about when to come back may be missing, true or false.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal, Protocol

import msgspec

from yizhan_simulator.knobs import Refusal

HintKind = Literal["none", "honest", "short", "long", "random", "garbage"]
HintPlace = Literal["retry_after", "retry_after_ms", "retryAfter", "header"]


class Hint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """short: a quarter of the truth; long: six times; random: 0-3 times; garbage: no number at all."""

    kind: HintKind = "honest"
    place: HintPlace = "retry_after"


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`window`: aligned to the clock. `window_first`: starts with the first send. `log`: any `per_s` seconds.
    `bucket`: `count` stored tokens, one more every `per_s / refill` seconds (`refill` tokens per `per_s`).
    """

    kind: Literal["window", "window_first", "log", "bucket"] = "window"
    count: int = 5
    per_s: float = 20
    refill: float = 1
    scope: Literal["chat", "account", "both"] = "account"
    extend_s: float = 0
    cooldown_s: float = 0
    between_s: tuple[float, float] | None = None
    """In force during this part of the script only: limits that change are several rules."""
    hint: Hint = Hint(kind="none")
    refusal: Refusal = Refusal(ret=-2, errmsg="rate limited")
    code: int = 22009
    """QQ's word for it."""
    name: str = ""

    def __post_init__(self) -> None:
        if self.count < 1 or self.per_s <= 0 or self.refill <= 0:
            raise ValueError("a limit needs count >= 1, per_s > 0 and refill > 0")


class Counter(Protocol):
    def ready_at(self, now_ms: int) -> int:
        """Earliest time the next send passes; `<= now_ms` means now."""
        ...

    def take(self, now_ms: int) -> None: ...


@dataclass(slots=True)
class _Window:
    count: int
    per_ms: int
    aligned: bool
    start_ms: int = -(10**18)
    used: int = 0

    def ready_at(self, now_ms: int) -> int:
        end = self.start_ms + self.per_ms
        return end if now_ms < end and self.used >= self.count else now_ms

    def take(self, now_ms: int) -> None:
        if now_ms >= self.start_ms + self.per_ms:
            self.start_ms = now_ms - now_ms % self.per_ms if self.aligned else now_ms
            self.used = 0
        self.used += 1


@dataclass(slots=True)
class _Log:
    count: int
    per_ms: int
    times: deque[int] = field(default_factory=deque)

    def ready_at(self, now_ms: int) -> int:
        while self.times and self.times[0] + self.per_ms <= now_ms:
            self.times.popleft()
        return now_ms if len(self.times) < self.count else self.times[0] + self.per_ms

    def take(self, now_ms: int) -> None:
        self.times.append(now_ms)


@dataclass(slots=True)
class _Bucket:
    depth: int
    per_token_ms: float
    level: float
    at_ms: int | None = None

    def _fill(self, now_ms: int) -> None:
        if self.at_ms is not None:
            self.level = min(self.depth, self.level + (now_ms - self.at_ms) / self.per_token_ms)
        self.at_ms = now_ms

    def ready_at(self, now_ms: int) -> int:
        self._fill(now_ms)
        # Less than a nanosecond is rounding, not waiting.
        return now_ms + max(0, math.ceil((1 - self.level) * self.per_token_ms - 1e-6))

    def take(self, now_ms: int) -> None:
        self._fill(now_ms)
        self.level = max(0.0, self.level - 1)


def _counter(rule: Limit) -> Counter:
    per_ms = max(1, round(rule.per_s * 1000))
    if rule.kind == "bucket":
        return _Bucket(rule.count, per_ms / rule.refill, float(rule.count))
    if rule.kind == "log":
        return _Log(rule.count, per_ms)
    return _Window(rule.count, per_ms, aligned=rule.kind == "window")


@dataclass(frozen=True, slots=True)
class Denial:
    """`ready_at_ms`: when the rule would really let the next one through."""

    rule: Limit
    ready_at_ms: int


@dataclass(slots=True)
class _Gate:
    counter: Counter
    blocked_until_ms: int = 0

    def ready_at(self, now_ms: int) -> int:
        return max(self.blocked_until_ms, self.counter.ready_at(now_ms))

    def punish(self, rule: Limit, now_ms: int) -> None:
        if rule.extend_s:
            self.blocked_until_ms = self.ready_at(now_ms) + round(rule.extend_s * 1000)
        if rule.cooldown_s:
            self.blocked_until_ms = max(self.blocked_until_ms, now_ms + round(rule.cooldown_s * 1000))


@dataclass(slots=True)
class Limits:
    rules: dict[str, tuple[Limit, int]] = field(default_factory=dict)
    """Name → rule and the time from which `between_s` counts."""
    _gates: dict[tuple[str, str], _Gate] = field(default_factory=dict)
    _number: int = 0

    def add(self, rule: Limit, now_ms: int) -> str:
        self._number += 1
        name = rule.name or f"limit-{self._number}"
        self.remove(name)
        self.rules[name] = (rule, now_ms)
        return name

    def remove(self, name: str) -> bool:
        self._gates = {key: gate for key, gate in self._gates.items() if key[0] != name}
        return self.rules.pop(name, None) is not None

    def ask(self, bot_id: str, user_id: str, now_ms: int) -> tuple[str, Denial] | None:
        """None: all rules let the send pass, and it is counted. Else the rule that blocks longest."""
        if not self.rules:
            return None
        gates = list(self._in_force(bot_id, user_id, now_ms))
        closed = [(gate.ready_at(now_ms), name, rule, gate) for name, rule, gate in gates]
        closed = [row for row in closed if row[0] > now_ms]
        if not closed:
            for _, _, gate in gates:
                gate.counter.take(now_ms)
            return None
        for _, _, rule, gate in closed:
            gate.punish(rule, now_ms)
        _, name, rule, gate = max(closed, key=lambda row: row[0])
        return name, Denial(rule, gate.ready_at(now_ms))

    def _in_force(self, bot_id: str, user_id: str, now_ms: int) -> Iterator[tuple[str, Limit, _Gate]]:
        for name, (rule, since_ms) in self.rules.items():
            if rule.between_s and not _within(rule.between_s, now_ms - since_ms):
                continue
            for scope in _scopes(rule, bot_id, user_id):
                key = (name, scope)
                if (gate := self._gates.get(key)) is None:
                    gate = self._gates[key] = _Gate(_counter(rule))
                yield name, rule, gate


def _within(between_s: tuple[float, float], since_ms: int) -> bool:
    return between_s[0] * 1000 <= since_ms < between_s[1] * 1000


def _scopes(rule: Limit, bot_id: str, user_id: str) -> Sequence[str]:
    chat = f"{bot_id}/{user_id}"
    return {"chat": (chat,), "account": (bot_id,), "both": (chat, bot_id)}[rule.scope]


_GARBAGE = ("soon", "-1", "NaN", "", "1e999", "Wed, 31 Feb 2026 25:61:00 GMT", "[]")


def hint_fields(hint: Hint, wait_ms: int, rng: Random) -> tuple[dict[str, object], dict[str, str]]:
    """What a refusal adds to (body, headers) to tell, or not to tell, the remaining `wait_ms`."""
    if hint.kind == "none":
        return {}, {}
    if hint.kind == "garbage":
        word = rng.choice(_GARBAGE)
        return ({}, {"Retry-After": word or "-"}) if hint.place == "header" else ({hint.place: word}, {})
    factor = {"honest": 1.0, "short": 0.25, "long": 6.0, "random": rng.random() * 3}[hint.kind]
    told_ms = math.ceil(wait_ms * factor)
    if hint.place == "retry_after_ms":
        return {hint.place: told_ms}, {}
    seconds = math.ceil(told_ms / 1000)
    return ({}, {"Retry-After": str(seconds)}) if hint.place == "header" else ({hint.place: seconds}, {})
