"""The ledger: everything that reached the simulator, what became of it, and what the phones show.

Checkers ask it questions; nothing in the simulator decides by it. Entries are numbered from 1 and never change.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class Effect(StrEnum):
    SHOWN = "shown"
    """On the phone's screen."""
    DELAYED = "delayed"
    """Accepted, will be shown later."""
    REPEAT = "repeat"
    """Same client id as an accepted one: answered with the first receipt, nothing shown."""
    REPEAT_DIFFERS = "repeat_differs"
    """As REPEAT, but with another text, which is now lost. A client's error."""
    DROPPED = "dropped"
    """Accepted and never shown."""
    REFUSED = "refused"
    LOST = "lost"
    """Never took effect: a fault or an outage swallowed the request."""
    ANSWERED = "answered"
    """Any other call that did what it is for."""
    PHONE = "phone"
    """Something a person did: said, scanned, confirmed."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line. `wire` names the fault or outage that changed the answer, empty if the answer arrived as meant.

    `token_state`: what the reply token was: fresh, known, unknown, absent, old, expired; empty for other calls.
    `count`: messages handed over (`getupdates`).
    """

    number: int
    at_ms: int
    call: str
    effect: Effect
    bot_id: str = ""
    user_id: str = ""
    client_id: str = ""
    text: str = field(default="", repr=False)
    text_sha256: str = ""
    token: str = field(default="", repr=False)
    token_state: str = ""
    rule: str = ""
    receipt: str = ""
    status: int = 200
    wire: str = ""
    detail: str = ""
    count: int = 0


@dataclass(slots=True)
class Draft:
    """What an endpoint learns while it works; becomes a Record when the answer is made."""

    effect: Effect = Effect.ANSWERED
    bot_id: str = ""
    user_id: str = ""
    client_id: str = ""
    text: str = ""
    token: str = ""
    token_state: str = ""
    rule: str = ""
    receipt: str = ""
    detail: str = ""
    count: int = 0


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Ledger:
    """Keeps the last `limit` records; `dropped` counts what had to go (checkers should demand 0)."""

    def __init__(self, limit: int = 1_000_000) -> None:
        self._records: deque[Record] = deque(maxlen=limit)
        self._number = 0
        self._copies: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        """`call/effect` → how often; never dropped."""
        self.watchers: list[Callable[[Record], None]] = []

    @property
    def dropped(self) -> int:
        return self._number - len(self._records)

    def note(self, at_ms: int, call: str, draft: Draft, status: int = 200, wire: str = "") -> Record:
        self._number += 1
        record = Record(
            self._number, at_ms, call, draft.effect, draft.bot_id, draft.user_id, draft.client_id, draft.text,
            sha256_of(draft.text) if draft.text else "", draft.token, draft.token_state, draft.rule, draft.receipt,
            status, wire, draft.detail, draft.count,
        )  # fmt: skip
        self._records.append(record)
        self.counts[f"{call}/{draft.effect.value}"] += 1
        for watcher in self.watchers:
            watcher(record)
        return record

    def note_shown(self, client_id: str) -> None:
        self._copies[client_id] += 1

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def since(self, number: int, most: int = 1000) -> list[Record]:
        """Records after `number`, oldest first, `most` at most."""
        start = max(0, len(self._records) - (self._number - number))
        return [self._records[place] for place in range(start, min(len(self._records), start + most))]

    def select(
        self, call: str = "", bot_id: str = "", user_id: str = "", effect: Effect | None = None
    ) -> list[Record]:
        """All records that agree with every given argument, oldest first."""
        return [
            record
            for record in self._records
            if (not call or record.call == call)
            and (not bot_id or record.bot_id == bot_id)
            and (not user_id or record.user_id == user_id)
            and (effect is None or record.effect is effect)
        ]

    def copies(self, client_id: str) -> int:
        """How many bubbles this client id has made."""
        return self._copies[client_id]

    def copied(self) -> dict[str, int]:
        """Client ids that are on a screen more than once → how often."""
        return {client_id: count for client_id, count in self._copies.items() if count > 1}

    def sends(self, bot_id: str = "", user_id: str = "") -> list[Record]:
        return self.select("sendmessage", bot_id, user_id)

    def refusals(self, bot_id: str = "", user_id: str = "", rule: str = "") -> list[Record]:
        """Refused sends; `rule` as in the record: a limit's or fault's name, `quota`, `window`, `stale` …"""
        rows = self.select("sendmessage", bot_id, user_id, Effect.REFUSED)
        return [record for record in rows if not rule or record.rule == rule]

    def polls(self, bot_id: str = "") -> list[Record]:
        return self.select("getupdates", bot_id)

    def receipts(self, client_id: str) -> list[str]:
        """Receipts given for this client id, in order; a repeat gives the first one again."""
        return [record.receipt for record in self.sends() if record.client_id == client_id and record.receipt]

    def busiest_second(self, call: str = "sendmessage") -> int:
        """The most requests of one kind within any 1000 ms."""
        most, window = 0, deque[int]()
        for record in self.select(call):
            window.append(record.at_ms)
            while window[0] <= record.at_ms - 1000:
                window.popleft()
            most = max(most, len(window))
        return most
