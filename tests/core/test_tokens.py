"""With which reply token a request goes."""

from __future__ import annotations

import pytest

from yizhan.core.tokens import token_for
from yizhan.model import AccountId, ChatId, InboundId, ReplyToken, TokenState


def a_token(state: TokenState) -> ReplyToken:
    return ReplyToken(AccountId("weixin:a"), ChatId("c"), InboundId("i"), "secret", 0, state)


@pytest.mark.parametrize("refusals", range(20))
@pytest.mark.parametrize("experiment", [True, False])
def test_a_fresh_token_is_always_used(refusals: int, experiment: bool) -> None:
    """Also right after another one was refused: the one that came meanwhile is not to blame."""
    token = a_token(TokenState.FRESH)
    assert token is token_for(token, refusals, experiment)


@pytest.mark.parametrize("state", [TokenState.STALE, TokenState.SPENT])
def test_a_token_that_is_over_is_never_used(state: TokenState) -> None:
    """A push after a quiet night goes without its stale token instead of failing with it."""
    assert token_for(a_token(state), 0, False) is None


def test_without_a_token_nothing_is_used() -> None:
    assert token_for(None, 0, False) is None


def test_a_suspect_token_is_left_out_once_at_once_and_then_at_2_4_8_and_16_refusals() -> None:
    """Each experiment costs one request; doubling the distance keeps them few and never two in a row."""
    token = a_token(TokenState.SUSPECT)
    assert token_for(token, 0, True) is None
    without = [refusals for refusals in range(40) if token_for(token, refusals, False) is None]
    assert [2, 4, 8, 16, 32] == without


def test_a_token_never_shows_its_secret() -> None:
    assert "secret" not in repr(a_token(TokenState.FRESH))
