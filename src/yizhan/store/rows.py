"""Between rows and nouns. A row is a tuple of text, integers and None in the order of `COLUMNS`, as both
drivers give and take it; a noun is a frozen value of `model.py`. Nothing here runs a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from yizhan.model import (
    Access,
    Account,
    AccountId,
    AccountState,
    ApiKey,
    Attempt,
    Chat,
    ChatId,
    Credentials,
    Dispatch,
    Entry,
    Event,
    Inbound,
    InboundId,
    Item,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Reason,
    ReplyToken,
    Rule,
    SenderRule,
    Suppressed,
    TokenState,
    Turn,
    TurnId,
    TurnState,
    WaitingFor,
)
from yizhan.store.secrets import Seal, token_hash

Row = Sequence[Any]
"""What a driver gives: the columns of one table, in the table's order."""
Values = Mapping[str, Any]
"""What a driver takes: a value for each column, text, integer or None."""


class KeptMessage(NamedTuple):
    """A message with what only the store needs: the hash of the body that its key was first used with."""

    message: Message
    body_sha256: str


class KeptChat(NamedTuple):
    """A chat with the next position it hands out."""

    chat: Chat
    next_seq: int


class KeptInbound(NamedTuple):
    """An inbound message with its position and the hash that recognises its content."""

    inbound: Inbound
    seq: int
    content_sha256: str


class KeptTurn(NamedTuple):
    turn: Turn
    seq: int


class KeptSuppressed(NamedTuple):
    suppressed: Suppressed
    seq: int


class KeptToken(NamedTuple):
    """A reply token with its position: the newest of a chat has the highest."""

    token: ReplyToken
    seq: int


def _reason(code: str | None, text: str | None) -> Reason | None:
    return None if code is None else Reason(code, text or "")


def _waiting(word: str | None) -> WaitingFor | None:
    return None if word is None else WaitingFor(word)


# ── accounts and chats ─────────────────────────────────────────────────────────────────────────────────


def account_of(row: Row, seal: Seal) -> Account:
    (
        account_id,
        secret,
        base_url,
        cdn_base_url,
        token_url,
        user_id,
        state,
        since_ms,
        created_at_ms,
        paused,
        code,
        text,
        action,
        last_server_answer_at_ms,
        next_attempt_at_ms,
        gives_receipts,
        cursor,
        gate,
    ) = row
    opened = seal.open(secret, f"account.secret/{account_id}")
    return Account(
        id=AccountId(account_id),
        credentials=Credentials(opened, base_url, cdn_base_url, token_url, user_id),
        state=AccountState(state),
        since_ms=since_ms,
        created_at_ms=created_at_ms,
        paused=bool(paused),
        reason=_reason(code, text),
        action=action,
        last_server_answer_at_ms=last_server_answer_at_ms,
        next_attempt_at_ms=next_attempt_at_ms,
        gives_receipts=bool(gives_receipts),
        cursor=seal.open(cursor, f"account.cursor/{account_id}"),
        gate=gate,
    )


def account_values(account: Account, seal: Seal) -> Values:
    credentials = account.credentials
    return {
        "id": account.id,
        "secret": seal.close(credentials.secret, f"account.secret/{account.id}"),
        "base_url": credentials.base_url,
        "cdn_base_url": credentials.cdn_base_url,
        "token_url": credentials.token_url,
        "user_id": credentials.user_id,
        "state": account.state.value,
        "since_ms": account.since_ms,
        "created_at_ms": account.created_at_ms,
        "paused": int(account.paused),
        "reason_code": account.reason and account.reason.code,
        "reason_text": account.reason and account.reason.text,
        "action": account.action,
        "last_server_answer_at_ms": account.last_server_answer_at_ms,
        "next_attempt_at_ms": account.next_attempt_at_ms,
        "gives_receipts": int(account.gives_receipts),
        "cursor": seal.close(account.cursor, f"account.cursor/{account.id}"),
        "gate": account.gate,
    }


def chat_of(row: Row) -> KeptChat:
    account, chat_id, kind, title, created, last_in, last_out, since, paused, gate, _, next_seq = row
    chat = Chat(
        account=AccountId(account),
        id=ChatId(chat_id),
        kind=kind,
        title=title,
        created_at_ms=created,
        last_inbound_at_ms=last_in,
        last_outbound_at_ms=last_out,
        session_since_ms=since,
        paused=bool(paused),
        gate=gate,
    )
    return KeptChat(chat, next_seq)


def activity_of(chat: Chat) -> int:
    """When something last happened in the chat; chats are listed by it."""
    return max(chat.created_at_ms, chat.last_inbound_at_ms or 0, chat.last_outbound_at_ms or 0)


def chat_values(kept: KeptChat) -> Values:
    chat = kept.chat
    return {
        "account": chat.account,
        "id": chat.id,
        "kind": chat.kind,
        "title": chat.title,
        "created_at_ms": chat.created_at_ms,
        "last_inbound_at_ms": chat.last_inbound_at_ms,
        "last_outbound_at_ms": chat.last_outbound_at_ms,
        "session_since_ms": chat.session_since_ms,
        "paused": int(chat.paused),
        "gate": chat.gate,
        "activity_at_ms": activity_of(chat),
        "next_seq": kept.next_seq,
    }


# ── reply tokens ───────────────────────────────────────────────────────────────────────────────────────


def token_of(row: Row, seal: Seal) -> KeptToken:
    account, chat, sha256, stored, inbound_id, issued_at_ms, state, sends_used, seq = row
    token = ReplyToken(
        account=AccountId(account),
        chat=ChatId(chat),
        inbound_id=InboundId(inbound_id),
        token=seal.open(stored, f"reply_token/{account}/{chat}/{sha256}"),
        issued_at_ms=issued_at_ms,
        state=TokenState(state),
        sends_used=sends_used,
    )
    return KeptToken(token, seq)


def token_values(kept: KeptToken, seal: Seal) -> Values:
    token = kept.token
    sha256 = token_hash(token.token)
    return {
        "account": token.account,
        "chat": token.chat,
        "token_sha256": sha256,
        "token": seal.close(token.token, f"reply_token/{token.account}/{token.chat}/{sha256}"),
        "inbound_id": token.inbound_id,
        "issued_at_ms": token.issued_at_ms,
        "state": token.state.value,
        "sends_used": token.sends_used,
        "seq": kept.seq,
    }


def token_news(token: ReplyToken) -> Values:
    """The token's key and what is learned of it; the secret stays where it is."""
    return {
        "account": token.account,
        "chat": token.chat,
        "token_sha256": token_hash(token.token),
        "inbound_id": token.inbound_id,
        "state": token.state.value,
        "sends_used": token.sends_used,
    }


def usable_token(newest_first: Iterable[KeptToken]) -> ReplyToken | None:
    """The newest if it is fresh or suspect, else the newest older one that is still fresh."""
    for place, kept in enumerate(newest_first):
        if kept.token.state is TokenState.FRESH or (not place and kept.token.state is TokenState.SUSPECT):
            return kept.token
    return None


# ── the inbox ──────────────────────────────────────────────────────────────────────────────────────────


def inbound_of(row: Row) -> KeptInbound:
    (
        account,
        chat,
        seq,
        inbound_id,
        platform_message_id,
        sender_id,
        sender_name,
        text,
        quoted_text,
        items,
        sent_at_ms,
        received_at_ms,
        access,
        dispatch,
        turn_id,
        content_sha256,
    ) = row
    inbound = Inbound(
        id=InboundId(inbound_id),
        account=AccountId(account),
        chat=ChatId(chat),
        platform_message_id=platform_message_id,
        sender_id=sender_id,
        sender_name=sender_name,
        text=text,
        quoted_text=quoted_text,
        items=items_of(items),
        sent_at_ms=sent_at_ms,
        received_at_ms=received_at_ms,
        access=Access(access),
        dispatch=Dispatch(dispatch),
        turn_id=None if turn_id is None else TurnId(turn_id),
    )
    return KeptInbound(inbound, seq, content_sha256)


def inbound_values(kept: KeptInbound) -> Values:
    inbound = kept.inbound
    return {
        "account": inbound.account,
        "chat": inbound.chat,
        "seq": kept.seq,
        "id": inbound.id,
        "platform_message_id": inbound.platform_message_id,
        "sender_id": inbound.sender_id,
        "sender_name": inbound.sender_name,
        "text": inbound.text,
        "quoted_text": inbound.quoted_text,
        "items": items_text(inbound.items),
        "sent_at_ms": inbound.sent_at_ms,
        "received_at_ms": inbound.received_at_ms,
        "access": inbound.access.value,
        "dispatch": inbound.dispatch.value,
        "turn_id": inbound.turn_id,
        "content_sha256": kept.content_sha256,
    }


_item_decoder = msgspec.json.Decoder(list[tuple[str, str | None, int | None]])


def items_of(stored: str) -> tuple[Item, ...]:
    return tuple(Item(*item) for item in _item_decoder.decode(stored))


def items_text(items: Iterable[Item]) -> str:
    return msgspec.json.encode([(item.kind, item.name, item.size) for item in items]).decode()


def suppressed_of(row: Row) -> KeptSuppressed:
    account, chat, seq, original_id, platform_message_id, at_ms, rule = row
    suppressed = Suppressed(
        AccountId(account), ChatId(chat), InboundId(original_id), platform_message_id, at_ms, rule
    )
    return KeptSuppressed(suppressed, seq)


def suppressed_values(kept: KeptSuppressed) -> Values:
    suppressed = kept.suppressed
    return {
        "account": suppressed.account,
        "chat": suppressed.chat,
        "seq": kept.seq,
        "original_id": suppressed.original_id,
        "platform_message_id": suppressed.platform_message_id,
        "at_ms": suppressed.at_ms,
        "rule": suppressed.rule,
    }


_names_decoder = msgspec.json.Decoder(list[str])


def turn_of(row: Row) -> KeptTurn:
    account, chat, seq, turn_id, agent, state, inbound_ids, created, started, ended, code, text, outputs = row
    turn = Turn(
        id=TurnId(turn_id),
        account=AccountId(account),
        chat=ChatId(chat),
        agent=agent,
        state=TurnState(state),
        inbound_ids=tuple(InboundId(name) for name in _names_decoder.decode(inbound_ids)),
        created_at_ms=created,
        started_at_ms=started,
        ended_at_ms=ended,
        reason=_reason(code, text),
        outputs=outputs,
    )
    return KeptTurn(turn, seq)


def turn_values(kept: KeptTurn) -> Values:
    turn = kept.turn
    return {
        "account": turn.account,
        "chat": turn.chat,
        "seq": kept.seq,
        "id": turn.id,
        "agent": turn.agent,
        "state": turn.state.value,
        "inbound_ids": msgspec.json.encode(turn.inbound_ids).decode(),
        "created_at_ms": turn.created_at_ms,
        "started_at_ms": turn.started_at_ms,
        "ended_at_ms": turn.ended_at_ms,
        "reason_code": turn.reason and turn.reason.code,
        "reason_text": turn.reason and turn.reason.text,
        "outputs": turn.outputs,
    }


# ── the outbox ─────────────────────────────────────────────────────────────────────────────────────────


def rank_of(message: Message) -> int:
    """Place of a live message in its lane: begun ones first, then by class. Equal ranks go by position."""
    begun = any(entry.attempts_made or entry.state is MessageState.SENDING for entry in message.entries)
    return int(message.klass) + (0 if begun else len(MessageClass))


def message_of(row: Row, entries: tuple[Entry, ...] = ()) -> KeptMessage:
    (
        account,
        chat,
        seq,
        message_id,
        klass,
        source,
        text,
        created_at_ms,
        expires_at_ms,
        state,
        waiting_for,
        next_attempt_at_ms,
        code,
        reason_text,
        possibly_doubled,
        idempotency_key,
        body_sha256,
        in_reply_to,
        turn_id,
        ordinal,
        not_before_ms,
        finished_at_ms,
        _,
        _,
    ) = row
    message = Message(
        id=message_id,
        account=account,
        chat=chat,
        seq=seq,
        klass=MessageClass(klass),
        source=source,
        text=text,
        created_at_ms=created_at_ms,
        expires_at_ms=expires_at_ms,
        entries=entries,
        state=MessageState(state),
        waiting_for=_waiting(waiting_for),
        next_attempt_at_ms=next_attempt_at_ms,
        reason=_reason(code, reason_text),
        possibly_doubled=bool(possibly_doubled),
        idempotency_key=idempotency_key,
        in_reply_to=in_reply_to,
        turn_id=turn_id,
        ordinal=ordinal,
        not_before_ms=not_before_ms,
        finished_at_ms=finished_at_ms,
    )
    return KeptMessage(message, body_sha256)


def message_values(kept: KeptMessage) -> Values:
    message = kept.message
    return message_changes(message) | {
        "id": message.id,
        "class": int(message.klass),
        "source": message.source,
        "text": message.text,
        "created_at_ms": message.created_at_ms,
        "idempotency_key": message.idempotency_key,
        "body_sha256": kept.body_sha256,
        "in_reply_to": message.in_reply_to,
        "turn_id": message.turn_id,
        "ordinal": message.ordinal,
        "not_before_ms": message.not_before_ms,
    }


def message_changes(message: Message) -> dict[str, Any]:
    """The message's key and every column that changes after it was accepted."""
    return {
        "account": message.account,
        "chat": message.chat,
        "seq": message.seq,
        "expires_at_ms": message.expires_at_ms,
        "state": message.state.value,
        "waiting_for": message.waiting_for and message.waiting_for.value,
        "next_attempt_at_ms": message.next_attempt_at_ms,
        "reason_code": message.reason and message.reason.code,
        "reason_text": message.reason and message.reason.text,
        "possibly_doubled": int(message.possibly_doubled),
        "finished_at_ms": message.finished_at_ms,
        "live": int(message.state.live),
        "rank": rank_of(message),
    }


def entry_of(row: Row, attempts: tuple[Attempt, ...] = ()) -> Entry:
    (
        _,
        _,
        no,
        text,
        client_id,
        state,
        waiting_for,
        next_attempt_at_ms,
        code,
        reason_text,
        receipt,
        attempts_made,
        possibly_doubled,
        in_doubt,
    ) = row
    return Entry(
        no=no,
        text=text,
        client_id=client_id,
        state=MessageState(state),
        waiting_for=_waiting(waiting_for),
        next_attempt_at_ms=next_attempt_at_ms,
        reason=_reason(code, reason_text),
        receipt=receipt,
        attempts_made=attempts_made,
        possibly_doubled=bool(possibly_doubled),
        in_doubt=bool(in_doubt),
        attempts=attempts,
    )


def entry_values(message: Message, entry: Entry) -> Values:
    return entry_changes(message, entry) | {"text": entry.text, "client_id": entry.client_id}


def entry_changes(message: Message, entry: Entry) -> dict[str, Any]:
    """The entry's key and every column that changes after it was accepted."""
    return {
        "account": message.account,
        "message_id": message.id,
        "no": entry.no,
        "state": entry.state.value,
        "waiting_for": entry.waiting_for and entry.waiting_for.value,
        "next_attempt_at_ms": entry.next_attempt_at_ms,
        "reason_code": entry.reason and entry.reason.code,
        "reason_text": entry.reason and entry.reason.text,
        "receipt": entry.receipt,
        "attempts_made": entry.attempts_made,
        "possibly_doubled": int(entry.possibly_doubled),
        "in_doubt": int(entry.in_doubt),
    }


def attempt_of(row: Row) -> Attempt:
    _, _, _, n, at_ms, with_token, ended_at_ms, verdict, code, text = row
    return Attempt(n, at_ms, bool(with_token), ended_at_ms, verdict, code, text)


def attempt_values(message: Message, no: int, attempt: Attempt) -> Values:
    return {
        "account": message.account,
        "message_id": message.id,
        "no": no,
        "n": attempt.n,
        "at_ms": attempt.at_ms,
        "with_token": int(attempt.with_token),
        "ended_at_ms": attempt.ended_at_ms,
        "verdict": attempt.verdict,
        "code": attempt.code,
        "text": attempt.text,
    }


def with_attempts(message: Message, attempts: Mapping[int, tuple[Attempt, ...]]) -> Message:
    """The message with the attempts of its entries, given by the entries' numbers."""
    entries = tuple(replace(entry, attempts=attempts.get(entry.no, ())) for entry in message.entries)
    return replace(message, entries=entries)


# ── people, keys, events ───────────────────────────────────────────────────────────────────────────────


def rule_of(row: Row) -> SenderRule:
    account, sender_id, sender_name, rule, first_text, first_seen, last_seen, refused, decided = row
    return SenderRule(
        account=AccountId(account),
        sender_id=sender_id,
        sender_name=sender_name,
        rule=Rule(rule),
        first_text=first_text,
        first_seen_at_ms=first_seen,
        last_seen_at_ms=last_seen,
        refused=refused,
        decided_at_ms=decided,
    )


def rule_values(rule: SenderRule) -> Values:
    return {
        "account": rule.account,
        "sender_id": rule.sender_id,
        "sender_name": rule.sender_name,
        "rule": rule.rule.value,
        "first_text": rule.first_text,
        "first_seen_at_ms": rule.first_seen_at_ms,
        "last_seen_at_ms": rule.last_seen_at_ms,
        "refused": rule.refused,
        "decided_at_ms": rule.decided_at_ms,
    }


def key_of(row: Row) -> ApiKey:
    key_id, name, sha256, scopes, created_at_ms, revoked_at_ms = row
    return ApiKey(
        key_id, name, sha256, frozenset(_names_decoder.decode(scopes)), created_at_ms, revoked_at_ms
    )


def key_values(key: ApiKey) -> Values:
    return {
        "id": key.id,
        "name": key.name,
        "sha256": key.sha256,
        "scopes": msgspec.json.encode(sorted(key.scopes)).decode(),
        "created_at_ms": key.created_at_ms,
        "revoked_at_ms": key.revoked_at_ms,
    }


def event_of(row: Row) -> Event:
    event_id, at_ms, kind, account, chat, stored = row
    return Event(
        id=event_id,
        at_ms=at_ms,
        type=kind,
        account=None if account is None else AccountId(account),
        chat=None if chat is None else ChatId(chat),
        data=stored.encode(),
    )


def event_values(event: Event) -> Values:
    return {
        "id": event.id,
        "at_ms": event.at_ms,
        "type": event.type,
        "account": event.account,
        "chat": event.chat,
        "data": event.data.decode(),
    }


def message_id_of(row: Row) -> MessageId:
    """The id in a row of the message table."""
    return MessageId(row[3])
