"""What is posted to a webhook: QQ's signature, its age, and what may be signed for QQ."""

from __future__ import annotations

import json

import pytest

from yizhan.platforms.qq.callbacks import (
    SIGNATURE,
    STAMP,
    WINDOW_MS,
    Challenge,
    Signet,
    proof,
    read_callback,
)
from yizhan.platforms.qq.frames import Frame
from yizhan.ports import Callback, CallbackRefused, RefusedBecause

SECRET = "naOC0ocQE3shWLAfffVLB1rhYPG7"
STAMPED = "1725442341"
NOW_MS = int(STAMPED) * 1_000
EVENT = b'{"op":0,"d":{},"t":"GATEWAY_EVENT_NAME"}'
SIGNED = (
    "b9d91ef278516c0f359216398be939ee591186ecc250b3b5c724436655b7adf9"
    "f906b025413ccd61fe8218b39ce61733bf2707b1dd8ea2b649f5d3cf727c0a01"
)
"""Of EVENT at STAMPED with SECRET; computed apart from this code."""


def callback(body: bytes = EVENT, signature: str = SIGNED, stamp: str = STAMPED) -> Callback:
    return Callback({SIGNATURE: signature, STAMP: stamp}, body)


def test_the_key_and_the_proof_are_those_of_the_documents() -> None:
    """The wiki bot.q.qq.com, page "sign", prints both."""
    challenge = Challenge("Arq0D5A61EgUu4OxUvOp", "1725442341")
    told = json.loads(proof(challenge, Signet("DG5g3B4j9X2KOErG")).body)
    assert {
        "plain_token": "Arq0D5A61EgUu4OxUvOp",
        "signature": "87befc99c42c651b3aac0278e71ada338433ae26fcb24307bdc5ad38c1adc2d0"
        "1bcfcadc0842edac85e85205028a1132afe09280305f13aa6909ffc2d652c706",
    } == told


def test_what_is_signed_and_of_these_minutes_is_believed() -> None:
    for off_ms in (-WINDOW_MS, 0, WINDOW_MS):
        read = read_callback(callback(), Signet(SECRET), NOW_MS + off_ms)
        assert isinstance(read, Frame)
        assert "GATEWAY_EVENT_NAME" == read.kind


@pytest.mark.parametrize(
    ("changed", "now_ms"),
    [
        (callback(body=EVENT.replace(b"{}", b'{"a":1}')), NOW_MS),
        (callback(body=EVENT + b" "), NOW_MS),
        (callback(stamp="1725442342"), NOW_MS),
        (callback(stamp=""), NOW_MS),
        (callback(stamp="-1725442341"), NOW_MS),
        (callback(stamp="１７２５４４２３４１"), NOW_MS),
        (callback(signature=""), NOW_MS),
        (callback(signature=SIGNED[:-2]), NOW_MS),
        (callback(signature=SIGNED + "00"), NOW_MS),
        (callback(signature="é" * 128), NOW_MS),
        (callback(signature=SIGNED[:-2] + "e1"), NOW_MS),
        (callback(signature="0" * 128), NOW_MS),
        (callback(signature=Signet("another bot's").sign(STAMPED.encode() + EVENT).hex()), NOW_MS),
        (Callback({}, EVENT), NOW_MS),
        (callback(), NOW_MS + WINDOW_MS + 1),
        (callback(), NOW_MS - WINDOW_MS - 1),
    ],
)
def test_what_is_forged_changed_or_old_is_refused(changed: Callback, now_ms: int) -> None:
    """Anybody on the internet can post to that address."""
    refused = read_callback(changed, Signet(SECRET), now_ms)
    assert isinstance(refused, CallbackRefused)
    assert RefusedBecause.UNPROVEN is refused.because
    assert refused.text
    assert refused.fix


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"t":"READY"}', b"\xff"])
def test_a_signed_body_that_nobody_can_read_is_refused_as_that(body: bytes) -> None:
    signet = Signet(SECRET)
    refused = read_callback(callback(body, signet.sign(STAMPED.encode() + body).hex()), signet, NOW_MS)
    assert isinstance(refused, CallbackRefused)
    assert RefusedBecause.UNREADABLE is refused.because


def test_nobody_gets_an_event_signed_by_asking_for_a_validation() -> None:
    """The answer to op 13 is signed with the key that signs events: whoever chose its text could speak as QQ."""
    signet = Signet(SECRET)
    forged = '{"op":0,"t":"C2C_MESSAGE_CREATE","d":{}}'
    for plain_token, event_ts in ((forged, STAMPED), ("abc", STAMPED + forged), ("", STAMPED), ("abc", "")):
        body = json.dumps({"op": 13, "d": {"plain_token": plain_token, "event_ts": event_ts}}).encode()
        signed = callback(body, signet.sign(STAMPED.encode() + body).hex())
        for asked in (Callback({}, body), signed):
            assert isinstance(read_callback(asked, signet, NOW_MS), CallbackRefused)
    honest = json.dumps({"op": 13, "d": {"plain_token": "abc", "event_ts": STAMPED}}).encode()
    assert Challenge("abc", STAMPED) == read_callback(Callback({}, honest), signet, NOW_MS)
    assert isinstance(read_callback(callback(honest), signet, NOW_MS), CallbackRefused), (
        "a wrong one is wrong"
    )
