"""The checker: compares what programs were promised, what the store says, and what the platform saw.

Three ledgers that know nothing of each other. A finding is a sentence; a story demands that there are none. Every
check holds the public contract (docs/contract.md) against the books and knows nothing of the gateway's inside.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from simulation.books import Books, Lane, collect, lane_of
from simulation.checker_hooks import HOOKS
from simulation.checker_schedules import SCHEDULES
from simulation.checker_turns import TURNS
from simulation.station import Station
from yizhan.core.allowance import NOTICE_SOURCE
from yizhan.model import Attempt, Entry, Message, MessageClass, MessageState, WaitingFor
from yizhan_simulator.ledger import Effect, Record

_ACKNOWLEDGED = {Effect.SHOWN, Effect.DELAYED, Effect.REPEAT, Effect.DROPPED}
_ON_THE_PHONE = {Effect.SHOWN, Effect.DELAYED}
_NOT_SHOWN = {MessageState.FAILED, MessageState.EXPIRED, MessageState.CANCELLED}
_GIVEN_UP = _NOT_SHOWN | {MessageState.UNCONFIRMED}

AUDIT = "304023"
"""With this code QQ takes a message and holds it back until somebody there has looked at it."""

ARROWS: dict[str, frozenset[str]] = {
    "": frozenset({"queued"}),
    "queued": frozenset({"queued", "sending", "waiting", "expired", "cancelled"}),
    "waiting": frozenset({"waiting", "queued", "sending", "expired", "cancelled", "unconfirmed", "failed"}),
    "sending": frozenset(
        {"sending", "waiting", "queued", "delivered", "unconfirmed", "failed", "expired", "cancelled"}
    ),
    "delivered": frozenset({"delivered"}),
    "unconfirmed": frozenset({"unconfirmed"}),
    "failed": frozenset({"failed"}),
    "expired": frozenset({"expired"}),
    "cancelled": frozenset({"cancelled"}),
}  # fmt: skip
"""State of a part → states that may follow, by nobody's hand (docs/states.md)."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of everything is still good.

    refusals_base, refusals_share, probe_s  refused sends of an account: so many for each chat, so many for each
                    accepted one, one for each inbound message, and one per chat in so many seconds
    failing_per_s   sends in any second of an account that the platform refused or never took
    polls_per_s     polls in any second of an account that brought nothing
    knocks_per_s, knocks_per_min, identifies_per_min  what QQ is asked for on the way to a connection, and new sessions;
                    a start and two resumes by hand may fall together, and a bot may be three shards
    tasks, in_memory  of the process at any time
    stop_ms         from SIGTERM to the end
    overtake_ms     so long after its acceptance a higher class must have been noticed
    """

    refusals_base: int = 12
    refusals_share: float = 0.3
    probe_s: float = 30
    failing_per_s: int = 24
    polls_per_s: int = 4
    knocks_per_s: int = 9
    knocks_per_min: int = 80
    identifies_per_min: int = 16
    tasks: int = 400
    in_memory: int = 4_000
    stop_ms: int = 2_000
    overtake_ms: int = 1_500


BOUNDS = Bounds()
_SPENT = {"window", "allowance", "unknown id"}
SPENT_MAX = 4
"""Refusals of one token: the first, and one for each process that died before it had written that down."""


async def findings(station: Station) -> list[str]:
    """Everything that is not as promised, once all is quiet."""
    return audit(await collect(station))


def audit(books: Books, bounds: Bounds = BOUNDS) -> list[str]:
    """Every check over the books; empty when all is as promised."""
    found = [finding for check in CHECKS for finding in check(books)]
    return found + [finding for measure in MEASURES for finding in measure(books, bounds)]


def lost(books: Books) -> Iterator[str]:
    """Everything accepted is there, and has ended."""
    by_id = {message.id: message for message in books.messages}
    for promise in books.promises:
        if promise.message not in by_id:
            yield f"{promise.message} was accepted and is not in the store"
    for message in books.messages:
        if message.state.live and message.waiting_for is not WaitingFor.AUDIT:  # its result may be lost
            yield f"{message.id} is still {message.state.value} ({message.waiting_for})"


def conserved(books: Books) -> Iterator[str]:
    """What was ever announced is in the store, in the state that was announced last; nothing is there unannounced,
    and no state was left by an arrow that does not exist. So accepted = live + ended, at every commit."""
    passed = {str(message.id) for message, entry in _entries(books) if _audited(entry)}
    parts: dict[str, tuple[str, ...]] = {}
    states: dict[str, str] = {}
    for told in books.events:
        before = parts.get(told.message) or ("",) * len(told.parts)
        for no, (was, now) in enumerate(zip(before, told.parts, strict=False), 1):
            audited = (was, now) == ("waiting", "delivered") and told.message in passed
            if (
                now not in ARROWS[was]
                and not audited
                and not (now == "queued" and told.message in books.retried)
            ):
                yield f"{told.message}/{no} went from {was or 'nothing'} to {now}"
        parts[told.message], states[told.message] = told.parts, told.state
    stored = {str(message.id): message.state.value for message in books.messages}
    for message in states.keys() - stored.keys():
        yield f"{message} was announced as {states[message]} and is gone"
    for message, state in stored.items():
        if states.get(message) != state:
            yield f"{message} is {state}, and was announced as {states.get(message, 'nothing')}"


def unexplained(books: Books) -> Iterator[str]:
    """Whatever was given up says why."""
    for message, entry in _entries(books):
        if entry.state in _GIVEN_UP and (entry.reason is None or not entry.reason.code):
            yield f"{message.id}/{entry.no} is {entry.state.value} without a reason"


def lies(books: Books) -> Iterator[str]:
    """Delivered means that the platform acknowledged it; failed, expired, cancelled that nobody saw it."""
    acknowledged = {record.client_id for record in _sends(books) if record.effect in _ACKNOWLEDGED}
    for message, entry in _entries(books):
        if entry.state is MessageState.DELIVERED and entry.client_id not in acknowledged:
            yield f"{message.id}/{entry.no} is called delivered, and the platform never acknowledged it"
        shown = books.copies.get(entry.client_id, 0)
        if entry.state in _NOT_SHOWN and shown and not entry.possibly_doubled:
            yield f"{message.id}/{entry.no} is called {entry.state.value}, and it is on the phone"


def copies(books: Books) -> Iterator[str]:
    """At most one copy more than doubts, none without the mark, none at all where the platform recognises repeats."""
    for message, entry in _entries(books):
        shown = books.copies.get(entry.client_id, 0)
        doubts = sum(attempt.verdict == "InDoubt" for attempt in entry.attempts)
        revived = books.retried.get(message.id, 0)
        if _bot(message) in books.repeats_from_ms:
            allowed = 1 + revived
        else:
            allowed = 1 if books.dedupes else 1 + doubts + revived
        if shown > allowed:
            yield f"{message.id}/{entry.no} is on the phone {shown} times, with {doubts} doubts"
        if shown > 1 and not entry.possibly_doubled:
            yield f"{message.id}/{entry.no} is doubled on the phone and not marked"


def _doubted(attempt: Attempt) -> bool:
    """Its answer was lost; taken for an audit it is known where it is."""
    return attempt.verdict == "InDoubt" and attempt.code != AUDIT


def _audited_in(shown: list[tuple[Message, Entry]]) -> set[str]:
    """Messages of which a part was held back."""
    return {message.id for message, _ in shown if any(map(_audited, message.entries))}


def _audited(entry: Entry) -> bool:
    return any(attempt.code == AUDIT for attempt in entry.attempts)


def unmarked(books: Books) -> Iterator[str]:
    """Whoever reads a part learns whether it may be there twice, also if it is not."""
    for message, entry in _entries(books):
        if not entry.possibly_doubled and any(map(_doubted, entry.attempts)):
            yield f"{message.id}/{entry.no} was in doubt and is not marked"


def given_up(books: Books) -> Iterator[str]:
    """A wait is not an attempt: only what the platform refused for good is called failed."""
    for message, entry in _entries(books):
        rejected = any(attempt.verdict == "Rejected" for attempt in entry.attempts)
        if entry.state is MessageState.FAILED and not rejected and not _audited(entry):
            yield f"{message.id}/{entry.no} is called failed, and was never refused for good"


def reused(books: Books) -> Iterator[str]:
    """A client id belongs to one text for ever."""
    texts: dict[str, str] = {}
    for record in _sends(books):
        if record.client_id and texts.setdefault(record.client_id, record.text_sha256) != record.text_sha256:
            yield f"client id {record.client_id} was used for two texts"


def keys(books: Books) -> Iterator[str]:
    """The same key, however often, is the same message."""
    promised: dict[str, str] = {}
    for promise in books.promises:
        if promise.key and promised.setdefault(promise.key, promise.message) != promise.message:
            yield f"key {promise.key!r} was answered with {promised[promise.key]} and {promise.message}"
    stored = Counter((message.account, message.idempotency_key) for message in books.messages)
    for (account, key), count in stored.items():
        if key and count > 1:
            yield f"key {key!r} of {account} names {count} messages"


def order(books: Books) -> Iterator[str]:
    """Within a chat and a class nothing older appears behind something newer, be it a second copy. A message
    that was held back for an audit goes on when that is over."""
    for lane, shown in _shown(books).items():
        audited = _audited_in(shown)
        shown = [each for each in shown if each[0].id not in audited]
        newest: dict[int, tuple[int, int]] = {}
        for message, entry in shown:
            if message.source == NOTICE_SOURCE:  # it takes the last place there is, and tells what waits
                continue
            place = message.seq, entry.no
            if place < newest.get(message.klass, place):
                yield f"{message.id}/{entry.no} appeared behind a newer one of its class in {lane[1]}"
            newest[message.klass] = max(place, newest.get(message.klass, place))


def unbroken(books: Books) -> Iterator[str]:
    """A message once begun is finished before another begins, but for the notice that tells why it has to wait. On QQ
    progress has no share in what is kept for answers, or is sent unasked, and the others do not wait for it."""
    for lane, shown in _shown(books).items():
        aside = {MessageClass.NOTICE}
        if lane[0] in books.repeats_from_ms:
            aside.add(MessageClass.PROGRESS)
        audited = _audited_in(shown)
        told = [each for each in shown if each[0].klass not in aside and each[0].id not in audited]
        firsts = dict.fromkeys((message.id, entry.no) for message, entry in told)
        runs = [message for message, _ in firsts]
        runs = [message for place, message in enumerate(runs) if place == 0 or runs[place - 1] != message]
        for message, times in Counter(runs).items():
            if times > 1:
                yield f"the parts of {message} were interrupted by another message in {lane[1]}"


def incoming(books: Books) -> Iterator[str]:
    """What users wrote is in the store once: all of it, or where the platform forgets what it hands over, all that
    came in a reply or frame which was read to its end, but for those on the wire when a process was killed."""
    stored = Counter((received.chat, received.text) for received in books.received)
    said = Counter(((record.bot_id, record.user_id), record.text) for record in _of(books, "say"))
    repeated = Counter(
        ((record.bot_id, record.user_id), record.text)
        for record in _of(books, "say")
        if record.at_ms >= books.repeats_from_ms.get(record.bot_id, 0)
    )
    heard, excused = Counter(books.heard), Counter(books.on_the_wire)
    for (chat, text), times in said.items():
        kept = stored[chat, text]
        forgets = books.consumes and chat[0] not in books.repeats_from_ms
        owed = max(0 if forgets else repeated[chat, text], heard[text] - excused[text])
        if kept < min(owed, times):
            yield f"{text!r} of {chat[1]} was never stored, {min(owed, times) - kept} of {times} times"
        if kept > times:
            yield f"{text!r} of {chat[1]} is stored {kept} times, and was said {times} times"


def convicted(books: Books) -> Iterator[str]:
    """Refused with a token and then accepted without it, and that written down: the token is stale, and never goes
    out again, also after a restart."""
    if books.skewed:
        return
    attempts = {(entry.client_id, n.at_ms): n for _, entry in _entries(books) for n in entry.attempts}
    starts: dict[str, list[int]] = defaultdict(list)
    for client_id, at_ms in attempts:
        starts[client_id].append(at_ms)
    suspects: dict[Lane, set[str]] = defaultdict(set)
    stale: dict[Lane, dict[str, int]] = defaultdict(dict)
    for record in _sends(books):
        lane = record.bot_id, record.user_id
        if (
            record.bot_id in books.repeats_from_ms
        ):  # its messages permit some answers, and are refused by name
            continue
        if record.token in stale[lane] and record.at_ms > stale[lane][record.token]:
            yield f"a request to {record.user_id} carried a token that had been found stale"
        attempt = _attempt(attempts, starts, record)
        if attempt is None or attempt.verdict is None:
            continue
        if attempt.verdict in ("Throttled", "StaleToken") and record.token:
            suspects[lane].add(record.token)
        elif attempt.verdict == "Delivered" and record.token:
            suspects[lane].discard(record.token)
        elif attempt.verdict == "Delivered":
            kept_ms = (attempt.ended_at_ms or attempt.at_ms) + 2_000
            stale[lane] |= dict.fromkeys(suspects[lane], kept_ms)
            suspects[lane].clear()


def _attempt(
    attempts: dict[tuple[str, int], Attempt], starts: dict[str, list[int]], record: Record
) -> Attempt | None:
    """The attempt whose request this record is: the last one begun before it arrived."""
    before = [at_ms for at_ms in starts.get(record.client_id, ()) if at_ms <= record.at_ms]
    return attempts[record.client_id, max(before)] if before else None


def believed(books: Books) -> Iterator[str]:
    """What a message on QQ permits is counted before; where the platform counts otherwise, that is learned from a few
    refusals."""
    refusals = Counter(
        (record.bot_id, record.token)
        for record in _sends(books)
        if record.bot_id in books.repeats_from_ms and record.rule in _SPENT and not record.wire
    )
    for (bot, token), times in refusals.items():
        if times > SPENT_MAX:
            yield f"{bot} tried to answer {token} {times} times after it was refused"


def complained(books: Books) -> Iterator[str]:
    """A gateway that meets a fault of its own says so in its log; here it must not have any."""
    yield from (f"the gateway complained: {complaint}" for complaint in books.complaints)


def asleep(books: Books) -> Iterator[str]:
    """The dispatcher never rests while the process lives."""
    silent = [sample.at_ms for sample in books.samples if not sample.dispatcher]
    if silent:
        yield f"the dispatcher did not run at {len(silent)} of {len(books.samples)} looks, first at {silent[0]}"


def refused(books: Books, bounds: Bounds) -> Iterator[str]:
    """Refused attempts can prolong a penalty: there are few of them, whatever the limit."""
    accepted: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    chats: dict[str, set[str]] = defaultdict(set)
    times: dict[str, list[int]] = defaultdict(list)
    for record in _sends(books):
        accepted[record.bot_id] += record.effect in _ACKNOWLEDGED
        refusals[record.bot_id] += record.effect is Effect.REFUSED
        chats[record.bot_id].add(record.user_id)
        times[record.bot_id].append(record.at_ms)
    heard = Counter(record.bot_id for record in _of(books, "say"))
    for bot, count in refusals.items():
        lasted_s = (times[bot][-1] - times[bot][0]) / 1000
        most = len(chats[bot]) * (bounds.refusals_base + lasted_s / bounds.probe_s)
        most += bounds.refusals_share * accepted[bot] + heard[bot]
        if count > most:
            yield f"{bot} was refused {count} times, {most:.0f} would be bearable"


def stormed(books: Books, bounds: Bounds) -> Iterator[str]:
    """Whatever the backlog and however the platform fails, it is not hammered."""
    failing = [r for r in _sends(books) if r.effect in (Effect.REFUSED, Effect.LOST)]
    for what, records, most in (
        ("failing sends", failing, bounds.failing_per_s),
        ("polls", [r for r in _of(books, "getupdates") if not r.count], bounds.polls_per_s),
    ):
        by_bot: dict[str, list[int]] = defaultdict(list)
        for record in records:
            by_bot[record.bot_id].append(record.at_ms)
        for bot, times in by_bot.items():
            if (busiest := _busiest(times, 1_000)) > most:
                yield f"{bot} made {busiest} {what} within a second, {most} would be bearable"


def knocked(books: Books, bounds: Bounds) -> Iterator[str]:
    """However connections end, QQ is not asked for the next one without a pause, and new sessions are rationed."""
    for call, most_s, most_min in (
        ("qq.gateway_bot", bounds.knocks_per_s, bounds.knocks_per_min),
        ("qq.socket", bounds.knocks_per_s, bounds.knocks_per_min),
        ("qq.token", bounds.knocks_per_s, bounds.knocks_per_min),
        ("qq.identify", bounds.knocks_per_s, bounds.identifies_per_min),
    ):
        times = [record.at_ms for record in _of(books, call)]
        for span_ms, most in ((1_000, most_s), (60_000, most_min)):
            if (busiest := _busiest(times, span_ms)) > most:
                yield f"{busiest} times {call} within {span_ms / 1000:.0f} s, {most} would be bearable"


def bloated(books: Books, bounds: Bounds) -> Iterator[str]:
    """Tasks and windows do not grow with what waits."""
    tasks = max((sample.tasks for sample in books.samples), default=0)
    in_memory = max((sample.in_memory for sample in books.samples), default=0)
    if tasks > bounds.tasks:
        yield f"{tasks} tasks at once, {bounds.tasks} would be bearable"
    if in_memory > bounds.in_memory:
        yield f"{in_memory} messages in memory at once, {bounds.in_memory} would be bearable"


def overtaken(books: Books, bounds: Bounds) -> Iterator[str]:
    """Between messages a higher class goes first. On a clock that was set back times tell no order."""
    if books.set_back:
        return
    lanes: dict[Lane, list[Message]] = defaultdict(list)
    for message in books.messages:
        if (
            message.id not in books.retried
            and message.not_before_ms is None
            and _first_ms(message) is not None
        ):
            lanes[lane_of(message)].append(message)
    for lane, messages in lanes.items():
        messages.sort(key=lambda message: _first_ms(message) or 0)
        for earlier, later in _pairs(messages):
            began_ms = _first_ms(earlier) or 0
            waiting = later.created_at_ms + bounds.overtake_ms < began_ms
            if later.klass < earlier.klass and waiting:
                yield f"{earlier.id} ({earlier.klass.name}) went before {later.id} ({later.klass.name}) in {lane[1]}"


def stopped(books: Books, bounds: Bounds) -> Iterator[str]:
    """SIGTERM is obeyed at once, also in the middle of a storm."""
    for took_ms in books.stops_ms:
        if took_ms > bounds.stop_ms:
            yield f"a stop took {took_ms} ms"


CHECKS: tuple[Callable[[Books], Iterable[str]], ...] = (
    lost, conserved, unexplained, lies, copies, unmarked, given_up, reused, keys, order, unbroken, incoming,
    *TURNS, *SCHEDULES, *HOOKS, convicted, believed, complained, asleep,
)  # fmt: skip
MEASURES: tuple[Callable[[Books, Bounds], Iterable[str]], ...] = (
    refused, stormed, knocked, bloated, overtaken, stopped,
)  # fmt: skip


def _entries(books: Books) -> Iterator[tuple[Message, Entry]]:
    for message in books.messages:
        for entry in message.entries:
            yield message, entry


def _bot(message: Message) -> str:
    return lane_of(message)[0]


def _of(books: Books, call: str) -> list[Record]:
    return [record for record in books.records if record.call == call]


def _sends(books: Books) -> list[Record]:
    return _of(books, "sendmessage")


def _shown(books: Books) -> dict[Lane, list[tuple[Message, Entry]]]:
    """By chat, every bubble that the platform made, in its order, of messages that keep their place: neither dated
    nor revived."""
    owner = {entry.client_id: (message, entry) for message, entry in _entries(books)}
    shown: dict[Lane, list[tuple[Message, Entry]]] = defaultdict(list)
    for record in _sends(books):
        message, entry = owner.get(record.client_id, (None, None))
        if record.effect not in _ON_THE_PHONE or message is None or entry is None:
            continue
        if message.not_before_ms is None and message.id not in books.retried:
            shown[record.bot_id, record.user_id].append((message, entry))
    return shown


def _first_ms(message: Message) -> int | None:
    """When the first attempt at a message began."""
    return min((attempt.at_ms for entry in message.entries for attempt in entry.attempts), default=None)


def _pairs(messages: list[Message]) -> Iterator[tuple[Message, Message]]:
    """Each message with each that began after it, as far as one of them could be out of place."""
    if all(earlier.klass <= later.klass for earlier, later in pairwise(messages)):
        return
    for place, earlier in enumerate(messages):
        for later in messages[place + 1 :]:
            yield earlier, later


def _busiest(times: Iterable[int], span_ms: int) -> int:
    """The most of them within any span."""
    most, window = 0, deque[int]()
    for at_ms in times:
        window.append(at_ms)
        while window[0] <= at_ms - span_ms:
            window.popleft()
        most = max(most, len(window))
    return most


def refusals(station: Station) -> int:
    """Sends that the platform refused."""
    return len(station.world.ledger.select("sendmessage", effect=Effect.REFUSED))


def answered_once(station: Station, user: str, said: Iterable[str]) -> list[str]:
    """Findings about echoes: every text that the user wrote came back exactly once, merged or alone."""
    lines = Counter(line for bubble in station.shown(user) for line in bubble.split("\n"))
    return [f"{text!r} came back {lines[text]} times" for text in said if lines[text] != 1]
