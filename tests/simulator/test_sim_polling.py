"""The road in: long poll, cursor, repeats, attachments, quotes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yizhan_simulator import Attachment, Quote, SimReply, SimRequest, World
from yizhan_simulator.cdn import decrypt


def texts(answer: Any) -> list[str]:
    return [message["item_list"][0]["text_item"]["text"] for message in answer["msgs"]]


def test_a_message_has_every_field_of_the_platform(world: World, ann: str, caller: Any) -> None:
    """Other people's clients read these fields."""
    answer = caller.poll()
    assert ["msgs", "get_updates_buf", "sync_buf", "longpolling_timeout_ms"] == list(answer)
    (message,) = answer["msgs"]
    assert (1, 2, ann) == (message["message_type"], message["message_state"], message["from_user_id"])
    assert message["message_id"] > 2**53
    assert 136 == len(message["context_token"])
    assert 37_000 == answer["longpolling_timeout_ms"]


def test_a_poll_is_held_until_somebody_writes(world: World, ann: str, caller: Any) -> None:
    """The driver hears the key, resumes, and gets the message."""
    cursor = caller.poll()["get_updates_buf"]
    heard: list[str] = []
    world.listen(heard.append)
    hold = caller.held(cursor)
    assert caller.now_ms + 35_000 == hold.until_ms
    world.say(ann, "there you are", caller.now_ms + 5)
    assert hold.key in heard
    reply = world.resume(hold, caller.now_ms + 5)
    assert isinstance(reply, SimReply)
    assert ["there you are"] == texts(json.loads(reply.body))


def test_a_quiet_poll_ends_empty_at_its_time(world: World, caller: Any) -> None:
    """An empty answer is the normal tick of an idle bot."""
    cursor = caller.poll()["get_updates_buf"]
    hold = caller.held(cursor)
    early = world.resume(hold, hold.until_ms - 1)
    assert not isinstance(early, SimReply)
    reply = world.resume(early, hold.until_ms)
    assert isinstance(reply, SimReply)
    assert [] == json.loads(reply.body)["msgs"]


def test_replay_gives_again_what_no_cursor_has_acknowledged(world: World, ann: str, caller: Any) -> None:
    """A client that crashed before storing its cursor gets the message again."""
    first = caller.poll()
    again = caller.poll()
    assert texts(first) == texts(again) == ["hello"]
    assert first["get_updates_buf"] != again["get_updates_buf"]
    world.say(ann, "two", caller.now_ms)
    assert ["two"] == texts(caller.poll(first["get_updates_buf"]))
    assert ["two"] == texts(caller.poll(""))


def test_consume_gives_nothing_twice(world: World, caller: Any) -> None:
    """Delivery is consumption on the platform of the field reports."""
    world.turn(inbound="consume")
    assert ["hello"] == texts(caller.poll())
    caller.held("")


@pytest.mark.parametrize("inbound", ["replay", "consume"])
def test_nothing_is_consumed_for_a_client_that_hung_up(
    world: World, ann: str, caller: Any, inbound: str
) -> None:
    """A dead socket must not swallow a message."""
    world.turn(inbound=inbound)
    cursor = caller.poll()["get_updates_buf"]
    hold = caller.held(cursor)
    world.abandon(hold)
    world.say(ann, "still mine", caller.now_ms)
    assert ["still mine"] == texts(caller.poll(cursor))
    with pytest.raises(KeyError):
        world.resume(hold, caller.now_ms)


@pytest.mark.parametrize("cursor", ["garbage!", "AAAA", "CgNhYmMQBQ==", "é"])
def test_an_unreadable_or_foreign_cursor_counts_as_none(caller: Any, cursor: str) -> None:
    """A cursor of another bot acknowledges nothing."""
    assert ["hello"] == texts(caller.poll(cursor))


def test_a_cursor_holds_the_token(caller: Any) -> None:
    """Clients must treat it as a secret; ours is one indeed."""
    import base64

    assert caller.token.encode() in base64.b64decode(caller.poll()["get_updates_buf"])


@pytest.mark.parametrize(("kind", "ids"), [("same", 1), ("new", 2), ("none", 1)])
def test_the_platform_repeats_messages(world: World, ann: str, caller: Any, kind: str, ids: int) -> None:
    """Seconds later, under the same id, another one or none."""
    world.turn(dup_inbound={"after_ms": 4000, "id": kind, "token": "new"})
    cursor = caller.poll()["get_updates_buf"]
    world.say(ann, "echo?", caller.now_ms)
    caller.now_ms += 4000
    answer = caller.poll(cursor)
    assert ["echo?", "echo?"] == texts(answer)
    assert ids == len({message.get("message_id") for message in answer["msgs"]} - {None})
    assert 2 == len({message["context_token"] for message in answer["msgs"]})


def test_long_texts_arrive_in_pieces(world: World, ann: str, caller: Any) -> None:
    """WeChat cuts at about 2048 characters."""
    cursor = caller.poll()["get_updates_buf"]
    assert 3 == len(world.say(ann, "x" * 5000, caller.now_ms))
    assert [2048, 2048, 904] == [len(text) for text in texts(caller.poll(cursor))]


def test_quotes_come_in_the_old_and_in_the_new_form(world: World, ann: str, caller: Any) -> None:
    """Older phones send the quoted message, newer ones only its id."""
    cursor = caller.poll()["get_updates_buf"]
    world.say(ann, "this", caller.now_ms, quote=Quote(text="what I meant"))
    world.say(ann, "that", caller.now_ms, quote=Quote(message_id="7498796439671022216"))
    old, new = [message["item_list"][0]["ref_msg"] for message in caller.poll(cursor)["msgs"]]
    assert "what I meant" == old["message_item"]["text_item"]["text"]
    assert {"svr_id": "7498796439671022216"} == new


def test_attachments_can_be_fetched_and_decrypted(world: World, ann: str, caller: Any) -> None:
    """Each kind with its fields; sizes are numbers except a file's `len`."""
    cursor = caller.poll()["get_updates_buf"]
    kinds = ("image", "voice", "file", "video")
    world.say(
        ann, "", caller.now_ms, items=tuple(Attachment(kind, f"a.{kind}", content=b"plain") for kind in kinds)
    )
    items = [message["item_list"][0] for message in caller.poll(cursor)["msgs"]]
    assert [2, 3, 4, 5] == [item["type"] for item in items]
    assert "5" == items[2]["file_item"]["len"]
    key = bytes.fromhex(items[0]["image_item"]["aeskey"])
    link = items[0]["image_item"]["media"]["full_url"]
    reply = world.handle(SimRequest.of("GET", link), caller.now_ms)
    assert isinstance(reply, SimReply)
    assert b"plain" == decrypt(reply.body, key)


def test_two_bots_have_two_inboxes(world: World, ann: str, caller: Any, new_caller: Any) -> None:
    """Accounts are independent."""
    bob = world.add_user("Bob")
    other = new_caller(world, world.add_bot(bob).token)
    world.say(bob, "from Bob", caller.now_ms)
    assert ["hello"] == texts(caller.poll())
    assert ["from Bob"] == texts(other.poll())


def test_any_user_may_write_to_any_bot(world: World, caller: Any) -> None:
    """A freedom of the simulator, so that one account can have many chats."""
    bob = world.add_user("Bob")
    world.say(bob, "me too", caller.now_ms)
    assert ["hello", "me too"] == texts(caller.poll())
    assert "message_id" in caller.send(bob, "welcome")


def test_rebinding_ends_the_old_bots_poll(world: World, ann: str, caller: Any) -> None:
    """Linked elsewhere: the pending poll hears -14 at once."""
    hold = caller.held(caller.poll()["get_updates_buf"])
    world.add_bot(ann)
    reply = world.resume(hold, caller.now_ms)
    assert isinstance(reply, SimReply)
    assert b'{"errcode":-14,"errmsg":"session timeout"}' == reply.body
    assert -14 == caller.poll()["errcode"]


def test_the_same_seed_and_requests_give_the_same_answers(new_caller: Any) -> None:
    """Every story can be told again."""

    def story() -> list[bytes]:
        world = World(seed=5)
        user = world.add_user("Ann")
        client = new_caller(world, world.add_bot(user).token)
        world.say(user, "hi", client.now_ms)
        calls = [
            ("getupdates", {}),
            ("sendmessage", client.message(user, "yo")),
            ("get_bot_qrcode?bot_type=3", {}),
        ]
        return [client.reply(call, body).body for call, body in calls]

    assert story() == story()


def test_a_revoked_bots_poll_can_also_end_with_its_window(world: World, ann: str, caller: Any) -> None:
    """Field reports saw about half a minute between linking elsewhere and -14."""
    world.turn(revoked_poll="window")
    hold = caller.held(caller.poll()["get_updates_buf"])
    world.add_bot(ann)
    still = world.resume(hold, caller.now_ms)
    assert not isinstance(still, SimReply)
    reply = world.resume(still, still.until_ms)
    assert isinstance(reply, SimReply)
    assert -14 == json.loads(reply.body)["errcode"]


def test_a_late_message_is_overtaken(world: World, ann: str, caller: Any) -> None:
    """Platforms do not promise an order; whoever sorts by arrival will be fooled here."""
    cursor = caller.poll()["get_updates_buf"]
    world.turn(late_inbound={"after_ms": 2_000, "probability": 1.0})
    world.say(ann, "first", caller.now_ms)
    world.turn(late_inbound=None)
    world.say(ann, "second", caller.now_ms + 1)
    caller.now_ms += 1
    answer = caller.poll(cursor)
    assert ["second"] == texts(answer)
    caller.now_ms += 2_000
    assert ["first"] == texts(caller.poll(answer["get_updates_buf"]))


def test_a_replay_gives_again_what_was_acknowledged(world: World, ann: str, caller: Any) -> None:
    """A platform that forgets how far somebody has read."""
    first = caller.poll()
    caller.held(first["get_updates_buf"])
    bot_id = world.state.people.live_bots()[0].bot_id
    assert 1 == world.replay(bot_id, 5, caller.now_ms)
    again = caller.poll(first["get_updates_buf"])
    assert ["hello"] == texts(again)
    assert [each["message_id"] for each in first["msgs"]] == [each["message_id"] for each in again["msgs"]]
