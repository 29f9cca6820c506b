"""Signatures as Standard Webhooks have them: whoever knows the secret knows that we have written it, and when.

Source: standardwebhooks/standard-webhooks, spec/standard-webhooks.md, "Signature scheme" (2026).
"""

from __future__ import annotations

import base64
import hashlib
import hmac

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The bytes that sign. A secret of the usual form is base64 behind its prefix, padded or not; any other is taken as
    it is. Raises ValueError if what is behind the prefix is no base64."""
    coded = secret.removeprefix(PREFIX)
    return _decoded(coded.rstrip("=")) if coded != secret else secret.encode()


def secret_of(key: bytes) -> str:
    """The secret of the usual form, as people copy it."""
    return f"{PREFIX}{base64.b64encode(key).decode()}"


def _decoded(bare: str) -> bytes:
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def signature(key: bytes, message: str, stamp: str, body: bytes) -> str:
    """Of a message's id, the seconds of its sending, and its body."""
    signed = hmac.new(key, f"{message}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"
