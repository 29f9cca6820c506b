"""Whose turn it is: fairness between chats and between accounts, and nothing spent on those that wait.

How to think of it: a lane is in one of four places: *ready* (in its account's queue, first come first served, back to
the end after each send), *asleep* (with a wake time), *busy* (its head is on the wire, or its window is being read),
or *parked* (waits for an event: an inbound message, an operator). An account with ready lanes is *active* unless a
gate of its own shuts it; then it sleeps like a lane, or is parked until it is opened.

A sleeper costs one place in a heap and no time; somebody parked costs nothing at all, and is found again by whoever
reports the event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from yizhan.core.choice import Choice, Load, LookAgain, Notify, Park, Send
from yizhan.core.hosts import Hosts
from yizhan.core.lane import AccountLanes, Lane
from yizhan.core.release import Go, Parked, Step, Tell, head_of
from yizhan.core.shares import is_bulk
from yizhan.core.wakes import Wakes
from yizhan.model import Message


class Rota:
    """The queues of all accounts. `on_empty` is told each lane that has nothing to send, and no date to wait for.

    Args:  gap_ms  between two requests of a chat, from start to start
    """

    def __init__(self, hosts: Hosts, gap_ms: int, on_empty: Callable[[Lane], None]) -> None:
        self._hosts = hosts
        self._gap_ms = gap_ms
        self._on_empty = on_empty
        self._active: deque[AccountLanes] = deque()
        self._asleep: Wakes[Lane | AccountLanes] = Wakes()

    def choose(self, now_ms: int) -> Choice:
        """The next thing to do. Fair: accounts in turn, and within an account lanes in turn."""
        for who in self._asleep.due(now_ms):
            if isinstance(who, Lane):
                self.ready(who)
            else:
                self.activate(who)
        while self._active:
            account = self._active[0]
            choice = self._choose_in(account, now_ms)
            if choice is not None:
                self._active.rotate(-1)
                return choice
            self._active.popleft()
            account.active = False
        return LookAgain(self._asleep.next_ms())

    # moving lanes and accounts

    def ready(self, lane: Lane) -> None:
        """It has something to send, or is to be looked at. Nothing happens to one that is busy or ready."""
        if lane.busy or lane.queued:
            return
        self._asleep.wake(lane)
        lane.queued = True
        _line_up(lane, lane.account.ready)
        if lane.account.bulk or self._asleep.until(lane.account) is None:  # it may sleep for its bulk only
            self.activate(lane.account)

    def activate(self, account: AccountLanes) -> None:
        """What kept the account may be over."""
        self._asleep.wake(account)
        if not account.active and (account.ready or account.bulk):
            account.active = True
            self._active.append(account)

    def prefer(self, lane: Lane) -> None:
        """Somebody waits for this chat now: it leaves the bulk."""
        if lane in lane.account.bulk:
            lane.account.bulk.remove(lane)
            lane.queued = False
            self.ready(lane)

    def sleep(self, lane: Lane, until_ms: int) -> None:
        self._asleep.sleep(lane, until_ms)

    def forget(self, who: Lane | AccountLanes) -> None:
        """It is not to be woken any more."""
        self._asleep.wake(who)

    def behind_gate(self, lane: Lane) -> bool:
        """Asleep behind its own shut gate: one more message changes nothing."""
        until_ms = self._asleep.until(lane)
        return until_ms is not None and lane.pace is not None and lane.pace.not_before_ms >= until_ms

    def free(self, lane: Lane) -> str:
        """What it was busy with is over, and with it the claim to be its host's probe. Answers the host that somebody
        else may probe now, empty for none."""
        lane.sending = lane.entered = False
        lane.account.in_flight -= 1
        probed, lane.probes = lane.probes, ""
        return probed if probed and self._hosts.release(probed, lane) else ""

    def _occupy(self, lane: Lane) -> None:
        lane.sending = True
        lane.account.in_flight += 1

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
        ready_ms = max(
            account_ms, gates.answers.ready_at(now_ms), host.ready_at(now_ms), account.hears_out_ms()
        )
        if ready_ms > now_ms:
            self._asleep.sleep(account, ready_ms)
            return True
        return False

    def _head(self, lane: Lane, now_ms: int, yields: bool = True) -> Choice | None:
        if lane.window is None or lane.window.outdated(now_ms):
            lane.window, lane.loading = None, True
            return Load(lane.target)
        if lane.paused:
            return None
        due = lane.due(now_ms)
        if not due:
            self._rest(lane, now_ms)
            return None
        if lane.waits_for_somebody(head_of(due[0])):
            return None
        step = lane.step(due, now_ms)
        if not isinstance(step, Go):
            return self._not_now(lane, step, now_ms)
        return None if lane.waits_for_somebody(step.entry) else self._go(lane, step, now_ms, yields)

    def _go(self, lane: Lane, step: Go, now_ms: int, yields: bool) -> Send | None:
        """As far as the allowance is concerned it goes; its own gate and the account's bulk have their say."""
        ready_ms = lane.ready_at(step.message, now_ms)
        if ready_ms > now_ms:
            self._sleep(lane, ready_ms, now_ms)
            return None
        if self._yields(lane, step.message, now_ms, yields):
            return None
        self._occupy(lane)
        lane.sent_ms = lane.account.sent_ms = now_ms
        lane.rested_ms = now_ms + self._gap_ms
        if self._hosts.claim(lane.account.host, lane):
            lane.probes = lane.account.host
        return Send(step.message, step.entry)

    def _yields(self, lane: Lane, message: Message, now_ms: int, yields: bool) -> bool:
        """While the account keeps to a limit, bulk lets others go first."""
        account = lane.account
        if account.gates.account.limit is None:
            return False
        bulk = is_bulk(message.klass)
        if bulk and yields:
            lane.queued = True
            _line_up(lane, account.bulk)
            return True
        account.share.note(bulk, now_ms)
        return False

    def _not_now(self, lane: Lane, step: Step | None, now_ms: int) -> Choice | None:
        """The allowance lets nothing go: that is told, or written down, or waited for."""
        if isinstance(step, Parked) and not (step.lasting and _news(step)):
            self._sleep(lane, step.at_ms, now_ms)
            return None
        if step is None or isinstance(step, Go):
            return None
        self._occupy(lane)
        if isinstance(step, Tell):
            assert lane.ledger is not None, "what is spent was entered"
            return Notify(lane.target, lane.ledger)
        return Park(step) if isinstance(step, Parked) else step

    def _rest(self, lane: Lane, now_ms: int) -> None:
        """Nothing may begin: until the next date, else until something comes."""
        if not self._sleep(lane, None, now_ms):
            self._on_empty(lane)

    def _sleep(self, lane: Lane, until_ms: int | None, now_ms: int) -> bool:
        """Until then (None: not by time), or until the next date if that is earlier: what may begin then may go where
        its neighbours may not. Answers whether there is anything to wait for."""
        assert lane.window is not None, "asked of a lane that is read"
        times_ms = [at_ms for at_ms in (until_ms, lane.window.due_ms(now_ms)) if at_ms is not None]
        if times_ms:
            self._asleep.sleep(lane, min(times_ms))
        return bool(times_ms)


def _line_up(lane: Lane, queue: deque[Lane]) -> None:
    """At the end; who owes an experiment at the front. Behind a shut gate requests are few, and another chat with a
    stale token of its own would spend each of them on the same refusal."""
    if lane.owes_experiment:
        queue.appendleft(lane)
    else:
        queue.append(lane)


def _news(parked: Parked) -> bool:
    """Whether the part is not known to wait so."""
    entry = parked.entry
    known = entry.waiting_for, entry.reason and entry.reason.code
    return known != (parked.waiting_for, parked.reason.code)
