"""Alerts as HTML: what a person should know of, in the reader's language, and the page on which to act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from yizhan.model import Alert, AlertKind, Severity, Target
from yizhan.web.console import advice, complaints, links
from yizhan.web.console.markup import Html, moment, tag
from yizhan.web.console.words import Words

ALERTS_SHOWN = 10
COMMAND = "yizhan "
"""How advice begins that is for a terminal; where a page does the same, its link stands instead."""

STATES: Mapping[AlertKind, str] = {
    AlertKind.UNCONFIRMED: "unconfirmed",
    AlertKind.DEAD_LETTER: "failed",
    AlertKind.EXPIRED: "expired",
    AlertKind.WAITING: "live",
    AlertKind.QUEUE: "live",
    AlertKind.LIMITED: "live",
    AlertKind.IN_DOUBT: "live",
}
"""Alerts about messages, and which of them the outbox is to show."""


def alerts(words: Words, known: Sequence[Alert]) -> Html:
    """What a person should know of, the worst first; nothing where all is well."""
    if not known:
        return Html("")
    worst_first = sorted(known, key=lambda alert: alert.severity is not Severity.CRITICAL)
    shown = [_alert(words, alert) for alert in worst_first[:ALERTS_SHOWN]]
    if len(known) > ALERTS_SHOWN:
        shown.append(tag("li", words("alerts.more", n=len(known) - ALERTS_SHOWN)))
    return tag("section", tag("h2", words("alerts")), tag("ul", *shown), class_="alerts", role="status")


def _alert(words: Words, alert: Alert) -> Html:
    where = None
    if alert.account and alert.chat:
        where = tag("a", tag("bdi", alert.chat), href=links.chat(Target(alert.account, alert.chat)))
    text, language = _said(words, alert.text)
    return tag(
        "li",
        tag(
            "strong",
            words(f"alert.{alert.kind}"),
            class_="tone-bad" if alert.severity is Severity.CRITICAL else "tone-wait",
        ),
        tag("bdi", alert.account, class_="quiet") if alert.account else None,
        where,
        tag("span", words("since"), " ", moment(alert.since_ms), class_="quiet nowrap"),
        tag("span", text, class_="why", lang=language) if text else None,
        _action(words, alert),
        _way(words, alert),
        data_alert=alert.kind.value,
    )


def _said(words: Words, text: str) -> tuple[str, str]:
    """In the reader's language, as far as it is known there; and in which it is."""
    said, language = advice.told(words.language, text)
    return complaints.told(words.language, said) if language != words.language else (said, language)


def _action(words: Words, alert: Alert) -> Html | None:
    """What to do, unless the link beside it leads there."""
    command = alert.action.startswith(COMMAND)
    if not alert.action or (command and way_of(alert)):
        return None
    action, language = _said(words, alert.action)
    return tag("code" if command and language == "en" else "span", action, lang=language)


def _way(words: Words, alert: Alert) -> Html | None:
    way = way_of(alert)
    if way is None:
        return None
    name = "messages" if alert.kind in STATES else alert.kind.value
    return tag("a", words(f"alert.do.{name}"), href=way)


def way_of(alert: Alert) -> str | None:
    """The page on which one can do something about it."""
    if alert.kind in STATES:
        chat = str(Target(alert.account, alert.chat)) if alert.account and alert.chat else ""
        cause = "operator" if alert.kind is AlertKind.IN_DOUBT else ""
        state = STATES[alert.kind]
        return links.asking(links.OUTBOX, state=state, account=alert.account or "", chat=chat, cause=cause)
    return {AlertKind.LOGIN_NEEDED: links.ACCOUNTS, AlertKind.SCHEDULE: links.SCHEDULES}.get(alert.kind)
