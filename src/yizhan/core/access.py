"""Who may talk to the agent: one place decides, deny by default, and says by which rule.

Ids are compared as the platform writes them, letter by letter: neither case nor width nor a letter that looks alike
makes somebody else of a sender. What is written down about a sender wins over the configuration, and a block over
everything. In a room with many people the room must be one in which the agent speaks; then the person is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yizhan.model import Access, AccountId, ChatId, Rule, Target

ROOMS = frozenset({"group", "channel"})
"""Kinds of chats with many people in them."""


@dataclass(frozen=True, slots=True)
class AccessNumbers:
    """What an operator may set (docs/configuration.md, access).

    policy    `open`, `pairing` or `allowlist`, for senders about whom nothing is known
    allow     senders who are always allowed; admins: who may besides give commands that act on the gateway
    groups    `senders` (as the sender alone would be), `open` (everybody in an allowed group) or `off`
    rooms     chat ids or TARGETs of the groups in which the agent speaks; empty: all
    people    chat id or TARGET → who may talk to the agent there, and nobody else
    mention   in a group only what is addressed to the agent is answered
    """

    policy: str
    allow: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()
    groups: str = "senders"
    rooms: frozenset[str] = frozenset()
    people: Mapping[str, frozenset[str]] = field(default_factory=dict)
    mention: bool = True


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who writes. `owner`: who confirmed the account's login, empty where unknown; `rule`: what is written
    down about the sender; `addressed`: said to the agent, and not only in its presence."""

    account: AccountId
    chat: ChatId
    chat_kind: str
    sender: str
    owner: str = ""
    rule: Rule | None = None
    addressed: bool = True

    @property
    def in_room(self) -> bool:
        return self.chat_kind in ROOMS


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the door says, and the rule that says it."""

    access: Access
    rule: str


def decide(numbers: AccessNumbers, asker: Asker) -> Ruling:
    """What the door says to a sender. The first rule that has something to say decides."""
    if asker.rule is Rule.BLOCK:
        return Ruling(Access.DENIED, "blocked")
    return (_of_room(numbers, asker) if asker.in_room else None) or _of_sender(numbers, asker)


def is_admin(numbers: AccessNumbers, asker: Asker) -> bool:
    """Whether the sender may act on the gateway from the chat: an admin or the owner, unless blocked."""
    if asker.rule is Rule.BLOCK or not asker.sender:
        return False
    return asker.sender in numbers.admins or asker.sender == asker.owner


def asks(numbers: AccessNumbers, asker: Asker) -> bool:
    """Whether what an allowed sender says asks for an answer."""
    return asker.addressed or (asker.in_room and not numbers.mention)


def _of_room(numbers: AccessNumbers, asker: Asker) -> Ruling | None:
    names = (asker.chat, str(Target(asker.account, asker.chat)))
    if numbers.groups == "off":
        return Ruling(Access.DENIED, "groups-off")
    if numbers.rooms and not numbers.rooms.intersection(names):
        return Ruling(Access.DENIED, "group-not-allowed")
    people = [numbers.people[name] for name in names if name in numbers.people]
    if people:
        listed = any(asker.sender in some for some in people) or is_admin(numbers, asker)
        return Ruling(Access.ALLOWED if listed else Access.DENIED, "group-people")
    return Ruling(Access.ALLOWED, "group-open") if numbers.groups == "open" else None


def _of_sender(numbers: AccessNumbers, asker: Asker) -> Ruling:
    if asker.rule is Rule.ALLOW:
        return Ruling(Access.ALLOWED, "allowed")
    if asker.sender in numbers.allow | numbers.admins:
        return Ruling(Access.ALLOWED, "configured")
    if asker.owner and asker.sender == asker.owner:
        return Ruling(Access.ALLOWED, "owner")
    match numbers.policy:
        case "open":
            return Ruling(Access.ALLOWED, "open")
        case "pairing":
            return Ruling(Access.PENDING, "pairing")
        case _:
            return Ruling(Access.DENIED, "allowlist")
