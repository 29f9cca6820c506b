"""What the gateway is asked and what it answers, as values: shared by the API, the console and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yizhan.model import (
    Account,
    AccountId,
    AccountState,
    InboundId,
    MessageClass,
    MessageId,
    MessageState,
    Missed,
    Reason,
    WaitingFor,
)


@dataclass(frozen=True, slots=True)
class Order:
    """A request to send. `to` is `platform:account:chat`, or `platform:chat` where the platform has one account.

    `source` says who asked (`api`, `cli`, `console`, `turn` …). Times are ms since the epoch.
    """

    to: str
    text: str
    klass: MessageClass = MessageClass.PUSH
    source: str = "api"
    idempotency_key: str | None = None
    not_before_ms: int | None = None
    expires_at_ms: int | None = None
    in_reply_to: InboundId | None = None


@dataclass(frozen=True, slots=True)
class ScheduleWish:
    """What a person or a program wants of a schedule; None: as it is, of a new one as the contract says. 0 takes
    `lifetime_ms` and `ends_at_ms` away."""

    name: str | None = None
    when: str | None = None
    zone: str | None = None
    to: tuple[str, ...] | None = None
    text: str | None = None
    prompt: str | None = None
    missed: Missed | None = None
    missed_most: int | None = None
    jitter_ms: int | None = None
    lifetime_ms: int | None = None
    ends_at_ms: int | None = None
    paused: bool | None = None


@dataclass(frozen=True, slots=True)
class WebhookWish:
    """What a person wants of a webhook; None: as it is. An empty `account` means all of them."""

    url: str | None = None
    types: frozenset[str] | None = None
    private: bool | None = None
    account: AccountId | None = None
    paused: bool | None = None


@dataclass(frozen=True, slots=True)
class GateView:
    """A gate that is not wide open. `scope` is account, chat or host; `subject` names which one.

    `ready_at_ms` is the earliest next request (a probe after refusals), `refusals` how many in a row led here,
    `limit` what was learned of the scope's limit, in words, empty if nothing, and `fits` requests in `per_ms` the same
    in numbers, 0 if nothing. `ghosts` instead of refusals, where
    receipts do not come and only pushes wait.
    """

    scope: str
    subject: str
    ready_at_ms: int
    refusals: int
    reason: str
    limit: str = ""
    ghosts: int = 0
    fits: int = 0
    per_ms: int = 0


@dataclass(frozen=True, slots=True)
class AllowanceView:
    """What is believed of an account's allowances. `sends` and `window_ms` are None where nothing is counted or ended;
    `learned` says that this is not what the platform is known for."""

    sends: int | None
    window_ms: int | None
    learned: bool


@dataclass(frozen=True, slots=True)
class ChatAllowanceView:
    """What a chat may still be sent. `left` and `until_ms` are None where nothing is counted or ended; `waiting_for`
    and `reason` say why nothing goes now, None if something may."""

    used: int
    left: int | None
    until_ms: int | None
    waiting_for: WaitingFor | None
    reason: Reason | None
    next_attempt_at_ms: int | None


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account with what its operator wants to see next to it. `waits_for`: how many messages wait for what, as far
    as that was written down; those behind them in their chats wait for them."""

    account: Account
    gates: tuple[GateView, ...]
    live: Mapping[MessageState, int]
    oldest_live_at_ms: int | None
    allowance: AllowanceView | None = None
    oldest_live: MessageId | None = None
    waits_for: Mapping[WaitingFor, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Readiness:
    """`ready`: the store takes writes and the dispatcher runs. `reasons` say what is missing."""

    ready: bool
    reasons: tuple[Reason, ...]
    accounts: Mapping[AccountId, AccountState]
