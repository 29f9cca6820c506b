"""Rows of what was heard, and of the turns that answer it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from yizhan.model import (
    Access,
    AccountId,
    ChatId,
    ChatSession,
    Dispatch,
    Inbound,
    InboundId,
    Item,
    Suppressed,
    Turn,
    TurnId,
    TurnState,
)
from yizhan.store.rows.kept import KeptInbound, KeptSuppressed, KeptTurn, Row, Values, reason_of


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
        rule,
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
        rule=rule,
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
        "rule": inbound.rule,
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
    account, chat, seq, turn_id, agent, state, inbound_ids, created, started, ended, code, text, *rest = row
    outputs, person = rest
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
        reason=reason_of(code, text),
        outputs=outputs,
        person=person,
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
        "person": turn.person,
    }


def session_of(row: Row) -> ChatSession:
    account, chat, person, since, used_at, agent, agent_session = row
    return ChatSession(AccountId(account), ChatId(chat), person, since, used_at, agent, agent_session)


def session_values(session: ChatSession) -> Values:
    return {
        "account": session.account,
        "chat": session.chat,
        "person": session.person,
        "since_ms": session.since_ms,
        "used_at_ms": session.used_at_ms,
        "agent": session.agent,
        "agent_session": session.agent_session,
    }
