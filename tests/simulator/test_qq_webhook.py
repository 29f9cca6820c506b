"""QQ as a client: signed postings to a webhook, the check of its address, and what happens when nobody answers."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature

from simulator.qq_caller import NOW
from yizhan_simulator import Effect, Fault, World
from yizhan_simulator.qq.posting import Posting, key_of, signature, validation_signature
from yizhan_simulator.server import running

YES = b'{"op":12,"d":0}'


@pytest.fixture
def hooked(world: World, ann: str) -> World:
    world.qq.add_bot("Echo", secret="naOC0ocQE3shWLAfffVLB1rhYPG7", webhook_url="http://hook.test/qq")
    return world


def one(world: World) -> Posting:
    (posting,) = world.qq.postings()
    return posting


def is_genuine(posting: Posting, secret: str) -> bool:
    signed = posting.headers["X-Signature-Timestamp"].encode() + posting.body
    try:
        key_of(secret).public_key().verify(bytes.fromhex(posting.headers["X-Signature-Ed25519"]), signed)
    except InvalidSignature:
        return False
    return True


def test_signatures_are_those_of_the_documentation() -> None:
    """The vectors of bot.q.qq.com "sign": the key that a secret makes, and the answer to op 13."""
    public = key_of("naOC0ocQE3shWLAfffVLB1rhYPG7").public_key().public_bytes_raw().hex()
    assert "d7c362fe78aef81ff23287b493628b5db02a3c4fe30b215e4d19609b5d76673a" == public
    body = b'{"op":0,"d":{},"t":"GATEWAY_EVENT_NAME"}'
    assert signature("naOC0ocQE3shWLAfffVLB1rhYPG7", "1725442341", body).startswith(
        "b9d91ef278516c0f359216398be939ee"
    )
    told = validation_signature("DG5g3B4j9X2KOErG", "1725442341", "Arq0D5A61EgUu4OxUvOp")
    assert told.startswith("87befc99c42c651b3aac0278e71ada338433ae26fcb24307bdc5ad38c1adc2d01bcfcadc0842edac")


def test_an_event_is_pushed_signed_and_not_again_once_it_is_taken(hooked: World) -> None:
    """The same envelope as on the socket, with the headers of the documentation."""
    message_id = hooked.qq.say("Ann", "hello", NOW)
    posting = one(hooked)
    told = json.loads(posting.body)
    assert (0, "C2C_MESSAGE_CREATE", message_id) == (told["op"], told["t"], told["d"]["id"])
    assert ("QQBot-Callback", hooked.qq.bot("Echo").app_id, str(NOW // 1000)) == (
        posting.headers["User-Agent"], posting.headers["X-Bot-Appid"], posting.headers["X-Signature-Timestamp"]
    )  # fmt: skip
    assert is_genuine(posting, hooked.qq.bot("Echo").secret)
    hooked.qq.posted(posting, 200, YES, NOW)
    hooked.advance(NOW + 3_600_000)
    assert [] == hooked.qq.postings()


@pytest.mark.parametrize(
    ("status", "body"), [(None, b""), (500, YES), (200, b'{"op":12,"d":1}'), (401, b"{}")],
    ids=["silence", "500", "failed", "401"],
)  # fmt: skip
def test_an_unheard_push_comes_again_a_few_times(hooked: World, status: int | None, body: bytes) -> None:
    """With a fresh stamp and the same event, then no more."""
    hooked.qq.say("Ann", "hello", NOW)
    seen, now_ms = [], NOW
    while postings := hooked.qq.postings():
        seen += postings
        hooked.qq.posted(postings[0], status, body, now_ms)
        now_ms += 3000
        hooked.advance(now_ms)
    assert [1, 2, 3, 4] == [posting.attempt for posting in seen]
    assert 1 == len({posting.body for posting in seen})
    assert 4 == len({posting.headers["X-Signature-Timestamp"] for posting in seen})
    assert all(is_genuine(posting, hooked.qq.bot("Echo").secret) for posting in seen)


@pytest.mark.parametrize("kind", ["forged", "stale_stamp", "double"])
def test_pushes_a_careful_receiver_must_judge(hooked: World, kind: str) -> None:
    """A wrong signature, an old time stamp, the same event twice."""
    hooked.add_fault(Fault(kind=kind, call="qq.webhook", times=1), NOW)  # type: ignore[arg-type]
    hooked.qq.say("Ann", "hello", NOW)
    first, *more = hooked.qq.postings()
    assert (kind != "forged") == is_genuine(first, hooked.qq.bot("Echo").secret)
    age_s = NOW // 1000 - int(first.headers["X-Signature-Timestamp"])
    assert (3600 if kind == "stale_stamp" else 0) == age_s
    assert (1 if kind == "double" else 0) == len(more)


def test_an_address_is_valid_when_its_answer_proves_the_secret(hooked: World) -> None:
    """Op 13: only who has the secret can sign the plain token."""
    for secret, effect in (("wrong", Effect.REFUSED), (hooked.qq.bot("Echo").secret, Effect.ANSWERED)):
        hooked.qq.validate_webhook("Echo", NOW)
        posting = one(hooked)
        asked = json.loads(posting.body)["d"]
        told = {
            "plain_token": asked["plain_token"],
            "signature": validation_signature(secret, asked["event_ts"], asked["plain_token"]),
        }
        hooked.qq.posted(posting, 200, json.dumps(told).encode(), NOW)
        assert effect is hooked.ledger.select("qq.webhook")[-1].effect


async def test_pushes_leave_over_a_real_connection(world: World, ann: str) -> None:
    """The driver carries them out and tells the world what came back."""
    heard: list[bytes] = []

    async def take(request: web.BaseRequest) -> web.Response:
        heard.append(await request.read())
        return web.Response(body=YES)

    server = web.ServerRunner(web.Server(take))
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    port = server.addresses[0][1]
    world.qq.add_bot("Echo", webhook_url=f"http://127.0.0.1:{port}/qq")
    async with running(world) as sim:
        answered = world.ledger.watchers
        posted = asyncio.Event()
        answered.append(lambda record: posted.set() if record.call == "qq.webhook" else None)
        world.qq.say(ann, "hello", sim.clock.now_ms())
        await posted.wait()
    await server.cleanup()
    assert ["hello"] == [json.loads(body)["d"]["content"] for body in heard]
    assert [Effect.ANSWERED] == [row.effect for row in world.ledger.select("qq.webhook")]
