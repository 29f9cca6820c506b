"""Requests as the platform wants them, to the letter."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from yizhan import __version__
from yizhan.errors import UnknownChat
from yizhan.model import Account, ChatId, Entry, InboundId, ReplyToken
from yizhan.platforms.ilink.calls import Calls, wechat_uin
from yizhan.platforms.ilink.codec import IlinkCodec
from yizhan.platforms.ilink.policy import POLICY, TEXT_LIMIT_BYTES
from yizhan.ports import Chance, Request

CHAT = ChatId("o9cq80user@im.wechat")
BASE_INFO = {"channel_version": "2.4.9", "bot_agent": f"Yizhan/{__version__}"}


@pytest.fixture
def calls(chance: Chance) -> Calls:
    return Calls(chance)


def body_of(request: Request) -> Any:
    return json.loads(request.body)


def entry(text: str = "hello") -> Entry:
    return Entry(no=1, text=text, client_id="yizhan:m_1:1")


def token(account: Account, text: str = "AARzJWAF") -> ReplyToken:
    return ReplyToken(account.id, CHAT, InboundId("i_1"), text, 0)


def test_send_has_every_field_that_the_platform_wants(account: Account, calls: Calls) -> None:
    """Leaving one out was answered with 200 and shown to nobody (March 2026)."""
    request = IlinkCodec(calls).encode(account, CHAT, entry(), token(account))
    expected = {
        "msg": {
            "from_user_id": "",
            "to_user_id": CHAT,
            "client_id": "yizhan:m_1:1",
            "message_type": 2,
            "message_state": 2,
            "item_list": [{"type": 1, "text_item": {"text": "hello"}}],
            "context_token": "AARzJWAF",
        },
        "base_info": BASE_INFO,
    }
    assert expected == body_of(request)
    assert ("sendmessage", "POST", "http://127.0.0.1:1/ilink/bot/sendmessage", 10_000) == (
        request.call,
        request.method,
        request.url,
        request.timeout_ms,
    )


def test_send_without_token_says_nothing_of_one(account: Account, calls: Calls) -> None:
    """The experiment that tells a stale token from a limit."""
    assert "context_token" not in body_of(IlinkCodec(calls).encode(account, CHAT, entry(), None))["msg"]


@pytest.mark.field("F83")
def test_headers_are_the_official_client_s(account: Account, calls: Calls) -> None:
    """A missing one is answered with `session timeout`, which looks like a dead login."""
    headers = dict(calls.poll(account, "", 35_000).headers)
    uin = headers.pop("X-WECHAT-UIN")
    expected = {
        "Content-Type": "application/json",
        "AuthorizationType": "ilink_bot_token",
        "Authorization": "Bearer b0f5860fdecb@im.bot:060000aa11",
        "iLink-App-Id": "bot",
        "iLink-App-ClientVersion": "132105",
    }
    assert expected == headers
    assert 0 <= int(base64.b64decode(uin)) < 2**32


def test_uin_is_base64_of_decimal_digits_and_new_each_time(account: Account, calls: Calls) -> None:
    """Source of the example: openclaw-weixin 2.4.9."""
    assert "MzA1NDE5ODk2" == wechat_uin(305_419_896)
    drawn = {calls.start(account).headers["X-WECHAT-UIN"] for _ in range(20)}
    assert 20 == len(drawn)


@pytest.mark.field("F28")
def test_poll_carries_the_cursor_and_waits_longer_than_the_server(account: Account, calls: Calls) -> None:
    """A client that gives up first loses what the server has just handed out."""
    request = calls.poll(account, "CiQ", 35_000)
    assert {"get_updates_buf": "CiQ", "base_info": BASE_INFO} == body_of(request)
    assert 45_000 == request.timeout_ms


def test_the_other_calls(account: Account, calls: Calls) -> None:
    """Address and body of each."""
    base = "http://127.0.0.1:1/ilink/bot"
    made = {
        calls.start(account).url: {},
        calls.stop(account).url: {},
        calls.config(account, CHAT, "T").url: {"ilink_user_id": CHAT, "context_token": "T"},
        calls.typing(account, CHAT, "K", True).url: {
            "ilink_user_id": CHAT,
            "typing_ticket": "K",
            "status": 1,
        },
    }
    assert [
        f"{base}/msg/notifystart",
        f"{base}/msg/notifystop",
        f"{base}/getconfig",
        f"{base}/sendtyping",
    ] == list(made)
    requests = [
        calls.start(account),
        calls.stop(account),
        calls.config(account, CHAT, "T"),
        calls.typing(account, CHAT, "K", True),
    ]
    assert [body | {"base_info": BASE_INFO} for body in made.values()] == [body_of(each) for each in requests]
    assert 2 == body_of(calls.typing(account, CHAT, "K", False))["status"]
    assert ["notifystart", "notifystop", "getconfig", "sendtyping"] == [each.call for each in requests]


def test_login_calls_carry_no_token_in_their_headers(calls: Calls) -> None:
    """Nobody is logged in yet; the list of known tokens goes in the body, ten at most, newest first."""
    asking = calls.qr_code("http://127.0.0.1:1/", [f"t{number}" for number in range(12)])
    assert "http://127.0.0.1:1/ilink/bot/get_bot_qrcode?bot_type=3" == asking.url
    assert {"local_token_list": [f"t{number}" for number in range(10)]} == body_of(asking)
    waiting = calls.qr_status("http://127.0.0.1:1", "a/b &c", "12 34")
    assert "GET" == waiting.method
    assert waiting.url.endswith("/get_qrcode_status?qrcode=a%2Fb%20%26c&verify_code=12%2034")
    assert {"iLink-App-Id": "bot", "iLink-App-ClientVersion": "132105"} == dict(waiting.headers)
    assert "Authorization" not in asking.headers


def test_any_text_can_be_encoded(account: Account, calls: Calls) -> None:
    """Half an emoji in an agent's answer must not end the dispatcher."""
    for text in ("", "\x00\x01\n", "你好 👋🏽", "\ud83d", '"\\', "x" * 16_000):
        IlinkCodec(calls).encode(account, CHAT, entry(text), None).body.decode()
    assert b'"text":"a?b"' in IlinkCodec(calls).encode(account, CHAT, entry("a\ud83db"), None).body


def test_a_part_of_any_script_stays_below_the_platform_s_limit() -> None:
    """The bytes count there, not the characters; whatever fits our policy must fit the platform."""
    assert POLICY.text_max_bytes < TEXT_LIMIT_BYTES
    assert POLICY.text_max_chars * 4 <= TEXT_LIMIT_BYTES


@pytest.mark.parametrize("chat", [CHAT, "o9cq80_-XYZ@im.wechat"])
def test_chat_of_wechat_is_accepted(calls: Calls, chat: str) -> None:
    """The shape of every user id seen."""
    IlinkCodec(calls).check_chat(ChatId(chat))


@pytest.mark.parametrize(
    "chat",
    [
        "",
        "o9",
        "@im.wechat",
        "b0f5860fdecb@im.bot",
        "c2c/OPENID",
        "a b@im.wechat",
        "x@im.wechat\n",
        "a:b@im.wechat",
    ],
)
def test_chat_of_nobody_is_refused_at_the_door(calls: Calls, chat: str) -> None:
    """A mistyped target is an error for the caller, not a dead letter next day."""
    with pytest.raises(UnknownChat, match=r"@im\.wechat"):
        IlinkCodec(calls).check_chat(ChatId(chat))


def test_secrets_do_not_show_in_a_printed_request(make_account: Callable[..., Account], calls: Calls) -> None:
    """A request in a traceback must not give the login away."""
    account = make_account()
    secret = account.credentials.secret
    for request in (
        calls.poll(account, "CURSOR", 1),
        IlinkCodec(calls).encode(account, CHAT, entry("TEXT"), None),
    ):
        printed = repr(request) + repr(account)
        assert not [word for word in (secret, "CURSOR", "TEXT") if word in printed]
