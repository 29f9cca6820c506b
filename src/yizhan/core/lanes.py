"""All lanes of this process: what is known of them, who reports it, and what goes next.

This module keeps no clock and does no I/O: the dispatcher asks `choose(now_ms)` and reports back; everybody else
reports what happened to a chat or an account. Whose turn it is stands in core/rota.py, what one lane sends next in
core/lane.py, and who may hurry a shut gate in core/hurry.py.
"""

from __future__ import annotations

from dataclasses import replace

from yizhan.core import hurry, limiter
from yizhan.core.allowance import Allowance
from yizhan.core.attribution import Blame, Traffic
from yizhan.core.choice import Choice, Loaded
from yizhan.core.ghosts import GhostNumbers
from yizhan.core.hosts import Hosts
from yizhan.core.lane import AccountLanes, Lane
from yizhan.core.reaction import Gates
from yizhan.core.rota import Rota
from yizhan.core.shares import is_bulk
from yizhan.core.tokens import Trial, same
from yizhan.core.unasked import switched
from yizhan.model import AccountId, Message, ReplyToken, Target, WaitingFor


class Lanes:
    """All lanes of this process. Not thread-safe; one dispatcher owns it.

    Args:  per_lane  messages of a lane in memory, at least 1
           idle_max  beyond so many lanes, empty ones are forgotten
           gap_ms    between two requests of a chat, from start to start
    """

    def __init__(self, hosts: Hosts, per_lane: int = 16, idle_max: int = 4_096, gap_ms: int = 0) -> None:
        self.per_lane = per_lane
        self._idle_max = idle_max
        self._accounts: dict[AccountId, AccountLanes] = {}
        self._rota = Rota(hosts, gap_ms, self._empty)
        self._lanes = 0
        self._paused: set[Target] = set()
        self._now_ms = 0

    # what the dispatcher asks and answers

    def choose(self, now_ms: int) -> Choice:
        """The next thing to do."""
        self._now_ms = now_ms
        return self._rota.choose(now_ms)

    def loaded(self, view: Loaded) -> None:
        """The answer to Load."""
        lane = self.lane(view.target)
        if lane is None or not lane.loading:
            return
        late, lane.late, lane.loading = lane.late, [], False
        if not lane.stale:
            lane.take_in(view, late, self._now_ms, self.per_lane)
            self._hold(view.target, view.paused)
        lane.stale = False
        self._idle(lane)

    def not_loaded(self, target: Target, again_at_ms: int) -> None:
        """The table could not be read; try again then."""
        lane = self.lane(target)
        if lane is not None and lane.loading:
            lane.late, lane.loading, lane.stale = [], False, False
            self._idle(lane, again_at_ms)

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
        self._rota.activate(lane.account)

    def receipt(self, target: Target, came: bool, now_ms: int, numbers: GhostNumbers) -> None:
        """A receipt was owed, and came or did not."""
        lane = self.lane(target)
        if lane is not None:
            lane.receipt(came, now_ms, numbers)

    def pardoned(self, blame: Blame) -> None:
        """The limit was the account's: the chat's pace is what it was before."""
        lane = self.lane(blame.target)
        if lane is not None and lane.pace is not None:
            lane.pace = blame.before
            self._rota.ready(lane)

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
        self._idle(lane)

    def put_back(self, target: Target, again_at_ms: int) -> None:
        """The chosen entry was not sent after all; its lane is read anew, not before `again_at_ms`."""
        lane = self.lane(target)
        if lane is None or not lane.sending:
            return
        lane.window, lane.stale = None, False
        self._free(lane)
        self._idle(lane, again_at_ms)

    # what others report

    def account(self, account: AccountId, host: str, in_flight_max: int, gates: Gates) -> None:
        """Makes an account known, or known with another host; its lanes wait until it is opened.

        `gates` as they were stored; those of an account that is known already are newer and stay.
        """
        lanes = self._account(account)
        if not lanes.known:
            lanes.known, lanes.gates = True, gates
        lanes.host, lanes.in_flight_max = host, in_flight_max
        self._rota.activate(lanes)

    def allow(self, account: AccountId, allowance: Allowance) -> None:
        """What is believed of the allowances of an account that is known."""
        self._account(account).allowance = allowance

    def open_account(self, account: AccountId, waits: WaitingFor | None) -> None:
        """`waits` None lets its lanes send; else says for what all of them wait."""
        lanes = self._accounts.get(account)
        if lanes is not None:
            lanes.open, lanes.waits = waits is None, waits
            self._rota.activate(lanes)

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
            self._rota.forget(lane)
            if not lane.busy:
                self._drop(lane)
        if not gone.lanes:
            self._accounts.pop(account, None)

    def add(self, message: Message) -> None:
        """A message was accepted; telling it twice does no harm."""
        if not message.state.live:
            return
        lane = self._lane(message.target)
        lane.take(message, self._now_ms, self.per_lane)
        if not is_bulk(message.klass):
            self._rota.prefer(lane)
        if not self._rota.behind_gate(lane):
            self._rota.ready(lane)

    def knows(self, target: Target) -> None:
        """The chat has live messages in the table."""
        self._rota.ready(self._lane(target))

    def changed(self, target: Target) -> None:
        """The table says something else than the window now (cancelled, retried, expired)."""
        lane = self._lane(target)
        if lane.busy:
            lane.stale = True
        else:
            lane.window = None
            self._rota.ready(lane)

    def pause(self, target: Target, paused: bool) -> None:
        """A person holds the chat back, or lets it go. It is known of chats that have no lane as well: what comes for
        them may not be read before the gates of the account open, and is shown with what holds it all the same."""
        self._hold(target, paused)
        if not paused or self.lane(target) is not None:
            self.changed(target)

    def heard(self, target: Target, token: ReplyToken | None, now_ms: int, key: str = "") -> None:
        """The other side wrote: the newest token, a new allowance under `key`, and evidence of health. What waited for
        it may try at once."""
        if target.account not in self._accounts:
            return
        lane = self._lane(target)
        lane.heard(token, key, now_ms)
        hurry.by_inbound(lane, now_ms)
        self._look_at(lane)

    def consents(self, target: Target, granted: bool | None) -> None:
        """The chat has switched messages that nobody asks for on or off; None: nothing is known of that any more."""
        lane = self.lane(target)
        if lane is not None:
            lane.unasked = switched(lane.unasked, granted)
            self._rota.ready(lane)

    def expect(self, target: Target, expecting: bool) -> None:
        """A turn of the chat is open, whose answer is to come; or none is any more."""
        lane = self._lane(target) if expecting else self.lane(target)
        if lane is not None and lane.expecting != expecting:
            lane.expecting = expecting
            self._rota.ready(lane)

    def noticed(self, target: Target, key: str) -> None:
        """The notice of this allowance has been accepted."""
        lane = self.lane(target)
        if lane is not None and lane.ledger is not None and lane.ledger.key == key:
            lane.ledger = replace(lane.ledger, noticed=True)

    def insist(self, target: Target, now_ms: int) -> None:
        """A person wants the chat's next part to be tried, whatever is left of its allowance, and as one probe however
        many messages of the chat are wanted together."""
        lane = self._lane(target)
        if now_ms - lane.insisted_at_ms < hurry.INSIST_GAP_MS:
            return
        lane.insisted_at_ms = now_ms
        if lane.ledger is not None:
            lane.ledger = replace(lane.ledger, probe_at_ms=now_ms)
        hurry.by_person(lane, now_ms)
        self._look_at(lane)

    def hurry(self, account: AccountId, now_ms: int) -> None:
        """The account was opened anew: one probe of each chat may go at once."""
        for lane in self.shut_lanes(account):
            hurry.by_opening(lane, now_ms)
            self._look_at(lane)

    def recovered(self, account: AccountId, now_ms: int) -> None:
        """The platform answers this account again: what waits for its lost answers may try at once."""
        lanes = self._accounts.get(account)
        if lanes is None:
            return
        for lane in hurry.by_answer(lanes, now_ms):
            self._rota.ready(lane)
        self._rota.activate(lanes)

    def host_changed(self, host: str) -> None:
        """The host answers again, or its probe is over: look at its accounts anew."""
        for account in self._accounts.values():
            if account.host == host:
                self._rota.activate(account)

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

    def paused(self, target: Target) -> bool:
        return target in self._paused

    def lane(self, target: Target) -> Lane | None:
        account = self._accounts.get(target.account)
        return account.lanes.get(target.chat) if account else None

    def account_lanes(self, account: AccountId) -> AccountLanes | None:
        return self._accounts.get(account)

    def shut_lanes(self, account: AccountId) -> list[Lane]:
        """Lanes of the account whose own gate is not wide open: shut, or keeping to a limit."""
        lanes = self._accounts.get(account)
        return [lane for lane in lanes.lanes.values() if not lane.blank] if lanes else []

    def quiet_lanes(self, account: AccountId, now_ms: int) -> list[Lane]:
        """Lanes of the account whose pushes wait because receipts do not come."""
        lanes = self._accounts.get(account)
        return [lane for lane in lanes.lanes.values() if lane.push_at_ms > now_ms] if lanes else []

    def outlived(self, now_ms: int) -> list[Target]:
        """Chats of which memory holds a message whose time is over."""
        lanes = (lane for account in self._accounts.values() for lane in account.lanes.values())
        return [lane.target for lane in lanes if lane.window and lane.window.outlived(now_ms)]

    def __len__(self) -> int:
        return self._lanes

    # keeping them

    def _look_at(self, lane: Lane) -> None:
        """Something was learned of the lane and of its account."""
        self._rota.ready(lane)
        self._rota.activate(lane.account)

    def _hold(self, target: Target, paused: bool) -> None:
        (self._paused.add if paused else self._paused.discard)(target)
        lane = self.lane(target)
        if lane is not None:
            lane.paused = paused

    def _idle(self, lane: Lane, again_at_ms: int | None = None) -> None:
        """It is busy no longer: to be looked at now, or then. If its account is gone, it goes as well."""
        if not lane.account.known:
            self._drop(lane)
        elif again_at_ms is None:
            self._rota.ready(lane)
        else:
            self._rota.sleep(lane, again_at_ms)

    def _free(self, lane: Lane) -> None:
        if probed := self._rota.free(lane):
            self.host_changed(probed)
        self._rota.activate(lane.account)

    def _account(self, account: AccountId) -> AccountLanes:
        lanes = self._accounts.get(account)
        if lanes is None:
            lanes = self._accounts[account] = AccountLanes(account)
        return lanes

    def _lane(self, target: Target) -> Lane:
        account = self._account(target.account)
        lane = account.lanes.get(target.chat)
        if lane is None:
            lane = account.lanes[target.chat] = Lane(target, account, paused=target in self._paused)
            self._lanes += 1
        return lane

    def _empty(self, lane: Lane) -> None:
        """Nothing is left to send: beyond `idle_max` lanes, one of which nothing is known is forgotten."""
        if self._lanes > self._idle_max and lane.forgettable(self._now_ms):
            self._drop(lane)

    def _drop(self, lane: Lane) -> None:
        """With the last lane of an account that is gone, the account goes as well."""
        account = lane.account
        del account.lanes[lane.target.chat]
        self._lanes -= 1
        if not account.known and not account.lanes:
            self._rota.forget(account)
            del self._accounts[account.account]
