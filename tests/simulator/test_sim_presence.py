"""Typing, online state, upload and download."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import urlsplit

import pytest

from yizhan_simulator import SimReply, SimRequest, World
from yizhan_simulator.cdn import ciphertext_size, decrypt, encrypt

KEY = bytes.fromhex("00112233445566778899aabbccddeeff")


def test_the_cipher_agrees_with_the_published_vectors() -> None:
    """AES-128-ECB with PKCS#7; an exact multiple of the block gains one block."""
    assert "b7b86f6a7e5ca4c39d8da094d17d2f95" == encrypt(b"hello ilink", KEY).hex()
    long = "aebdd39b144089d5e31cacd35b7a113a00657ea140655a44782747705d422fad"
    assert long == encrypt(b"0123456789abcdef", KEY).hex()
    assert b"hello ilink" == decrypt(encrypt(b"hello ilink", KEY), KEY)
    assert [16, 16, 32] == [ciphertext_size(size) for size in (0, 15, 16)]


def test_typing_needs_a_ticket_and_fades(world: World, ann: str, caller: Any) -> None:
    """The indicator goes by itself, on stop, and when a message comes."""
    bot_id = world.state.people.live_bots()[0].bot_id
    config = caller.json("getconfig", {"ilink_user_id": ann})
    assert 0 == config["ret"]
    assert 448 == len(config["typing_ticket"])
    body = {"ilink_user_id": ann, "typing_ticket": config["typing_ticket"], "status": 1}
    assert {"ret": 0} == caller.json("sendtyping", body)
    assert world.typing("Ann", bot_id, caller.now_ms + 9_999)
    assert not world.typing("Ann", bot_id, caller.now_ms + 10_000)
    caller.json("sendtyping", {**body, "status": 2})
    assert not world.typing("Ann", bot_id, caller.now_ms)
    caller.json("sendtyping", body)
    caller.send(ann, "done")
    assert not world.typing("Ann", bot_id, caller.now_ms)


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        ("getconfig", {}, {"ret": -2, "errmsg": "ilink_user_id required"}),
        ("getconfig", {"ilink_user_id": "x@im.wechat"}, {"ret": -4, "errmsg": "GetTypingTicket rpc failed"}),
        ("sendtyping", {"user_id": "x"}, {"ret": -2, "errmsg": "ilink_user_id required"}),
        ("sendtyping", {"ilink_user_id": "x@im.wechat"}, {"ret": -2, "errmsg": "invalid arguments"}),
        ("getuploadurl", {"to_user_id": "x@im.wechat"}, {"ret": -2, "errmsg": "invalid arguments"}),
    ],
)
def test_small_calls_are_refused_in_their_own_words(caller: Any, call: str, body: Any, expected: Any) -> None:
    """The same number means different things on different calls."""
    assert expected == caller.json(call, body)


def test_typing_costs_no_quota(world: World, ann: str, caller: Any) -> None:
    """Ten answers remain after any number of typing calls."""
    for _ in range(20):
        caller.json("getconfig", {"ilink_user_id": ann})
    assert all("message_id" in caller.send(ann, f"n{number}") for number in range(10))


def test_notifystart_and_notifystop_turn_the_bot_on_and_off(world: World, caller: Any) -> None:
    """The contact list shows it."""
    bot = world.state.people.live_bots()[0]
    caller.json("msg/notifystart")
    assert bot.online
    caller.json("msg/notifystop")
    assert not bot.online


def upload_request(ann: str, plain: bytes, **change: Any) -> dict[str, Any]:
    body = {
        "filekey": "7cc7ad1d6aaf4c32b23dc4f8c40ec0cf", "media_type": 1, "to_user_id": ann, "rawsize": len(plain),
        "rawfilemd5": hashlib.md5(plain).hexdigest(), "filesize": ciphertext_size(len(plain)), "no_need_thumb": True,
        "aeskey": KEY.hex(),
    }  # fmt: skip
    return {**body, **change}


def test_an_upload_reaches_the_phone(world: World, ann: str, caller: Any) -> None:
    """Permission, ciphertext, message; the phone decrypts what the message's key opens."""
    answer = caller.json("getuploadurl", upload_request(ann, b"picture"))
    assert answer["upload_param"]
    link = answer["upload_full_url"]
    reply = world.handle(SimRequest.of("POST", link, {}, encrypt(b"picture", KEY)), caller.now_ms)
    assert isinstance(reply, SimReply)
    param = reply.headers["x-encrypted-param"]
    media = {"encrypt_query_param": param, "aes_key": base64.b64encode(KEY.hex().encode()).decode()}
    body = caller.message(ann, "")
    body["msg"]["item_list"] = [{"type": 2, "image_item": {"media": media, "mid_size": 16}}]
    caller.json("sendmessage", body)
    (bubble,) = world.shown(ann)
    assert ("image", 16) == (bubble.kind, bubble.size)
    assert b"picture" == world.state.cdn.plain(param, media["aes_key"])
    raw_key = base64.b64encode(KEY).decode()
    assert world.state.cdn.plain(param, raw_key) is None, "base64 of the raw key shows a grey box"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"filesize": 7}, {"ret": -2, "errmsg": "invalid arguments"}),
        ({"aeskey": "short"}, {"ret": -2, "errmsg": "invalid arguments"}),
        ({"media_type": 9}, {"ret": -2, "errmsg": "invalid arguments"}),
        ({"to_user_id": "nobody@im.wechat"}, {"ret": -1}),
    ],
)
def test_inconsistent_uploads_are_refused(ann: str, caller: Any, change: Any, expected: Any) -> None:
    """Sizes are checked against each other."""
    assert expected == caller.json("getuploadurl", upload_request(ann, b"picture", **change))


def test_the_cdn_checks_filekey_length_and_parameter(world: World, ann: str, caller: Any) -> None:
    """Its diagnostics are headers, its bodies are empty."""
    link = caller.json("getuploadurl", upload_request(ann, b"picture"))["upload_full_url"]
    asked = [
        ("POST", link.replace("filekey=7", "filekey=8"), 500),
        ("POST", link, 400),
        ("PUT", link, 404),
        ("GET", f"http://{urlsplit(link).netloc}/c2c/download?encrypted_query_param=x", 400),
    ]
    for method, url, status in asked:
        reply = world.handle(SimRequest.of(method, url, {}, b"short"), caller.now_ms)
        assert isinstance(reply, SimReply)
        assert (status, b"") == (reply.status, reply.body)
        assert reply.headers["x-error-code"].startswith("-51020")


@pytest.mark.parametrize(("mode", "names"), [("param", {"upload_param"}), ("full", {"upload_full_url"})])
def test_servers_give_one_kind_of_upload_address_or_both(
    world: World, ann: str, caller: Any, mode: str, names: set[str]
) -> None:
    """Newer servers only give the complete address."""
    world.turn(media_urls=mode)
    answer = caller.json("getuploadurl", upload_request(ann, b"picture"))
    assert names == {"upload_param", "upload_full_url"} & set(answer)
