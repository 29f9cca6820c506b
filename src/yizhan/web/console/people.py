"""People as HTML: who asked and with which words, who is allowed, who is blocked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yizhan.core.text import shorten
from yizhan.model import AccountId, Rule, SenderRule
from yizhan.settings import Access
from yizhan.web.console import controls
from yizhan.web.console.markup import Html, moment, tag
from yizhan.web.console.words import Words

PAGE_ROWS = 50
FIRST_WORDS = 160
NAMES_SHOWN = 20
ORDER = {Rule.PENDING: 0, Rule.ALLOW: 1, Rule.BLOCK: 2}
TONES = {Rule.PENDING: "wait", Rule.ALLOW: "good", Rule.BLOCK: "bad"}
NAMES = {Rule.PENDING: "people.pending", Rule.ALLOW: "people.allow", Rule.BLOCK: "people.block"}


def in_order(rules: Sequence[SenderRule]) -> list[SenderRule]:
    """Who waits for a decision comes first; then the last seen."""
    return sorted(rules, key=lambda rule: (ORDER[rule.rule], -(rule.last_seen_at_ms or 0), rule.sender_id))


def policy(words: Words, access: Access) -> Html:
    return tag("p", words(f"people.policy.{access.policy}"), class_="about")


@dataclass(frozen=True, slots=True)
class Configured:
    """Who is allowed without a decision. `owners`: account → who confirmed its login."""

    access: Access
    sources: Mapping[str, str]
    owners: Mapping[AccountId, str]

    def role(self, account: AccountId, sender: str) -> str | None:
        """The most that a sender is by configuration or login; None: nothing."""
        if self.owners.get(account) == sender:
            return "owner"
        if sender in self.access.admins:
            return "admin"
        return "configured" if sender in self.access.allow else None


def configured_panel(words: Words, configured: Configured) -> Html:
    """Every rule that stands in no row, with the setting and where its value comes from."""
    access = configured.access
    told: list[tuple[str, list[str]]] = [
        ("access.policy", [words(f"people.policy.{access.policy}")]),
        ("access.allow", list(access.allow)),
        ("access.admins", list(access.admins)),
        ("access.groups", [words(f"people.groups.{access.groups}")]),
    ]
    if access.group_allow:
        told.append(("access.group_allow", list(access.group_allow)))
    told += [
        (f"access.{name}", [str(most)])
        for name, most in (("per_minute", access.per_minute), ("per_day", access.per_day))
        if most
    ]
    rows = [_setting(words, name, values, configured.sources) for name, values in told]
    owners = [f"{person} · {account}" for account, person in configured.owners.items() if person]
    rows.insert(3, tag("div", tag("dt", words("people.owners")), tag("dd", *_some(words, owners))))
    return tag(
        "details",
        tag("summary", words("people.configured")),
        tag("p", words("people.configured.how"), class_="quiet"),
        tag("dl", *rows, class_="rules"),
        class_="panel",
    )


def _setting(words: Words, name: str, values: Sequence[str], sources: Mapping[str, str]) -> Html:
    source = words(f"settings.{sources.get(name, 'default')}")
    return tag(
        "div",
        tag("dt", words(f"people.{name}")),
        tag("dd", *_some(words, values), tag("span", tag("code", name), " ", source, class_="quiet id")),
    )


def _some(words: Words, values: Sequence[str]) -> list[Html]:
    shown = [tag("bdi", value, class_="one") for value in values[:NAMES_SHOWN]]
    if len(values) > NAMES_SHOWN:
        shown.append(tag("span", f"+ {len(values) - NAMES_SHOWN}", class_="quiet"))
    return shown or [tag("span", words("people.nobody"), class_="quiet")]


def people_table(words: Words, rules: Sequence[SenderRule], configured: Configured) -> Html:
    if not rules:
        return controls.empty(words("people.none"))
    heads = [words(f"people.{name}") for name in ("who", "deed", "first", "seen")]
    return controls.table(words("people"), heads, [_row(words, rule, configured) for rule in rules], "people")


def _row(words: Words, rule: SenderRule, configured: Configured) -> Html:
    role = configured.role(rule.account, rule.sender_id)
    seen = moment(rule.last_seen_at_ms, "ago") if rule.last_seen_at_ms else words("never")
    refused = _refused(words, rule)
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
            tag("span", words(f"people.role.{role}"), class_="tag ours") if role else None,
            tag("span", words("people.code", code=rule.code), class_="quiet id") if rule.code else None,
            _decisions(words, rule),
        ),
        tag("td", first, data_label=words("people.first"), class_="said"),
        tag("td", seen, refused, data_label=words("people.seen")),
        data_sender=rule.sender_id,
        data_rule=rule.rule.value,
    )


def _refused(words: Words, rule: SenderRule) -> Html | None:
    """How many messages were not answered, and the rule that refused the last of them."""
    if not rule.refused:
        return None
    told = words("people.refused", n=rule.refused)
    why = words.known(f"rule.{rule.refused_by}", rule.refused_by)
    return tag("span", f"{told}: {why}" if why else told, class_="quiet id")


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


def approve_form(words: Words) -> Html:
    """Somebody who was told a code."""
    return controls.form(
        "approve",
        tag("p", words("people.approve.how"), class_="quiet"),
        controls.field("code", words("people.approve.code"), required=True, maxlength=40),
        controls.submit(words("people.do.allow"), ""),
    )
