"""How often one may call: a moving window for each key, and for each address that shows wrong keys.

The library's strategy counts; its store is ours, because the library's own reads the machine's clock and works in a
thread. A key that is right always passes the second window: behind a proxy, everybody has one address.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import Storage
from limits.storage.base import MovingWindowSupport
from limits.strategies import MovingWindowRateLimiter

from yizhan.ports import Clock
from yizhan.web.problems import Problem

CALLERS_MAX = 10_000
"""Callers that are remembered; of more, whoever called longest ago is forgotten."""


class Windows(Storage, MovingWindowSupport):
    """Times of calls by caller, on our clock; a store of the library for moving windows only."""

    STORAGE_SCHEME = None
    base_exceptions = ()

    def __init__(self, clock: Clock, callers_max: int = CALLERS_MAX) -> None:
        super().__init__()
        self._clock = clock
        self._callers_max = callers_max
        self._calls: OrderedDict[str, deque[float]] = OrderedDict()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        calls = self._recent(key, expiry)
        if len(calls) + amount > limit:
            return False
        calls.extend([self._now_s()] * amount)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        calls = self._recent(key, expiry)
        return (calls[0] if calls else self._now_s()), len(calls)

    def get_expiry(self, key: str) -> float:
        return self._now_s()

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        forgotten = len(self._calls)
        self._calls.clear()
        return forgotten

    def clear(self, key: str) -> None:
        self._calls.pop(key, None)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("windows that do not move are not counted here")

    def get(self, key: str) -> int:
        raise NotImplementedError("windows that do not move are not counted here")

    def _recent(self, key: str, expiry: int) -> deque[float]:
        calls = self._calls.setdefault(key, deque())
        self._calls.move_to_end(key)
        while len(self._calls) > self._callers_max:
            self._calls.popitem(last=False)
        over_s = self._now_s() - expiry
        while calls and calls[0] <= over_s:
            calls.popleft()
        return calls

    def _now_s(self) -> float:
        return self._clock.now_ms() / 1000


class Quotas:
    """`per_key` and `wrong_keys`: calls a minute, 0: as many as they like."""

    def __init__(self, clock: Clock, per_key: int, wrong_keys: int) -> None:
        self._clock = clock
        self._limiter = MovingWindowRateLimiter(Windows(clock))
        self._per_key = RateLimitItemPerMinute(per_key) if per_key else None
        self._wrong_keys = RateLimitItemPerMinute(wrong_keys) if wrong_keys else None

    def called(self, key: bytes) -> Problem | None:
        """A caller with a right key. None: go on."""
        return self._spend(self._per_key, "key", str(hash(key)), "This key has been used too often.")

    def failed(self, address: str) -> Problem | None:
        """Somebody has shown a wrong key."""
        return self._spend(self._wrong_keys, "address", address, "Too many wrong keys have come from there.")

    def _spend(self, item: RateLimitItem | None, kind: str, who: str, why: str) -> Problem | None:
        if item is None or self._limiter.hit(item, kind, who):
            return None
        reset_s = self._limiter.get_window_stats(item, kind, who).reset_time - self._clock.now_ms() / 1000
        again_s = max(1, int(reset_s + 0.999))
        return Problem(
            "too-many-requests",
            429,
            f"{why} At most {item.amount} a minute are answered.",
            f"Come again in {again_s} s; Retry-After says the same.",
            {"Retry-After": str(again_s)},
        )
