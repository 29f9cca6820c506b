"""Verdict + what was known → decision. The only `match` over verdicts.

A decision says what becomes of the entry and what gates and tokens learn; the runtime carries it out in one
transaction. Waits are not attempts: no verdict but *Rejected* ever uses up a message's chances.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from yizhan.core import attribution, limiter, tokens
from yizhan.core import breaker as breakers
from yizhan.core.attribution import Blame, Traffic
from yizhan.core.breaker import Breaker, BreakerNumbers
from yizhan.core.ghosts import GhostNumbers
from yizhan.core.limiter import Pace, PaceNumbers
from yizhan.core.tokens import UNTRIED, Trial
from yizhan.core.verdict import (
    Barred,
    Deferred,
    Delivered,
    Ghost,
    InDoubt,
    Rejected,
    StaleToken,
    Throttled,
    Verdict,
)
from yizhan.model import (
    Entry,
    InDoubtPolicy,
    MessageState,
    Reason,
    ReplyToken,
    Target,
    WaitingFor,
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What an operator may set of the road out."""

    pace: PaceNumbers = PaceNumbers()
    breaker: BreakerNumbers = BreakerNumbers()
    in_doubt: InDoubtPolicy = InDoubtPolicy.RESEND
    ghosts: GhostNumbers = GhostNumbers()


@dataclass(frozen=True, slots=True)
class Gates:
    """What stands between an entry and the wire, beside its host (core/hosts.py).

    answers  shut while answers of several messages were lost
    blamed   the last chat refused since an acceptance (core/attribution.py)
    """

    chat: Pace = limiter.OPEN
    account: Pace = limiter.OPEN
    answers: Breaker = breakers.CLOSED
    blamed: Blame | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What was known when the reply came.

    token         the chat's usable reply token when the request left, None without one
    with_token    whether this request carried it
    has_written   whether the other side ever wrote in this chat
    traffic       when the request left, and what waits behind it
    trial         what earlier requests have told about the token
    superseded    a newer token has come while the request was on the wire
    """

    target: Target
    message: str
    entry: Entry
    token: ReplyToken | None
    with_token: bool
    has_written: bool
    gates: Gates
    traffic: Traffic = Traffic()
    trial: Trial = UNTRIED
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens. `token`: as it is to be stored, None for no change. `trial`: what is known about the token now,
    None for no change. `unreachable`: the host could not be connected to. `barred`: the account must not send until a
    person acts. `pardoned`: a chat whose pace is again what it was, for the limit is the account's."""

    entry: Entry
    gates: Gates
    token: ReplyToken | None = None
    trial: Trial | None = None
    unreachable: bool = False
    barred: Barred | None = None
    pardoned: Blame | None = None


def react(verdict: Verdict, seen: Circumstances, numbers: Numbers, now_ms: int, jitter: float) -> Decision:
    """What to do about a verdict. Total over the closed set."""
    match verdict:
        case Delivered(receipt):
            return _delivered(seen, receipt, numbers, now_ms)
        case Ghost():
            return _ghost(verdict, seen, numbers, now_ms)
        case StaleToken(code, text, certain=True):
            entry = _another_request(seen.entry)
            return Decision(
                _waiting(entry, WaitingFor.LIMIT, now_ms, Reason(code, text)), _answered(seen.gates)
            )
        case StaleToken(code, text):
            seen_as = Throttled(code, text, token_suspect=True)
            return _refused(seen_as, seen, numbers, now_ms, jitter, named=seen.with_token)
        case Throttled():
            return _refused(verdict, seen, numbers, now_ms, jitter)
        case InDoubt(audit=audit) if audit:
            held = replace(seen.entry, receipt=audit, in_doubt=False)
            reason = Reason(verdict.code, verdict.text)
            return Decision(_waiting(held, WaitingFor.AUDIT, None, reason), _answered(seen.gates))
        case InDoubt():
            return _in_doubt(verdict, seen, numbers, now_ms, jitter)
        case Deferred(code, text):
            entry = _waiting(seen.entry, WaitingFor.CONNECTION, None, Reason(code, text))
            return Decision(entry, seen.gates, unreachable=True)
        case Rejected(code, text, instead) if instead:
            entry = replace(_another_request(seen.entry), form=instead)
            return Decision(
                _waiting(entry, WaitingFor.LIMIT, now_ms, Reason(code, text)), _answered(seen.gates)
            )
        case Rejected(code, text):
            reason = Reason(code, text)
            return Decision(_ended(seen.entry, MessageState.FAILED, reason), _answered(seen.gates))
        case Barred(code, text):
            entry = _waiting(seen.entry, WaitingFor.LOGIN, None, Reason(code, text))
            return Decision(entry, _answered(seen.gates), barred=verdict)
        case _:
            assert_never(verdict)


def _delivered(seen: Circumstances, receipt: str, numbers: Numbers, now_ms: int) -> Decision:
    entry = replace(
        seen.entry,
        state=MessageState.DELIVERED,
        receipt=receipt,
        waiting_for=None,
        next_attempt_at_ms=None,
        reason=None,
        in_doubt=False,
    )
    return _accepted(entry, seen, numbers, now_ms)


def _ghost(verdict: Ghost, seen: Circumstances, numbers: Numbers, now_ms: int) -> Decision:
    reason = Reason("no-receipt", verdict.text or "accepted without a receipt; it may not have been shown")
    return _accepted(_ended(seen.entry, MessageState.UNCONFIRMED, reason), seen, numbers, now_ms)


def _accepted(entry: Entry, seen: Circumstances, numbers: Numbers, now_ms: int) -> Decision:
    token = tokens.judged(seen.token, seen.with_token)
    trial = tokens.accepted(seen.trial, seen.with_token, now_ms)
    return Decision(entry, _praised(seen, numbers, now_ms), token, trial)


def _refused(
    refusal: Throttled,
    seen: Circumstances,
    numbers: Numbers,
    now_ms: int,
    jitter: float,
    named: bool = False,
) -> Decision:
    """`named`: the refusal means the token and no limit."""
    reason = Reason(refusal.code, refusal.text)
    trial, token = _tried(refusal, seen, now_ms, named)
    if trial.at_once:
        entry = _waiting(seen.entry, WaitingFor.LIMIT, now_ms, reason)
        return Decision(entry, _spared(seen.gates), token, trial)
    gates, pardoned = _slowed(seen, numbers, now_ms, refusal.wait_ms, jitter)
    if refusal.no_conversation and not seen.has_written:
        first = Reason(
            "never-written", "the other side has not written yet; its first message releases this one"
        )
        return Decision(
            _waiting(seen.entry, WaitingFor.USER, None, first), gates, token, trial, pardoned=pardoned
        )
    at_ms = max(gates.chat.ready_at(now_ms), gates.account.ready_at(now_ms))
    return Decision(
        _waiting(seen.entry, WaitingFor.LIMIT, at_ms, reason), gates, token, trial, pardoned=pardoned
    )


def _tried(
    refusal: Throttled, seen: Circumstances, now_ms: int, named: bool
) -> tuple[Trial, ReplyToken | None]:
    """What the refusal says about the token, and the token if that changes it."""
    explains = refusal.token_suspect if seen.with_token else refusal.no_conversation
    gates_open = all(_lets_experiment(pace, now_ms) for pace in (seen.gates.chat, seen.gates.account))
    if seen.superseded:  # the newer one has not been tried
        return Trial(since_ms=now_ms, at_once=explains and gates_open), None
    if seen.with_token and (not explains or (_limit_explains(seen, now_ms) and not named)):
        return tokens.limited(seen.trial, now_ms), None
    trial = tokens.refused(seen.trial, seen.token, seen.with_token, gates_open and explains, now_ms, named)
    return trial, tokens.suspected(seen.token, seen.with_token)


def _limit_explains(seen: Circumstances, now_ms: int) -> bool:
    """A first refusal that is no news: of a token that has just been honoured, or of a request that felt for room. One
    more after the wait is."""
    dared = seen.gates.chat.dared(now_ms) or seen.gates.account.dared(now_ms)
    return not seen.trial.since_ms and (dared or tokens.just_honoured(seen.trial, now_ms))


def _lets_experiment(pace: Pace, now_ms: int) -> bool:
    """The other way may be tried at once: the scope is open, or it opened after so long that its tokens have become
    old as well, and nobody has tried since."""
    if not pace.probing:
        return not pace.dared(now_ms)
    return pace.quiet_ms >= tokens.FULL_WAIT_MS and not pace.spared


def _spared(gates: Gates) -> Gates:
    """A refusal that counts for nothing yet, since the other way follows at once."""
    account = limiter.spared(gates.account) if gates.account.probing else gates.account
    return replace(_answered(gates), chat=limiter.spared(gates.chat), account=account)


def _slowed(
    seen: Circumstances, numbers: Numbers, now_ms: int, hint_ms: int | None, jitter: float
) -> tuple[Gates, Blame | None]:
    """The scope that the evidence blames is refused; with it, the chat that was blamed before in vain."""
    gates, sent_ms = _answered(seen.gates), seen.traffic.sent_ms

    def refuse(pace: Pace, waiting: int) -> Pace:
        return limiter.refused(pace, numbers.pace, now_ms, hint_ms, jitter, waiting, sent_ms)

    judged = attribution.attribute(
        seen.target, gates.chat, gates.account, gates.blamed, refuse, seen.traffic, now_ms
    )
    gates = replace(gates, chat=judged.chat, account=judged.account, blamed=judged.blamed)
    return gates, judged.pardoned


def _in_doubt(doubt: InDoubt, seen: Circumstances, numbers: Numbers, now_ms: int, jitter: float) -> Decision:
    """Again under the same id, later each time; never before the time that the server told, within our own bound."""
    reason = Reason(doubt.code, doubt.text)
    low, high = numbers.breaker.in_doubt_base_ms, numbers.breaker.in_doubt_cap_ms
    chat = limiter.doubted(seen.gates.chat, now_ms, low, high, jitter)
    told_ms = now_ms + min(doubt.wait_ms or 0, high)
    chat = replace(chat, not_before_ms=max(chat.not_before_ms, told_ms))
    answers = breakers.lost_answer(seen.gates.answers, numbers.breaker, seen.message, now_ms, jitter)
    gates = replace(seen.gates, chat=chat, answers=answers)
    doubled = replace(seen.entry, possibly_doubled=True, in_doubt=True)
    if policy_for(seen.entry, numbers.in_doubt) == InDoubtPolicy.DROP_VISIBLY:
        return Decision(_ended(doubled, MessageState.UNCONFIRMED, reason), gates)
    if numbers.in_doubt == InDoubtPolicy.HOLD:
        return Decision(_waiting(doubled, WaitingFor.OPERATOR, None, reason), gates)
    at_ms = max(chat.ready_at(now_ms), answers.ready_at(now_ms))
    return Decision(_waiting(doubled, WaitingFor.CONNECTION, at_ms, reason), gates)


def policy_for(entry: Entry, policy: InDoubtPolicy) -> InDoubtPolicy:
    """What becomes of an entry in doubt: where the platform would take a repeat for another message, nothing is
    repeated that nobody has asked for."""
    repeats = policy == InDoubtPolicy.RESEND and entry.unrepeatable
    return InDoubtPolicy.DROP_VISIBLY if repeats else policy


def _another_request(entry: Entry) -> Entry:
    """Refused under the words by which the platform recognises a repeat, so it was not accepted under them either: what
    follows is a request of its own, and a repeat of it would be one of that."""
    return replace(entry, sent_as="", in_doubt=False)


def _waiting(entry: Entry, waiting_for: WaitingFor, at_ms: int | None, reason: Reason) -> Entry:
    return replace(
        entry,
        state=MessageState.WAITING,
        waiting_for=waiting_for,
        next_attempt_at_ms=at_ms,
        reason=reason,
    )


def _ended(entry: Entry, state: MessageState, reason: Reason) -> Entry:
    return replace(entry, state=state, waiting_for=None, next_attempt_at_ms=None, reason=reason)


def _answered(gates: Gates) -> Gates:
    """The platform gave a proper answer, whatever it said: the line to it works."""
    return replace(gates, answers=breakers.worked(gates.answers))


def _praised(seen: Circumstances, numbers: Numbers, now_ms: int) -> Gates:
    gates, sent_ms = seen.gates, seen.traffic.sent_ms
    return Gates(
        chat=limiter.accepted(gates.chat, numbers.pace, now_ms, sent_ms),
        account=limiter.accepted(gates.account, numbers.pace, now_ms, sent_ms),
        answers=breakers.worked(gates.answers),
        blamed=attribution.confirmed(gates.blamed, seen.traffic),
    )
