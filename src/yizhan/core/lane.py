"""Which entry goes next: order inside a chat, fairness between chats, and nothing spent on those that wait.

How to think of it: a *lane* is a chat's live messages in order; only its head may be sent. A lane is in one
of four places: *ready* (in its account's queue, first come first served, back to the end after each send),
*asleep* (with a wake time), *busy* (its head is on the wire, or its window is being read), or *parked*
(waits for an event: an inbound message, an operator). An account with ready lanes is *active* unless a gate
of its own shuts it; then it sleeps like a lane, or is parked until it is opened.

Memory holds a window of about `per_lane` messages of a lane (core/window.py); the rest waits in the table. A
lane without a window costs a few hundred bytes, a sleeping one no time.

What is read from the table is always a little old. What happens meanwhile is therefore kept beside it (new
messages) or makes the reading void, so that it is done again (`stale`).

This module keeps no clock and does no I/O: the dispatcher asks `choose(now_ms)` and reports back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from yizhan.core import allowance as allowances
from yizhan.core import breaker as breakers
from yizhan.core import limiter
from yizhan.core.allowance import Allowance, Beside, Ledger
from yizhan.core.attribution import Blame, Traffic
from yizhan.core.ghosts import GhostNumbers, push_pause_ms, slowed
from yizhan.core.hosts import Hosts
from yizhan.core.limiter import Pace
from yizhan.core.reaction import Gates
from yizhan.core.release import Go, Parked, Purse, Step, Tell, Withdraw, pick
from yizhan.core.shares import Share, is_bulk
from yizhan.core.tokens import UNTRIED, Trial, same, usable
from yizhan.core.wakes import Wakes
from yizhan.core.window import Window
from yizhan.model import (
    AccountId,
    ChatId,
    Entry,
    Message,
    ReplyToken,
    Target,
    WaitingFor,
)

EXPIRED_MS = 1_000
"""A head whose time is over holds its lane this long; the sweeper ends it meanwhile."""
HURRY_GAP_MS = 60_000
"""Somebody who writes into a limit hurries a probe at most this often."""


@dataclass(frozen=True, slots=True)
class Load:
    """The lane's window must be read from the table; answer with `loaded` or `not_loaded`."""

    target: Target


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the table says of a lane, and what is known of the chat.

    messages   its first live messages by place (core/window.py): begun, due, dated by date
    truncated  the table has more
    ledger     of its newest inbound message, None if it was never heard
    """

    target: Target
    messages: tuple[Message, ...]
    truncated: bool
    token: ReplyToken | None
    has_written: bool
    paused: bool
    pace: Pace
    ghosts: int = 0
    ledger: Ledger | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """This entry goes next; its lane is busy until `settled` (or `ended`), or `put_back`."""

    message: Message
    entry: Entry


@dataclass(frozen=True, slots=True)
class Park:
    """This part waits for the other side's next message, and is to be written down so; its lane is busy until then."""

    parked: Parked


@dataclass(frozen=True, slots=True)
class Notify:
    """The chat is to be told how many parts remain; its lane is busy until that is accepted."""

    target: Target
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nothing can go before `at_ms`; None: nothing will by time alone."""

    at_ms: int | None


Choice = Load | Send | Park | Notify | Withdraw | LookAgain


@dataclass(slots=True, eq=False)
class Lane:
    """A chat's live messages.

    window      None: not read yet
    late        accepted while the window was being read; it may or may not have them
    stale       the window, or what is being read, is void: to be read anew
    probes      the host whose one probe its request on the wire is, else empty
    trial       what requests have told about its token (core/tokens.py)
    ledger      what its newest inbound message permits (core/allowance.py); None: not read yet, or never heard
    expecting   a turn is open, whose answer is to come
    rested_ms   the next request keeps its distance until then
    hurried_at_ms  when an inbound message last hurried its gate, or will have
    pace        None: not read yet; then `hurried_ms` keeps what is to be done to it
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
    pace: Pace | None = None
    hurried_ms: int | None = None
    ghosts: int = 0
    push_at_ms: int = 0
    loading: bool = False
    sending: bool = False
    queued: bool = False
    stale: bool = False
    probes: str = ""
    sent_ms: int = 0

    @property
    def busy(self) -> bool:
        return self.loading or self.sending


@dataclass(slots=True, eq=False)
class AccountLanes:
    """An account's lanes and what stands before all of them.

    known  it was made known with its host; before, its lanes only gather
    open   it may send (logged in, not paused); else its lanes wait for `waits`
    bulk   ready lanes whose head is no answer, while the account keeps to a limit; `share` is theirs (core/shares.py)
    accepted / refused  which chats last fared so, to tell one chat's trouble from everybody's
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
    in_flight: int = 0
    lanes: dict[ChatId, Lane] = field(default_factory=dict)
    ready: deque[Lane] = field(default_factory=deque)
    bulk: deque[Lane] = field(default_factory=deque)
    share: Share = field(default_factory=Share)
    active: bool = False


class Lanes:
    """All lanes of this process. Not thread-safe; one dispatcher owns it.

    Args:  per_lane  messages of a lane in memory, at least 1
           idle_max  beyond so many lanes, empty ones are forgotten
           gap_ms    between two requests of a chat, from start to start
    """

    def __init__(self, hosts: Hosts, per_lane: int = 16, idle_max: int = 4_096, gap_ms: int = 0) -> None:
        self.per_lane = per_lane
        self._idle_max = idle_max
        self._gap_ms = gap_ms
        self._hosts = hosts
        self._accounts: dict[AccountId, AccountLanes] = {}
        self._active: deque[AccountLanes] = deque()
        self._asleep: Wakes[Lane | AccountLanes] = Wakes()
        self._lanes = 0
        self._now_ms = 0

    # what the dispatcher asks and answers

    def choose(self, now_ms: int) -> Choice:
        """The next thing to do. Fair: accounts in turn, and within an account lanes in turn."""
        self._now_ms = now_ms
        for who in self._asleep.due(now_ms):
            if isinstance(who, Lane):
                self._ready(who)
            else:
                self._activate(who)
        while self._active:
            account = self._active[0]
            choice = self._choose_in(account, now_ms)
            if choice is not None:
                self._active.rotate(-1)
                return choice
            self._active.popleft()
            account.active = False
        return LookAgain(self._asleep.next_ms())

    def loaded(self, view: Loaded) -> None:
        """The answer to Load."""
        lane = self.lane(view.target)
        if lane is None or not lane.loading:
            return
        late, lane.late, lane.loading = lane.late, [], False
        if not lane.stale:
            self._take_in(lane, view, late)
        lane.stale = False
        self._ready(lane)

    def not_loaded(self, target: Target, again_at_ms: int) -> None:
        """The table could not be read; try again then."""
        lane = self.lane(target)
        if lane is not None and lane.loading:
            lane.late, lane.loading, lane.stale = [], False, False
            self._asleep.sleep(lane, again_at_ms)

    def learned(
        self, target: Target, gates: Gates, token: ReplyToken | None, trial: Trial | None = None
    ) -> None:
        """What a reply has taught, to be told before anything else is decided; `ended` follows when it is kept."""
        lane = self.lane(target)
        if lane is None:
            return
        lane.trial = trial or lane.trial
        if token is not None and lane.token is not None and same(token, lane.token):
            lane.token = token
        lane.pace = gates.chat
        lane.account.gates = replace(gates, chat=limiter.OPEN)
        self._activate(lane.account)

    def receipt(self, target: Target, came: bool, now_ms: int, numbers: GhostNumbers) -> None:
        """A receipt was owed, and came or did not."""
        lane = self.lane(target)
        if lane is not None:
            lane.ghosts = 0 if came else lane.ghosts + 1
            pause_ms = push_pause_ms(lane.ghosts, numbers)
            lane.push_at_ms = now_ms + pause_ms if pause_ms else 0

    def pardoned(self, blame: Blame) -> None:
        """The limit was the account's: the chat's pace is what it was before."""
        lane = self.lane(blame.target)
        if lane is not None and lane.pace is not None:
            lane.pace = blame.before
            self._ready(lane)

    def ended(self, message: Message) -> None:
        """The attempt is over and kept: `message` as it is now."""
        lane = self.lane(message.target)
        if lane is None or not lane.sending:
            return
        if lane.stale:
            lane.window, lane.stale = None, False
        elif lane.window is not None:
            lane.window.put(message)
        self._free(lane)
        self._ready(lane)

    def put_back(self, target: Target, again_at_ms: int) -> None:
        """The chosen entry was not sent after all; its lane is read anew, not before `again_at_ms`."""
        lane = self.lane(target)
        if lane is None or not lane.sending:
            return
        lane.window, lane.stale = None, False
        self._free(lane)
        self._asleep.sleep(lane, again_at_ms)

    # what others report

    def account(self, account: AccountId, host: str, in_flight_max: int, gates: Gates) -> None:
        """Makes an account known, or known with another host; its lanes wait until it is opened.

        `gates` as they were stored; those of an account that is known already are newer and stay.
        """
        lanes = self._account(account)
        if not lanes.known:
            lanes.known, lanes.gates = True, gates
        lanes.host, lanes.in_flight_max = host, in_flight_max
        self._activate(lanes)

    def allow(self, account: AccountId, allowance: Allowance) -> None:
        """What is believed of the allowances of an account that is known."""
        self._account(account).allowance = allowance

    def open_account(self, account: AccountId, waits: WaitingFor | None) -> None:
        """`waits` None lets its lanes send; else says for what all of them wait."""
        lanes = self._accounts.get(account)
        if lanes is not None:
            lanes.open, lanes.waits = waits is None, waits
            self._activate(lanes)

    def forget_account(self, account: AccountId) -> None:
        """The account is gone. Of its lanes only those that are busy stay, until they are not."""
        gone = self._accounts.get(account)
        if gone is None:
            return
        gone.open, gone.known, gone.waits = False, False, WaitingFor.LOGIN
        gone.ready.clear()
        gone.bulk.clear()
        for lane in list(gone.lanes.values()):
            lane.queued, lane.stale = False, True
            self._asleep.wake(lane)
            if not lane.busy:
                self._drop(lane)
        if not gone.lanes:
            self._asleep.wake(gone)
            del self._accounts[account]

    def add(self, message: Message) -> None:
        """A message was accepted; telling it twice does no harm."""
        if not message.state.live:
            return
        lane = self._lane(message.target)
        if lane.loading:
            self._note_late(lane, message)
        elif lane.window is not None:
            lane.window.take(message, self._now_ms, self.per_lane)
        if not is_bulk(message.klass):
            self._prefer(lane)
        if not self._behind_gate(lane):
            self._ready(lane)

    def knows(self, target: Target) -> None:
        """The chat has live messages in the table."""
        self._ready(self._lane(target))

    def changed(self, target: Target) -> None:
        """The table says something else than the window now (cancelled, retried, expired, paused)."""
        lane = self._lane(target)
        if lane.busy:
            lane.stale = True
        else:
            lane.window = None
            self._ready(lane)

    def heard(self, target: Target, token: ReplyToken | None, now_ms: int, key: str = "") -> None:
        """The other side wrote: the newest token, a new allowance under `key`, and evidence of health. What waited for
        it may try at once."""
        account = self._accounts.get(target.account)
        if account is None:
            return
        lane = self._lane(target)
        stuck = lane.trial.every_way_refused(usable(lane.token))
        lane.ledger = allowances.opened(key, now_ms, 0, lane.ledger, lane.sending, stuck)
        lane.has_written, lane.token = True, token or lane.token
        lane.trial = UNTRIED if token else replace(lane.trial, at_once=False)
        lane.stale = lane.stale or lane.loading
        self._hurry_by_inbound(lane, now_ms)

    def expect(self, target: Target, expecting: bool) -> None:
        """A turn of the chat is open, whose answer is to come; or none is any more."""
        lane = self._lane(target) if expecting else self.lane(target)
        if lane is not None and lane.expecting != expecting:
            lane.expecting = expecting
            self._ready(lane)

    def noticed(self, target: Target, key: str) -> None:
        """The notice of this allowance has been accepted."""
        lane = self.lane(target)
        if lane is not None and lane.ledger is not None and lane.ledger.key == key:
            lane.ledger = replace(lane.ledger, noticed=True)

    def insist(self, target: Target, now_ms: int) -> None:
        """A person wants the chat's next part to be tried, whatever is left of its allowance, and as one probe."""
        lane = self._lane(target)
        if lane.ledger is not None:
            lane.ledger = replace(lane.ledger, probe_at_ms=now_ms)
        self.hurry(target, now_ms)

    def hurry(self, target: Target, now_ms: int) -> None:
        """One probe of the chat may go at once."""
        lane = self._lane(target)
        lane.push_at_ms = 0
        self._hurry(lane, now_ms)

    def recovered(self, account: AccountId, now_ms: int) -> None:
        """The platform answers this account again: what waits for its lost answers may try at once."""
        lanes = self._accounts.get(account)
        if lanes is None:
            return
        for lane in lanes.lanes.values():
            if lane.pace and lane.pace.doubts and not lane.pace.probing:
                lane.pace = limiter.hurried(lane.pace, now_ms)
                self._ready(lane)
        lanes.gates = replace(lanes.gates, answers=breakers.hurried(lanes.gates.answers, now_ms))
        self._activate(lanes)

    def host_changed(self, host: str) -> None:
        """The host answers again, or its probe is over: look at its accounts anew."""
        for account in self._accounts.values():
            if account.host == host:
                self._activate(account)

    # what others ask

    def gates_of(self, target: Target) -> Gates:
        """The chat's gate together with those of its account."""
        account, lane = self._accounts.get(target.account), self.lane(target)
        shared = account.gates if account else Gates()
        return replace(shared, chat=(lane and lane.pace) or limiter.OPEN)

    def traffic(self, target: Target) -> Traffic:
        """What goes on around a chat's request on the wire. Counts are of what memory holds: lower bounds."""
        lane = self.lane(target)
        if lane is None:
            return Traffic()
        account, behind = lane.account, len(lane.window or ())
        return Traffic(lane.sent_ms, behind, behind + len(account.ready) + len(account.bulk))

    def held_by(self, target: Target, now_ms: int) -> WaitingFor | None:
        """What the chat's messages wait for beside gates: an operator, or the other side's first message. None if
        for nothing of the kind, or if its messages have not been read yet."""
        lane = self.lane(target)
        if lane is None or lane.window is None:
            return None
        if lane.paused:
            return WaitingFor.OPERATOR
        message = lane.window.head(now_ms)
        entry = next((each for each in message.entries if each.state.live), None) if message else None
        return entry.waiting_for if entry and _waits_for_somebody(lane, entry) else None

    def parked(self, target: Target, now_ms: int) -> Parked | None:
        """How the chat's next part is held by its allowance, None if it is not, or if that is not read yet."""
        lane = self.lane(target)
        if lane is None or lane.window is None or not (due := lane.window.due(now_ms)):
            return None
        step = pick(due, lane.window.edge is not None, _purse(lane, now_ms), now_ms)
        return step if isinstance(step, Parked) else None

    def lane(self, target: Target) -> Lane | None:
        account = self._accounts.get(target.account)
        return account.lanes.get(target.chat) if account else None

    def account_lanes(self, account: AccountId) -> AccountLanes | None:
        return self._accounts.get(account)

    def shut_lanes(self, account: AccountId) -> list[Lane]:
        """Lanes of the account whose own gate is not wide open: shut, or keeping to a limit."""
        lanes = self._accounts.get(account)
        known = lanes.lanes.values() if lanes else ()
        return [lane for lane in known if lane.pace and not lane.pace.blank]

    def quiet_lanes(self, account: AccountId, now_ms: int) -> list[Lane]:
        """Lanes of the account whose pushes wait because receipts do not come."""
        lanes = self._accounts.get(account)
        return [lane for lane in lanes.lanes.values() if lane.push_at_ms > now_ms] if lanes else []

    def __len__(self) -> int:
        return self._lanes

    # choosing

    def _choose_in(self, account: AccountLanes, now_ms: int) -> Choice | None:
        while account.ready:
            if self._shut(account, now_ms):
                return None
            lane = account.ready.popleft()
            lane.queued = False
            choice = self._head(lane, now_ms)
            if choice is not None:
                return choice
        return self._choose_bulk(account, now_ms) if account.bulk else None

    def _choose_bulk(self, account: AccountLanes, now_ms: int) -> Choice | None:
        """After what people wait for, and only its share of the room."""
        while account.bulk:
            if self._shut(account, now_ms):
                return None
            ready_ms = account.share.bulk_ready_at(account.gates.account, now_ms)
            if ready_ms > now_ms:
                self._asleep.sleep(account, ready_ms)
                return None
            lane = account.bulk.popleft()
            lane.queued = False
            choice = self._head(lane, now_ms, yields=False)
            if choice is not None:
                return choice
        return None

    def _shut(self, account: AccountLanes, now_ms: int) -> bool:
        """Whether no lane of the account may send now; if only time opens it, it is put to sleep."""
        if not account.open or not self._hosts.free(account.host):
            return True
        gates, host = account.gates, self._hosts.breaker(account.host)
        probing = gates.account.single or gates.answers.shut or host.shut
        if account.in_flight >= (1 if probing else account.in_flight_max):
            return True
        account_ms = gates.account.ready_at(now_ms, account.in_flight)
        ready_ms = max(account_ms, gates.answers.ready_at(now_ms), host.ready_at(now_ms))
        if ready_ms > now_ms:
            self._asleep.sleep(account, ready_ms)
            return True
        return False

    def _prefer(self, lane: Lane) -> None:
        """Somebody waits for this chat now: it leaves the bulk."""
        if lane in lane.account.bulk:
            lane.account.bulk.remove(lane)
            lane.queued = False
            self._ready(lane)

    def _yields(self, lane: Lane, message: Message, now_ms: int, yields: bool) -> bool:
        """While the account keeps to a limit, bulk lets others go first."""
        account = lane.account
        if account.gates.account.limit is None:
            return False
        bulk = is_bulk(message.klass)
        if bulk and yields:
            lane.queued = True
            account.bulk.append(lane)
            return True
        account.share.note(bulk, now_ms)
        return False

    def _head(self, lane: Lane, now_ms: int, yields: bool = True) -> Choice | None:
        if lane.window is None or lane.window.outdated(now_ms):
            lane.window, lane.loading = None, True
            return Load(lane.target)
        if lane.paused:
            return None
        due = lane.window.due(now_ms)
        if not due:
            self._rest(lane, lane.window)
            return None
        if _waits_for_somebody(lane, _live(due[0])):
            return None
        step = pick(due, lane.window.edge is not None, _purse(lane, now_ms), now_ms)
        if not isinstance(step, Go):
            return self._not_now(lane, step)
        message, entry = step.message, step.entry
        if _waits_for_somebody(lane, entry):
            return None
        ready_ms = _ready_ms(lane, message, now_ms)
        if ready_ms > now_ms:
            self._asleep.sleep(lane, ready_ms)
            return None
        if self._yields(lane, message, now_ms, yields):
            return None
        lane.sending, lane.sent_ms, lane.rested_ms = True, now_ms, now_ms + self._gap_ms
        lane.account.in_flight += 1
        if self._hosts.claim(lane.account.host, lane):
            lane.probes = lane.account.host
        return Send(message, entry)

    def _not_now(self, lane: Lane, step: Step | None) -> Choice | None:
        """The allowance lets nothing go: that is told, or written down, or waited for."""
        if isinstance(step, Parked) and not (step.lasting and _news(step)):
            if step.at_ms is not None:
                self._asleep.sleep(lane, step.at_ms)
            return None
        if step is None or isinstance(step, Go):
            return None
        lane.sending = True
        lane.account.in_flight += 1
        if isinstance(step, Tell):
            assert lane.ledger is not None, "what is spent was entered"
            return Notify(lane.target, lane.ledger)
        return Park(step) if isinstance(step, Parked) else step

    def _rest(self, lane: Lane, window: Window) -> None:
        """Nothing may begin: until the next date, else until something comes."""
        due_ms = window.due_ms()
        if due_ms is not None:
            self._asleep.sleep(lane, due_ms)
        elif self._lanes > self._idle_max and (lane.pace is None or lane.pace.blank):
            self._drop(lane)

    # the table

    def _take_in(self, lane: Lane, view: Loaded, late: list[Message]) -> None:
        lane.window = Window.read(view.messages, view.truncated, self._now_ms)
        for message in late:
            lane.window.take(message, self._now_ms, self.per_lane)
        lane.token, lane.has_written, lane.paused = view.token, view.has_written, view.paused
        lane.ledger = lane.ledger or view.ledger
        if lane.pace is None:
            lane.ghosts = view.ghosts
            hurried_ms, lane.hurried_ms = lane.hurried_ms, None
            lane.pace = view.pace if hurried_ms is None else limiter.hurried(view.pace, hurried_ms)

    def _note_late(self, lane: Lane, message: Message) -> None:
        if len(lane.late) < self.per_lane:
            lane.late.append(message)
        else:
            lane.stale = True

    # moving lanes and accounts

    def _ready(self, lane: Lane) -> None:
        if lane.busy or lane.queued:
            return
        self._asleep.wake(lane)
        lane.queued = True
        lane.account.ready.append(lane)
        if lane.account.bulk or self._asleep.until(lane.account) is None:  # it may sleep for its bulk only
            self._activate(lane.account)

    def _activate(self, account: AccountLanes) -> None:
        self._asleep.wake(account)
        if not account.active and (account.ready or account.bulk):
            account.active = True
            self._active.append(account)

    def _free(self, lane: Lane) -> None:
        """The lane's request is over, and with it the claim to be its host's probe."""
        lane.sending = False
        lane.account.in_flight -= 1
        probed, lane.probes = lane.probes, ""
        if probed and self._hosts.release(probed, lane):
            self.host_changed(probed)
        self._activate(lane.account)

    def _hurry(self, lane: Lane, now_ms: int) -> None:
        if lane.pace is None:
            lane.hurried_ms = now_ms
        else:
            lane.pace = limiter.hurried(lane.pace, now_ms)
        self._ready(lane)
        account, gates = lane.account, lane.account.gates
        account.gates = replace(
            gates,
            account=limiter.hurried(gates.account, now_ms),
            answers=breakers.hurried(gates.answers, now_ms),
        )
        self._activate(account)

    def _hurry_by_inbound(self, lane: Lane, now_ms: int) -> None:
        """As `_hurry`; but a gate that is known to be shut is not hurried by every message of somebody typing."""
        account, gates = lane.account, lane.account.gates
        if lane.pace is None:
            lane.hurried_ms = now_ms
        elif lane.pace.probing:
            lane.hurried_at_ms = _hurry_at(lane.hurried_at_ms, now_ms)
            lane.pace = limiter.hurried(lane.pace, lane.hurried_at_ms)
        else:
            lane.pace = limiter.hurried(lane.pace, now_ms)
        if gates.account.probing:
            account.hurried_at_ms = _hurry_at(account.hurried_at_ms, now_ms)
            gates = replace(gates, account=limiter.hurried(gates.account, account.hurried_at_ms))
        account.gates = replace(gates, answers=breakers.hurried(gates.answers, now_ms))
        self._ready(lane)
        self._activate(account)

    def _behind_gate(self, lane: Lane) -> bool:
        """Asleep behind its own shut gate: one more message changes nothing."""
        until_ms = self._asleep.until(lane)
        return until_ms is not None and lane.pace is not None and lane.pace.not_before_ms >= until_ms

    # keeping them

    def _account(self, account: AccountId) -> AccountLanes:
        lanes = self._accounts.get(account)
        if lanes is None:
            lanes = self._accounts[account] = AccountLanes(account)
        return lanes

    def _lane(self, target: Target) -> Lane:
        account = self._account(target.account)
        lane = account.lanes.get(target.chat)
        if lane is None:
            lane = account.lanes[target.chat] = Lane(target, account)
            self._lanes += 1
        return lane

    def _drop(self, lane: Lane) -> None:
        del lane.account.lanes[lane.target.chat]
        self._lanes -= 1


def _live(message: Message) -> Entry:
    return next(entry for entry in message.entries if entry.state.live)


def _purse(lane: Lane, now_ms: int) -> Purse:
    ledger = lane.ledger or Ledger("", now_ms)
    return Purse(ledger, lane.account.allowance, lane.expecting, lane.trial.at_once)


def _news(parked: Parked) -> bool:
    """Whether the part is not known to wait so."""
    entry = parked.entry
    known = entry.waiting_for, entry.reason and entry.reason.code
    return known != (parked.waiting_for, parked.reason.code)


def _hurry_at(hurried_at_ms: int, now_ms: int) -> int:
    """When an inbound message may hurry a shut gate that was last hurried then."""
    return hurried_at_ms if hurried_at_ms > now_ms else max(now_ms, hurried_at_ms + HURRY_GAP_MS)


def _waits_for_somebody(lane: Lane, entry: Entry) -> bool:
    """For an operator's word, or for the other side's first one."""
    if entry.waiting_for is WaitingFor.USER:
        return not lane.has_written
    return entry.waiting_for is WaitingFor.OPERATOR


def _ready_ms(lane: Lane, message: Message, now_ms: int) -> int:
    """The earliest time the lane's head may go; `<= now_ms` means now."""
    if message.expires_at_ms <= now_ms:
        return now_ms + EXPIRED_MS
    ready_ms = max(lane.pace.ready_at(now_ms), lane.rested_ms) if lane.pace else now_ms
    return max(ready_ms, lane.push_at_ms) if slowed(message) else ready_ms
