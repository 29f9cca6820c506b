"""What a send does to its chat's ledger, from before it leaves until its fate is known.

The lane has the ledger in memory, the store has it on disk: what is entered here is written with the intent,
and what a reply changes is written with the settlement. An inbound message may open a new ledger while a send
is on the wire; then the send counts in the new one as well, since nobody knows which one the platform took.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from yizhan.core import allowance as allowances
from yizhan.core.allowance import BESIDE_MS, Learned, Ledger
from yizhan.core.lane import Lane
from yizhan.core.reaction import Decision
from yizhan.core.tokens import Trial, usable
from yizhan.core.verdict import Deferred, Delivered, Ghost, InDoubt, StaleToken, Throttled, Verdict
from yizhan.model import Entry, WaitingFor


@dataclass(frozen=True, slots=True)
class Spent:
    """What a reply has changed; None: nothing that must be kept."""

    ledger: Ledger | None = None
    learned: Learned | None = None


def intended(lane: Lane, entry: Entry, now_ms: int) -> Ledger | None:
    """The ledger with one more send entered, to be written with the intent; None if none is kept. From here on what
    the other side writes opens a ledger in which the send stands as well."""
    lane.entered = True
    allowance = lane.account.allowance
    if not allowance.counted:
        return None
    return allowances.entered(lane.ledger or Ledger("", now_ms), allowance, now_ms, entry.in_doubt)


def begun(lane: Lane, entered: Ledger | None) -> None:
    """The intent is on disk."""
    if entered is None:
        return
    if lane.ledger is None or lane.ledger.key == entered.key:
        lane.ledger = entered  # else the other side wrote meanwhile, and the send stands in the new one too


def ended(lane: Lane, entry: Entry, verdict: Verdict, trial: Trial | None, now_ms: int) -> Spent:
    """A reply came, or will not come. Teaches the lane and its account.

    Args:  entry  as it was when it left
    """
    _note(lane, verdict, now_ms)
    account, before = lane.account, lane.ledger
    if before is None or not account.allowance.counted:
        return Spent()
    after, learned = _judged(lane, before, entry, verdict, trial or lane.trial, now_ms)
    lane.ledger = after
    changed = learned if learned != account.allowance.learned else None
    account.allowance = replace(account.allowance, learned=learned)
    same = replace(after, accepted_at_ms=before.accepted_at_ms, pending=before.pending) == before
    only_time = same and before.accepted_at_ms  # the next intent writes that
    return Spent(None if only_time else after, changed)


def parked(lane: Lane, decision: Decision, now_ms: int) -> Decision:
    """A refusal by which the chat is, or stays, closed: its part waits for the other side and not for a gate."""
    entry, trial = decision.entry, decision.trial
    if entry.waiting_for is not WaitingFor.LIMIT or lane.ledger is None or (trial and trial.at_once):
        return decision
    shut = allowances.closed(lane.ledger, lane.account.allowance, now_ms)
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
    allowance = lane.account.allowance
    if isinstance(verdict, Delivered | Ghost):
        return allowances.accepted(ledger, allowance, now_ms)
    if isinstance(verdict, InDoubt):
        return allowances.doubted(ledger), allowance.learned
    ledger = allowances.taken_back(ledger, entry.in_doubt)
    if isinstance(verdict, Throttled | StaleToken):
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
