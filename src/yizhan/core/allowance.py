"""Allowances: how many sends an inbound message permits, how many are used, and what that is believed to be.

How to think of it: every inbound message opens a *ledger* of its chat. Each send is entered before it leaves
and taken back if it is refused; a send whose answer was lost stays entered, and its resends are entered no
second time. When as many are entered as the platform permits, the allowance is *spent*; when its time is over,
it has *ended*; when the platform refuses with and without a reply token and no limit explains it, it is
*closed*. In each case the rest of the lane is parked and costs nothing until the next inbound message.

What a platform permits is declared by its policy and corrected per account. *Up*: at a parked chat one extra
send is tried, rarely; if it is accepted, more is permitted than we believed. *Down*: a chat was closed after n
sends, twice with the same n. And whether the platform holds to the end of its window is found out by the
first send after it.

The ledger is keyed by the inbound message and not by the token's text: it outlives a token that is dropped as
stale, and sends without a token are entered too. Where a platform counts for each inbound message apart
(QQ: `msg_id`), answers go to the newest, so that the newest's ledger counts there as well.

A *strict* platform says what it means: a refusal names the token or the switch and nothing else. There nothing is
inferred, nothing is learned and no extra send is tried; and it may take a number of messages that nobody asked
for, beside the allowance (core/unasked.py).
Nothing here counts time or sends anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from yizhan.core.tokens import Trial
from yizhan.core.unasked import Quota
from yizhan.model import ChatId, Reason, WaitingFor

NOTICE_SOURCE = "allowance"
"""`source` of the message that tells a chat how many parts remain."""
SETTLED_MS = 600_000
"""A refusal so long after the last acceptance is hardly the answer to a burst; one that names the token never is."""
FULL_WAITS = 2
"""So many long waits in a row that ended in a refusal, and no limit explains them."""
BESIDE_MS = 60_000
"""Another chat's acceptance so shortly before the first refusal still says that the account may send."""
DAY_MS = 86_400_000
"""After a window that the platform is known to keep, an extra send is tried at most this often."""
PROBES_MAX = 5
"""Each refused probe doubles the wait for the next one, so often."""

WINDOW_OVER, SPENT = "window-over", "allowance-spent"
USER_NEEDED = Reason(
    "user-needed", "refused with and without a reply token; the other side's next message releases this"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a platform declares.

    sends             per inbound message; 0: not counted
    window_ms         an inbound message permits sends so long; 0: for ever
    progress_reserve  progress is sent only while more sends than this are left
    strict            its refusals mean what they say; nothing is inferred from them
    unasked           sends that it takes without a reply token, beside the allowance; None: tokenless sends count in it
    """

    sends: int
    window_ms: int
    progress_reserve: int = 0
    strict: bool = False
    unasked: Quota | None = None


UNCOUNTED = Rule(0, 0)


@dataclass(frozen=True, slots=True)
class Learned:
    """What an account's replies have taught.

    sends   believed instead of what the rule says; None: nothing learned
    seen    a chat was closed after so many; believed when it happens again; 0: it has not
    window  whether the platform holds to its window; None: not known
    """

    sends: int | None = None
    seen: int = 0
    window: bool | None = None


NOTHING = Learned()
HELD_TO = Learned(window=True)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is believed of an account's allowances, and what an operator wants done when one is spent.

    fixed     an operator has said how many sends there are: nothing is learned of that
    notice    the last send may go to a notice
    probe_ms  first wait before an extra send at a parked chat, doubled by each refusal; 0: never
    kinds     rules of chats whose ids begin so, up to a slash; all others go by `rule`
    """

    rule: Rule = UNCOUNTED
    learned: Learned = NOTHING
    fixed: bool = False
    notice: bool = True
    probe_ms: int = 3_600_000
    kinds: Mapping[str, Rule] = field(default_factory=dict)

    def of(self, chat: ChatId) -> Allowance:
        """What is believed of a chat's allowances."""
        rule = self.kinds.get(chat.partition("/")[0]) if self.kinds else None
        if rule is None:
            return self
        if not rule.strict:
            return replace(self, rule=rule)
        return Allowance(rule, HELD_TO, fixed=True, notice=self.notice, probe_ms=0)

    @property
    def sends(self) -> int:
        """Per inbound message; 0: not counted."""
        if self.fixed or not self.rule.sends or self.learned.sends is None:
            return self.rule.sends
        return self.learned.sends

    @property
    def counted(self) -> bool:
        """Whether there is anything to keep a ledger for."""
        return bool(self.rule.sends or self.rule.window_ms or self.kinds)

    @property
    def window_ms(self) -> int:
        """0: without end."""
        return 0 if self.learned.window is False else self.rule.window_ms


@dataclass(frozen=True, slots=True)
class Ledger:
    """What an inbound message has permitted so far; a row of the store.

    key             the inbound message; empty where the other side was never heard
    seq             its position in the chat: the highest is the newest
    opened_at_ms    when it was heard
    used            sends entered: accepted, on the wire, or of unknown fate
    unsure          the platform may count otherwise: an answer was lost, or two inbound messages crossed a send
    accepted_at_ms  the last acceptance, 0 before the first
    closed          refused with and without a token, and no limit explains it
    closed_before   the ledger before this one was closed after so many sends, 0 if it was not
    probes          extra sends that were refused
    probe_at_ms     not before then comes the next extra send; 0: not decided
    noticed         the notice has been accepted
    pending         a send is entered whose fate is not known: the resend of a part in doubt is that send
    sent            requests made under it, refused ones too; numbers them for platforms that want that
    """

    key: str
    opened_at_ms: int
    seq: int = 0
    used: int = 0
    unsure: bool = False
    accepted_at_ms: int = 0
    closed: bool = False
    closed_before: int = 0
    probes: int = 0
    probe_at_ms: int = 0
    noticed: bool = False
    pending: bool = False
    sent: int = 0


@dataclass(frozen=True, slots=True)
class Closed:
    """Why nothing may go, and when one extra send is due; None: none by time alone."""

    waiting_for: WaitingFor
    reason: Reason
    probe_at_ms: int | None


# what is left


def left(ledger: Ledger, allowance: Allowance) -> int | None:
    """Sends that are believed left, None where they are not counted."""
    return max(0, allowance.sends - ledger.used) if allowance.sends else None


def until_ms(ledger: Ledger, allowance: Allowance) -> int | None:
    """When the allowance ends, None if it does not."""
    return ledger.opened_at_ms + allowance.window_ms if allowance.window_ms else None


def closed(ledger: Ledger, allowance: Allowance, now_ms: int) -> Closed | None:
    """Why nothing more may go, None if something may."""
    if ledger.closed:
        return _closed(ledger, allowance, WaitingFor.USER, USER_NEEDED, ledger.opened_at_ms)
    end_ms = until_ms(ledger, allowance)
    if end_ms is not None and now_ms >= end_ms:
        text = f"the other side last wrote {_hours(allowance.window_ms)} ago or more; its next message releases this"
        return _closed(ledger, allowance, WaitingFor.ALLOWANCE, Reason(WINDOW_OVER, text), end_ms)
    if left(ledger, allowance) == 0:
        text = f"{allowance.sends} messages are permitted after each of the other side's; its next one releases this"
        reason = Reason(SPENT, text)
        return _closed(ledger, allowance, WaitingFor.ALLOWANCE, reason, ledger.accepted_at_ms)
    return None


def _closed(
    ledger: Ledger, allowance: Allowance, waiting_for: WaitingFor, reason: Reason, since_ms: int
) -> Closed:
    """The first send after a window whose end nobody has tried yet need not wait."""
    if not ledger.probes and reason.code == WINDOW_OVER and allowance.learned.window is None:
        return Closed(waiting_for, reason, since_ms)
    if not allowance.probe_ms:
        return Closed(waiting_for, reason, None)
    return Closed(
        waiting_for, reason, ledger.probe_at_ms or since_ms + _probe_wait_ms(ledger, allowance, reason)
    )


def _hours(wait_ms: int) -> str:
    return f"{wait_ms / 3_600_000:g} hours"


# what happens to a ledger


def opened(
    key: str, at_ms: int, seq: int, before: Ledger | None, on_wire: bool, stuck: bool = False
) -> Ledger:
    """An inbound message: everything is permitted anew. A send that is on the wire just now may be counted by the
    platform before or after it.

    Args:  stuck  every way had been refused, and nothing accepted since
    """
    closed_before = 0
    if before is not None and not before.unsure:
        settled = stuck and at_ms - max(before.accepted_at_ms, before.opened_at_ms) >= SETTLED_MS
        closed_before = before.used if before.closed or settled else 0
    return Ledger(
        key, at_ms, seq, used=int(on_wire), unsure=on_wire, closed_before=closed_before, pending=on_wire
    )


def entered(ledger: Ledger, allowance: Allowance, now_ms: int, in_doubt: bool) -> Ledger:
    """A send is about to leave. A part in doubt has been entered by the attempt that brought it there, unless the other
    side has written since."""
    shut = closed(ledger, allowance, now_ms)
    wait_ms = _probe_wait_ms(ledger, allowance, shut.reason) if shut else 0
    probe_at_ms = now_ms + wait_ms if shut else ledger.probe_at_ms
    one = int(not (in_doubt and ledger.pending))
    return replace(
        ledger, used=ledger.used + one, sent=ledger.sent + one, probe_at_ms=probe_at_ms, pending=True
    )


def spared(ledger: Ledger, allowance: Allowance, now_ms: int) -> Ledger | None:
    """The ledger after a send was spent on a sign that is no message; None where an answer may need that send. As
    progress, a sign takes nothing of the reserve."""
    remaining = left(ledger, allowance)
    if closed(ledger, allowance, now_ms) is not None or not ledger.key:
        return None
    if remaining is not None and remaining <= allowance.rule.progress_reserve:
        return None
    return replace(ledger, used=ledger.used + 1)


def _probe_wait_ms(ledger: Ledger, allowance: Allowance, reason: Reason) -> int:
    kept = reason.code == WINDOW_OVER and allowance.learned.window
    first_ms = max(allowance.probe_ms, DAY_MS) if kept else allowance.probe_ms
    return int(first_ms * 2 ** min(ledger.probes, PROBES_MAX))


def taken_back(ledger: Ledger, in_doubt: bool) -> Ledger:
    """It was refused, or never left: the platform does not count it. One in doubt may have been accepted before."""
    return ledger if in_doubt else replace(ledger, used=max(0, ledger.used - 1), pending=False)


def used_up(ledger: Ledger, allowance: Allowance) -> Ledger:
    """A strict platform says that the message permits nothing more."""
    return replace(ledger, used=max(ledger.used, allowance.sends), pending=False)


def doubted(ledger: Ledger) -> Ledger:
    """Its answer was lost: it stays entered."""
    return replace(ledger, unsure=True)


def accepted(ledger: Ledger, allowance: Allowance, now_ms: int) -> tuple[Ledger, Learned]:
    """It was accepted; answers what that teaches of the account."""
    learned = allowance.learned
    end_ms = until_ms(ledger, allowance)
    if end_ms is not None and now_ms >= end_ms:
        learned = replace(learned, window=False)
    if allowance.sends and ledger.used > allowance.sends:
        if ledger.unsure:  # our count may be wrong, not the rule
            ledger = replace(ledger, used=allowance.sends - 1)
        else:
            learned = replace(learned, sends=ledger.used + allowance.rule.sends, seen=0)
    if ledger.closed_before and not ledger.accepted_at_ms and not ledger.unsure:
        learned = _closed_at(learned, ledger.closed_before, allowance)
    fresh = replace(
        ledger, accepted_at_ms=now_ms, closed=False, closed_before=0, probes=0, probe_at_ms=0, pending=False
    )
    return fresh, learned


def _closed_at(learned: Learned, sends: int, allowance: Allowance) -> Learned:
    """A chat was closed after so many sends. Once may be chance."""
    if not allowance.sends or not 0 < sends < allowance.sends:
        return learned
    if learned.seen != sends:
        return replace(learned, seen=sends)
    return replace(learned, sends=sends, seen=0)


def refused(
    ledger: Ledger, allowance: Allowance, trial: Trial, has_token: bool, beside: bool, now_ms: int
) -> tuple[Ledger, Learned]:
    """A send was refused, and taken back already; answers the ledger and what that teaches of the account.

    Args:  trial      what the tries of this part have told, this one included
           has_token  there is a token that could be tried
           beside     another chat of the account was accepted meanwhile, and none was refused
    """
    learned = allowance.learned
    if not trial.every_way_refused(has_token):
        return ledger, learned
    shut = closed(ledger, allowance, now_ms)
    if shut is not None:
        over = shut.reason.code == WINDOW_OVER
        probed = _probed(ledger, allowance, shut.reason, now_ms)
        return probed, replace(learned, window=True) if over else learned
    since_ms = max(ledger.accepted_at_ms, ledger.opened_at_ms)
    settled = trial.named or now_ms - since_ms >= SETTLED_MS
    if not settled or not (beside or trial.full_waits >= FULL_WAITS):
        return ledger, learned
    if beside and not ledger.unsure:
        learned = _closed_at(learned, ledger.used, allowance)
        ledger = replace(ledger, unsure=True)  # told once; its end tells nothing more
    return _probed(replace(ledger, closed=True), allowance, USER_NEEDED, now_ms), learned


def _probed(ledger: Ledger, allowance: Allowance, reason: Reason, now_ms: int) -> Ledger:
    ledger = replace(ledger, probes=ledger.probes + 1)
    return replace(ledger, probe_at_ms=now_ms + _probe_wait_ms(ledger, allowance, reason))


# other chats


@dataclass(frozen=True, slots=True)
class Beside:
    """The last chat of which something is known, when, and the last other one. Enough to say whether *another* chat
    than a given one has fared so."""

    last: tuple[ChatId, int] | None = None
    other: tuple[ChatId, int] | None = None

    def note(self, chat: ChatId, at_ms: int) -> Beside:
        if self.last is None or self.last[0] == chat:
            return replace(self, last=(chat, at_ms))
        return Beside((chat, at_ms), self.last)

    def another_since(self, chat: ChatId, at_ms: int) -> bool:
        """Whether another chat than this one was noted since."""
        return any(known and known[0] != chat and known[1] >= at_ms for known in (self.last, self.other))


# the store


def encode(learned: Learned) -> str:
    """As text for the store; empty when nothing was learned."""
    if learned == NOTHING:
        return ""
    return json.dumps([learned.sends, learned.seen, learned.window], separators=(",", ":"))


def decode(text: str) -> Learned:
    """As it was stored; what cannot be read (another version's words) is forgotten, and learned again."""
    try:
        sends, seen, window = json.loads(text) if text else (None, 0, None)
    except (ValueError, TypeError):
        return NOTHING
    good = _count(sends, None) and _count(seen) and (window is None or isinstance(window, bool))
    return Learned(sends, seen, window) if good else NOTHING


def _count(value: object, *also: None) -> bool:
    return value in also if value is None else type(value) is int and value >= 0
