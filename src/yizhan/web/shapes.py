"""The shapes of answers as OpenAPI shows them. `core/contract.py` makes the objects; a test compares the two.

Every time is RFC 3339, UTC, with milliseconds. Ids are opaque strings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from yizhan.model import (
    Access,
    AccountState,
    AlertKind,
    MessageState,
    Missed,
    Rule,
    RunCause,
    RunState,
    Severity,
    TurnState,
    WaitingFor,
)
from yizhan.ports import LoginStatus

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Scope = Literal["read", "send", "admin"]
Priority = Literal["reply", "notice", "push", "progress"]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


class Problem(Shape):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    fix: str


class Reason(Shape):
    code: str
    text: str


class Attempt(Shape):
    n: int
    at: Time
    ended_at: Time | None
    with_token: bool
    verdict: str | None
    code: str | None
    text: str | None


class Part(Shape):
    no: int
    state: MessageState
    waiting_for: WaitingFor | None
    next_attempt_at: Time | None
    reason: Reason | None
    possibly_doubled: bool
    receipt: str | None
    attempts: list[Attempt] | None = Field(None, description="absent in lists and events")


class Message(Shape):
    id: str
    to: str
    priority: Priority
    idempotency_key: str | None
    state: MessageState
    waiting_for: WaitingFor | None
    next_attempt_at: Time | None
    reason: Reason | None
    possibly_doubled: bool
    in_reply_to: str | None
    turn: str | None
    created_at: Time
    expires_at: Time
    parts: list[Part]


class MessagePage(Shape):
    items: list[Message]
    next: str | None


class Gate(Shape):
    """A gate that is not wide open."""

    scope: Literal["account", "chat", "host"]
    subject: str
    ready_at: Time
    refusals: int
    reason: str
    limit: str | None = Field(description="what was learned of the scope's limit, as in `10 per 20.4 s`")


class Allowance(Shape):
    """What is believed of an account's allowances."""

    sends: int | None = Field(description="per inbound message; null: not counted")
    window_s: float | None = Field(description="how long they may be used; null: for ever")
    learned: bool = Field(description="this is not what the platform is known for")


class ChatAllowance(Shape):
    """What a chat may still be sent."""

    used: int
    left: int | None
    until: Time | None
    waiting_for: WaitingFor | None = Field(description="why nothing goes now; null: something may")
    reason: Reason | None
    next_attempt_at: Time | None = Field(description="when one more send is tried all the same")


class Account(Shape):
    id: str
    platform: str
    state: AccountState
    since: Time
    reason: Reason | None
    action: str | None
    paused: bool
    last_server_answer_at: Time | None
    next_attempt_at: Time | None
    created_at: Time
    webhook: str | None = Field(description="the path that the platform posts to; null where none is used")


class AccountListed(Account):
    gates: list[Gate]
    allowance: Allowance | None
    live: dict[str, int] = Field(description="live messages by state")
    oldest_live_at: Time | None


class AccountList(Shape):
    items: list[AccountListed]


class AccountAdded(Shape):
    id: str
    created: bool


class Qr(Shape):
    text: str
    svg: str


class LoginStarted(Shape):
    id: str


class Login(Shape):
    id: str
    status: LoginStatus
    note: str
    account: str | None
    refreshes: int
    qr: Qr | None


class Chat(Shape):
    chat: str
    account: str
    kind: str
    title: str
    paused: bool
    taken_over_at: Time | None
    created_at: Time
    last_inbound_at: Time | None
    last_outbound_at: Time | None
    unconfirmed_in_a_row: int


class ChatListed(Chat):
    allowance: ChatAllowance | None


class ChatPage(Shape):
    items: list[ChatListed]
    next: str | None


class Sender(Shape):
    id: str
    name: str


class Item(Shape):
    kind: str
    name: str | None
    size: int | None


class Inbound(Shape):
    id: str
    platform_message_id: str | None
    sender: Sender
    text: str
    quoted_text: str | None
    items: list[Item]
    sent_at: Time | None
    received_at: Time


class Turn(Shape):
    id: str
    agent: str
    state: TurnState
    inbound: list[str]
    outputs: int
    reason: Reason | None
    created_at: Time
    started_at: Time | None
    ended_at: Time | None


class TurnListed(Turn):
    chat: str


class TurnPage(Shape):
    items: list[TurnListed]
    next: str | None


class Suppressed(Shape):
    same_as: str
    platform_message_id: str | None
    rule: str
    at: Time


class InboundRow(Shape):
    kind: Literal["inbound"]
    at: Time
    message: Inbound
    access: Access
    rule: str | None = Field(description="what decided about the access")
    turn: str | None


class TurnRow(Shape):
    kind: Literal["turn"]
    at: Time
    turn: Turn


class OutboundRow(Shape):
    kind: Literal["outbound"]
    at: Time
    message: Message
    text: str
    part_texts: list[str]


class SuppressedRow(Shape):
    kind: Literal["suppressed"]
    at: Time
    suppressed: Suppressed


class TimelinePage(Shape):
    items: list[Annotated[InboundRow | TurnRow | OutboundRow | SuppressedRow, Field(discriminator="kind")]]
    next: str | None


class SenderRule(Shape):
    account: str
    sender: Sender
    rule: Rule
    first_text: str
    first_seen_at: Time | None = Field(description="null: has not written yet")
    last_seen_at: Time | None
    refused: int
    refused_by: str | None = Field(description="the rule that refused last")
    code: str | None = Field(description="by which a waiting sender can be approved")
    decided_at: Time | None


class RuleList(Shape):
    items: list[SenderRule]


class Alert(Shape):
    """A trouble that a person should know of."""

    id: str
    kind: AlertKind
    severity: Severity
    state: Literal["open", "cleared"]
    account: str | None = Field(description="null: the gateway's own trouble")
    chat: str | None = Field(description="its TARGET, if it is one chat's")
    message: str | None = Field(description="id of the message that shows it best")
    text: str
    action: str | None = Field(description="what a person can do")
    since: Time
    last_seen: Time
    count: int = Field(description="how often it was raised, or of how many messages it has told")
    cleared_at: Time | None


class AlertPage(Shape):
    items: list[Alert]
    next: str | None


class Key(Shape):
    id: str
    name: str
    scopes: list[Scope]
    created_at: Time
    revoked_at: Time | None


class KeyList(Shape):
    items: list[Key]


class KeyAdded(Key):
    key: str = Field(description="the key itself; it is shown this once and kept only as a hash")


class Ticket(Shape):
    url: str
    expires_at: Time


class Settings(Shape):
    settings: dict[str, Any] = Field(description="what is in force, secrets replaced")
    sources: dict[str, str] = Field(
        description="where each key, by its dotted name, has its value from: default, file, environment, command line"
    )


class Health(Shape):
    alive: bool
    version: str


class AccountReadiness(Shape):
    id: str
    state: AccountState


class Readiness(Shape):
    ready: bool
    reasons: list[Reason]
    accounts: list[AccountReadiness]


class Schedule(Shape):
    id: str
    name: str
    when: str
    zone: str
    to: list[str]
    text: str | None = Field(description="what is said; null where the agent is asked")
    prompt: str | None = Field(description="what the agent is asked, whose answer is said; else null")
    missed: Missed
    missed_most: int
    jitter_s: float
    expires_after_s: float | None
    ends_at: Time | None
    state: Literal["active", "paused", "ended", "failing"]
    reason: Reason | None
    next_due_at: Time | None
    last_due_at: Time | None
    created_at: Time


class SchedulePage(Shape):
    items: list[Schedule]
    next: str | None


class RefusedTarget(Shape):
    to: str
    reason: Reason


class Run(Shape):
    id: str
    schedule: str
    cause: RunCause
    state: RunState
    due_at: Time
    at: Time
    missed: int = Field(description="due times that this run stands for, or that were passed over")
    messages: list[Message] = Field(description="what became of what was said, without attempts")
    asked: list[str] = Field(description="ids of the questions that the agent was asked")
    turns: list[Turn] = Field(description="what became of those")
    refused: list[RefusedTarget] = Field(description="targets that took nothing")


class RunPage(Shape):
    items: list[Run]
    next: str | None


class Preview(Shape):
    zone: str
    due: list[Time]


class Webhook(Shape):
    id: str
    url: str
    types: list[str] = Field(description="empty: all that it may have")
    private: bool = Field(description="message.received too, with its text")
    account: str | None
    state: Literal["active", "failing", "paused"]
    cursor: str = Field(description="id of the last event that was taken, or that it does not want")
    failures: int = Field(description="posts in a row that were not taken")
    failing_since: Time | None
    next_attempt_at: Time | None
    last_success_at: Time | None
    reason: Reason | None
    missed: int = Field(description="events that were not kept any more when their turn came")
    created_at: Time


class WebhookAdded(Webhook):
    secret: str = Field(description="what signs; shown this once")


class WebhookList(Shape):
    items: list[Webhook]


class Post(Shape):
    event: str
    type: str
    at: Time
    took_ms: int
    tries: int = Field(description="posts in a row until this answer")
    status: int | None = Field(description="of the last answer; null: there was none")
    reason: Reason | None = Field(description="why it was not taken; null: it was")


class PostPage(Shape):
    items: list[Post]
    next: str | None
