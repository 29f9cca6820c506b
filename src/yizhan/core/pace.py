"""The pace of one scope (a chat, or an account) and what refusals have taught about its limit, as values.

How to think of it: the platform lets `fits` requests through and then none until some time after the first of
them. That picture describes fixed windows, sliding logs and refilling buckets well enough. A *run* is what goes
through between two such pauses. How much fits is read off exactly by one run that goes on until it is refused.
The pause is searched from two sides: `hi_ms` is the shortest time, counted from the start of a run, after which
the next one could open; `lo_ms` the longest after which it could not. Where the picture does not fit (a bucket
that holds next to nothing), requests are spaced by `interval_ms` instead.

A scope that was never refused has no limit, and costs next to nothing. core/limiter.py turns replies into the
next pace; nothing here waits or decides about a message.
"""

from __future__ import annotations

from dataclasses import dataclass

FINE_MS = 300
LEARNING_MIN = 4
"""So many must be waiting for a refusal to teach more than a quiet time."""
COSTLY_MS = 300_000
"""Where a pause is longer than this a refusal costs too much to try anything unproven."""
COSTS_PARTS, FINE_PARTS = 5, 30
"""The pause is searched to one part in so many: where a refusal costs a whole pause, and elsewhere."""
TRUST_MAX = 100


@dataclass(frozen=True, slots=True)
class PaceNumbers:
    """What an operator may set (docs/configuration.md, delivery.limiter).

    first_quiet_ms, growth, soft_cap_ms  the waits while nothing is known: the first, and how they grow up to which
    max_quiet_ms                         no wait is longer
    reject_budget                        refusals that may be spent on learning; one more per ten acceptances
    """

    first_quiet_ms: int = 8_000
    growth: float = 3.0
    soft_cap_ms: int = 62_000
    max_quiet_ms: int = 3_600_000
    reject_budget: int = 12


@dataclass(frozen=True, slots=True)
class Search:
    """Where the search for a limit stands. Lost with the process; it is begun anew.

    bursting     the present run goes on until it is refused, to read off how much fits
    loosened     the next opening tries a pause that is shorter than the proven one
    trial_ms     the pause that opened the present run; proven when the run has gone through; 0: none
    to_burst, to_loosen        acceptances since the last try of each; `burst_hold`, `loosen_hold` must be reached
    odd          refusals in a row that contradict what was proven
    early, proven, light, claimed_ms  about the refusals now: one came before the proven pause was over; one after it;
                 there was too little traffic to learn from; the server said that the scope would be open then
    plain        a refusal was seen not to prolong the pause
    extending    runs for which it is believed that refusals prolong it; `believed` is the next such number
    whole_ms     the shortest wait since a refusal that was enough
    clean        acceptances at the present interval
    """

    bursting: bool = False
    loosened: bool = False
    trial_ms: int = 0
    to_burst: int = 0
    to_loosen: int = 0
    burst_hold: int = 15
    loosen_hold: int = 15
    odd: int = 0
    early: bool = False
    proven: bool = False
    light: bool = False
    claimed_ms: int = 0
    plain: bool = False
    extending: int = 0
    believed: int = 8
    whole_ms: int = 0
    clean: int = 0
    interval_hold: int = 8


@dataclass(frozen=True, slots=True)
class Limit:
    """What refusals have taught; 0 where nothing is known.

    fits, lo_ms, hi_ms   see the top of this page
    interval_ms, safe_ms requests are spaced by the first; the second is the shortest that went well
    budget               tenths of refusals that may still be spent on learning
    trust                in the server's hints, at most 100
    quiet_ms             the wait that suits light traffic
    penalties            long ones that followed each other; what ran into the last is kept away from until
                         `wary_until_ms`, and nothing is tried
    log                  times of the last acceptances, the newest last
    """

    fits: int = 0
    lo_ms: int = 0
    hi_ms: int = 0
    interval_ms: int = 0
    safe_ms: int = 0
    budget: int = 120
    trust: int = TRUST_MAX
    quiet_ms: int = 0
    penalties: int = 0
    wary_until_ms: int = 0
    log: tuple[int, ...] = ()
    search: Search = Search()

    @property
    def known(self) -> bool:
        """Both numbers of the picture are."""
        return self.fits > 0 and self.hi_ms > 0

    @property
    def settled(self) -> bool:
        """Nothing is left to search between the two sides."""
        coarse_ms = self.hi_ms // COSTS_PARTS + FINE_MS if self.search.extending else self.hi_ms // FINE_PARTS
        return self.hi_ms - self.lo_ms <= max(min(FINE_MS, self.hi_ms // 8), coarse_ms)

    def whole_ms(self) -> int:
        """After a refusal, if refusals prolong the pause: the shortest wait since one that was enough."""
        whole_ms = self.search.whole_ms
        return min(whole_ms, self.hi_ms) if whole_ms > self.lo_ms else self.hi_ms

    def pause_ms(self) -> int:
        """From the start of a run to the opening of the next: proven, or the middle while it is searched."""
        if self.settled:
            return self.hi_ms
        if self.search.extending:  # a refusal costs a whole pause: nearer to what is proven
            return self.hi_ms - (self.hi_ms - self.lo_ms - self.hi_ms // COSTS_PARTS) // 2
        if self.hi_ms > 2 * self.lo_ms:  # far apart: the middle of the magnitudes
            return max(self.hi_ms // 2, int((self.hi_ms * self.lo_ms) ** 0.5))
        return (self.hi_ms + self.lo_ms) // 2

    def numbers(self) -> tuple[int, int] | None:
        """How many requests fit into how many ms; None while nothing is known."""
        if self.interval_ms:
            return 1, self.interval_ms
        return (self.fits, self.pause_ms()) if self.known else None

    def words(self) -> str:
        """For people: `10 per 20.4 s`, `one per 2.1 s`, or empty while nothing is known."""
        if self.interval_ms:
            return f"one per {self.interval_ms / 1000:g} s"
        return f"{self.fits} per {self.pause_ms() / 1000:g} s" if self.known else ""

    def room_at(self, now_ms: int, last_ms: int, in_flight: int) -> int:
        """When the next request fits, those on the wire counted as accepted now. At most one pause away."""
        if self.interval_ms:
            return min(last_ms, now_ms) + self.interval_ms * (in_flight + 1)
        if self.search.bursting or not self.known:
            return now_ms
        free, pause_ms = self.fits - in_flight, self.pause_ms()
        if free < 1:
            return now_ms + pause_ms
        return min(self.log[-free], now_ms) + pause_ms if len(self.log) >= free else now_ms


@dataclass(frozen=True, slots=True)
class Pace:
    """State of a scope.

    refusals     in a row; `since_ms` the first of them, `refused_ms` the last one ever
    not_before_ms, quiet_ms  nothing goes before the first; the second is the wait that led there
    doubts       lost answers in a row
    run_ms, run_count, last_ms  start of the present run, acceptances in it, time of the last one
    spared       a refusal of the row was not counted, because the reply token was to blame first, or others stood for
                 the first wait
    together     refusals of requests that were on the wire together, up to the last one
    """

    refusals: int = 0
    not_before_ms: int = 0
    quiet_ms: int = 0
    doubts: int = 0
    since_ms: int = 0
    refused_ms: int = 0
    run_ms: int = 0
    run_count: int = 0
    last_ms: int = 0
    spared: bool = False
    together: int = 0
    limit: Limit | None = None

    @property
    def probing(self) -> bool:
        """Only one request at a time may pass, to learn whether the scope is open again."""
        return self.refusals > 0

    @property
    def single(self) -> bool:
        """Only one request at a time may be on the wire: a probe, or one of a spaced row."""
        return self.refusals > 0 or (self.limit is not None and self.limit.interval_ms > 0)

    @property
    def opening(self) -> bool:
        """The next request looks whether the pause after a full run was long enough."""
        limit = self.limit
        return (
            limit is not None and limit.known and not limit.search.bursting and self.run_count >= limit.fits
        )

    def feels(self, in_flight: int) -> bool:
        """The next request goes where nothing is proven: it opens a run, or is more than is known to fit. One alone
        finds out as much as several, and costs one refusal."""
        limit = self.limit
        if limit is None or not limit.hi_ms:
            return False
        beyond = not limit.fits or (limit.search.bursting and self.run_count + in_flight >= limit.fits)
        return beyond or self.opening

    def dared(self, now_ms: int) -> bool:
        """What was refused now had gone earlier, or was more, than is proven: the limit explains it."""
        if self.limit is None or self.refusals:
            return False
        return self.feels(0) and now_ms < self.run_ms + 2 * self.limit.hi_ms

    @property
    def blank(self) -> bool:
        """Nothing is known that would be missed."""
        return not self.refusals and not self.doubts and self.limit is None

    def ready_at(self, now_ms: int, in_flight: int = 0) -> int:
        """Earliest time the scope may send again; `<= now_ms` means now.

        Args:  in_flight  its requests on the wire: they take room before they are accepted
        """
        ready_ms = max(now_ms, self.not_before_ms)
        if self.refusals or self.limit is None:
            return ready_ms
        return max(ready_ms, self.limit.room_at(now_ms, self.last_ms, in_flight))


OPEN = Pace()
