"""The media store: ciphertext in, ciphertext out, each blob under an opaque parameter.

Clients encrypt with AES-128-ECB and PKCS#7. What a phone sends is kept in the clear with its key and encrypted
when it is fetched. Source: @tencent-weixin/openclaw-weixin 2.4.9, src/cdn.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

MAX_TOTAL_BYTES = 256 << 20


def ciphertext_size(plain_size: int) -> int:
    return (plain_size // 16 + 1) * 16


def encrypt(plain: bytes, key: bytes) -> bytes:
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


def decrypt(blob: bytes, key: bytes) -> bytes:
    """Raises: ValueError when length or padding do not fit."""
    decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(blob) + decryptor.finalize()) + unpadder.finalize()


def key_on_the_phone(aes_key: str) -> bytes | None:
    """The key as the phone reads it from an outbound message: base64 of 32 hex digits, nothing else.

    base64 of the 16 raw bytes is accepted by the platform and shows a grey box (field reports).
    """
    try:
        return bytes.fromhex(base64.b64decode(aes_key, validate=True).decode("ascii"))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A permission to upload `size` bytes of ciphertext under `filekey`."""

    filekey: str
    size: int


@dataclass(frozen=True, slots=True)
class Blob:
    data: bytes = field(repr=False)
    key: bytes | None = field(default=None, repr=False)
    """Set when `data` is in the clear."""


@dataclass(slots=True)
class Cdn:
    tickets: dict[str, Ticket] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)
    _total: int = 0

    def permit(self, param: str, filekey: str, size: int) -> None:
        self.tickets[param] = Ticket(filekey, size)
        while len(self.tickets) > 10_000:
            del self.tickets[next(iter(self.tickets))]

    def keep(self, param: str, blob: Blob) -> None:
        """The oldest blobs go when all together exceed 256 MiB."""
        self.blobs[param] = blob
        self._total += len(blob.data)
        while self._total > MAX_TOTAL_BYTES and len(self.blobs) > 1:
            self._total -= len(self.blobs.pop(next(iter(self.blobs))).data)

    def ciphertext(self, param: str) -> bytes | None:
        blob = self.blobs.get(param)
        if blob is None:
            return None
        return blob.data if blob.key is None else encrypt(blob.data, blob.key)

    def plain(self, param: str, aes_key: str) -> bytes | None:
        """What a phone would see, None if it cannot."""
        blob = self.blobs.get(param)
        if blob is None:
            return None
        if blob.key is not None:
            return blob.data
        key = key_on_the_phone(aes_key)
        try:
            return decrypt(blob.data, key) if key else None
        except ValueError:
            return None
