"""Which agent answers. Pure.

From the strongest to the weakest: a word with which the message begins; what somebody has chosen for the chat; the
routes that look at platform, account and chat, in their order; the default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yizhan.model import Target

NOBODY = "none"


@dataclass(frozen=True, slots=True)
class Route:
    """Everything that is given must fit. `chat` is a chat id or a TARGET; `prefix` a word that is taken off."""

    agent: str
    platform: str | None = None
    account: str | None = None
    chat: str | None = None
    prefix: str | None = None

    def fits(self, target: Target, text: str) -> bool:
        place = (
            self.platform in (None, target.platform)
            and self.account in (None, target.account)
            and self.chat in (None, target.chat, str(target))
        )
        return place and (self.prefix is None or _begins(text, self.prefix))


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who answers, and the text without the word that decided it, if one did (`by_word`)."""

    agent: str
    text: str
    by_word: bool = False


def choose(routes: Sequence[Route], default: str, by_chat: str, target: Target, text: str) -> Chosen:
    """Who answers a message of a chat.

    Args:  by_chat  what was chosen for the chat by /use, empty: nothing
    """
    fitting = [route for route in routes if route.fits(target, text)]
    for route in fitting:
        if route.prefix is not None:
            return Chosen(route.agent, text.lstrip()[len(route.prefix) :].lstrip(), by_word=True)
    if by_chat:
        return Chosen(by_chat, text)
    return Chosen(fitting[0].agent if fitting else default, text)


def _begins(text: str, prefix: str) -> bool:
    """With the prefix as a word of its own, in small or large letters."""
    text = text.lstrip()
    rest = text[len(prefix) :]
    return text[: len(prefix)].casefold() == prefix.casefold() and (not rest or not rest[0].isalnum())
