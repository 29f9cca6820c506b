"""What a send does to its chat's ledger, from before it leaves until its fate is known.

The lane has the ledger in memory, the store has it on disk: what is entered here is written with the intent,
and what a reply changes is written with the settlement. An inbound message may open a new ledger while a send
is on the wire; then the send counts in the new one as well, since nobody knows which one the platform took.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from yizhan.core import allowance as allowances
from yizhan.core import unasked as unaskeds
from yizhan.core.allowance import BESIDE_MS, Learned, Ledger
from yizhan.core.lane import Lane
from yizhan.core.reaction import Decision
from yizhan.core.tokens import Trial, usable
from yizhan.core.tokens import same as same_token
from yizhan.core.unasked import Unasked
from yizhan.core.verdict import Deferred, Delivered, Ghost, InDoubt, StaleToken, Throttled, Verdict
from yizhan.model import Entry, ReplyToken, WaitingFor


@dataclass(frozen=True, slots=True)
class Entered:
    """What a send that is about to leave is entered in; None: in nothing of the kind."""

    ledger: Ledger | None = None
    unasked: Unasked | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a reply has changed; None: nothing that must be kept."""

    ledger: Ledger | None = None
    learned: Learned | None = None
    unasked: Unasked | None = None


def intended(lane: Lane, entry: Entry, asked: bool, now_ms: int) -> Entered:
    """What one more send is entered in, to be written with the intent. From here on what the other side writes opens a
    ledger in which the send stands as well. `asked`: it carries a reply token."""
    allowance = lane.allowance
    if not asked and allowance.rule.unasked is not None:
        return Entered(unasked=unaskeds.took(lane.unasked, now_ms))
    lane.entered = True
    if not allowance.counted:
        return Entered()
    ledger = lane.ledger or Ledger("", now_ms)
    return Entered(allowances.entered(ledger, allowance, now_ms, entry.in_doubt))


def begun(lane: Lane, entered: Entered) -> None:
    """The intent is on disk."""
    lane.unasked = entered.unasked or lane.unasked
    if entered.ledger is None:
        return
    if lane.ledger is None or lane.ledger.key == entered.ledger.key:
        lane.ledger = (
            entered.ledger
        )  # else the other side wrote meanwhile, and the send stands in the new one too


def ended(
    lane: Lane, entry: Entry, verdict: Verdict, trial: Trial | None, token: ReplyToken | None, now_ms: int
) -> Spent:
    """A reply came, or will not come. Teaches the lane and its account.

    Args:  entry  as it was when it left
           token  what it carried
    """
    _note(lane, verdict, now_ms)
    account, allowance, before = lane.account, lane.allowance, lane.ledger
    if token is None and allowance.rule.unasked is not None:
        return _unasked_ended(lane, verdict)
    if before is None or not allowance.counted:
        return Spent()
    after, learned = _judged(lane, before, entry, verdict, trial or lane.trial, now_ms)
    if isinstance(verdict, StaleToken) and verdict.certain and _is_newest(lane, token):
        after = allowances.used_up(after, allowance)
    lane.ledger = after
    changed = learned if learned != allowance.learned else None
    if changed is not None:
        account.allowance = replace(account.allowance, learned=learned)
    same = replace(after, accepted_at_ms=before.accepted_at_ms, pending=before.pending) == before
    only_time = same and before.accepted_at_ms  # the next intent writes that
    return Spent(None if only_time else after, changed)


def _unasked_ended(lane: Lane, verdict: Verdict) -> Spent:
    """A message that nobody asked for: what was accepted, or may have been, stays counted."""
    if isinstance(verdict, Delivered | Ghost | InDoubt):
        return Spent()
    lane.unasked = unaskeds.given_back(lane.unasked)
    if isinstance(verdict, StaleToken) and verdict.certain:
        lane.unasked = unaskeds.switched(lane.unasked, False)
    return Spent(unasked=lane.unasked)


def _is_newest(lane: Lane, token: ReplyToken | None) -> bool:
    """Whether the refusal of this token says anything of the allowance that is open now."""
    return token is not None and lane.token is not None and same_token(token, lane.token)


def parked(lane: Lane, decision: Decision, now_ms: int) -> Decision:
    """A refusal by which the chat is, or stays, closed: its part waits for the other side and not for a gate."""
    entry, trial = decision.entry, decision.trial
    if entry.waiting_for is not WaitingFor.LIMIT or lane.ledger is None or (trial and trial.at_once):
        return decision
    shut = allowances.closed(lane.ledger, lane.allowance, now_ms)
    if shut is None or not lane.ledger.probes:
        return decision
    waits = replace(
        entry, waiting_for=shut.waiting_for, reason=shut.reason, next_attempt_at_ms=shut.probe_at_ms
    )
    return replace(decision, entry=waits)


def _note(lane: Lane, verdict: Verdict, now_ms: int) -> None:
    account, chat = lane.account, lane.target.chat
    if isinstance(verdict, Delivered | Ghost):
        account.accepted = account.accepted.note(chat, now_ms)
    elif isinstance(verdict, Throttled | StaleToken):
        account.refused = account.refused.note(chat, now_ms)


def _judged(
    lane: Lane, ledger: Ledger, entry: Entry, verdict: Verdict, trial: Trial, now_ms: int
) -> tuple[Ledger, Learned]:
    allowance = lane.allowance
    if isinstance(verdict, Delivered | Ghost):
        return allowances.accepted(ledger, allowance, now_ms)
    if isinstance(verdict, InDoubt):
        return allowances.doubted(ledger), allowance.learned
    ledger = allowances.taken_back(ledger, entry.in_doubt)
    if isinstance(verdict, Throttled | StaleToken) and not allowance.rule.strict:
        beside = _beside(lane, trial)
        return allowances.refused(ledger, allowance, trial, usable(lane.token), beside, now_ms)
    if isinstance(verdict, Deferred):  # an extra send that never left may be tried again
        ledger = replace(ledger, probe_at_ms=min(ledger.probe_at_ms, now_ms))
    return ledger, allowance.learned


def _beside(lane: Lane, trial: Trial) -> bool:
    """Whether the account may send while this chat may not."""
    account, chat, since_ms = lane.account, lane.target.chat, trial.since_ms - BESIDE_MS
    accepted = account.accepted.another_since(chat, since_ms)
    return accepted and not account.refused.another_since(chat, since_ms)
