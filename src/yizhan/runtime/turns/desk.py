"""A desk: a chat that is being answered. It lives from the first message to the end of the last turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from yizhan.model import SCHEDULE_SENDER, Inbound, InboundId, Reason, Target, Turn, TurnId
from yizhan.runtime.turns.outcome import Answer

STOPPED = Reason("stopped", "ended by /stop")
INTERRUPTED = Reason("interrupted", "a newer message came, which is answered instead")
STOPPED_BY_OPERATOR = Reason("stopped", "ended by an operator")


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was taken off a desk: turns that are to be ended by name, messages that ask nothing any more; and whether
    there was anything."""

    turns: tuple[Turn, ...] = ()
    asking: tuple[InboundId, ...] = ()
    any: bool = False


@dataclass(slots=True, eq=False)
class Desk:
    """What waits for the next turn of a chat, and the turn that is open.

    turn       the one that is open, None between two
    sender     who wrote what it answers
    agent      who answers
    opened_ms  when the turn was opened here
    answering  from the turn's opening until the agent has answered; until then it can be stopped
    stopped    why it was to end before that, None if nobody said so; who said so first is right
    ending     set once a turn that was to end before that has ended, on disk too; None while there is none
    spoken     some of its answer has been accepted: it cannot begin anew
    steered    a message came that the agent is to know of before it answers
    work       the agent at work, or the wait for a free worker
    """

    target: Target
    pending: list[Inbound] = field(default_factory=list)
    resumed: list[Turn] = field(default_factory=list)
    loop: asyncio.Task[None] | None = None
    turn: TurnId | None = None
    sender: str = ""
    agent: str = ""
    opened_ms: int = 0
    answering: bool = False
    stopped: Reason | None = None
    ending: asyncio.Event | None = None
    spoken: bool = False
    steered: bool = False
    work: asyncio.Task[Answer] | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is open, or waits."""
        return bool(self.answering or self.pending or self.resumed)

    def open(self, agent: str, at_ms: int, sender: str = "") -> None:
        self.agent, self.opened_ms, self.sender = agent, at_ms, sender
        self.answering, self.stopped, self.steered, self.spoken = True, None, False, False

    def close(self) -> None:
        self.turn, self.answering, self.steered, self.work = None, False, False, None

    def stop(self, why: Reason = STOPPED) -> None:
        """The open turn ends as stopped, as soon as it can."""
        if self.answering and self.stopped is None:
            self.stopped, self.ending = why, asyncio.Event()
        if self.work is not None:
            self.work.cancel()

    def ended(self) -> None:
        """The turn that was open has ended, on disk too."""
        if self.ending is not None:
            self.ending.set()
            self.ending = None

    def steer(self) -> None:
        """The agent is to begin anew, with what has come meanwhile; unless the chat has heard some of it already."""
        if self.spoken:
            return
        if self.answering:
            self.steered = True
        if self.work is not None:
            self.work.cancel()

    def drop(self, turn: TurnId) -> None:
        """It is not to be resumed."""
        self.resumed = [waiting for waiting in self.resumed if waiting.id != turn]

    def take_pending(self, whose: str | None = None) -> tuple[Inbound, ...]:
        """What waits; of one person, where that is given."""
        return self.take([waiting for waiting in self.pending if whose in (None, waiting.sender_id)])

    def concerns(self, inbound: Inbound, by_person: bool) -> bool:
        """Whether the message comes from whom the open turn answers. A schedule interrupts nobody, and what it has
        asked is not what a person takes back."""
        if inbound.asked_by_schedule or self.sender.startswith(SCHEDULE_SENDER):
            return False
        return self.sender == inbound.sender_id or not by_person

    def take(self, batch: list[Inbound]) -> tuple[Inbound, ...]:
        taken = {inbound.id for inbound in batch}
        self.pending = [waiting for waiting in self.pending if waiting.id not in taken]
        return tuple(batch)

    def take_resumed(self, whose: str | None = None) -> tuple[Turn, ...]:
        """What is to be resumed; of one person, where that is given, or of nobody's own session."""
        taken = tuple(turn for turn in self.resumed if of_person(turn, whose))
        self.resumed = [turn for turn in self.resumed if turn not in taken]
        return taken


def of_person(turn: Turn, whose: str | None) -> bool:
    """Whether a turn is for a person, or for the whole chat; None: for anybody."""
    return whose is None or turn.person in ("", whose)
