"""The QR login as a client and a phone see it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yizhan_simulator import Hold, SimError, SimReply, World

NOW = 1_790_000_000_000


@pytest.fixture
def client(world: World, ann: str, new_caller: Any) -> Any:
    return new_caller(world)


def start(client: Any, *tokens: str) -> str:
    answer = client.json("get_bot_qrcode?bot_type=3", {"local_token_list": list(tokens)})
    assert f"qrcode={answer['qrcode']}" in answer["qrcode_img_content"]
    return str(answer["qrcode"])


def status(client: Any, handle: str, code: str = "", **headers: str) -> Any:
    more = f"&verify_code={code}" if code else ""
    return client.json(f"get_qrcode_status?qrcode={handle}{more}", method="GET", **headers)


def test_scan_and_confirm_give_credentials_once(world: World, ann: str, client: Any) -> None:
    """The plain login, in the old form too (GET)."""
    handle = str(client.json("get_bot_qrcode?bot_type=3", method="GET")["qrcode"])
    hold = client.ask(f"get_qrcode_status?qrcode={handle}", method="GET")
    assert isinstance(hold, Hold)
    world.scan(handle, "Ann", NOW)
    scanned = world.resume(hold, NOW)
    assert isinstance(scanned, SimReply)
    assert {"ret": 0, "status": "scaned"} == json.loads(scanned.body)
    world.confirm(handle, NOW)
    confirmed = status(client, handle)
    assert ("confirmed", ann, "http://sim.test") == tuple(
        confirmed[name] for name in ("status", "ilink_user_id", "baseurl")
    )
    assert confirmed["bot_token"].startswith(confirmed["ilink_bot_id"] + ":")
    assert {"ret": 0, "status": "expired"} == status(client, handle)
    client.token = confirmed["bot_token"]
    assert {"ret": 0} == client.json("msg/notifystart")


def test_a_poll_with_nothing_new_is_held_and_then_says_wait(world: World, client: Any) -> None:
    """Half a minute of waiting is normal."""
    hold = client.ask(f"get_qrcode_status?qrcode={start(client)}", method="GET")
    assert NOW + 30_000 == hold.until_ms
    reply = world.resume(hold, hold.until_ms)
    assert isinstance(reply, SimReply)
    assert {"ret": 0, "status": "wait"} == json.loads(reply.body)


def test_a_code_expires_and_wakes_its_poll(world: World, client: Any) -> None:
    """After two minutes a new one is needed."""
    handle = start(client)
    client.now_ms += 119_999
    hold = client.ask(f"get_qrcode_status?qrcode={handle}", method="GET")
    reply = world.resume(hold, NOW + 120_000)
    assert isinstance(reply, SimReply)
    assert "expired" == json.loads(reply.body)["status"]
    assert "expired" == status(client, "nobody knows this")["status"]
    with pytest.raises(SimError, match="already expired"):
        world.scan(handle, "Ann", NOW + 120_000)


def test_the_verify_code_must_be_right(world: World, ann: str, client: Any) -> None:
    """The phone shows digits, the client sends them; the same status again means: wrong."""
    world.turn(qr={"verify_code": "random"})
    handle = start(client)
    world.scan(handle, "Ann", NOW)
    digits = world.login(handle).verify_code
    assert digits.isdigit()
    assert "need_verifycode" == status(client, handle)["status"]
    assert "need_verifycode" == status(client, handle, "wrong")["status"]
    with pytest.raises(SimError, match="nothing to confirm"):
        world.confirm(handle, NOW)
    assert "scaned" == status(client, handle, digits)["status"]
    world.confirm(handle, NOW)
    assert "confirmed" == status(client, handle)["status"]


def test_three_wrong_verify_codes_block_the_qr_code(world: World, client: Any) -> None:
    """Then only a new QR code helps."""
    world.turn(qr={"verify_code": "123456"})
    handle = start(client)
    world.scan(handle, "Ann", NOW)
    answers = [status(client, handle, "000000")["status"] for _ in range(3)]
    assert ["need_verifycode", "need_verifycode", "verify_code_blocked"] == answers
    assert "verify_code_blocked" == status(client, handle, "123456")["status"]


def test_a_redirect_lasts_until_the_client_calls_at_the_other_host(world: World, client: Any) -> None:
    """The account lives in another data centre."""
    world.turn(qr={"redirect_host": "other.test"})
    handle = start(client)
    world.scan(handle, "Ann", NOW)
    expected = {"ret": 0, "status": "scaned_but_redirect", "redirect_host": "other.test"}
    assert expected == status(client, handle)
    assert expected == status(client, handle)
    assert "scaned" == status(client, handle, Host="other.test")["status"]


def test_a_user_whose_token_the_client_listed_is_already_linked(world: World, ann: str, client: Any) -> None:
    """No second binding, no new credentials, the old token lives."""
    bot = world.add_bot(ann)
    handle = start(client, bot.token)
    world.scan(handle, "Ann", NOW)
    assert {"ret": 0, "status": "binded_redirect"} == status(client, handle)
    client.token = bot.token
    assert {"ret": 0} == client.json("msg/notifystart")


def test_a_new_login_elsewhere_revokes_the_old_token(
    world: World, ann: str, client: Any, new_caller: Any
) -> None:
    """One user, one bot."""
    old = new_caller(world, world.add_bot(ann).token)
    handle = start(client)
    world.scan(handle, "Ann", NOW)
    world.confirm(handle, NOW)
    assert "confirmed" == status(client, handle)["status"]
    assert -14 == old.json("msg/notifystart")["errcode"]


def test_cancel_on_the_phone_is_told_once_then_the_code_is_dead(world: World, client: Any) -> None:
    """Nobody has to wait for the end of the code's life."""
    handle = start(client)
    world.cancel(handle, NOW)
    assert ["cancel", "expired"] == [status(client, handle)["status"] for _ in range(2)]


def test_the_phone_turns_old_clients_away(world: World, client: Any) -> None:
    """Nothing arrives at the API; the status simply never changes."""
    world.turn(qr={"min_client_version": 131_584})
    handle = start(client)
    with pytest.raises(SimError, match="upgrade"):
        world.scan(handle, "Ann", NOW)
    hold = client.ask(f"get_qrcode_status?qrcode={handle}", method="GET")
    assert isinstance(hold, Hold)


@pytest.mark.parametrize(
    ("call", "tokens", "expected"),
    [
        ("get_bot_qrcode?bot_type=4", [], {"ret": -2, "errmsg": "invalid arguments"}),
        ("get_bot_qrcode?bot_type=3", ["t"] * 11, {"ret": -3}),
        ("get_bot_qrcode?bot_type=3", "t", {"ret": -3}),
    ],
)
def test_bad_requests_for_a_code_are_refused(client: Any, call: str, tokens: Any, expected: Any) -> None:
    """Ten listed tokens at most; one bot type is known."""
    assert expected == client.json(call, {"local_token_list": tokens})


def test_auto_login_needs_no_hands(world: World, ann: str, client: Any) -> None:
    """For tests of clients that only want to get in."""
    world.turn(qr={"auto": True})
    assert ann == status(client, start(client))["ilink_user_id"]
