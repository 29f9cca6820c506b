"""What QQ posts to a webhook: whether it is QQ's, and what it says. Pure and total.

Nobody who posts to us is believed: a request counts when its time stamp and the bytes of its body are signed with the
key that follows from the bot's secret, and when that stamp is of these minutes. Within them a request can be played
back to us; the ids of its messages tell that.

Validation of the address (op 13) asks us to sign a text with the same key. Whoever could choose that text could have
events signed, so only words without punctuation are signed: no event is written so.
Source: the wiki bot.q.qq.com (2026), "sign" and "event-emit"; botgo for the bits of the last byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from yizhan.platforms.fields import Odd
from yizhan.platforms.qq.frames import Frame, Op, read_frame
from yizhan.ports import Answer, Callback, CallbackRefused, RefusedBecause

SIGNATURE, STAMP = "x-signature-ed25519", "x-signature-timestamp"
WINDOW_MS = 300_000
"""A stamp that is further from our clock than this, either way, is refused."""
SEED_BYTES = 32
SIGNATURE_BYTES = 64

_STAMP = re.compile(r"[0-9]{1,12}")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,256}")
_encode = msgspec.json.Encoder().encode

NO_WEBHOOK = CallbackRefused(
    RefusedBecause.UNEXPECTED,
    "This bot keeps a connection; nothing is to be posted for it.",
    "yizhan account add qq --webhook chooses otherwise.",
)
NOT_STORED = CallbackRefused(
    RefusedBecause.NOT_STORED, "The gateway could not store this in time.", "Send it again."
)
_UNSIGNED = CallbackRefused(
    RefusedBecause.UNPROVEN,
    "The request carries no signature of QQ.",
    f"Send the headers {SIGNATURE} and {STAMP}.",
)
_FORGED = CallbackRefused(
    RefusedBecause.UNPROVEN,
    "The signature does not fit this bot.",
    "If QQ itself sent this, give the bot's present client secret: yizhan account add qq --webhook",
)
_NO_WORDS = CallbackRefused(
    RefusedBecause.UNREADABLE, "The validation names nothing that could be signed.", ""
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """Op 13: show that the secret is known here."""

    plain_token: str
    event_ts: str


class Signet:
    """The key of one bot, with which both sides sign."""

    def __init__(self, secret: str) -> None:
        seed = secret.encode() * SEED_BYTES
        self._key = Ed25519PrivateKey.from_private_bytes(seed[:SEED_BYTES])
        self._public = self._key.public_key()

    def sign(self, text: bytes) -> bytes:
        return self._key.sign(text)

    def fits(self, signature: bytes, text: bytes) -> bool:
        """Whether the signature over `text` was made with this key. The last byte's upper bits are never set in one."""
        if len(signature) != SIGNATURE_BYTES or signature[-1] & 0xE0:
            return False
        try:
            self._public.verify(signature, text)
        except InvalidSignature:
            return False
        return True


def read_callback(callback: Callback, signet: Signet, now_ms: int) -> Frame | Challenge | CallbackRefused:
    """What QQ says, or why this is not to be believed. A validation may come without a signature; a wrong one is
    wrong there as well."""
    unproven = _unproven(callback.headers, callback.body, signet, now_ms)
    if unproven is not None and unproven is not _UNSIGNED:
        return unproven
    frame = read_frame(callback.body)
    validates = isinstance(frame, Frame) and frame.op == Op.VALIDATION
    if unproven is not None and not validates:
        return unproven
    if isinstance(frame, Odd):
        return CallbackRefused(RefusedBecause.UNREADABLE, f"Nothing can be made of the body: {frame.text}.")
    return _challenge(frame) if validates else frame


def _unproven(headers: Mapping[str, str], body: bytes, signet: Signet, now_ms: int) -> CallbackRefused | None:
    """None: it is QQ's, and of these minutes."""
    signature, stamp = headers.get(SIGNATURE, ""), headers.get(STAMP, "")
    if not signature and not stamp:
        return _UNSIGNED
    if not _STAMP.fullmatch(stamp) or not signet.fits(_unhexed(signature), stamp.encode() + body):
        return _FORGED
    off_ms = now_ms - int(stamp) * 1_000
    if abs(off_ms) > WINDOW_MS:
        side = "behind" if off_ms > 0 else "ahead of"
        return CallbackRefused(
            RefusedBecause.UNPROVEN,
            f"The time stamp is {abs(off_ms) // 1_000} s {side} this machine's clock.",
            f"It may be {WINDOW_MS // 1_000} s off; if QQ itself sent this, set the machine's clock.",
        )
    return None


def _unhexed(text: str) -> bytes:
    try:
        return bytes.fromhex(text) if len(text) == 2 * SIGNATURE_BYTES else b""
    except ValueError:
        return b""


def _challenge(frame: Frame) -> Challenge | CallbackRefused:
    plain_token, event_ts = frame.body.text("plain_token"), frame.body.number_text("event_ts")
    if not _WORD.fullmatch(plain_token) or not _STAMP.fullmatch(event_ts):
        return _NO_WORDS
    return Challenge(plain_token, event_ts)


# answers


def taken() -> Answer:
    """Op 12: it need not come again."""
    return _answer({"op": int(Op.HTTP_ACK), "d": 0})


def alive() -> Answer:
    """To a heartbeat over HTTP. Source: botgo."""
    return _answer({"op": int(Op.HEARTBEAT_ACK), "d": 0})


def proof(challenge: Challenge, signet: Signet) -> Answer:
    signed = signet.sign((challenge.event_ts + challenge.plain_token).encode())
    return _answer({"plain_token": challenge.plain_token, "signature": signed.hex()})


def _answer(body: Mapping[str, object]) -> Answer:
    return Answer(200, {"content-type": "application/json"}, _encode(body))
