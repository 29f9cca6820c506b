"""What people do on QQ, and which events a bot hears of it: chats, groups, channels, direct messages, switches."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.qq_caller import NOW, QqCaller, events
from yizhan_simulator import Attachment, Effect, SimError, World
from yizhan_simulator.qq.people import ALL_INTENTS, INTENTS


@pytest.fixture
def team(qq: QqCaller, world: World) -> str:
    """A group of Ann, Bob and two bots."""
    world.add_user("Bob")
    world.qq.add_bot("Other")
    world.qq.add_group("Team", ("Ann", "Bob"), ("Echo", "Other"))
    return "Team"


def test_a_group_sends_a_bot_what_mentions_it(qq: QqCaller, world: World, team: str) -> None:
    """Without the mention, with the blank behind it, and with names that are good in this group only."""
    world.qq.say("Bob", "just chatting", NOW, team)
    world.qq.say("Bob", "not you", NOW, team, at=("Other",))
    message_id = world.qq.say("Bob", "status?", NOW, team, at=("Echo",))
    (event,) = qq.read()
    body = event["d"]
    assert ("GROUP_AT_MESSAGE_CREATE", " status?", message_id) == (event["t"], body["content"], body["id"])
    assert world.qq.group_openid("Echo", team) == body["group_openid"] == body["group_id"]
    assert world.qq.member_openid("Echo", team, "Bob") == body["author"]["member_openid"]
    assert world.qq.openid("Echo", "Bob") != body["author"]["member_openid"]
    assert world.qq.group_openid("Other", team) != body["group_openid"]
    assert 0 == qq.group(team, "fine", msg_id=message_id)["code"]
    assert ["just chatting", "@Other not you", "@Echo status?", "fine"] == [
        bubble.text for bubble in world.qq.room(team).bubbles
    ]
    assert ["Bob", "Bob", "Bob", "Echo"] == [bubble.author for bubble in world.qq.room(team).bubbles]


@pytest.mark.parametrize(
    ("which", "kinds"),
    [("documented", ["GROUP_MESSAGE_CREATE"]), ("both", ["GROUP_MESSAGE_CREATE", "GROUP_AT_MESSAGE_CREATE"])],
)
def test_a_group_that_sends_everything_uses_the_other_event(
    qq: QqCaller, world: World, team: str, which: str, kinds: list[str]
) -> None:
    """Mentions too: a client that knows the old event only goes deaf in that group."""
    world.turn(qq={"group_event": which})
    world.qq.change("Ann", "Echo", "receive all", NOW, team)
    world.qq.say("Bob", "just chatting", NOW, team)
    world.qq.say("Bob", "status?", NOW, team, at=True)
    plain, *mentioned = qq.read()
    assert ("GROUP_MESSAGE_CREATE", "just chatting", []) == (
        plain["t"], plain["d"]["content"], plain["d"]["mentions"]
    )  # fmt: skip
    assert kinds == [frame["t"] for frame in mentioned]
    assert 1 == len({frame["d"]["id"] for frame in mentioned})
    told = mentioned[0]["d"]
    assert [True, False] == [mention["is_you"] for mention in told["mentions"]]
    echo, other = world.qq.bot("Echo").openid, world.qq.bot("Other").openid
    assert f"<@{echo}> <@{other}> status?" == told["content"]
    assert "all" == qq.json("GET", f"/v2/groups/{told['group_openid']}/bot_state")["recv_msg_setting"]


def test_bots_come_and_go_and_are_silenced(qq: QqCaller, world: World, team: str) -> None:
    """Each change is an event, and the sends after it are judged by it."""
    steps: list[Any] = ["forbid", "allow", "mute", "unmute", "remove", "add"]
    codes = []
    ids = []
    for step in steps:
        ids.append(world.qq.change("Ann", "Echo", step, NOW, team))
        codes.append(qq.group(team, step)["code"])
    assert [40034105, 0, 40054002, 0, 40034101, 0] == codes
    kinds = [kind for kind, _ in events(qq.read())]
    assert ["GROUP_MSG_REJECT", "GROUP_MSG_RECEIVE", "GROUP_DEL_ROBOT", "GROUP_ADD_ROBOT"] == kinds
    assert 0 == qq.group(team, "hello everybody", event_id=ids[-1])["code"]
    assert 40034025 == qq.group(team, "x", event_id=ids[0])["code"]


def test_a_friend_is_added_and_removed(qq: QqCaller, world: World) -> None:
    """FRIEND_ADD may be answered; after FRIEND_DEL nothing arrives."""
    world.add_user("Bob")
    event_id = world.qq.change("Bob", "Echo", "add", NOW)
    (added,) = qq.read()
    assert ("FRIEND_ADD", world.qq.openid("Echo", "Bob")) == (added["t"], added["d"]["openid"])
    assert 0 == qq.c2c("Bob", "welcome", event_id=event_id)["code"]
    world.qq.change("Bob", "Echo", "remove", NOW)
    assert ["FRIEND_DEL"] == [kind for kind, _ in events(qq.read())]
    assert 40054004 == qq.c2c("Bob", "come back")["code"]


def test_a_button_is_pressed_and_acknowledged(qq: QqCaller, world: World, team: str) -> None:
    """The interaction's own id is acknowledged; the event's id may be answered."""
    for to, fields in (("", {"user_openid"}), (team, {"group_openid", "group_member_openid"})):
        pressed = world.qq.press("Ann", "Echo", "ok", "approve:42", NOW, to)
        (event,) = qq.read()
        assert ("INTERACTION_CREATE", pressed) == (event["t"], event["d"]["id"])
        assert "approve:42" == event["d"]["data"]["resolved"]["button_data"]
        assert fields <= event["d"].keys()
        assert 200 == qq.reply("PUT", f"/interactions/{pressed}", {"code": 0}).status
        send = qq.group if to else qq.c2c
        assert 0 == send(to or "Ann", "approved", event_id=event["id"])["code"]
    assert ["code 0"] * 2 == [row.detail for row in world.ledger.select("qq.interaction")]


def test_a_late_or_second_acknowledgement_is_told_apart(qq: QqCaller, world: World) -> None:
    """The platform answers them alike; the user has seen the button spin."""
    pressed = world.qq.press("Ann", "Echo", "ok", "x", NOW)
    qq.later(6)
    for _ in range(2):
        assert 200 == qq.reply("PUT", f"/interactions/{pressed}", {"code": 0}).status
    assert 400 == qq.reply("PUT", "/interactions/nobody", {"code": 0}).status
    details = [row.detail for row in world.ledger.select("qq.interaction", effect=Effect.ANSWERED)]
    assert ["code 0 late", "code 0 late again"] == details


def test_a_channel_sends_mentions_and_private_bots_hear_all(world: World, ann: str) -> None:
    """AT_MESSAGE_CREATE with the mention kept and angle brackets escaped; a reply is a whole message."""
    public, private = world.qq.add_bot("Public"), world.qq.add_bot("Private", public=False)
    world.qq.add_channel("general", ("Ann",), ("Public", "Private"))
    callers = [QqCaller(world, public), QqCaller(world, private)]
    for caller in callers:
        caller.identify()
    world.qq.say(ann, "nobody in particular", NOW, "general")
    message_id = world.qq.say(ann, "is 1 < 2 & 3 > 2?", NOW, "general", at=("Public",))
    (event,) = callers[0].read()
    assert f"<@!{public.user_id}> is 1 &lt; 2 &amp; 3 &gt; 2?" == event["d"]["content"]
    assert ["AT_MESSAGE_CREATE"] == [event["t"]]
    assert ["MESSAGE_CREATE"] * 2 == [kind for kind, _ in events(callers[1].read())]
    channel = event["d"]["channel_id"]
    told = callers[0].json("POST", f"/channels/{channel}/messages", {"content": "yes", "msg_id": message_id})
    assert (channel, event["d"]["guild_id"], public.user_id) == (
        told["channel_id"], told["guild_id"], told["author"]["id"]
    )  # fmt: skip
    callers[0].send(f"/channels/{channel}/messages", "and again", msg_id=message_id)
    assert ["yes", "and again"] == [bubble.text for bubble in world.qq.shown("general")]
    assert {} == world.ledger.copied()
    assert 304003 == callers[0].send(f"/channels/{channel}/messages", "www.example.com")["code"]
    assert 50006 == callers[0].send(f"/channels/{channel}/messages", "")["code"]


def test_a_direct_message_is_answered_in_its_own_guild(qq: QqCaller, world: World) -> None:
    """By the guild id of the session, which a bot may also open itself."""
    message_id = world.qq.say("Ann", "psst", NOW, "Echo", scene="dm")
    (event,) = qq.read()
    guild = event["d"]["guild_id"]
    assert ("DIRECT_MESSAGE_CREATE", "psst", True) == (
        event["t"], event["d"]["content"], event["d"]["direct_message"]
    )  # fmt: skip
    assert 0 == qq.send(f"/dms/{guild}/messages", "yes?", msg_id=message_id)["code"]
    opened = qq.json("POST", "/users/@me/dms", {"recipient_id": world.qq.guild_user_id("Ann")})
    assert guild == opened["guild_id"]


def test_attachments_and_quotes_arrive(qq: QqCaller, world: World) -> None:
    """With kinds as QQ names them; a quote brings the quoted words and another id for them."""
    items = (Attachment("image", "a.png", 10), Attachment("voice", text="listen"))
    first = world.qq.say("Ann", "look", NOW, items=items)
    world.qq.say("Ann", "I meant this", NOW, quote_id=first)
    shown, quoted = [frame["d"] for frame in qq.read()]
    assert ["image/png", "voice"] == [each["content_type"] for each in shown["attachments"]]
    assert "listen" == shown["attachments"][1]["asr_refer_text"]
    assert (103, "look") == (quoted["message_type"], quoted["msg_elements"][0]["content"])
    assert f"ref_msg_idx={quoted['msg_elements'][0]['msg_idx']}" in quoted["message_scene"]["ext"]


def test_events_come_by_intent_and_stop_when_it_is_withdrawn(qq: QqCaller, world: World) -> None:
    """No error tells it: they just stop, and the next IDENTIFY for them is refused."""
    bot = qq.bot
    bot.intents = ALL_INTENTS & ~INTENTS["group_and_c2c"]
    world.qq.say("Ann", "hello?", NOW)
    assert [] == qq.read()
    qq.identify()
    assert [4014] == qq.ends


def test_shards_divide_guilds_and_leave_chats_to_the_first(world: World, ann: str) -> None:
    """By guild id; C2C and groups have none."""
    bot = world.qq.add_bot("Echo")
    room = world.qq.add_channel("general", ("Ann",), ("Echo",))
    home = (int(room.guild_id) >> 22) % 2
    shards = [QqCaller(world, bot) for _ in range(2)]
    for index, caller in enumerate(shards):
        caller.identify(shard=[index, 2])
    world.qq.say(ann, "guild", NOW, "general", at=True)
    world.qq.say(ann, "chat", NOW, "Echo")
    heard = [[kind for kind, _ in events(caller.read())] for caller in shards]
    assert ["C2C_MESSAGE_CREATE"] == [kind for kind in heard[0] if kind != "AT_MESSAGE_CREATE"]
    assert [home] == [index for index, kinds in enumerate(heard) if "AT_MESSAGE_CREATE" in kinds]


def test_what_cannot_be_said_is_refused_with_a_reason(qq: QqCaller, world: World, team: str) -> None:
    """Control errors name what is known."""
    world.add_user("Eve")
    with pytest.raises(SimError, match="'Eve' is not in 'Team'"):
        world.qq.say("Eve", "hi", NOW, team)
    with pytest.raises(SimError, match="say to whom"):
        world.qq.say("Ann", "hi", NOW)
    with pytest.raises(SimError, match="no QQ room 'Nowhere'"):
        world.qq.say("Ann", "hi", NOW, "Nowhere")
    with pytest.raises(SimError, match="nothing to say"):
        world.qq.say("Ann", "", NOW, team)
    assert [] == world.ledger.select("qq.say", effect=Effect.REFUSED)


def test_any_event_can_be_played(qq: QqCaller, world: World) -> None:
    """Recalls, reactions and what the platform will invent next year, by their intents."""
    world.qq.emit("Echo", "MESSAGE_REACTION_ADD", {"user_id": "1", "emoji": {"id": "4", "type": 1}}, NOW)
    world.qq.emit("Echo", "SOMETHING_OF_2030", {}, NOW)
    assert ["MESSAGE_REACTION_ADD", "SOMETHING_OF_2030"] == [kind for kind, _ in events(qq.read())]
