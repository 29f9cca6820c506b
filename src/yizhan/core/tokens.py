"""Reply tokens: with which one a request goes, and what its fate says about it.

A refused request with a token makes the token *suspect*: a token that is no longer honoured and a limit
are answered alike. One request without it tells: accepted → the token was *stale* and is dropped for good;
refused → nothing is learned. The experiment follows the first refusal at once (a stale token then costs one
request, not a window) and may be repeated at the 2nd, 4th, 8th … refused probe, never twice in a row.
Source: the same wording is answered in both cases, see docs/glossary.md, "suspect".
"""

from __future__ import annotations

from yizhan.model import ReplyToken, TokenState


def token_for(token: ReplyToken | None, refusals: int, experiment: bool) -> ReplyToken | None:
    """The token the next request carries, None for a request without one.

    Args:  refusals    refused requests in a row of the chat
           experiment  the last request was the first refused one with this token
    """
    if token is None or token.state in (TokenState.STALE, TokenState.SPENT):
        return None
    if token.state is TokenState.FRESH:
        return token
    return None if experiment or _is_experiment(refusals) else token


def _is_experiment(refusals: int) -> bool:
    """2, 4, 8, … : powers of two, the first being the immediate experiment."""
    return refusals >= 2 and refusals & (refusals - 1) == 0
