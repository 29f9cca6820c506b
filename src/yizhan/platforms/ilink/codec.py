"""iLink's codec: pure translation between our values and its bytes. The readings stand in modules of their own:
`calls.py` writes requests, `judging.py` reads replies to sends. (`listening.py` reads replies to polls, for the line.)
"""

from __future__ import annotations

import re

from yizhan.core.verdict import Verdict
from yizhan.errors import UnknownChat
from yizhan.model import Account, ChatId, Entry, ReplyToken
from yizhan.platforms.ilink import judging, rendering
from yizhan.platforms.ilink.calls import Calls
from yizhan.ports import Evidence, Reply, Request

_CHAT = re.compile(r"[^\s:/?#@\x00-\x1f]{1,200}@im\.wechat")
"""`o9cq80…@im.wechat`. Source: every capture of `from_user_id`."""


class IlinkCodec:
    """`ports.Codec` for WeChat."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def check_chat(self, chat: ChatId) -> None:
        """Raises UnknownChat if no WeChat user can have that id."""
        if not _CHAT.fullmatch(chat):
            raise UnknownChat(
                "A WeChat chat is the user's id, and that ends in @im.wechat.",
                "Copy it from the console's list of chats, from GET /v1/chats or from a received message.",
            )

    def render(self, text: str) -> str:
        return rendering.render(text)

    def dress(self, account: Account, chat: ChatId, entry: Entry) -> str:
        """Text is text here."""
        return ""

    def address(self, chat: ChatId, token: ReplyToken | None, number: int) -> str:
        """The client id is all that there is."""
        return ""

    def encode(self, account: Account, chat: ChatId, entry: Entry, token: ReplyToken | None) -> Request:
        """The request that sends the entry's text. The same client id for every attempt: whether the platform
        drops repeats by it nobody knows, and nothing else could make it."""
        return self._calls.send_text(account, chat, entry.client_id, entry.text, token.token if token else "")

    def classify(self, reply: Reply, evidence: Evidence) -> Verdict:
        return judging.classify(reply, evidence)
