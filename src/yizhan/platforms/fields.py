"""Reading a platform's JSON objects: total, lossless, bounded, and suspicious.

`parse_object` turns bytes into an object or says why they are `Odd`; `Fields` reads it by the type one expects.
Neither raises anything, whatever the bytes are. What the words mean is each platform's own matter.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_ID_BOUND = 128
_EXACT_FLOAT = 2**53
_VALUES_BOUND = 500_000
"""Objects, lists and commas in one body. Sixteen megabytes of `{},` take ten seconds and 700 MB to read; a
thousand messages have some 30,000 of them, and what their texts add."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL and lone surrogates: legal in JSON, impossible in UTF-8 or in a database."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Odd:
    """A body that is not what the API answers. `text` is for people and quotes nothing of it."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object, read by the type one expects. Absent, null and of another type look the same."""

    _values: dict[str, Any] = field(repr=False)

    def text(self, name: str) -> str:
        """A string that can be stored, empty if there is none."""
        value = self._values.get(name)
        return clean(value) if isinstance(value, str) else ""

    def integer(self, name: str) -> int | None:
        """An integer, also one written as text or as an integral float below 2^53."""
        value = self._values.get(name)
        if isinstance(value, bool):
            return None
        if isinstance(value, int):
            return value
        if isinstance(value, str):
            return int(value) if value.isascii() and value.isdigit() and len(value) <= 20 else None
        if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
            return int(value)
        return None

    def number_text(self, name: str) -> str:
        """A number or a text as text, empty for all else."""
        value = self._values.get(name)
        return str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""

    def identifier(self, name: str) -> str | Odd | None:
        """An id, number or text, exact to the last digit; None where there is none (also 0 and ""),
        Odd where something stands that is none."""
        value = self._values.get(name)
        if value is None or value == "" or (value == 0 and type(value) is int) or value == "0":
            return None
        if type(value) is int and 0 < value < 2**64:
            return str(value)
        if isinstance(value, str) and len(value) <= _ID_BOUND and value.isprintable() and value.strip():
            return value.strip()
        return Odd("wrong-types", f"the answer's {name} is neither a number nor a name")

    def child(self, name: str) -> Fields | None:
        value = self._values.get(name)
        return Fields(value) if isinstance(value, dict) else None

    def children(self, name: str) -> tuple[Fields | None, ...] | None:
        """The elements of a list, None for each that is no object; None where there is no list."""
        value = self._values.get(name)
        if not isinstance(value, list):
            return None
        return tuple(Fields(element) if isinstance(element, dict) else None for element in value)

    def texts(self, name: str) -> tuple[str, ...]:
        """The strings of a list, whatever else it holds."""
        value = self._values.get(name)
        return (
            tuple(clean(each) for each in value if isinstance(each, str)) if isinstance(value, list) else ()
        )

    def flag(self, name: str) -> bool:
        """True where `true` stands."""
        return self._values.get(name) is True

    def has(self, name: str) -> bool:
        """Something other than null stands there."""
        return self._values.get(name) is not None

    def filled(self) -> tuple[str, ...]:
        """The names of all that is not null."""
        return tuple(name for name, value in self._values.items() if value is not None)


def parse_object(body: bytes) -> dict[str, Any] | Odd:
    """The JSON object of a body with its numbers exact. Nesting is bounded by the interpreter's recursion limit."""
    if not body.strip():
        return {}
    if sum(body.count(mark) for mark in (b"{", b"[", b",")) > _VALUES_BOUND:
        return Odd("too-many", "the answer has more pieces than any answer should")
    pairs = _Pairs()
    try:
        value = json.loads(body.decode(), object_pairs_hook=pairs, parse_constant=_no_constant)
    except UnicodeDecodeError:
        return Odd("not-text", "the answer is not UTF-8 text")
    except RecursionError:
        return Odd("too-deep", "the answer is nested beyond all sense")
    except ValueError:
        return _not_json(body)
    if not isinstance(value, dict):
        return Odd("no-object", "the answer is JSON, but not an object")
    if pairs.doubled:
        return Odd("doubled-names", "the answer says two things under one name")
    return value


def clean(text: str) -> str:
    """The text with what cannot be stored replaced by U+FFFD; else untouched."""
    return _UNSTORABLE.sub("\ufffd", text)


class _Pairs:
    """Builds objects and remembers whether the last one, which is the outermost, had a name twice."""

    doubled = False

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        self.doubled = len(made) != len(pairs)
        return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _not_json(body: bytes) -> Odd:
    if body.lstrip()[:1] == b"<":
        return Odd(
            "web-page",
            "the answer is a web page, not the API; check the base URL, and whether a proxy or a sign-in page "
            "stands in between",
        )
    return Odd("not-json", "the answer is not JSON, or breaks off")


def one_line(text: str, bound: int) -> str:
    """A platform's words for people: bounded, on one line."""
    return _CONTROL.sub(" ", text[: 5 * bound]).strip()[:bound]
