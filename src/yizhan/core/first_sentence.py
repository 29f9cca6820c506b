"""The first useful sentence of an answer that is still being said. Pure.

Somebody who waits reads it while the rest comes. It must stand for itself: long enough to say something, ended by more
than the end of what has come so far, and not within a block of code, a list or a table, which belong together.
"""

from __future__ import annotations

import re

SHORTEST = 12
"""Characters of which a useful first sentence has more."""

_END = re.compile(r"""(?:[。！？…]+|[.!?]+(?=[\s”’"')\]]))[”’"'）)」』\]]*\s*|\n\s*\n""")
_BELONGS_TOGETHER = re.compile(r"^\s*(?:[-*+|>#]|\d+[.)]|```)", re.MULTILINE)


def first_sentence(said: str) -> int | None:
    """Where the first sentence ends, its blanks included; None while there is none that may go ahead."""
    for found in _END.finditer(said):
        end = found.end()
        if end >= len(said):
            return None  # more of the same may be on its way: "…" of "……", the bracket behind a full stop
        if len(said[: found.start()].strip()) < SHORTEST:
            continue
        head = said[:end]
        return None if _BELONGS_TOGETHER.search(head) or "`" in head else end
    return None
