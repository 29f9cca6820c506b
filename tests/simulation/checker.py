"""The checker: compares what programs were promised, what the store says, and what the phones show.

Three ledgers that know nothing of each other. A finding is a sentence; a story demands that there are none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from simulation.station import Station
from yizhan.model import Entry, Message, MessageState
from yizhan_simulator.ledger import Effect

_ACKNOWLEDGED = {Effect.SHOWN, Effect.DELAYED, Effect.REPEAT, Effect.DROPPED}
_NOT_SHOWN = {MessageState.FAILED, MessageState.EXPIRED, MessageState.CANCELLED}


async def findings(station: Station) -> list[str]:
    """Everything that is not as promised, once all is quiet."""
    messages = await station.messages()
    attempts = {message.id: await station.gateway.store.message(message.id) for message in messages}
    full = [attempts[message.id] for message in messages]
    found = [*_lost(station, full), *_lies(station, full), *_copies(station, full), *_order(station, full)]
    return found + [
        f"the simulator saw another text under a used client id: {n} times" for n in _reused(station)
    ]


def _lost(station: Station, messages: Iterable[Message]) -> Iterator[str]:
    """Everything accepted is there, and has ended."""
    by_id = {message.id: message for message in messages}
    for accepted in station.accepted:
        if accepted.id not in by_id:
            yield f"{accepted.id} was accepted and is not in the store"
    for message in by_id.values():
        if message.state.live:
            yield f"{message.id} is still {message.state.value} ({message.waiting_for})"


def _lies(station: Station, messages: Iterable[Message]) -> Iterator[str]:
    """Delivered means that the platform acknowledged it; failed, expired, cancelled that nobody saw it."""
    acknowledged = {
        record.client_id
        for record in station.world.ledger.select("sendmessage")
        if record.effect in _ACKNOWLEDGED
    }
    for message, entry in _entries(messages):
        if entry.state is MessageState.DELIVERED and entry.client_id not in acknowledged:
            yield f"{message.id}/{entry.no} is called delivered, and the platform never acknowledged it"
        shown = station.world.ledger.copies(entry.client_id)
        if entry.state in _NOT_SHOWN and shown and not entry.possibly_doubled:
            yield f"{message.id}/{entry.no} is called {entry.state.value}, and it is on the phone"


def _copies(station: Station, messages: Iterable[Message]) -> Iterator[str]:
    """At most one copy more than doubts, none without the mark, none at all where the platform recognises repeats."""
    for message, entry in _entries(messages):
        shown = station.world.ledger.copies(entry.client_id)
        doubts = sum(attempt.verdict == "InDoubt" for attempt in entry.attempts)
        allowed = 1 if station.world.knobs.client_id_dedupe else 1 + doubts
        if shown > allowed:
            yield f"{message.id}/{entry.no} is on the phone {shown} times, with {doubts} doubts"
        if shown > 1 and not entry.possibly_doubled:
            yield f"{message.id}/{entry.no} is doubled on the phone and not marked"


def _order(station: Station, messages: Iterable[Message]) -> Iterator[str]:
    """Within a chat and a class, first copies appear in the order of acceptance."""
    place: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for record in station.world.ledger.select("sendmessage", effect=Effect.SHOWN):
        place[record.bot_id, record.user_id].setdefault(record.client_id, record.number)
    last: dict[tuple[str, str, int], int] = {}
    for message, entry in _entries(sorted(messages, key=lambda message: message.seq)):
        lane = (message.account.split(":", 1)[1], message.chat)
        number = place[lane].get(entry.client_id)
        if number is None:
            continue
        key = (*lane, message.klass)
        if number < last.get(key, 0):
            yield f"{message.id}/{entry.no} overtook an older one of its class"
        last[key] = max(number, last.get(key, 0))


def _reused(station: Station) -> list[int]:
    differing = station.world.ledger.select("sendmessage", effect=Effect.REPEAT_DIFFERS)
    return [len(differing)] if differing else []


def _entries(messages: Iterable[Message]) -> Iterator[tuple[Message, Entry]]:
    for message in messages:
        for entry in message.entries:
            yield message, entry


def refusals(station: Station) -> int:
    """Sends that the platform refused."""
    return len(station.world.ledger.select("sendmessage", effect=Effect.REFUSED))


def answered_once(station: Station, user: str, said: Iterable[str]) -> list[str]:
    """Findings about echoes: every text that the user wrote came back exactly once, merged or alone."""
    lines = Counter(line for bubble in station.shown(user) for line in bubble.split("\n"))
    return [f"{text!r} came back {lines[text]} times" for text in said if lines[text] != 1]
