"""What the corridors need from the outside, as Protocols: time, chance, the store, the platforms, the agents.

Shells implement these; `app.py` chooses which. Everything that crosses a port is a frozen value from
`model.py`, from `core/`, or from this page; a dict crosses none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from yizhan.core.alerts import AlertChange, AlertNumbers, Troubles
from yizhan.core.allowance import Ledger
from yizhan.core.connection import Lost as Lost
from yizhan.core.connection import LostKind as LostKind
from yizhan.core.connection import NotGranted as NotGranted
from yizhan.core.connection import Step as Step
from yizhan.core.policy import Policy
from yizhan.core.sessions import SessionRules
from yizhan.core.verdict import Verdict
from yizhan.model import (
    Access,
    Account,
    AccountId,
    AccountState,
    Alert,
    ApiKey,
    Chat,
    ChatId,
    ChatSession,
    Credentials,
    Dispatch,
    Entry,
    Event,
    Inbound,
    InboundId,
    InDoubtPolicy,
    Item,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Post,
    Reason,
    ReplyToken,
    Rule,
    Run,
    RunId,
    Schedule,
    ScheduleId,
    SenderRule,
    Suppressed,
    Target,
    Turn,
    TurnId,
    TurnState,
    WaitingFor,
    Webhook,
)

T = TypeVar("T")

# ── time and chance ────────────────────────────────────────────────────────────────────────────────────


class Clock(Protocol):
    """The only reader of time. `now_ms` may repeat and never goes back, also when the host's clock does."""

    def now_ms(self) -> int: ...

    def resync(self) -> int:
        """Compares with the host's clock; answers by how many ms that has jumped (negative: set back), else 0.
        Only a jump forward is followed."""
        ...

    def has_slept(self) -> bool:
        """Whether the host's clock has run ahead and `resync` has not followed yet: what looks fresh is old then."""
        ...

    async def sleep_until(self, at_ms: int) -> None: ...

    async def sleep_ms(self, wait_ms: int) -> None: ...


class Chance(Protocol):
    """The only source of entropy."""

    def jitter(self) -> float:
        """A number in [0, 1)."""
        ...

    def new_id(self, kind: str) -> str:
        """A new opaque id that begins with `kind` and sorts by time of making, e.g. `m_01jd…`."""
        ...

    def token_hex(self, size: int) -> str:
        """`size` random bytes as hex digits, fit for secrets."""
        ...


# ── the wire ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to a platform. `call` names it for judging (`sendmessage`, `getupdates` …)."""

    call: str
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    timeout_ms: int
    max_reply_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sent, read to its end, decompressed and within bounds. Header names are in lower case.

    `seen` False: the platform looks for a connection of ours, and nothing shows that it saw one then.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    seen: bool = True


class AbsenceKind(StrEnum):
    NOT_SENT = "not_sent"
    """Name resolution, connection or TLS failed before the first byte of the request left."""
    NO_ANSWER = "no_answer"
    """Time-out, reset or an unreadable reply after the request had left."""


@dataclass(frozen=True, slots=True)
class Absence:
    """What is known about a reply that did not come. `text` is for people: host and error, no secrets."""

    kind: AbsenceKind
    text: str


Reply = Answer | Absence


@dataclass(frozen=True, slots=True)
class Hangup:
    """A socket is over. `code`: what the other side closed it with, None if it broke. `text`: for people."""

    code: int | None
    text: str


class Socket(Protocol):
    """An open WebSocket. Nothing here raises for what the network or the server does."""

    async def send(self, text: str) -> None:
        """Says something; on a socket that is over, nothing."""
        ...

    async def receive(self) -> str | bytes | Hangup:
        """The next frame, of a bounded size; after the end, the end again. May be cancelled, then nothing is lost."""
        ...

    async def close(self) -> None:
        """Ends it within a second, whether the other side says goodbye or not."""
        ...


class Sockets(Protocol):
    """Opens WebSockets to platforms."""

    async def open(self, url: str, timeout_ms: int, max_frame_bytes: int) -> Socket | Absence:
        """Connects, TLS and upgrade included, or tells why not."""
        ...


@dataclass(frozen=True, slots=True)
class Callback:
    """A request that somebody has made of us in the name of a platform, and that proves itself or does not: nothing of
    it is to be believed before. Header names are in lower case; the body is bounded."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class RefusedBecause(StrEnum):
    UNEXPECTED = "unexpected"
    """Nobody may call for this account."""
    UNPROVEN = "unproven"
    """Not signed by the platform, or not just now."""
    UNREADABLE = "unreadable"
    """The platform's, and nothing can be made of it."""
    NOT_STORED = "not_stored"
    """Read, and not on disk: it should be sent again."""


@dataclass(frozen=True, slots=True)
class CallbackRefused:
    """Why a callback was not taken. `text` and `fix` are for people, without secrets."""

    because: RefusedBecause
    text: str
    fix: str = ""


class Http(Protocol):
    """Carries requests to platforms. Never raises for what the network or the server does.

    What is read is bounded in size (after decompression too); a reply beyond the bound is an Absence of
    kind NO_ANSWER. Redirects are not followed.
    """

    async def call(self, request: Request) -> Reply: ...

    async def close(self) -> None: ...


# ── a platform: codec + policy + transport ─────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Heard:
    """One inbound message as a codec reads it. `sent_at_ms` is the platform's create time, 0 if it gave none.

    `token` is the reply token that came with it (a secret), empty if none. `quoted_id` is the platform's id of
    the quoted message where it told one; then `quoted_text` may be only what the platform sent along of it.

    `addressed` False: said in our presence and to others; it is kept, permits nothing and asks nothing. `sure_id`: the
    platform's id alone tells a repeat, and another id is another message.
    """

    chat: ChatId
    chat_kind: str
    platform_message_id: str | None
    sender_id: str
    sender_name: str
    text: str
    quoted_text: str
    items: tuple[Item, ...]
    sent_at_ms: int
    token: str = field(repr=False, default="")
    quoted_id: str | None = None
    addressed: bool = True
    sure_id: bool = False


@dataclass(frozen=True, slots=True)
class Consent:
    """A chat takes messages that nobody asked for just now, or does not; None: nothing is known of that any
    more."""

    chat: ChatId
    chat_kind: str
    granted: bool | None
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Audit:
    """The platform has looked at a message that it held back: it is shown under `receipt`, or it never will be."""

    id: str
    passed: bool
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class Lacking:
    """A part of a line is lost, and tried again by the line itself, while the rest goes on.

    after      what follows from the loss: state, reason, advice
    at_ms      the next attempt; None: one is being made
    attempted  this news is that an attempt has failed
    speaks     messages may be sent over what stands
    """

    after: Step
    at_ms: int | None
    attempted: bool
    speaks: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """The server has shown that it is there, with or without news. `cursor` covers what was heard; None where there is
    no new one. `hold_ms`: what it announced, if anything.

    `unreadable` counts messages that nothing could be made of, not even a sender; they are to be logged. `landmark`:
    the cursor is to be kept at once, even without a message: an older one leads nowhere any more. `lacking`: not all of
    the line stands.
    """

    heard: tuple[Heard, ...]
    cursor: str | None = field(repr=False, default=None)
    hold_ms: int | None = None
    unreadable: int = 0
    landmark: bool = False
    consents: tuple[Consent, ...] = ()
    audits: tuple[Audit, ...] = ()
    lacking: Lacking | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known when a reply to a send is judged, beside the reply itself.

    with_token      a reply token went along
    gives_receipts  the account has been given a receipt before
    text_bytes      size of the text in UTF-8
    token_sends     sends since the other side last wrote, before this one
    token_age_ms    since the platform gave it to us; None without a token
    now_ms          our clock, for hints that are dates; None: not known
    repeated        it was sent before under the same words, and that answer was lost
    form            how the text was dressed, in the platform's words
    """

    with_token: bool
    gives_receipts: bool
    text_bytes: int
    token_sends: int = 0
    token_age_ms: int | None = None
    now_ms: int | None = None
    repeated: bool = False
    form: str = ""


class Codec(Protocol):
    """Pure translation between our values and a platform's bytes."""

    def check_chat(self, chat: ChatId) -> None:
        """Raises UnknownChat if no chat of this platform can have that name."""
        ...

    def render(self, text: str) -> str:
        """The text as the platform's client shows it well: nothing swallowed, no order to the client. Idempotent."""
        ...

    def dress(self, account: Account, chat: ChatId, entry: Entry) -> str:
        """How the entry's text is best dressed, as far as is known; empty where there is one way only."""
        ...

    def address(self, chat: ChatId, token: ReplyToken | None, number: int) -> str:
        """Under which words the platform recognises a repeat of a request with this token; empty: by the entry's client
        id; beginning with UNREPEATABLE: by nothing.

        Args:  number  of the requests that the token's message was answered with, this one included; never twice
        """
        ...

    def encode(self, account: Account, chat: ChatId, entry: Entry, token: ReplyToken | None) -> Request:
        """The request that sends one entry, dressed and addressed; `token` None sends without a reply token."""
        ...

    def classify(self, reply: Reply, evidence: Evidence) -> Verdict:
        """What the reply to a send means. Total: every reply has a verdict, odd ones too."""
        ...


class Transport(Protocol):
    """Thin I/O of one account. Never raises for what the network or the server does.

    Whether a platform is asked for messages or pushes them, the road in hears of it in one way: `receive` waits for
    news. A poll asks once. A pushed line is connected by the first `receive` after it was lost, lives between the
    calls, and is asked here what it has heard; whoever calls decides when to try again after a loss.
    """

    @property
    def not_granted(self) -> NotGranted | None:
        """What the platform keeps from the account, as the last connection found; None: nothing that we know of."""
        ...

    async def open(self) -> None:
        """Announces that we are listening, best effort."""
        ...

    async def receive(self, cursor: str, hold_ms: int) -> Batch | Lost:
        """What has come since `cursor`, up to which everything is stored: at once if there is something, else when it
        comes, or when the platform shows in another way that it is there. Total: odd replies are losses. A further
        call says that what the last one returned is stored.

        May be cancelled: what was not returned is told again, by the platform or by the next call.

        Args:  hold_ms  how long the platform holds a question without an answer; a pushed line has other signs of life
        """
        ...

    def look(self) -> None:
        """The host has slept, or its clock has jumped: find out at once whether the line still lives."""
        ...

    async def called_back(self, callback: Callback) -> Answer | CallbackRefused:
        """What the platform is to be told, once what it said is stored; or why it was refused. What is true and could
        not be stored in time is refused, and may be handed out by `receive` all the same."""
        ...

    async def send(self, request: Request) -> Reply:
        """Carries a request of the codec. Where a platform shows nothing of a bot that it does not see, the answer
        tells whether it did."""
        ...

    async def typing(self, chat: ChatId, token: ReplyToken | None, on: bool) -> None:
        """Shows or ends "typing…", best effort."""
        ...

    async def close(self, announce: bool) -> Batch | None:
        """Ends the line; `announce` says goodbye to the platform first, best effort. What was heard and no `receive`
        has returned, behind all that one has; None: nothing, or the platform tells it again."""
        ...


class LoginStatus(StrEnum):
    """States of an interactive login, as the API shows them."""

    WAIT = "wait"
    SCANNED = "scanned"
    VERIFY_CODE = "verify_code_needed"
    CONFIRMED = "confirmed"
    ALREADY_LINKED = "already_linked"
    EXPIRED = "expired"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LoginView:
    """An interactive login as it stands. `qr_text` is to be drawn as a QR code (a secret while it lives).

    `note` is one sentence for the person at the screen. `account` is set when CONFIRMED or ALREADY_LINKED.
    `refreshes` counts the codes shown so far beyond the first.
    """

    status: LoginStatus
    qr_text: str = field(repr=False, default="")
    note: str = ""
    account: AccountId | None = None
    refreshes: int = 0


@dataclass(frozen=True, slots=True)
class NewLogin:
    """What a confirmed login yields: an account's id and what opens it."""

    account: AccountId
    credentials: Credentials


class Login(Protocol):
    """One interactive login, driven by whoever started it."""

    def view(self) -> LoginView: ...

    async def run(self) -> NewLogin | AccountId | None:
        """Runs to its end: new credentials; the account that is linked already; None if it failed or expired."""
        ...

    def verify(self, code: str) -> None:
        """The digits that the phone shows, typed by a person."""
        ...


class Platform(Protocol):
    """A door: everything the house knows of one platform."""

    @property
    def name(self) -> str: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def codec(self) -> Codec: ...

    @property
    def base_url(self) -> str:
        """Where the API of an account is that names no address of its own."""
        ...

    def transport(self, account: Account) -> Transport:
        """A line for the account; does no I/O yet."""
        ...

    def login(self, known: Sequence[Account], base_url: str | None) -> Login | None:
        """An interactive login; None where the platform has none. `known`: accounts that may be linked already."""
        ...

    def host(self, account: Account) -> str:
        """The scope in which a failed connection says something about other accounts too."""
        ...

    async def probe(self, account: Account) -> Lost | None:
        """Asks the platform whether it accepts the account's login, without taking messages. None: it does."""
        ...

    async def examine(self, account: Account) -> Lost | NotGranted | None:
        """As `probe`, and asks besides what the platform grants the account, where that costs no message. May take half
        a minute; for when nothing else uses the account."""
        ...


# ── agents ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a chat's history. `role` is `user` or `assistant`.

    undelivered  the chat has not seen all of it
    unasked      said on our side, and not by an agent that was asked: by a program, a schedule, a person
    unheard      said by the other side, and no agent has heard it: none was asked, or it could not be reached
    """

    role: str
    text: str
    at_ms: int
    undelivered: bool = False
    unasked: bool = False
    unheard: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What a turn asks of an agent. `text` is the merged text of the inbound messages, quotes and items named.

    session        our name of the conversation, the same until `/new` or a reset
    agent_session  the agent's own name of it, as its last Session piece told; empty: none yet
    in_reply_to    the message that an answer through our API has to name
    quoted         what the question quotes; it stands in `text` too
    deadline_ms    when the turn's time is over, None: only the agent's own limits count
    """

    turn: TurnId
    target: Target
    sender_id: str
    sender_name: str
    text: str
    history: tuple[Said, ...]
    session: str
    agent_session: str = ""
    in_reply_to: InboundId | None = None
    quoted: str = ""
    language: str = "zh"
    deadline_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """More of the output that is being said."""

    delta: str


@dataclass(frozen=True, slots=True)
class OutputEnd:
    """The output is whole; what follows is another message. The end of the stream says so as well."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the agent is doing meanwhile, in one line. No part of the answer, and of no use after it."""

    text: str


@dataclass(frozen=True, slots=True)
class Session:
    """The agent's own name of the conversation; the next question of the session brings it back. Empty: forget it."""

    id: str


@dataclass(frozen=True, slots=True)
class Later:
    """The last piece: the answer will come through our API, naming `in_reply_to` of the question."""


Piece = Text | OutputEnd | Progress | Session | Later
"""What an agent says, in the order in which it says it."""


UNHEARD = frozenset(
    {
        "agent-unreachable",
        "agent-refused",
        "agent-not-found",
        "agent-busy",
        "agent-web-page",
        "agent-gone",
    }
)
"""Codes of failures that leave no doubt: the agent knows nothing of the question."""


class AgentFailed(Exception):
    """The agent could not answer. `code` is stable, `detail` is for the operator, never shown to the chat."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Agent(Protocol):
    """Someone who answers. One small file each, in `agents/`."""

    @property
    def name(self) -> str: ...

    def answer(self, question: Question) -> AsyncGenerator[Piece]:
        """Says its answer piece by piece, as it comes. Raises AgentFailed, also after some pieces.

        Cancelling or closing the iteration must end whatever was started for it (a request, a process group).
        """
        ...

    async def close(self) -> None: ...


# ── the store: values of its verbs ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to accept. `texts[i]` becomes entry i+1 with `client_ids[i]`.

    keep_first  an existing message with the same key is returned as it is, whatever its body (turn outputs,
                command answers: a re-run must not double them); otherwise another body is a conflict
    body_sha256 what the key was first used with, compared on reuse
    """

    id: MessageId
    target: Target
    klass: MessageClass
    source: str
    text: str
    texts: tuple[str, ...]
    client_ids: tuple[str, ...]
    created_at_ms: int
    expires_at_ms: int
    body_sha256: str
    idempotency_key: str | None = None
    in_reply_to: InboundId | None = None
    turn_id: TurnId | None = None
    ordinal: int | None = None
    not_before_ms: int | None = None
    keep_first: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """`superseded`: progress messages of the chat that this answer, when it was accepted, made pointless."""

    message: Message
    created: bool
    superseded: tuple[MessageId, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """Written before the first byte leaves: from here the entry is in doubt until it is settled.

    ledger  of the chat, with this send entered; None: none is kept
    sent_as the words by which the platform will recognise a repeat
    unasked the chat, and what is known of messages to it that nobody asked for, this one counted, encoded;
            None: unchanged
    """

    message: MessageId
    no: int
    n: int
    at_ms: int
    with_token: bool
    ledger: Ledger | None = None
    sent_as: str = ""
    unasked: tuple[Target, str] | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of an attempt, one transaction: what happened, the entry as it is now, what gates and tokens learn.

    entry          the whole new row (attempts not included)
    token          the reply token that was used or judged, with its new state and count; None: none used
    chat_gate / account_gate  encoded state to keep, None: unchanged
    pardoned       another chat of the account whose gate is again what it was, with that
    gives_receipts True when this reply carried the account's first receipt
    ghost          True: a receipt was owed and did not come; False: it came; None: neither
    ledger         of the chat, as the reply leaves it; None: unchanged
    account_allowance  what was learned of the account's allowances, encoded; None: nothing new
    unasked        of the chat, as the reply leaves it, encoded; None: unchanged
    unfit_form     a form that the platform takes from the account in no case; empty: none was learned
    """

    message: MessageId
    target: Target
    n: int
    at_ms: int
    verdict: str
    code: str
    text: str
    entry: Entry
    token: ReplyToken | None = None
    chat_gate: str | None = None
    account_gate: str | None = None
    pardoned: tuple[ChatId, str] | None = None
    gives_receipts: bool = False
    ghost: bool | None = None
    ledger: Ledger | None = None
    account_allowance: str | None = None
    unasked: str | None = None
    unfit_form: str = ""


@dataclass(frozen=True, slots=True)
class Parking:
    """A part that waits for the other side's next message, without having been tried."""

    message: MessageId
    no: int
    waiting_for: WaitingFor
    reason: Reason
    next_attempt_at_ms: int | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """One heard message on its way into the inbox, with what the door decided, and by which rule. `code`: for a sender
    who has none yet."""

    id: InboundId
    heard: Heard
    received_at_ms: int
    access: Access
    dispatch: Dispatch
    rule: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class InboundCommit:
    """A poll's reply as one transaction: messages, tokens, cursor (None: unchanged), events."""

    account: AccountId
    arrivals: tuple[Arrival, ...]
    cursor: str | None = field(repr=False, default=None)
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class InboundCommitted:
    """What was new, in order, and what was recognised as a repeat. `tokens`: the newest per chat that came along."""

    new: tuple[Inbound, ...]
    suppressed: tuple[Suppressed, ...]
    tokens: tuple[ReplyToken, ...]


@dataclass(frozen=True, slots=True)
class TurnStart:
    """`begins`: a worker is free, and the turn runs from the start; else it is queued. `sender` and `asked_at_ms` are
    those of the first message: they decide which session it belongs to, and whether that is over."""

    id: TurnId
    target: Target
    agent: str
    inbound_ids: tuple[InboundId, ...]
    at_ms: int
    begins: bool = False
    sender: str = ""
    asked_at_ms: int = 0
    sessions: SessionRules = SessionRules()


@dataclass(frozen=True, slots=True)
class TurnOpened:
    """A turn as it is now, and the session it belongs to."""

    turn: Turn
    session: ChatSession


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The end of a turn and its outputs, one transaction. `session`: that in which the agent was asked, with the name
    that it told for it; None: nothing is to be noted of it."""

    id: TurnId
    state: TurnState
    at_ms: int
    outputs: tuple[Draft, ...] = ()
    reason: Reason | None = None
    session: ChatSession | None = None


@dataclass(frozen=True, slots=True)
class LaneView:
    """What the dispatcher needs of a lane.

    messages   live ones, begun first, then class, then order of acceptance; at most the number asked for
    truncated  more live messages are in the table
    token      the newest reply token if it may still be used (fresh, suspect), else None
    ledger     of the newest inbound message, None if there is none
    """

    chat: Chat
    messages: tuple[Message, ...]
    truncated: bool
    token: ReplyToken | None
    ledger: Ledger | None = None


@dataclass(frozen=True, slots=True)
class AccountChange:
    """A new state of an account: row, event and nothing else."""

    account: AccountId
    state: AccountState
    at_ms: int
    reason: Reason | None = None
    action: str = ""
    next_attempt_at_ms: int | None = None
    last_server_answer_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """`cause`: what it waits for, or the code of its reason; empty: any."""

    account: AccountId | None = None
    chat: ChatId | None = None
    states: frozenset[MessageState] = frozenset()
    since_ms: int | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class TurnFilter:
    account: AccountId | None = None
    chat: ChatId | None = None
    states: frozenset[TurnState] = frozenset()
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows and the opaque cursor of the next page, None at the end."""

    rows: tuple[T, ...]
    next: str | None


TimelineRow = Inbound | Turn | Message | Suppressed


@dataclass(frozen=True, slots=True)
class Counts:
    """Live messages per account and state, what they wait for, the oldest of them, and open turns. For status and
    metrics."""

    by_account_state: Mapping[tuple[AccountId, MessageState], int]
    oldest_live_at_ms: Mapping[AccountId, int]
    open_turns: int
    oldest_live: Mapping[AccountId, MessageId] = field(default_factory=dict)
    waits_for: Mapping[AccountId, Mapping[WaitingFor, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of the messages that were accepted from `since_ms` on, for one step's time, are in which state now."""

    since_ms: int
    by_state: Mapping[MessageState, int]


@dataclass(frozen=True, slots=True)
class Expired:
    """The chats in which something ended. `next_at_ms`: when the next time is over, of what was not ended now; None if
    nothing lives, or if it was not looked for since something ended."""

    chats: tuple[Target, ...]
    next_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that is about to happen, and what it says or asks; of a run that is skipped, nothing."""

    run: Run
    drafts: tuple[Draft, ...] = ()
    questions: tuple[Inbound, ...] = ()


@dataclass(frozen=True, slots=True)
class Firing:
    """What a schedule does now. `following`: its row afterwards, with the revision of the row it was planned from."""

    following: Schedule
    runs: tuple[PlannedRun, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key, what it was used for, and the id that is to be made under it."""

    kind: str
    key: str
    body_sha256: str
    id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Fired:
    """A run as it is on disk. `created` False: it had happened before, and nothing was done now."""

    run: Run
    accepted: tuple[Accepted, ...]
    created: bool
    questions: tuple[Inbound, ...] = ()


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with what became of it: its messages, the turns of its questions and what those have said. What is not kept
    any more is left out."""

    run: Run
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...] = ()


class Store(Protocol):
    """The cellar. Every write returns after its commit is on disk and raises StoreUnavailable or StoreBusy
    when nothing was written. Writes of many callers share commits; one failing write does not sink its
    neighbours. Reads see everything that was committed before they began.
    """

    # writes: the road out
    async def accept(self, draft: Draft) -> Accepted:
        """A REPLY ends the chat's progress messages of which nothing was sent as cancelled, reason `superseded`.
        Raises IdempotencyConflict, UnknownAccount, UnknownMessage (in_reply_to names no received message)."""
        ...

    async def begin_attempt(self, intent: Intent) -> bool:
        """False if the entry is not live any more; then nothing was written."""
        ...

    async def settle(self, settlement: Settlement) -> Message: ...

    async def park(self, parking: Parking) -> Message:
        """Writes down for what a part waits. One that is on the wire or has ended stays as it is."""
        ...

    async def withdraw(self, message: MessageId, at_ms: int) -> Message:
        """Ends what has not been sent of a message of the gateway's own that has become pointless (`superseded`)."""
        ...

    async def cancel(self, message: MessageId, at_ms: int) -> Message:
        """Ends every live entry that is not on the wire. Raises UnknownMessage, NotCancellable."""
        ...

    async def retry(self, message: MessageId, at_ms: int, expires_at_ms: int) -> Message:
        """Revives entries that ended failed, expired, cancelled or unconfirmed, and hurries waiting ones.
        Raises UnknownMessage, NotRevivable."""
        ...

    async def expire_due(self, at_ms: int, limit: int, unheard_since_ms: int | None = None) -> Expired:
        """Ends queued and waiting entries whose time is over, of at most `limit` messages; and as unconfirmed what is
        held back for an audit and was sent before `unheard_since_ms`, None to look for nothing of the kind."""
        ...

    async def recover(self, at_ms: int, in_doubt: InDoubtPolicy = InDoubtPolicy.RESEND) -> int:
        """To be called once after a start: entries that were on the wire when the gateway ended are in doubt, their
        open attempts end so, and what becomes of them is as the policy says. Answers how many there were."""
        ...

    # writes: the road in
    async def note_consent(self, account: AccountId, consent: Consent, at_ms: int) -> None:
        """Whether the chat takes messages that nobody asked for; it need not be known yet."""
        ...

    async def settle_audit(self, account: AccountId, audit: Audit, at_ms: int) -> Message | None:
        """Ends the part that waited for this; None if none does."""
        ...

    async def commit_inbound(self, commit: InboundCommit) -> InboundCommitted: ...

    async def dispatch_done(self, inbound: Sequence[InboundId]) -> None:
        """These ask nothing of us any more."""
        ...

    async def start_turn(self, start: TurnStart) -> TurnOpened:
        """Opens a turn, which claims its inbound messages. Raises UnknownAccount, InvalidRequest."""
        ...

    async def begin_turn(self, turn: Turn, at_ms: int) -> TurnOpened | None:
        """The agent is asked now. None if the turn has ended already; then nothing was written."""
        ...

    async def extend_turn(self, turn: Turn, inbound: Sequence[InboundId], at_ms: int) -> TurnOpened | None:
        """The turn answers these as well. None if it has ended; then nothing was written."""
        ...

    async def say(self, turn: TurnId, draft: Draft) -> Accepted | None:
        """Accepts what a turn says before its end. None if it has ended; then nothing was written. Raises as accept."""
        ...

    async def end_turn(self, end: TurnEnd) -> tuple[Accepted, ...]:
        """Raises as accept, for any of the outputs; without outputs it needs no account. A turn that has ended
        takes no more outputs: those that were accepted at its end are answered."""
        ...

    async def new_session(self, target: Target, sender: str, by_person: bool, at_ms: int) -> None:
        """What was said before `at_ms` is no longer to be remembered; in a group `by_person`: of the sender."""
        ...

    async def choose_agent(self, target: Target, agent: str, at_ms: int) -> None:
        """Who answers the chat from now on; empty: as routes say."""
        ...

    # writes: the watch
    async def note_alerts(self, changes: Sequence[AlertChange], at_ms: int) -> None:
        """Alerts as they are now; those that were raised or cleared are announced."""
        ...

    async def claim(self, claim: Claim) -> str:
        """The id under which it was claimed first. Raises IdempotencyConflict if that was with another body."""
        ...

    async def unclaim(self, claim: Claim) -> None:
        """Nothing was made under this claim: its key is free again."""
        ...

    # writes: schedules
    async def add_schedule(self, schedule: Schedule) -> Schedule: ...

    async def change_schedule(self, schedule: Schedule) -> Schedule | None:
        """Writes a row that was made from the one of the same revision; None: that is not the present one, and nothing
        was written. Raises UnknownSchedule."""
        ...

    async def remove_schedule(self, schedule: ScheduleId) -> None:
        """With its history; what its runs have accepted stays. Raises UnknownSchedule."""
        ...

    async def fire(self, firings: Sequence[Firing]) -> tuple[Fired, ...]:
        """Runs, what they say and when their schedules are due next, in one transaction. Each run happens once;
        schedules that were changed since they were planned are passed over. A target that takes nothing is told in
        the run."""
        ...

    # writes: webhooks
    async def add_webhook(self, hook: Webhook) -> Webhook:
        """As it stands on disk: an id that is there already changes nothing, the secret least of all."""
        ...

    async def change_webhook(self, hook: Webhook, rewound: bool) -> None:
        """What people choose; `rewound`: from where on it goes as well. Raises UnknownWebhook."""
        ...

    async def webhook_progress(self, hook: Webhook, post: Post | None = None) -> None:
        """How far delivering has come; nothing if it was removed, or its cursor set by hand meanwhile."""
        ...

    async def remove_webhook(self, webhook: str) -> None:
        """Raises UnknownWebhook."""
        ...

    # writes: accounts, people, keys
    async def put_account(
        self, account: AccountId, credentials: Credentials, at_ms: int
    ) -> tuple[Account, bool]:
        """Adds it, or replaces its credentials (queue and chats are kept; another secret clears the cursor).
        Answers whether it is new."""
        ...

    async def remove_account(self, account: AccountId, at_ms: int) -> None:
        """Live messages end as cancelled, open turns as stopped (reason `account-removed`), inbound messages ask
        nothing any more; credentials and tokens are erased, history stays. Raises UnknownAccount."""
        ...

    async def set_paused(self, account: AccountId, paused: bool, at_ms: int) -> Account: ...

    async def set_chat_paused(self, target: Target, paused: bool, at_ms: int) -> Chat: ...

    async def take_over(self, target: Target, at_ms: int) -> Chat:
        """A person answers the chat: its open turn ends as stopped (reason `taken-over`), and what is heard there
        asks for no turn until `hand_back`. Taken over twice, it stays as it is."""
        ...

    async def hand_back(self, target: Target, at_ms: int) -> Chat: ...

    async def change_account(self, change: AccountChange) -> Account: ...

    async def set_rule(self, account: AccountId, sender_id: str, rule: Rule, at_ms: int) -> SenderRule:
        """Writes the decision down; also for a sender not seen yet."""
        ...

    async def add_key(self, key: ApiKey) -> None: ...

    async def revoke_key(self, key_id: str, at_ms: int) -> ApiKey: ...

    async def prune(self, now_ms: int, finished_before_ms: int, events_before_ms: int, limit: int) -> int:
        """Removes finished messages, turns and inbound text that ended before one time, attempts and events from
        before the other; at most `limit` rows of each kind, never anything live. Answers how many rows."""
        ...

    # reads
    async def accounts(self) -> tuple[Account, ...]: ...

    async def account(self, account: AccountId) -> Account: ...

    async def chats(
        self, account: AccountId | None, after: str | None, limit: int, containing: str = ""
    ) -> Page[Chat]:
        """The most recently used first; `containing`: only those whose name or id does."""
        ...

    async def chat(self, target: Target) -> Chat | None: ...

    async def live_chats(self) -> tuple[Target, ...]:
        """Every chat with a live message, for the start."""
        ...

    async def paused_chats(self) -> tuple[Target, ...]:
        """Every chat that a person holds back, for the start."""
        ...

    async def lanes(self, targets: Sequence[Target], per_lane: int, now_ms: int) -> tuple[LaneView, ...]:
        """Messages that may not begin before a later time than `now_ms` stand behind all others."""
        ...

    async def ledgers(self, targets: Sequence[Target]) -> Mapping[Target, Ledger]:
        """The ledger of each chat's newest inbound message; chats without one are left out."""
        ...

    async def parts_left(self, target: Target, now_ms: int) -> int:
        """Parts of the chat that may go now and are still to be sent: progress and notices about allowances aside."""
        ...

    async def heard_before(self, account: AccountId, heard: Heard) -> bool:
        """Whether it repeats a stored message: a commit would suppress it."""
        ...

    async def quoted(self, account: AccountId, platform_id: str) -> str | None:
        """The text of the message, theirs or ours, that the platform calls so; None where we do not have it."""
        ...

    async def message(self, message: MessageId, with_attempts: bool = True) -> Message: ...

    async def messages(self, where: MessageFilter, after: str | None, limit: int) -> Page[Message]:
        """Newest first."""
        ...

    async def timeline(
        self, target: Target, before: str | None, limit: int, containing: str = ""
    ) -> Page[TimelineRow]:
        """Newest first: inbound, turns, outbound, suppressed, in one order. `containing`: only what was said with these
        words, whatever their case."""
        ...

    async def history(self, session: ChatSession, limit: int) -> tuple[Said, ...]:
        """The last lines of a session, oldest first: allowed inbound, and outbound of every class but progress and
        notice. What failed, expired, was cancelled or still waits is marked as undelivered. Of one person: what he
        said, what answered him, and what was said to all."""
        ...

    async def pending_inbound(self) -> tuple[Inbound, ...]:
        """What still waits for a turn or a command, oldest first."""
        ...

    async def open_turns(self) -> tuple[Turn, ...]: ...

    async def turn(self, turn: TurnId) -> Turn:
        """Raises UnknownTurn."""
        ...

    async def spoken(self, turn: Turn) -> tuple[str, ...]:
        """What the turn has said already, in order."""
        ...

    async def turns(self, where: TurnFilter, after: str | None, limit: int) -> Page[Turn]:
        """Newest first."""
        ...

    async def inbound(self, ids: Sequence[InboundId]) -> tuple[Inbound, ...]: ...

    async def rules(self, account: AccountId | None) -> tuple[SenderRule, ...]: ...

    async def chosen_agents(self) -> Mapping[Target, str]:
        """The chats for which somebody has chosen who answers."""
        ...

    async def asked_since(self, at_ms: int) -> tuple[tuple[AccountId, str, int], ...]:
        """Account, sender and time of each allowed message since then that asked for something, oldest first."""
        ...

    async def sender(self, account: AccountId, sender_id: str) -> SenderRule | None: ...

    async def keys(self) -> tuple[ApiKey, ...]: ...

    async def events_after(self, after_id: int, limit: int) -> tuple[Event, ...]: ...

    async def event_range(self) -> tuple[int, int]:
        """(oldest kept id, newest id); (0, 0) if there never was one; (n + 1, n) if all up to n were pruned."""
        ...

    async def counts(self) -> Counts: ...

    async def tallies(self, since_ms: int, step_ms: int) -> tuple[Tally, ...]:
        """What became of the messages accepted since then, by steps of time; steps without any are left out."""
        ...

    async def troubles(self, numbers: AlertNumbers, now_ms: int) -> Troubles:
        """Messages that fare badly, by these numbers: waiting too long, held in doubt, failed or expired lately;
        and runs of sends without the receipt that was owed."""
        ...

    async def alerts(self, is_open: bool | None, after: str | None, limit: int) -> Page[Alert]:
        """Open ones first, the latest change first; None: both."""
        ...

    async def alerts_since(self, at_ms: int) -> tuple[Alert, ...]:
        """Every open alert, and those that were cleared since."""
        ...

    async def last_message_ms(self, target: Target, source: str) -> int | None:
        """When the latest message of this source was accepted for a chat; None: none that is kept."""
        ...

    async def webhook_posts(
        self, webhook: str, failed_only: bool, after: str | None, limit: int
    ) -> Page[Post]:
        """What became of events there, the latest first."""
        ...

    async def webhooks(self) -> tuple[Webhook, ...]:
        """In the order of their making."""
        ...

    async def schedule(self, schedule: ScheduleId) -> Schedule:
        """Raises UnknownSchedule."""
        ...

    async def schedules(self, after: str | None, limit: int) -> Page[Schedule]:
        """Newest first."""
        ...

    async def due_schedules(self, now_ms: int, limit: int) -> tuple[Schedule, ...]:
        """Those whose time has come, the longest due first."""
        ...

    async def next_schedule_ms(self) -> int | None:
        """When the next one is due; None: none ever."""
        ...

    async def schedules_planned_after(self, at_ms: int, limit: int) -> tuple[Schedule, ...]:
        """Active ones that were looked at last when the clock showed a later time."""
        ...

    async def run(self, schedule: ScheduleId, run: RunId) -> RunView:
        """Raises UnknownSchedule."""
        ...

    async def runs(self, schedule: ScheduleId, after: str | None, limit: int) -> Page[RunView]:
        """Newest first."""
        ...

    # life
    def subscribe(self, listener: Callable[[Sequence[Event]], None]) -> None:
        """Calls the listener, in the event loop, with the events of each commit, in the order of their ids."""
        ...

    def writable(self) -> Reason | None:
        """None while writes succeed, else why the last one did not."""
        ...

    async def close(self) -> None: ...
