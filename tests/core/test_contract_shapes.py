"""The public shapes, frozen: other programs rely on these names."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from yizhan.core import contract
from yizhan.model import (
    Access,
    Account,
    AccountId,
    AccountState,
    Attempt,
    Chat,
    ChatId,
    Credentials,
    Dispatch,
    Entry,
    Inbound,
    InboundId,
    Item,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Reason,
    Rule,
    SenderRule,
    Suppressed,
    Turn,
    TurnId,
    TurnState,
    WaitingFor,
)

AT = 1_795_248_000_123
AT_TEXT = "2026-11-21T08:00:00.123Z"
ACCOUNT, CHAT = AccountId("weixin:ab12@im.bot"), ChatId("o9@im.wechat")
MESSAGE = Message(
    id=MessageId("m_1"),
    account=ACCOUNT,
    chat=CHAT,
    seq=7,
    klass=MessageClass.PUSH,
    source="api",
    text="a secret plan",
    created_at_ms=AT,
    expires_at_ms=AT + 1_000,
    entries=(
        Entry(
            1,
            "a secret plan",
            "yizhan:m_1:1",
            MessageState.WAITING,
            WaitingFor.LIMIT,
            AT + 500,
            Reason("-2", "rate limited"),
            attempts_made=1,
            attempts=(Attempt(1, AT, True, AT + 5, "Throttled", "-2", "rate limited"),),
        ),
    ),
    state=MessageState.WAITING,
    waiting_for=WaitingFor.LIMIT,
    next_attempt_at_ms=AT + 500,
    reason=Reason("-2", "rate limited"),
)
ROW = Account(
    ACCOUNT,
    Credentials("bot-token", "https://example.invalid", user_id="u"),
    AccountState.BARRED,
    AT,
    AT,
    reason=Reason("-9", "banned"),
    action="ask Tencent",
    cursor="cursor-secret",
    gate="[1,2,3]",
)
INBOUND = Inbound(
    InboundId("i_1"),
    ACCOUNT,
    CHAT,
    "77",
    "o9@im.wechat",
    "Ann",
    "hello",
    "",
    (Item("image", "a.png", 12),),
    0,
    AT,
    Access.ALLOWED,
    Dispatch.TURN,
)
TURN = Turn(TurnId("t_1"), ACCOUNT, CHAT, "echo", TurnState.DONE, (InboundId("i_1"),), AT)

PROMISED = {
    "id",
    "to",
    "idempotency_key",
    "state",
    "waiting_for",
    "next_attempt_at",
    "reason",
    "possibly_doubled",
    "created_at",
    "expires_at",
    "parts",
}
"""The message object of the contract; more may be added, none may go."""


def event(shape: dict[str, object]) -> dict[str, object]:
    """The event as a program reads it."""
    read = json.loads(json.dumps(shape))
    assert isinstance(read, dict)
    return read


def test_the_message_object_has_exactly_these_names() -> None:
    shape = contract.message_object(MESSAGE)
    assert PROMISED | {"priority", "in_reply_to", "turn"} == set(shape)
    assert ["code", "text"] == list(shape["reason"])
    (part,) = shape["parts"]
    assert {
        "no",
        "state",
        "waiting_for",
        "next_attempt_at",
        "reason",
        "possibly_doubled",
        "receipt",
        "attempts",
    } == set(part)
    (attempt,) = part["attempts"]
    assert {"n", "at", "ended_at", "with_token", "verdict", "code", "text"} == set(attempt)


def test_the_message_object_says_what_is_so() -> None:
    shape = contract.message_object(MESSAGE)
    assert "weixin:ab12@im.bot:o9@im.wechat" == shape["to"]
    assert ("waiting", "limit", "push") == (shape["state"], shape["waiting_for"], shape["priority"])
    assert "2026-11-21T08:00:00.623Z" == shape["next_attempt_at"]
    assert {"code": "-2", "text": "rate limited"} == shape["reason"]
    assert [None, None] == [shape["idempotency_key"], shape["parts"][0]["receipt"]]


def test_the_message_state_event_has_no_attempts_and_no_text() -> None:
    """An event is read by many; the text stands in the timeline."""
    data = contract.message_state_event(MESSAGE, AT)
    shape = event(data)
    assert ["type", "at", "account", "chat", "message"] == list(shape)
    assert ("message.state", AT_TEXT) == (shape["type"], shape["at"])
    assert "attempts" not in shape["message"]["parts"][0]  # type: ignore[index]
    assert set(contract.message_object(MESSAGE)) == set(shape["message"])  # type: ignore[arg-type]
    assert "secret plan" not in repr(data)


def test_the_message_received_event() -> None:
    shape = event(contract.message_received_event(INBOUND, AT))
    assert ["type", "at", "account", "chat", "message", "access", "rule"] == list(shape)
    assert ("weixin:ab12@im.bot", "weixin:ab12@im.bot:o9@im.wechat") == (shape["account"], shape["chat"])
    assert "allowed" == shape["access"]
    assert {
        "id": "i_1",
        "platform_message_id": "77",
        "sender": {"id": "o9@im.wechat", "name": "Ann"},
        "text": "hello",
        "quoted_text": None,
        "items": [{"kind": "image", "name": "a.png", "size": 12}],
        "sent_at": None,
        "received_at": AT_TEXT,
    } == shape["message"]


def test_the_account_state_event_has_nothing_secret() -> None:
    data = contract.account_state_event(ROW, AT)
    assert {
        "type": "account.state",
        "at": AT_TEXT,
        "account": "weixin:ab12@im.bot",
        "state": "barred",
        "reason": {"code": "-9", "text": "banned"},
        "next_attempt_at": None,
        "action": "ask Tencent",
    } == event(data)


def test_the_turn_state_event() -> None:
    shape = event(contract.turn_state_event(TURN, AT))
    assert ["type", "at", "account", "chat", "turn"] == list(shape)
    assert {
        "id",
        "agent",
        "state",
        "inbound",
        "outputs",
        "reason",
        "created_at",
        "started_at",
        "ended_at",
    } == set(shape["turn"])  # type: ignore[call-overload]


def test_the_account_object_has_exactly_these_names_and_nothing_secret() -> None:
    """Tokens, cursors and keys appear nowhere."""
    shape = contract.account_object(ROW)
    assert {
        "id",
        "platform",
        "state",
        "since",
        "reason",
        "action",
        "paused",
        "last_server_answer_at",
        "next_attempt_at",
        "created_at",
        "webhook",
    } == set(shape)
    assert "secret" not in repr(shape)
    assert "bot-token" not in repr(shape)


def test_a_chat_and_a_sender_rule_have_exactly_these_names() -> None:
    chat = Chat(ACCOUNT, CHAT, "c2c", "Ann", AT, gate="[1,2,3]")
    assert {
        "chat",
        "account",
        "kind",
        "title",
        "paused",
        "taken_over_at",
        "created_at",
        "last_inbound_at",
        "last_outbound_at",
        "unconfirmed_in_a_row",
    } == set(contract.chat_object(chat))
    rule = SenderRule(ACCOUNT, "o9", "Ann", Rule.PENDING, "hi", AT, AT)
    assert {
        "account",
        "sender",
        "rule",
        "first_text",
        "first_seen_at",
        "last_seen_at",
        "refused",
        "refused_by",
        "code",
        "decided_at",
    } == set(contract.rule_object(rule))


def test_every_row_of_a_timeline_says_what_it_is_and_when() -> None:
    suppressed = Suppressed(ACCOUNT, CHAT, InboundId("i_1"), "77", AT, "platform-id")
    shapes = [contract.timeline_object(row) for row in (INBOUND, TURN, MESSAGE, suppressed)]
    assert ["inbound", "turn", "outbound", "suppressed"] == [shape["kind"] for shape in shapes]
    assert {AT_TEXT} == {shape["at"] for shape in shapes}
    assert ["a secret plan"] == shapes[2]["part_texts"]


def test_the_account_states_are_those_of_the_contract() -> None:
    assert (
        "starting",
        "up",
        "degraded",
        "down",
        "login_needed",
        "barred",
        "paused",
        "standby",
    ) == contract.ACCOUNT_STATES


def test_words_of_a_platform_never_make_an_event_unwritable() -> None:
    """Half a character in an error text would else stop the settlement for good."""
    odd = replace(MESSAGE, reason=Reason("-2", "bad \ud83d word"))
    shape = event(contract.message_state_event(odd, AT))
    assert "bad \ufffd word" == shape["message"]["reason"]["text"]  # type: ignore[index]


# times


def test_times_are_rfc_3339_utc_with_milliseconds() -> None:
    assert AT_TEXT == contract.time_text(AT)
    assert "1970-01-01T00:00:00.000Z" == contract.time_text(0)
    assert contract.time_text(None) is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 253_402_300_799_999))
@example(140_576_505_163_873)
def test_a_time_comes_back_as_it_was_written(at_ms: int) -> None:
    """To the millisecond: floats are not able to."""
    assert at_ms == contract.parse_time(contract.time_text(at_ms) or "")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.datetimes(), st.integers(-23 * 60, 23 * 60))
def test_a_time_that_is_accepted_can_be_shown(moment: datetime, offset_min: int) -> None:
    """A date that cannot be written back would break every list in which its message stands."""
    text = moment.replace(tzinfo=timezone(timedelta(minutes=offset_min))).isoformat()
    try:
        at_ms = contract.parse_time(text)
    except ValueError:
        assert moment.year <= 1970 or moment.year == 9999
    else:
        assert (contract.time_text(at_ms) or "").endswith("Z")


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2026-11-21T08:00:00.123Z", AT),
        ("2026-11-21T16:00:00.123+08:00", AT),
        ("2026-11-21T08:00:00Z", AT - 123),
        ("2026-11-21T08:00:00.123999Z", AT),
    ],
)
def test_times_with_an_offset_are_read(text: str, at_ms: int) -> None:
    assert at_ms == contract.parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-11-21",
        "2026-11-21T08:00:00",
        "2026-13-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:00",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """A time without an offset means another moment to everybody who reads it."""
    with pytest.raises(ValueError):
        contract.parse_time(text)
