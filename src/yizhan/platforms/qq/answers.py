"""What every answer of QQ's API has in common: two codes, words, and where it is wrong, advice.

The status of HTTP says little, so both `err_code` and `code` are read: they may differ, and a success may carry
neither. Words are for people; nothing is decided by them, they are Chinese today and something else tomorrow.
Source: the wiki bot.q.qq.com (2026); pairs of codes as seen in the field, see README.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from yizhan.core.connection import Lost, LostKind
from yizhan.platforms.fields import Fields, Odd, one_line, parse_object
from yizhan.ports import Absence, AbsenceKind, Answer, Reply

_WORDS_MAX = 200
_SECRET = re.compile(r"QQBot\s+\S+|[A-Za-z0-9+/_=-]{40,}")
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_CODE_MAX = 10**12

_PUBLIC_ADDRESS = "the public address of this machine (`curl -4 https://ifconfig.me` on it prints that)"
"""Where QQ's words do not name the address that it saw."""

NOT_WHITELISTED = frozenset({11298, 40023002})
TOKEN_BAD = frozenset({11241, 11242, 11243, 11244, 40012002, 40011027})
"""The access token is missing, wrong or expired: a new one helps. Source: botpy, qqbot-nodejs, field pairs."""
BANNED = frozenset({11265})
WRONG_APP = frozenset({11251, 11261, 11275, 11262, 11273, 11274})


@dataclass(frozen=True, slots=True)
class Envelope:
    """`codes`: those that are not zero, `err_code` first. `words`: the platform's own, bounded, without secrets."""

    status: int
    codes: tuple[int, ...]
    words: str
    fields: Fields

    @property
    def code(self) -> str:
        """The code as people are shown it."""
        return str(self.codes[0]) if self.codes else f"http {self.status}"

    def is_any(self, known: frozenset[int]) -> bool:
        return any(code in known for code in self.codes)


def open_answer(answer: Answer) -> Envelope | Odd:
    """Reads an answer. Total."""
    values = parse_object(answer.body)
    if isinstance(values, Odd):
        return values
    fields = Fields(values)
    codes = (fields.integer("err_code"), fields.integer("code"))
    told = tuple(dict.fromkeys(code for code in codes if code and abs(code) < _CODE_MAX))
    words = _SECRET.sub("…", one_line(fields.text("message") or fields.text("msg"), 5 * _WORDS_MAX))
    return Envelope(answer.status, told, words[:_WORDS_MAX], fields)


def token_refused(reply: Reply) -> bool:
    """Whether the access token was refused, so that a new one may help. An address that is not on the list is
    refused with the same status, and no token helps."""
    if not isinstance(reply, Answer):
        return False
    envelope = open_answer(reply)
    if isinstance(envelope, Odd) or not envelope.codes:
        return reply.status == 401
    return envelope.is_any(TOKEN_BAD) and not envelope.is_any(NOT_WHITELISTED)


def read(reply: Reply) -> Envelope | Lost:
    """The answer to any call but a send, or what is wrong with the line."""
    if isinstance(reply, Absence):
        never_left = reply.kind is AbsenceKind.NOT_SENT
        return Lost(LostKind.UNREACHABLE if never_left else LostKind.NETWORK, reply.kind.value, reply.text)
    envelope = open_answer(reply)
    if isinstance(envelope, Odd):
        return Lost(LostKind.SERVER, envelope.code, envelope.text)
    if envelope.codes or not 200 <= reply.status < 300:
        return refused(envelope)
    return envelope


def refused(envelope: Envelope) -> Lost:
    """A call that is not a send was refused: by whom a change has to come."""
    if envelope.is_any(NOT_WHITELISTED):
        return _not_whitelisted(envelope)
    if envelope.is_any(BANNED):
        return Lost(LostKind.BARRED, envelope.code, "QQ has banned the bot", "look at its state on q.qq.com")
    if envelope.is_any(WRONG_APP):
        return Lost(
            LostKind.BARRED,
            envelope.code,
            "QQ does not accept this bot's app id here",
            "check the app id: yizhan account add qq --app-id … replaces it",
        )
    words = envelope.words or "refused without a word"
    return Lost(LostKind.SERVER, envelope.code, words)


def _not_whitelisted(envelope: Envelope) -> Lost:
    """Source: botpy #189, openclaw-qqbot #240."""
    told = _ADDRESS.search(envelope.fields.text("message"))
    address = told.group() if told else _PUBLIC_ADDRESS
    return Lost(
        LostKind.BARRED,
        envelope.code,
        "QQ does not take requests from this machine's address",
        f"add {address} to the IP whitelist on q.qq.com, under development settings",
    )
