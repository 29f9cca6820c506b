"""What is said of alerts in a chat: one message for many changes, rarely, and nothing of what is over already.

How to think of it. A *bulletin* gathers changes. What was raised and cleared before anybody was told cancels out; what
was told as open is told once more when it is over. Alerts of the account by which they would be told are left out: it
is the one that has the trouble, and a message about its messages would be the next of them.

A bulletin is an accepted message, and holds all that was pending. So after a restart the time of the last one tells
what people know: what was raised before it they know as open, what was cleared after it they do not know to be over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from yizhan.core.phrases import say
from yizhan.core.text import clean
from yizhan.model import AccountId, Alert, Severity

GATHER_MS = 10_000
"""From the first change to the bulletin: what one trouble causes comes together."""
LINES_MAX = 10
_NOTHING: Mapping[str, Alert] = {}


@dataclass(frozen=True, slots=True)
class Bulletin:
    """pending: changes that nobody was told yet, by alert; open_told: alerts that somebody was told are open."""

    teller: AccountId
    pending: Mapping[str, Alert] = field(default_factory=dict)
    open_told: frozenset[str] = frozenset()
    first_ms: int | None = None
    said_ms: int | None = None

    def noted(self, alert: Alert, now_ms: int) -> Bulletin:
        """An alert was raised or cleared."""
        if alert.account == self.teller:
            return self
        others = {name: other for name, other in self.pending.items() if name != alert.id}
        if alert.open == (alert.id in self.open_told):
            return replace(self, pending=others, first_ms=self.first_ms if others else None)
        first_ms = now_ms if self.first_ms is None else self.first_ms
        return replace(self, pending=others | {alert.id: alert}, first_ms=first_ms)

    def told_by(self, teller: AccountId) -> Bulletin:
        """It is this account that tells: what is about itself is left out."""
        left = {name: alert for name, alert in self.pending.items() if alert.account != teller}
        return replace(self, teller=teller, pending=left, first_ms=self.first_ms if left else None)

    def taken_up(self, known: Iterable[Alert], said_ms: int | None, now_ms: int) -> Bulletin:
        """As it stands after a restart.

        Args:  known    alerts that are open, and those that were until lately
               said_ms  when the last bulletin was accepted; None: never
        """
        alerts = tuple(known)
        told = {alert.id for alert in alerts if said_ms is not None and _open_at(alert, said_ms)}
        bulletin = replace(self, open_told=frozenset(told), said_ms=said_ms)
        for alert in alerts:
            bulletin = bulletin.noted(alert, now_ms)
        return bulletin

    def due_ms(self, every_ms: int) -> int | None:
        """When it is to be said; None: there is nothing to say."""
        if self.first_ms is None:
            return None
        earliest_ms = 0 if self.said_ms is None else self.said_ms + every_ms
        return max(self.first_ms + GATHER_MS, earliest_ms)

    def said(self, now_ms: int) -> Bulletin:
        told = {name for name, alert in self.pending.items() if alert.open}
        over = self.pending.keys() - told
        return replace(
            self,
            pending=_NOTHING,
            open_told=(self.open_told | told) - over,
            first_ms=None,
            said_ms=now_ms,
        )

    def unsaid(self, before: Bulletin, now_ms: int) -> Bulletin:
        """As if it had not been said: as `before`, with what has come since."""
        bulletin = before
        for alert in self.pending.values():
            bulletin = bulletin.noted(alert, now_ms)
        return bulletin

    def text(self, language: str) -> str:
        """The troubles first, the worst of them at the top; alerts never hold message text."""
        alerts = sorted(self.pending.values(), key=_weight)
        lines = [_line(alert, language) for alert in alerts[:LINES_MAX]]
        if more := len(alerts) - len(lines):
            lines.append(say(language, "more_alerts", more=more))
        return "\n".join([say(language, "alerts"), *lines])


def _open_at(alert: Alert, at_ms: int) -> bool:
    """Whether it was raised by then, and not cleared."""
    return alert.since_ms <= at_ms and (alert.cleared_at_ms is None or alert.cleared_at_ms > at_ms)


def _weight(alert: Alert) -> tuple[bool, bool, int, str]:
    return not alert.open, alert.severity is not Severity.CRITICAL, alert.since_ms, alert.id


def _line(alert: Alert, language: str) -> str:
    where = f" {alert.account}" if alert.account else ""
    if not alert.open:
        return f"✓ {say(language, 'alert_over')}{where}: {clean(alert.text)}"
    action = f" → {clean(alert.action)}" if alert.action else ""
    return f"{'‼' if alert.severity is Severity.CRITICAL else '!'}{where}: {clean(alert.text)}{action}"
