"""The first useful sentence of an answer that is still being said. Pure.

Somebody who waits reads it while the rest comes. It must stand for itself: long enough to say something, ended by more
than the end of what has come so far, and not within a block of code, a list or a table, which belong together.

It is looked for each time that more has come, and only in what is new: an answer of a megabyte comes in a hundred
thousand pieces. What decides is the first end of a sentence, so that the answer is soon `Never`, or where it `Ends`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SHORTEST = 12
"""Characters that a useful first sentence has at least, its end aside."""
LONGEST = 2_000
"""Characters after which none is looked for: what goes on for so long is no sentence."""

_END = re.compile(r"""(?:[。！？…]+|(?<![.!?])[.!?]++(?=[\s”’"')\]]))[”’"'）)」』\]]*\s*|\n\s*\n""")
_OF_AN_END = frozenset("。！？….!?”’\"'）)」』]")
"""With white space, every character that an end may consist of."""
_BELONGS_TOGETHER = re.compile(r"^\s*(?:[-*+|>#]|\d+[.)]|```)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ends:
    """It ends there, its blanks included."""

    at: int


@dataclass(frozen=True, slots=True)
class NotYet:
    """More has to come; then it is enough to look from there on."""

    looked: int


@dataclass(frozen=True, slots=True)
class Never:
    """None may go ahead, whatever comes."""


def first_sentence(said: str, looked: int = 0) -> Ends | NotYet | Never:
    """What is known of the first sentence. `looked`: what the last look at the beginning of `said` has told."""
    for found in _END.finditer(said, looked):
        if found.end() >= len(said):
            break  # more of the same may be on its way: "…" of "……", the bracket behind a full stop
        if len(said[: found.start()].strip()) >= SHORTEST:
            return _judged(said, found)
        looked = found.end()
    return NotYet(_settled(said, looked)) if len(said) <= LONGEST else Never()


def _judged(said: str, found: re.Match[str]) -> Ends | Never:
    head = said[: found.end()]
    alone = found.start() <= LONGEST and "`" not in head and not _BELONGS_TOGETHER.search(head)
    return Ends(found.end()) if alone else Never()


def _settled(said: str, looked: int) -> int:
    """Where the last characters begin that may be a part of an end."""
    place = len(said)
    while place > looked and (said[place - 1] in _OF_AN_END or said[place - 1].isspace()):
        place -= 1
    return place
