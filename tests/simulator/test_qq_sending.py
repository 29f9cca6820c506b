"""QQ judges sends: tokens, targets, bodies, repeats, allowances, quotas, switches, audit, and answers that get lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.qq_caller import NOW, QqCaller, events
from yizhan_simulator import Effect, Fault, Limit, SimReply, WireKind, World


def last_id(world: World, room: str = "Echo", user: str = "Ann") -> str:
    return next(
        bubble.message_id for bubble in reversed(world.qq.room(room, user).bubbles) if not bubble.from_bot
    )  # fmt: skip


# Tokens.


def test_the_same_token_comes_again_until_its_last_minute(world: World, ann: str) -> None:
    """Asking early gives the same one with less life; in the last 60 s a new one, and both are honoured."""
    client = QqCaller(world, world.qq.add_bot("Echo"))
    first = client.get_token()["access_token"]
    client.later(7000)
    assert {"access_token": first, "expires_in": "200"} == client.get_token()
    client.later(150)
    second = client.get_token()
    assert (True, "7200") == (second["access_token"] != first, second["expires_in"])
    for token in (first, second["access_token"]):
        client.token = token
        assert "url" in client.json("GET", "/gateway")
    client.later(50)
    client.token = first
    assert (401, 11244) == (
        client.reply("GET", "/gateway").status, client.json("GET", "/gateway")["code"]
    )  # fmt: skip


def test_the_token_endpoint_answers_200_even_when_it_refuses(world: World, ann: str) -> None:
    """Only the body's code tells; a wrong field name is an unknown bot."""
    bot = world.qq.add_bot("Echo")
    client = QqCaller(world, bot)
    assert 100016 == client.get_token(secret="wrong")["code"]
    assert 100007 == client.get_token(app_id="999")["code"]
    assert 100007 == client.json("POST", "/app/getAppAccessToken", {"clientId": bot.app_id})["code"]
    world.add_fault(Fault(kind="refuse", call="qq.token", code=100001, times=1), NOW)
    assert 100001 == client.get_token()["code"]
    world.add_fault(Fault(kind="html", call="qq.token", times=1), NOW)
    with pytest.raises(json.JSONDecodeError):
        client.get_token()
    assert {200} == {row.status for row in world.ledger.select("qq.token")}
    assert "access_token" in client.get_token()


def test_who_may_not_call_is_told_why(qq: QqCaller) -> None:
    """401 with four different causes, one of them no matter of the token."""
    right = qq.token

    def told(authorization: str) -> tuple[int, int, int]:
        reply = qq.reply("GET", "/users/@me", Authorization=authorization)
        body = json.loads(reply.body)
        return reply.status, body["code"], body["err_code"]

    assert (401, 11241, 40012001) == told("")
    assert (401, 11242, 40012002) == told(f"Bot {right}")
    assert (401, 11244, 11244) == told("QQBot wrong")
    qq.world.turn(qq={"address_allowed": False})
    assert (401, 11298, 40023002) == told(f"QQBot {right}")
    assert "access_token" in qq.get_token()
    qq.world.turn(qq={"address_allowed": True})
    assert 1 == qq.world.qq.expire_tokens("Echo")
    assert (401, 11244, 11244) == told(f"QQBot {right}")


def test_answers_are_json_without_a_charset_and_carry_a_trace(qq: QqCaller) -> None:
    """qq-botpy takes anything else for text, and support asks for the trace."""
    for reply in (qq.reply("GET", "/users/@me"), qq.reply("POST", "/v2/users/X/messages", {})):
        assert "application/json" == reply.headers["Content-Type"]
        assert reply.headers["X-Tps-trace-ID"]


# Repeats and allowances.


def test_a_repeated_pair_of_id_and_number_is_a_receipt(qq: QqCaller) -> None:
    """40054005 after a lost answer means: it is on the screen already, once."""
    told = last_id(qq.world)
    qq.world.add_fault(Fault(kind="lost_answer", call="qq.send.c2c", times=1), NOW)
    openid = qq.world.qq.openid("Echo", "Ann")
    path = f"/v2/users/{openid}/messages"
    lost = qq.reply("POST", path, {"msg_type": 0, "content": "one", "msg_id": told, "msg_seq": 1})
    assert WireKind.HANG is lost.wire.kind
    assert 40054005 == qq.c2c("Ann", "one", msg_id=told, msg_seq=1)["code"]
    assert 40054005 == qq.c2c("Ann", "other words", msg_id=told, msg_seq=1)["code"]
    assert 0 == qq.c2c("Ann", "two", msg_id=told, msg_seq=2)["code"]
    assert ["one", "two"] == [bubble.text for bubble in qq.world.qq.shown("Echo", "Ann")]
    effects = [row.effect for row in qq.world.qq.sends("Echo")]
    assert [Effect.SHOWN, Effect.REPEAT, Effect.REPEAT_DIFFERS, Effect.SHOWN] == effects
    assert {} == qq.world.ledger.copied()


def test_an_inbound_message_may_be_answered_four_times_within_the_hour(qq: QqCaller) -> None:
    """The fifth is refused; so is any after the window; the next inbound opens both again."""
    told = last_id(qq.world)
    codes = [qq.c2c("Ann", f"{number}", msg_id=told, msg_seq=number)["code"] for number in range(1, 6)]
    assert [0, 0, 0, 0, 40034128] == codes
    again = qq.world.qq.say("Ann", "more", qq.now_ms)
    assert 0 == qq.c2c("Ann", "more", msg_id=again)["code"]
    qq.later(3601)
    qq.get_token()
    assert 40034005 == qq.c2c("Ann", "late", msg_id=again, msg_seq=2)["code"]


def test_windows_and_allowances_can_be_ended_at_will(qq: QqCaller) -> None:
    """A test need not wait an hour."""
    assert 1 == qq.world.qq.spend_allowances("Echo")
    assert 40034128 == qq.c2c("Ann", "x", msg_id=last_id(qq.world))["code"]
    assert 1 == qq.world.qq.expire_windows("Echo")
    assert 40034005 == qq.c2c("Ann", "x", msg_id=last_id(qq.world))["code"]


@pytest.mark.parametrize(("counts", "fourth"), [(True, 40034128), (False, 0)])
def test_typing_uses_up_a_reply_or_not(qq: QqCaller, counts: bool, fourth: int) -> None:
    """A field report says yes; the documentation is silent."""
    qq.world.turn(qq={"typing_counts": counts})
    told = last_id(qq.world)
    typing = {"msg_type": 6, "content": None, "input_notify": {"input_type": 1, "input_second": 30}}
    assert 0 == qq.c2c("Ann", "", msg_id=told, msg_seq=9, **typing)["code"]
    assert 30_000 == qq.world.qq.room("Echo", "Ann").seats[qq.bot.app_id].typing_until_ms - qq.now_ms
    codes = [qq.c2c("Ann", f"{number}", msg_id=told, msg_seq=number)["code"] for number in range(1, 5)]
    assert [0, 0, 0, fourth] == codes


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"msg_id": "ROBOT1.0_nobody", "msg_seq": 1}, 40034024),
        ({"event_id": "FRIEND_ADD:nobody", "msg_seq": 1}, 40034025),
    ],
)
def test_an_id_from_nowhere_answers_nothing(qq: QqCaller, body: dict[str, Any], code: int) -> None:
    """Not known, or not of this chat."""
    assert code == qq.c2c("Ann", "x", **body)["code"]


def test_the_id_of_an_own_message_answers_nothing(qq: QqCaller) -> None:
    """40034024: a client that remembers what it sent instead of what it was told."""
    own = qq.c2c("Ann", "mine", msg_id=last_id(qq.world))["id"]
    assert 40034024 == qq.c2c("Ann", "x", msg_id=own)["code"]


# Bodies.


@pytest.mark.parametrize(
    ("text", "body", "code"),
    [
        ("", {}, 22006),
        ("x", {"msg_type": 2}, 22006),
        ("", {"msg_type": 2, "markdown": {"content": "**x**"}}, 0),
        ("x", {"msg_type": 99}, 22006),
        ("see https://example.com", {}, 40034028),
        ("see example.com", {}, 40034028),
        ("x" * 4001, {}, 40054007),
        ("", {"msg_type": 7, "media": {"file_info": "somebody's"}}, 304080),
        ("x", {"markdown": None, "keyboard": None, "openid": "A", "timestamp": 7}, 0),
    ],
)
def test_bodies_are_judged_by_code(qq: QqCaller, text: str, body: dict[str, Any], code: int) -> None:
    """Type and content must fit, links are refused, lengths have an end; nulls and unknown keys are ignored."""
    assert code == qq.c2c("Ann", text, msg_id=last_id(qq.world), **body)["code"]


def test_a_target_of_another_kind_does_not_exist(qq: QqCaller) -> None:
    """11255 with 40011028: a group's id on the users' path proves nothing about the group."""
    qq.world.qq.add_group("Team", ("Ann",), ("Echo",))
    group = qq.world.qq.group_openid("Echo", "Team")
    told = qq.send(f"/v2/users/{group}/messages", "x")
    assert (11255, 40011028) == (told["code"], told["err_code"])


# Unasked messages.


def test_unasked_messages_have_quotas_and_a_switch(qq: QqCaller) -> None:
    """Twenty a minute per person; none while the person forbids them."""
    qq.world.turn(qq={"proactive": [{"scene": "c2c", "scope": "chat", "count": 2, "per_s": 60}]})
    assert [0, 0, 40034100] == [qq.c2c("Ann", f"{number}")["code"] for number in range(3)]
    assert ["proactive"] * 3 == [row.token_state for row in qq.world.qq.sends()]
    qq.later(60)
    qq.world.qq.change("Ann", "Echo", "forbid", qq.now_ms)
    assert 40034105 == qq.c2c("Ann", "x")["code"]
    event_id = qq.world.qq.change("Ann", "Echo", "allow", qq.now_ms)
    assert ["C2C_MSG_REJECT", "C2C_MSG_RECEIVE"] == [kind for kind, _ in events(qq.read())][-2:]
    assert 0 == qq.c2c("Ann", "thanks", event_id=event_id)["code"]
    assert 0 == qq.c2c("Ann", "x")["code"]


def test_a_wake_up_is_one_per_period(qq: QqCaller) -> None:
    """Once on the first day, once until the third, and so on, counted from the person's last words."""
    told = []
    for day in (0, 0, 2, 2, 5, 20, 40):
        qq.now_ms = NOW + day * 86_400_000
        qq.get_token()
        told.append(qq.c2c("Ann", "hey", is_wakeup=True)["code"])
    assert [0, 40034122, 0, 40034122, 0, 0, 40034122] == told


def test_limits_of_the_script_speak_qq(qq: QqCaller) -> None:
    """The same rules as on the WeChat side, in this platform's words."""
    qq.world.add_limit(Limit(kind="window_first", count=1, per_s=20), NOW)
    first = qq.c2c("Ann", "1", msg_id=last_id(qq.world), msg_seq=1)
    second = qq.c2c("Ann", "2", msg_id=last_id(qq.world), msg_seq=2)
    assert (0, 22009) == (first["code"], second["code"])
    assert 429 == qq.world.qq.sends()[-1].status


# What becomes of accepted ones.


@pytest.mark.parametrize(
    ("mode", "kind"), [("pass", "MESSAGE_AUDIT_PASS"), ("reject", "MESSAGE_AUDIT_REJECT")]
)
def test_an_audited_send_ends_with_an_event(qq: QqCaller, mode: str, kind: str) -> None:
    """202 and an audit id first; the message appears after the human's yes only."""
    qq.world.turn(qq={"audit": mode, "audit_s": 30})
    told = qq.c2c("Ann", "is this fine?", msg_id=last_id(qq.world))
    assert (304023, 202) == (told["code"], qq.world.qq.sends()[-1].status)
    assert [] == qq.world.qq.shown("Echo", "Ann")
    qq.later(30)
    event = qq.read()[-1]
    assert (kind, told["data"]["message_audit"]["audit_id"]) == (event["t"], event["d"]["audit_id"])
    assert (1 if mode == "pass" else 0) == len(qq.world.qq.shown("Echo", "Ann"))


def test_sends_without_a_connection_can_vanish(qq: QqCaller) -> None:
    """Answered 200 and never shown, as users report after a drop; or refused with 304018; or shown."""
    qq.world.qq.close("Echo", 4009, qq.now_ms)
    told = last_id(qq.world)
    for number, (mode, code) in enumerate((("vanish", 0), ("refuse", 304018), ("show", 0))):
        qq.world.turn(qq={"while_offline": mode})
        assert code == qq.c2c("Ann", mode, msg_id=told, msg_seq=number)["code"]
    assert ["show"] == [bubble.text for bubble in qq.world.qq.shown("Echo", "Ann")]
    assert Effect.DROPPED is qq.world.qq.sends()[0].effect


@pytest.mark.parametrize(
    ("fault", "status", "shown"),
    [
        (Fault(kind="ghost", call="qq.send.*"), 200, 0),
        (Fault(kind="status", call="qq.send.c2c", status=500), 500, 0),
        (Fault(kind="refuse", call="qq.send.*", code=50055001), 400, 0),
        (Fault(kind="refuse", call="*", code=11243), 401, 0),
        (Fault(kind="refuse", call="qq.send.*", code=7, err_code=8, status=418), 418, 0),
        (Fault(kind="auth", call="*"), 401, 0),
        (Fault(kind="truncated", call="qq.*"), 200, 1),
        (Fault(kind="refuse", call="qq.send.*", user="Bob"), 200, 1),
    ],
)
def test_faults_of_a_send(qq: QqCaller, fault: Fault, status: int, shown: int) -> None:
    """The faults of the WeChat side and QQ's own codes, aimed by call and by person."""
    qq.world.add_fault(fault, NOW)
    path = f"/v2/users/{qq.world.qq.openid('Echo', 'Ann')}/messages"
    reply = qq.reply("POST", path, {"msg_type": 0, "content": "x", "msg_id": last_id(qq.world)})
    assert isinstance(reply, SimReply)
    assert (status, shown) == (reply.status, len(qq.world.qq.shown("Echo", "Ann")))


def test_media_is_sent_to_whom_it_was_uploaded_for(qq: QqCaller) -> None:
    """An upload for a person is nothing to a group."""
    qq.world.qq.add_group("Team", ("Ann",), ("Echo",))
    openid = qq.world.qq.openid("Echo", "Ann")
    upload = qq.json("POST", f"/v2/users/{openid}/files", {"file_type": 1, "url": "https://a.example/a.png"})
    media = {"msg_type": 7, "media": {"file_info": upload["file_info"]}}
    assert 0 == qq.c2c("Ann", " ", **media)["code"]
    assert 304080 == qq.group("Team", " ", **media)["code"]


def test_a_message_can_be_recalled_within_two_minutes(qq: QqCaller) -> None:
    """It leaves the screen; later it stays."""
    sent = [qq.c2c("Ann", text)["id"] for text in ("oops", "fine")]
    openid = qq.world.qq.openid("Echo", "Ann")
    assert 200 == qq.reply("DELETE", f"/v2/users/{openid}/messages/{sent[0]}").status
    qq.later(121)
    assert 40064004 == qq.json("DELETE", f"/v2/users/{openid}/messages/{sent[1]}")["code"]
    assert ["fine"] == [bubble.text for bubble in qq.world.qq.shown("Echo", "Ann")]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", b'"x"', b"[" * 9000], ids=["cut", "list", "bytes", "text", "nested"]
)
def test_no_body_breaks_the_server(qq: QqCaller, body: bytes) -> None:
    """Whatever a client sends is answered."""
    assert 400 == qq.reply("POST", "/v2/users/X/messages", body).status
    assert 200 == qq.reply("POST", "/app/getAppAccessToken", body).status
