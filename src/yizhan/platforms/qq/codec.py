"""QQ's codec: pure translation between our values and its bytes. Replies are judged in `judging.py`.

The words under which QQ recognises a repeat are the message that is answered and a number that counts its answers:
`msg_id` and `msg_seq`. They are fixed before the first byte leaves and kept while an answer is missing.
Source: the wiki bot.q.qq.com (2026): one `msg_seq` per `msg_id`, a repeat is refused with 40054005; botpy #235 and
AstrBot #4382 for what numbers drawn at random do.
"""

from __future__ import annotations

from typing import Any

from yizhan.core.verdict import Verdict
from yizhan.errors import UnknownChat
from yizhan.model import UNREPEATABLE, Account, ChatId, Entry, ReplyToken
from yizhan.platforms.qq import calls, forms, judging, rendering
from yizhan.platforms.qq.chats import Chat, Scope, read_chat
from yizhan.platforms.qq.events import EVENT_TOKEN
from yizhan.ports import Evidence, Reply, Request

_TEXT, _MARKDOWN = 0, 2
"""`msg_type`."""
_MARK = "#"


class QqCodec:
    """`ports.Codec` for QQ."""

    def check_chat(self, chat: ChatId) -> None:
        """Raises UnknownChat if the id names no kind of chat, or nobody of that kind could be called so."""
        if read_chat(chat) is None:
            raise UnknownChat(
                f"{chat[:80]!r} is no QQ chat; those are c2c/OPENID, group/OPENID, channel/ID and dm/ID.",
                "Copy it from the console's list of chats, from GET /v1/chats or from a received message.",
            )

    def render(self, text: str) -> str:
        return rendering.render(text)

    def dress(self, account: Account, chat: ChatId, entry: Entry) -> str:
        named = read_chat(chat)
        return entry.form or forms.best(entry.text, named.scope if named else Scope.C2C, account.unfit_forms)

    def address(self, chat: ChatId, token: ReplyToken | None, number: int) -> str:
        """A message that nobody asked for has no such words, and guilds have none at all: a repeat would be shown
        twice."""
        if token is None:
            return UNREPEATABLE
        named = read_chat(chat)
        unknown = UNREPEATABLE if named is not None and named.in_guild else ""
        return f"{unknown}{token.token}{_MARK}{max(1, number)}"

    def encode(self, account: Account, chat: ChatId, entry: Entry, token: ReplyToken | None) -> Request:
        """Everything that differs between attempts stands in the entry: `form` and `sent_as`."""
        named = read_chat(chat)
        if named is None:
            self.check_chat(chat)
            raise AssertionError("check_chat raises for what cannot be read")
        return calls.send(account, named, _body(named, entry))

    def classify(self, reply: Reply, evidence: Evidence) -> Verdict:
        return judging.classify(reply, evidence)


def _body(chat: Chat, entry: Entry) -> dict[str, Any]:
    return (_guild_text(entry) if chat.in_guild else _text(entry)) | _addressed(entry, chat.in_guild)


def _text(entry: Entry) -> dict[str, Any]:
    if entry.form == forms.MARKDOWN:
        return {"msg_type": _MARKDOWN, "markdown": {"content": entry.text}}
    return {"msg_type": _TEXT, "content": _plain(entry)}


def _guild_text(entry: Entry) -> dict[str, Any]:
    """Guilds write a few characters as entities, and take them so."""
    text = _plain(entry).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"content": text}


def _plain(entry: Entry) -> str:
    return forms.undress(entry.text) if entry.form == forms.BARE else entry.text


def _addressed(entry: Entry, guild: bool) -> dict[str, Any]:
    """Guilds know no `msg_seq`."""
    if entry.sent_as in ("", UNREPEATABLE):
        return {}
    address = entry.sent_as.removeprefix(UNREPEATABLE) if guild else entry.sent_as
    token, _, number = address.rpartition(_MARK)
    event = token.startswith(EVENT_TOKEN)
    words: dict[str, Any] = {"event_id": token.removeprefix(EVENT_TOKEN)} if event else {"msg_id": token}
    return words if guild else words | {"msg_seq": int(number)}
