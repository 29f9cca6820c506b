"""HTML from values. Whatever is not Html already is escaped, so that a message can never become markup.

Times leave as `<time>` elements that carry milliseconds: only the browser knows its time zone, and
static/console.js writes them out and keeps "in 12 s" true without asking us.
"""

from __future__ import annotations

import html
import re

from yizhan.core.contract import time_text

Attribute = str | int | bool | None


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | None

_VOID = frozenset({"input", "path", "circle", "br"})
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Control characters as their pictures (␀ …), marks that turn the reading direction as �."""
    text = text.replace("\r\n", "\n")
    pictured = _UNSEEN.sub(lambda found: "␡" if found[0] == "\x7f" else chr(0x2400 + ord(found[0])), text)
    return _BIDI.sub("\ufffd", pictured)


def escape(text: str) -> Html:
    return Html(html.escape(visible(text), quote=True))


def join(*children: Child) -> Html:
    """Children one after the other; text is escaped, None is left out."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children if child))


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """An element. `class_` and `for_` lose their underscore, others have `-` for `_`; None and False are left out."""
    head = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{head}>" if name in _VOID else f"<{name}{head}>{join(*children)}</{name}>")


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    shown = name.rstrip("_").replace("_", "-")
    return f" {shown}" if value is True else f' {shown}="{escape(str(value))}"'


def moment(at_ms: int, form: str = "clock") -> Html:
    """A time. `form`: clock (time of day, with the date unless it is today), ago, or until (counts down)."""
    text = time_text(at_ms)
    return tag("time", text, datetime=text, data_ms=at_ms, data_form=form)


_STROKES = {
    "delivered": '<path d="M3 8.5l3.2 3.2L13 5"/>',
    "sending": '<path d="M2.5 8h9M8 4l4 4-4 4"/>',
    "queued": '<circle cx="3.5" cy="8" r=".9"/><circle cx="8" cy="8" r=".9"/><circle cx="12.5" cy="8" r=".9"/>',
    "waiting": '<circle cx="8" cy="8" r="5.6"/><path d="M8 4.8V8l2.3 1.6"/>',
    "unconfirmed": '<path d="M5.7 6.1a2.3 2.3 0 1 1 3.5 2c-.8.5-1.2.9-1.2 1.8"/><path d="M8 12.4v.1"/>',
    "failed": '<path d="M4 4l8 8M12 4l-8 8"/>',
    "expired": '<path d="M4.5 2.8h7M4.5 13.2h7M5.2 2.8c0 3 5.6 7 5.6 10.4M10.8 2.8c0 3-5.6 7-5.6 10.4"/>',
    "cancelled": '<circle cx="8" cy="8" r="5.6"/><path d="M4.2 4.2l7.6 7.6"/>',
    "doubled": '<path d="M5.6 5.6V3h7.4v7.4h-2.6"/><path d="M3 5.6h7.4V13H3z"/>',
    "agent": '<path d="M8 2.5l1.3 4.2 4.2 1.3-4.2 1.3L8 13.5 6.7 9.3 2.5 8l4.2-1.3z"/>',
    "repeat": '<path d="M3 7.5A5 5 0 0 1 12.4 5M13 8.5A5 5 0 0 1 3.6 11"/><path d="M12.6 2.4V5H10M3.4 13.6V11H6"/>',
    "clip": '<path d="M12.5 7.5L8 12a2.8 2.8 0 0 1-4-4l4.8-4.8a1.9 1.9 0 0 1 2.7 2.7L6.8 10.5"/>',
    "lock": '<path d="M4 7.5h8V13H4zM5.6 7.5V5.4a2.4 2.4 0 0 1 4.8 0v2.1"/>',
}  # fmt: skip


def icon(name: str) -> Html:
    """A small drawing; the words stand beside it, so it is hidden from screen readers."""
    return Html(f'<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">{_STROKES[name]}</svg>')
