"""What agents say in JSON, read as the shape that is looked for, or as nothing at all. Pure.

What is legal JSON and no text is read all the same: half of an emoji, written as an escape by a program that cuts its
text between the two (`core.text.clean` joins them again), and a byte order mark.
"""

from __future__ import annotations

import json
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Shape(Generic[T]):
    """Reads JSON as a struct; unknown members are ignored."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def read(self, data: bytes) -> T | None:
        """None: it is no JSON, or not of this shape."""
        try:
            return self._decoder.decode(data)
        except msgspec.ValidationError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._mended(data)

    def _mended(self, data: bytes) -> T | None:
        try:
            return msgspec.convert(json.loads(data.decode("utf-8-sig")), self._kind)
        except (msgspec.ValidationError, ValueError, RecursionError):
            return None
