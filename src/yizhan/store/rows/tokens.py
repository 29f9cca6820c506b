"""Rows of reply tokens."""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.core.tokens import usable
from yizhan.model import AccountId, ChatId, InboundId, ReplyToken, TokenState
from yizhan.store.rows.kept import KeptToken, Row, Values
from yizhan.store.secrets import Seal, token_hash


def kept_token(token: ReplyToken, seq: int) -> KeptToken:
    """A token that still has its text, at a position."""
    return KeptToken(token, seq, token_hash(token.token))


def token_of(row: Row, seal: Seal) -> KeptToken:
    account, chat, sha256, stored, inbound_id, issued_at_ms, state, reason, seq = row
    token = ReplyToken(
        account=AccountId(account),
        chat=ChatId(chat),
        inbound_id=InboundId(inbound_id),
        token=seal.open(stored, f"reply_token/{account}/{chat}/{sha256}"),
        issued_at_ms=issued_at_ms,
        state=TokenState(state),
        reason=reason,
    )
    return KeptToken(token, seq, sha256)


def token_values(kept: KeptToken, seal: Seal) -> Values:
    token = kept.token
    place = f"reply_token/{token.account}/{token.chat}/{kept.sha256}"
    return {
        "account": token.account,
        "chat": token.chat,
        "token_sha256": kept.sha256,
        "token": "" if token.state is TokenState.STALE else seal.close(token.token, place),
        "inbound_id": token.inbound_id,
        "issued_at_ms": token.issued_at_ms,
        "state": token.state.value,
        "reason": token.reason,
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
        "reason": token.reason,
    }


def usable_token(newest_first: Sequence[KeptToken]) -> ReplyToken | None:
    """The newest one, if it may still go out. Where that is stale, older ones are as well: the chat is tokenless."""
    newest = newest_first[0].token if newest_first else None
    return newest if usable(newest) else None
