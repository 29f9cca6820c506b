"""The console's sentences in one of its languages, and which language that is.

States, verdicts and reasons of our own have words; what a platform or an agent said is shown as it was said.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from yizhan.model import Reason
from yizhan.web.console import advice
from yizhan.web.console.sentences import SENTENCES

LANGUAGES = MappingProxyType({"zh": "zh-CN", "en": "en"})
"""Language → its tag in HTML."""


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of one language: `words("older")`. An unknown name is an error of ours and raises KeyError."""

    language: str

    def __call__(self, name: str, /, **blanks: object) -> str:
        zh, en = SENTENCES[name]
        return (zh if self.language == "zh" else en).format(**blanks)

    @property
    def tag(self) -> str:
        """The language's tag for HTML."""
        return LANGUAGES[self.language]

    def span(self, span_ms: int) -> str:
        """A length of time as people say it: 20.4 s, 5 min, 24 h."""
        for name, unit_ms in (("hours", 3_600_000), ("minutes", 60_000)):
            if span_ms >= unit_ms and span_ms % unit_ms == 0:
                return self(name, n=span_ms // unit_ms)
        return self("seconds", n=f"{span_ms / 1000:g}")

    def known(self, name: str, otherwise: str) -> str:
        """The sentence of that name, or what somebody else called the thing."""
        return self(name) if name in SENTENCES else otherwise

    def reason(self, reason: Reason) -> str:
        """Why, in our words where the code is ours, else as the other side said it.

        What an agent said beside its code is for the operator too: it follows ours.
        """
        name = f"reason.{reason.code}"
        if name not in SENTENCES:
            return self("said", code=reason.code, text=advice.told(self.language, reason.text)[0])
        ours = self(name)
        return f"{ours} ({reason.text})" if reason.code.startswith("agent-") and reason.text else ours


def language_of(cookie: str | None, accept_language: str) -> str:
    """The language chosen in the console, else the browser's, else English."""
    if cookie is not None and cookie in LANGUAGES:
        return cookie
    for wish in sorted(accept_language.lower().split(","), key=_quality, reverse=True):
        language = wish.split(";")[0].strip().split("-")[0]
        if language in LANGUAGES:
            return language
    return "en"


def _quality(wish: str) -> float:
    _, _, quality = wish.partition(";q=")
    try:
        return float(quality) if quality else 1.0
    except ValueError:
        return 0.0
