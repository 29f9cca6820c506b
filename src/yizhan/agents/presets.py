"""How the endpoints that people use keep a conversation, as a table.

A plain model forgets: it is told the history with every question. An agent behind such an endpoint remembers by
itself, if it is told which conversation is meant; told the history as well, it would read everything twice.

plain, openwebui  nothing; the history is sent. OpenAI API reference; docs.openwebui.com, "API Endpoints"
hermes            X-Hermes-Session-Id, which comes back; X-Hermes-Session-Key for the chat.
                  hermes-agent 0.19.0, gateway/platforms/api_server.py
openclaw          x-openclaw-session-key. docs.openclaw.ai, "OpenAI Chat Completions (HTTP)"
nanobot           session_id in the body, and one user message, nothing else. HKUDS/nanobot, nanobot/api/server.py
cowagent          conversation_id in the body; it reads the last user message only. zhayujie/CowAgent,
                  docs/channels/web.mdx, "OpenAI-Compatible API", and channel/web/openai_api.py (2.2, September 2026)

Hermes answers session headers only where a key is set, takes at most 256 characters, and no `/`, `..` or drive
letter; the id that it returns may be another one, after it has compressed the conversation, and counts from then on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from yizhan.ports import Question

_OTHER = re.compile(r"[^A-Za-z0-9_@-]+")
_READABLE_CHARS = 120


@dataclass(frozen=True, slots=True)
class Preset:
    """What an endpoint is told beside the question.

    remembers       it keeps the conversation: no history is sent
    takes_system    it takes a system prompt
    session_header  takes the session's name; an answer that carries it names the session from then on
    chat_header     takes the chat's name, the same for all its sessions
    session_member  member of the body that takes the session's name
    """

    remembers: bool = False
    takes_system: bool = True
    session_header: str = ""
    chat_header: str = ""
    session_member: str = ""

    def headers(self, question: Question) -> dict[str, str]:
        named = {
            self.session_header: question.agent_session or plain_name(question.session),
            self.chat_header: plain_name(str(question.target)),
        }
        return {header: name for header, name in named.items() if header}

    def members(self, question: Question) -> dict[str, str]:
        return {self.session_member: plain_name(question.session)} if self.session_member else {}


PRESETS: Mapping[str, Preset] = {
    "plain": Preset(),
    "openwebui": Preset(),
    "hermes": Preset(
        remembers=True, session_header="X-Hermes-Session-Id", chat_header="X-Hermes-Session-Key"
    ),
    "openclaw": Preset(remembers=True, session_header="x-openclaw-session-key"),
    "nanobot": Preset(remembers=True, takes_system=False, session_member="session_id"),
    "cowagent": Preset(remembers=True, takes_system=False, session_member="conversation_id"),
}


def plain_name(name: str) -> str:
    """The same name in letters that headers, file names and databases of others take: readable, and never the same
    for two."""
    told = _OTHER.sub("-", name)[:_READABLE_CHARS].strip("-")
    return f"yizhan-{told}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:12]}"
