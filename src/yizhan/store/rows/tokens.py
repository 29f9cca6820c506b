"""Rows of reply tokens."""

from __future__ import annotations

from collections.abc import Iterable

from yizhan.model import AccountId, ChatId, InboundId, ReplyToken, TokenState
from yizhan.store.rows.kept import KeptToken, Row, Values
from yizhan.store.secrets import Seal, token_hash


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
