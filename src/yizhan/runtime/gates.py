"""An account's gates as people see them: those that are not wide open, with the reason in words."""

from __future__ import annotations

from collections.abc import Iterator

from yizhan.core.hosts import Hosts
from yizhan.core.lane import AccountLanes
from yizhan.core.lanes import Lanes
from yizhan.core.pace import Pace
from yizhan.model import AccountId
from yizhan.runtime.views import GateView

LOST = "answers were lost"


def gates_of(account: AccountId, lanes: Lanes, hosts: Hosts, now_ms: int) -> tuple[GateView, ...]:
    """Those of its chats first, then its own, then its host's."""
    shared = lanes.account_lanes(account)
    if shared is None:
        return ()
    return (
        *_of_chats(account, lanes, now_ms),
        *_of_account(shared, now_ms),
        *_of_host(shared.host, hosts, now_ms),
    )


def _of_chats(account: AccountId, lanes: Lanes, now_ms: int) -> Iterator[GateView]:
    for lane in lanes.shut_lanes(account):
        if lane.pace and lane.pace.ready_at(now_ms) > now_ms:
            yield _limiter_view("chat", lane.target.chat, lane.pace, now_ms)
    for lane in lanes.quiet_lanes(account, now_ms):
        why = f"{lane.ghosts} in a row were accepted without a receipt; pushes wait"
        yield GateView("chat", lane.target.chat, lane.push_at_ms, 0, why, ghosts=lane.ghosts)


def _of_account(shared: AccountLanes, now_ms: int) -> Iterator[GateView]:
    gates = shared.gates
    if not gates.account.blank:
        yield _limiter_view("account", shared.account, gates.account, now_ms)
    if gates.answers.shut:
        yield GateView("account", shared.account, gates.answers.ready_at(now_ms), gates.answers.rounds, LOST)


def _of_host(name: str, hosts: Hosts, now_ms: int) -> Iterator[GateView]:
    host = hosts.breaker(name)
    if host.shut:
        yield GateView("host", name, host.ready_at(now_ms), host.rounds, "the host cannot be reached")


def _limiter_view(scope: str, subject: str, pace: Pace, now_ms: int) -> GateView:
    limit = pace.limit.words() if pace.limit else ""
    fits, per_ms = (pace.limit and pace.limit.numbers()) or (0, 0)
    if pace.refusals:
        why = f"refused {pace.refusals} times in a row" if pace.refusals > 1 else "refused once"
    else:
        why = LOST if pace.doubts else "keeps to the limit it has learned"
    return GateView(
        scope, subject, pace.ready_at(now_ms), pace.refusals, why, limit, fits=fits, per_ms=per_ms
    )
