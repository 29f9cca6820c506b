"""One connection to QQ's gateway as a function: what it is, what happened, what time it is → what it is, what to do.

    GREETING ──hello──► ENTERING ──READY / RESUMED──► UP
        └────────────────────┴──────── any end ───────┴──► Part

How to think of it: a `Talk` lives as long as one socket. It says what to send (`Say…`), what was heard
(`Deliver`), that we are in (`Entered`), that the server is alive (`Alive`), and at last why it is over (`Part`).
What the next socket has to know is a `Memory`; `after` makes it, and the loss that the account's line is told.

Nothing here gives up. Whatever fails has a next attempt, and whatever repeats waits longer, up to a minute; a
socket that has held for a minute is forgiven. Only READY and RESUMED prove that a connection works, and only an
answered heartbeat that it still does: a socket that is dead on one side takes everything and gives no sign.

Heartbeats are counted, not timed: a process that was starved reads the answers that wait for it before it judges.
Source: hermes-agent #13074, #14539, #19821, #22179; openclaw #114902; bot-node-sdk #94; openclaw-qqbot #18, #313.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from yizhan.platforms.qq import closes
from yizhan.platforms.qq.closes import Ending
from yizhan.platforms.qq.frames import Frame, Op
from yizhan.platforms.qq.session import Session

HELLO_MS = 10_000
"""From the open socket to HELLO."""
ENTER_MS = 20_000
"""From HELLO, or the last event that is replayed, to READY or RESUMED …"""
ENTER_MAX_MS = 120_000
"""… and from HELLO in any case."""
RECONNECT_MS = 2_000
"""After op 7 the server has so long to close; then we do."""
PROBE_MS = 5_000
"""A heartbeat out of turn that is not answered within this means that the socket is dead."""
INTERVAL_MIN_MS, INTERVAL_MAX_MS, INTERVAL_MS = 250, 120_000, 41_250
"""Bounds of a believable heartbeat interval, and what is assumed where none is told."""
BEAT = 0.75
"""Heartbeats go out after this part of the interval, so that three of them tell a dead socket within 2.25."""
MISSED_MAX = 2


class Phase(StrEnum):
    GREETING = "greeting"
    ENTERING = "entering"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Talk:
    """One connection.

    resumes      the session that we come back to; None: we ask for a new one
    rung         which events a new session is asked for with, see `intents.LADDER`
    session      what to come back to next time; None until we are in
    due_ms       in GREETING and ENTERING: when patience ends; in UP: when the next heartbeat is due
    enter_max_ms when patience with a replay ends
    interval_ms  between heartbeats, as the server said it
    missed       heartbeats without an answer
    up_ms        since when we are in
    leave_ms     the server was to close by then (op 7); None: it was not asked to
    probe_ms     a sign of life must come by then; None: none is overdue
    """

    phase: Phase
    resumes: Session | None
    due_ms: int
    rung: int = 0
    session: Session | None = None
    enter_max_ms: int = 0
    interval_ms: int = INTERVAL_MS
    missed: int = 0
    up_ms: int = 0
    leave_ms: int | None = None
    probe_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SayIdentify:
    """Ask for a new session."""


@dataclass(frozen=True, slots=True)
class SayResume:
    session: Session


@dataclass(frozen=True, slots=True)
class SayHeartbeat:
    seq: int | None


@dataclass(frozen=True, slots=True)
class Deliver:
    """An event, and where the session stands with it."""

    frame: Frame
    session: Session


@dataclass(frozen=True, slots=True)
class Entered:
    """READY or RESUMED: the server has let us in."""

    session: Session


@dataclass(frozen=True, slots=True)
class Alive:
    """The server has answered a heartbeat."""


@dataclass(frozen=True, slots=True)
class Part:
    """It is over. `code`: how, for people and programs."""

    code: str
    ending: Ending


Action = SayIdentify | SayResume | SayHeartbeat | Deliver | Entered | Alive | Part
Said = tuple[Talk, tuple[Action, ...]]


def opened(resumes: Session | None, now_ms: int, rung: int = 0) -> Talk:
    """The socket is open; the server greets first."""
    return Talk(Phase.GREETING, resumes, now_ms + HELLO_MS, rung)


def next_ms(talk: Talk) -> int:
    """When `ticked` is due."""
    return min(due for due in (talk.due_ms, talk.leave_ms, talk.probe_ms) if due is not None)


def heard(talk: Talk, frame: Frame, now_ms: int) -> Said:
    """A frame came. What we do not know is passed over."""
    talk = replace(talk, probe_ms=None)
    match frame.op:
        case Op.DISPATCH:
            return _dispatched(talk, frame, now_ms)
        case Op.HELLO if talk.phase is Phase.GREETING:
            return _greeted(talk, frame, now_ms)
        case Op.HEARTBEAT_ACK:
            return replace(talk, missed=0), (Alive(),) if talk.phase is Phase.UP else ()
        case Op.HEARTBEAT:
            return talk, (SayHeartbeat(_seq(talk)),)
        case Op.RECONNECT:
            return replace(talk, leave_ms=now_ms + RECONNECT_MS), ()
        case Op.INVALID_SESSION:
            return talk, (Part("op 9", closes.SESSION_REFUSED),)
        case _:
            return talk, ()


def ticked(talk: Talk, now_ms: int) -> Said:
    """Time has passed; every frame that had come by then has been heard."""
    if talk.leave_ms is not None and now_ms >= talk.leave_ms:
        return talk, (Part("op 7", closes.ASKED_TO_RECONNECT),)
    if talk.probe_ms is not None and now_ms >= talk.probe_ms:
        return talk, (Part("no-sign", closes.MUTE),)
    if now_ms < talk.due_ms:
        return talk, ()
    match talk.phase:
        case Phase.GREETING:
            return talk, (Part("no-hello", closes.NO_HELLO),)
        case Phase.ENTERING:
            return talk, (Part("no-ready", closes.NO_READY),)
        case Phase.UP:
            return _beat(talk, now_ms)


def woken(talk: Talk, now_ms: int) -> Said:
    """The host has slept, or somebody must know now: ask at once whether anybody is still there."""
    if talk.phase is not Phase.UP:
        return talk, ()
    asked = replace(talk, probe_ms=now_ms + PROBE_MS, due_ms=now_ms + int(talk.interval_ms * BEAT))
    return asked, (SayHeartbeat(_seq(talk)),)


def closed(talk: Talk, code: int | None) -> Part:
    """The server closed the socket, or it broke (None)."""
    if talk.leave_ms is not None and code in (None, 1000, 1005, 1006, 4009):
        return Part("op 7", closes.ASKED_TO_RECONNECT)
    return Part("broken" if code is None else f"close {code}", closes.ending_of(code))


def _greeted(talk: Talk, frame: Frame, now_ms: int) -> Said:
    told_ms = frame.body.integer("heartbeat_interval") or INTERVAL_MS
    entering = replace(
        talk,
        phase=Phase.ENTERING,
        interval_ms=min(INTERVAL_MAX_MS, max(INTERVAL_MIN_MS, told_ms)),
        due_ms=now_ms + ENTER_MS,
        enter_max_ms=now_ms + ENTER_MAX_MS,
    )
    return entering, (SayResume(talk.resumes) if talk.resumes else SayIdentify(),)


def _dispatched(talk: Talk, frame: Frame, now_ms: int) -> Said:
    if talk.phase is Phase.GREETING:
        return talk, ()
    if frame.kind == "READY":
        return _ready(talk, frame, now_ms)
    session = _moved(talk.session or talk.resumes, frame.seq)
    if session is None:  # an event before READY: of no session, so nothing could be resumed after it
        return talk, ()
    talk = replace(talk, session=session)
    if frame.kind == "RESUMED":
        return _entered(talk, session, now_ms) if talk.phase is Phase.ENTERING else (talk, ())
    if talk.phase is Phase.ENTERING:  # a replay may be long
        talk = replace(talk, due_ms=min(now_ms + ENTER_MS, talk.enter_max_ms))
    return talk, (Deliver(frame, session),)


def _ready(talk: Talk, frame: Frame, now_ms: int) -> Said:
    session_id = frame.body.text("session_id")[:256]
    if not session_id or talk.phase is Phase.UP:
        return talk, ()
    return _entered(talk, Session(session_id, frame.seq or 0, now_ms, talk.rung), now_ms)


def _entered(talk: Talk, session: Session, now_ms: int) -> Said:
    up = replace(
        talk,
        phase=Phase.UP,
        session=session,
        up_ms=now_ms,
        due_ms=now_ms + int(talk.interval_ms * BEAT),
        missed=0,
    )
    return up, (Entered(session),)


def _beat(talk: Talk, now_ms: int) -> Said:
    if talk.missed >= MISSED_MAX:
        return talk, (Part("no-ack", closes.MUTE),)
    beaten = replace(talk, missed=talk.missed + 1, due_ms=now_ms + int(talk.interval_ms * BEAT))
    return beaten, (SayHeartbeat(_seq(talk)),)


def _seq(talk: Talk) -> int | None:
    session = talk.session or talk.resumes
    return session.seq if session else None


def _moved(session: Session | None, seq: int | None) -> Session | None:
    """The session with this event; a place that goes back, or is missing, moves nothing."""
    if session is None or seq is None or seq <= session.seq:
        return session
    return replace(session, seq=seq)
