"""A chat's live messages in order, and what is known of the chat: its lane.

How to think of it: only the head of a lane may be sent, and what the head is depends on nothing but the lane and the
time: on its window, what is left of its allowance, whether somebody has to act first, and its own gate. This module
answers that for one lane. Whose turn it is among many stands in core/rota.py.

Memory holds a window of about `per_lane` messages of a lane (core/window.py); the rest waits in the table. A lane
without a window costs a few hundred bytes.

What is read from the table is always a little old. What happens meanwhile is therefore kept beside it (new messages)
or makes the reading void, so that it is done again (`stale`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from yizhan.core import allowance as allowances
from yizhan.core import limiter
from yizhan.core import unasked as unaskeds
from yizhan.core.allowance import Allowance, Beside, Ledger
from yizhan.core.attribution import ATTRIBUTION_MS, heard_out_ms
from yizhan.core.choice import Loaded
from yizhan.core.ghosts import GhostNumbers, push_pause_ms, slowed
from yizhan.core.limiter import Pace
from yizhan.core.reaction import Gates
from yizhan.core.release import Parked, Purse, Step, head_of, pick
from yizhan.core.shares import Share
from yizhan.core.tokens import UNTRIED, Trial, owes_experiment, token_for, usable
from yizhan.core.unasked import Unasked
from yizhan.core.window import Window
from yizhan.model import AccountId, ChatId, Entry, Message, MessageState, ReplyToken, Target, WaitingFor

EXPIRED_MS = 1_000
"""A head whose time is over holds its lane this long; the sweeper ends it meanwhile, if it was not begun."""


@dataclass(slots=True, eq=False)
class Lane:
    """A chat's live messages.

    window      None: not read yet
    late        accepted while the window was being read; it may or may not have them
    stale       the window, or what is being read, is void: to be read anew
    sending     its head is on the wire, or something is being written down for it
    entered     a request of it has been entered in the ledger, and its fate is not known yet
    probes      the host whose one probe its request on the wire is, else empty
    trial       what requests have told about its token (core/tokens.py)
    ledger      what its newest inbound message permits (core/allowance.py); None: not read yet, or never heard
    expecting   a turn is open, whose answer is to come
    rested_ms   the next request keeps its distance until then
    hurried_at_ms  when an inbound message last hurried its gate, or will have; `insisted_at_ms`: when a person did
    pace        None: not read yet; then `hurried_ms` keeps what is to be done to it
    unasked     what is known of messages to it that nobody asked for (core/unasked.py)
    ghosts      sends in a row without the receipt that was owed; pushes wait until `push_at_ms` (core/ghosts.py)
    sent_ms     when its request on the wire was chosen
    """

    target: Target
    account: AccountLanes
    window: Window | None = None
    late: list[Message] = field(default_factory=list)
    token: ReplyToken | None = None
    has_written: bool = False
    paused: bool = False
    trial: Trial = UNTRIED
    ledger: Ledger | None = None
    expecting: bool = False
    rested_ms: int = 0
    hurried_at_ms: int = 0
    insisted_at_ms: int = 0
    pace: Pace | None = None
    hurried_ms: int | None = None
    unasked: Unasked = unaskeds.NOTHING
    ghosts: int = 0
    push_at_ms: int = 0
    loading: bool = False
    sending: bool = False
    entered: bool = False
    queued: bool = False
    stale: bool = False
    probes: str = ""
    sent_ms: int = 0

    @property
    def busy(self) -> bool:
        return self.loading or self.sending

    @property
    def blank(self) -> bool:
        """Its own gate is wide open, or not read yet."""
        return self.pace is None or self.pace.blank

    def forgettable(self, now_ms: int) -> bool:
        """Whether nothing is known of it that the table does not know as well, or that would be missed."""
        return self.blank and not self.expecting and self.push_at_ms <= now_ms

    @property
    def usable_token(self) -> ReplyToken | None:
        """Its token if it may still go out: fresh or suspect."""
        return self.token if usable(self.token) else None

    @property
    def allowance(self) -> Allowance:
        """What is believed of this chat's allowances."""
        return self.account.allowance.of(self.target.chat)

    @property
    def owes_experiment(self) -> bool:
        """Its next request may end the wait of the whole account: it tells whether a token was meant, or a limit."""
        return owes_experiment(self.token, self.trial)

    # what may go

    def due(self, now_ms: int) -> list[Message]:
        """The messages that may go, in order."""
        assert self.window is not None, "asked of a lane that is read"
        return self.window.due(now_ms)

    def purse(self, now_ms: int) -> Purse:
        """What it may spend."""
        ledger, allowance = self.ledger or Ledger("", now_ms), self.allowance
        again = self.trial.at_once and not allowance.rule.strict
        return Purse(ledger, allowance, self.expecting, again, self.unasked, not usable(self.token))

    def token_now(self, now_ms: int, old_ms: int) -> ReplyToken | None:
        """The token that its next request carries, None for a request without one."""
        if not self.allowance.rule.strict:
            return token_for(self.token, self.trial, now_ms, old_ms)
        return self.token if self.purse(now_ms).asked_closed(now_ms) is None else None

    def step(self, due: list[Message], now_ms: int) -> Step | None:
        """What its allowance lets go next of the messages that may, None for nothing. Its window is read."""
        assert self.window is not None, "asked of a lane that is read"
        return pick(due, self.window.more, self.purse(now_ms), now_ms)

    def waits_for_somebody(self, entry: Entry) -> bool:
        """For an operator's word, or for the other side's first one."""
        if entry.waiting_for is WaitingFor.USER and not self.allowance.rule.strict:
            return not self.has_written
        return entry.waiting_for is WaitingFor.OPERATOR

    def ready_at(self, message: Message, now_ms: int) -> int:
        """The earliest time its head may go, as far as its own gate is concerned; `<= now_ms` means now."""
        if message.expires_at_ms <= now_ms and message.state is not MessageState.SENDING:
            return now_ms + EXPIRED_MS
        ready_ms = max(self.pace.ready_at(now_ms), self.rested_ms) if self.pace else now_ms
        return max(ready_ms, self.push_at_ms) if slowed(message) else ready_ms

    def held(self, now_ms: int) -> Entry | None:
        """Its head, if that waits for somebody beside gates: for an operator, or for the other side's first message.
        None if it does not, or if nothing has been read yet."""
        message = self.window.head(now_ms) if self.window else None
        entry = head_of(message) if message else None
        return entry if entry and self.waits_for_somebody(entry) else None

    def parked(self, now_ms: int) -> Parked | None:
        """How its next part is held by its allowance, None if it is not, or if that is not read yet."""
        if self.window is None or not (due := self.due(now_ms)):
            return None
        step = self.step(due, now_ms)
        return step if isinstance(step, Parked) else None

    # what it learns

    def take_in(self, view: Loaded, late: list[Message], now_ms: int, most: int) -> None:
        """What the table says, and what was accepted while it was read."""
        self.window = Window.read(view.messages, view.truncated, now_ms)
        for message in late:
            self.window.take(message, now_ms, most)
        self.token, self.has_written = view.token, view.has_written
        self.ledger = self.ledger or view.ledger
        if self.pace is None:
            self.unasked = view.unasked
            self.ghosts = view.ghosts
            hurried_ms, self.hurried_ms = self.hurried_ms, None
            self.pace = view.pace if hurried_ms is None else limiter.hurried(view.pace, hurried_ms)

    def take(self, message: Message, now_ms: int, most: int) -> None:
        """A message was accepted; more than `most` of them are left to the table."""
        if self.window is not None:
            self.window.take(message, now_ms, most)
        elif self.loading and len(self.late) < most:
            self.late.append(message)
        elif self.loading:
            self.stale = True

    def heard(self, token: ReplyToken | None, key: str, now_ms: int) -> None:
        """The other side wrote: the newest token, and a new allowance under `key`."""
        stuck = self.trial.every_way_refused(usable(self.token))
        self.ledger = allowances.opened(key, now_ms, 0, self.ledger, self.entered, stuck)
        self.has_written, self.token = True, token or self.token
        self.trial = UNTRIED if token else replace(self.trial, at_once=False)
        self.stale = self.stale or self.loading

    def receipt(self, came: bool, now_ms: int, numbers: GhostNumbers) -> None:
        """A receipt was owed, and came or did not."""
        self.ghosts = 0 if came else self.ghosts + 1
        pause_ms = push_pause_ms(self.ghosts, numbers)
        self.push_at_ms = now_ms + pause_ms if pause_ms else 0


@dataclass(slots=True, eq=False)
class AccountLanes:
    """An account's lanes and what stands before all of them.

    known  it was made known with its host; before, its lanes only gather
    open   it may send (logged in, not paused); else its lanes wait for `waits`
    sent_ms  when a request was last put on the wire
    bulk   ready lanes whose head is no answer, while the account keeps to a limit; `share` is theirs (core/shares.py)
    accepted / refused  which chats last fared so, to tell one chat's trouble from everybody's
    forgiven_at_ms  when its lost answers were last forgotten, because the platform answered again
    """

    account: AccountId
    host: str = ""
    in_flight_max: int = 1
    known: bool = False
    open: bool = False
    waits: WaitingFor | None = WaitingFor.LOGIN
    gates: Gates = field(default_factory=Gates)
    allowance: Allowance = field(default_factory=Allowance)
    accepted: Beside = field(default_factory=Beside)
    refused: Beside = field(default_factory=Beside)
    hurried_at_ms: int = 0
    insisted_at_ms: int = 0
    forgiven_at_ms: int = 0
    in_flight: int = 0
    sent_ms: int = 0
    lanes: dict[ChatId, Lane] = field(default_factory=dict)
    ready: deque[Lane] = field(default_factory=deque)
    bulk: deque[Lane] = field(default_factory=deque)
    share: Share = field(default_factory=Share)
    active: bool = False

    def hears_out_ms(self) -> int:
        """Nothing more goes before what is on the wire is answered, or before this time: the next request feels for
        room, or it is not clear yet whether a refusal was meant for one chat or for all. At most two seconds, so that
        one lost answer does not hold everybody up."""
        if not self.in_flight:
            return 0
        unclear_ms = heard_out_ms(self.gates.blamed)
        feels = self.gates.account.feels(self.in_flight)
        return max(unclear_ms, self.sent_ms + ATTRIBUTION_MS) if feels else unclear_ms
