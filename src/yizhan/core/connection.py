"""What an account's line does next, from what it has just heard. Decisions only; runtime/connections.py acts.

Every unsuccessful turn, however it failed, passes through here and gets a wait: an error code answered in a
millisecond must not become a hot loop. There is no attempt limit; a state that only a person can end is
probed slowly, so that it ends by itself when the person has acted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from yizhan.model import AccountState, Reason

QUICK_MS = 2_000
"""Longest wait between tries in the first two minutes of an outage …"""
QUICK_FOR_MS = 120_000
SLOW_MS = 15_000
"""… and after them."""
RECYCLE_MS = 500
"""Before a line that the platform has ended is opened anew, at the least."""
PERSON_MS = 600_000
"""Between tries where only a person can end the state."""


class LostKind(StrEnum):
    UNREACHABLE = "unreachable"
    """Nothing could connect: name resolution, connection or TLS failed. It is the host's trouble, and shared."""
    NETWORK = "network"
    """No answer: time-out, reset, a line that died without a word."""
    SERVER = "server"
    """An answer that is none: 5xx, HTML, truncated or odd JSON, an unknown error code."""
    LOGIN = "login"
    """The platform does not accept the login any more."""
    BARRED = "barred"
    """The platform forbids the account; a person must act."""
    RECYCLED = "recycled"
    """The platform wants a new connection, as it does now and then; nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The line is lost for now; `code` and `text` say how, for people. `wait_ms`: the platform wants at least so long
    to pass before the next try."""

    kind: LostKind
    code: str
    text: str
    action: str = ""
    wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class NotGranted:
    """A line works, and the platform keeps from it a part of what it could carry; `action` would change that."""

    text: str
    action: str


@dataclass(frozen=True, slots=True)
class Line:
    """How a line has fared: `failures` and `refusals` (of the login) in a row, and since when.

    `person`: the loss that only a person can end, as the platform last told it. A network that fails meanwhile
    does not hide it.
    """

    failures: int = 0
    refusals: int = 0
    since_ms: int = 0
    person: Lost | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What to do: be in `state`, wait, and `reopen` the line (announce ourselves again) before the next turn."""

    line: Line
    state: AccountState
    wait_ms: int
    reason: Reason | None = None
    action: str = ""
    reopen: bool = False


def step(line: Line, lost: Lost | None, now_ms: int, jitter: float) -> Step:
    """The next step of a line; `lost` is None when the server answered as it should.

    A first failure is `degraded` (one blip), further ones are `down`, as is one after which the platform wants to be
    left alone for long. A refused login is checked once more after announcing ourselves anew, because a passing state
    of the platform looks the same; only then it is `login_needed`. Nothing is deleted in either case.
    Source: Tencent/openclaw-weixin #155 and its pull request 161.
    """
    if lost is None:
        return Step(Line(), AccountState.UP, 0)
    match lost.kind:
        case LostKind.UNREACHABLE | LostKind.NETWORK | LostKind.SERVER:
            return _failed(line, lost, now_ms, jitter)
        case LostKind.RECYCLED:
            wait_ms = max(lost.wait_ms, RECYCLE_MS)
            return Step(Line(), AccountState.DEGRADED, wait_ms, Reason(lost.code, lost.text))
        case LostKind.LOGIN:
            return _login_refused(line, lost, now_ms, jitter)
        case LostKind.BARRED:
            return _for_a_person(line, lost)
        case _:
            assert_never(lost.kind)


def woken(line: Line, now_ms: int) -> Line:
    """The host has slept: tries follow each other quickly again, for its network may come up after it."""
    return replace(line, since_ms=now_ms)


def _failed(line: Line, lost: Lost, now_ms: int, jitter: float) -> Step:
    if line.person is not None:
        return _for_a_person(line, line.person)
    since_ms = line.since_ms if line.failures else now_ms
    quick = now_ms - since_ms < QUICK_FOR_MS
    after = Line(line.failures + 1, 0, since_ms)
    wait_ms = max(_quick_ms(jitter) if quick else SLOW_MS, lost.wait_ms)
    blip = after.failures == 1 and wait_ms < QUICK_FOR_MS
    state = AccountState.DEGRADED if blip else AccountState.DOWN
    return Step(after, state, wait_ms, Reason(lost.code, lost.text))


def _login_refused(line: Line, lost: Lost, now_ms: int, jitter: float) -> Step:
    if line.refusals or line.person:
        return _for_a_person(line, lost)
    after = Line(0, 1, now_ms)
    reason = Reason(lost.code, lost.text)
    return Step(after, AccountState.DEGRADED, _quick_ms(jitter), reason, reopen=True)


def _for_a_person(line: Line, lost: Lost) -> Step:
    """Probed slowly, each time after announcing ourselves anew where the login was refused."""
    login = lost.kind is LostKind.LOGIN
    state = AccountState.LOGIN_NEEDED if login else AccountState.BARRED
    after = Line(0, line.refusals + login, line.since_ms, lost)
    return Step(after, state, PERSON_MS, Reason(lost.code, lost.text), lost.action, reopen=login)


def _quick_ms(jitter: float) -> int:
    return int(QUICK_MS * (0.5 + 0.5 * jitter))
