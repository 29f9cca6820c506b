"""What a reply to a send means: the only maker of verdicts for QQ.

Did anything come back? Is it an answer of the API? Does it carry a code, whatever its status? What the code means
stands in `refusals.py`. Only then may an id make it delivered, and only if QQ showed that it saw the bot: what it
accepts from a bot whose connection is gone, it may show to nobody.
Source: openclaw-qqbot #254, #299 (accepted 55 to 150 s after a close, and never shown).
"""

from __future__ import annotations

from typing import assert_never

from yizhan.core.verdict import (
    Barred,
    Deferred,
    Delivered,
    Ghost,
    InDoubt,
    Rejected,
    StaleToken,
    Throttled,
    Verdict,
)
from yizhan.platforms.fields import Odd
from yizhan.platforms.qq import forms
from yizhan.platforms.qq.answers import Envelope, open_answer, refused
from yizhan.platforms.qq.refusals import (
    HTTP_REFUSAL_ELSE,
    HTTP_REFUSALS,
    REFUSALS,
    Meaning,
    Refusal,
)
from yizhan.ports import Absence, AbsenceKind, Answer, Evidence, Reply


def classify(reply: Reply, evidence: Evidence) -> Verdict:
    """The verdict on the reply to a send. Total."""
    if isinstance(reply, Absence):
        return _absent(reply)
    envelope = open_answer(reply)
    if isinstance(envelope, Odd):
        return _odd(reply, envelope)
    refusal = _refusal(envelope)
    if refusal is not None:
        return _verdict(refusal, envelope, evidence)
    if envelope.status >= 500 or envelope.status < 200:
        return InDoubt(envelope.code, "QQ, or something before it, is in trouble")
    return _accepted(envelope, reply.seen)


def _absent(absence: Absence) -> Verdict:
    if absence.kind is AbsenceKind.NOT_SENT:
        return Deferred(absence.kind.value, absence.text)
    return InDoubt(absence.kind.value, absence.text)


def _odd(answer: Answer, odd: Odd) -> Verdict:
    """A page of a proxy with a status of refusal has refused; anything else may have been carried out."""
    refusal = HTTP_REFUSALS.get(answer.status)
    if refusal is not None and refusal.meaning is Meaning.LIMIT:
        return Throttled(f"http {answer.status}", refusal.text, refusal.wait_ms)
    return InDoubt(odd.code, odd.text)


def _refusal(envelope: Envelope) -> Refusal | None:
    """The row of the first code that is known; for unknown ones the status decides. None: nothing was refused."""
    for code in envelope.codes:
        if code in REFUSALS:
            return REFUSALS[code]
    if envelope.fields.child("data") is not None and _audit_id(envelope):
        return REFUSALS[304023]
    if 400 <= envelope.status < 500:
        return HTTP_REFUSALS.get(envelope.status, HTTP_REFUSAL_ELSE)
    return HTTP_REFUSAL_ELSE if envelope.codes and envelope.status < 400 else None


def _accepted(envelope: Envelope, seen: bool) -> Verdict:
    receipt = envelope.fields.text("id").strip()
    if not receipt or len(receipt) > 512 or not receipt.isprintable():
        return InDoubt("no-receipt", "the answer has neither a code nor an id")
    if not seen:
        return Ghost(
            alarming=False,
            code="not-connected",
            text="accepted while QQ may not have seen the bot; perhaps not shown",
        )
    return Delivered(receipt)


def _verdict(refusal: Refusal, envelope: Envelope, evidence: Evidence) -> Verdict:
    code = envelope.code
    text = f"{refusal.text}: {envelope.words}" if envelope.words else refusal.text
    match refusal.meaning:
        case Meaning.LIMIT | Meaning.TOKEN:
            return Throttled(code, text, refusal.wait_ms)
        case Meaning.PERMISSION:
            return _permission(code, text, evidence)
        case Meaning.SWITCH:
            return StaleToken(code, text, certain=True)
        case Meaning.NEVER:
            return Rejected(code, text)
        case Meaning.PLAIN:
            unfit = forms.MARKDOWN if refusal.lasting and evidence.form == forms.MARKDOWN else ""
            return Rejected(code, text, instead=forms.after_markdown(evidence.form), unfit=unfit)
        case Meaning.NO_LINK:
            unfit = forms.PLAIN if refusal.lasting else ""
            return Rejected(code, text, instead=forms.after_link(evidence.form), unfit=unfit)
        case Meaning.DUPLICATE:
            return Delivered(code) if evidence.repeated else Throttled(code, text)
        case Meaning.AUDIT:
            audit = _audit_id(envelope)
            return InDoubt(code, text, audit=audit) if audit else Ghost(alarming=False, code=code, text=text)
        case Meaning.PERSON:
            return _barred(envelope, code, text, refusal)
        case _:
            assert_never(refusal.meaning)


def _permission(code: str, text: str, evidence: Evidence) -> Verdict:
    """Without a token nothing was answered that could be too old: a limit, then."""
    return StaleToken(code, text, certain=True) if evidence.with_token else Throttled(code, text)


def _barred(envelope: Envelope, code: str, text: str, refusal: Refusal) -> Barred:
    """The line's own words where it has some: they name the address."""
    action = refused(envelope).action or refusal.action
    return Barred(code, text, action)


def _audit_id(envelope: Envelope) -> str:
    data = envelope.fields.child("data")
    audit = data.child("message_audit") if data else None
    return audit.text("audit_id").strip()[:512] if audit else ""
