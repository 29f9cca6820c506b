"""Questions: what the agent is told. Quotes and items are named in words, and the history is what was said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yizhan.core.commands import command_of
from yizhan.model import ChatSession, Inbound
from yizhan.ports import Question, Said, Store, TurnOpened
from yizhan.runtime.turns.roster import Roster
from yizhan.runtime.turns.steps import Steps


class Questions:
    """Makes them of stored messages."""

    def __init__(self, store: Store, steps: Steps, roster: Roster, language: str) -> None:
        self._store = store
        self._steps = steps
        self._roster = roster
        self._language = language

    async def of(self, opened: TurnOpened, asked: Sequence[Inbound], deadline_ms: int) -> Question:
        first_ms = asked[0].received_at_ms
        history = await self._history(opened)
        return Question(
            turn=opened.turn.id,
            target=opened.turn.target,
            sender_id=asked[-1].sender_id,
            sender_name=asked[-1].sender_name,
            text="\n".join(spoken(inbound) for inbound in self._told(opened.turn.agent, asked)),
            history=tuple(line for line in history if _before(line, first_ms)),
            session=session_name(opened.session),
            agent_session=agents_name(opened),
            in_reply_to=asked[-1].id,
            quoted="\n".join(inbound.quoted_text for inbound in asked if inbound.quoted_text),
            language=self._language,
            deadline_ms=deadline_ms,
        )

    async def _history(self, opened: TurnOpened) -> tuple[Said, ...]:
        """Nothing is read for agents that remember by themselves."""
        limit = self._roster.history_limit(opened.turn)
        if limit == 0:
            return ()
        return await self._steps.take(lambda: self._store.history(opened.session, limit))

    def _told(self, agent: str, asked: Sequence[Inbound]) -> Sequence[Inbound]:
        return [replace(inbound, text=self._roster.told(agent, inbound)) for inbound in asked]


def session_name(session: ChatSession) -> str:
    """What we call it, the same until /new or a reset."""
    person = f"/{session.person}" if session.person else ""
    return f"{session.account}:{session.chat}{person}#{session.since_ms}"


def agents_name(opened: TurnOpened) -> str:
    """What the agent calls it; what another agent called it means nothing here."""
    return opened.session.agent_session if opened.session.agent == opened.turn.agent else ""


def spoken(inbound: Inbound) -> str:
    """A message as the agent reads it: the quote first, then the text, then what came along."""
    lines = [f"> {line}" for line in inbound.quoted_text.splitlines()]
    lines += [inbound.text] if inbound.text else []
    lines += [f"[{item.kind}: {item.name or 'unnamed'}]" for item in inbound.items if item.kind != "text"]
    return "\n".join(lines)


def _before(line: Said, first_ms: int) -> bool:
    """What was said to the agent before this turn: neither the question itself, nor commands to the gateway."""
    return line.role == "assistant" or (line.at_ms < first_ms and command_of(line.text) is None)
