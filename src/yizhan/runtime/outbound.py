"""The road out. Everything that is ever sent is accepted here and carried by the one loop below.

accept:  validate → parts → ONE transaction → id. From then on the message is owed an outcome.
carry:   begin → encode → send → classify → react → settle. One call per line; no step calls back up, and no
         step sleeps for a message: what must wait goes back to its lane with a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from typing import Any, assert_never

import structlog

from yizhan.core import allowance as allowances
from yizhan.core import limiter, spending
from yizhan.core.ceiling import Ceiling
from yizhan.core.choice import Load, Loaded, LookAgain, Notify, Park, Send
from yizhan.core.ghosts import slowed
from yizhan.core.lanes import Lanes
from yizhan.core.parts import split
from yizhan.core.reaction import Circumstances, Decision, Gates, Numbers, react
from yizhan.core.release import Parked, Withdraw
from yizhan.core.spending import Spent
from yizhan.core.text import clean, shorten
from yizhan.core.tokens import UNTRIED, same, token_for, usable
from yizhan.core.verdict import (
    Barred,
    Deferred,
    Delivered,
    Ghost,
    InDoubt,
    Rejected,
    StaleToken,
    Throttled,
    Verdict,
    name_of,
)
from yizhan.errors import InvalidRequest, StoreError, TextEmpty, TextTooLong
from yizhan.model import (
    AccountId,
    ChatId,
    Entry,
    Inbound,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    ReplyToken,
    Target,
    TurnId,
    WaitingFor,
)
from yizhan.ports import (
    Accepted,
    Chance,
    Clock,
    Draft,
    Evidence,
    Intent,
    LaneView,
    Platform,
    Settlement,
    Store,
)
from yizhan.runtime.allowances import AllowanceNumbers, Allowances
from yizhan.runtime.bounded_log import MINUTE_MS, BoundedLog
from yizhan.runtime.lines import Lines, OpenLine
from yizhan.runtime.reach import Reach
from yizhan.runtime.silence import Silence
from yizhan.runtime.views import Order

log = structlog.get_logger("outbound")

STORE_PAUSE_MS = 500
"""Between tries while the store takes nothing."""
INSIST_GAP_MS = 5_000
"""A chat is hurried at most this often, however many of its messages are."""
DEFECT_PAUSE_MS = 5_000
"""Before a chat in which the gateway itself broke is looked at again."""
BROKEN = InDoubt("broken", "the attempt broke in the gateway; its log says how")
IN_FLIGHT_MAX = 256
"""Requests on the wire over all accounts."""
LOAD_BATCH = 64
SWEEP_MS = 1_000


class Outbound:
    """Accepts messages and sends them. `on_barred` is told when a platform forbids an account to send."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Chance,
        platforms: Mapping[str, Platform],
        lines: Lines,
        reach: Reach,
        numbers: Numbers,
        *,
        text_max_chars: int,
        lifetimes_ms: Mapping[MessageClass, int],
        requests_per_s: float = 0,
        allowances: AllowanceNumbers | None = None,
        chunk_gap_ms: int = 0,
        part_max_chars: int | None = None,
        on_barred: Callable[[AccountId, Barred], None] = lambda account, verdict: None,
        on_trouble: Callable[[], None] = lambda: None,
    ) -> None:
        self.log = BoundedLog("outbound")
        self.lanes = Lanes(reach.hosts, gap_ms=chunk_gap_ms)
        self.allowances = Allowances(
            store,
            clock,
            self.lanes,
            allowances or AllowanceNumbers(),
            lambda target, order: self.draft(target, order),
        )
        self._store = store
        self._clock = clock
        self._chance = chance
        self._platforms = platforms
        self._lines = lines
        self._reach = reach
        self._silence = Silence(clock, self._answers_again)
        self._numbers = numbers
        self._text_max_chars = text_max_chars
        self._part_max_chars = part_max_chars
        self._lifetimes_ms = lifetimes_ms
        self._ceiling = Ceiling(requests_per_s)
        self._refused: Counter[AccountId] = Counter()
        self._insisted_ms: dict[Target, int] = {}
        self._on_barred = on_barred
        self._on_trouble = on_trouble
        self._poked = asyncio.Event()
        self._on_wire: set[asyncio.Task[None]] = set()
        self._closing = False
        self._unsettled: set[MessageId] = set()

    # accept

    async def accept(self, target: Target, order: Order) -> Accepted:
        """Commits a message to the outbox.

        Raises: TextEmpty, TextTooLong, InvalidRequest, UnknownChat, IdempotencyConflict, UnknownAccount,
                StoreError (nothing was accepted)
        """
        text = clean(order.text)
        if len(text) > self._text_max_chars:
            raise TextTooLong(
                f"The text has {len(text)} characters; at most {self._text_max_chars} are accepted.",
                "Shorten it, send it in several messages, or raise delivery.text_max_chars.",
            )
        if text != order.text:
            order = replace(order, text=text)
        with self.doubtful(target):
            accepted = await self._store.accept(self.draft(target, order))
        self.admit(accepted)
        return accepted

    def draft(
        self,
        target: Target,
        order: Order,
        *,
        turn: TurnId | None = None,
        ordinal: int | None = None,
        keep_first: bool = False,
    ) -> Draft:
        """The message as it will be stored: its parts, its ids for all attempts, its end of life."""
        now_ms = self._clock.now_ms()
        platform = self._platforms[target.platform]
        platform.codec.check_chat(target.chat)
        texts = split(order.text, *self.room(target))
        if not texts:
            raise TextEmpty("The text is empty, or nothing of it can be shown.", "Send some text.")
        expires_at_ms = order.expires_at_ms or now_ms + self._lifetimes_ms[order.klass]
        if expires_at_ms <= max(now_ms, order.not_before_ms or 0):
            raise InvalidRequest("expires_at is not later than now and not_before.", "Choose a later time.")
        message_id = MessageId(self._chance.new_id("m"))
        return Draft(
            id=message_id,
            target=target,
            klass=order.klass,
            source=order.source,
            text=order.text,
            texts=texts,
            client_ids=tuple(f"yizhan:{message_id}:{no}" for no in range(1, len(texts) + 1)),
            created_at_ms=now_ms,
            expires_at_ms=expires_at_ms,
            body_sha256=_fingerprint(target, order) if order.idempotency_key else "",
            idempotency_key=order.idempotency_key,
            in_reply_to=order.in_reply_to,
            turn_id=turn,
            ordinal=ordinal,
            not_before_ms=order.not_before_ms,
            keep_first=keep_first,
        )

    def admit(self, accepted: Accepted) -> None:
        """A committed message enters its lane, and what it superseded leaves; telling it twice does no harm."""
        self.lanes.add(accepted.message)
        if accepted.superseded:
            self.lanes.changed(accepted.message.target)
        self.poke()

    def heard(self, inbound: Inbound, token: ReplyToken | None, now_ms: int) -> None:
        """The other side wrote: what waited for that may go."""
        self.lanes.heard(Target(inbound.account, inbound.chat), token, now_ms, inbound.id)
        self.poke()

    def expect(self, target: Target, expecting: bool) -> None:
        """A turn of the chat is open, whose answer is to come; or none is any more."""
        self.lanes.expect(target, expecting)
        self.poke()

    def insist(self, target: Target) -> None:
        """A person wants the chat's next part tried now, whatever is believed of its gate and its allowance. However
        many messages of a chat are wanted together, it stays one probe."""
        now_ms = self._clock.now_ms()
        self._insisted_ms = {
            chat: at_ms for chat, at_ms in self._insisted_ms.items() if now_ms - at_ms < INSIST_GAP_MS
        }
        if target not in self._insisted_ms:
            self._insisted_ms[target] = now_ms
            self.lanes.insist(target, now_ms)
        self.poke()

    def recovered(self, account: AccountId) -> None:
        """The platform answers the account again after it had not."""
        self.lanes.recovered(account, self._clock.now_ms())
        self.poke()

    def _answers_again(self, host: str) -> None:
        for account in [account for account, line in self._lines.items() if line.host == host]:
            self.recovered(account)

    @contextlib.contextmanager
    def doubtful(self, target: Target) -> Iterator[None]:
        """Around a write that changes the chat's messages. Where the store says that it failed, only its answer may
        have been lost: the table is looked at again, so that a message that is there after all goes in its turn."""
        try:
            yield
        except StoreError:
            self.changed(target)
            raise

    def changed(self, target: Target) -> None:
        """Somebody changed the chat's messages in the table."""
        self.lanes.changed(target)
        self.poke()

    def host_changed(self, host: str) -> None:
        """Waiting for the host may be over."""
        self.lanes.host_changed(host)
        self.poke()

    def poke(self) -> None:
        """Something changed: look again now."""
        self._poked.set()

    # carry

    async def run(self) -> None:
        """The dispatcher: for ever, until cancelled."""
        for target in await self._store.live_chats():
            self.lanes.knows(target)
        while not self._closing:
            await self._turn()

    async def _turn(self) -> None:
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
                    self._ceiling.take(self._clock.now_ms())
                    self._spawn(self._carry(message, entry))
                case Park(parked):
                    self._spawn(self.allowances.park(parked))
                case Notify(target, ledger):
                    self._spawn(self.allowances.notify(target, ledger))
                case Withdraw():
                    self._spawn(self.allowances.withdraw(choice))
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
        pace = limiter.decode(view.chat.gate, self._numbers.pace, self._clock.now_ms())
        has_written = view.chat.last_inbound_at_ms is not None
        return Loaded(
            view.chat.target,
            view.messages,
            view.truncated,
            view.token,
            has_written,
            view.chat.paused,
            pace,
            view.chat.ghosts,
            view.ledger,
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._on_wire.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._on_wire.discard(task)
        self.poke()
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("carry.failed", error=repr(error), exc_info=error)

    async def _carry(self, message: Message, entry: Entry) -> None:
        """One attempt, from intent to settlement. Whatever breaks, the lane is free again at its end."""
        try:
            if message.id in self._unsettled:
                await self._doubt(message, entry)
            elif (begun := await self._begin(message, entry)) is not None:
                self._unsettled.add(message.id)  # until its settlement is kept
                await self._finish(*begun)
        except StoreError as error:
            self.log.warning(
                "attempt.not_begun", message=message.id, account=message.account, error=error.detail
            )
            self.lanes.put_back(message.target, self._clock.now_ms() + STORE_PAUSE_MS)
        except BaseException:
            self.lanes.put_back(message.target, self._clock.now_ms() + DEFECT_PAUSE_MS)
            raise

    async def _doubt(self, message: Message, entry: Entry) -> None:
        """The attempt before this one broke in the gateway before it was settled: what is still on the wire in the
        table is in doubt. Nothing is sent here, so that a defect that stays does not repeat the message."""
        line = self._lines.get(message.account)
        if line is not None and entry.state is MessageState.SENDING:
            await self._conclude(line, message, entry, BROKEN, None, None)
            return
        if entry.state is not MessageState.SENDING:  # somebody has ended it meanwhile
            self._unsettled.discard(message.id)
        self.lanes.put_back(message.target, self._clock.now_ms() + STORE_PAUSE_MS)

    async def _begin(self, message: Message, entry: Entry) -> tuple[OpenLine, Message, Entry] | None:
        """Writes the intent. None: the entry does not want to be sent any more."""
        line = self._lines.get(message.account)
        if line is None:
            self.lanes.put_back(message.target, self._clock.now_ms() + STORE_PAUSE_MS)
            return None
        again = entry.state is MessageState.SENDING  # begun before, and its commit's answer got lost
        n = entry.attempts_made + (0 if again else 1)
        now_ms, with_token = self._clock.now_ms(), self._token(line, message.target) is not None
        lane = self.lanes.lane(message.target)
        ledger = spending.intended(lane, entry, now_ms) if lane else None
        if not await self._store.begin_attempt(
            Intent(message.id, entry.no, n, now_ms, with_token, ledger=ledger)
        ):
            self.lanes.put_back(message.target, self._clock.now_ms() + STORE_PAUSE_MS // 10)
            return None
        if lane is not None:
            spending.begun(lane, ledger)
        return line, message, replace(entry, state=MessageState.SENDING, attempts_made=n)

    async def _finish(self, line: OpenLine, message: Message, entry: Entry) -> None:
        """From here the entry is in doubt until it is settled."""
        # Read after the commit: a newer one may have come meanwhile.
        token, known = self._token(line, message.target), self.usable_token(message.target)
        try:
            request = line.platform.codec.encode(line.account, message.chat, entry, token)
            reply = await line.transport.send(request)
            verdict = line.platform.codec.classify(reply, self._evidence(line, message.target, entry, token))
            self._reach.note(line.host, reply)
            if isinstance(verdict, InDoubt):
                self._silence.suspect(line)
        except Exception as error:  # a fault of ours: what was sent, if anything, is not known
            self.log.error("attempt.broke", message=message.id, account=message.account, exc_info=error)
            verdict = BROKEN
        await self._conclude(line, message, entry, verdict, token, known)

    async def _conclude(
        self,
        line: OpenLine,
        message: Message,
        entry: Entry,
        verdict: Verdict,
        token: ReplyToken | None,
        known: ReplyToken | None,
    ) -> None:
        """Reacts to a verdict, teaches the lane, settles. `known`: the token it could have carried."""
        decision = self._react(verdict, message, entry, token is not None, known)
        before, now_ms = self.lanes.gates_of(message.target), self._clock.now_ms()
        self.lanes.learned(message.target, decision.gates, decision.token, decision.trial)
        if (ghost := _ghost(verdict)) is not None:
            self.lanes.receipt(message.target, not ghost, now_ms, self._numbers.ghosts)
        if decision.pardoned is not None:
            self.lanes.pardoned(decision.pardoned)
        spent, lane = Spent(), self.lanes.lane(message.target)
        if lane is not None:
            spent = spending.ended(lane, entry, verdict, decision.trial, now_ms)
            decision = spending.parked(lane, decision, now_ms)
        settlement = _settlement(message, entry.attempts_made, now_ms, verdict, decision, before, spent)
        settled = await self._settle(line, message, verdict, settlement)
        self._unsettled.discard(message.id)
        self.lanes.ended(settled)
        self._tell(message, verdict, decision)

    def _token(self, line: OpenLine, target: Target) -> ReplyToken | None:
        """The newest token, if the next request of the chat is to carry one."""
        lane = self.lanes.lane(target)
        if lane is None:
            return None
        return token_for(lane.token, lane.trial, self._clock.now_ms(), line.platform.policy.token_old_ms)

    def _evidence(self, line: OpenLine, target: Target, entry: Entry, token: ReplyToken | None) -> Evidence:
        """`token_sends`: the ledger's, without the one that is on the wire."""
        now_ms, lane = self._clock.now_ms(), self.lanes.lane(target)
        ledger = lane.ledger if lane else None
        return Evidence(
            with_token=token is not None,
            gives_receipts=line.account.gives_receipts,
            text_bytes=len(entry.text.encode()),
            token_sends=max(0, ledger.used - 1) if ledger else 0,
            token_age_ms=now_ms - token.issued_at_ms if token else None,
            now_ms=now_ms,
        )

    def _react(
        self, verdict: Verdict, message: Message, entry: Entry, with_token: bool, known: ReplyToken | None
    ) -> Decision:
        lane = self.lanes.lane(message.target)
        newest = lane.token if lane else None
        seen = Circumstances(
            target=message.target,
            message=message.id,
            entry=entry,
            token=known,
            with_token=with_token,
            has_written=lane.has_written if lane else True,
            gates=self.lanes.gates_of(message.target),
            traffic=self.lanes.traffic(message.target),
            trial=lane.trial if lane else UNTRIED,
            superseded=newest is not None and usable(newest) and (known is None or not same(known, newest)),
        )
        return react(verdict, seen, self._numbers, self._clock.now_ms(), self._chance.jitter())

    async def _settle(
        self, line: OpenLine, message: Message, verdict: Verdict, settlement: Settlement
    ) -> Message:
        """Ends the attempt in the store, however long the store takes: the outcome is known only here."""
        if isinstance(verdict, Delivered) and not line.account.gives_receipts:
            settlement = replace(settlement, gives_receipts=True)
            self._lines[message.account] = replace(line, account=replace(line.account, gives_receipts=True))
        while True:
            try:
                return await self._store.settle(settlement)
            except StoreError as error:
                self.log.warning(
                    "attempt.not_settled", account=message.account, message=message.id, error=error.detail
                )
                await self._clock.sleep_ms(STORE_PAUSE_MS)

    def _tell(self, message: Message, verdict: Verdict, decision: Decision) -> None:
        """One line per change of state, a few of a kind in a minute; never one per refusal. What a person must know
        is looked at at once."""
        if isinstance(verdict, Delivered):
            return
        about: dict[str, str | int] = {
            "account": message.account,
            "chat": message.chat,
            "message": message.id,
            "part": decision.entry.no,
        }
        pace = decision.gates.chat
        match verdict:
            case Ghost():
                if verdict.alarming:
                    self.log.warning("part.unconfirmed", **about, reason="accepted without a receipt")
                    self._on_trouble()
            case Rejected(code, _):
                self.log.warning("part.failed", **about, code=code)
                self._on_trouble()
            case InDoubt(code, detail):
                if pace.doubts == 1:
                    self.log.warning("part.in_doubt", **about, code=code, detail=detail)
                self._on_trouble()
            case Barred(code, _):
                self.log.error("account.barred", **about, code=code)
                self._on_barred(message.account, verdict)
            case Throttled() | StaleToken():
                self._refused[message.account] += 1
                if pace.refusals == 1 and not (decision.trial and decision.trial.at_once):
                    code = decision.entry.reason.code if decision.entry.reason else ""
                    self.log.warning("chat.limited", **about, code=code, ready_at_ms=pace.not_before_ms)
            case Deferred():
                pass  # the host's own lines say so
            case _:
                assert_never(verdict)

    # upkeep

    async def sweep(self) -> None:
        """Ends what has outlived its time. Its own loop, so that a blocked lane's messages expire too."""
        while True:
            await self._clock.sleep_ms(SWEEP_MS)
            try:
                touched = await self._store.expire_due(self._clock.now_ms(), 500)
            except StoreError:
                continue  # the store's own state says so; nothing is lost by expiring later
            for target in touched:
                self.changed(target)
            if touched:
                self._on_trouble()

    async def summarise(self) -> None:
        """Once a minute, one line for each account that the platform limits: how it stands."""
        while True:
            await self._clock.sleep_ms(MINUTE_MS)
            self.log.turn_over()
            refused, self._refused = self._refused, Counter()
            if refused:
                await self._summarise(refused)

    async def _summarise(self, refused: Counter[AccountId]) -> None:
        try:
            counts = await self._store.counts()
        except StoreError:
            return
        for account, times in refused.items():
            waiting = sum(
                number for (owner, state), number in counts.by_account_state.items() if owner == account
            )
            gates = [lane.pace.not_before_ms for lane in self.lanes.shut_lanes(account) if lane.pace]
            shared = self.lanes.account_lanes(account)
            gates += [shared.gates.account.not_before_ms] if shared and shared.gates.account.probing else []
            log.warning(
                "limited",
                account=account,
                waiting=waiting,
                refused=times,
                gates=len(gates),
                next_probe_at_ms=min(gates, default=None),
            )

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

    @property
    def text_max_chars(self) -> int:
        """The longest text that is accepted for one message."""
        return self._text_max_chars

    def fit(self, text: str) -> str:
        """An agent's text as it can be accepted: cleaned, and cut visibly where it is longer than allowed."""
        return shorten(clean(text), self._text_max_chars)

    def usable_token(self, target: Target) -> ReplyToken | None:
        """The chat's token if it may still go out: fresh or suspect."""
        lane = self.lanes.lane(target)
        return lane.token if lane and usable(lane.token) else None

    def room(self, target: Target) -> tuple[int, int]:
        """How many characters, and how many bytes, one part to this chat may have."""
        policy = self._platforms[target.platform].policy
        return self._part_max_chars or policy.text_max_chars, policy.text_max_bytes

    def parked(self, target: Target) -> Parked | None:
        """How the chat's allowance holds its next part, None if it does not."""
        lane = self.lanes.lane(target)
        return lane.parked(self._clock.now_ms()) if lane else None

    def waiting(self, target: Target) -> int:
        """Live messages of the chat that are in memory; a lower bound where the table has more."""
        lane = self.lanes.lane(target)
        return len(lane.window or ()) if lane else 0

    def limited(self, account: AccountId) -> bool:
        """Whether the platform refuses something of the account at present."""
        lanes = self.lanes.account_lanes(account)
        if lanes is None:
            return False
        shut = self.lanes.shut_lanes(account)
        return lanes.gates.account.probing or any(lane.pace and lane.pace.probing for lane in shut)

    def push_waits_until(self, message: Message) -> int | None:
        """Until when a push waits because its chat gives no receipts; None if it does not."""
        lane = self.lanes.lane(message.target)
        if lane is None or not slowed(message) or lane.push_at_ms <= self._clock.now_ms():
            return None
        return lane.push_at_ms

    def waits(self, target: Target) -> tuple[WaitingFor | None, int | None]:
        """For what the chat's next message waits now, and until when; (None, None) if for nothing."""
        now_ms = self._clock.now_ms()
        account = self.lanes.account_lanes(target.account)
        if account is None or not account.open:
            return (account.waits if account else WaitingFor.LOGIN), None
        lane = self.lanes.lane(target)
        if lane is not None and (held := lane.held_by(now_ms)) is not None:
            return held, None
        if lane is not None and (parked := lane.parked(now_ms)) is not None:
            return parked.waiting_for, parked.at_ms
        host_ms = self._reach.hosts.breaker(account.host).ready_at(now_ms)
        gates = self.lanes.gates_of(target)
        answers_ms = gates.answers.ready_at(now_ms)
        if max(host_ms, answers_ms) > now_ms:
            return WaitingFor.CONNECTION, max(host_ms, answers_ms)
        limit_ms = max(gates.chat.ready_at(now_ms), gates.account.ready_at(now_ms))
        if limit_ms > now_ms:
            return (WaitingFor.CONNECTION if gates.chat.doubts else WaitingFor.LIMIT), limit_ms
        return None, None


def _fingerprint(target: Target, order: Order) -> str:
    """What an idempotency key stands for: everything the caller asked, but not who asked."""
    asked = (
        str(target),
        order.text,
        order.klass,
        order.not_before_ms,
        order.expires_at_ms,
        order.in_reply_to,
    )
    return hashlib.sha256(repr(asked).encode()).hexdigest()


def _settlement(
    message: Message, n: int, at_ms: int, verdict: Verdict, decision: Decision, before: Gates, spent: Spent
) -> Settlement:
    gates = decision.gates
    code = "" if isinstance(verdict, Delivered) else verdict.code
    text = "" if isinstance(verdict, Delivered) else verdict.text
    chat_gate, account_gate = limiter.encode(gates.chat), limiter.encode(gates.account)
    return Settlement(
        message=message.id,
        target=message.target,
        n=n,
        at_ms=at_ms,
        verdict=name_of(verdict),
        code=code,
        text=text,
        entry=decision.entry,
        token=decision.token,
        chat_gate=chat_gate if chat_gate != limiter.encode(before.chat) else None,
        account_gate=account_gate if account_gate != limiter.encode(before.account) else None,
        ghost=_ghost(verdict),
        pardoned=_pardoned(decision),
        ledger=spent.ledger,
        account_allowance=None if spent.learned is None else allowances.encode(spent.learned),
    )


def _ghost(verdict: Verdict) -> bool | None:
    """Whether a receipt was owed and did not come; None where the reply says nothing about that."""
    match verdict:
        case Delivered():
            return False
        case Ghost(alarming=True):
            return True
        case _:
            return None


def _pardoned(decision: Decision) -> tuple[ChatId, str] | None:
    """The chat that is not to blame any more, with its gate as it was."""
    blame = decision.pardoned
    return (blame.target.chat, limiter.encode(blame.before)) if blame else None
