"""Which rows a batch of writes asks for before it begins."""

from __future__ import annotations

from dataclasses import dataclass, field

from yizhan.model import AccountId, ChatId, InboundId, MessageId, ScheduleId, Target, TurnId

Moment = tuple[str, str, int]
"""Account, sender and the platform's time of a message."""
SessionKey = tuple[AccountId, ChatId, str]


@dataclass(slots=True)
class Wants:
    """Which rows a batch needs."""

    accounts: set[AccountId] = field(default_factory=set)
    chats: set[Target] = field(default_factory=set)
    messages: set[MessageId] = field(default_factory=set)
    with_attempts: set[MessageId] = field(default_factory=set)
    keys: set[tuple[AccountId, str]] = field(default_factory=set)
    progress: set[Target] = field(default_factory=set)
    inbound: set[InboundId] = field(default_factory=set)
    platform_ids: set[tuple[AccountId, str]] = field(default_factory=set)
    moments: set[Moment] = field(default_factory=set)
    turns: set[TurnId] = field(default_factory=set)
    sessions: set[SessionKey] = field(default_factory=set)
    inbound_of_turns: set[TurnId] = field(default_factory=set)
    tokens: set[Target] = field(default_factory=set)
    rules: set[tuple[AccountId, str]] = field(default_factory=set)
    schedules: set[ScheduleId] = field(default_factory=set)
    runs: set[tuple[ScheduleId, str]] = field(default_factory=set)
