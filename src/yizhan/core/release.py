"""Order and release: which message of a lane goes, with what is left of its allowance.

How to think of it: the window lists what may go in order (begun ones, then by class). The first one goes while
something is left; what stands behind it waits its turn. Four things bend that rule:

- *The last send.* It is kept for the end of an answer, or for a notice that says how many parts remain. If
  exactly what is left fits, it goes without one.
- *The answer to come.* While a turn is open, one send is kept for its answer.
- *Progress* goes only while more than a reserve is left. Progress that may not go stands in nobody's way.
- *The extra send.* At a parked chat one part may try, rarely, whether more is permitted (core/allowance.py).

A part in doubt goes in any case, while the send that is entered for it still stands; so does one of which the table
says that it was begun: the store's answer to that got lost, and what is begun is finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yizhan.core import unasked as unaskeds
from yizhan.core.allowance import NOTICE_SOURCE, SPENT, Allowance, Closed, Ledger, closed, left
from yizhan.core.unasked import Unasked
from yizhan.model import ChatId, Entry, Message, MessageClass, MessageState, Reason, WaitingFor


@dataclass(frozen=True, slots=True)
class Purse:
    """What a chat may spend. `expecting`: a turn is open whose answer is to come. `again`: an extra send was refused
    just now, and the other way, with or without the reply token, belongs to it. `unasked`: what is known of messages
    that nobody asked for. `tokenless`: there is no reply token to answer with."""

    ledger: Ledger
    allowance: Allowance
    expecting: bool = False
    again: bool = False
    unasked: Unasked = unaskeds.NOTHING
    tokenless: bool = False

    def asked_closed(self, now_ms: int) -> Closed | None:
        """Why nothing may go that counts in the allowance, None if something may."""
        if self.tokenless and self.allowance.rule.strict:
            return NO_TOKEN
        return closed(self.ledger, self.allowance, now_ms)

    def closed(self, now_ms: int) -> Closed | None:
        """Why nothing may go, asked or unasked."""
        over, quota = self.asked_closed(now_ms), self.allowance.rule.unasked
        if over is None or quota is None:
            return over
        held = unaskeds.shut(self.unasked, quota, now_ms)
        if held is None:
            return None
        if held.at_ms is not None or self.tokenless:
            return Closed(held.waiting_for, held.reason, held.at_ms)
        return over

    def left(self, now_ms: int) -> int | None:
        """Sends that are believed left, asked and unasked; None: without a bound."""
        remaining, quota = left(self.ledger, self.allowance), self.allowance.rule.unasked
        if quota is None or remaining is None:
            return remaining
        more = unaskeds.left(self.unasked, quota, now_ms)
        return None if more is None else (0 if self.asked_closed(now_ms) else remaining) + more


@dataclass(frozen=True, slots=True)
class Go:
    """This part goes, as far as the allowance is concerned."""

    message: Message
    entry: Entry


@dataclass(frozen=True, slots=True)
class Tell:
    """A notice is due: it takes the last send."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A notice that has not gone and would say what is no longer so."""

    message: Message


@dataclass(frozen=True, slots=True)
class Parked:
    """Nothing goes but by an event, or at `at_ms`; None: not by time alone. `lasting`: until the other side writes."""

    message: Message
    entry: Entry
    waiting_for: WaitingFor
    reason: Reason
    at_ms: int | None
    lasting: bool


Step = Go | Tell | Withdraw | Parked

NO_TOKEN = Closed(
    WaitingFor.USER,
    Reason("never-written", "the other side has not written yet; its first message releases this one"),
    None,
)
ANSWER_FIRST = Reason("answer-first", "what is left of the allowance is kept for the answer being written")
PROGRESS_LAST = Reason("progress-last", "what is left of the allowance is kept for the answer")


def pick(due: Sequence[Message], more: bool, purse: Purse, now_ms: int) -> Step | None:
    """What is to be done next in a lane; None if there is nothing.

    Args:  due   the messages that may go, in the window's order
           more  the table may have further ones, progress and those of a later date aside
    """
    held: Parked | None = None
    for message in due:
        step = _step(message, due, more, purse, now_ms)
        if not isinstance(step, Parked) or message.klass is not MessageClass.PROGRESS:
            return step
        held = held or step
    return held


def _step(message: Message, due: Sequence[Message], more: bool, purse: Purse, now_ms: int) -> Step:
    entry = head_of(message)
    if entry.state is MessageState.SENDING:
        return Go(message, entry)
    progress = message.klass is MessageClass.PROGRESS
    over = purse.asked_closed(now_ms) if progress else purse.closed(now_ms)
    if (
        message.source == NOTICE_SOURCE
        and not entry.in_doubt
        and (over or _pointless(message, due, more, purse))
    ):
        return Withdraw(message)
    if over is not None:
        return _at_a_parked_chat(message, entry, over, purse, now_ms)
    remaining = left(purse.ledger, purse.allowance) if progress else purse.left(now_ms)
    if remaining is None or (entry.in_doubt and purse.ledger.pending):
        return Go(message, entry)
    if progress:
        if remaining - purse.expecting <= purse.allowance.rule.progress_reserve:
            return Parked(message, entry, WaitingFor.ALLOWANCE, PROGRESS_LAST, None, lasting=False)
        return Go(message, entry)
    if remaining <= purse.expecting:
        return Parked(message, entry, WaitingFor.ALLOWANCE, ANSWER_FIRST, None, lasting=False)
    if remaining > 1 or purse.asked_closed(now_ms):  # no notice is worth a message that nobody asked for
        return Go(message, entry)
    return _at_the_last(message, entry, due, more, purse)


def _pointless(notice: Message, due: Sequence[Message], more: bool, purse: Purse) -> bool:
    """The other side has written since, or nothing is left to speak of."""
    if notice.idempotency_key != notice_key(notice.chat, purse.ledger):
        return True
    return not purse.allowance.sends or not (parts_left(due) or more)


def _at_a_parked_chat(message: Message, entry: Entry, shut: Closed, purse: Purse, now_ms: int) -> Go | Parked:
    if entry.in_doubt and purse.ledger.pending and shut.reason.code == SPENT:
        return Go(message, entry)
    probe = purse.again or (shut.probe_at_ms is not None and shut.probe_at_ms <= now_ms)
    if probe and message.klass is not MessageClass.PROGRESS:
        return Go(message, entry)
    at_ms = None if message.klass is MessageClass.PROGRESS else shut.probe_at_ms
    return Parked(message, entry, shut.waiting_for, shut.reason, at_ms, lasting=True)


def _at_the_last(
    message: Message, entry: Entry, due: Sequence[Message], more: bool, purse: Purse
) -> Go | Tell:
    """The notice, the end of an answer, or what fits exactly."""
    fits = parts_left(due) <= 1 and not more
    if message.source == NOTICE_SOURCE or fits or not purse.allowance.notice:
        return Go(message, entry)
    if message.klass is MessageClass.REPLY and _unsent(message) == 1:
        return Go(message, entry)
    notice = next((each for each in due if each.source == NOTICE_SOURCE), None)
    if notice is not None:
        return Go(notice, head_of(notice))
    return Go(message, entry) if purse.ledger.noticed else Tell()


def head_of(message: Message) -> Entry:
    """The first part that is still to be sent."""
    return next(entry for entry in message.entries if entry.state.live)


def notice_key(chat: ChatId, ledger: Ledger) -> str:
    """Under which the notice of an allowance is accepted: at most one for each."""
    return f"allowance:{chat}:{ledger.key}"


def parts_left(due: Sequence[Message]) -> int:
    """Parts that are still to be sent, progress and notices of this kind aside."""
    return sum(
        _unsent(message)
        for message in due
        if message.klass is not MessageClass.PROGRESS and message.source != NOTICE_SOURCE
    )


def _unsent(message: Message) -> int:
    return sum(entry.state.live for entry in message.entries)
