"""Rows of accounts and chats."""

from __future__ import annotations

from yizhan.model import Account, AccountId, AccountState, Chat, ChatId, Credentials
from yizhan.store.rows.kept import KeptChat, Row, Values, reason_of
from yizhan.store.secrets import Seal


def account_of(row: Row, seal: Seal) -> Account:
    (
        account_id,
        secret,
        base_url,
        cdn_base_url,
        token_url,
        user_id,
        webhook,
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
        ghosts,
        cursor,
        gate,
        allowance,
        unfit_forms,
    ) = row
    opened = seal.open(secret, f"account.secret/{account_id}")
    return Account(
        id=AccountId(account_id),
        credentials=Credentials(opened, base_url, cdn_base_url, token_url, user_id, bool(webhook)),
        state=AccountState(state),
        since_ms=since_ms,
        created_at_ms=created_at_ms,
        paused=bool(paused),
        reason=reason_of(code, text),
        action=action,
        last_server_answer_at_ms=last_server_answer_at_ms,
        next_attempt_at_ms=next_attempt_at_ms,
        gives_receipts=bool(gives_receipts),
        ghosts=ghosts,
        cursor=seal.open(cursor, f"account.cursor/{account_id}"),
        gate=gate,
        allowance=allowance,
        unfit_forms=unfit_forms,
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
        "webhook": int(credentials.webhook),
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
        "ghosts": account.ghosts,
        "cursor": seal.close(account.cursor, f"account.cursor/{account.id}"),
        "gate": account.gate,
        "allowance": account.allowance,
        "unfit_forms": account.unfit_forms,
    }


def chat_of(row: Row) -> KeptChat:
    (
        account,
        chat_id,
        kind,
        title,
        created,
        last_in,
        last_out,
        paused,
        gate,
        ghosts,
        unasked,
        taken_over,
        agent,
        _,
        next_seq,
    ) = row
    chat = Chat(
        account=AccountId(account),
        id=ChatId(chat_id),
        kind=kind,
        title=title,
        created_at_ms=created,
        last_inbound_at_ms=last_in,
        last_outbound_at_ms=last_out,
        paused=bool(paused),
        gate=gate,
        ghosts=ghosts,
        unasked=unasked,
        taken_over_at_ms=taken_over,
        agent=agent,
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
        "paused": int(chat.paused),
        "gate": chat.gate,
        "ghosts": chat.ghosts,
        "unasked": chat.unasked,
        "taken_over_at_ms": chat.taken_over_at_ms,
        "agent": chat.agent,
        "activity_at_ms": activity_of(chat),
        "next_seq": kept.next_seq,
    }
