"""When a person must know: what raises an alert, what clears it, and how it is kept from being a flood.

How to think of it. A *look* is taken every few seconds: at the accounts, at what waits and what ended badly, at
the store. `concerns` says what is wrong at this moment; the `Board` compares that with what it knew before. One
alert of a kind is open for an account (or for the gateway itself) however many messages and chats share the
trouble, so that the rows are bounded by accounts and kinds, never by messages.

    not there ──(wrong, for its patience)──► open ──(well again, for its calm)──► cleared
                                              ▲                                     │
                                              └────(wrong again within an hour)─────┘

Only the arrows are told (event, log line); a trouble that goes on, or grows, only counts. What a look could not
find out (the store was not readable, an account has yet to say how it is) clears nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from yizhan.core.connection import NotGranted
from yizhan.model import (
    Account,
    AccountId,
    AccountState,
    Alert,
    AlertKind,
    ChatId,
    MessageId,
    Reason,
    ScheduleId,
    Severity,
)

PATIENCE_MS = {AlertKind.WAITING: 10_000, AlertKind.STORE: 30_000}
"""So long a trouble must last before it is raised; others at once."""
CALM_MS = 60_000
"""So long it must be gone before it is cleared …"""
AT_ONCE = frozenset(
    {
        AlertKind.UNCONFIRMED,
        AlertKind.LOGIN_NEEDED,
        AlertKind.BARRED,
        AlertKind.IN_DOUBT,
        AlertKind.NOT_GRANTED,
    }
)
"""… but for these, whose end is as clear as their beginning."""
REOPENED_MS = 3_600_000
"""A trouble that comes back within this time is the same alert."""
KEPT_QUIET_MS = 600_000
"""Of a trouble that goes on nothing is written more often than this."""

CRITICAL = frozenset({AlertKind.LOGIN_NEEDED, AlertKind.BARRED, AlertKind.UNCONFIRMED, AlertKind.STORE})

_FROM_STORE = frozenset(
    {
        AlertKind.WAITING,
        AlertKind.QUEUE,
        AlertKind.IN_DOUBT,
        AlertKind.DEAD_LETTER,
        AlertKind.EXPIRED,
        AlertKind.UNCONFIRMED,
        AlertKind.SCHEDULE,
    }
)
_OF_LOGIN = frozenset({AlertKind.LOGIN_NEEDED, AlertKind.BARRED})
_UNWELL = frozenset({AccountState.STARTING, AccountState.DEGRADED, AccountState.DOWN})


@dataclass(frozen=True, slots=True)
class AlertNumbers:
    """What an operator may set (docs/configuration.md, `alerts`); 0 switches a rule off.

    queue   messages that wait for an account
    ghosts  sends in a row that were owed a receipt and got none
    """

    down_ms: int = 300_000
    waiting_ms: int = 900_000
    limited_ms: int = 3_600_000
    queue: int = 10_000
    dead_letter_ms: int = 86_400_000
    ghosts: int = 3
    disk_free_bytes: int = 500 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pile:
    """Messages of one account that share a trouble.

    chat, message  of the oldest of them, where they still wait; of the newest, where they have ended
    since_ms       since when that one waits, or when it ended
    """

    account: AccountId
    chat: ChatId
    message: MessageId
    messages: int
    chats: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class GhostRun:
    """Sends in a row that were owed a receipt and got none. `chat` None: over several chats of the account."""

    account: AccountId
    chat: ChatId | None
    in_a_row: int


@dataclass(frozen=True, slots=True)
class Troubles:
    """What the store knows of messages that fare badly."""

    waiting: tuple[Pile, ...] = ()
    held: tuple[Pile, ...] = ()
    failed: tuple[Pile, ...] = ()
    expired: tuple[Pile, ...] = ()
    ghosts: tuple[GhostRun, ...] = ()
    queues: tuple[tuple[AccountId, int], ...] = ()
    """How many messages wait for an account, where they are too many."""
    schedules: tuple[tuple[ScheduleId, Reason], ...] = ()
    """Those that cannot be carried out."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is so at one moment.

    began_ms       when the gateway began to look
    limited_since  accounts of which something is refused, and since when without a break
    not_granted    accounts that hear less than they could
    troubles       None: the store could not be read
    store          why writes fail, None if they do not
    free_bytes     room left for the store, None where nobody knows
    """

    now_ms: int
    began_ms: int
    accounts: tuple[Account, ...]
    limited_since: Mapping[AccountId, int]
    not_granted: Mapping[AccountId, NotGranted]
    troubles: Troubles | None
    store: Reason | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class Concern:
    """Something is wrong now. `many`: how many messages it is about, 1 where it is about none."""

    kind: AlertKind
    account: AccountId | None
    text: str
    action: str = ""
    chat: ChatId | None = None
    message: MessageId | None = None
    many: int = 1

    @property
    def key(self) -> Key:
        return self.kind, self.account


Key = tuple[AlertKind, AccountId | None]


@dataclass(frozen=True, slots=True)
class AlertChange:
    """An alert as it is to be kept; `told`: it was raised or cleared, which is an event."""

    alert: Alert
    told: bool


# what is wrong


def concerns(look: Look, numbers: AlertNumbers) -> tuple[Concern, ...]:
    """Everything that is wrong at the moment of the look, at most one of a kind for an account."""
    found = [*_of_the_gateway(look, numbers)]
    for account in look.accounts:
        found += _of_an_account(account, look, numbers)
    if look.troubles is not None:
        found += _of_messages(look.troubles, numbers)
        found += _of_schedules(look.troubles.schedules)
    return tuple(found)


def unknown(look: Look) -> set[Key]:
    """What this look cannot judge. A login counts as mended when the platform answers, not when we try again; and what
    it grants is known when it has let us in."""
    keys: set[Key] = set()
    for account in look.accounts:
        if account.state in _UNWELL:
            keys |= {(kind, account.id) for kind in (*_OF_LOGIN, AlertKind.NOT_GRANTED)}
        if account.state is AccountState.STARTING:
            keys.add((AlertKind.ACCOUNT_DOWN, account.id))
    return keys


def _of_the_gateway(look: Look, numbers: AlertNumbers) -> Iterator[Concern]:
    if look.store is not None:
        action = "Make room, or start the database; it goes on by itself."
        yield Concern(AlertKind.STORE, None, f"Nothing can be stored: {look.store.text}", action)
    if look.free_bytes is not None and look.free_bytes < numbers.disk_free_bytes:
        text = f"{look.free_bytes // (1024 * 1024)} MiB are left on the disk of the home."
        yield Concern(AlertKind.DISK, None, text, "Free some space; without it nothing can be accepted.")


def _of_an_account(account: Account, look: Look, numbers: AlertNumbers) -> Iterator[Concern]:
    why = f": {account.reason.text}" if account.reason else ""
    if account.state is AccountState.LOGIN_NEEDED:
        action = account.action or f"yizhan login {account.platform}"
        yield Concern(AlertKind.LOGIN_NEEDED, account.id, f"The login is over{why}.", action)
    if account.state is AccountState.BARRED:
        yield Concern(AlertKind.BARRED, account.id, f"The platform bars the account{why}.", account.action)
    if account.state in _UNWELL and numbers.down_ms:
        silent_ms = look.now_ms - max(account.last_server_answer_at_ms or 0, look.began_ms)
        if silent_ms >= numbers.down_ms:
            text = f"The platform has not answered for {span(silent_ms)}{why}."
            yield Concern(AlertKind.ACCOUNT_DOWN, account.id, text, "It is tried again; see yizhan status.")
    kept = look.not_granted.get(account.id)
    if kept is not None and account.state not in _UNWELL:
        yield Concern(AlertKind.NOT_GRANTED, account.id, kept.text, kept.action)
    since_ms = look.limited_since.get(account.id)
    if numbers.limited_ms and since_ms is not None and look.now_ms - since_ms >= numbers.limited_ms:
        text = f"The platform has limited sending for {span(look.now_ms - since_ms)}."
        yield Concern(AlertKind.LIMITED, account.id, text, "It goes on by itself; yizhan status shows gates.")


def _of_messages(troubles: Troubles, numbers: AlertNumbers) -> Iterator[Concern]:
    for pile in troubles.held:
        text = f"{_messages(pile)} whose answer was lost {_are(pile)} held for you"
        yield _about(AlertKind.IN_DOUBT, pile, text, "Ask the person, then retry or cancel: yizhan outbox")
    for pile in troubles.waiting if numbers.waiting_ms else ():
        text = f"{_messages(pile)} {_have(pile)} waited longer than {span(numbers.waiting_ms)}"
        yield _about(AlertKind.WAITING, pile, text, f"yizhan outbox show {pile.message}")
    for account, waiting in troubles.queues if numbers.queue else ():
        text = f"{waiting} messages wait to be sent; more than {numbers.queue} are too many."
        action = "yizhan status shows what holds them; ask who sends so much"
        yield Concern(AlertKind.QUEUE, account, text, action, many=waiting)
    for pile in troubles.failed if numbers.dead_letter_ms else ():
        text = f"{_messages(pile)} {_have(pile)} failed lately"
        yield _about(AlertKind.DEAD_LETTER, pile, text, "yizhan outbox list --state failed")
    for pile in troubles.expired if numbers.dead_letter_ms else ():
        text = f"{_messages(pile)} {_have(pile)} expired lately"
        yield _about(AlertKind.EXPIRED, pile, text, "yizhan outbox list --state expired")
    for run in troubles.ghosts if numbers.ghosts else ():
        text = f"{run.in_a_row} sends in a row were accepted without a receipt; perhaps nobody sees them."
        action = "Look at the phone; then: yizhan outbox retry --state unconfirmed"
        yield Concern(AlertKind.UNCONFIRMED, run.account, text, action, run.chat, many=run.in_a_row)


def _of_schedules(failing: Sequence[tuple[ScheduleId, Reason]]) -> Iterator[Concern]:
    if failing:
        schedule, why = failing[0]
        are = f"{len(failing)} schedules cannot" if len(failing) > 1 else "1 schedule cannot"
        text = f"{are} be carried out; {schedule}: {why.text}"
        yield Concern(AlertKind.SCHEDULE, None, text, "yizhan schedule list", many=len(failing))


def _about(kind: AlertKind, pile: Pile, text: str, action: str) -> Concern:
    where = f" in {pile.chats} chats" if pile.chats > 1 else ""
    return Concern(kind, pile.account, f"{text}{where}.", action, pile.chat, pile.message, pile.messages)


def _messages(pile: Pile) -> str:
    return f"{pile.messages} messages" if pile.messages != 1 else "1 message"


def _have(pile: Pile) -> str:
    return "have" if pile.messages != 1 else "has"


def _are(pile: Pile) -> str:
    return "are" if pile.messages != 1 else "is"


def span(length_ms: int) -> str:
    """A length of time in words, rounded down: `45 s`, `15 min`, `3 h`, `2 d`."""
    for unit, name in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min")):
        if length_ms >= 2 * unit or length_ms == unit:
            return f"{length_ms // unit} {name}"
    return f"{length_ms // 1000} s"


# what is told


class Board:
    """The alerts that are open, and those that were until lately. One owner; it keeps no clock."""

    def __init__(self, known: Iterable[Alert] = ()) -> None:
        self._last: dict[Key, Alert] = {}
        for alert in sorted(known, key=lambda alert: alert.since_ms):
            self._last[alert.kind, alert.account] = alert
        self._many: dict[Key, int] = {}
        self._wrong_since: dict[Key, int] = {}
        self._well_since: dict[Key, int] = {}
        self._written_ms: dict[Key, int] = {}

    def open(self) -> tuple[Alert, ...]:
        """The open alerts, the newest first."""
        still = (alert for alert in self._last.values() if alert.open)
        return tuple(sorted(still, key=lambda alert: (-alert.since_ms, alert.id)))

    def known(self) -> tuple[Alert, ...]:
        """The open alerts, and those that were open until lately."""
        return tuple(self._last.values())

    def judge(
        self, found: Sequence[Concern], skip: Collection[Key], stored: bool, now_ms: int
    ) -> list[AlertChange]:
        """What a look changes.

        Args:  skip    keys that the look could not judge
               stored  the store could be read; without that nothing is known of messages
        """
        self._forget(now_ms)
        wrong = {concern.key: concern for concern in found}
        changes = [change for concern in wrong.values() for change in self._wrong(concern, now_ms)]
        for key in [key for key, alert in self._last.items() if alert.open and key not in wrong]:
            if key not in skip and (stored or key[0] not in _FROM_STORE):
                changes += self._well(key, now_ms)
        for key in self._wrong_since.keys() - wrong.keys():
            del self._wrong_since[key]
        return changes

    def _wrong(self, concern: Concern, now_ms: int) -> Iterator[AlertChange]:
        key, known = concern.key, self._last.get(concern.key)
        self._well_since.pop(key, None)
        if known is not None and known.open:
            yield from self._goes_on(concern, known, now_ms)
            return
        since_ms = self._wrong_since.setdefault(key, now_ms)
        if now_ms - since_ms < PATIENCE_MS.get(concern.kind, 0):
            return
        raised = _raised(concern, now_ms) if known is None else _reopened(known, concern, now_ms)
        self._keep(key, raised, concern.many, now_ms)
        yield AlertChange(raised, told=True)

    def _goes_on(self, concern: Concern, known: Alert, now_ms: int) -> Iterator[AlertChange]:
        key = concern.key
        more = max(0, concern.many - self._many.get(key, concern.many))
        alert = replace(_as_told(known, concern), last_seen_ms=now_ms, count=known.count + more)
        quiet = not more and now_ms - self._written_ms.get(key, 0) < KEPT_QUIET_MS
        self._last[key], self._many[key] = alert, concern.many
        if not quiet:
            self._written_ms[key] = now_ms
            yield AlertChange(alert, told=False)

    def _well(self, key: Key, now_ms: int) -> Iterator[AlertChange]:
        since_ms = self._well_since.setdefault(key, now_ms)
        if key[0] not in AT_ONCE and now_ms - since_ms < CALM_MS:
            return
        cleared = replace(self._last[key], cleared_at_ms=now_ms)
        self._keep(key, cleared, 0, now_ms)
        yield AlertChange(cleared, told=True)

    def _keep(self, key: Key, alert: Alert, many: int, now_ms: int) -> None:
        self._last[key], self._many[key], self._written_ms[key] = alert, many, now_ms
        self._wrong_since.pop(key, None)
        self._well_since.pop(key, None)

    def _forget(self, now_ms: int) -> None:
        """What was cleared long ago would be another alert now."""
        old = [
            key
            for key, alert in self._last.items()
            if alert.cleared_at_ms is not None and now_ms - alert.cleared_at_ms > REOPENED_MS
        ]
        for key in old:
            for kept in (self._last, self._many, self._written_ms):
                kept.pop(key, None)


def _raised(concern: Concern, now_ms: int) -> Alert:
    """The id is made of what the alert is about and when it came, so that it is written once however often."""
    name = f"al_{now_ms:x}_{concern.kind.value}" + (f"_{concern.account}" if concern.account else "")
    severity = Severity.CRITICAL if concern.kind in CRITICAL else Severity.WARNING
    return Alert(
        id=name,
        kind=concern.kind,
        severity=severity,
        account=concern.account,
        chat=concern.chat,
        message=concern.message,
        text=concern.text,
        action=concern.action,
        since_ms=now_ms,
        last_seen_ms=now_ms,
        count=concern.many,
    )


def _reopened(known: Alert, concern: Concern, now_ms: int) -> Alert:
    alert = _as_told(known, concern)
    return replace(
        alert, since_ms=now_ms, last_seen_ms=now_ms, count=known.count + concern.many, cleared_at_ms=None
    )


def _as_told(known: Alert, concern: Concern) -> Alert:
    return replace(
        known, chat=concern.chat, message=concern.message, text=concern.text, action=concern.action
    )
