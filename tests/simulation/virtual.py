"""Virtual time: an event loop that jumps to the next timer when everybody waits.

A day passes in a second, and the same seed gives the same run. When nothing is ready and no timer is set,
nobody will ever wake: that is a deadlock, and an error. Work in a thread would be missed while the clock jumps, so
that the same story ended now this way, now that: it is an error too.

A loop with a seed also shuffles what is ready at the same moment: nothing in the gateway may depend on who of
two comes first, so each seed is another interleaving. Steps of the loop are counted; at a chosen one something
may strike (`strike_at`), and the whole process may be stopped for a while (`freeze`), as by SIGSTOP.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import random
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_MS = 1_790_000_000_000
"""Where virtual time begins: some day in September 2026."""
RESYNC_TOLERANCE_MS = 2_000


class Deadlock(RuntimeError):
    """Everybody waits and no timer is set."""


class ThreadUsed(RuntimeError):
    """A thread worked for somebody in virtual time, whose clock does not wait for it."""


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.on_step: Callable[[], bool] = lambda: False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        woken = self.on_step()
        ready = super().select(0)
        if ready or woken:
            return ready
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        self.now_s += max(timeout, 0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose clock is the selector's. `seed` None keeps the order of call-backs."""

    def __init__(self, seed: int | None = None) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._shuffle = None if seed is None else random.Random(seed).shuffle
        self._strike: tuple[int, Callable[[], None]] | None = None
        self._thread = threading.get_ident()
        self._stranger: str | None = None
        self.steps = 0
        self._jumping.on_step = self._step

    def time(self) -> float:
        return self._jumping.now_s

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        raise ThreadUsed(f"{func!r} was given to a thread")

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        if threading.get_ident() != self._thread:
            self._stranger = repr(callback)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def freeze(self, for_s: float) -> None:
        """Nothing runs for so long; then everything that fell due meanwhile is ready at once."""
        self._jumping.now_s += for_s

    def strike_at(self, step: int, strike: Callable[[], None]) -> None:
        """Calls `strike` between two steps, before step number `step` runs. A second call replaces the first."""
        self._strike = step, strike

    def strike_no_more(self) -> None:
        self._strike = None

    def _step(self) -> bool:
        """Between two steps. Answers whether something is ready to run."""
        if self._stranger is not None:
            raise ThreadUsed(f"another thread wanted {self._stranger} called")
        self.steps += 1
        if self._strike is not None and self.steps >= self._strike[0]:
            strike, self._strike = self._strike[1], None
            strike()
        ready = self._ready  # type: ignore[attr-defined]  # the queue of asyncio.BaseEventLoop
        if self._shuffle is not None and len(ready) > 1:
            order = list(ready)
            self._shuffle(order)
            ready.clear()
            ready.extend(order)
        return bool(ready)


def run(work: Coroutine[Any, Any, T], seed: int | None = None) -> T:
    """Runs a coroutine in virtual time, to its end. With a seed, ready call-backs are shuffled by it."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(seed)) as runner:
        return runner.run(work)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a story: it runs to its end, and no waiting in it takes time."""

    @functools.wraps(test)
    def told(*given: P.args, **named: P.kwargs) -> None:
        run(test(*given, **named))

    return told


def the_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


class Host:
    """The machine and the world around it: what time it really is, what its wall clock says, and whether it gets out.
    `knocks_ms`: when it tried to, in vain."""

    def __init__(self) -> None:
        self._slept_ms = 0
        self._wrong_ms = 0
        self.cut_off = ""
        self._cut_off_from = ""
        self.knocks_ms: list[int] = []

    def loses_the_world(self, words: str, name: str = "") -> None:
        """From now on nothing that it asks for leaves it, for this reason, or nothing that it asks of one host; what is
        open breaks. Empty: all is well."""
        self.cut_off, self._cut_off_from = words, name

    def knocks(self, url: str) -> str:
        """Something is asked for. Answers why it does not leave; empty: it does."""
        if not self.cut_off or self._cut_off_from not in url:
            return ""
        self.knocks_ms.append(self.true_ms())
        return self.cut_off

    def true_ms(self) -> int:
        """The platform's time."""
        return self.monotonic_ms() + self._slept_ms

    def wall_ms(self) -> int:
        return self.true_ms() + self._wrong_ms

    def monotonic_ms(self) -> int:
        """Stands still while the host sleeps."""
        return START_MS + int(the_loop().time() * 1000)

    def sleep(self, for_ms: int) -> None:
        """The lid is closed for a while; afterwards the wall clock is right, and nobody was told."""
        self._slept_ms += for_ms

    def set_clock(self, by_ms: int) -> None:
        """Somebody sets the wall clock forward or back; the world does not care."""
        self._wrong_ms += by_ms


class VirtualClock:
    """`ports.Clock` of one process on a host, with the rules of runtime/clock.py: a jump ahead is followed when
    somebody looks, a clock set back is not."""

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or Host()
        self._offset_ms: int | None = None

    def now_ms(self) -> int:
        return self.host.monotonic_ms() + self._offset()

    def resync(self) -> int:
        ahead_ms = self.host.wall_ms() - self.now_ms()
        if abs(ahead_ms) <= RESYNC_TOLERANCE_MS:
            return 0
        if ahead_ms > 0:
            self._offset_ms = self._offset() + ahead_ms
        return ahead_ms

    def has_slept(self) -> bool:
        return self.host.wall_ms() - self.now_ms() > RESYNC_TOLERANCE_MS

    async def sleep_until(self, at_ms: int) -> None:
        await self.sleep_ms(at_ms - self.now_ms())

    async def sleep_ms(self, wait_ms: int) -> None:
        await asyncio.sleep(max(0, wait_ms) / 1000)

    def _offset(self) -> int:
        """From the monotonic to the wall clock, as it was when this process first looked."""
        if self._offset_ms is None:
            self._offset_ms = self.host.wall_ms() - self.host.monotonic_ms()
        return self._offset_ms


class SeededChance:
    """`ports.Chance` from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = 0

    def fork(self) -> int:
        """A seed for somebody else's chance."""
        return self._random.getrandbits(32)

    def jitter(self) -> float:
        return self._random.random()

    def new_id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count:06d}{self._random.getrandbits(32):08x}"

    def token_hex(self, size: int) -> str:
        return self._random.randbytes(size).hex()
