"""What a reply to a send means: the only maker of verdicts for iLink.

The order of the questions matters. Did anything come back? Is it an answer of the API? Does it refuse (both
`ret` and `errcode` count)? Is there a receipt? Only then may a reply be called delivered. What the words of
a refusal mean stands in `policy.REFUSALS`; what is not a refusal and not a receipt is in doubt or a ghost.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import assert_never

from yizhan.core.verdict import (
    Deferred,
    Delivered,
    Ghost,
    InDoubt,
    Rejected,
    StaleToken,
    Throttled,
    Verdict,
)
from yizhan.platforms.fields import Fields, Odd
from yizhan.platforms.ilink.body import Envelope, open_envelope
from yizhan.platforms.ilink.policy import (
    ALLOWANCE,
    HINT_MAX_MS,
    HTTP_REFUSAL_ELSE,
    HTTP_REFUSALS,
    NEVER_SEEN,
    REFUSALS,
    TEXT_LIMIT_BYTES,
    Meaning,
    Refusal,
)
from yizhan.ports import Absence, AbsenceKind, Answer, Evidence, Reply

_HINTS_MS = (("retry_after_ms", 1), ("retryAfterMs", 1), ("retry_after", 1_000), ("retryAfter", 1_000))
"""Names under which a body might say how long to wait, with the milliseconds of their unit."""
_HINTS_WITHIN = ("data", "error")
"""Objects of a body in which such a name might stand, after the body itself."""
_NUMBER = re.compile(r"\+?\d{1,15}(\.\d{1,9})?")
"""What is believed to be a wait. A negative one is no wait, and no more than a word like "soon"."""


def classify(reply: Reply, evidence: Evidence) -> Verdict:
    """The verdict on the reply to a send. Total: every reply has one."""
    if isinstance(reply, Absence):
        return _absent(reply)
    envelope = open_envelope(reply.body)
    if 400 <= reply.status < 500:
        return _refused_by_status(reply, envelope, evidence)
    if not 200 <= reply.status < 300:
        return _in_trouble(reply, envelope, evidence)
    if isinstance(envelope, Odd):
        return InDoubt(envelope.code, envelope.text)
    if envelope.code:
        return _refused(envelope, reply, evidence)
    return _accepted(envelope, evidence)


def _absent(absence: Absence) -> Verdict:
    if absence.kind is AbsenceKind.NOT_SENT:
        return Deferred(absence.kind.value, absence.text)
    return InDoubt(absence.kind.value, absence.text)


def _in_trouble(answer: Answer, envelope: Envelope | Odd, evidence: Evidence) -> InDoubt:
    """5xx and what is no answer at all: nobody knows what was done; only when to come back may be told."""
    opened = envelope if isinstance(envelope, Envelope) else None
    words = "the server or something before it is in trouble"
    if 300 <= answer.status < 400:
        words = "the server sends us to another address, where no token of ours goes; check the base URL"
    return InDoubt(f"http {answer.status}", words, _hint_ms(answer, opened, evidence))


def _accepted(envelope: Envelope, evidence: Evidence) -> Verdict:
    """No refusal: a receipt, or one of the ways of giving none.

    Source: Tencent/openclaw-weixin #263, #278 (`{"ret":0}` without an id is not shown);
    2.4.5 and before, and their tests (`{}` is the normal success).
    """
    receipt = envelope.fields.identifier("message_id")
    if isinstance(receipt, Odd):
        return InDoubt(receipt.code, receipt.text)
    if receipt is not None:
        return Delivered(receipt)
    if envelope.code == 0:
        return Ghost(
            alarming=True, code="0", text="accepted without a receipt; such messages are usually not shown"
        )
    if not _says_nothing(envelope):
        return InDoubt("no-code", "the answer has neither a code nor a receipt")
    if evidence.gives_receipts:
        return InDoubt("empty", "an empty answer, though this account is given receipts")
    return Ghost(alarming=False, code="empty", text="accepted by a server that gives no receipts")


def _says_nothing(envelope: Envelope) -> bool:
    """`{}`, as far as anyone can tell."""
    return all(name in ("errmsg", "message_id") for name in envelope.fields.filled()) and (
        envelope.words.lower() in ("", "ok")
    )


def _refused(envelope: Envelope, answer: Answer, evidence: Evidence) -> Verdict:
    code = envelope.code or 0
    row = _row(code, envelope.words)
    meaning = row.with_token if evidence.with_token else row.without_token
    if code in (-2, -3) and evidence.text_bytes > TEXT_LIMIT_BYTES:
        meaning = Meaning.NEVER
    words = (envelope.words or "refused without a word") + _likely_cause(meaning, evidence)
    return _verdict(meaning, str(code), words, _hint_ms(answer, envelope, evidence))


def _likely_cause(meaning: Meaning, evidence: Evidence) -> str:
    """What the use and the age of the token make of a refusal that has many causes. For people only: the same
    answer is given to a limit, and nothing but trying tells them apart."""
    if meaning is Meaning.NEVER:
        return "; the text is larger than WeChat takes"
    if meaning is not Meaning.LIMIT_OR_TOKEN:
        return ""
    if evidence.token_sends >= ALLOWANCE.sends:
        return f"; {evidence.token_sends} answers went out since the user last wrote, which is what WeChat allows"
    if evidence.token_age_ms is not None and evidence.token_age_ms >= ALLOWANCE.window_ms:
        hours = evidence.token_age_ms // 3_600_000
        return f"; the user last wrote {hours} hours ago, and WeChat allows answers for a day"
    return ""


def _row(code: int, words: str) -> Refusal:
    for row in REFUSALS:
        if row.code == code and re.search(row.words, words, re.IGNORECASE):
            return row
    return NEVER_SEEN


def _refused_by_status(answer: Answer, envelope: Envelope | Odd, evidence: Evidence) -> Verdict:
    """A 4xx refuses in any case; a code in its body says it better than the status."""
    if isinstance(envelope, Envelope) and envelope.code:
        return _refused(envelope, answer, evidence)
    meaning, words = HTTP_REFUSALS.get(answer.status, HTTP_REFUSAL_ELSE)
    opened = envelope if isinstance(envelope, Envelope) else None
    return _verdict(meaning, f"http {answer.status}", words, _hint_ms(answer, opened, evidence))


def _verdict(meaning: Meaning, code: str, words: str, wait_ms: int | None) -> Verdict:
    match meaning:
        case Meaning.LIMIT:
            return Throttled(code, words, wait_ms)
        case Meaning.LIMIT_OR_USER:
            return Throttled(code, words, wait_ms, no_conversation=True)
        case Meaning.LIMIT_OR_TOKEN:
            return Throttled(code, words, wait_ms, token_suspect=True)
        case Meaning.TOKEN:
            return StaleToken(code, words)
        case Meaning.NEVER:
            return Rejected(code, words)
    assert_never(meaning)


def _hint_ms(answer: Answer, envelope: Envelope | None, evidence: Evidence) -> int | None:
    """How long the server asks to wait, clamped to an hour; None if it does not say.

    The body's word before the header's. Source of the header: RFC 9110, 10.2.3; no hint was ever seen from iLink.
    """
    for fields in _hint_places(envelope):
        for name, unit_ms in _HINTS_MS:
            hint = _number(fields.number_text(name))
            if hint is not None:
                return _clamped(hint * unit_ms)
    header = _header(answer, "retry-after")
    seconds = _number(header)
    if seconds is None:
        seconds = _seconds_until(header, _moment(_header(answer, "date")), evidence.now_ms)
    return None if seconds is None else _clamped(seconds * 1_000)


def _hint_places(envelope: Envelope | None) -> tuple[Fields, ...]:
    if envelope is None:
        return ()
    nested = (envelope.fields.child(name) for name in _HINTS_WITHIN)
    return (envelope.fields, *(fields for fields in nested if fields is not None))


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if text.isascii() and _NUMBER.fullmatch(text) else None


def _clamped(wait_ms: float) -> int:
    return min(HINT_MAX_MS, math.ceil(wait_ms))


def _header(answer: Answer, name: str) -> str:
    return next((value for key, value in answer.headers.items() if key.lower() == name), "")


def _seconds_until(then: str, now: datetime | None, now_ms: int | None) -> float | None:
    """To the date of a hint from the answer's own date, so that whatever our clock says does not matter; from our
    clock where the answer has none. A date that has passed is no hint."""
    end = _moment(then)
    if now is None and now_ms is not None:
        now = datetime.fromtimestamp(now_ms / 1_000, UTC)
    if end is None or now is None:
        return None
    seconds = (end - now).total_seconds()
    return seconds if seconds >= 0 else None


def _moment(text: str) -> datetime | None:
    """A date in any of HTTP's three forms; all of them mean UTC."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
