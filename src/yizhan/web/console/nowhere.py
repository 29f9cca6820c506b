"""A page about something that is not here."""

from __future__ import annotations

from nicegui import ui

from yizhan.web.console import links
from yizhan.web.console.frame import Frame
from yizhan.web.console.markup import tag


def no_such(frame: Frame, name: str, how: str, link: str = links.CHATS, way: str = "chats.all") -> None:
    """Says so, and shows a way back. `name`, `how` and `way` are names of words."""
    words = frame.words
    back = tag("p", tag("a", words(way), href=link))
    with frame.main:
        ui.html(tag("div", tag("h1", words(name)), tag("p", words(how)), back, class_="empty"))
