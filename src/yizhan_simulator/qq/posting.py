"""One event on its way to a webhook, and the signature the platform puts on it.

Source: bot.q.qq.com "sign": the key's seed is the bot's secret, repeated and cut to 32 bytes; signed are the time
stamp and the bytes of the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Posting:
    """A request that a driver must make: POST `body` to `url`. `attempt` counts from 1."""

    number: int
    app_id: str
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    timeout_ms: int = 5000
    attempt: int = 1


def key_of(secret: str) -> Ed25519PrivateKey:
    seed = secret.encode()
    while len(seed) < 32:
        seed += secret.encode()
    return Ed25519PrivateKey.from_private_bytes(seed[:32])


def signature(secret: str, stamp: str, body: bytes) -> str:
    """128 hexadecimal digits."""
    return key_of(secret).sign(stamp.encode() + body).hex()


def validation_signature(secret: str, event_ts: str, plain_token: str) -> str:
    """What a true receiver answers to op 13."""
    return signature(secret, event_ts, plain_token.encode())
