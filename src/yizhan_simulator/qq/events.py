"""What events look like on the wire. Pure: values in, `d` out. Source: bot.q.qq.com "autogen/event/*"."""

from __future__ import annotations

from dataclasses import dataclass, field

from yizhan_simulator.qq.people import INTENTS, QqBot, Room, guild_user_id, member_openid, user_openid
from yizhan_simulator.qq.socket import Json
from yizhan_simulator.qq.state import Event

C2C, GROUP_AT, GROUP_ALL = "C2C_MESSAGE_CREATE", "GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE"
GUILD_AT, GUILD_ALL, DIRECT = "AT_MESSAGE_CREATE", "MESSAGE_CREATE", "DIRECT_MESSAGE_CREATE"
_GROUP_AND_C2C = INTENTS["group_and_c2c"]
INTENT_OF = {
    C2C: _GROUP_AND_C2C, GROUP_AT: _GROUP_AND_C2C, GROUP_ALL: _GROUP_AND_C2C,
    GUILD_AT: INTENTS["public_guild_messages"], GUILD_ALL: INTENTS["guild_messages"],
    DIRECT: INTENTS["direct_message"], "INTERACTION_CREATE": INTENTS["interaction"],
    "MESSAGE_AUDIT_PASS": INTENTS["message_audit"], "MESSAGE_AUDIT_REJECT": INTENTS["message_audit"],
    "GROUP_MEMBER_ADD": INTENTS["group_members"], "GROUP_MEMBER_REMOVE": INTENTS["group_members"],
    "MESSAGE_DELETE": INTENTS["guild_messages"], "PUBLIC_MESSAGE_DELETE": INTENTS["public_guild_messages"],
    "DIRECT_MESSAGE_DELETE": INTENTS["direct_message"],
    "MESSAGE_REACTION_ADD": INTENTS["guild_message_reactions"],
    "MESSAGE_REACTION_REMOVE": INTENTS["guild_message_reactions"],
    "GUILD_CREATE": INTENTS["guilds"], "GUILD_DELETE": INTENTS["guilds"],
}  # fmt: skip
"""Event type → intent bit; all others about chats and groups belong to bit 25."""


@dataclass(frozen=True, slots=True)
class Said:
    """One thing a person said, as every event of it needs it. `quoted`: message id and text of the quoted one."""

    message_id: str
    user_id: str
    name: str
    text: str
    at: str
    number: int
    attachments: tuple[Json, ...] = ()
    quoted: tuple[str, str] | None = None
    mentions: tuple[str, ...] = ()
    """App ids of the bots that are mentioned."""
    about: tuple[str, ...] = field(default=())


def make(kind: str, body: Json, said: Said | None = None, room: Room | None = None) -> Event:
    about = said.about if said else ()
    guild_id = room.guild_id if room and kind in (GUILD_AT, GUILD_ALL) else ""
    return Event(
        kind, INTENT_OF.get(kind, _GROUP_AND_C2C), body, about, said.text if said else "",
        said.user_id if said else "", guild_id,
    )  # fmt: skip


def c2c(bot: QqBot, said: Said) -> Event:
    openid = user_openid(bot.app_id, said.user_id)
    author: Json = {"id": openid, "user_openid": openid, "union_openid": "", "username": "", "bot": False}
    return make(C2C, {**_common(said), "author": author, "content": said.text}, said)


def group(kind: str, bot: QqBot, room: Room, said: Said, everyone: list[QqBot], token: bool) -> Event:
    """`token`: the mention stays in the text. GROUP_AT drops it and leaves the blank behind it."""
    openid = room.seats[bot.app_id].openid
    member = member_openid(bot.app_id, room.room_id, said.user_id)
    author: Json = {
        "id": member, "member_openid": member, "union_openid": "", "username": said.name, "bot": False,
        "member_role": room.members.get(said.user_id, "member"),
    }  # fmt: skip
    body = {**_common(said), "group_id": openid, "group_openid": openid, "author": author}
    mentioned = [each for each in everyone if each.app_id in said.mentions]
    if kind == GROUP_ALL:
        before = "".join(f"<@{each.openid}> " for each in mentioned) if token else ""
        body |= {"content": before + said.text, "mentions": [_mention(bot, each) for each in mentioned]}
    else:
        others = [_mention(bot, each) for each in mentioned if each is not bot]
        body |= {"content": f" {said.text}", **({"mentions": others} if others else {})}
    return make(kind, body, said)


def _mention(listener: QqBot, bot: QqBot) -> Json:
    return {
        "scope": "single", "is_you": bot is listener, "bot": True, "id": bot.openid, "member_openid": bot.openid,
        "username": bot.name,
    }  # fmt: skip


def guild(kind: str, bot: QqBot, room: Room, said: Said) -> Event:
    """A channel's message, or a direct one."""
    mentioned = bot.app_id in said.mentions
    escaped = said.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body: Json = {
        "id": said.message_id, "guild_id": room.guild_id, "channel_id": room.room_id.rpartition(":")[2],
        "content": f"<@!{bot.user_id}> {escaped}" if mentioned else escaped, "timestamp": said.at,
        "author": {"id": guild_user_id(said.user_id), "username": said.name, "avatar": "", "bot": False},
        "member": {"joined_at": "2025-01-01T00:00:00+08:00", "nick": said.name, "roles": ["1"]},
        "seq": said.number, "seq_in_channel": str(said.number),
    }  # fmt: skip
    if mentioned:
        body["mentions"] = [{"id": bot.user_id, "username": bot.name, "bot": True}]
    if kind == DIRECT:
        body |= {"direct_message": True, "src_guild_id": room.guild_id, "channel_id": f"{room.guild_id}1"}
    if said.attachments:
        body["attachments"] = [{"url": each["url"].partition("://")[2]} for each in said.attachments]
    if said.quoted is not None:
        body["message_reference"] = {"message_id": said.quoted[0]}
    return make(kind, body, said, room)


def _common(said: Said) -> Json:
    """Chats and groups share these. A quote is type 103 and brings the quoted words along."""
    ext = [f"msg_idx={index_of(said.message_id)}"]
    body: Json = {"id": said.message_id, "timestamp": said.at, "message_type": 103 if said.quoted else 0}
    if said.quoted is not None:
        reference = index_of(said.quoted[0])
        ext.append(f"ref_msg_idx={reference}")
        body["msg_elements"] = [{"msg_idx": reference, "message_type": 0, "content": said.quoted[1]}]
    if said.attachments:
        body["attachments"] = list(said.attachments)
    return {**body, "message_scene": {"source": "default", "ext": ext}}


def index_of(message_id: str) -> str:
    """How quotes name a message: another id than the message's own."""
    return f"REFIDX_{message_id.removeprefix('ROBOT1.0_')[:24]}=="


def interaction(bot: QqBot, room: Room, said: Said, interaction_id: str, button: str, payload: str) -> Event:
    openid = room.seats[bot.app_id].openid
    body: Json = {
        "id": interaction_id, "application_id": bot.app_id, "type": 11, "scene": room.scene.value,
        "chat_type": {"c2c": 2, "group": 1}.get(room.scene.value, 0), "timestamp": said.at, "version": 1,
        "data": {"type": 11, "resolved": {"button_id": button, "button_data": payload}},
    }  # fmt: skip
    match room.scene.value:
        case "c2c":
            body["user_openid"] = openid
        case "group":
            member = member_openid(bot.app_id, room.room_id, said.user_id)
            body |= {"group_openid": openid, "group_member_openid": member}
        case _:
            body |= {"guild_id": room.guild_id, "channel_id": openid}
            body["data"]["resolved"]["user_id"] = guild_user_id(said.user_id)
    return make("INTERACTION_CREATE", body, said)
