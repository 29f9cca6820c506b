"""Message → parts that fit the platform. Nothing is trimmed: the parts joined are the text.

A cut is looked for from the best place to the worst: between paragraphs, lines, sentences, words; else
between characters, and inside a cluster (an emoji with its modifiers, a letter with its accents) only if the
cluster alone is larger than a part. Only a part of nothing but white space is left out, since platforms
refuse to show one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_SEAMS = (
    re.compile(r"\n{2,}"),
    re.compile(r"\n"),
    re.compile(r"[。！？；…]+|[.!?;]+(?=\s)"),
    re.compile(r"[，、：]|[,:](?=\s)|\s+"),
)
_JOINER = "\u200d"
_TAIL = re.compile("[\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
"""Skin tones, and the letters of region flags."""
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")


def split(text: str, max_chars: int, max_bytes: int) -> tuple[str, ...]:
    """The parts of a text, each at most `max_chars` characters and `max_bytes` bytes of UTF-8.

    A seam is taken if it leaves at least half of the room used; else the next kind of seam is tried.

    Args:  max_chars  at least 1
           max_bytes  at least 4, so that every character fits
    """
    return tuple(part for part in _cut(text, max_chars, max_bytes) if part.strip())


def _cut(text: str, max_chars: int, max_bytes: int) -> Iterator[str]:
    while text:
        room = _room(text, max_chars, max_bytes)
        end = len(text) if room == len(text) else _seam(text, room)
        yield text[:end]
        text = text[end:]


def _room(text: str, max_chars: int, max_bytes: int) -> int:
    """How many characters from the start fit both bounds; at least one."""
    head = text[:max_chars]
    encoded = head.encode()
    if len(encoded) <= max_bytes:
        return len(head)
    return max(1, len(encoded[:max_bytes].decode(errors="ignore")))


def _seam(text: str, room: int) -> int:
    for seam in _SEAMS:
        ends = [found.end() for found in seam.finditer(text, 0, room) if found.end() * 2 >= room]
        whole = next((end for end in reversed(ends) if not _glued(text, end)), None)
        if whole is not None:
            return whole
    return next((end for end in range(room, 0, -1) if not _glued(text, end)), room)


def _glued(text: str, at: int) -> bool:
    """Whether the characters before and after this place are shown as one."""
    left, right = text[at - 1], text[at]
    if left == _JOINER or right == _JOINER or unicodedata.category(right).startswith("M"):
        return True
    return bool(_TAIL.match(right)) or (bool(_FLAG.match(right)) and _flag_halves_before(text, at) % 2 == 1)


def _flag_halves_before(text: str, at: int) -> int:
    """A flag is two of them: an odd number before a place means that it is inside of one."""
    start = at
    while start and _FLAG.match(text[start - 1]):
        start -= 1
    return at - start
