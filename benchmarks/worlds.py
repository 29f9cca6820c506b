"""Platforms that refuse by a rule nobody can see: what the limiter is measured against.

A `Rule` is data; a `Server` keeps its count of one scope, answers at whole milliseconds, and can say when it
would accept again, which only the all-knowing sender may ask. Written apart from the simulator of the wire and
from the limiter, so that one misreading cannot confirm itself.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Literal

Kind = Literal["aligned", "first", "log", "bucket"]
HintKind = Literal["none", "honest", "scaled", "random"]
PENALTY_MS = 600_000
"""What each refused send adds to a long penalty."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit.

    kind       aligned: windows of `per_ms` by the server's clock; first: they start with the first send;
               log: any `per_ms`; bucket: `count` stored tokens, one more every `per_ms`
    extends    a refused send closes the scope for `per_ms` from then on
    penalty_ms the refusal of the first send too many closes the scope for so long, every later one adds 10 min
    until_ms   from then on the rule after this one in the world holds; 0: for ever
    """

    kind: Kind
    count: int
    per_ms: int
    extends: bool = False
    penalty_ms: int = 0
    until_ms: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """Rules that hold one after the other, and what the server says about its waits (`scale` of the truth)."""

    name: str
    rules: tuple[Rule, ...]
    hint: HintKind = "none"
    scale: float = 1.0


class Server:
    """The state of one scope under a world's rules. `phase` in [0, 1): where its clock stands at the start."""

    def __init__(self, world: World, phase: float, chance: random.Random) -> None:
        self._world, self._phase, self._chance = world, phase, chance
        self._times: deque[int] = deque()
        self._tokens = float(world.rules[0].count)
        self._refilled_ms = 0
        self._blocked_ms = 0
        self._rule = world.rules[0]
        self._began_ms = 0

    def ask(self, now_ms: int) -> tuple[bool, int | None]:
        """Whether it accepts a send now, and the wait it names if not."""
        free_ms = self.free_at(now_ms)
        if free_ms <= now_ms:
            self._take(now_ms)
            return True, None
        rule = self._rule
        if rule.extends:
            self._blocked_ms = now_ms + rule.per_ms
        if rule.penalty_ms:
            closed = self._blocked_ms > now_ms
            self._blocked_ms = self._blocked_ms + PENALTY_MS if closed else now_ms + rule.penalty_ms
        return False, self._hint(self.free_at(now_ms) - now_ms)

    def free_at(self, now_ms: int) -> int:
        """The earliest time, not before now, at which a send would be accepted if none came meanwhile."""
        self._change_rule(now_ms)
        free_ms = max(now_ms, self._blocked_ms, self._room_at(max(now_ms, self._blocked_ms)))
        until_ms = self._rule.until_ms
        return free_ms if not until_ms or free_ms < until_ms else max(now_ms, until_ms)

    def _change_rule(self, now_ms: int) -> None:
        rules = self._world.rules
        while self._rule.until_ms and now_ms >= self._rule.until_ms:
            self._rule = rules[rules.index(self._rule) + 1]
            self._blocked_ms, self._tokens, self._refilled_ms = 0, float(self._rule.count), now_ms
            self._times.clear()

    def _room_at(self, now_ms: int) -> int:
        rule = self._rule
        match rule.kind:
            case "bucket":
                tokens = self._tokens_at(now_ms)
                return now_ms if tokens >= 1 else now_ms + int((1 - tokens) * rule.per_ms) + 1
            case "log":
                held = [time for time in self._times if time > now_ms - rule.per_ms]
                return now_ms if len(held) < rule.count else held[-rule.count] + rule.per_ms
            case "aligned":
                window = self._window(now_ms)
                held = [time for time in self._times if self._window(time) == window]
                return now_ms if len(held) < rule.count else self._window_start(window + 1)
            case "first":
                if now_ms >= self._began_ms + rule.per_ms or not self._times:
                    return now_ms
                return now_ms if len(self._times) < rule.count else self._began_ms + rule.per_ms

    def _take(self, now_ms: int) -> None:
        rule = self._rule
        if rule.kind == "bucket":
            self._tokens, self._refilled_ms = self._tokens_at(now_ms) - 1, now_ms
            return
        if rule.kind == "first" and (now_ms >= self._began_ms + rule.per_ms or not self._times):
            self._times.clear()
            self._began_ms = now_ms
        self._times.append(now_ms)
        while len(self._times) > rule.count:
            self._times.popleft()

    def _tokens_at(self, now_ms: int) -> float:
        return min(self._rule.count, self._tokens + (now_ms - self._refilled_ms) / self._rule.per_ms)

    def _window(self, now_ms: int) -> int:
        return (now_ms + int(self._phase * self._rule.per_ms)) // self._rule.per_ms

    def _window_start(self, window: int) -> int:
        return window * self._rule.per_ms - int(self._phase * self._rule.per_ms)

    def _hint(self, wait_ms: int) -> int | None:
        match self._world.hint:
            case "none":
                return None
            case "honest":
                return wait_ms
            case "scaled":
                return int(wait_ms * self._world.scale)
            case "random":
                return int(wait_ms * self._chance.uniform(0, 3))


def window(count: int, per_s: float, *, first: bool = False, extends: bool = False) -> World:
    kind: Kind = "first" if first or extends else "aligned"
    name = f"window {count}/{per_s:g} s" + (", from the first" if first else "")
    rule = Rule(kind, count, int(per_s * 1000), extends=extends)
    return World(name + (", refusals extend" if extends else ""), (rule,))


def bucket(per_second: float, depth: int) -> World:
    return World(f"bucket {per_second:g}/s, depth {depth}", (Rule("bucket", depth, int(1000 / per_second)),))


def log(count: int, per_s: float) -> World:
    return World(f"sliding log {count}/{per_s:g} s", (Rule("log", count, int(per_s * 1000)),))


def hinted(world: World, hint: HintKind, scale: float = 1.0) -> World:
    name = f"{world.name}, hint {hint}" + (f" x{scale:g}" if hint == "scaled" else "")
    return World(name, world.rules, hint, scale)


def changing(*steps: tuple[int, float, float]) -> World:
    """Windows (count, seconds) that hold until a time in seconds, the last one for ever (0)."""
    rules = tuple(
        Rule("aligned", count, int(per_s * 1000), until_ms=int(until_s * 1000))
        for count, per_s, until_s in steps
    )
    return World("window " + " then ".join(f"{count}/{per_s:g}" for count, per_s, _ in steps), rules)


def penalty(count: int, per_s: float, minutes: int) -> World:
    """A burst too many closes the account for long, and each refused send adds ten minutes."""
    rule = Rule("log", count, int(per_s * 1000), penalty_ms=minutes * 60_000)
    return World(f"penalty {minutes} min after {count}/{per_s:g} s", (rule,))


TUNING: tuple[World, ...] = (
    window(10, 15),
    window(20, 30),
    window(5, 20, first=True),
    window(1, 3),
    window(10, 30, extends=True),
    bucket(0.5, 10),
    bucket(2, 5),
    bucket(0.1, 3),
    log(20, 60),
    changing((20, 15, 90), (5, 30, 390), (20, 15, 0)),
    hinted(window(10, 20), "honest"),
    hinted(window(10, 20), "scaled", 0.25),
    hinted(window(10, 20), "scaled", 6),
    hinted(window(10, 20), "random"),
)
"""The limiter's parameters were chosen on these (and on random worlds of other seeds than the printed one)."""

HELD_OUT: tuple[World, ...] = (
    window(2, 30),
    window(40, 60),
    window(3, 7),
    window(8, 45, first=True),
    window(15, 10, first=True),
    window(30, 40),
    bucket(0.3, 4),
    bucket(1, 15),
    bucket(3, 8),
    bucket(5, 2),
    log(6, 25),
    log(30, 45),
    log(3, 12),
    window(20, 25, extends=True),
    window(6, 12, extends=True),
    changing((10, 20, 120), (30, 20, 0)),
    changing((15, 15, 60), (4, 20, 0)),
    hinted(log(12, 30), "scaled", 3),
)
"""Never used for tuning: chosen before the limiter was written, looked at when it was done."""


def random_world(chance: random.Random) -> World:
    """Windows 2–40 per 3–60 s, buckets 0.1–5/s of depth 1–20, logs, extending blocks, limits that change; hints
    absent, honest or lying."""
    count, per_s = chance.randint(2, 40), round(chance.uniform(3, 60), 1)
    match chance.choice(("window", "first", "bucket", "log", "extends", "changing")):
        case "window":
            world = window(count, per_s)
        case "first":
            world = window(count, per_s, first=True)
        case "bucket":
            world = bucket(round(10 ** chance.uniform(-1, 0.7), 2), chance.randint(1, 20))
        case "log":
            world = log(count, per_s)
        case "extends":
            world = window(count, per_s, extends=True)
        case _:
            other = chance.randint(2, 40), round(chance.uniform(3, 60), 1)
            at_s = round(chance.uniform(3, 10) * per_s)
            world = changing((count, per_s, at_s), (*other, 0))
    match chance.choice(("none", "none", "honest", "short", "long", "random")):
        case "honest":
            return hinted(world, "honest")
        case "short":
            return hinted(world, "scaled", 0.25)
        case "long":
            return hinted(world, "scaled", 6)
        case "random":
            return hinted(world, "random")
        case _:
            return world


def random_worlds(seed: int, count: int) -> tuple[World, ...]:
    chance = random.Random(seed)
    return tuple(random_world(chance) for _ in range(count))


PENALTIES: tuple[World, ...] = tuple(
    penalty(count, per_s, minutes)
    for minutes in (10, 20, 30, 45, 60)
    for count, per_s in ((6, 3_600), (20, 60))
)
