"""The road out. Everything that is ever sent is accepted here and sent by the one loop below.

accept:  checked → parts → ONE transaction → id. From then on the message is owed an outcome.
run:     asks the lanes what goes next, and has it carried (runtime/carrier.py), parked, told or withdrawn
         (runtime/allowances.py). It sleeps until the lanes say "look again at", or until somebody pokes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import assert_never

from yizhan.core import allowance as allowances
from yizhan.core import limiter, unasked
from yizhan.core.ceiling import Ceiling
from yizhan.core.choice import Load, Loaded, LookAgain, Notify, Park, Send
from yizhan.core.lanes import Lanes
from yizhan.core.release import Withdraw
from yizhan.core.verdict import Barred
from yizhan.errors import StoreError
from yizhan.model import AccountId, Inbound, MessageClass, ReplyToken, Target
from yizhan.ports import Accepted, Chance, Clock, LaneView, Platform, Store
from yizhan.runtime.allowances import Allowances
from yizhan.runtime.audits import Audits
from yizhan.runtime.bounded_log import BoundedLog
from yizhan.runtime.carrier import Carrier
from yizhan.runtime.drafts import Drafts
from yizhan.runtime.expiry import Expiry
from yizhan.runtime.lines import Lines
from yizhan.runtime.numbers import RoadNumbers
from yizhan.runtime.patience import STORE_PAUSE_MS
from yizhan.runtime.reach import Reach
from yizhan.runtime.silence import Silence
from yizhan.runtime.views import Order

DEFECT_PAUSE_MS = 5_000
"""Before a chat in which the gateway itself broke is looked at again."""
IN_FLIGHT_MAX = 256
"""Requests on the wire over all accounts."""
LOAD_BATCH = 64


class Outbound:
    """Accepts messages and sends them. `on_barred` is told when a platform forbids an account to send, `on_trouble`
    when something happened that a person may have to know."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Chance,
        platforms: Mapping[str, Platform],
        lines: Lines,
        reach: Reach,
        numbers: RoadNumbers,
        *,
        on_barred: Callable[[AccountId, Barred], None],
        on_trouble: Callable[[], None],
    ) -> None:
        self.log = BoundedLog("outbound")
        self.lanes = Lanes(reach.hosts, gap_ms=numbers.chunk_gap_ms)
        self.drafts = Drafts(
            clock,
            chance,
            platforms,
            numbers.lifetimes_ms,
            numbers.text_max_chars,
            numbers.part_max_chars,
            numbers.render,
            numbers.number_parts,
        )
        self.allowances = Allowances(store, clock, self.lanes, numbers.allowances, self.drafts)
        self.audits = Audits(store, clock, self.changed)
        self._silence = Silence(clock, self._answers_again)
        self.carrier = Carrier(
            store,
            clock,
            chance,
            lines,
            self.lanes,
            reach,
            self._silence,
            numbers.reaction,
            self.log,
            on_held_back=self.audits.held,
            on_barred=on_barred,
            on_trouble=on_trouble,
        )
        self.expiry = Expiry(store, clock, self._expired, self._perhaps_expired)
        self._store = store
        self._clock = clock
        self._lines = lines
        self._pace = numbers.reaction.pace
        self._ceiling = Ceiling(numbers.requests_per_s)
        self._on_trouble = on_trouble
        self._poked = asyncio.Event()
        self._on_wire: set[asyncio.Task[None]] = set()
        self._closing = False

    # accept

    async def accept(self, target: Target, order: Order) -> Accepted:
        """Commits a message to the outbox.

        Raises: TextEmpty, TextTooLong, InvalidRequest, UnknownChat, IdempotencyConflict, UnknownAccount,
                StoreError (nothing was accepted)
        """
        draft = self.drafts.draft(target, self.drafts.checked(order))
        with self.doubtful(target):
            accepted = await self._store.accept(draft)
        self.admit(accepted)
        return accepted

    def admit(self, accepted: Accepted) -> None:
        """A committed message enters its lane, and what it superseded leaves; telling it twice does no harm."""
        self.lanes.add(accepted.message)
        self.expiry.expects(accepted.message.expires_at_ms)
        if accepted.superseded:
            self.lanes.changed(accepted.message.target)
        self.poke()

    @contextlib.contextmanager
    def doubtful(self, target: Target) -> Iterator[None]:
        """Around a write that changes the chat's messages. Where the store says that it failed, only its answer may
        have been lost: the table is looked at again, so that a message that is there after all goes in its turn."""
        try:
            yield
        except StoreError:
            self.changed(target)
            raise

    # what others report

    def heard(self, inbound: Inbound, token: ReplyToken | None, now_ms: int) -> None:
        """The other side wrote: what waited for that may go."""
        self.lanes.heard(Target(inbound.account, inbound.chat), token, now_ms, inbound.id)
        self.poke()

    def consents(self, target: Target, granted: bool | None) -> None:
        """The chat has switched messages that nobody asks for on or off."""
        self.lanes.consents(target, granted)
        self.poke()

    def expect(self, target: Target, expecting: bool) -> None:
        """A turn of the chat is open, whose answer is to come; or none is any more."""
        self.lanes.expect(target, expecting)
        self.poke()

    def insist(self, target: Target) -> None:
        """A person wants the chat's next part tried now, whatever is believed of its gate and its allowance."""
        self.lanes.insist(target, self._clock.now_ms())
        self.poke()

    def recovered(self, account: AccountId) -> None:
        """The platform answers the account again after it had not."""
        self.lanes.recovered(account, self._clock.now_ms())
        self.poke()

    def changed(self, target: Target) -> None:
        """Somebody changed the chat's messages in the table."""
        self.lanes.changed(target)
        self.poke()

    def pause(self, target: Target, paused: bool) -> None:
        """A person holds the chat back, or lets it go."""
        self.lanes.pause(target, paused)
        self.poke()

    def host_changed(self, host: str) -> None:
        """Waiting for the host may be over."""
        self.lanes.host_changed(host)
        self.poke()

    def poke(self) -> None:
        """Something changed: look again now."""
        self._poked.set()

    def _answers_again(self, host: str) -> None:
        for account in [account for account, line in self._lines.items() if line.host == host]:
            self.recovered(account)

    def _expired(self, targets: Sequence[Target]) -> None:
        for target in targets:
            self.changed(target)
        self._on_trouble()

    def _perhaps_expired(self) -> None:
        for target in self.lanes.outlived(self._clock.now_ms()):
            self.changed(target)

    # the dispatcher

    async def run(self) -> None:
        """For ever, until cancelled."""
        for target in await self._store.paused_chats():
            self.lanes.pause(target, True)
        for target in await self._store.live_chats():
            self.lanes.knows(target)
        while not self._closing:
            await self._turn()

    async def _turn(self) -> None:
        """Everything that can be done now, then a wait."""
        loads: list[Target] = []
        while len(self._on_wire) < IN_FLIGHT_MAX:
            now_ms = self._clock.now_ms()
            at_ms: int | None = self._ceiling.ready_at(now_ms)
            if at_ms != now_ms:
                break
            choice = self.lanes.choose(now_ms)
            match choice:
                case Load(target):
                    loads.append(target)
                case Send(message, entry):
                    self._ceiling.take(now_ms)
                    self._spawn(message.target, partial(self.carrier.carry, message, entry))
                case Park(parked):
                    self._spawn(parked.message.target, partial(self.allowances.park, parked))
                case Notify(target, ledger):
                    self._spawn(target, partial(self.allowances.notify, target, ledger))
                case Withdraw(message):
                    self._spawn(message.target, partial(self.allowances.withdraw, message))
                case LookAgain(at_ms):
                    break
                case _:
                    assert_never(choice)
            if len(loads) == LOAD_BATCH:
                break
        else:
            at_ms = None
        if loads:
            await self._load(loads)
        else:
            await self._wait(at_ms)

    async def _wait(self, at_ms: int | None) -> None:
        """Until the given time, or until poked."""
        self._poked.clear()
        timeout_s = None if at_ms is None else max(0, at_ms - self._clock.now_ms()) / 1000
        try:
            async with asyncio.timeout(timeout_s):
                await self._poked.wait()
        except TimeoutError:
            pass

    async def _load(self, targets: list[Target]) -> None:
        try:
            views = await self._store.lanes(targets, self.lanes.per_lane, self._clock.now_ms())
        except StoreError as error:
            self.log.warning("lanes.unread", lanes=len(targets), error=error.detail)
            self._not_loaded(targets)
            return
        except BaseException:
            self._not_loaded(targets)
            raise
        for view in views:
            self.lanes.loaded(self._loaded(view))

    def _not_loaded(self, targets: list[Target]) -> None:
        again_at_ms = self._clock.now_ms() + STORE_PAUSE_MS
        for target in targets:
            self.lanes.not_loaded(target, again_at_ms)

    def _loaded(self, view: LaneView) -> Loaded:
        chat = view.chat
        return Loaded(
            chat.target,
            view.messages,
            view.truncated,
            view.token,
            has_written=chat.last_inbound_at_ms is not None,
            paused=chat.paused,
            pace=limiter.decode(chat.gate, self._pace, self._clock.now_ms()),
            ghosts=chat.ghosts,
            ledger=view.ledger,
            unasked=unasked.decode(chat.unasked),
        )

    def _spawn(self, target: Target, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._errand(target, work))
        self._on_wire.add(task)
        task.add_done_callback(self._landed)

    async def _errand(self, target: Target, work: Callable[[], Awaitable[None]]) -> None:
        """What a lane is busy with, begun here. Whatever breaks in it, the lane is free again at its end."""
        try:
            await work()
        except BaseException:
            self.lanes.put_back(target, self._clock.now_ms() + DEFECT_PAUSE_MS)
            raise

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._on_wire.discard(task)
        self.poke()
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("carry.failed", error=repr(error), exc_info=error)

    async def finish(self, within_ms: int) -> None:
        """No new sends; up to `within_ms` for replies on the wire. What is left is in doubt."""
        self._closing = True
        self._silence.stop()
        self.poke()
        if self._on_wire:
            await asyncio.wait(self._on_wire, timeout=within_ms / 1000)
        left = list(self._on_wire)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # what others ask

    def usable_token(self, target: Target) -> ReplyToken | None:
        """The chat's token if it may still go out: fresh or suspect."""
        lane = self.lanes.lane(target)
        return lane.usable_token if lane else None

    def spare_token(self, target: Target) -> ReplyToken | None:
        """The chat's token for a sign that uses up a send of its allowance, which is spent by this call; None: there is
        none to spare. It is written down with the next message, which a sign announces: what a crash in between
        forgets, the platform says when it refuses."""
        lane = self.lanes.lane(target)
        if lane is None or lane.ledger is None or lane.usable_token is None:
            return None
        spent = allowances.spared(lane.ledger, lane.allowance, self._clock.now_ms())
        lane.ledger = spent or lane.ledger
        return lane.usable_token if spent is not None else None

    def waiting(self, target: Target) -> int:
        """Live messages of the chat that are in memory; a lower bound where the table has more."""
        lane = self.lanes.lane(target)
        return len(lane.window or ()) if lane else 0

    def metered(self, target: Target) -> bool:
        """Whether each send to the chat uses up something of which there is little."""
        account = self.lanes.account_lanes(target.account)
        return account is not None and bool(account.allowance.of(target.chat).sends)

    def owes_notice(self, target: Target) -> bool:
        """Whether the chat is still to be told that a turn has failed; a lower bound, as above."""
        lane = self.lanes.lane(target)
        live = lane.window.messages if lane and lane.window else ()
        return any(each.klass is MessageClass.NOTICE and each.source == "turn" for each in live)

    def limited(self, account: AccountId) -> bool:
        """Whether the platform refuses something of the account at present."""
        lanes = self.lanes.account_lanes(account)
        if lanes is None:
            return False
        shut = self.lanes.shut_lanes(account)
        return lanes.gates.account.probing or any(lane.pace and lane.pace.probing for lane in shut)
