"""Message → parts as the chat reads them: each shows what it is a part of. Pure.

Where to cut is decided in `parts.py`. Here a piece of code that is cut is closed and opened again, a table that is cut
gets its head again, and the parts of a longer message are numbered, at their end: `(2/5)`. What is added is room
that the text does not have, so it is added only where the text does not fit into one part, and as little as
possible. Taken away again, the parts joined are the text, but for parts of nothing but white space, and for line
ends where a number follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from yizhan.core.markdown import Fence, fence_after, table_width
from yizhan.core.parts import cut, split

LEAST_CHARS = 80
"""Smaller parts have no room for anything but the text."""
LEAST_BYTES = 320
_MARKS = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_OPENING_CHARS = 40


@dataclass(frozen=True, slots=True)
class Part:
    """`text` is of the message; `before` and `after` open and close what is cut."""

    text: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class _Open:
    """What is open where a part begins: a fence, or a table by its head; and whether it begins inside of a line."""

    fence: Fence | None = None
    head: str = ""
    in_line: bool = False

    @property
    def before(self) -> str:
        if self.fence is None:
            return self.head
        opening = self.fence.line if len(self.fence.line) <= _OPENING_CHARS else self.fence.marks
        return f"{opening}\n"


def pages(text: str, max_chars: int, max_bytes: int, numbered: bool) -> tuple[str, ...]:
    """The parts of a text as they are sent, each at most `max_chars` characters and `max_bytes` bytes of UTF-8."""
    if max_chars < LEAST_CHARS or max_bytes < LEAST_BYTES:
        return split(text, max_chars, max_bytes)
    parts, digits = laid_out(text, max_chars, max_bytes), 1
    while numbered and len(parts) > 1:
        room = len(_number(10**digits - 1, 10**digits - 1))
        parts = laid_out(text, max_chars - room, max_bytes - room)
        if len(parts) < 10**digits:
            break
        digits += 1
    told = [part.before + part.text + part.after for part in parts]
    if not numbered or len(told) < 2:
        return tuple(told)
    return tuple(one.rstrip("\n") + _number(no, len(told)) for no, one in enumerate(told, 1))


def laid_out(text: str, max_chars: int, max_bytes: int) -> tuple[Part, ...]:
    """The parts of a text with what opens and closes them, each within both bounds."""
    return tuple(part for part in _laid_out(text, max_chars, max_bytes) if part.text.strip())


def _number(no: int, of: int) -> str:
    """With a blank line before it, so that no table or list takes it for its own."""
    return f"\n\n({no}/{of})"


def _laid_out(text: str, max_chars: int, max_bytes: int) -> Iterator[Part]:
    closing = max((len(found[1]) + 1 for found in _MARKS.finditer(text)), default=0)
    if closing > max_chars // 4:
        closing = 0
    opened = _Open()
    while text:
        before = opened.before
        if len(before) > max_chars // 4 or len(before.encode()) > max_bytes // 4:
            opened, before = _Open(opened.fence, in_line=opened.in_line), ""
        chars, size = max_chars - len(before), max_bytes - len(before.encode())
        if len(text) <= chars and len(text.encode()) <= size:
            yield Part(text, before)
            return
        end = cut(text, chars - closing, size - closing, opened.fence is not None)
        end, after = _settled(text, end, opened, closing)
        ended = after.fence if closing else None
        yield Part(text[:end], before, _closed(text[:end], ended))
        opened = _Open(ended, after.head, text[end - 1] != "\n")
        text = text[end:]


def _settled(text: str, end: int, opened: _Open, closing: int) -> tuple[int, _Open]:
    """The cut, moved off the first and the last line of a piece of code, which is taken along where the room for
    closing one is kept; and what is open there."""
    fence = _fence_at(text, end, opened)
    if fence is not None and fence is not opened.fence and text[:end].endswith(f"{fence.line}\n"):
        start = end - len(fence.line) - 1
        if text[:start].strip():
            return start, _Open()
    if fence is not None and text[end - 1] == "\n":
        line = text[end:].split("\n", 1)[0]
        if fence_after(line, fence) is None and len(line) < closing:
            return end + len(line), _Open()
    return end, _Open(fence, "" if fence else _head_at(text, end, opened.head))


def _fence_at(text: str, end: int, opened: _Open) -> Fence | None:
    fence = opened.fence
    for line in text[:end].split("\n")[opened.in_line :]:
        fence = fence_after(line, fence)
    return fence


def _head_at(text: str, end: int, head: str) -> str:
    """The head of the table that is cut here, None of it: empty."""
    if text[end - 1] != "\n" or "|" not in text[end:].split("\n", 1)[0]:
        return ""
    lines = text[: end - 1].split("\n")
    start = next((no + 1 for no in range(len(lines) - 1, -1, -1) if "|" not in lines[no]), 0)
    return _head_of(lines[start:]) or (head if start == 0 else "")


def _head_of(rows: Sequence[str]) -> str:
    return f"{rows[0]}\n{rows[1]}\n" if len(rows) > 1 and table_width(rows[0], rows[1]) else ""


def _closed(text: str, fence: Fence | None) -> str:
    if fence is None:
        return ""
    return fence.marks if text.endswith("\n") else f"\n{fence.marks}"
