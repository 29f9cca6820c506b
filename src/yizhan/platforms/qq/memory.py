"""What one connection leaves to the next: with which session it begins, what it asks for, how long it waits.

Rules, each bought with somebody's outage:

- A session that was refused once is given up; one whose connection broke twice while it was being resumed, too
  (nobody knows whether the break was the refusal). Only a new session proves anything then. One that was resumed well
  is given up only if that ends within a moment again and again: what was said since it began waits in it.
- A session is replaced when it is a day old: old ones were seen to resume well and to deliver nothing.
- Waits grow with every connection that did not hold for a minute, whatever ended it, and never exceed a minute
  unless the platform itself asks for more; there is no number of attempts after which we stop.
- New sessions are rationed by the platform (`ration.py`): when many were asked for, the next waits a minute.
Source: hermes-agent #22179, #13074; bot-node-sdk #94; bot-docs #191 (day); openclaw-qqbot #18 (ration).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from yizhan.core.connection import Lost, LostKind
from yizhan.platforms.qq import closes
from yizhan.platforms.qq.closes import After, Ending
from yizhan.platforms.qq.intents import LADDER
from yizhan.platforms.qq.line import Part, Phase, Talk
from yizhan.platforms.qq.session import Session

STEADY_MS = 60_000
"""A connection that has held so long was a good one."""
WAITS_MS = (1_000, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000)
"""Before the next connection, by how many in a row did not hold; a fifth more or less by chance."""
SPREAD = 0.2
FRESH_MS = 20 * 3_600_000
FRESH_SPREAD_MS = 4 * 3_600_000
"""From this age on, and at most so much later, a session is to be replaced by a new one, beside it and in peace …"""
OLD_MS = 48 * 3_600_000
"""… and from this one on it is not resumed any more."""
RESUMES_BROKEN_MAX = 2
MOMENT_MS = 5_000
RESUMES_HOLLOW_MAX = 5
"""Resumed, and over within a moment, so often in a row: such a session is not worth coming back to."""
ASK_INTENTS = (
    "the bot may receive no kind of message: ask for the events of groups and single chats on q.qq.com, under "
    "development, callback or event settings"
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Kept while the account's line is open; what must survive the process is the cursor.

    given_up   the session that is not to be resumed, whatever the cursor says
    broken     connections in a row that broke while they resumed
    hollow     connections in a row that were resumed and over within a moment
    short      connections in a row that did not hold
    rung       how far down the ladder of intents we are
    """

    given_up: str = ""
    broken: int = 0
    hollow: int = 0
    short: int = 0
    rung: int = 0


def to_resume(memory: Memory, session: Session | None, now_ms: int) -> Session | None:
    """The session to come back to; None: ask for a new one."""
    if session is None or session.id == memory.given_up or now_ms - session.born_ms >= OLD_MS:
        return None
    return session


def is_due(session: Session, now_ms: int, jitter: float) -> bool:
    """Whether it is time for a new session. `jitter` spreads the renewals of many bots over some hours."""
    return now_ms - session.born_ms >= FRESH_MS + int(FRESH_SPREAD_MS * jitter)


def after(
    memory: Memory, talk: Talk, part: Part, now_ms: int, jitter: float, stretched: bool = False
) -> tuple[Memory, Lost]:
    """A connection is over: what is remembered of it, and how the line is lost. `stretched`: too many new sessions were
    asked for of late."""
    steady = talk.phase is Phase.UP and now_ms - talk.up_ms >= STEADY_MS
    before, memory = memory, replace(memory, short=0 if steady else memory.short + 1)
    memory = _about_session(memory, talk, part, now_ms)
    ending = part.ending
    if talk.phase is Phase.ENTERING and memory.given_up != before.given_up:
        # a resume was refused: the server is well, and wants another kind of try, which need not wait for what made
        # the last ones fail
        return memory, Lost(
            LostKind.RECYCLED, part.code, ending.text, wait_ms=max(ending.wait_ms, WAITS_MS[0])
        )
    if ending.after is After.FEWER_INTENTS:
        return _fewer(memory, part, jitter, stretched)
    if ending.after is After.BARRED:
        return memory, Lost(LostKind.BARRED, part.code, ending.text, ending.action)
    return memory, Lost(
        _kind(part, steady), part.code, ending.text, wait_ms=_wait_ms(memory, ending, jitter, stretched)
    )


def woken(memory: Memory) -> Memory:
    """The host has slept: what did not hold before says nothing about now."""
    return replace(memory, short=0)


def failed(memory: Memory, lost: Lost, jitter: float) -> tuple[Memory, Lost]:
    """A step before the socket failed (token, address, connection). The server never saw us, so the session stays;
    where nothing can connect, the line's own rhythm is enough."""
    if lost.kind in (LostKind.UNREACHABLE, LostKind.BARRED):
        return memory, lost
    memory = replace(memory, short=memory.short + 1)
    wait_ms = max(lost.wait_ms, _pause_ms(memory, jitter))
    return memory, replace(lost, wait_ms=wait_ms)


def _about_session(memory: Memory, talk: Talk, part: Part, now_ms: int) -> Memory:
    session = talk.resumes or talk.session
    if session is None or part.ending in (closes.FULL, closes.LEFT):  # that was us
        return memory
    if part.ending.after is After.IDENTIFY:
        return _given_up(memory, talk.session or session)
    if talk.resumes is None:
        return replace(memory, broken=0, hollow=0)
    match talk.phase:
        case Phase.GREETING:  # it was not asked yet
            return memory
        case Phase.ENTERING:
            memory = replace(memory, broken=memory.broken + 1)
            refused = _says_no(part) or memory.broken >= RESUMES_BROKEN_MAX
            return _given_up(memory, session) if refused else memory
        case Phase.UP:
            hollow = memory.hollow + 1 if now_ms - talk.up_ms < MOMENT_MS else 0
            memory = replace(memory, broken=0, hollow=hollow)
            return _given_up(memory, session) if hollow >= RESUMES_HOLLOW_MAX else memory
        case _:
            assert_never(talk.phase)


def _given_up(memory: Memory, session: Session) -> Memory:
    return replace(memory, given_up=session.id, broken=0, hollow=0)


def _says_no(part: Part) -> bool:
    """A close with a code of the platform's own, while we wait to be let in, refuses the session. A bad token and too
    much haste do not: they say nothing about it."""
    code = part.code.removeprefix("close ")
    return code.isdigit() and int(code) >= 4_000 and code not in ("4004", "4008")


def _fewer(memory: Memory, part: Part, jitter: float, stretched: bool) -> tuple[Memory, Lost]:
    """One rung down; below the last one only a person helps, and then we try from the top."""
    if memory.rung + 1 < len(LADDER):
        lower = replace(memory, rung=memory.rung + 1)
        wait_ms = _wait_ms(lower, part.ending, jitter, stretched)
        text = f"{part.ending.text}; fewer are asked for"
        return lower, Lost(LostKind.SERVER, part.code, text, wait_ms=wait_ms)
    return replace(memory, rung=0), Lost(LostKind.BARRED, part.code, part.ending.text, ASK_INTENTS)


def _kind(part: Part, steady: bool) -> LostKind:
    """An ordinary end of a connection that held is no trouble; the same after a moment is."""
    if part.ending.ordinary and steady:
        return LostKind.RECYCLED
    return LostKind.SERVER if part.code.startswith(("close", "op")) else LostKind.NETWORK


def _wait_ms(memory: Memory, ending: Ending, jitter: float, stretched: bool) -> int:
    return max(ending.wait_ms, _pause_ms(memory, jitter), WAITS_MS[-1] if stretched else 0)


def _pause_ms(memory: Memory, jitter: float) -> int:
    pause_ms = WAITS_MS[min(memory.short, len(WAITS_MS) - 1)]
    return int(pause_ms * (1 - SPREAD + 2 * SPREAD * jitter))
