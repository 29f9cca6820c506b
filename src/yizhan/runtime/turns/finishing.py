"""Finishing: a turn and its outputs end in one transaction. Whatever the agent did, the turn ends in a state."""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.errors import RequestError
from yizhan.model import ChatSession, Inbound, Reason, Turn, TurnState
from yizhan.ports import Clock, Draft, Store, TurnEnd
from yizhan.runtime.outbound import Outbound
from yizhan.runtime.turns.lifetimes import Lifetimes
from yizhan.runtime.turns.outcome import BROKEN, Outcome
from yizhan.runtime.turns.speaking import Speaking
from yizhan.runtime.turns.steps import Steps


class Finishing:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        steps: Steps,
        speaking: Speaking,
        lifetimes: Lifetimes,
        outbound: Outbound,
    ) -> None:
        self._store = store
        self._clock = clock
        self._steps = steps
        self._speaking = speaking
        self._lifetimes = lifetimes
        self._outbound = outbound

    async def finish(self, turn: Turn, asked: Sequence[Inbound], outcome: Outcome) -> TurnState:
        """Accepts what was said; what cannot be accepted makes the turn a failed one. Answers what the turn is now."""
        self._log(turn, outcome)
        try:
            lifetime_ms = await self._lifetimes.of(asked)
            drafts = self._speaking.of_turn(turn.target, turn.id, asked, outcome, lifetime_ms)
            if outcome.state is TurnState.FAILED and self._outbound.owes_notice(turn.target):
                drafts = ()  # one sentence that has not arrived yet says it all
            await self.end(turn, outcome.state, outcome.reason, drafts, outcome.answer.session)
            return outcome.state
        except Exception as error:
            reason = outcome.reason or self._why_unsaid(turn, error)
            state = outcome.state if outcome.reason else TurnState.FAILED
            await self.end(turn, state, reason)
            return state

    async def end(
        self,
        turn: Turn,
        state: TurnState,
        reason: Reason | None,
        drafts: tuple[Draft, ...] = (),
        session: ChatSession | None = None,
    ) -> None:
        end = TurnEnd(turn.id, state, self._clock.now_ms(), drafts, reason, session)
        await self._steps.add(turn.target, lambda: self._store.end_turn(end))

    def _log(self, turn: Turn, outcome: Outcome) -> None:
        if outcome.defect is not None:
            self._outbound.log.error(
                "turn.broke", account=turn.account, turn=turn.id, exc_info=outcome.defect
            )
        if outcome.state is TurnState.FAILED and outcome.reason is not None:
            self._outbound.log.warning(
                "turn.failed", account=turn.account, turn=turn.id, code=outcome.reason.code
            )

    def _why_unsaid(self, turn: Turn, error: Exception) -> Reason:
        """Why what the agent said cannot be accepted; without its words."""
        if isinstance(error, RequestError):
            self._outbound.log.warning("turn.unsaid", account=turn.account, turn=turn.id, code=error.name)
            return Reason(error.name, error.detail)
        self._outbound.log.error("turn.broke", account=turn.account, turn=turn.id, exc_info=error)
        return BROKEN
