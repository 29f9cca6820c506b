"""What people read on a terminal: tables, times, and text that cannot play tricks on it.

Names and texts come from strangers. Control characters in them could move the cursor or retitle the
window, so everything printed passes `safe` first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

SHORT_MAX = 48


def safe(value: object) -> str:
    """One line without control or direction-changing characters; None becomes a dash."""
    if value is None or value == "":
        return "-"
    return "".join(_visible(char) for char in str(value))


def short(value: object, limit: int = SHORT_MAX) -> str:
    """`safe`, cut to `limit` characters."""
    text = safe(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _visible(char: str) -> str:
    if char in "\r\n\t":
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in ("Cc", "Cf", "Cs") else char


def local_time(text: object) -> str:
    """An RFC 3339 time of the API in this machine's time zone, to the second; a dash for none."""
    if not isinstance(text, str):
        return "-"
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return safe(text)


def reason_text(reason: object) -> str:
    """`{"code","text"}` as one sentence; empty for none."""
    if not isinstance(reason, dict):
        return ""
    return safe(reason.get("text") or reason.get("code"))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table on stdout. On a terminal columns wrap to its width, in a pipe no cell is cut."""
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    grid = Table(*heads, box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        grid.add_row(*(_cell(value) for value in row))
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, highlight=False, emoji=False).print(grid)


def _cell(value: object) -> Any:
    from rich.text import Text

    return Text(safe(value), overflow="fold")
