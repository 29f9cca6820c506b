"""What came of asking an agent, whatever it did: an outcome, never an exception."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from yizhan.core.text import clean, shorten
from yizhan.model import ChatSession, Reason, TurnState
from yizhan.ports import AgentFailed

DETAIL_MAX = 500
"""Characters of an agent's complaint that the operator sees."""

BROKEN = Reason("turn-broke", "the turn broke in the gateway; its log says how")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent has said. `session`: the one it was asked in, with its own name of it; None: it was not asked.
    `later`: the rest comes through our API. `spoken`: outputs that were accepted before these."""

    outputs: tuple[str, ...] = ()
    session: ChatSession | None = None
    later: bool = False
    spoken: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`defect`: what broke in the gateway itself, to be logged."""

    state: TurnState
    answer: Answer = Answer()
    reason: Reason | None = None
    defect: BaseException | None = None


def outcome_of(work: asyncio.Task[Answer]) -> Outcome:
    """Of an agent that is no longer at work."""
    if work.cancelled():
        return Outcome(TurnState.FAILED, reason=Reason("agent-broke", "it cancelled itself"))
    error = work.exception()
    if error is None:
        answer = work.result()
        return Outcome(TurnState.WAITING if answer.later else TurnState.DONE, answer)
    if isinstance(error, AgentFailed):
        return Outcome(TurnState.FAILED, reason=_bounded(error))
    return Outcome(TurnState.FAILED, reason=BROKEN, defect=error)


def _bounded(error: AgentFailed) -> Reason:
    """For the operator's timeline only: the detail may quote what the agent was asked, so no log has it."""
    return Reason(error.code, shorten(clean(error.detail), DETAIL_MAX))
