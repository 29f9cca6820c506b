"""Message → parts that fit the platform. Nothing is trimmed: the parts joined are the text.

A cut is looked for from the best place to the worst: between paragraphs, lines, sentences, words; else
between characters, and inside a cluster (an emoji with its modifiers, a letter with its accents) only if the
cluster alone is larger than a part. Only a part of nothing but white space is left out, since platforms
refuse to show one.

Where a platform permits few sends, fewer parts are worth a less beautiful cut: a seam between blocks, lines,
sentences or words is taken where it keeps the number of parts at its least. A block is a paragraph, a table or
a fenced piece of code; blank lines inside a fence are no border.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

_BLOCK = re.compile(r"\n{2,}")
_SEAMS = (
    _BLOCK,
    re.compile(r"\n"),
    re.compile(r"[。！？；…]+|(?<![.!?;])[.!?;]++(?=\s)"),
    re.compile(r"[，、：]|[,:](?=\s)|\s+"),
)
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
"""The line that begins or ends a piece of code."""
_BETWEEN = "\n\n"
_JOINER = "\u200d"
_TAIL = re.compile("[\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
"""Skin tones, and the letters of region flags."""
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")


def split(text: str, max_chars: int, max_bytes: int) -> tuple[str, ...]:
    """The parts of a text, each at most `max_chars` characters and `max_bytes` bytes of UTF-8.

    A seam is taken if as few parts as possible still hold the rest; else if it leaves at least half of the room
    used; else the next kind of seam is tried.

    Args:  max_chars  at least 1
           max_bytes  at least 4, so that every character fits
    """
    return tuple(part for part in _cut(text, max_chars, max_bytes) if part.strip())


def pack(
    texts: Sequence[str], max_chars: int, max_bytes: int, most_chars: int, cost: Callable[[str], int]
) -> list[str]:
    """Several texts as fewer ones, where that saves parts: a small one shares the part of its neighbour, a blank line
    between them. No text becomes longer than `most_chars` by that.

    Args:  cost  how many parts a text has in the end: what is added to them, numbers and all, may take the room that
                 was to be shared; then the texts stay apart
    """
    packed: list[str] = []
    for group in _groups(texts, max_chars, max_bytes, most_chars):
        shared = _BETWEEN.join(group)
        worth = len(group) < 2 or cost(shared) < sum(map(cost, group))
        packed += [shared] if worth else group
    return packed


def _groups(texts: Sequence[str], max_chars: int, max_bytes: int, most_chars: int) -> Iterator[list[str]]:
    """What might share parts, judged by the bare texts: each is looked at once, however many there are."""
    group: list[str] = []
    length, tail = 0, ""
    for text in texts:
        alone = split(text, max_chars, max_bytes)
        if group and length + len(_BETWEEN) + len(text) <= most_chars:
            shared = split(tail + _BETWEEN + text, max_chars, max_bytes)
            if len(shared) <= len(alone):
                group.append(text)
                length, tail = length + len(_BETWEEN) + len(text), shared[-1]
                continue
        if group:
            yield group
        group, length, tail = [text], len(text), alone[-1] if alone else ""
    if group:
        yield group


def cut(text: str, max_chars: int, max_bytes: int, in_code: bool) -> int:
    """Where the first part of a text ends. `in_code`: the text begins inside a fenced piece of code."""
    room = _room(text, max_chars, max_bytes)
    return len(text) if room == len(text) else _seam(text, room, in_code)


def _cut(text: str, max_chars: int, max_bytes: int) -> Iterator[str]:
    in_code = False
    while text:
        end = cut(text, max_chars, max_bytes, in_code)
        yield text[:end]
        in_code ^= _fences(text, end) % 2 == 1
        text = text[end:]


def _fences(text: str, end: int) -> int:
    return sum(1 for _ in _FENCE.finditer(text, 0, end))


def _room(text: str, max_chars: int, max_bytes: int) -> int:
    """How many characters from the start fit both bounds; at least one."""
    head = text[:max_chars]
    encoded = head.encode()
    if len(encoded) <= max_bytes:
        return len(head)
    return max(1, len(encoded[:max_bytes].decode(errors="ignore")))


def _seam(text: str, room: int, in_code: bool) -> int:
    """Where to cut. `in_code`: the text begins inside a fenced piece of code."""
    fewest = len(text) - (-(-len(text) // room) - 1) * room
    for least in (fewest, (room + 1) // 2):
        at = _seam_from(text, room, least, in_code)
        if at is not None:
            return at
    return next((end for end in range(room, 0, -1) if not _glued(text, end)), room)


def _seam_from(text: str, room: int, least: int, in_code: bool) -> int | None:
    """The last seam of the best kind that is not before `least`: first those between blocks."""
    border = next(
        (end for end in _ends(_BLOCK, text, room, least) if (_fences(text, end) % 2 == 1) == in_code), None
    )
    if border is not None:
        return border
    return next((end for seam in _SEAMS for end in _ends(seam, text, room, least)), None)


def _ends(seam: re.Pattern[str], text: str, room: int, least: int) -> list[int]:
    """The ends of seams of one kind, the last first."""
    ends = [found.end() for found in seam.finditer(text, 0, room) if found.end() >= least]
    return [end for end in reversed(ends) if not _glued(text, end)]


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
