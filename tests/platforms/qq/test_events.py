"""What QQ's events say. The frames are the shapes that its documents and the captures of its clients show."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.platforms.qq.events import Interaction, Unreadable, read_event
from yizhan.platforms.qq.frames import Frame, read_frame
from yizhan.ports import Audit, Consent, Heard

USER = "0F1E2D3C4B5A69788796A5B4C3D2E1F0"
GROUP = "AABBCCDDEEFF00112233445566778899"
MEMBER = "11223344556677889900AABBCCDDEEFF"
BOT = "99887766554433221100FFEEDDCCBBAA"


def event(kind: str, body: Any, event_id: str = "") -> Any:
    frame = read_frame(json.dumps({"op": 0, "s": 7, "t": kind, "id": event_id or f"{kind}:1", "d": body}))
    assert isinstance(frame, Frame)
    return read_event(frame)


def c2c(**more: Any) -> dict[str, Any]:
    """Source: the wiki bot.q.qq.com, C2C_MESSAGE_CREATE, July 2026."""
    return {
        "id": "ROBOT1.0_demo0001",
        "author": {"id": USER, "user_openid": USER, "union_openid": "", "username": "", "bot": False},
        "content": "hello bot",
        "timestamp": "2026-07-20T18:02:03+08:00",
        "message_type": 0,
        "message_scene": {"source": "default", "ext": ["msg_idx=REFIDX_demo1=="]},
    } | more


def group(**more: Any) -> dict[str, Any]:
    """Source: the wiki, GROUP_MESSAGE_CREATE, since May 2026; the text as qg_botsdk #17 saw it."""
    return {
        "id": "ROBOT1.0_demo0002",
        "group_id": GROUP,
        "group_openid": GROUP,
        "author": {
            "id": MEMBER,
            "member_openid": MEMBER,
            "member_role": "member",
            "username": "Li",
            "bot": False,
        },
        "content": f"<@{BOT}> status?",
        "timestamp": "2026-07-20T18:02:05+08:00",
        "mentions": [{"scope": "single", "is_you": True, "bot": True, "id": BOT, "member_openid": BOT}],
    } | more


def test_a_single_chat_is_the_person() -> None:
    heard = event("C2C_MESSAGE_CREATE", c2c())
    assert isinstance(heard, Heard)
    assert (f"c2c/{USER}", "direct", USER, "hello bot") == (
        heard.chat, heard.chat_kind, heard.sender_id, heard.text,
    )  # fmt: skip
    assert ("ROBOT1.0_demo0001", "ROBOT1.0_demo0001") == (heard.platform_message_id, heard.token)
    assert 1_784_541_723_000 == heard.sent_at_ms


@pytest.mark.parametrize("kind", ["GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE"])
def test_a_mention_in_a_group_is_the_same_under_both_names(kind: str) -> None:
    """Which of them comes depends on a switch in the group, and both carry the message's own id."""
    content = " status?" if kind == "GROUP_AT_MESSAGE_CREATE" else f"<@{BOT}> status?"
    heard = event(kind, group(content=content))
    assert isinstance(heard, Heard)
    assert (f"group/{GROUP}", MEMBER, "Li", "status?", True) == (
        heard.chat, heard.sender_id, heard.sender_name, heard.text, heard.addressed,
    )  # fmt: skip


@pytest.mark.parametrize(
    "mentions",
    [
        None,
        [],
        [{"scope": "all", "is_you": True, "username": "@all"}],
        [{"scope": "single", "is_you": False}],
    ],
)
def test_what_is_said_to_others_permits_nothing(mentions: Any) -> None:
    heard = event("GROUP_MESSAGE_CREATE", group(mentions=mentions, content="lovely weather"))
    assert isinstance(heard, Heard)
    assert (False, "") == (heard.addressed, heard.token)


def test_channels_and_direct_sessions_are_addressed_by_their_own_ids() -> None:
    """Source: bot-docs, AT_MESSAGE_CREATE and DIRECT_MESSAGE_CREATE; a few characters come as entities."""
    author = {"id": "1595212", "username": "Li", "avatar": "", "bot": False}
    base = {"id": "08demo01", "guild_id": "371824", "channel_id": "152466", "author": author}
    mention = {"id": "6158788878435714165", "username": "mybot", "bot": True}
    at = event(
        "AT_MESSAGE_CREATE", base | {"content": "<@!6158788878435714165> a &lt; b", "mentions": [mention]}
    )
    dm = event(
        "DIRECT_MESSAGE_CREATE", base | {"content": "hi", "direct_message": True, "guild_id": "998877"}
    )
    assert isinstance(at, Heard)
    assert isinstance(dm, Heard)
    assert ("channel/152466", "a < b") == (at.chat, at.text)
    assert ("dm/998877", "hi") == (dm.chat, dm.text)


def test_attachments_are_items_and_a_message_of_nothing_else_is_one() -> None:
    attachments = [
        {"content_type": "image/png", "filename": "a.png", "url": "//x/y", "size": 1234},
        {"content_type": "voice", "asr_refer_text": "hi"},
        {"content_type": "application/pdf", "filename": "b.pdf"},
        None,
        {},
    ]
    heard = event("C2C_MESSAGE_CREATE", c2c(content="", attachments=attachments))
    assert isinstance(heard, Heard)
    assert [
        ("image", "a.png", 1234),
        ("voice", None, None),
        ("file", "b.pdf", None),
        ("file", None, None),
    ] == [(item.kind, item.name, item.size) for item in heard.items]


def test_a_quote_brings_the_words_that_are_quoted() -> None:
    """Source: the wiki, `message_type` 103, `msg_elements`."""
    scene = {"source": "default", "ext": ["msg_idx=REFIDX_2==", "ref_msg_idx=REFIDX_1=="]}
    elements = [{"msg_idx": "REFIDX_1==", "content": "the question"}, {"msg_idx": "other", "content": "no"}]
    heard = event("C2C_MESSAGE_CREATE", c2c(message_scene=scene, msg_elements=elements))
    assert isinstance(heard, Heard)
    assert "the question" == heard.quoted_text


def test_bots_do_not_answer_bots() -> None:
    assert (
        event("GROUP_MESSAGE_CREATE", group(author={"id": MEMBER, "member_openid": MEMBER, "bot": True}))
        is None
    )


@pytest.mark.parametrize(
    ("kind", "body", "chat", "granted"),
    [
        ("FRIEND_ADD", {"openid": USER, "timestamp": 1784541723}, f"c2c/{USER}", None),
        ("FRIEND_DEL", {"openid": USER}, f"c2c/{USER}", False),
        ("C2C_MSG_REJECT", {"openid": USER}, f"c2c/{USER}", False),
        ("C2C_MSG_RECEIVE", {"openid": USER}, f"c2c/{USER}", True),
        ("GROUP_ADD_ROBOT", {"group_openid": GROUP}, f"group/{GROUP}", None),
        ("GROUP_DEL_ROBOT", {"group_openid": GROUP}, f"group/{GROUP}", False),
        ("GROUP_MSG_REJECT", {"group_openid": GROUP}, f"group/{GROUP}", False),
        ("GROUP_MSG_RECEIVE", {"group_openid": GROUP}, f"group/{GROUP}", True),
    ],
)
def test_switches_of_people_and_groups_are_consents(
    kind: str, body: Any, chat: str, granted: bool | None
) -> None:
    told = event(kind, body)
    assert isinstance(told, Consent)
    assert (chat, granted) == (told.chat, told.granted)


def test_a_button_is_heard_and_answered_with_the_id_of_its_event() -> None:
    """The id in the envelope, not the interaction's own, permits the answer. Source: the wiki, INTERACTION_CREATE."""
    body = {
        "id": "e924431f-1",
        "type": 11,
        "user_openid": USER,
        "data": {"type": 11, "resolved": {"button_id": "ok", "button_data": "approve:42"}},
    }
    told = event("INTERACTION_CREATE", body, "INTERACTION_CREATE:7182")
    assert isinstance(told, Interaction)
    assert told.heard is not None
    assert ("e924431f-1", "approve:42", "event:INTERACTION_CREATE:7182") == (
        told.id, told.heard.text, told.heard.token,
    )  # fmt: skip
    silent = event("INTERACTION_CREATE", {"id": "e2", "type": 13})
    assert isinstance(silent, Interaction)
    assert silent.heard is None


def test_the_end_of_an_audit_names_the_message() -> None:
    assert Audit("ab-1", True, "08m") == event(
        "MESSAGE_AUDIT_PASS", {"audit_id": "ab-1", "message_id": "08m"}
    )
    assert Audit("ab-1", False) == event("MESSAGE_AUDIT_REJECT", {"audit_id": "ab-1"})


KINDS = [
    "C2C_MESSAGE_CREATE", "GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE", "AT_MESSAGE_CREATE",
    "DIRECT_MESSAGE_CREATE", "INTERACTION_CREATE", "FRIEND_ADD", "GROUP_DEL_ROBOT", "MESSAGE_AUDIT_PASS", "NEWS",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [None, "", [], {}, 5, {"id": None, "author": []}, {"id": "x" * 10_000}])
def test_events_without_what_they_need_are_told_and_raise_nothing(kind: str, body: Any) -> None:
    assert not isinstance(event(kind, body), Heard)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "author", "user_openid", "content", "mentions", "is_you", "timestamp", "ext"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(KINDS), VALUES)
def test_whatever_an_event_holds_it_is_read(kind: str, body: Any) -> None:
    told = event(kind, body)
    assert told is None or isinstance(told, Heard | Interaction | Consent | Audit | Unreadable)
