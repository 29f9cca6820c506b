"""Turns in the books: each message leads to one turn that is answered or visibly failed, and an answer is what the
agent has said, all of it, once, in its order, whatever broke meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from simulation.books import Books, Lane, Speech, lane_of
from yizhan.core.phrases import PHRASES
from yizhan.model import Message, MessageClass, Turn, TurnState

ENDS = {TurnState.DONE.value, TurnState.FAILED.value, TurnState.STOPPED.value}
ARROWS: Mapping[str, frozenset[str]] = {
    "": frozenset({"queued", "running"}),
    "queued": frozenset({"queued", "running", "stopped"}),
    "running": frozenset({"running", "waiting", "done", "failed", "stopped"}),
    "waiting": frozenset({"waiting", "done", "failed", "stopped"}),
    **dict.fromkeys(ENDS, frozenset()),
}
"""State of a turn → states that may follow (docs/states.md). What has ended is not announced again."""
_NOTICES = {PHRASES[language]["turn_failed"] for language in PHRASES}


def answered(books: Books) -> Iterator[str]:
    """Each stored message is asked about in one turn, all turns end, and their outputs are messages. One whose turn was
    stopped may not have been asked about any more."""
    if books.pending:
        yield f"{books.pending} inbound messages were never turned to"
    outputs = Counter(message.turn_id for message in books.messages if message.ordinal is not None)
    for turn in books.turns:
        if turn.state.value not in ENDS:
            yield f"turn {turn.id} is still {turn.state.value}"
        if turn.state is TurnState.DONE and turn.outputs != outputs[turn.id]:
            yield f"turn {turn.id} speaks of {turn.outputs} outputs, and has {outputs[turn.id]}"
    if books.asked is None:
        return
    turns: dict[str, set[str]] = defaultdict(set)
    for asked in books.asked:
        for line in asked.lines:
            turns[line].add(asked.turn)
    stopped = {turn.id for turn in books.turns if turn.state is TurnState.STOPPED}
    for received in books.received:
        if len(turns[received.text]) != 1 and not (received.turn in stopped and not turns[received.text]):
            yield f"{received.text!r} was asked about in {len(turns[received.text])} turns"


def turned(books: Books) -> Iterator[str]:
    """A message belongs to a turn that is in the store, in the state that was announced last; no arrow was taken that
    does not exist, and what failed says why."""
    stored = {str(turn.id): turn for turn in books.turns}
    for received in books.received if books.asked is not None else ():
        if received.turn not in stored and not books.pending:
            yield f"{received.text!r} belongs to no turn"
    states: dict[str, str] = {}
    for told in books.turn_events:
        before = states.get(told.turn, "")
        if told.state not in ARROWS[before]:
            yield f"turn {told.turn} went from {before or 'nothing'} to {told.state}"
        states[told.turn] = told.state
    for name, turn in stored.items():
        if states.get(name) != turn.state.value:
            yield f"turn {name} is {turn.state.value}, and was announced as {states.get(name, 'nothing')}"
        if turn.state is TurnState.FAILED and (turn.reason is None or not turn.reason.code):
            yield f"turn {name} failed without a reason"


def asked_again(books: Books) -> Iterator[str]:
    """Nobody is asked for what he has answered: a crash begins a turn again only if its end was not on disk."""
    ended = {told.turn: told.id for told in books.turn_events if told.state in ENDS}
    for speech in books.speeches or ():
        if ended.get(speech.turn, speech.after + 1) <= speech.after:
            yield f"turn {speech.turn} had ended, and the agent was asked again"


def worded(books: Books) -> Iterator[str]:
    """The outputs of a turn are the words of the last asking, in their order, each as often as it was said; in front of
    them may be what an earlier asking had said first. A turn that was not answered keeps at most that."""
    if books.speeches is None:
        return
    spoken = _by_turn(books.messages)
    speeches: dict[str, list[Speech]] = defaultdict(list)
    for speech in books.speeches:
        speeches[speech.turn].append(speech)
    for turn in books.turns:
        outputs, said = spoken[turn.id], speeches[turn.id]
        if [message.ordinal for message in outputs] != list(range(len(outputs))):
            yield f"the outputs of turn {turn.id} are numbered {[message.ordinal for message in outputs]}"
        if not _explained(turn, outputs, said):
            yield f"turn {turn.id} ({turn.state.value}) does not say what the agent has said"


def _by_turn(messages: list[Message]) -> dict[str, list[Message]]:
    """Outputs in the order in which they were accepted."""
    spoken: dict[str, list[Message]] = defaultdict(list)
    for message in sorted(messages, key=lambda message: message.seq):
        if message.turn_id is not None and message.ordinal is not None:
            spoken[message.turn_id].append(message)
    return spoken


def _explained(turn: Turn, outputs: list[Message], said: list[Speech]) -> bool:
    words = [word for message in outputs for word in message.text.split()]
    first = outputs[0].text.split() if outputs else []
    if turn.state is not TurnState.DONE:
        return not words or (len(outputs) == 1 and any(_begins(speech, words) for speech in said))
    if not said or not said[-1].whole:
        return False
    answer = said[-1].said.split()
    if words == answer:
        return True
    again = answer[: len(first)] == first
    return not again and words == first + answer and any(_begins(speech, first) for speech in said[:-1])


def _begins(speech: Speech, words: list[str]) -> bool:
    return speech.said.split()[: len(words)] == words


def noticed(books: Books) -> Iterator[str]:
    """A failed turn gives the chat at most one short notice, no other turn gives one, and a chat in which turns have
    failed has heard of it."""
    states = {turn.id: turn.state for turn in books.turns}
    told = Counter(message.turn_id for message in books.messages if _is_notice(message))
    for turn_id, times in told.items():
        if turn_id is not None and states.get(turn_id) is not TurnState.FAILED:
            yield f"turn {turn_id} is {states[turn_id].value}, and the chat was told that it failed"
        if times > 1:
            yield f"the chat was told {times} times that turn {turn_id} failed"
    heard = {lane_of(message) for message in books.messages if _is_notice(message)}
    for turn in books.turns:
        lane: Lane = (turn.account.split(":", 1)[1], str(turn.chat))
        if turn.state is TurnState.FAILED and lane not in heard:
            yield f"turn {turn.id} failed, and nobody in {lane[1]} has heard of it"


def _is_notice(message: Message) -> bool:
    return message.klass is MessageClass.NOTICE and message.turn_id is not None and message.text in _NOTICES


TURNS: tuple[Callable[[Books], Iterable[str]], ...] = (answered, turned, asked_again, worded, noticed)
