"""What lanes and their dispatcher say to each other.

The dispatcher asks for a *choice*, does what it says, and reports back under the same target. Whatever is chosen
keeps its lane busy until then, so nothing is asked for twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from yizhan.core.allowance import Ledger
from yizhan.core.limiter import Pace
from yizhan.core.release import Parked, Withdraw
from yizhan.core.unasked import NOTHING, Unasked
from yizhan.model import Entry, Message, ReplyToken, Target


@dataclass(frozen=True, slots=True)
class Load:
    """The lane's window must be read from the table; answer with `loaded` or `not_loaded`."""

    target: Target


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the table says of a lane, and what is known of the chat.

    messages   its first live messages by place (core/window.py): begun, due, dated by date
    truncated  the table has more
    ledger     of its newest inbound message, None if it was never heard
    unasked    of messages to it that nobody asked for
    """

    target: Target
    messages: tuple[Message, ...]
    truncated: bool
    token: ReplyToken | None
    has_written: bool
    paused: bool
    pace: Pace
    ghosts: int = 0
    ledger: Ledger | None = None
    unasked: Unasked = NOTHING


@dataclass(frozen=True, slots=True)
class Send:
    """This entry goes next; its lane is busy until `settled` (or `ended`), or `put_back`."""

    message: Message
    entry: Entry


@dataclass(frozen=True, slots=True)
class Park:
    """This part waits for the other side's next message, and is to be written down so; its lane is busy until then."""

    parked: Parked


@dataclass(frozen=True, slots=True)
class Notify:
    """The chat is to be told how many parts remain; its lane is busy until that is accepted."""

    target: Target
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nothing can go before `at_ms`; None: nothing will by time alone."""

    at_ms: int | None


Choice = Load | Send | Park | Notify | Withdraw | LookAgain
