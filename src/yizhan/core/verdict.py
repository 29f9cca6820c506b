"""What a platform's reply means: a closed set.

A codec's `classify` is the only maker of verdicts, `core/reaction.py` the only place that matches over
them. `code` is the platform's own code as text (`-2`, `http 502`), `text` its words, bounded and without
secrets; both are shown to people and kept with the attempt.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivered:
    """The platform gave its receipt. Whether it was displayed, nobody can know."""

    receipt: str


@dataclass(frozen=True, slots=True)
class Ghost:
    """Accepted without a receipt. Final: resending would double what may be on the screen.

    `alarming`: the platform owed a receipt and gave none, as it does for what it shows to nobody; False where
    the account has never given one.
    """

    alarming: bool
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The request left, and what came back does not tell whether it was accepted. `wait_ms`: as of Throttled; a
    server that is overloaded may say when to come back. `audit`: the platform took it and holds it back until
    somebody there has looked at it; under this id it will say what became of it."""

    code: str
    text: str
    wait_ms: int | None = None
    audit: str = ""


@dataclass(frozen=True, slots=True)
class Throttled:
    """Refused for now. `wait_ms` is the server's hint, None without one; hints are clamped, never obeyed.

    `token_suspect`: the same answer is given for a token that is no longer honoured. `no_conversation`: it is
    also given where the other side has never written, and its first message would help.
    """

    code: str
    text: str
    wait_ms: int | None = None
    token_suspect: bool = False
    no_conversation: bool = False


@dataclass(frozen=True, slots=True)
class StaleToken:
    """The reply token is no longer honoured, or was needed and not there; the message itself was not judged.

    `certain`: the platform means just that, and no limit; nothing has to be found out.
    """

    code: str
    text: str
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Deferred:
    """No byte of the request reached the platform: the try was free and nothing can be doubled."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Refused for good: the same part will never be accepted.

    `instead`: the platform objects to how the text is dressed, and may take it in this form. `unfit`: a form that it
    takes from this account in no case.
    """

    code: str
    text: str
    instead: str = ""
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class Barred:
    """The account may not send until a person acts; `action` says what to do."""

    code: str
    text: str
    action: str


Verdict = Delivered | Ghost | InDoubt | Throttled | StaleToken | Deferred | Rejected | Barred

VERDICT_NAMES = ("Delivered", "Ghost", "InDoubt", "Throttled", "StaleToken", "Deferred", "Rejected", "Barred")


def name_of(verdict: Verdict) -> str:
    """The verdict's name as attempts and the API show it."""
    return type(verdict).__name__
