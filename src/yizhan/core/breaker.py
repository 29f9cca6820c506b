"""Stop after repeated failure, probe, open again. Two uses of one small state.

*host*: nothing can connect. Shut by the first failure, for every account behind that host; one probe every
`probe_ms`, after `slow_after_ms` every `slow_probe_ms`.
*account*: answers stay lost. Shut by failures of several different messages (replies to one message say
something about that message, not about the account), with growing waits.

A shut breaker lets one probe through at a time and costs nothing meanwhile. What waits behind it waits; no
message ever fails because of a breaker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from yizhan.core.backoff import backoff


@dataclass(frozen=True, slots=True)
class BreakerNumbers:
    """What an operator may set (docs/configuration.md, delivery.breaker)."""

    probe_ms: int = 1_500
    slow_after_ms: int = 120_000
    slow_probe_ms: int = 15_000
    in_doubt_base_ms: int = 1_000
    in_doubt_cap_ms: int = 60_000
    in_doubt_threshold: int = 3


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failed`: names of what failed since the last success, at most the threshold of them; `rounds`: probes lost."""

    failed: frozenset[str] = frozenset()
    since_ms: int = 0
    not_before_ms: int = 0
    rounds: int = 0
    shut: bool = False

    def ready_at(self, now_ms: int) -> int:
        """Earliest time of the next request (the probe, if shut); `<= now_ms` means now."""
        return max(now_ms, self.not_before_ms) if self.shut else now_ms


CLOSED = Breaker()


def worked(breaker: Breaker) -> Breaker:
    """A request got its answer: everything flows again."""
    return CLOSED if breaker is not CLOSED else breaker


def unreachable(breaker: Breaker, numbers: BreakerNumbers, now_ms: int, jitter: float) -> Breaker:
    """No connection to the host: shut at once, one probe per interval (±33 %, so that probes do not march in step)."""
    since_ms = breaker.since_ms if breaker.shut else now_ms
    every_ms = numbers.probe_ms if now_ms - since_ms < numbers.slow_after_ms else numbers.slow_probe_ms
    wait_ms = int(every_ms * (0.67 + 0.66 * jitter)) if every_ms == numbers.probe_ms else every_ms
    return Breaker(breaker.failed, since_ms, now_ms + wait_ms, breaker.rounds + 1, True)


def lost_answer(breaker: Breaker, numbers: BreakerNumbers, name: str, now_ms: int, jitter: float) -> Breaker:
    """The answer for `name` was lost. Shuts when `in_doubt_threshold` different names have failed since a success."""
    if len(breaker.failed) < numbers.in_doubt_threshold:
        breaker = replace(breaker, failed=breaker.failed | {name}, since_ms=breaker.since_ms or now_ms)
    if len(breaker.failed) < numbers.in_doubt_threshold:
        return breaker
    rounds = breaker.rounds + 1
    wait_ms = backoff(rounds, numbers.in_doubt_base_ms, numbers.in_doubt_cap_ms, jitter)
    return replace(breaker, rounds=rounds, not_before_ms=now_ms + wait_ms, shut=True)


def answered_elsewhere(breaker: Breaker, now_ms: int) -> Breaker:
    """Who was silent answers again: the probe may go at once, and if one that hung meanwhile is lost as well, the waits
    begin anew."""
    return replace(hurried(breaker, now_ms), rounds=0) if breaker.shut else breaker


def woken(breaker: Breaker, now_ms: int) -> Breaker:
    """The host that we run on has slept: the probe may go at once, and others follow quickly, for its network may come
    up after it."""
    return replace(hurried(breaker, now_ms), since_ms=now_ms) if breaker.shut else breaker


def hurried(breaker: Breaker, now_ms: int) -> Breaker:
    """Evidence of health from elsewhere: the probe may go at once."""
    return replace(breaker, not_before_ms=min(breaker.not_before_ms, now_ms)) if breaker.shut else breaker
