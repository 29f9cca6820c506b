"""Buttons, fields and pagers as HTML. Each says what it asks for; static/console.js carries it to the page."""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.web.console.markup import Attribute, Child, Html, join, tag
from yizhan.web.console.words import Words


def button(act: str, text: str, look: str = "", **more: Attribute) -> Html:
    """A button that asks for an act. `data_about`: of what; `data_confirm`: what is asked before."""
    return tag("button", text, type="button", class_=f"button {look}".strip(), data_do=act, **more)


def submit(text: str, look: str = "primary", **more: Attribute) -> Html:
    return tag("button", text, type="submit", class_=f"button {look}".strip(), **more)


def field(name: str, label: str, **more: Attribute) -> Html:
    """One line to type, under its label. Its name must be none that a form or a document has, such as `name` or
    `after`: the browser's cleaner takes those away, and what is typed goes nowhere."""
    box = tag("input", name=name, id=f"in-{name}", type=more.pop("type", "text"), class_="box", **more)
    return tag("p", tag("label", label, for_=f"in-{name}"), box, class_="field")


def check(name: str, value: str, label: str, means: str = "") -> Html:
    box = tag("input", type="checkbox", name=name, value=value, id=f"in-{name}-{value}")
    text = tag(
        "label", label, tag("span", means, class_="quiet") if means else None, for_=f"in-{name}-{value}"
    )
    return tag("p", box, text, class_="check")


def choice(
    name: str, label: str, options: Sequence[tuple[str, str]], chosen: str, *, goes: bool = False
) -> Html:
    """A list to choose from, `(value, words)`. `goes`: choosing sends the form."""
    made = [tag("option", words, value=value, selected=value == chosen) for value, words in options]
    box = tag("select", *made, name=name, id=f"in-{name}", class_="box", data_go=goes or None)
    return tag("p", tag("label", label, for_=f"in-{name}"), box, class_="field")


def form(act: str, *children: Child, **more: Attribute) -> Html:
    """A form that a page takes by the name of its act."""
    return tag("form", *children, data_do=act, id=act, autocomplete="off", class_="form", **more)


def search(words: Words, page: str, label: str, typed: str, **kept: str) -> Html:
    """A line to search by. It is an ordinary form: what was searched for stands in the address."""
    hidden = [tag("input", type="hidden", name=name, value=value) for name, value in kept.items() if value]
    box = tag(
        "input", type="search", name="search", value=typed, aria_label=label, placeholder=label, class_="box"
    )
    return tag(
        "form",
        *hidden,
        box,
        submit(words("search"), ""),
        action=page,
        method="get",
        role="search",
        class_="search",
    )


def pager(words: Words, newer: bool, older: bool) -> Html:
    if not (newer or older):
        return Html("")
    return tag(
        "nav",
        button("newer", words("newer"), disabled=not newer),
        button("older", words("older"), disabled=not older),
        class_="pager",
        aria_label=words("pages"),
    )


def empty(title: str, text: str = "") -> Html:
    return tag("div", tag("h2", title), tag("p", text) if text else None, class_="empty")


def table(caption: str, heads: Sequence[Child], rows: Sequence[Html], look: str) -> Html:
    """A table that a screen reader can name. A head that is empty stands above nothing but buttons."""
    cells = [tag("th", head, scope="col") if head else tag("td") for head in heads]
    return tag(
        "table",
        tag("caption", caption, class_="unseen"),
        tag("thead", tag("tr", *cells)),
        tag("tbody", *rows),
        class_=f"list {look}",
    )


def buttons(*made: Child) -> Html:
    return tag("div", join(*made), class_="buttons")
