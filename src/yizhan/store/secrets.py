"""Secret columns: account secrets, cursors and reply tokens, encrypted with AES-GCM if there is a key.

A stored secret says how it is kept: `raw:` and the text, or `gcm:` and nonce, ciphertext and tag in base64.
The key comes from the operator's string by scrypt with the store's own salt, so that one string used for two
stores yields two keys. The column and the row's owner are authenticated with the secret: a value copied into
another row does not open. A wrong key is noticed at once, by a known text that only the right one opens.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from yizhan.errors import StoreBroken
from yizhan.ports import Chance

_RAW, _GCM = "raw:", "gcm:"
_NONCE_BYTES = 12
_PROBE = "yizhan"

WRONG_KEY = StoreBroken(
    "The secrets in this store were encrypted with another key.",
    "Set YIZHAN_SECRET_KEY to the value that was used before.",
)
KEY_MISSING = StoreBroken(
    "The secrets in this store are encrypted, and no key was given.",
    "Set YIZHAN_SECRET_KEY to the value that was used before.",
)


class PlainSeal:
    """Keeps secrets as they are: no key was given."""

    def close(self, secret: str, place: str) -> str:
        return _RAW + secret

    def open(self, stored: str, place: str) -> str:
        """Raises StoreBroken if it was encrypted."""
        if stored.startswith(_GCM):
            raise KEY_MISSING
        return stored.removeprefix(_RAW)


class KeySeal:
    """Encrypts what it closes; opens both kinds, so that a plain store can be taken over."""

    def __init__(self, secret_key: str, salt: str, chance: Chance) -> None:
        self._cipher = AESGCM(_derive(secret_key, salt))
        self._chance = chance

    def close(self, secret: str, place: str) -> str:
        """`place` names column and row; the same one is needed to open."""
        nonce = bytes.fromhex(self._chance.token_hex(_NONCE_BYTES))
        sealed = self._cipher.encrypt(nonce, secret.encode(), place.encode())
        return _GCM + b64encode(nonce + sealed).decode("ascii")

    def open(self, stored: str, place: str) -> str:
        """Raises StoreBroken if it was closed with another key or for another place."""
        if not stored.startswith(_GCM):
            return stored.removeprefix(_RAW)
        sealed = b64decode(stored.removeprefix(_GCM))
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except InvalidTag:
            raise WRONG_KEY from None
        return plain.decode()


Seal = PlainSeal | KeySeal


def probe_of(seal: KeySeal) -> str:
    """A known text, closed: kept in the store to recognise the key by."""
    return seal.close(_PROBE, "meta/probe")


def check_probe(seal: KeySeal, stored: str) -> None:
    """Raises StoreBroken if the probe was made with another key."""
    seal.open(stored, "meta/probe")


def is_encrypted(stored: str) -> bool:
    return stored.startswith(_GCM)


def token_hash(token: str) -> str:
    """What finds a reply token's row without opening every token of the chat."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _derive(secret_key: str, salt: str) -> bytes:
    return hashlib.scrypt(secret_key.encode(), salt=salt.encode(), n=1 << 14, r=8, p=1, dklen=32)
