"""The writes of the road in: what was heard, and who may be told things unasked.

The same message twice is recognised by the platform's id; or, if either has none or the ids differ, by equal
chat, sender, time of the platform and content, all of them. Somebody who says "yes" twice is heard twice.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import ClassVar

import msgspec
from sqlalchemy import Connection

from yizhan.core import unasked
from yizhan.core.access import ROOMS
from yizhan.core.allowance import opened
from yizhan.model import (
    Access,
    AccountId,
    Chat,
    Dispatch,
    Inbound,
    InboundId,
    ReplyToken,
    Rule,
    SenderRule,
    Suppressed,
    Target,
)
from yizhan.ports import Arrival, Consent, Heard, InboundCommit, InboundCommitted
from yizhan.store.queries import by_key
from yizhan.store.rows import KeptInbound, inbound_of, kept_token
from yizhan.store.secrets import token_hash
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet

BY_PLATFORM_ID = "platform_id"
BY_CONTENT = "sender_time_content"
HONOURED_MS = 3_600_000
"""So long may an inbound message permit answers after newer ones have come. Source: QQ, C2C: 60 minutes."""


def clean(text: str) -> str:
    """Without what no database holds (NUL, lone surrogates): a poller must not stumble over it for ever."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    return text.encode("utf-8", "replace").decode()


def content_hash(heard: Heard) -> str:
    """What the other side wrote, whatever the token that came along."""
    items = [(item.kind, item.name, item.size) for item in heard.items]
    return hashlib.sha256(msgspec.json.encode((heard.text, heard.quoted_text, items))).hexdigest()


def _cleaned(heard: Heard) -> Heard:
    items = tuple(replace(item, name=item.name and clean(item.name)) for item in heard.items)
    return replace(
        heard,
        text=clean(heard.text),
        quoted_text=clean(heard.quoted_text),
        sender_name=clean(heard.sender_name),
        items=items,
    )


@dataclass(frozen=True, slots=True)
class CommitInbound:
    """A poll's reply. Submitted again after a lost commit, it answers the same and changes nothing."""

    label: ClassVar[str] = "commit_inbound"
    alone: ClassVar[bool] = False
    commit: InboundCommit

    def wants(self, wants: Wants) -> None:
        account = self.commit.account
        wants.accounts.add(account)
        for arrival in self.commit.arrivals:
            heard = arrival.heard
            wants.inbound.add(arrival.id)
            wants.chats.add(Target(account, heard.chat))
            if heard.platform_message_id is not None:
                wants.platform_ids.add((account, heard.platform_message_id))
            if heard.sent_at_ms > 0 and not heard.sure_id:
                wants.moments.add((account, heard.sender_id, heard.sent_at_ms))
            if heard.token:
                wants.tokens.add(Target(account, heard.chat))
            if arrival.access is not Access.ALLOWED:
                wants.rules.add((account, heard.sender_id))

    def apply(self, rows: WorkingSet) -> InboundCommitted:
        account = rows.account(self.commit.account)
        new: list[Inbound] = []
        suppressed: list[Suppressed] = []
        tokens: dict[Target, ReplyToken] = {}
        for arrival in self.commit.arrivals:
            arrival = replace(arrival, heard=_cleaned(arrival.heard))
            outcome = _receive(account.id, arrival, rows)
            if isinstance(outcome, Inbound):
                new.append(outcome)
            else:
                suppressed.append(outcome)
            target = Target(account.id, arrival.heard.chat)
            if arrival.heard.token and rows.tokens[target]:
                tokens[target] = rows.tokens[target][0].token
        if self.commit.cursor is not None and self.commit.cursor != account.cursor:
            rows.put_account(replace(rows.account(account.id), cursor=self.commit.cursor))
        return InboundCommitted(tuple(new), tuple(suppressed), tuple(tokens.values()))


def _receive(account: AccountId, arrival: Arrival, rows: WorkingSet) -> Inbound | Suppressed:
    known = rows.inbound.get(arrival.id)
    if known is not None:
        return known.inbound
    content = content_hash(arrival.heard)
    repeat = _same_as(account, arrival.heard, content, rows)
    if repeat is not None:
        return _suppress(account, arrival, *repeat, rows)
    return _store(account, arrival, content, rows)


def _same_as(
    account: AccountId, heard: Heard, content: str, rows: WorkingSet
) -> tuple[InboundId, str] | None:
    """The message this one repeats, and the rule that says so."""
    if heard.platform_message_id is not None:
        original = rows.by_platform_id.get((account, heard.platform_message_id))
        if original is not None:
            return original, BY_PLATFORM_ID
    if heard.sure_id:
        return None
    for candidate in rows.by_moment.get((account, heard.sender_id, heard.sent_at_ms), ()):
        kept = rows.inbound[candidate]
        if kept.inbound.chat == heard.chat and kept.content_sha256 == content:
            return candidate, BY_CONTENT
    return None


def heard_before(connection: Connection, account: AccountId, heard: Heard) -> bool:
    """Whether it repeats a stored message, as a commit would find."""
    heard, name = _cleaned(heard), heard.platform_message_id
    if name and connection.execute(by_key.inbound_by_platform_id([(account, name)])).first() is not None:
        return True
    if heard.sure_id or heard.sent_at_ms <= 0:
        return False
    content, moment = content_hash(heard), (account, heard.sender_id, heard.sent_at_ms)
    found = [inbound_of(row) for row in connection.execute(by_key.inbound_of_moments([moment]))]
    return any(kept.inbound.chat == heard.chat and kept.content_sha256 == content for kept in found)


def _suppress(
    account: AccountId, arrival: Arrival, original: InboundId, rule: str, rows: WorkingSet
) -> Suppressed:
    heard = arrival.heard
    target = Target(account, heard.chat)
    rows.chat_for(target, arrival.received_at_ms)
    seq = rows.next_seq(target)
    suppressed = Suppressed(
        account, heard.chat, original, heard.platform_message_id, arrival.received_at_ms, rule
    )
    rows.add_suppressed(suppressed, seq)
    if heard.token and all(kept.sha256 != token_hash(heard.token) for kept in rows.tokens[target]):
        rows.add_token(kept_token(_token(account, arrival, original), seq))
    return suppressed


def _store(account: AccountId, arrival: Arrival, content: str, rows: WorkingSet) -> Inbound:
    heard = arrival.heard
    target = Target(account, heard.chat)
    _note_chat(target, arrival, rows)
    seq = rows.next_seq(target)
    inbound = Inbound(
        id=arrival.id,
        account=account,
        chat=heard.chat,
        platform_message_id=heard.platform_message_id,
        sender_id=heard.sender_id,
        sender_name=heard.sender_name,
        text=heard.text,
        quoted_text=heard.quoted_text,
        items=heard.items,
        sent_at_ms=heard.sent_at_ms,
        received_at_ms=arrival.received_at_ms,
        access=arrival.access,
        dispatch=_asked(arrival.dispatch, rows.chat_for(target, arrival.received_at_ms)),
        rule=arrival.rule,
    )
    rows.add_inbound(KeptInbound(inbound, seq, content), arrival.received_at_ms)
    if heard.token:
        rows.add_token(kept_token(_token(account, arrival, arrival.id), seq))
    if not heard.addressed:
        return inbound
    ledger = opened(arrival.id, arrival.received_at_ms, seq, None, False)
    rows.open_ledger(target, ledger, arrival.received_at_ms - HONOURED_MS)
    if arrival.access is not Access.ALLOWED:
        _note_refused(account, arrival, rows)
    return inbound


def _asked(dispatch: Dispatch, chat: Chat) -> Dispatch:
    """What a message asks of us: no turn where a person has taken the chat over."""
    by_person = dispatch is Dispatch.TURN and chat.taken_over_at_ms is not None
    return Dispatch.DONE if by_person else dispatch


def _note_chat(target: Target, arrival: Arrival, rows: WorkingSet) -> None:
    """A chat with one person is called by that person's name; a room with many is not called by who spoke first."""
    chat = rows.chat_for(target, arrival.received_at_ms)
    kind = chat.kind or arrival.heard.chat_kind
    name = arrival.heard.sender_name if kind not in ROOMS else ""
    rows.put_chat(
        replace(
            chat,
            kind=kind,
            title=chat.title or name,
            last_inbound_at_ms=max(arrival.received_at_ms, chat.last_inbound_at_ms or 0),
        )
    )


def _token(account: AccountId, arrival: Arrival, inbound_id: InboundId) -> ReplyToken:
    """Issued when the platform says it was, never later than we heard it."""
    heard = arrival.heard
    issued_at_ms = min(heard.sent_at_ms or arrival.received_at_ms, arrival.received_at_ms)
    return ReplyToken(account, heard.chat, inbound_id, heard.token, issued_at_ms)


def _note_refused(account: AccountId, arrival: Arrival, rows: WorkingSet) -> None:
    heard, at_ms = arrival.heard, arrival.received_at_ms
    known = rows.rules.get((account, heard.sender_id))
    if known is None:
        known = SenderRule(
            account=account,
            sender_id=heard.sender_id,
            sender_name=heard.sender_name,
            rule=Rule.PENDING,
            first_text=heard.text,
            first_seen_at_ms=at_ms,
            last_seen_at_ms=at_ms,
        )
    rows.put_rule(
        replace(
            known,
            sender_name=heard.sender_name or known.sender_name,
            first_text=known.first_text or heard.text,
            first_seen_at_ms=at_ms if known.first_seen_at_ms is None else known.first_seen_at_ms,
            last_seen_at_ms=max(known.last_seen_at_ms or 0, at_ms),
            refused=known.refused + 1,
            refused_by=arrival.rule,
            code=known.code or (arrival.code if known.rule is Rule.PENDING else ""),
        )
    )


@dataclass(frozen=True, slots=True)
class NoteConsent:
    """Whether a chat takes messages that nobody asked for. Told twice, it changes nothing."""

    label: ClassVar[str] = "note_consent"
    alone: ClassVar[bool] = False
    account: AccountId
    consent: Consent
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.accounts.add(self.account)
        wants.chats.add(Target(self.account, self.consent.chat))

    def apply(self, rows: WorkingSet) -> None:
        chat = rows.chat_for(Target(self.account, self.consent.chat), self.at_ms)
        told = unasked.switched(unasked.decode(chat.unasked), self.consent.granted)
        news = replace(chat, kind=chat.kind or self.consent.chat_kind, unasked=unasked.encode(told))
        if news != chat:
            rows.put_chat(news)
