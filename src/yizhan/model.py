"""The nouns of the house. Frozen values only: no behaviour beyond what a value can tell about itself.

Every word here stands in docs/glossary.md. Times are integer milliseconds since the epoch (UTC) and end
in `_ms`; ids are opaque strings, except that an account's id is `platform:external` and a chat's id is
whatever the platform calls it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NewType

AccountId = NewType("AccountId", str)
"""`platform:external id`, for example `weixin:ab12@im.bot`."""
ChatId = NewType("ChatId", str)
"""The platform's own name of a conversation, for example `o9cq8…@im.wechat` or `c2c/OPENID`."""
MessageId = NewType("MessageId", str)
InboundId = NewType("InboundId", str)
TurnId = NewType("TurnId", str)
ScheduleId = NewType("ScheduleId", str)
RunId = NewType("RunId", str)


SCHEDULE_SENDER = "schedule:"
"""The sender of what a schedule asks is this and the schedule's id."""


class AccountState(StrEnum):
    """What is true of an account now (docs/contract.md, account states)."""

    STARTING = "starting"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    LOGIN_NEEDED = "login_needed"
    BARRED = "barred"
    PAUSED = "paused"
    STANDBY = "standby"


class MessageState(StrEnum):
    """State of a message, and of each of its entries (docs/states.md)."""

    QUEUED = "queued"
    SENDING = "sending"
    WAITING = "waiting"
    DELIVERED = "delivered"
    UNCONFIRMED = "unconfirmed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def live(self) -> bool:
        """True while the gateway still owes an outcome."""
        return self in _LIVE


_LIVE = frozenset({MessageState.QUEUED, MessageState.SENDING, MessageState.WAITING})


class WaitingFor(StrEnum):
    LIMIT = "limit"
    ALLOWANCE = "allowance"
    USER = "user"
    LOGIN = "login"
    CONNECTION = "connection"
    AUDIT = "audit"
    OPERATOR = "operator"


class MessageClass(IntEnum):
    """Classes of a lane; the smaller number goes first."""

    REPLY = 0
    NOTICE = 1
    PUSH = 2
    PROGRESS = 3


class TurnState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class Wanted(StrEnum):
    """Whether something extra is said in a chat, where every send may be counted."""

    OFF = "off"
    FREE = "free"
    """Where sends are not counted."""
    ALWAYS = "always"

    def allows(self, metered: bool) -> bool:
        return self is Wanted.ALWAYS or (self is Wanted.FREE and not metered)


class WhileBusy(StrEnum):
    """What a message does that comes while the agent works (docs/configuration.md, turns.while_busy)."""

    QUEUE = "queue"
    """It waits for the next turn."""
    INTERRUPT = "interrupt"
    """It ends the turn, and is answered instead."""
    STEER = "steer"
    """It is added to the turn, and the agent is asked anew."""


class Access(StrEnum):
    """What the door said to a sender."""

    ALLOWED = "allowed"
    DENIED = "denied"
    PENDING = "pending"


class Rule(StrEnum):
    """What is written down about a sender."""

    ALLOW = "allow"
    BLOCK = "block"
    PENDING = "pending"


class Dispatch(StrEnum):
    """What an inbound message still asks of us."""

    TURN = "turn"
    """Waits for a turn."""
    COMMAND = "command"
    """Waits for its control command to be carried out."""
    DONE = "done"
    """Asks nothing (any more): answered, refused at the door, or nobody is there to answer."""


class InDoubtPolicy(StrEnum):
    """What becomes of a part whose answer was lost (docs/configuration.md, delivery.in_doubt)."""

    RESEND = "resend"
    HOLD = "hold"
    """It waits for an operator, and so does what is behind it."""
    DROP_VISIBLY = "drop_visibly"
    """It ends as unconfirmed."""


class AlertKind(StrEnum):
    """What an alert is about; one alert of a kind is open for an account, or for the gateway itself."""

    LOGIN_NEEDED = "login_needed"
    BARRED = "barred"
    ACCOUNT_DOWN = "account_down"
    NOT_GRANTED = "not_granted"
    """The platform keeps kinds of events from the account, so that a part of what people do is never heard."""
    UNCONFIRMED = "unconfirmed"
    """Accepted without a receipt, several in a row: perhaps nobody sees anything."""
    DEAD_LETTER = "dead_letter"
    EXPIRED = "expired"
    WAITING = "waiting"
    """A message waits longer than it should."""
    QUEUE = "queue"
    """More messages wait than should."""
    LIMITED = "limited"
    IN_DOUBT = "in_doubt"
    """A part whose answer was lost is held for an operator."""
    SCHEDULE = "schedule"
    """A schedule cannot be carried out."""
    STORE = "store"
    DISK = "disk"


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"
    """Nothing goes, or perhaps nothing arrives, until a person acts."""


class Missed(StrEnum):
    """What becomes of a schedule's runs that were due while nobody could carry them out."""

    SKIP = "skip"
    ONCE = "once"
    """One run for all of them."""
    ALL = "all"
    """Each of them, up to a number."""


class RunCause(StrEnum):
    DUE = "due"
    MANUAL = "manual"


class RunState(StrEnum):
    FIRED = "fired"
    SKIPPED = "skipped"


class TokenState(StrEnum):
    FRESH = "fresh"
    SUSPECT = "suspect"
    STALE = "stale"
    SPENT = "spent"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is as it is: a stable code for programs, a sentence for people, never message text."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes: one chat of one account."""

    account: AccountId
    chat: ChatId

    @property
    def platform(self) -> str:
        return self.account.split(":", 1)[0]

    def __str__(self) -> str:
        return f"{self.account}:{self.chat}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens a login. `secret` and everything derived from it never reach a log, an event or a reply.

    secret        iLink: the bot token; QQ: the client secret
    base_url      the platform's API for this account, without a trailing slash
    cdn_base_url  iLink: where media lies; empty where the platform has none
    token_url     QQ: where access tokens are issued; empty elsewhere
    user_id       iLink: the person who confirmed the QR login; empty where unknown
    webhook       QQ: the platform posts what happens to us; no line to it is kept
    """

    secret: str
    base_url: str
    cdn_base_url: str = ""
    token_url: str = ""
    user_id: str = ""
    webhook: bool = False

    def __repr__(self) -> str:
        return f"Credentials(base_url={self.base_url!r}, user_id={self.user_id!r}, secret=…)"


@dataclass(frozen=True, slots=True)
class Account:
    """One bot identity on one platform; the unit of ownership.

    `state` is the last state written down; while a gateway runs, that is the true one. `action` is what a
    person must do, empty when nobody must. `gives_receipts` is learned: whether a send of this account has
    ever been answered with a receipt. `ghosts`: sends in a row that were owed a receipt and got none. `allowance` is
    what was learned of its allowances (core/allowance.py). `unfit_forms`: how a text is not to be dressed, in the
    platform's words, with blanks between them.
    """

    id: AccountId
    credentials: Credentials
    state: AccountState
    since_ms: int
    created_at_ms: int
    paused: bool = False
    reason: Reason | None = None
    action: str = ""
    last_server_answer_at_ms: int | None = None
    next_attempt_at_ms: int | None = None
    gives_receipts: bool = False
    ghosts: int = 0
    cursor: str = ""
    gate: str = ""
    allowance: str = ""
    unfit_forms: str = ""

    @property
    def platform(self) -> str:
        return self.id.split(":", 1)[0]

    @property
    def external_id(self) -> str:
        return self.id.split(":", 1)[1]

    def __repr__(self) -> str:
        return f"Account({self.id!r}, {self.state.value})"


@dataclass(frozen=True, slots=True)
class ReplyToken:
    """Permission to answer, learned from an inbound message. `token` is a secret; it is erased when it is stale, and
    `reason` says how that was found out. How often it was used, its chat's ledger knows (core/allowance.py)."""

    account: AccountId
    chat: ChatId
    inbound_id: InboundId
    token: str
    issued_at_ms: int
    state: TokenState = TokenState.FRESH
    reason: str = ""

    def __repr__(self) -> str:
        return f"ReplyToken({self.chat!r}, issued_at_ms={self.issued_at_ms}, {self.state.value})"


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation of an account. `last_inbound_at_ms` is None where the other side never wrote; `ghosts` as
    in Account; `taken_over_at_ms`: since when a person answers instead of the agent, None while the agent does;
    `agent`: who answers it by choice, empty: as routes say."""

    account: AccountId
    id: ChatId
    kind: str
    title: str
    created_at_ms: int
    last_inbound_at_ms: int | None = None
    last_outbound_at_ms: int | None = None
    paused: bool = False
    gate: str = ""
    ghosts: int = 0
    unasked: str = ""
    taken_over_at_ms: int | None = None
    agent: str = ""

    @property
    def target(self) -> Target:
        return Target(self.account, self.id)


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of an inbound message: `kind` is text, image, voice, file, video, or the platform's own word.

    `name` and `size` (bytes) are what the platform told, None where it told nothing.
    """

    kind: str
    name: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Inbound:
    """What someone wrote to us, as it is stored. `sent_at_ms` is the platform's time, 0 where unknown. `rule`
    decided about its access (core/access.py)."""

    id: InboundId
    account: AccountId
    chat: ChatId
    platform_message_id: str | None
    sender_id: str
    sender_name: str
    text: str
    quoted_text: str
    items: tuple[Item, ...]
    sent_at_ms: int
    received_at_ms: int
    access: Access
    dispatch: Dispatch
    turn_id: TurnId | None = None
    rule: str = ""

    @property
    def asked_by_schedule(self) -> bool:
        """Nobody wrote it: a schedule asks, and what is answered is a push."""
        return self.schedule is not None

    @property
    def schedule(self) -> ScheduleId | None:
        """The schedule that has asked."""
        name = self.sender_id.removeprefix(SCHEDULE_SENDER)
        return None if name == self.sender_id else ScheduleId(name)


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A repeat that was recognised as the same message as `original_id`; listed, never dropped in silence."""

    account: AccountId
    chat: ChatId
    original_id: InboundId
    platform_message_id: str | None
    at_ms: int
    rule: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request put on the wire for an entry. `verdict` is None while it is open."""

    n: int
    at_ms: int
    with_token: bool
    ended_at_ms: int | None = None
    verdict: str | None = None
    code: str | None = None
    text: str | None = None


UNREPEATABLE = "-"
"""With this begins the `sent_as` of a request of which the platform would recognise no repeat."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A part's row in the outbox. `client_id` is made at accept and kept for every attempt.

    `sent_as`: under which words of its own the platform recognises a repeat of the last request; kept while that is in
    doubt; empty where the client id serves, or nothing was sent. `form`: how the text is dressed, in the platform's
    words; empty: as the platform likes it best. `receipt` of a part that waits for an audit is the audit's id.
    """

    no: int
    text: str
    client_id: str
    state: MessageState = MessageState.QUEUED
    waiting_for: WaitingFor | None = None
    next_attempt_at_ms: int | None = None
    reason: Reason | None = None
    receipt: str | None = None
    attempts_made: int = 0
    possibly_doubled: bool = False
    in_doubt: bool = False
    sent_as: str = ""
    form: str = ""
    attempts: tuple[Attempt, ...] = ()

    @property
    def unrepeatable(self) -> bool:
        """Whether the platform would take a repeat of the last request for another message."""
        return self.sent_as.startswith(UNREPEATABLE)


@dataclass(frozen=True, slots=True)
class Message:
    """Something we promised to send. State, reason and waiting follow from the entries (core/states.py)."""

    id: MessageId
    account: AccountId
    chat: ChatId
    seq: int
    klass: MessageClass
    source: str
    text: str
    created_at_ms: int
    expires_at_ms: int
    entries: tuple[Entry, ...]
    state: MessageState = MessageState.QUEUED
    waiting_for: WaitingFor | None = None
    next_attempt_at_ms: int | None = None
    reason: Reason | None = None
    possibly_doubled: bool = False
    idempotency_key: str | None = None
    in_reply_to: InboundId | None = None
    turn_id: TurnId | None = None
    ordinal: int | None = None
    not_before_ms: int | None = None
    finished_at_ms: int | None = None

    @property
    def target(self) -> Target:
        return Target(self.account, self.chat)


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer in the making: the inbound messages of a chat that it answers, and what became of it. `person`: whose
    session it belongs to, empty: the whole chat's."""

    id: TurnId
    account: AccountId
    chat: ChatId
    agent: str
    state: TurnState
    inbound_ids: tuple[InboundId, ...]
    created_at_ms: int
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    reason: Reason | None = None
    outputs: int = 0
    person: str = ""

    @property
    def target(self) -> Target:
        return Target(self.account, self.chat)


def output_key(turn: TurnId, ordinal: int) -> str:
    """The idempotency key of an output: a turn that runs again adds nothing under a key that exists."""
    return f"turn:{turn}:{ordinal}"


@dataclass(frozen=True, slots=True)
class ChatSession:
    """What an agent is to remember of a chat, or in a group of one person: everything since then. `used_at_ms`: when a
    turn of it last began or ended. `agent_session`: the name that `agent` has for it, empty: none told."""

    account: AccountId
    chat: ChatId
    person: str = ""
    since_ms: int = 0
    used_at_ms: int = 0
    agent: str = ""
    agent_session: str = ""

    @property
    def key(self) -> tuple[AccountId, ChatId, str]:
        return self.account, self.chat, self.person


@dataclass(frozen=True, slots=True)
class SenderRule:
    """What is known and decided about a sender of an account. `first_text` is what an unknown one wrote first; one
    who has not written yet was never seen. `refused_by`: the rule that refused last. `code`: by which he can be
    approved while nothing is decided."""

    account: AccountId
    sender_id: str
    sender_name: str
    rule: Rule
    first_text: str
    first_seen_at_ms: int | None
    last_seen_at_ms: int | None
    refused: int = 0
    decided_at_ms: int | None = None
    refused_by: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """A trouble that a person should know of; open until `cleared_at_ms`.

    account     whose trouble it is, None for the gateway's own
    chat        where, if it is one chat's; message: the one that shows it best, if it is about messages
    text        what is wrong, for people, never message text; action: what to do, empty if nothing can be done
    since_ms    when it was raised; last_seen_ms: when it was last found to be so
    count       how often it was raised, or of how many messages it has told
    """

    id: str
    kind: AlertKind
    severity: Severity
    account: AccountId | None
    chat: ChatId | None
    message: MessageId | None
    text: str
    action: str
    since_ms: int
    last_seen_ms: int
    count: int = 1
    cleared_at_ms: int | None = None

    @property
    def open(self) -> bool:
        return self.cleared_at_ms is None


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is to be said, where, and when (core/timetable.py reads `when`).

    text          what is said; if `prompt`, what the agent is asked, whose answer is said
    written_ms    when `when` was written, or last resumed: intervals are counted from there
    missed_most   the most runs that are made up for, where all are
    jitter_ms     a run begins up to so much after it is due
    lifetime_ms   how long its messages wait before they expire; None: as any push
    next_due_ms   None: paused, or over; fire_at_ms: the same with its jitter
    planned_ms    when that was worked out
    reason        why that failed, or why what was due could not be run; None: it did not
    revision      counts the changes of the row
    """

    id: ScheduleId
    name: str
    when: str
    zone: str
    text: str
    targets: tuple[Target, ...]
    created_at_ms: int
    written_ms: int
    planned_ms: int
    missed: Missed = Missed.ONCE
    missed_most: int = 10
    jitter_ms: int = 0
    lifetime_ms: int | None = None
    ends_at_ms: int | None = None
    paused: bool = False
    prompt: bool = False
    next_due_ms: int | None = None
    fire_at_ms: int | None = None
    last_due_ms: int | None = None
    revision: int = 1
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One time that a schedule was due, or was told to run. `key` is what makes it happen once.

    missed    how many due times this row stands for without a run of their own
    messages  what was accepted, refused: what could not be, with the reason
    asked     questions that the agent was asked instead
    """

    id: RunId
    schedule: ScheduleId
    key: str
    cause: RunCause
    state: RunState
    due_ms: int
    at_ms: int
    missed: int = 0
    messages: tuple[MessageId, ...] = ()
    refused: tuple[tuple[Target, Reason], ...] = ()
    asked: tuple[InboundId, ...] = ()


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address of a program that is posted events, in their order.

    types         of events; empty: all but `message.received`
    private       `message.received` is posted too, with its text
    account       only this one's events; None: all
    cursor        the last event that was taken or is not wanted
    generation    counts how often the cursor was set by hand
    failures      posts in a row that were not taken, since `failing_since_ms`; `reason`: why the last of them was not
    missed        events that were not kept any more when their turn came
    """

    id: str
    url: str
    secret: str = field(repr=False)
    created_at_ms: int
    cursor: int
    types: frozenset[str] = frozenset()
    private: bool = False
    account: AccountId | None = None
    paused: bool = False
    generation: int = 0
    failures: int = 0
    failing_since_ms: int | None = None
    next_attempt_at_ms: int | None = None
    last_success_at_ms: int | None = None
    reason: Reason | None = None
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Post:
    """What became of an event at an address: the last answer, and after how many posts in a row. `event` 0: a test.

    status  None: no answer
    reason  why it was not taken; None: it was
    """

    webhook: str
    event: int
    type: str
    at_ms: int
    took_ms: int
    status: int | None
    reason: Reason | None
    tries: int = 1


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of the HTTP API. Only its hash is kept."""

    id: str
    name: str
    sha256: str
    scopes: frozenset[str]
    created_at_ms: int
    revoked_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A fact appended for programs. `data` is the encoded JSON object of docs/contract.md, without its id."""

    id: int
    at_ms: int
    type: str
    account: AccountId | None
    chat: ChatId | None
    data: bytes
