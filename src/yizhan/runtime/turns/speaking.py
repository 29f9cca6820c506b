"""Speaking: what the agent said, and what the gateway says itself, as drafts. Each has a stable key, so that a turn
that runs again adds nothing that is there already."""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.core.parts import pack
from yizhan.core.phrases import say
from yizhan.core.text import blank
from yizhan.model import Inbound, InboundId, MessageClass, Target, Turn, TurnId, TurnState, output_key
from yizhan.ports import Draft
from yizhan.runtime.drafts import Drafts
from yizhan.runtime.turns.outcome import Outcome
from yizhan.runtime.views import Order


class Speaking:
    """`failure_notice` None: our own sentence; empty: none."""

    def __init__(self, drafts: Drafts, language: str, failure_notice: str | None) -> None:
        self._drafts = drafts
        self._patience = say(language, "patience")
        self._failure_notice = say(language, "turn_failed") if failure_notice is None else failure_notice

    def of_turn(
        self,
        target: Target,
        turn: TurnId,
        asked: Sequence[Inbound],
        outcome: Outcome,
        lifetime_ms: int | None = None,
    ) -> tuple[Draft, ...]:
        """The outputs of a turn, packed into the fewest sends; of one that failed, at most one short notice.
        `lifetime_ms` None: they wait as long as any message of their class."""
        answers = _answered(asked)
        if outcome.state is TurnState.FAILED:
            return self._notice(target, turn, answers) if answers else ()  # nobody waits for it
        said = [text for text in map(self._drafts.fit, outcome.answer.outputs) if not blank(text)]
        spoken = outcome.answer.spoken
        texts = pack(
            said,
            *self._drafts.room(target),
            self._drafts.text_max_chars,
            lambda text: len(self._drafts.parts(target, text)),
        )
        return tuple(
            self._output(target, turn, answers, text, ordinal, lifetime_ms)
            for ordinal, text in enumerate(texts, spoken)
        )

    def first(
        self, turn: Turn, asked: Sequence[Inbound], text: str, lifetime_ms: int | None = None
    ) -> Draft | None:
        """The beginning of an answer that is still being said; None if nothing of it can be shown."""
        fit = self._drafts.fit(text).strip()
        return self._output(turn.target, turn.id, _answered(asked), fit, 0, lifetime_ms) if fit else None

    def progress(self, turn: Turn, asked: Sequence[Inbound], text: str, number: int) -> Draft:
        """What the agent does meanwhile."""
        key = f"turn:{turn.id}:progress:{number}"
        answers = _answered(asked)
        order = Order(str(turn.target), text, MessageClass.PROGRESS, "turn", key, in_reply_to=answers)
        return self._drafts.draft(turn.target, order, turn=turn.id, keep_first=True)

    def patience(self, turn: Turn, asked: Sequence[Inbound]) -> Draft | None:
        """That an answer is on its way; None where nobody waits for it."""
        answers = _answered(asked)
        if answers is None:
            return None
        key = f"turn:{turn.id}:patience"
        order = Order(str(turn.target), self._patience, MessageClass.NOTICE, "turn", key, in_reply_to=answers)
        return self._drafts.draft(turn.target, order, turn=turn.id, keep_first=True)

    def of_command(self, inbound: Inbound, text: str) -> Draft:
        """What is said to a command."""
        target = Target(inbound.account, inbound.chat)
        key = f"command:{inbound.id}"
        order = Order(str(target), text, MessageClass.NOTICE, "command", key, in_reply_to=inbound.id)
        return self._drafts.draft(target, order, keep_first=True)

    def _notice(self, target: Target, turn: TurnId, answers: InboundId) -> tuple[Draft, ...]:
        if not self._failure_notice.strip():
            return ()
        order = Order(
            str(target),
            self._failure_notice,
            MessageClass.NOTICE,
            "turn",
            f"turn:{turn}:notice",
            in_reply_to=answers,
        )
        return (self._drafts.draft(target, order, turn=turn, keep_first=True),)

    def _output(
        self,
        target: Target,
        turn: TurnId,
        answers: InboundId | None,
        text: str,
        ordinal: int,
        lifetime_ms: int | None,
    ) -> Draft:
        """An answer, or what a schedule has asked for and nobody waits for: a push."""
        key = output_key(turn, ordinal)
        klass = MessageClass.REPLY if answers else MessageClass.PUSH
        order = Order(str(target), text, klass, "turn", key, in_reply_to=answers)
        return self._drafts.draft(
            target, order, turn=turn, ordinal=ordinal, keep_first=True, lifetime_ms=lifetime_ms
        )


def _answered(asked: Sequence[Inbound]) -> InboundId | None:
    """The message that is answered; None if a schedule has asked, and nobody waits."""
    heard = [inbound.id for inbound in asked if not inbound.asked_by_schedule]
    return heard[-1] if heard else None
