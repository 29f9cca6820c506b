"""What a poll's reply says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.model import Account, AccountId, AccountState, Credentials, Item
from yizhan.platforms.ilink.listening import decode
from yizhan.ports import Absence, AbsenceKind, Answer, Batch, Heard, Lost, LostKind

BOT = "b0f5860fdecb@im.bot"
USER = "o9cq80user@im.wechat"
ACCOUNT = Account(
    AccountId(f"weixin:{BOT}"), Credentials(f"{BOT}:0600", "http://127.0.0.1:1"), AccountState.UP, 0, 0
)

RECORDED = """{"msgs":[{"seq":12,"message_id":7498796439671022216,"from_user_id":"o9cq80user@im.wechat",
 "to_user_id":"b0f5860fdecb@im.bot","client_id":"mmassistant_bypmsg_inbox_1","create_time_ms":1790000000000,
 "update_time_ms":1790000000000,"delete_time_ms":0,"session_id":"","group_id":"","message_type":1,
 "message_state":2,"context_token":"AARzJWAF",
 "item_list":[{"type":1,"create_time_ms":1790000000000,"is_completed":true,"text_item":{"text":"hi"}}]}],
 "sync_buf":"Cgg","get_updates_buf":"CiQ","longpolling_timeout_ms":35000}"""


def decoded(body: object, status: int = 200) -> Batch | Lost:
    raw = (
        body
        if isinstance(body, bytes)
        else body.encode()
        if isinstance(body, str)
        else json.dumps(body).encode()
    )
    return decode(ACCOUNT, Answer(status, {}, raw))


def batch(body: object) -> Batch:
    made = decoded(body)
    assert isinstance(made, Batch), made
    return made


def lost(body: object, status: int = 200) -> Lost:
    made = decoded(body, status)
    assert isinstance(made, Lost), made
    return made


def heard(*items: dict[str, Any], **fields: Any) -> Heard:
    message = {"from_user_id": USER, "message_id": 1, "message_type": 1, "item_list": list(items)} | fields
    (one,) = batch({"msgs": [message]}).heard
    return one


def words(text: str) -> dict[str, Any]:
    return {"type": 1, "text_item": {"text": text}}


def test_recorded_answer_is_read_to_the_last_digit() -> None:
    """The shape that the platform sends since July 2026, without `ret`."""
    expected = Heard(
        chat=USER,  # type: ignore[arg-type]
        chat_kind="direct",
        platform_message_id="7498796439671022216",
        sender_id=USER,
        sender_name="",
        text="hi",
        quoted_text="",
        items=(),
        sent_at_ms=1_790_000_000_000,
        token="AARzJWAF",
    )
    assert Batch((expected,), "CiQ", 35_000, 0) == batch(RECORDED)


@pytest.mark.parametrize(
    "body",
    [
        '{"msgs":[],"get_updates_buf":"c"}',
        '{"msgs":null,"get_updates_buf":"c","ret":0}',
        '{"get_updates_buf":"c","sync_buf":"x"}',
        '{"ret":0,"errcode":0,"errmsg":"ok","msgs":[],"get_updates_buf":"c"}',
    ],
)
def test_empty_answer_is_an_answer(body: str) -> None:
    """The idle poll is the heartbeat: the account is up and nothing is wrong."""
    assert Batch((), "c") == batch(body)


def test_answer_without_cursor_keeps_the_old_one() -> None:
    """An empty cursor saved by mistake would replay the backlog."""
    assert batch('{"ret":0,"msgs":[],"get_updates_buf":""}').cursor is None
    assert batch('{"ret":0}').cursor is None
    assert batch('{"ret":0,"get_updates_buf":7}').cursor is None


@pytest.mark.parametrize(
    "body",
    [
        '{"errcode":-14,"errmsg":"session timeout"}',
        '{"ret":-14}',
        '{"ret":0,"errcode":-14}',
        '{"ret":-2,"errcode":-14}',
    ],
)
def test_minus_14_is_the_login_in_whichever_field(body: str) -> None:
    """A client that reads one field only goes on polling a dead login for ever."""
    loss = lost(body)
    assert LostKind.LOGIN == loss.kind
    assert "yizhan login weixin" in loss.action
    assert LostKind.LOGIN == lost(body, status=401).kind


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"ret":-2,"errmsg":"unknown error"}', 200, "-2"),
        ('{"errcode":5}', 200, "5"),
        ("", 200, "empty"),
        ("{}", 200, "empty"),
        ("null", 200, "no-object"),
        ("[]", 200, "no-object"),
        ("<html>hi</html>", 200, "web-page"),
        ('{"msgs":[', 200, "not-json"),
        ('{"ret":"0","msgs":[],"get_updates_buf":"c"}', 200, "wrong-types"),
        ('{"msgs":7,"get_updates_buf":"c"}', 200, "wrong-types"),
        ('{"msgs":{},"get_updates_buf":"c"}', 200, "wrong-types"),
        ('{"msgs":[],"get_updates_buf":"c","get_updates_buf":"d"}', 200, "doubled-names"),
        ('{"msgs":' + "[" * 10_000 + "]" * 10_000 + "}", 200, "too-deep"),
        (b'{"msgs":[],"get_updates_buf":"\xff"}', 200, "not-text"),
        ("bad gateway", 502, "http 502"),
        ("", 524, "http 524"),
        ("", 302, "http 302"),
        ('{"msgs":[],"get_updates_buf":"c"}', 500, "http 500"),
        ("", 404, "http 404"),
    ],
)
def test_what_is_no_answer_moves_no_cursor(body: str | bytes, status: int, code: str) -> None:
    """Each of these once came from a proxy or a gateway, and each passes through the same back-off."""
    loss = lost(body, status)
    assert (LostKind.SERVER, code) == (loss.kind, loss.code)
    assert loss.text


def test_network_loss_is_told_apart() -> None:
    """One says "their server", the other "our line"."""
    loss = decode(ACCOUNT, Absence(AbsenceKind.NO_ANSWER, "host: no answer within 45 s"))
    assert Lost(LostKind.NETWORK, "no_answer", "host: no answer within 45 s") == loss


def test_own_echoes_are_skipped() -> None:
    """Some servers echo what the bot said; answering it would talk to ourselves until the allowance is gone."""
    echoes = [
        {"from_user_id": BOT, "message_type": 1, "item_list": [words("a")]},
        {"from_user_id": USER, "message_type": 2, "item_list": [words("b")]},
    ]
    assert Batch((), "c") == batch({"msgs": echoes, "get_updates_buf": "c"})


@pytest.mark.parametrize("broken", [None, 7, "x", [], {}, {"from_user_id": 7}, {"from_user_id": " "}])
def test_message_without_a_sender_costs_neither_neighbours_nor_cursor(broken: object) -> None:
    """One malformed message that stops the cursor makes the account deaf for good."""
    good = {"from_user_id": USER, "message_id": 1, "item_list": [words("hi")]}
    made = batch({"msgs": [good, broken, good], "get_updates_buf": "c"})
    assert (2, "c", 1) == (len(made.heard), made.cursor, made.unreadable)


@pytest.mark.parametrize(
    "items", [None, 7, {}, [], [None], [7], [{}], [{"type": 1}], [{"type": 1, "text_item": []}]]
)
def test_message_with_broken_items_is_heard_all_the_same(items: object) -> None:
    """Somebody wrote something; it may be shown as empty, never dropped in silence."""
    made = batch({"msgs": [{"from_user_id": USER, "item_list": items}], "get_updates_buf": "c"})
    assert [USER] == [one.sender_id for one in made.heard]
    assert 0 == made.unreadable


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (7, "7"),
        ("7498796439671022216", "7498796439671022216"),
        (0, None),
        ("", None),
        (None, None),
        (1.5, None),
    ],
)
def test_message_id_may_be_number_or_text_or_missing(found: object, expected: str | None) -> None:
    """Re-deliveries sometimes come without an id (clowder-ai #925)."""
    assert expected == heard(words("x"), message_id=found).platform_message_id


def test_media_are_recorded_with_kind_name_and_size() -> None:
    """Their transfer comes later; that they came must be seen now."""
    found = heard(
        {"type": 2, "image_item": {"hd_size": 248_736, "mid_size": 5}},
        {"type": 3, "voice_item": {"playtime": 2_380}},
        {"type": 4, "file_item": {"file_name": "报告.pdf", "len": "12345"}},
        {"type": 5, "video_item": {"video_size": 99}},
        {"type": 11, "tool_call_start_item": {"tool_name": "x"}},
        {"type": -3},
        {"file_item": {"file_name": "untyped.txt"}},
        {},
    )
    expected = (
        Item("image", None, 248_736),
        Item("voice"),
        Item("file", "报告.pdf", 12_345),
        Item("video", None, 99),
        Item("type11"),
        Item("type-3"),
        Item("file", "untyped.txt"),
        Item("unknown"),
    )
    assert expected == found.items
    assert "" == found.text


def test_voice_transcript_is_text() -> None:
    """WeChat has written down what was said: the agent can answer a voice message."""
    found = heard({"type": 3, "voice_item": {"text": "明天几点", "playtime": 900}})
    assert ("明天几点", (Item("voice"),)) == (found.text, found.items)


def test_several_texts_are_joined_and_untouched() -> None:
    """Blanks and line breaks are the user's."""
    assert "  a\nb\n\nc " == heard(words("  a\nb\n"), words("c ")).text


def test_what_no_database_can_store_is_replaced() -> None:
    """Half an emoji or a NUL would fail the commit, and with it the whole batch, for ever."""
    text = '{"type":1,"text_item":{"text":"a\\ud83d\\u0000b"}}'
    body = '{"ret":0,"msgs":[{"from_user_id":"o\\u0000@im.wechat","item_list":[' + text + "]}]}"
    (one,) = batch(body).heard
    assert ("a\ufffd\ufffdb", "o\ufffd@im.wechat") == (one.text, one.sender_id)


LONG = "long quoted line\n" * 100


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        ({"message_item": words(LONG)}, LONG),
        ({"title": "a title"}, "a title"),
        ({"title": "Ann", "message_item": words(LONG)}, f"Ann\n{LONG}"),
        ({"title": "long quoted", "message_item": words(LONG)}, LONG),
        ({"title": "Ann: hi", "message_item": words("hi")}, "Ann: hi"),
        ({"message_item": {"type": 3, "voice_item": {"text": "said"}}}, "said"),
        ({"message_item": {"type": 4, "file_item": {"file_name": "a.pdf"}}}, "[file: a.pdf]"),
        ({"message_item": {"type": 2, "image_item": {}}}, "[image]"),
        ({"svr_id": "7", "partial_text": {"start": "he", "end": "lo"}}, "he … lo"),
        ({"svr_id": "7", "partial_text": {"start": "hi", "end": "hi"}}, "hi"),
        ({"svr_id": "7"}, ""),
        ({}, ""),
        ([], ""),
        ("x", ""),
    ],
)
def test_quoted_message_is_read_in_full(quote: object, expected: str) -> None:
    """The agent must see what "this one" means."""
    assert expected == heard(words("this one") | {"ref_msg": quote}).quoted_text
    assert expected == heard(words("this one") | {"extra": {"ref_msg": quote}}).quoted_text
    assert expected == heard(words("this one") | {"extra": json.dumps({"ref_msg": quote})}).quoted_text


@pytest.mark.parametrize(
    ("found", "expected"), [("7498796439671022216", "7498796439671022216"), (7, "7"), (0, None), ([], None)]
)
def test_quote_by_id_names_the_message(found: object, expected: str | None) -> None:
    """Newer phones send no text along: whoever kept the message can look it up."""
    assert expected == heard(words("this one") | {"ref_msg": {"svr_id": found}}).quoted_id


def test_quote_of_quotes_does_not_end_in_recursion() -> None:
    """A chain of quotes is cut at the first."""
    quote: dict[str, Any] = {"message_item": words("innermost")}
    for depth in range(200):
        quote = {"message_item": words(f"q{depth}") | {"ref_msg": quote}}
    assert "q199" == heard(words("x") | {"ref_msg": quote}).quoted_text


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1_790_000_000_000, 1_790_000_000_000),
        ("1790000000000", 1_790_000_000_000),
        (-1, 0),
        (10**18, 0),
        ("x", 0),
    ],
)
def test_time_that_cannot_be_is_no_time(time: object, expected: int) -> None:
    """A time beyond the calendar would break every page that shows it."""
    assert expected == heard(create_time_ms=time).sent_at_ms


def test_time_of_the_item_serves_where_the_message_has_none() -> None:
    """Without any time two equal messages could not be told apart from a repeat."""
    assert 5_000 == heard(words("x") | {"create_time_ms": 5_000}).sent_at_ms


@pytest.mark.field("F28")
@pytest.mark.parametrize(
    ("announced", "hold_ms"),
    [(35_000, 35_000), (0, None), (-1, None), (10**9, None), ("x", None), (999, None)],
)
def test_hold_is_believed_within_reason(announced: object, hold_ms: int | None) -> None:
    """A hold of zero is a hot loop, one of a day a dead account."""
    assert hold_ms == batch({"msgs": [], "longpolling_timeout_ms": announced}).hold_ms


NAMES = st.sampled_from(
    [
        "msgs",
        "from_user_id",
        "item_list",
        "type",
        "text_item",
        "text",
        "ref_msg",
        "message_item",
        "extra",
        "ret",
        "len",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from([1, 4, USER])
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=14,
)


@settings(max_examples=400, deadline=None)
@given(messages=TREES)
def test_no_tree_of_messages_breaks_the_reading(messages: object) -> None:
    """Total: a batch or a loss, and every text of it can be stored."""
    made = decoded(json.dumps({"msgs": messages, "get_updates_buf": "c"}))
    if isinstance(made, Batch):
        for one in made.heard:
            assert one.sender_id
            f"{one.text}{one.quoted_text}{one.token}{one.sender_id}".encode()


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=80), status=st.sampled_from([200, 200, 302, 401, 500]))
def test_no_bytes_break_the_reading(body: bytes, status: int) -> None:
    """Total, for bytes of every kind."""
    assert isinstance(decoded(body, status), Batch | Lost)
