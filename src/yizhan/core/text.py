"""What text may contain on its way through the house."""

from __future__ import annotations

import re
import unicodedata

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_COLOURS = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|[()][0-9A-Z]|\\][^\x07\x1b\n]*(?:\x07|\x1b\\\\))")
"""What programs tell a terminal: colours, the cursor, a title. Source: ECMA-48, 5.4; xterm, "Control Sequences"."""
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_PAIRS = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Text without control characters (tab and line feed stay), without orders to a terminal, and without
    surrogates: two halves become the character that they are, one alone becomes U+FFFD.

    No platform shows them, one of the databases cannot hold NUL, and UTF-8 cannot carry half a character.
    """
    text = _COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATES.sub("\ufffd", _PAIRS.sub(_joined, _CONTROLS.sub("", text)))


def _joined(halves: re.Match[str]) -> str:
    return halves[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def blank(text: str) -> bool:
    """Whether nobody sees anything of it: white space, controls, and what has no width."""
    return all(unicodedata.category(letter) in _UNSEEN for letter in text)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, the cut shown by an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
