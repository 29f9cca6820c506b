"""What each of QQ's refusals of a send means. Data; `judging.py` reads it.

A reply carries `err_code` and `code`, which may differ; the first of them that stands here counts. What stands
nowhere is refused for good if the status says so (4xx), and in doubt otherwise.

Source: the wiki bot.q.qq.com, "api-call-guide" and the pages of the sends (2026); bot-docs (2025-04-21); and
where an issue is named, that report.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Meaning(StrEnum):
    LIMIT = "limit"
    """Not now; the same may pass later."""
    PERMISSION = "permission"
    """The message that is answered permits nothing (more); the text was not judged."""
    SWITCH = "switch"
    """The chat, or the platform, takes nothing that nobody asked for."""
    NEVER = "never"
    """This text to this chat will never pass."""
    PLAIN = "plain"
    """Not as Markdown; perhaps as plain text."""
    NO_LINK = "no_link"
    """Not with a link in it."""
    DUPLICATE = "duplicate"
    """Something was sent under these very words before."""
    AUDIT = "audit"
    """Taken, and held back until somebody there has looked at it."""
    TOKEN = "token"
    """The access token; a new one has been tried already."""
    PERSON = "person"
    """The bot may not send until somebody changes something."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row. `wait_ms`: before the next try. `lasting`: it holds for every message of the bot. `action`: what a
    person must do."""

    meaning: Meaning
    text: str
    wait_ms: int | None = None
    lasting: bool = False
    action: str = ""


SOON_MS, MINUTE_MS, QUARTER_MS, HOUR_MS = 2_000, 60_000, 900_000, 3_600_000

_M = Meaning
_Q = "look at the bot's permissions on q.qq.com"


def _rows(codes: str, refusal: Refusal) -> dict[int, Refusal]:
    return {int(code): refusal for code in codes.split()}


_TABLE: tuple[tuple[str, Refusal], ...] = (
    # the answer came too late, or once too often
    ("40034005 40034031 304103 304027", Refusal(_M.PERMISSION, "the message that is answered is too old")),
    ("40034128", Refusal(_M.PERMISSION, "the message that is answered permits no more answers")),
    ("40034024 304026 304028", Refusal(_M.PERMISSION, "the message that is answered is not known to QQ")),
    ("40034025", Refusal(_M.PERMISSION, "the event that is answered is not known to QQ")),
    ("40034026 40034027", Refusal(_M.PERMISSION, "the event that is answered permits no answer any more")),
    # nobody asked for it
    (
        "40034102 40034105 40054013 304031 304032 304035 304045",
        Refusal(_M.SWITCH, "the chat takes no messages that nobody asked for"),
    ),
    ("40034122 40034123", Refusal(_M.SWITCH, "the quota of messages that nobody asked for is used up")),
    ("40034100", Refusal(_M.LIMIT, "too many messages that nobody asked for", MINUTE_MS)),
    (
        "304046 304047 304048 304049 304050 304052 304019",
        Refusal(_M.LIMIT, "today's messages that nobody asked for are used up", HOUR_MS),
    ),
    ("304022", Refusal(_M.LIMIT, "QQ takes no such messages at this hour", QUARTER_MS)),
    # limits
    ("22009", Refusal(_M.LIMIT, "the limit of messages is exceeded", MINUTE_MS)),
    ("20028 1100100 1100308 610013", Refusal(_M.LIMIT, "too many requests", SOON_MS)),
    (
        "50055001 50055002 50055006 40034004 304082 304083 340067 40054006",
        Refusal(_M.LIMIT, "QQ could not send it just now", SOON_MS),
    ),
    (
        "11252 11263 11281 11301 11302 11303 11304 11305 11306 12003",
        Refusal(_M.LIMIT, "QQ's own check failed", SOON_MS),
    ),
    ("304018", Refusal(_M.LIMIT, "QQ does not see the bot on line", SOON_MS)),
    ("40054002 850018", Refusal(_M.LIMIT, "the bot is muted in the group", QUARTER_MS)),
    # the same words before
    ("40054005", Refusal(_M.DUPLICATE, "QQ has taken this part before")),
    # how it is dressed
    (
        "40034012 40034124 304014 304036 50041 50056 50057",
        Refusal(_M.PLAIN, "the bot may not send Markdown", lasting=True),
    ),
    (
        "40034008 40034009 40034010 40034011 40034127 50042 50054 50055",
        Refusal(_M.PLAIN, "QQ does not take this Markdown"),
    ),
    ("22006 340069 50059 304061", Refusal(_M.PLAIN, "kind and content of the message do not fit")),
    ("40034028 40054010 304003", Refusal(_M.NO_LINK, "the bot may not send this link", lasting=True)),
    # never
    (
        "40034006 1100101 1100102 1100103 1100104 3300006 304025",
        Refusal(_M.NEVER, "QQ's check of contents refused it"),
    ),
    ("40054007 40054018 1000001", Refusal(_M.NEVER, "the text is longer than QQ takes")),
    ("50006", Refusal(_M.NEVER, "QQ says that the text is empty")),
    ("11255 40011028 10003 10001", Refusal(_M.NEVER, "QQ knows no such chat of this bot")),
    ("40034101 40054003", Refusal(_M.NEVER, "the bot is not in the group any more")),
    ("40054004 304033 304034", Refusal(_M.NEVER, "the bot may not write to this person")),
    (
        "11292 40012004",
        Refusal(_M.NEVER, "a bot in its sandbox, or one that has left the group, may not write there"),
    ),
    ("11264 11282", Refusal(_M.NEVER, "the guild has not given the bot this right")),
    ("12001 12002 304004 304062 304064", Refusal(_M.NEVER, "QQ cannot make anything of the request")),
    # held back
    (
        "304023 304024",
        Refusal(_M.AUDIT, "held back until somebody at QQ has looked at it, for a day at most"),
    ),
    # the bot as a whole
    (
        "11241 11242 11243 11244 40012002 40011027",
        Refusal(_M.TOKEN, "QQ does not accept the access token", MINUTE_MS),
    ),
    ("11253 11254 40012010", Refusal(_M.NEVER, "the bot has no permission to send there; see q.qq.com")),
    (
        "11251 11261 11275 11262 11273 11274",
        Refusal(
            _M.PERSON, "QQ does not accept the app id", action="check it: yizhan account add qq --app-id …"
        ),
    ),
    ("11265 40054016", Refusal(_M.PERSON, "the bot is banned or taken offline", action=_Q)),
    (
        "11298 40023002",
        Refusal(
            _M.PERSON,
            "QQ does not take requests from this machine's address",
        ),
    ),
)

REFUSALS: dict[int, Refusal] = {}
for _codes, _refusal in _TABLE:
    REFUSALS.update(_rows(_codes, _refusal))

HTTP_REFUSALS = {
    400: Refusal(_M.NEVER, "QQ cannot make anything of the request"),
    401: Refusal(_M.TOKEN, "QQ does not accept the access token", MINUTE_MS),
    404: Refusal(_M.NEVER, "there is nothing at this address; check the account's API address"),
    405: Refusal(_M.NEVER, "the address takes no sends; check the account's API address"),
    429: Refusal(_M.LIMIT, "too many requests", SOON_MS),
}
"""Statuses that refuse where no code is known."""

HTTP_REFUSAL_ELSE = Refusal(_M.NEVER, "QQ refused it, with a code that nobody has recorded yet")
