"""What of a text is code or an address, and what is prose that a client may take for markup. Pure.

Renderers change prose only: code and addresses are shown, and copied, as they were said. This is no parser of
Markdown; it knows what CommonMark calls fenced code, code spans and links, and GFM's tables, as far as
renderers and the splitting of texts need them.
Source: CommonMark 0.31 (4.5 fenced code blocks, 6.1 code spans), GitHub Flavored Markdown 0.29 (4.10 tables).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_SPAN = r"(?P<ticks>(?<!`)`+(?!`))[^\n]+?(?<!`)(?P=ticks)(?!`)"
_CODE = re.compile(_SPAN)
_KEPT = re.compile(
    _SPAN + r"|\]\([^()\s`]*(?:\([^()\s`]*\)[^()\s`]*)*\)"  # where a link leads
    r"|\bhttps?://[^\s<>`|，。；、）】」』]+",
)
_PICTURE = re.compile(r"(?<!!)!+\[([^\[\]\n]*)\]\(([^()\s]+)\)")
"""With all marks before it: the last of them would make the link a picture once more."""
_PICTURE_ROUNDS = 8
"""Two that overlap take two rounds; whatever else is written, there is an end to it."""
_DELIMITER = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Fence:
    """An open fence: its line, and the marks that close it."""

    line: str
    marks: str


def fence_after(line: str, fence: Fence | None) -> Fence | None:
    """What is open after this line, if `fence` was before it."""
    found = _FENCE.fullmatch(line)
    if found is None:
        return fence
    marks, rest = found.groups()
    if fence is None:
        return None if marks[0] == "`" and "`" in rest else Fence(line, marks)
    closes = marks[0] == fence.marks[0] and len(marks) >= len(fence.marks) and not rest.strip()
    return None if closes else fence


def blocks(text: str) -> Iterator[tuple[bool, list[str]]]:
    """(whether it is fenced code, its lines) in order; a fence that nobody closes holds the rest."""
    lines: list[str] = []
    fence: Fence | None = None
    for line in text.split("\n"):
        after = fence_after(line, fence)
        if fence is None and after is not None and lines:
            yield False, lines
            lines = []
        lines.append(line)
        if fence is not None and after is None:
            yield True, lines
            lines = []
        fence = after
    if lines:
        yield fence is not None, lines


def change_prose(line: str, change: Callable[[str], str]) -> str:
    """The line with its prose changed: neither code spans nor addresses."""
    return _changed_between(_KEPT, line, change)


def change_uncoded(line: str, change: Callable[[str], str]) -> str:
    """The line with everything changed but its code spans."""
    return _changed_between(_CODE, line, change)


def _changed_between(kept_as_it_is: re.Pattern[str], line: str, change: Callable[[str], str]) -> str:
    changed, at = [], 0
    for kept in kept_as_it_is.finditer(line):
        changed += [change(line[at : kept.start()]), kept.group()]
        at = kept.end()
    return "".join([*changed, change(line[at:])])


def pictures_as_links(text: str) -> str:
    """The text with links in the place of pictures; one without words is called by its address."""
    for _ in range(_PICTURE_ROUNDS):
        text, found = _PICTURE.subn(_link, text)
        if not found:
            break
    return text


def _link(picture: re.Match[str]) -> str:
    """Never with a new picture in it: an address that holds one names nothing."""
    words, address = picture.groups()
    return f"[{words or ('…' if '![' in address else address)}]({address})"


def stray_ticks(line: str) -> bool:
    """Whether a backtick stands in it that belongs to no code span: another one would begin or end one."""
    return "`" in _KEPT.sub("", line)


def table_width(header: str, delimiter: str) -> int:
    """How many columns the table has that begins with these lines; 0: it is none."""
    if "|" not in header or "|" not in delimiter or not _DELIMITER.fullmatch(delimiter):
        return 0
    width = len(cells(header))
    return width if width == len(cells(delimiter)) else 0


def cells(row: str) -> list[str]:
    """The cells of a table's row."""
    bare = row.strip()
    bare = bare.removeprefix("|")
    if bare.endswith("|") and not bare.endswith("\\|"):
        bare = bare[:-1]
    return [cell.strip() for cell in _CELL.split(bare)]
