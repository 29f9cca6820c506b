"""All that one simulated WeChat knows, in one value that the endpoints share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from yizhan_simulator.agenda import Action, Agenda
from yizhan_simulator.cdn import Cdn
from yizhan_simulator.knobs import Knobs
from yizhan_simulator.ledger import Draft, Ledger
from yizhan_simulator.limits import Limits
from yizhan_simulator.people import Bot, Bubble, Conversation, People
from yizhan_simulator.weather import Fault, Weather
from yizhan_simulator.wire import JSON_HEADERS, SimRequest

Json = dict[str, Any]

FIRST_MESSAGE_ID = 7_498_796_439_671_022_216


@dataclass(frozen=True, slots=True)
class Queued:
    position: int
    message: Json = field(repr=False)


@dataclass(slots=True)
class Inbox:
    """One bot's unconsumed messages. `acked`: the highest position a cursor has come back with; `done`: the last
    messages up to there."""

    queue: deque[Queued] = field(default_factory=deque)
    position: int = 0
    acked: int = 0
    done: deque[Queued] = field(default_factory=lambda: deque(maxlen=64))

    def put(self, message: Json) -> None:
        self.position += 1
        self.queue.append(Queued(self.position, message))

    def acknowledge(self, position: int) -> None:
        self.acked = max(self.acked, min(position, self.position))
        while self.queue and self.queue[0].position <= self.acked:
            self.done.append(self.queue.popleft())


@dataclass(slots=True)
class Login:
    """One QR code. `reported`: the status the client was told last. `tries`: wrong verify codes so far."""

    handle: str
    made_at_ms: int
    expires_at_ms: int
    local_tokens: tuple[str, ...]
    client_version: int
    status: str = "wait"
    reported: str = "wait"
    user_id: str = ""
    verify_code: str = ""
    tries: int = 0
    redirected: bool = False
    confirmed_bot: str = ""


@dataclass(slots=True)
class Exchange:
    """A request under way. `draft` collects what the ledger will say. `until_ms`: end of its long poll."""

    call: str
    request: SimRequest
    body: Json
    bot: Bot | None
    now_ms: int
    fault: tuple[str, Fault] | None
    draft: Draft
    until_ms: int = 0
    cursor: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """An endpoint has nothing to say yet: ask again when `key` is signalled, at the latest at `until_ms`."""

    key: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Told:
    """What an endpoint answers. A dict becomes JSON."""

    body: Json | bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)


Outcome = Told | Waiting


@dataclass(slots=True)
class State:
    rng: Random
    people: People
    limits: Limits
    weather: Weather
    knobs: Knobs = field(default_factory=Knobs)
    ledger: Ledger = field(default_factory=Ledger)
    cdn: Cdn = field(default_factory=Cdn)
    agenda: Agenda = field(default_factory=Agenda)
    inboxes: dict[str, Inbox] = field(default_factory=dict)
    logins: dict[str, Login] = field(default_factory=dict)
    listeners: list[Callable[[str], None]] = field(default_factory=list)
    last_message_id: int = FIRST_MESSAGE_ID
    last_bubble: int = 0
    revision: int = 0
    """Rises whenever a phone page would look different."""

    def signal(self, key: str) -> None:
        for listener in self.listeners:
            listener(key)

    def later(self, at_ms: int, action: Action) -> None:
        self.agenda.at(at_ms, action)
        self.signal("agenda")

    def advance(self, now_ms: int) -> None:
        """Lets everything happen that was due until now."""
        for at_ms, action in self.agenda.due(now_ms):
            action(at_ms)

    def changed(self) -> None:
        self.revision += 1
        self.signal("page")

    def inbox(self, bot_id: str) -> Inbox:
        if (found := self.inboxes.get(bot_id)) is None:
            found = self.inboxes[bot_id] = Inbox()
        return found

    def new_message_id(self) -> int:
        self.last_message_id += 1 + self.rng.getrandbits(10)
        return self.last_message_id

    def show(self, chat: Conversation, bubble: Bubble) -> None:
        chat.bubbles.append(bubble)
        if bubble.from_bot:
            self.ledger.note_shown(bubble.client_id)
        self.changed()

    def next_bubble(self) -> int:
        self.last_bubble += 1
        return self.last_bubble
