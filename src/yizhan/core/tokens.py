"""Reply tokens: with which one a request goes, and what its fate says about it.

How to think of it: a token that is no longer honoured and a limit are answered alike. So a refusal makes the
token *suspect*, and one request without it tells: accepted → the token was *stale*, and is dropped for good;
refused → nothing is learned of it. The other try follows at once, whatever the gates think of the first
refusal, so that a merely stale token costs one request and not a window. It follows only if the gates were
open: where a limit is known already, a refusal says nothing new, and a second one would prolong it. Nor does a
first refusal say anything that the limit explains: the token has just been honoured, or the request felt for room.

When both ways were refused, the experiment is repeated at the 1st, 2nd, 4th, 8th … later probe; each probe is
one request. After a wait beyond all windows a suspect token has become old as well: the ways take turns then, first
the one without it. A refusal that names the token, and not only a limit, is news: the first one behind shut gates owes
an experiment at their next opening, however far the next power of two is. The age of a token turns the order of
the two tries round (an old one stays behind first), and changes nothing else.

A *trial* is what the tries have told so far. It lives with the lane, in memory: after a restart it begins
anew, which costs at most one request.
Source: one wording for both cases, Tencent/openclaw-weixin #216, hermes-agent #17228, #62383.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from yizhan.model import ReplyToken, TokenState


@dataclass(frozen=True, slots=True)
class Trial:
    """What has been tried since something was accepted.

    since_ms         time of the first refusal, 0 without one
    refused_with     a request with the token was refused
    refused_without  one without it was
    at_once          the next request goes the other way, and waits for nothing
    refused_ms       time of the last one
    probes           requests refused since both ways were; `full_waits` those of them after a long wait
    named            the token was refused by name: no limit is meant
    owed             the first time behind shut gates: the next request goes without it
    honoured_ms      when a request with it was last accepted, 0 without one
    """

    since_ms: int = 0
    refused_with: bool = False
    refused_without: bool = False
    at_once: bool = False
    refused_ms: int = 0
    probes: int = 0
    full_waits: int = 0
    named: bool = False
    owed: bool = False
    honoured_ms: int = 0

    @property
    def both_refused(self) -> bool:
        return self.refused_with and self.refused_without

    def every_way_refused(self, has_token: bool) -> bool:
        """Whether nothing is left to try: without a token there is only one way."""
        return self.refused_without and (self.refused_with or not has_token)


UNTRIED = Trial()
PROVEN_MS = 1_000
"""A token that was honoured so short a time ago is not what a first refusal is about."""
FULL_WAIT_MS = 600_000
"""Who has waited so long since the last refusal did not run into a window."""
FOUND_STALE = "refused with it, accepted without it"


def usable(token: ReplyToken | None) -> bool:
    """Whether it may still go out."""
    return token is not None and token.state in (TokenState.FRESH, TokenState.SUSPECT)


def token_for(token: ReplyToken | None, trial: Trial, now_ms: int, old_ms: int) -> ReplyToken | None:
    """The token the next request carries, None for a request without one.

    Args:  old_ms  from this age on a token is likely to be stale; 0: never
    """
    if token is None or not usable(token):
        return None
    old = bool(old_ms) and now_ms - token.issued_at_ms >= old_ms
    full_wait = trial.both_refused and now_ms - trial.refused_ms >= FULL_WAIT_MS
    return token if _carried(token, trial, old, full_wait) else None


def _carried(token: ReplyToken, trial: Trial, old: bool, full_wait: bool) -> bool:
    if trial.at_once:
        return not trial.refused_with
    if token.state is TokenState.FRESH:
        return not old or trial.refused_without
    if full_wait:
        return trial.full_waits % 2 == 1
    return not (trial.owed or _is_experiment(trial.probes + 1))


def owes_experiment(token: ReplyToken | None, trial: Trial) -> bool:
    """Whether its next request is the first that tells a stale token from a limit."""
    return token is not None and token.state is TokenState.SUSPECT and not trial.refused_without


def _is_experiment(probe: int) -> bool:
    """1, 2, 4, 8, … : powers of two."""
    return probe & (probe - 1) == 0


def refused(
    trial: Trial,
    token: ReplyToken | None,
    with_token: bool,
    gates_open: bool,
    now_ms: int,
    named: bool = False,
) -> Trial:
    """A request was refused in a way that a stale token may explain.

    Args:  token       the chat's token, as it was when the request left
           gates_open  neither the chat nor its account was known to be limited
           named       the platform spoke of the token, and not only of a limit
    """
    refused_with = trial.refused_with or with_token
    refused_without = trial.refused_without or not with_token
    one_way = refused_with != refused_without
    at_once = one_way and gates_open and not trial.at_once and usable(token)
    return Trial(
        since_ms=trial.since_ms or now_ms,
        refused_with=refused_with,
        refused_without=refused_without,
        at_once=at_once,
        refused_ms=now_ms,
        probes=trial.probes + trial.both_refused,
        full_waits=trial.full_waits + (trial.both_refused and now_ms - trial.refused_ms >= FULL_WAIT_MS),
        named=trial.named or named,
        owed=named and with_token and not at_once and not trial.named,
    )


def limited(trial: Trial, now_ms: int) -> Trial:
    """A request was refused, and no token explains it: the other way need not be tried now."""
    return replace(trial, since_ms=trial.since_ms or now_ms, refused_ms=now_ms, at_once=False)


def just_honoured(trial: Trial, now_ms: int) -> bool:
    """It went through a moment ago: a burst has met a limit."""
    return trial.honoured_ms > 0 and now_ms - trial.honoured_ms <= PROVEN_MS


def accepted(trial: Trial, with_token: bool, now_ms: int) -> Trial:
    """A request went through. That one without a token was not, is worth knowing for the next old token."""
    return Trial(
        refused_without=trial.refused_without and with_token, honoured_ms=now_ms if with_token else 0
    )


def judged(token: ReplyToken | None, with_token: bool) -> ReplyToken | None:
    """The token as an accepted request leaves it, None for no change: accepted with it, a suspect one is good;
    accepted without it, it was stale, and goes for good."""
    if token is None or token.state is not TokenState.SUSPECT:
        return None
    if with_token:
        return replace(token, state=TokenState.FRESH)
    return replace(token, state=TokenState.STALE, reason=FOUND_STALE)


def suspected(token: ReplyToken | None, with_token: bool) -> ReplyToken | None:
    """The token as a refused request leaves it, None for no change."""
    if token is None or not with_token or token.state is not TokenState.FRESH:
        return None
    return replace(token, state=TokenState.SUSPECT)


def same(one: ReplyToken, other: ReplyToken) -> bool:
    """The same permission: the same words, issued with the same message. What was learned of an older one says
    nothing about a newer one, even if the platform gave the same words again."""
    return one.token == other.token and one.inbound_id == other.inbound_id
