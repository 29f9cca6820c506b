"""Who may have a shut gate tried before its time: a person, somebody who writes, a platform that answers again.

Each of them is evidence that a wait which was believed in may be over. None of them opens a gate: one probe goes
earlier than it would have. Somebody typing line after line is evidence once, and so is somebody who wants a hundred
messages tried: a gate that is known to be shut is hurried by each of them at most once in a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yizhan.core import breaker as breakers
from yizhan.core import limiter
from yizhan.core.lane import AccountLanes, Lane

HURRY_GAP_MS = 60_000
"""Somebody who writes into a limit hurries a probe at most this often; so does somebody who wants messages of many
chats tried hurry their account's."""
INSIST_GAP_MS = 5_000
"""A person hurries a chat at most this often, however many of its messages are wanted."""
LONG_ROW = 4
FORGIVE_GAP_MS = 600_000
"""So many lost answers in a row are forgotten when the platform answers again, at most this often."""


def by_person(lane: Lane, now_ms: int) -> None:
    """Somebody wants it tried: one probe of the chat may go at once, and one of the account."""
    lane.push_at_ms = 0
    _hurry_chat(lane, now_ms, now_ms)
    account = lane.account
    if account.gates.account.probing:
        account.insisted_at_ms = _not_again_before(account.insisted_at_ms, now_ms)
        _hurry_account(account, now_ms, account.insisted_at_ms)
    else:
        _hurry_account(account, now_ms, now_ms)


def by_opening(lane: Lane, now_ms: int) -> None:
    """A person has resumed the account, or logged it in again."""
    lane.push_at_ms = 0
    _hurry_chat(lane, now_ms, now_ms)
    _hurry_account(lane.account, now_ms, now_ms)


def by_inbound(lane: Lane, now_ms: int) -> None:
    """The other side wrote: evidence of health."""
    account = lane.account
    if lane.pace is not None and lane.pace.probing:
        lane.hurried_at_ms = _not_again_before(lane.hurried_at_ms, now_ms)
        _hurry_chat(lane, now_ms, lane.hurried_at_ms)
    else:
        _hurry_chat(lane, now_ms, now_ms)
    if account.gates.account.probing:
        account.hurried_at_ms = _not_again_before(account.hurried_at_ms, now_ms)
        _hurry_account(account, now_ms, account.hurried_at_ms)
    else:
        _hurry_answers(account, now_ms)


def by_answer(account: AccountLanes, now_ms: int) -> list[Lane]:
    """The platform answers the account again: what waits for its lost answers may try at once, and what hung meanwhile
    waits no longer than after a first loss. Answers which lanes those are."""
    lost = [
        lane for lane in account.lanes.values() if lane.pace and lane.pace.doubts and not lane.pace.probing
    ]
    forgiven = _forgives(account, lost, now_ms)
    for lane in lost:
        _hurry_chat(lane, now_ms, now_ms)
        if forgiven and lane.pace is not None:
            lane.pace = replace(lane.pace, doubts=1)
    if forgiven:
        answers = breakers.answered_elsewhere(account.gates.answers, now_ms)
        account.gates = replace(account.gates, answers=answers)
    else:
        _hurry_answers(account, now_ms)
    return lost


def _forgives(account: AccountLanes, lost: Sequence[Lane], now_ms: int) -> bool:
    """Whether the waits begin anew: where they have become long, and not again and again. A platform that answers polls
    now and then, and sends never, would be sent to as often as one that is well; and it may show each of them."""
    longest = max([account.gates.answers.rounds, *(lane.pace.doubts for lane in lost if lane.pace)])
    if longest < LONG_ROW or now_ms - account.forgiven_at_ms < FORGIVE_GAP_MS:
        return False
    account.forgiven_at_ms = now_ms
    return True


def _hurry_chat(lane: Lane, now_ms: int, at_ms: int) -> None:
    """A gate that has not been read yet is hurried when it is."""
    if lane.pace is None:
        lane.hurried_ms = now_ms
    else:
        lane.pace = limiter.hurried(lane.pace, at_ms)


def _hurry_account(account: AccountLanes, now_ms: int, at_ms: int) -> None:
    account.gates = replace(account.gates, account=limiter.hurried(account.gates.account, at_ms))
    _hurry_answers(account, now_ms)


def _hurry_answers(account: AccountLanes, now_ms: int) -> None:
    account.gates = replace(account.gates, answers=breakers.hurried(account.gates.answers, now_ms))


def _not_again_before(hurried_at_ms: int, now_ms: int) -> int:
    """When a shut gate may be hurried that was last hurried then."""
    return hurried_at_ms if hurried_at_ms > now_ms else max(now_ms, hurried_at_ms + HURRY_GAP_MS)
