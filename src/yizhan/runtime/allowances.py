"""What is said and written down when a chat's allowance is spent: the notice, and the parts that wait.

The decisions stand in core/release.py; here they are carried out. A lane that asked for one of them is busy
until it is done, so each happens once, and a store that takes nothing is asked again later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from yizhan.core.allowance import NOTICE_SOURCE, Allowance, Ledger, Rule, closed, decode, left, until_ms
from yizhan.core.lanes import Lanes
from yizhan.core.phrases import say
from yizhan.core.policy import Policy
from yizhan.core.release import Parked, notice_key
from yizhan.errors import RequestError, StoreError
from yizhan.model import Account, AccountId, Message, MessageClass, Target
from yizhan.ports import Clock, Parking, Store
from yizhan.runtime.drafts import Drafts
from yizhan.runtime.patience import STORE_PAUSE_MS
from yizhan.runtime.views import AllowanceView, ChatAllowanceView, Order

log = structlog.get_logger("allowances")


@dataclass(frozen=True, slots=True)
class AllowanceNumbers:
    """What an operator may set (docs/configuration.md, delivery.allowance). None: as the platform declares it.

    notice  None: our own sentence; empty: none
    """

    language: str = "zh"
    sends: int | None = None
    window_ms: int | None = None
    progress_reserve: int | None = None
    probe_ms: int = 3_600_000
    notice: str | None = None

    def of(self, policy: Policy, account: Account) -> Allowance:
        """What is believed of an account of a platform that declares this. What a strict platform says of its chats is
        not for us to set."""
        declared = policy.allowance
        rule = Rule(
            sends=declared.sends if self.sends is None else self.sends,
            window_ms=declared.window_ms if self.window_ms is None else self.window_ms,
            progress_reserve=declared.progress_reserve
            if self.progress_reserve is None
            else self.progress_reserve,
        )
        notice = self.notice is None or bool(self.notice.strip())
        fixed = self.sends is not None
        learned = decode(account.allowance)
        return Allowance(rule, learned, fixed, notice, self.probe_ms, policy.allowances)

    def text(self, parts: int) -> str:
        """The notice, with the number of parts that remain."""
        if self.notice is None:
            return say(self.language, "parts_remain", parts=parts)
        return self.notice.replace("{parts}", str(parts))


class Allowances:
    """Carries out what lanes ask for at the end of an allowance."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        lanes: Lanes,
        numbers: AllowanceNumbers,
        drafts: Drafts,
    ) -> None:
        self._store = store
        self._clock = clock
        self._lanes = lanes
        self._numbers = numbers
        self._drafts = drafts

    def of(self, policy: Policy, account: Account) -> Allowance:
        return self._numbers.of(policy, account)

    def of_account(self, account: AccountId) -> AllowanceView | None:
        """What is believed of the account, None where its platform permits everything, or by the kind of chat."""
        lanes = self._lanes.account_lanes(account)
        if lanes is None or not (lanes.allowance.rule.sends or lanes.allowance.rule.window_ms):
            return None
        allowance = lanes.allowance
        learned = (allowance.sends, allowance.window_ms) != (allowance.rule.sends, allowance.rule.window_ms)
        return AllowanceView(allowance.sends or None, allowance.window_ms or None, learned)

    async def of_chats(self, targets: Sequence[Target]) -> Mapping[Target, ChatAllowanceView]:
        """What the chats may still be sent; chats of platforms that permit everything are left out. Memory knows it
        best, the store knows the rest."""
        kept = await self._store.ledgers(targets)
        views: dict[Target, ChatAllowanceView] = {}
        for target in targets:
            account, lane = self._lanes.account_lanes(target.account), self._lanes.lane(target)
            ledger = (lane.ledger if lane else None) or kept.get(target)
            if account is not None and account.allowance.counted and ledger is not None:
                views[target] = _view(ledger, account.allowance.of(target.chat), self._clock.now_ms())
        return views

    async def notify(self, target: Target, ledger: Ledger) -> None:
        """Tells the chat how many parts remain, and that any message of the other side releases them."""
        try:
            parts = await self._store.parts_left(target, self._clock.now_ms())
            key = notice_key(target.chat, ledger)
            order = Order(
                str(target),
                self._numbers.text(parts),
                MessageClass.NOTICE,
                NOTICE_SOURCE,
                idempotency_key=key,
            )
            accepted = await self._store.accept(self._drafts.draft(target, order, keep_first=True))
        except (StoreError, RequestError) as error:
            self._later(target, error)
            return
        self._lanes.noticed(target, ledger.key)
        if accepted.created:
            log.info("allowance.spent", account=target.account, chat=target.chat, parts_left=parts)
        self._lanes.put_back(target, self._clock.now_ms())

    async def park(self, parked: Parked) -> None:
        """Writes down that a part waits for the other side."""
        message, now_ms = parked.message, self._clock.now_ms()
        parking = Parking(
            message.id, parked.entry.no, parked.waiting_for, parked.reason, parked.at_ms, now_ms
        )
        try:
            now = await self._store.park(parking)
        except (StoreError, RequestError) as error:
            self._later(message.target, error)
            return
        log.info(
            "chat.parked",
            account=message.account,
            chat=message.chat,
            code=parked.reason.code,
            message=message.id,
        )
        self._lanes.ended(now)

    async def withdraw(self, message: Message) -> None:
        """Ends a notice that would say what is no longer so."""
        try:
            now = await self._store.withdraw(message.id, self._clock.now_ms())
        except (StoreError, RequestError) as error:
            self._later(message.target, error)
            return
        self._lanes.ended(now)

    def _later(self, target: Target, error: StoreError | RequestError) -> None:
        log.warning("allowance.not_written", account=target.account, error=error.detail)
        self._lanes.put_back(target, self._clock.now_ms() + STORE_PAUSE_MS)


def _view(ledger: Ledger, allowance: Allowance, now_ms: int) -> ChatAllowanceView:
    shut = closed(ledger, allowance, now_ms)
    return ChatAllowanceView(
        used=ledger.used,
        left=left(ledger, allowance),
        until_ms=until_ms(ledger, allowance),
        waiting_for=shut.waiting_for if shut else None,
        reason=shut.reason if shut else None,
        next_attempt_at_ms=shut.probe_at_ms if shut else None,
    )
