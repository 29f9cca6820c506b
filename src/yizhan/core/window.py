"""What memory holds of a lane: its first live messages, and where the table goes on.

How to think of it: the table lists a lane's live messages by *place*: begun ones, then those that may begin,
by class and order of acceptance, then those whose date is to come, by date. A window is the beginning of
that list. Its *edge* is the place where it was cut off; everything behind the edge is in the table only and
is read when the window is used up. A window without an edge is whole.

A message that the platform holds back for an audit stands in no list: it is in nobody's way, and a window full of
such would hide what may go.

A message that is accepted later takes its place if that is before the edge; else the table has it. When the
date of the edge itself has come, messages behind it may be due as well, and the window is out of date.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

from yizhan.core.allowance import NOTICE_SOURCE
from yizhan.model import Entry, Message, MessageClass, MessageState, WaitingFor

Place = tuple[int, int, int, int]
"""(0 begun, or a notice about the allowance | 1 may begin | 2 has a date to come, that date or 0, class, order of
acceptance)."""

_DATED = 2
_PROGRESS_BEGINS: Place = (1, 0, MessageClass.PROGRESS, 0)


@dataclass(slots=True)
class Window:
    """`messages` are in the order in which they would be sent if all dates had come."""

    messages: list[Message]
    edge: Place | None = None

    @classmethod
    def read(cls, listed: Sequence[Message], truncated: bool, now_ms: int) -> Window:
        """From what the table lists, by place; `truncated`: it has more."""
        edge = place_of(listed[-1], now_ms) if truncated else None
        return cls(sorted(listed, key=_order), edge)

    @property
    def more(self) -> bool:
        """Whether messages may stand behind the edge that may go now, progress aside."""
        return self.edge is not None and self.edge < _PROGRESS_BEGINS

    def outdated(self, now_ms: int) -> bool:
        """Whether the table must be asked before anything is chosen."""
        if self.edge is None:
            return False
        return not self.messages or (self.edge[0] == _DATED and self.edge[1] <= now_ms)

    def head(self, now_ms: int) -> Message | None:
        """What goes next, None if nothing may begin yet."""
        return next((each for each in self.messages if may_begin(each, now_ms)), None)

    def due(self, now_ms: int) -> list[Message]:
        """What may go, in order."""
        return [each for each in self.messages if may_begin(each, now_ms)]

    def due_ms(self, now_ms: int) -> int | None:
        """The earliest date to come, of the window or of its edge; one that has come wakes nobody."""
        dates = [each.not_before_ms or 0 for each in self.messages]
        dates += [self.edge[1]] if self.edge and self.edge[0] == _DATED else []
        return min((date_ms for date_ms in dates if date_ms > now_ms), default=None)

    def outlived(self, now_ms: int) -> bool:
        """Whether the time of a message in it is over."""
        return any(each.expires_at_ms <= now_ms for each in self.messages)

    def take(self, message: Message, now_ms: int, most: int) -> None:
        """A message was accepted, or asked for once more. Known ones are not taken twice, nor what is held back; beyond
        `most` the last one is left to the table."""
        if held_back(message):
            return
        if self.edge is not None and place_of(message, now_ms) > self.edge:
            return
        if any(each.id == message.id for each in self.messages):
            return
        insort(self.messages, message, key=_order)
        if len(self.messages) > most:
            self._cut(now_ms)

    def put(self, message: Message) -> None:
        """A message as it is now; one that has ended leaves, and one that is held back until its audit is over."""
        self.messages = [each for each in self.messages if each.id != message.id]
        if message.state.live and not held_back(message):
            insort(self.messages, message, key=_order)

    def _cut(self, now_ms: int) -> None:
        by_place = sorted(self.messages, key=lambda each: place_of(each, now_ms))
        self.messages.remove(by_place[-1])
        self.edge = place_of(by_place[-2], now_ms)

    def __len__(self) -> int:
        return len(self.messages)


def begun(message: Message) -> bool:
    """Something of it has been on the wire: it is finished before another message begins. One that was revived
    whole begins anew, at its old place in its class; one that is parked has not begun by that."""
    return any(entry.state is not MessageState.QUEUED and not _parked(entry) for entry in message.entries)


def held_back(message: Message) -> bool:
    """The platform has its next part and looks at it first."""
    return message.waiting_for is WaitingFor.AUDIT


def _parked(entry: Entry) -> bool:
    """It waits without ever having been tried."""
    return entry.state is MessageState.WAITING and not entry.attempts_made


def first(message: Message) -> bool:
    """It stands before all that has not begun: begun itself, or a notice that speaks of what has."""
    return begun(message) or message.source == NOTICE_SOURCE


def may_begin(message: Message, now_ms: int) -> bool:
    """Whether its date, if it has one, has come."""
    return not message.not_before_ms or message.not_before_ms <= now_ms or begun(message)


def place_of(message: Message, now_ms: int) -> Place:
    """Where the table lists it. Who else must change: store/queries/lanes.py, MESSAGES."""
    if first(message):
        return (0, 0, message.klass, message.seq)
    if may_begin(message, now_ms):
        return (1, 0, message.klass, message.seq)
    return (_DATED, message.not_before_ms or 0, message.klass, message.seq)


def _order(message: Message) -> tuple[bool, int, int]:
    return (not first(message), message.klass, message.seq)
