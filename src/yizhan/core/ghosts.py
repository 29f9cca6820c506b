"""Pushes to a chat whose messages are accepted without the receipt that is owed: perhaps nobody sees them.

A ghost is final and never sent again by itself, so a run of them turns a queue of pushes into nothing. After
`alarm_after` in a row the chat's pushes go one at a time with a pause that doubles: enough to find out that
receipts come again, and the rest stays where it can still be delivered. Answers are not slowed: a person waits
for them, and each is a probe as well.

Source: Tencent/openclaw-weixin #263, #268 (accounts suppressed for weeks, one of them recovering by itself).
"""

from __future__ import annotations

from dataclasses import dataclass

from yizhan.core.window import begun
from yizhan.model import Message, MessageClass

_DOUBLINGS_MAX = 30


@dataclass(frozen=True, slots=True)
class GhostNumbers:
    """What an operator may set (docs/configuration.md, delivery.ghosts). `alarm_after` 0: never."""

    alarm_after: int = 3
    push_pause_ms: int = 60_000
    push_pause_max_ms: int = 900_000


def push_pause_ms(in_a_row: int, numbers: GhostNumbers) -> int:
    """How long the chat's next push waits after so many ghosts in a row; 0 below the alarm."""
    beyond = in_a_row - numbers.alarm_after
    if not numbers.alarm_after or beyond < 0:
        return 0
    return min(numbers.push_pause_max_ms, numbers.push_pause_ms << min(beyond, _DOUBLINGS_MAX))


def slowed(message: Message) -> bool:
    """Whether the message is one that waits for the pause: unasked, and not begun."""
    return message.klass >= MessageClass.PUSH and not begun(message)
