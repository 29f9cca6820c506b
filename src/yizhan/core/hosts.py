"""Which hosts can be reached: one breaker per host, shared by everything that talks to it.

While nothing can connect, one probe per interval speaks for all accounts behind a host, whether a poll or a
send carries it. A claim is the right to be that probe; only who holds it can give it back.
"""

from __future__ import annotations

from yizhan.core import breaker as breakers
from yizhan.core.breaker import Breaker, BreakerNumbers


class Hosts:
    """State by host name. Not thread-safe; lives in the event loop's thread."""

    def __init__(self, numbers: BreakerNumbers) -> None:
        self._numbers = numbers
        self._breakers: dict[str, Breaker] = {}
        self._claims: dict[str, object] = {}

    def breaker(self, host: str) -> Breaker:
        return self._breakers.get(host, breakers.CLOSED)

    def free(self, host: str) -> bool:
        """Whether somebody may send now or at `ready_at`: the host is open, or nobody is probing it."""
        return not self.breaker(host).shut or host not in self._claims

    def claim(self, host: str, by: object = None) -> bool:
        """If the host is shut, the request of `by` is its probe. Answers whether it is."""
        shut = self.breaker(host).shut
        if shut:
            self._claims[host] = by
        return shut

    def release(self, host: str, by: object = None) -> bool:
        """The probe ended without telling anything. Answers whether `by` still held the claim: then others that
        wait for the host are to be told, since nothing else will wake them."""
        held = host in self._claims and self._claims[host] is by
        if held:
            del self._claims[host]
        return held

    def worked(self, host: str) -> bool:
        """A request was answered. Answers whether that is news."""
        self._claims.pop(host, None)
        return self._breakers.pop(host, None) is not None

    def unreachable(self, host: str, now_ms: int, jitter: float) -> Breaker:
        """No connection came about; answers the breaker as it is now."""
        self._claims.pop(host, None)
        shut = breakers.unreachable(self.breaker(host), self._numbers, now_ms, jitter)
        self._breakers[host] = shut
        return shut

    def woken(self, now_ms: int) -> list[str]:
        """We have slept: every host that could not be reached is probed anew. Answers which those are."""
        shut = [host for host, state in self._breakers.items() if state.shut]
        for host in shut:
            self._breakers[host] = breakers.woken(self._breakers[host], now_ms)
        return shut
