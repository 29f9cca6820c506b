"""What the simulated platform says to sendmessage, and what then stands on the phone."""

from __future__ import annotations

from typing import Any

import pytest

from yizhan_simulator import Effect, World

REFUSED = {"ret": -2, "errmsg": "prepare failed"}


def test_a_text_gets_a_receipt_and_a_bubble(world: World, ann: str, caller: Any) -> None:
    """The plain case, and ids above 2^53 leave exactly."""
    answer = caller.send(ann, "hi Ann")
    assert ["message_id"] == list(answer)
    assert answer["message_id"] > 2**53
    (bubble,) = world.shown(ann)
    assert ("hi Ann", str(answer["message_id"])) == (bubble.text, bubble.message_id)


@pytest.mark.parametrize(
    ("shape", "body"), [("legacy", b"{}"), ("ancient", b""), ("documented", None), ("modern", None)]
)
def test_every_success_shape_of_the_year_can_be_asked_for(
    world: World, ann: str, caller: Any, shape: str, body: bytes | None
) -> None:
    """Clients meet servers of different months."""
    world.turn(success_shape=shape)
    reply = caller.reply("sendmessage", caller.message(ann, "hi"))
    receipt = world.shown(ann)[0].message_id
    expected = {
        "documented": f'{{"ret":0,"message_id":"{receipt}"}}',
        "modern": f'{{"message_id":{receipt}}}',
    }
    assert (body if body is not None else expected[shape].encode()) == reply.body


def test_the_eleventh_answer_to_one_message_is_refused_and_a_new_message_heals(
    world: World, ann: str, caller: Any
) -> None:
    """Ten per user message is the best proven limit of the platform; refusals do not count."""
    answers = [caller.send(ann, f"n{number}") for number in range(12)]
    assert [REFUSED, REFUSED] == answers[10:]
    assert 10 == len(world.shown(ann))
    assert 2 == len(world.ledger.refusals(rule="quota"))
    world.say(ann, "more", caller.now_ms)
    assert "message_id" in caller.send(ann, "again")


def test_nobody_is_written_to_who_never_wrote_or_wrote_long_ago(world: World, ann: str, caller: Any) -> None:
    """The user opens the window; 24 h later it closes."""
    bob = world.add_user("Bob")
    assert REFUSED == caller.send(bob, "hello Bob")
    caller.now_ms += 86_400_001
    assert REFUSED == caller.send(ann, "hello Ann")
    assert ["no conversation", "window"] == [record.rule for record in world.ledger.refusals()]
    world.turn(needs_inbound=False)
    assert "message_id" in caller.send(bob, "hello Bob")


def test_repeat_of_a_client_id_is_answered_with_the_first_receipt_and_shows_nothing(
    world: World, ann: str, caller: Any
) -> None:
    """With the knob on, resending after a lost answer is harmless; another text under the same id is lost."""
    first = caller.send(ann, "once", "same")
    assert first == caller.send(ann, "once", "same")
    assert first == caller.send(ann, "other words", "same")
    assert 1 == world.ledger.copies("same")
    assert [Effect.SHOWN, Effect.REPEAT, Effect.REPEAT_DIFFERS] == [
        record.effect for record in world.ledger.sends()
    ]
    assert [str(first["message_id"])] * 3 == world.ledger.receipts("same")


def test_without_dedupe_a_repeat_is_a_second_bubble(world: World, ann: str, caller: Any) -> None:
    """Nobody has proved that the platform recognises a repeat."""
    world.turn(client_id_dedupe=False)
    caller.send(ann, "twice", "same")
    caller.send(ann, "twice", "same")
    assert {"same": 2} == world.ledger.copied()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"to_user_id": ""}, {"ret": -2, "errmsg": "invalid arguments"}),
        ({"to_user_id": "Ann"}, {"ret": -3, "errmsg": "invalid arguments"}),
        ({"message_type": 1}, {"ret": -3, "errmsg": "invalid arguments"}),
        ({"item_list": []}, {"ret": -2, "errmsg": "invalid arguments"}),
        ({"item_list": [{"type": 1, "text_item": {"text": ""}}]}, {"ret": -2, "errmsg": "invalid arguments"}),
        (
            {"item_list": [{"type": 1, "text_item": {"text": "a"}}] * 2},
            {"ret": -2, "errmsg": "invalid arguments"},
        ),
        (
            {"item_list": [{"type": 1, "text_item": {"text": "é" * 8193}}]},
            {"ret": -2, "errmsg": "invalid arguments"},
        ),
        ({"item_list": [{"type": 99}]}, {"ret": -2, "errmsg": "invalid arguments"}),
        ({"item_list": "no list"}, {"ret": -2, "errmsg": "invalid arguments"}),
    ],
)
def test_malformed_messages_are_refused_in_the_platforms_words(
    world: World, ann: str, caller: Any, change: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A client's mistake must look as it does on the real server."""
    body = caller.message(ann, "hi")
    body["msg"].update(change)
    assert expected == caller.json("sendmessage", body)
    assert () == world.shown(ann)


def test_16384_bytes_just_fit(ann: str, caller: Any) -> None:
    """The bound counts UTF-8 bytes, not characters."""
    assert "message_id" in caller.send(ann, "é" * 8192)


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer [object Object]"}, {"Authorization": ""}])
def test_a_bad_token_is_a_session_timeout_and_nothing_else(
    ann: str, caller: Any, headers: dict[str, str]
) -> None:
    """Missing, garbled and revoked tokens cannot be told apart; `ret` is absent."""
    expected = {"errcode": -14, "errmsg": "session timeout"}
    assert expected == caller.json("sendmessage", caller.message(ann, "hi"), **headers)


def test_missing_authorization_type_is_a_session_timeout(world: World, caller: Any) -> None:
    """The header counts as part of the credentials."""
    from yizhan_simulator import SimReply, SimRequest

    request = SimRequest.of(
        "POST", "/ilink/bot/getconfig", {"Authorization": f"Bearer {caller.token}"}, b"{}"
    )
    reply = world.handle(request, caller.now_ms)
    assert isinstance(reply, SimReply)
    assert b'{"errcode":-14,"errmsg":"session timeout"}' == reply.body


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("ret", {"ret": -2, "errmsg": "prepare failed"}),
        ("ret+errcode0", {"ret": -2, "errcode": 0, "errmsg": "prepare failed"}),
        ("errcode", {"errcode": -2, "errmsg": "prepare failed"}),
        ("both", {"ret": -2, "errcode": -2, "errmsg": "prepare failed"}),
    ],
)
def test_refusals_come_in_every_shape_seen(
    world: World, caller: Any, shape: str, expected: dict[str, Any]
) -> None:
    """A client that reads only one of the two fields misses half of the failures."""
    world.turn(refusal_shape=shape)
    assert expected == caller.send(world.add_user("Bob"), "hi")


@pytest.mark.parametrize(
    "errmsg", ["prepare failed", "rate limited", "freq limit", "unknown error", "invalid arguments", "", None]
)
def test_expired_tokens_are_refused_in_any_known_wording_and_a_send_without_token_passes(
    world: World, ann: str, caller: Any, errmsg: str | None
) -> None:
    """Limited or stale? Only the send without a token tells them apart."""
    token = caller.poll()["msgs"][0]["context_token"]
    world.turn(stale_refusal={"ret": -2, "errmsg": errmsg})
    assert 1 == world.expire_tokens()
    refused = {"ret": -2} if errmsg is None else {"ret": -2, "errmsg": errmsg}
    assert refused == caller.send(ann, "with", token=token)
    assert "message_id" in caller.send(ann, "without")
    assert ["expired", "absent"] == [record.token_state for record in world.ledger.sends()]


@pytest.mark.parametrize(
    ("token_check", "token", "passes"),
    [
        ("off", "forged", True),
        ("off", None, True),
        ("warn", "forged", True),
        ("strict", "forged", False),
        ("strict", None, False),
    ],
)
def test_token_checking_has_three_levels(
    world: World, ann: str, caller: Any, token_check: str, token: str | None, passes: bool
) -> None:
    """In August 2026 forged tokens passed; nobody promises that they will."""
    world.turn(token_check=token_check)
    assert passes is ("message_id" in caller.send(ann, "hi", token=token))


def test_strict_tokens_grow_old(world: World, ann: str, caller: Any) -> None:
    """After a quiet night the token is stale while the conversation is still open."""
    world.turn(token_check="strict", token_ttl_s=3600)
    token = caller.poll()["msgs"][0]["context_token"]
    assert "message_id" in caller.send(ann, "early", token=token)
    caller.now_ms += 3_600_001
    assert {"ret": -2, "errmsg": "unknown error"} == caller.send(ann, "late", token=token)


def test_a_silent_drop_answers_ret_0_and_shows_nothing(world: World, ann: str, caller: Any) -> None:
    """Accepted without a receipt: the ghost."""
    world.turn(silent_drop=["Ann"])
    assert {"ret": 0} == caller.send(ann, "boo", "g")
    assert {"ret": 0} == caller.send(ann, "boo", "g")
    assert () == world.shown(ann)
    assert [Effect.DROPPED, Effect.REPEAT] == [record.effect for record in world.ledger.sends()]


def test_a_drop_with_id_lies_better(world: World, ann: str, caller: Any) -> None:
    """A message id is no proof of display."""
    world.turn(drop_with_id=["*"])
    assert "message_id" in caller.send(ann, "boo")
    assert () == world.shown(ann)


def test_a_request_without_the_three_marks_is_accepted_and_never_shown(
    world: World, ann: str, caller: Any
) -> None:
    """Leaving out from_user_id, client_id or message_type was answered 200 and delivered nothing."""
    body = caller.message(ann, "hi")
    del body["msg"]["from_user_id"]
    assert {"ret": 0} == caller.json("sendmessage", body)
    assert () == world.shown(ann)


def test_a_delayed_batch_appears_late_together_and_in_order(world: World, ann: str, caller: Any) -> None:
    """Receipts at once, bubbles minutes later (Tencent/openclaw-weixin #261)."""
    world.turn(delay_batch={"Ann": 60})
    start = caller.now_ms
    caller.send(ann, "one")
    caller.now_ms += 20_000
    caller.send(ann, "two")
    assert () == world.shown(ann)
    assert start + 60_000 == world.next_event_at()
    world.advance(start + 60_000)
    assert [("one", start + 60_000), ("two", start + 60_000)] == [(b.text, b.at_ms) for b in world.shown(ann)]


def test_ids_can_be_strings(world: World, ann: str, caller: Any) -> None:
    """Some servers quote the number."""
    world.turn(id_style="string")
    assert isinstance(caller.send(ann, "hi")["message_id"], str)


def test_voice_is_accepted_and_not_rendered(world: World, ann: str, caller: Any) -> None:
    """Since June 2026 outbound voice shows nowhere."""
    body = caller.message(ann, "")
    body["msg"]["item_list"] = [{"type": 3, "voice_item": {"playtime": 1}}]
    assert "message_id" in caller.json("sendmessage", body)
    assert () == world.shown(ann)


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 5000, b'{"msg":7}'])
def test_unreadable_requests_get_an_answer(caller: Any, raw: bytes) -> None:
    """Whatever comes in, the simulator stays up and says no."""
    assert {"ret": -2, "errmsg": "invalid arguments"} == caller.json("sendmessage", raw)


def test_unknown_calls_are_404(caller: Any) -> None:
    """getinfo, refresh and the like do not exist."""
    assert 404 == caller.reply("getinfo").status


def test_double_slashes_and_a_base_path_are_tolerated(ann: str, caller: Any) -> None:
    """Clients join base and path differently."""
    body = caller.message(ann, "hi")
    assert "message_id" in caller.json("http://sim.test/prefix//ilink/bot//sendmessage", body)
