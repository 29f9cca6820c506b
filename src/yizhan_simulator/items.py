"""Attachments as the control API takes them."""

from __future__ import annotations

import base64
import binascii

import msgspec

from yizhan_simulator.people import SimError
from yizhan_simulator.phone import Attachment


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something sent from a phone: `size` bytes are made up, or `content` is given in base64."""

    kind: str
    name: str = ""
    size: int = 0
    content: str = ""
    text: str = ""


def attachment(item: Item) -> Attachment:
    """Raises: SimError."""
    try:
        content = base64.b64decode(item.content, validate=True)
    except binascii.Error as error:
        raise SimError(f"content of {item.name!r} is not base64") from error
    if item.kind not in ("image", "voice", "file", "video"):
        raise SimError(f"kind must be image, voice, file or video, not {item.kind!r}")
    return Attachment(item.kind, item.name, item.size, content, item.text)  # type: ignore[arg-type]
