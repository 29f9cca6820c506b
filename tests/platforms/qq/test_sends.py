"""Requests to QQ and what its replies mean."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from yizhan.core.verdict import (
    Barred,
    Deferred,
    Delivered,
    Ghost,
    InDoubt,
    Rejected,
    StaleToken,
    Throttled,
)
from yizhan.errors import UnknownChat
from yizhan.model import (
    UNREPEATABLE,
    Account,
    AccountId,
    AccountState,
    ChatId,
    Credentials,
    Entry,
    InboundId,
    ReplyToken,
)
from yizhan.platforms.qq import forms
from yizhan.platforms.qq.chats import Scope
from yizhan.platforms.qq.codec import QqCodec
from yizhan.platforms.qq.refusals import REFUSALS, Meaning
from yizhan.ports import Absence, AbsenceKind, Answer, Evidence

CODEC = QqCodec()
ACCOUNT = Account(AccountId("qq:102"), Credentials("s", ""), AccountState.UP, 0, 0)
ASKED = Evidence(with_token=True, gives_receipts=True, text_bytes=5)
UNASKED = replace(ASKED, with_token=False)


def token(words: str) -> ReplyToken:
    return ReplyToken(ACCOUNT.id, ChatId("c2c/A"), InboundId("in_1"), words, 0)


def body(chat: str, entry: Entry) -> dict[str, Any]:
    return dict(json.loads(CODEC.encode(ACCOUNT, ChatId(chat), entry, None).body))


def said(code: int, status: int = 400, **more: Any) -> Answer:
    told = {"message": "x", "code": code, "err_code": code, "trace_id": "t"} | more
    return Answer(status, {}, json.dumps(told).encode())


@pytest.mark.parametrize(
    ("chat", "path"),
    [
        ("c2c/AB", "/v2/users/AB/messages"),
        ("group/AB", "/v2/groups/AB/messages"),
        ("channel/12", "/channels/12/messages"),
        ("dm/12", "/dms/12/messages"),
    ],
)
def test_each_kind_of_chat_has_its_road(chat: str, path: str) -> None:
    """Source: bot-docs, sending."""
    request = CODEC.encode(ACCOUNT, ChatId(chat), Entry(1, "hi", "c", sent_as=UNREPEATABLE), None)
    assert f"https://api.sgroup.qq.com{path}" == request.url


@pytest.mark.parametrize("chat", ["", "AB", "c2c/", "c2c/a/b", "user/AB", "c2c/" + "a" * 200, "group/a b"])
def test_what_names_no_chat_is_refused_at_the_door(chat: str) -> None:
    with pytest.raises(UnknownChat, match="c2c/OPENID, group/OPENID, channel/ID and dm/ID"):
        CODEC.check_chat(ChatId(chat))


def test_an_answer_names_the_message_and_its_number() -> None:
    sent_as = CODEC.address(ChatId("c2c/A"), token("ROBOT1.0_a#b"), 3)
    entry = Entry(1, "pong", "c", sent_as=sent_as)
    assert {"msg_type": 0, "content": "pong", "msg_id": "ROBOT1.0_a#b", "msg_seq": 3} == body("c2c/A", entry)
    assert {"content": "pong", "msg_id": "ROBOT1.0_a#b"} == body("channel/1", entry)
    event = replace(entry, sent_as=CODEC.address(ChatId("c2c/A"), token("event:FRIEND_ADD:4e5f"), 1))
    assert {"msg_type": 0, "content": "pong", "event_id": "FRIEND_ADD:4e5f", "msg_seq": 1} == body(
        "c2c/A", event
    )
    assert UNREPEATABLE == CODEC.address(ChatId("c2c/A"), None, 4)


@pytest.mark.parametrize("chat", ["channel/1", "dm/1"])
def test_an_answer_in_a_guild_names_the_message_and_is_known_by_nothing(chat: str) -> None:
    """Guilds know no `msg_seq`: a repeat is another message on the screen."""
    sent_as = CODEC.address(ChatId(chat), token("-a#b"), 3)
    entry = Entry(1, "pong", "c", sent_as=sent_as)
    assert entry.unrepeatable
    assert {"content": "pong", "msg_id": "-a#b"} == body(chat, entry)


def test_guilds_take_a_few_characters_as_entities() -> None:
    assert "a &lt; b &amp; c" == body("channel/1", Entry(1, "a < b & c", "c"))["content"]


@pytest.mark.parametrize(
    ("reply", "evidence", "verdict"),
    [
        (Answer(200, {}, b'{"id":"R1","timestamp":"2026"}'), ASKED, Delivered("R1")),
        (Answer(200, {}, b'{"id":"R1","timestamp":"2026"}', seen=False), ASKED, Ghost),
        (Answer(200, {}, b"{}"), ASKED, InDoubt),
        (Answer(200, {}, b""), ASKED, InDoubt),
        (Answer(200, {}, b"null"), ASKED, InDoubt),
        (Answer(200, {}, b"<html>"), ASKED, InDoubt),
        (Answer(502, {}, b"<html>"), ASKED, InDoubt),
        (Answer(504, {}, b'{"message":"x"}'), ASKED, InDoubt),
        (Answer(429, {}, b"<html>"), ASKED, Throttled),
        (Answer(404, {}, b"{}"), ASKED, Rejected),
        (Absence(AbsenceKind.NOT_SENT, "x"), ASKED, Deferred),
        (Absence(AbsenceKind.NO_ANSWER, "x"), ASKED, InDoubt),
        (said(40034005), ASKED, StaleToken),
        (said(40034128), ASKED, StaleToken),
        (said(40034105), UNASKED, StaleToken),
        (said(40034100), UNASKED, Throttled),
        (said(22009, 429), ASKED, Throttled),
        (said(40054005), replace(ASKED, repeated=True), Delivered),
        (said(40054005), ASKED, Throttled),
        (said(40034006), ASKED, Rejected),
        (said(123456789), ASKED, Rejected),
        (said(123456789, 500), ASKED, InDoubt),
        (said(11298, 401, err_code=40023002), ASKED, Barred),
        (said(11244, 401), ASKED, Throttled),
        (said(40034006, 200), ASKED, Rejected),
        (said(50055001, 500), ASKED, Throttled),
    ],
)
def test_what_a_reply_means(reply: Any, evidence: Evidence, verdict: Any) -> None:
    """Success needs an id and no code; the status alone decides only where no code is known."""
    found = CODEC.classify(reply, evidence)
    assert found == verdict if isinstance(verdict, Delivered) else isinstance(found, verdict)


def test_a_message_held_back_names_its_audit() -> None:
    """Source: bot-docs, 304023 with HTTP 201 or 202."""
    told = {"code": 304023, "message": "waiting", "data": {"message_audit": {"audit_id": "ab9b-1"}}}
    held = CODEC.classify(Answer(202, {}, json.dumps(told).encode()), UNASKED)
    assert isinstance(held, InDoubt)
    assert "ab9b-1" == held.audit


def test_the_address_to_allow_is_told_where_qq_tells_it() -> None:
    words = "接口访问源IP不在白名单: 203.0.113.7"
    barred = CODEC.classify(said(11298, 401, message=words), ASKED)
    assert isinstance(barred, Barred)
    assert "203.0.113.7" in barred.action
    untold = CODEC.classify(said(11298, 401, message="接口访问源IP不在白名单"), ASKED)
    assert isinstance(untold, Barred)
    assert "ifconfig.me" in untold.action, "and how to find it where it does not"


@pytest.mark.parametrize("code", sorted(REFUSALS))
@pytest.mark.parametrize("asked", [True, False])
def test_every_code_of_the_table_has_a_verdict_that_ends(code: int, asked: bool) -> None:
    """No code is both final and repeated, and no ladder of forms has a loop."""
    form, seen = forms.MARKDOWN, []
    while form:
        seen.append(form)
        found = CODEC.classify(said(code), replace(ASKED, with_token=asked, form=form))
        form = found.instead if isinstance(found, Rejected) else ""
    assert len(seen) == len(set(seen)) <= 3
    if REFUSALS[code].meaning is Meaning.PERSON:
        assert isinstance(found, Barred)
        assert found.action


@pytest.mark.parametrize(
    ("text", "scope", "unfit", "form"),
    [
        ("hello", Scope.C2C, "", "plain"),
        ("# Title\ntext", Scope.C2C, "", "markdown"),
        ("a **bold** word", Scope.GROUP, "", "markdown"),
        ("a **bold** word", Scope.CHANNEL, "", "plain"),
        ("a **bold** word", Scope.C2C, "markdown", "plain"),
        ("see example.com", Scope.C2C, "plain", "bare"),
        ("**no link**", Scope.C2C, "plain", "markdown"),
        ("3 * 4 * 5 = 60, v1.2, e.g. this", Scope.C2C, "plain markdown", "plain"),
    ],
)
def test_a_text_is_dressed_as_the_bot_may_send_it(text: str, scope: Scope, unfit: str, form: str) -> None:
    assert form == forms.best(text, scope, unfit)


def test_undressed_links_can_be_read_and_not_touched() -> None:
    shown = forms.undress(
        "see https://a.example/b.html?c=1, www.x.org and github.com/x; not 3.5 or e.g. this"
    )
    assert "https" not in shown
    assert not forms.has_link(shown)
    assert "3.5 or e.g. this" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("官网是example.com吧", "官网是example。com吧"),
        ("看www.x.y吧", "看www。x。y吧"),
        ("see...example.com or -a-b.cn/p", "see...example。com or -a-b。cn/p"),
        ("a_b.com example.com_x example.community", "a_b.com example.com_x example.community"),
    ],
)
def test_a_link_within_chinese_is_undressed_too(text: str, shown: str) -> None:
    """Chinese has no blanks: a name between two characters went out as it was, and QQ refused the message again."""
    assert shown == forms.undress(text)


@pytest.mark.parametrize("piece", ["a.", "1.", "a-b.", "a.-"])
def test_a_long_row_of_labels_is_looked_at_once(piece: str) -> None:
    """A thousand of them kept all chats waiting for a sixth of a second, for each part and each try; this many would
    keep the test waiting for days."""
    assert not forms.has_link(piece * 200_000)
