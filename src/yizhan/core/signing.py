"""Signatures as Standard Webhooks have them: whoever knows the secret knows that we have written it, and when.

Source: standardwebhooks/standard-webhooks, spec/standard-webhooks.md, "Signature scheme" (2026).
"""

from __future__ import annotations

import base64
import hashlib
import hmac

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The bytes that sign. A secret of the usual form is base64 behind its prefix. Raises ValueError if it is not."""
    coded = secret.removeprefix(PREFIX)
    return base64.b64decode(coded) if coded != secret else secret.encode()


def secret_of(key: bytes) -> str:
    """The secret of the usual form, as people copy it."""
    return f"{PREFIX}{base64.b64encode(key).decode()}"


def signature(key: bytes, message: str, stamp: str, body: bytes) -> str:
    """Of a message's id, the seconds of its sending, and its body."""
    signed = hmac.new(key, f"{message}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"
