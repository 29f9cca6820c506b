"""The writes of a session: whose it is, that a turn has used it, that a new one begins, which agent it speaks with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from yizhan.core.access import ROOMS
from yizhan.model import Chat, ChatSession, Target
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet


def want_sessions(target: Target, sender: str, wants: Wants) -> None:
    """That of the chat, and that of the person: which of them counts, the kind of the chat tells."""
    wants.sessions.update((target.account, target.chat, person) for person in ("", sender))


def person_of(chat: Chat, sender: str, by_person: bool) -> str:
    """Whose session it is, empty: the whole chat's."""
    return sender if by_person and chat.kind in ROOMS else ""


def note_session(asked_in: ChatSession, at_ms: int, rows: WorkingSet) -> None:
    """The session was used; unless another has begun meanwhile, the agent's own name of it is kept."""
    session = rows.sessions.get(asked_in.key)
    if session is None or session.since_ms != asked_in.since_ms:
        return
    named = replace(asked_in, used_at_ms=max(at_ms, session.used_at_ms))
    if named != session:
        rows.put_session(named)


@dataclass(frozen=True, slots=True)
class NewSession:
    label: ClassVar[str] = "new_session"
    alone: ClassVar[bool] = False
    target: Target
    sender: str
    by_person: bool
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.chats.add(self.target)
        want_sessions(self.target, self.sender, wants)

    def apply(self, rows: WorkingSet) -> None:
        chat = rows.chat_for(self.target, self.at_ms)
        session = rows.session_for(self.target, person_of(chat, self.sender, self.by_person))
        rows.put_session(
            replace(session, since_ms=self.at_ms, used_at_ms=self.at_ms, agent="", agent_session="")
        )


@dataclass(frozen=True, slots=True)
class ChooseAgent:
    label: ClassVar[str] = "choose_agent"
    alone: ClassVar[bool] = False
    target: Target
    agent: str
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.chats.add(self.target)

    def apply(self, rows: WorkingSet) -> None:
        rows.put_chat(replace(rows.chat_for(self.target, self.at_ms), agent=self.agent))
