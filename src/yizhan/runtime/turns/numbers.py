"""What an operator may set of turns, as the rooms of this folder need it: seconds become milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from yizhan.core.sessions import SessionRules
from yizhan.model import Wanted, WhileBusy
from yizhan.settings import Settings


@dataclass(frozen=True, slots=True)
class TurnNumbers:
    """docs/configuration.md, turns. `failure_notice` None: our own sentence; empty: none."""

    language: str
    debounce_ms: int
    debounce_long_ms: int
    debounce_long_chars: int
    workers: int
    timeout_ms: int
    later_ms: int
    while_busy: WhileBusy
    first_sentence: Wanted
    progress: Wanted
    progress_every_ms: int
    progress_max: int
    ack_before_ms: int
    failure_notice: str | None
    shows_codes: bool
    sessions: SessionRules

    @classmethod
    def of(cls, settings: Settings, zone: str) -> TurnNumbers:
        return cls(
            language=settings.language,
            debounce_ms=_ms(settings.turns.debounce_s),
            debounce_long_ms=_ms(settings.turns.debounce_long_s),
            debounce_long_chars=settings.turns.debounce_long_chars,
            workers=settings.turns.workers,
            timeout_ms=_ms(settings.turns.timeout_s),
            later_ms=_ms(settings.turns.later_s),
            while_busy=WhileBusy(settings.turns.while_busy),
            first_sentence=Wanted(settings.turns.first_sentence),
            progress=Wanted(settings.turns.progress),
            progress_every_ms=_ms(settings.turns.progress_every_s),
            progress_max=settings.turns.progress_max,
            ack_before_ms=_ms(settings.turns.ack_before_s),
            failure_notice=settings.turns.failure_notice,
            shows_codes=settings.access.show_code,
            sessions=_session_rules_of(settings, zone),
        )


def _session_rules_of(settings: Settings, zone: str) -> SessionRules:
    given = settings.sessions
    return SessionRules(
        idle_ms=_ms(given.idle_s),
        daily_hour=given.daily_hour,
        zone=given.zone or zone,
        by_person=given.groups == "person",
    )


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
