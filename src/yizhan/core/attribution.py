"""Whose limit was it: the chat's, or that of the whole account? The platform does not say.

The narrowest scope that explains the evidence is blamed: the chat, for the time being. Another chat refused within
two seconds, with nothing accepted between, makes it the account's, and the chat that was blamed first is pardoned:
its pace is what it was. Another chat accepted confirms that it was the chat; so does silence, as where only one
chat is active. A request that left before the account's gate shut says nothing new, and an account that was just
trying something unproven, or opening a run after its pause, is blamed at once, if the chat was not.

While the blame may still move, what is on the wire is heard out first: whatever followed it would be refused as
well, if it is the account's limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from yizhan.core import limiter
from yizhan.core.pace import Pace
from yizhan.model import Target

ATTRIBUTION_MS = 2_000
"""Two chats refused within this time, with nothing accepted between: the account's limit, not theirs."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What else goes on. `sent_ms`: when the request left, None: just now; the others count what still waits."""

    sent_ms: int | None = None
    chat_waiting: int = 0
    account_waiting: int = 0


@dataclass(frozen=True, slots=True)
class Blame:
    """A chat was refused at a time; `before` is its pace without that."""

    target: Target
    at_ms: int
    before: Pace = limiter.OPEN


@dataclass(frozen=True, slots=True)
class Judged:
    """Paces of the refused chat and its account, who is blamed now, and whose blame is undone."""

    chat: Pace
    account: Pace
    blamed: Blame | None
    pardoned: Blame | None = None


Refuse = Callable[[Pace, int], Pace]
"""A pace and how many wait behind it → the pace refused."""


def attribute(
    target: Target,
    chat: Pace,
    account: Pace,
    blamed: Blame | None,
    refuse: Refuse,
    traffic: Traffic,
    now_ms: int,
) -> Judged:
    """Who is slowed down by a refusal of `target`."""
    if account.probing or _accounts_own_try(account, chat):
        return Judged(chat, refuse(account, traffic.account_waiting), None)
    if blamed is not None and blamed.target != target and now_ms - blamed.at_ms <= ATTRIBUTION_MS:
        account = refuse(account, traffic.account_waiting)
        together = traffic.sent_ms is not None and traffic.sent_ms <= blamed.at_ms
        return Judged(chat, replace(account, together=1 + together), None, blamed)
    return Judged(refuse(chat, traffic.chat_waiting), account, Blame(target, now_ms, chat))


def confirmed(blamed: Blame | None, traffic: Traffic) -> Blame | None:
    """Something was accepted: who was blamed before it left stays so for good."""
    if blamed is None or (traffic.sent_ms is not None and traffic.sent_ms < blamed.at_ms):
        return blamed
    return None


def heard_out_ms(blamed: Blame | None) -> int:
    """Until when the blame may move with an answer that is still to come: nothing new goes before."""
    return blamed.at_ms + ATTRIBUTION_MS if blamed else 0


def _accounts_own_try(account: Pace, chat: Pace) -> bool:
    return _tries(account) and not chat.probing and not _tries(chat)


def _tries(pace: Pace) -> bool:
    return limiter.testing(pace) or pace.opening
