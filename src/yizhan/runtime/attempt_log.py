"""What the log says of attempts: one line per change of state, a few of a kind in a minute, never one per refusal;
and once a minute, for each account that the platform limits, how it stands."""

from __future__ import annotations

from collections import Counter
from typing import assert_never

import structlog

from yizhan.core.lanes import Lanes
from yizhan.core.reaction import Decision
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
from yizhan.errors import StoreError
from yizhan.model import AccountId, Message
from yizhan.ports import Clock, Store
from yizhan.runtime.bounded_log import MINUTE_MS, BoundedLog

log = structlog.get_logger("outbound")


class AttemptLog:
    """Says lines through `lines`, and counts refusals for the summary."""

    def __init__(self, lines: BoundedLog, lanes: Lanes, store: Store, clock: Clock) -> None:
        self._log = lines
        self._lanes = lanes
        self._store = store
        self._clock = clock
        self._refused: Counter[AccountId] = Counter()

    def ended(self, message: Message, verdict: Verdict, decision: Decision) -> None:
        """An attempt of the message has ended so."""
        if isinstance(verdict, Delivered):
            return
        pace, part = decision.gates.chat, decision.entry.no
        about: dict[str, str | int] = {
            "account": message.account,
            "chat": message.chat,
            "message": message.id,
            "part": part,
        }
        match verdict:
            case Ghost():
                if verdict.alarming:
                    self._log.warning("part.unconfirmed", **about, reason="accepted without a receipt")
            case Rejected(code, instead=form) if form:
                self._log.info("part.dressed_otherwise", **about, code=code, form=form)
            case Rejected(code):
                self._log.warning("part.failed", **about, code=code)
            case InDoubt(code, audit=audit) if audit:
                self._log.info("part.held_for_audit", **about, code=code)
            case InDoubt(code, detail):
                if pace.doubts == 1:
                    self._log.warning("part.in_doubt", **about, code=code, detail=detail)
            case Barred(code, _):
                self._log.error("account.barred", **about, code=code)
            case Throttled() | StaleToken():
                self._refused[message.account] += 1
                if pace.refusals == 1 and not (decision.trial and decision.trial.at_once):
                    code = decision.entry.reason.code if decision.entry.reason else ""
                    self._log.warning("chat.limited", **about, code=code, ready_at_ms=pace.not_before_ms)
            case Deferred():
                pass  # the host's own lines say so
            case _:
                assert_never(verdict)

    async def run(self) -> None:
        """The summary, once a minute: for ever, until cancelled."""
        while True:
            await self._clock.sleep_ms(MINUTE_MS)
            self._log.turn_over()
            refused, self._refused = self._refused, Counter()
            if refused:
                await self._summarise(refused)

    async def _summarise(self, refused: Counter[AccountId]) -> None:
        try:
            counts = await self._store.counts()
        except StoreError:
            return
        for account, times in refused.items():
            waiting = sum(
                number for (owner, state), number in counts.by_account_state.items() if owner == account
            )
            now_ms, shared = self._clock.now_ms(), self._lanes.account_lanes(account)
            gates = [lane.pace.ready_at(now_ms) for lane in self._lanes.shut_lanes(account) if lane.pace]
            if shared and not shared.gates.account.blank:
                gates.append(shared.gates.account.ready_at(now_ms, shared.in_flight))
            log.warning(
                "limited",
                account=account,
                waiting=waiting,
                refused=times,
                gates=len(gates),
                next_probe_at_ms=min(gates, default=None),
            )
