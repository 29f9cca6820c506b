"""Control commands that a chat may give; they bypass the queue of turns."""

from __future__ import annotations

import unicodedata
from enum import StrEnum


class Command(StrEnum):
    STOP = "/stop"
    NEW = "/new"
    STATUS = "/status"
    HELP = "/help"
    RETRY = "/retry"
    AGENTS = "/agents"
    USE = "/use"
    APPROVE = "/approve"


WITH_ARGUMENT = frozenset({Command.APPROVE, Command.USE})
"""These need one word behind them."""
ADMINS_ONLY = frozenset({Command.APPROVE})
"""These act on the gateway, and not on the chat alone."""

ENDING = frozenset({Command.STOP, Command.NEW})
"""These end what the chat is waiting for."""


WITHOUT_ARGUMENT = {Command.USE: Command.AGENTS}
"""What these ask for when the word is missing."""


def command_of(text: str) -> Command | None:
    """The command a message is; None for anything else. A command stands alone in its message, but for its argument.

    Wide letters are letters: a Chinese keyboard writes ／stop.
    """
    words = text.split(maxsplit=2)
    word = unicodedata.normalize("NFKC", words[0]).lower() if words else ""
    if word not in set(Command):
        return None
    command = Command(word)
    if len(words) == 1:
        return WITHOUT_ARGUMENT.get(command, None if command in WITH_ARGUMENT else command)
    return command if len(words) == 2 and command in WITH_ARGUMENT else None


def argument_of(text: str) -> str:
    """The word behind a command, as it was written; empty where there is none."""
    words = text.split()
    return words[1] if len(words) > 1 else ""
