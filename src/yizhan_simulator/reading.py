"""Tables from outside become values, or an error that names the place and, for a wrong key, the nearest right one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

import msgspec

from yizhan_simulator.knobs import Knobs, merged

T = TypeVar("T")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


class ScriptError(ValueError):
    """The script cannot be used; the text names the place and, for a wrong key, the nearest right one."""


def read(table: Any, kind: type[T]) -> T:
    """One table as `kind`. Raises: ScriptError."""
    try:
        return msgspec.convert(table, kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise ScriptError(_plainly(str(error), kind)) from error


def check_knobs(knobs: Knobs, change: Mapping[str, Any]) -> Knobs:
    """The knobs after the change. Raises: ScriptError."""
    try:
        return merged(knobs, dict(change))
    except (msgspec.ValidationError, ValueError) as error:
        raise ScriptError("knobs: " + _plainly(str(error), Knobs)) from error


def _plainly(words: str, kind: object) -> str:
    found = _UNKNOWN.search(words)
    if not found:
        return words
    known = sorted({name for table in _tables(kind) for name in table.__struct_fields__})
    near = difflib.get_close_matches(found.group(1), known, 1)
    return f"{words}; did you mean `{near[0]}`?" if near else f"{words}; known keys: {', '.join(known)}"


def _tables(kind: object) -> Iterator[type[msgspec.Struct]]:
    """The table and those inside it, however wrapped."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from _tables(field.type)
    for inner in get_args(kind):
        yield from _tables(inner)
