"""The three ledgers as plain values: what programs, agents and users know, what the store says, what the platform
saw. `collect` reads them from a station at rest; the checker compares them and knows nothing else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulation.books_hooks import Addressed
from simulation.books_qq import PLATFORM as QQ
from simulation.books_qq import qq_records, qq_targets, repeats_from_ms
from simulation.books_schedules import Kept
from simulation.station import Station
from yizhan.model import AccountId, ChatId, Event, Inbound, Message, Target, Turn
from yizhan_simulator.ledger import Effect, Record

PAGE = 500

Lane = tuple[str, str]
"""(account's external id, user id)"""


@dataclass(frozen=True, slots=True)
class Promise:
    """A program was told that its message is accepted."""

    message: str
    key: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the stream, as programs read it: a message's state and those of its parts."""

    id: int
    message: str
    state: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """An agent was asked: the turn, and the lines it was given."""

    turn: str
    lines: tuple[str, ...]


@dataclass(slots=True)
class Speech:
    """What an agent said when it was asked once: the turn, the newest event before it was asked, its words so far, and
    whether they are all."""

    turn: str
    after: int = 0
    said: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class TurnTold:
    """An event of the stream: a turn's state."""

    id: int
    turn: str
    state: str


@dataclass(frozen=True, slots=True)
class Received:
    """An inbound message in the store, and the turn it belongs to, None if it asks nothing."""

    chat: Lane
    text: str
    turn: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The gateway at one moment, while it ran: its tasks, messages in memory, and whether its dispatcher runs."""

    at_ms: int
    tasks: int
    in_memory: int = 0
    dispatcher: bool = True


@dataclass(slots=True)
class Books:
    """Everything a checker may know.

    promises     what programs were told, in order
    asked        what the agent was asked; None: nobody answers. `speeches`: what it said, asking by asking
    heard        texts of users that the process has read from a reply to its end
    on_the_wire  of these, those of a reply that was on the wire when a process was killed, or stopped with a full disk
    messages     every message in the store with its attempts, oldest first; `events` of the whole stream
    received     every inbound message in the store; `turns` every turn, `turn_events` those of the stream
    pending      how many inbound messages nobody has turned to yet
    records      the platform's ledger; `copies`: bubbles per client id
    repeats_from_ms  by bot on QQ: what is said from then on is repeated until it is kept; before, a session may have
                 ended with it. Such a bot's repeats are recognised, or not made
    consumes     the platform forgets what it has handed over; `dedupes`: it recognises a client id
    retried      messages that somebody revived, and how often
    samples      looks at the running gateway
    schedules    as their authors know them, with their history, None: nobody looked; `run_events`: as the stream told
    programs     that are posted events; `stream`: all events, as they are kept
    skewed       the gateway's clock was not the platform's for a while: their times cannot be compared; `set_back`:
                 it was set back
    complaints   errors that were logged and call-backs that broke; `stops_ms`: how long each SIGTERM took
    """

    promises: list[Promise] = field(default_factory=list)
    asked: list[Asked] | None = None
    speeches: list[Speech] | None = None
    heard: list[str] = field(default_factory=list)
    on_the_wire: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    turn_events: list[TurnTold] = field(default_factory=list)
    pending: int = 0
    records: list[Record] = field(default_factory=list)
    copies: Mapping[str, int] = field(default_factory=dict)
    repeats_from_ms: Mapping[str, int] = field(default_factory=dict)
    consumes: bool = False
    dedupes: bool = True
    retried: Mapping[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    schedules: list[Kept] | None = None
    run_events: list[str] = field(default_factory=list)
    programs: list[Addressed] = field(default_factory=list)
    stream: list[Event] = field(default_factory=list)
    skewed: bool = False
    set_back: bool = False
    complaints: list[str] = field(default_factory=list)
    stops_ms: list[int] = field(default_factory=list)


async def collect(station: Station) -> Books:
    """The ledgers of a station whose gateway is running or at least open."""
    store, world = station.gateway.store, station.world
    listed = await station.messages()
    messages = [await store.message(message.id) for message in listed]
    events = await _events(station)
    books = Books(
        promises=[Promise(each.id, each.idempotency_key, each.text) for each in station.accepted],
        heard=[*station.heard()],
        on_the_wire=list(station.on_the_wire),
        messages=messages,
        events=[_message_told(event) for event in events if event.type == "message.state"],
        turn_events=[_turn_told(event) for event in events if event.type == "turn.state"],
        run_events=[json.loads(each.data)["run"]["id"] for each in events if each.type == "schedule.run"],
        stream=events,
        pending=len(await store.pending_inbound()),
        records=[record for record in world.ledger if not record.call.startswith("qq.")],
        copies={
            entry.client_id: world.ledger.copies(entry.client_id) for m in messages for entry in m.entries
        },
        consumes=world.knobs.inbound == "consume",
        dedupes=world.knobs.client_id_dedupe,
    )
    _enter_qq(station, books)
    weixin = [
        Target(AccountId(f"weixin:{chat.bot_id}"), ChatId(chat.user_id)) for chat in world.conversations()
    ]
    for target in [*weixin, *qq_targets(world)]:
        rows = await _rows(station, target)
        lane = (target.account.split(":", 1)[1], str(target.chat))
        books.received += [Received(lane, row.text, row.turn_id) for row in rows if isinstance(row, Inbound)]
        books.turns += [row for row in rows if isinstance(row, Turn)]
    return books


def _enter_qq(station: Station, books: Books) -> None:
    seen = list(qq_records(station.world, books.messages))
    if not seen:
        return
    books.records = sorted([*books.records, *seen], key=lambda record: record.number)
    ours = {entry.client_id for m in books.messages if m.account.startswith(QQ) for entry in m.entries}
    shown = Counter(record.client_id for record in seen if record.effect in (Effect.SHOWN, Effect.DELAYED))
    books.copies = {**books.copies, **{client_id: shown[client_id] for client_id in ours}}
    entered_ms = station.entered_ms()
    books.repeats_from_ms = {
        bot: max(began_ms, entered_ms) for bot, began_ms in repeats_from_ms(station.world).items()
    }


async def _rows(station: Station, target: Target) -> Iterable[Any]:
    rows: list[Any] = []
    before: str | None = None
    while True:
        page = await station.gateway.store.timeline(target, before, PAGE)
        rows += page.rows
        before = page.next
        if before is None:
            return rows


async def _events(station: Station) -> list[Event]:
    told: list[Event] = []
    while events := await station.gateway.store.events_after(told[-1].id if told else 0, PAGE):
        told += events
    return told


def _message_told(event: Event) -> Told:
    message = json.loads(event.data)["message"]
    return Told(event.id, message["id"], message["state"], tuple(part["state"] for part in message["parts"]))


def _turn_told(event: Event) -> TurnTold:
    turn = json.loads(event.data)["turn"]
    return TurnTold(event.id, turn["id"], turn["state"])


def lane_of(message: Message) -> Lane:
    return message.account.split(":", 1)[1], message.chat
