"""The writes of a turn: it claims what was heard, begins, takes in more, speaks, and ends with its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from yizhan.core.sessions import over
from yizhan.errors import InvalidRequest
from yizhan.model import Chat, ChatSession, Dispatch, InboundId, MessageClass, Target, Turn, TurnId, TurnState
from yizhan.ports import Accepted, Draft, TurnEnd, TurnOpened, TurnStart
from yizhan.store.queries import road_in
from yizhan.store.rows import KeptTurn
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet
from yizhan.store.writes_drafts import accept_draft, check_draft, existing_message, want_draft
from yizhan.store.writes_sessions import note_session, person_of, want_sessions


@dataclass(frozen=True, slots=True)
class DispatchDone:
    label: ClassVar[str] = "dispatch_done"
    alone: ClassVar[bool] = False
    ids: tuple[InboundId, ...]

    def wants(self, wants: Wants) -> None:
        wants.inbound.update(self.ids)

    def apply(self, rows: WorkingSet) -> None:
        ask_nothing(self.ids, rows)


def ask_nothing(ids: Sequence[InboundId], rows: WorkingSet) -> None:
    for inbound_id in ids:
        kept = rows.inbound.get(inbound_id)
        if kept is not None and kept.inbound.dispatch is not Dispatch.DONE:
            rows.change_inbound(replace(kept.inbound, dispatch=Dispatch.DONE))


@dataclass(frozen=True, slots=True)
class StartTurn:
    """Opens a turn, which claims its inbound messages. Opened again, it is answered as it is."""

    label: ClassVar[str] = "start_turn"
    alone: ClassVar[bool] = False
    start: TurnStart

    def wants(self, wants: Wants) -> None:
        wants.turns.add(self.start.id)
        wants.accounts.add(self.start.target.account)
        wants.chats.add(self.start.target)
        wants.inbound.update(self.start.inbound_ids)
        want_sessions(self.start.target, self.start.sender, wants)

    def apply(self, rows: WorkingSet) -> TurnOpened:
        start = self.start
        known = rows.turns.get(start.id)
        if known is not None:
            return _opened(known.turn, rows)
        rows.account(start.target.account)
        missing = [inbound_id for inbound_id in start.inbound_ids if inbound_id not in rows.inbound]
        if missing:
            raise InvalidRequest(
                f"Turn {start.id} names messages that were never received: {', '.join(missing)}."
            )
        must_be_the_agents(rows.chat_for(start.target, start.at_ms))
        session = self._session(rows)
        turn = Turn(
            id=start.id,
            account=start.target.account,
            chat=start.target.chat,
            agent=start.agent,
            state=TurnState.RUNNING if start.begins else TurnState.QUEUED,
            inbound_ids=start.inbound_ids,
            created_at_ms=start.at_ms,
            started_at_ms=start.at_ms if start.begins else None,
            person=session.person,
        )
        rows.put_turn(KeptTurn(turn, rows.next_seq(start.target)), start.at_ms)
        for inbound_id in start.inbound_ids:
            rows.change_inbound(replace(rows.inbound[inbound_id].inbound, turn_id=start.id))
        return _opened(turn, rows)

    def _session(self, rows: WorkingSet) -> ChatSession:
        """The one that the turn belongs to; a new one if the last is over."""
        start = self.start
        chat = rows.chat_for(start.target, start.at_ms)
        session = rows.session_for(start.target, person_of(chat, start.sender, start.sessions.by_person))
        if over(start.sessions, session.used_at_ms, start.asked_at_ms):
            session = replace(session, since_ms=session.used_at_ms + 1, agent_session="")
        session = replace(session, used_at_ms=start.at_ms)
        rows.put_session(session)
        return session


def must_be_the_agents(chat: Chat) -> None:
    """Raises InvalidRequest where a person has taken the chat over: the agent is asked nothing there."""
    if chat.taken_over_at_ms is not None:
        raise InvalidRequest("A person answers this chat.", "Hand it back to the agent first.")


def _opened(turn: Turn, rows: WorkingSet) -> TurnOpened:
    return TurnOpened(turn, rows.session_for(turn.target, turn.person))


@dataclass(frozen=True, slots=True)
class BeginTurn:
    """The agent is asked. After a crash it is asked once more, and the turn runs since its first begin."""

    label: ClassVar[str] = "begin_turn"
    alone: ClassVar[bool] = False
    turn: TurnId
    person: str
    target: Target
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.turns.add(self.turn)
        want_sessions(self.target, self.person, wants)

    def apply(self, rows: WorkingSet) -> TurnOpened | None:
        kept = rows.turns.get(self.turn)
        if kept is None:
            raise InvalidRequest(f"There is no turn {self.turn} to begin.")
        if kept.turn.state is TurnState.QUEUED:
            begun = replace(kept.turn, state=TurnState.RUNNING, started_at_ms=self.at_ms)
            kept = kept._replace(turn=begun)
            rows.put_turn(kept, self.at_ms)
        return None if kept.turn.ended_at_ms is not None else _opened(kept.turn, rows)


@dataclass(frozen=True, slots=True)
class ExtendTurn:
    """An open turn claims further messages. Told twice, it claims them once."""

    label: ClassVar[str] = "extend_turn"
    alone: ClassVar[bool] = False
    turn: TurnId
    person: str
    target: Target
    ids: tuple[InboundId, ...]
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.turns.add(self.turn)
        want_sessions(self.target, self.person, wants)
        wants.inbound.update(self.ids)

    def apply(self, rows: WorkingSet) -> TurnOpened | None:
        kept = rows.turns.get(self.turn)
        if kept is None or kept.turn.ended_at_ms is not None:
            return None
        turn = kept.turn
        news = tuple(name for name in self.ids if name in rows.inbound and name not in turn.inbound_ids)
        if news:
            turn = replace(turn, inbound_ids=turn.inbound_ids + news)
            rows.put_turn(kept._replace(turn=turn), self.at_ms)
        for inbound_id in news:
            rows.change_inbound(replace(rows.inbound[inbound_id].inbound, turn_id=turn.id))
        return _opened(turn, rows)


@dataclass(frozen=True, slots=True)
class Say:
    """An open turn says something before its end; its outputs are counted as they come."""

    label: ClassVar[str] = "say"
    alone: ClassVar[bool] = False
    turn: TurnId
    draft: Draft

    def wants(self, wants: Wants) -> None:
        wants.turns.add(self.turn)
        want_draft(self.draft, wants)

    def apply(self, rows: WorkingSet) -> Accepted | None:
        kept = rows.turns.get(self.turn)
        if kept is None or kept.turn.ended_at_ms is not None:
            return None
        accepted = accept_draft(self.draft, rows)
        if accepted.created and self.draft.ordinal is not None:
            spoken = replace(kept.turn, outputs=kept.turn.outputs + 1)
            rows.put_turn(kept._replace(turn=spoken), self.draft.created_at_ms)
        return accepted


@dataclass(frozen=True, slots=True)
class EndTurn:
    """Ends a turn with its outputs. One that has ended takes no more: it only looks up what it has."""

    label: ClassVar[str] = "end_turn"
    alone: ClassVar[bool] = False
    end: TurnEnd

    def wants(self, wants: Wants) -> None:
        wants.turns.add(self.end.id)
        wants.inbound_of_turns.add(self.end.id)
        if self.end.session is not None:
            wants.sessions.add(self.end.session.key)
        for draft in self.end.outputs:
            want_draft(draft, wants)

    def apply(self, rows: WorkingSet) -> tuple[Accepted, ...]:
        end = self.end
        kept = rows.turns.get(end.id)
        if kept is None:
            raise InvalidRequest(f"There is no turn {end.id} to end.")
        if kept.turn.ended_at_ms is not None or kept.turn.state is end.state:
            known = (existing_message(draft, rows) for draft in end.outputs)
            return tuple(Accepted(each.message, created=False) for each in known if each is not None)
        if end.state is TurnState.WAITING and _answered_already(kept, rows):
            end = replace(end, state=TurnState.DONE)
        for draft in end.outputs:
            check_draft(draft, rows)
        accepted = tuple(accept_draft(draft, rows) for draft in end.outputs)
        new = sum(answer.created for answer in accepted)
        end_turn(kept, end, kept.turn.outputs + new, rows)
        if end.session is not None:
            note_session(end.session, end.at_ms, rows)
        return accepted


def _answered_already(kept: KeptTurn, rows: WorkingSet) -> bool:
    """Whether the answer that is said to come later was faster: it has been accepted since the turn was opened."""
    turn = kept.turn
    if rows.connection.scalar(road_in.answer_to(turn, kept.seq)) is not None:
        return True
    return any(
        message.in_reply_to in turn.inbound_ids
        and message.target == turn.target
        and message.seq > kept.seq
        and message.turn_id is None
        and message.klass is not MessageClass.PROGRESS
        for message in (each.message for each in rows.messages.values())
    )


def end_turn(kept: KeptTurn, end: TurnEnd, outputs: int, rows: WorkingSet) -> None:
    """The turn is over, or waits for an answer that comes later; what it answered asks nothing any more."""
    ended_at_ms = None if end.state is TurnState.WAITING else end.at_ms
    turn = replace(kept.turn, state=end.state, ended_at_ms=ended_at_ms, reason=end.reason, outputs=outputs)
    rows.put_turn(kept._replace(turn=turn), end.at_ms)
    ask_nothing(turn.inbound_ids, rows)
