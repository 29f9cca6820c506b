"""Control commands that a chat may give; they bypass the queue of turns."""

from __future__ import annotations

from enum import StrEnum


class Command(StrEnum):
    STOP = "/stop"
    NEW = "/new"
    STATUS = "/status"
    HELP = "/help"


def command_of(text: str) -> Command | None:
    """The command a message is; None for anything else. A command stands alone in its message."""
    word = text.strip().lower()
    return Command(word) if word in set(Command) else None
