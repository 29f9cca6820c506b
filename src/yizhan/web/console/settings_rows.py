"""What is in force, and the keys of programs, as HTML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from yizhan.model import ApiKey, Webhook
from yizhan.settings import Settings, keys
from yizhan.web.console import controls, links
from yizhan.web.console.markup import Html, join, moment, tag
from yizhan.web.console.words import Words
from yizhan.web.health import without_secrets

SCOPES = ("read", "send", "admin")
VALUE_MAX = 200


def flat(shape: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as (dotted name, value); a section is opened, everything else is a value."""
    for name, value in shape.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def defaults_of(settings: Settings) -> dict[str, Any]:
    """Dotted name → default, as JSON shows it; of agents too, as far as theirs have one."""
    known = list(keys())
    for name, agent in settings.agents.items():
        known += keys(type(agent), f"agents.{name}.")
    return {name: json.loads(json.dumps(value, default=str)) for name, value, _ in known}


def settings_tables(words: Words, settings: Settings) -> Html:
    """First what somebody has set, then everything, folded; each with where its value comes from."""
    rows = list(flat(without_secrets(settings)))
    sources = sources_of(settings, rows)
    chosen = [row for row in rows if sources[row[0]] != "default"]
    first = (
        _table(words, "settings.changed", chosen, sources)
        if chosen
        else tag("p", words("settings.unchanged"), class_="quiet")
    )
    told = tag("summary", words("settings.all"))
    every = tag("details", told, _table(words, "settings.all", rows, sources), class_="panel")
    return join(tag("p", words("settings.how"), class_="quiet"), first, every)


def sources_of(settings: Settings, rows: Sequence[tuple[str, Any]]) -> dict[str, str]:
    """Dotted name → where its value comes from. Of what nobody has told, its difference from the default tells."""
    defaults = defaults_of(settings)
    return {
        name: settings.sources.get(name) or ("default" if defaults.get(name, ...) == value else "set")
        for name, value in rows
    }


def _table(words: Words, caption: str, rows: Sequence[tuple[str, Any]], sources: Mapping[str, str]) -> Html:
    heads = [words("settings.name"), words("settings.value"), words("settings.source")]
    made = [_row(words, name, value, sources[name]) for name, value in rows]
    return controls.table(words(caption), heads, made, "settings")


def _row(words: Words, name: str, value: Any, source: str) -> Html:
    return tag(
        "tr",
        tag("th", tag("code", name), scope="row"),
        tag("td", tag("bdi", _value(value)), data_label=words("settings.value"), class_="value"),
        tag("td", words(f"settings.{source}"), data_label=words("settings.source"), class_="quiet"),
        data_setting=name,
    )


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_MAX else text[:VALUE_MAX] + "…"


def key_table(words: Words, known: Sequence[ApiKey]) -> Html:
    """The keys in use first; revoked ones stay listed."""
    if not known:
        return tag("p", words("keys.none"), class_="quiet")
    in_order = sorted(known, key=lambda key: (key.revoked_at_ms is not None, -key.created_at_ms))
    heads = [words("keys.name"), words("keys.scopes"), words("keys.made"), words("acts")]
    return controls.table(words("keys"), heads, [_key(words, key) for key in in_order], "keys")


def _key(words: Words, key: ApiKey) -> Html:
    scopes = " · ".join(words(f"keys.{scope}") for scope in SCOPES if scope in key.scopes)
    sure = words("keys.revoke.sure", name=key.name)
    end: Html = controls.button(
        "revoke", words("keys.revoke"), "small danger", data_about=key.id, data_confirm=sure
    )
    if key.revoked_at_ms is not None:
        end = tag("span", words("keys.revoked"), " ", moment(key.revoked_at_ms), class_="quiet")
    return tag(
        "tr",
        tag("th", tag("bdi", key.name), scope="row"),
        tag("td", scopes, data_label=words("keys.scopes")),
        tag("td", moment(key.created_at_ms), data_label=words("keys.made")),
        tag("td", end),
        data_key=key.id,
    )


def webhooks_panel(words: Words, hooks: Sequence[Webhook]) -> Html:
    """How many there are and whether their posts are taken, and the way to them."""
    failing = sum(1 for hook in hooks if hook.failures and not hook.paused)
    told = [tag("span", words("webhooks.count", n=len(hooks)))]
    if failing:
        told.append(tag("span", words("webhooks.count.failing", n=failing), class_="tone-bad"))
    return tag(
        "section",
        tag("h2", words("webhooks")),
        tag("p", words("webhooks.how"), class_="quiet"),
        tag("p", *told, tag("a", words("webhooks.open"), href=links.WEBHOOKS), class_="summary"),
        class_="panel",
    )


def key_form(words: Words) -> Html:
    scopes = [
        controls.check("scope", scope, words(f"keys.{scope}"), words(f"keys.{scope}.means"))
        for scope in SCOPES
    ]
    legend = tag("legend", words("keys.scopes"))
    return controls.form(
        "key",
        controls.field("purpose", words("keys.name"), required=True, maxlength=100),
        tag("fieldset", legend, *scopes),
        controls.buttons(controls.submit(words("keys.make"))),
    )


def new_key(words: Words, text: str) -> Html:
    """The key's text, this once. It stands nowhere else."""
    return tag("div", tag("p", words("keys.new")), tag("code", text, class_="key-text"), class_="banner good")
