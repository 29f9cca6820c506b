"""People as HTML: who asked and with which words, who is allowed, who is blocked."""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.core.text import shorten
from yizhan.model import AccountId, Rule, SenderRule
from yizhan.settings import Access
from yizhan.web.console import controls
from yizhan.web.console.markup import Html, moment, tag
from yizhan.web.console.words import Words

PAGE_ROWS = 50
FIRST_WORDS = 160
ORDER = {Rule.PENDING: 0, Rule.ALLOW: 1, Rule.BLOCK: 2}
TONES = {Rule.PENDING: "wait", Rule.ALLOW: "good", Rule.BLOCK: "bad"}
NAMES = {Rule.PENDING: "people.pending", Rule.ALLOW: "people.allow", Rule.BLOCK: "people.block"}


def in_order(rules: Sequence[SenderRule]) -> list[SenderRule]:
    """Who waits for a decision comes first; then the last seen."""
    return sorted(rules, key=lambda rule: (ORDER[rule.rule], -(rule.last_seen_at_ms or 0), rule.sender_id))


def policy(words: Words, access: Access) -> Html:
    configured = words("people.configured", n=len(access.allow)) if access.allow else None
    return tag(
        "p",
        words(f"people.policy.{access.policy}"),
        tag("span", configured, class_="quiet") if configured else None,
        class_="about",
    )


def people_table(words: Words, rules: Sequence[SenderRule]) -> Html:
    if not rules:
        return controls.empty(words("people.none"))
    heads = [words(f"people.{name}") for name in ("who", "deed", "first", "seen")]
    return controls.table(words("people"), heads, [_row(words, rule) for rule in rules], "people")


def _row(words: Words, rule: SenderRule) -> Html:
    seen = moment(rule.last_seen_at_ms, "ago") if rule.last_seen_at_ms else words("never")
    refused = (
        tag("span", words("people.refused", n=rule.refused), class_="quiet id") if rule.refused else None
    )
    first = tag("bdi", shorten(rule.first_text, FIRST_WORDS), dir="auto") if rule.first_text else "–"
    return tag(
        "tr",
        tag(
            "th",
            tag("bdi", rule.sender_name or rule.sender_id),
            tag("bdi", rule.sender_id, class_="quiet id") if rule.sender_name else None,
            tag("bdi", rule.account, class_="quiet id"),
            scope="row",
        ),
        tag(
            "td",
            tag("span", words(NAMES[rule.rule]), class_=f"mark {TONES[rule.rule]}"),
            _decisions(words, rule),
        ),
        tag("td", first, data_label=words("people.first"), class_="said"),
        tag("td", seen, refused, data_label=words("people.seen")),
        data_sender=rule.sender_id,
        data_rule=rule.rule.value,
    )


def _decisions(words: Words, rule: SenderRule) -> Html:
    about = f"{rule.account} {rule.sender_id}"
    wanted = [("allow", Rule.ALLOW), ("block", Rule.BLOCK)]
    made = [
        controls.button(
            act, words(f"people.do.{act}"), "small primary" if act == "allow" else "small", data_about=about
        )
        for act, leads_to in wanted
        if rule.rule is not leads_to
    ]
    return controls.buttons(*made)


def allow_form(words: Words, accounts: Sequence[AccountId]) -> Html:
    """Somebody who has not written yet."""
    options = [(account, account) for account in accounts]
    return controls.form(
        "add",
        controls.choice("account", words("filter.account"), options, ""),
        controls.field("sender", words("people.id"), required=True, maxlength=400),
        controls.submit(words("people.do.allow"), ""),
    )
