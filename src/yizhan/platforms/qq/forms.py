"""How a text is dressed for QQ: as Markdown, as plain text, or bare, with its links defused.

The ladder goes downwards only: a refusal of one form is answered with the next, and what a bot may not send at all
is remembered for it, so that the next message is dressed rightly at once. Nothing is lost on the way: Markdown is
readable as it stands, and a bare link can be typed.
Source: hermes-agent, openclaw-qqbot #57, #95 (Markdown not granted); QwenPaw #1463, LangBot #980 (links).
"""

from __future__ import annotations

import re

from yizhan.platforms.qq.chats import Scope

MARKDOWN, PLAIN, BARE = "markdown", "plain", "bare"

_MARKDOWN = re.compile(
    r"^#{1,6} \S|^ {0,3}[-*+] \S|^ {0,3}\d{1,9}[.)] \S|^ {0,3}(?:```|~~~)|^ {0,3}>|^\|.+\|\s*$"
    r"|\*\*\S.*?\*\*|`[^`\n]+`|\[[^\]\n]+\]\([^)\n]+\)|~~\S.*?~~",
    re.MULTILINE,
)
"""What makes a text look better as Markdown: headings, lists, code, quotes, tables, emphasis, links."""
_NAME = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+"
_TOP = (
    r"(?:com|cn|net|org|io|dev|ai|app|me|cc|top|xyz|info|edu|gov|co|tv|im|so|site|tech|cloud|wiki|link|ly|gg"
    r"|uk|de|jp|hk|tw)"
)
_LINK = re.compile(
    r"https?://\S+|(?<![a-z0-9_])www\.\S+"
    rf"|(?<![a-z0-9_])(?<![a-z0-9][.-]){_NAME}{_TOP}(?![a-z0-9_])(?:[:/?#]\S*)?",
    re.IGNORECASE,
)
"""Addresses with a scheme, and bare names that QQ takes for links too, also within Chinese, which has no blanks. A
name is looked for from its first label on: from each of them, a thousand labels would cost a million looks."""
_SCHEME = re.compile(r"^(https?)://", re.IGNORECASE)
_DOT = re.compile(r"\.(?=[A-Za-z0-9])")


def has_link(text: str) -> bool:
    return _LINK.search(text) is not None


def best(text: str, scope: Scope, unfit: str) -> str:
    """How the text is dressed, as far as is known. In guilds Markdown is a privilege of few, and not tried.

    Args:  unfit  forms that the bot may not send, with blanks between them: of `plain` it means links
    """
    known = unfit.split()
    if PLAIN in known and has_link(text):
        return BARE
    if scope in (Scope.CHANNEL, Scope.DM) or MARKDOWN in known or not _MARKDOWN.search(text):
        return PLAIN
    return MARKDOWN


def after_markdown(form: str) -> str:
    """What is tried when Markdown was refused; empty: nothing is left."""
    return PLAIN if form == MARKDOWN else ""


def after_link(form: str) -> str:
    """What is tried when a link was refused."""
    return "" if form == BARE else BARE


def undress(text: str) -> str:
    """The text without anything that QQ takes for a link, and still readable: `https://a.example/b` becomes
    `a。example/b`. Visible on purpose: nobody should wonder why a link cannot be touched."""
    return _LINK.sub(lambda found: _DOT.sub("。", _SCHEME.sub("", found.group())), text)
