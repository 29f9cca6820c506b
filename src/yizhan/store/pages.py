"""Opaque cursors of pages: base64url of a short JSON list, made and read only here."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

from yizhan.errors import InvalidRequest

T = TypeVar("T")


def cursor_of(place: tuple[int | str, ...]) -> str:
    return urlsafe_b64encode(msgspec.json.encode(place)).decode("ascii").rstrip("=")


def place_of(cursor: str, shape: type[T]) -> T:
    """What `cursor_of` was given. Raises InvalidRequest if it is not a cursor of this list."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return msgspec.json.decode(urlsafe_b64decode(padded), type=shape)
    except (ValueError, msgspec.MsgspecError):
        raise InvalidRequest(
            "The cursor is not one that this list has given.", "Use the `next` of the page before, or none."
        ) from None
