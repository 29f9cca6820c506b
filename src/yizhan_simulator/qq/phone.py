"""What people do on QQ: say something, add and remove a bot, forbid and allow it to speak, press a button."""

from __future__ import annotations

from typing import Literal

from yizhan_simulator.ledger import Effect
from yizhan_simulator.people import Bubble, SimError, User
from yizhan_simulator.phone import Attachment
from yizhan_simulator.qq import events
from yizhan_simulator.qq.dispatch import dispatch
from yizhan_simulator.qq.events import Said
from yizhan_simulator.qq.people import QqBot, Room, Scene, member_openid, user_openid
from yizhan_simulator.qq.replies import stamp
from yizhan_simulator.qq.socket import Json
from yizhan_simulator.qq.state import Event, Inbound, QqState

Change = Literal["add", "remove", "allow", "forbid", "receive all", "receive mentions", "mute", "unmute"]
ANSWERABLE = {
    Scene.C2C: ("INTERACTION_CREATE", "C2C_MSG_RECEIVE", "FRIEND_ADD"),
    Scene.GROUP: ("INTERACTION_CREATE", "GROUP_ADD_ROBOT", "GROUP_MSG_RECEIVE"),
}
"""Events whose id a reply may carry. Source: bot.q.qq.com, `event_id` of the send pages."""


def say(
    state: QqState,
    room: Room,
    user: User,
    text: str,
    mentions: tuple[str, ...],
    items: tuple[Attachment, ...],
    quote_id: str,
    now_ms: int,
) -> str:
    """The message's id. Everybody in the room sees it; each bot hears of it what it may."""
    if user.user_id not in room.members:
        raise SimError(f"{user.name!r} is not in {room.name!r}")
    if not text and not items:
        raise SimError("nothing to say: neither text nor attachment")
    said = _said(state, room, user, text, mentions, items, quote_id, now_ms)
    _on_screen(state, room, user, said, items, now_ms)
    for app_id, seat in room.seats.items():
        if not seat.present:
            continue
        bot = state.register.bots[app_id]
        seat.last_inbound_ms = now_ms
        seat.woken.clear()
        state.remember(app_id, said.message_id, Inbound(room.room_id, now_ms))
        for event in _events(state, bot, room, said):
            dispatch(state, bot, event, now_ms)
    return said.message_id


def _said(
    state: QqState, room: Room, user: User, text: str, mentions: tuple[str, ...],
    items: tuple[Attachment, ...], quote_id: str, now_ms: int,
) -> Said:  # fmt: skip
    room.said += 1
    quoted = next((each for each in room.bubbles if quote_id and each.message_id == quote_id), None)
    if quote_id and quoted is None:
        raise SimError(f"no message {quote_id!r} in {room.name!r}")
    about = (user.user_id, user.name, room.room_id, room.name)
    attachments = tuple(_attachment(state, each) for each in items)
    return Said(
        state.message_id(), user.user_id, user.name, text, stamp(now_ms), room.said, attachments,
        (quoted.message_id, quoted.text) if quoted else None, mentions, about,
    )  # fmt: skip


def _attachment(state: QqState, item: Attachment) -> Json:
    """Links expire on the real platform; here they lead nowhere, and only their shape matters."""
    kinds = {"image": "image/png", "video": "video/mp4", "voice": "voice", "file": "file"}
    made: Json = {
        "content_type": kinds[item.kind], "filename": item.name or f"{item.kind}.bin",
        "size": len(item.content) or item.size,
        "url": f"https://multimedia.nt.qq.com.cn/download?fileid={state.rng.getrandbits(64):x}",
    }  # fmt: skip
    if item.kind in ("image", "video"):
        made |= {"width": 64, "height": 64}
    if item.kind == "voice":
        made |= {"voice_wav_url": made["url"] + "&wav=1", "asr_refer_text": item.text}
    return made


def _on_screen(
    state: QqState, room: Room, user: User, said: Said, items: tuple[Attachment, ...], now_ms: int
) -> None:
    names = (
        [state.register.bots[app_id].name for app_id in said.mentions] if room.scene is not Scene.C2C else []
    )
    words = "".join(f"@{name} " for name in names) + said.text
    quoted = said.quoted[1] if said.quoted else ""
    kind = items[0].kind if items and not said.text else "text"
    name, size = (items[0].name, len(items[0].content) or items[0].size) if items else ("", 0)
    number = state.shared.next_bubble()
    bubble = Bubble(
        number, now_ms, False, kind, words, said.message_id, "", name, size, quoted, "", user.name
    )
    state.note(
        now_ms, "qq.say", ",".join(room.seats), effect=Effect.PHONE, user_id=user.user_id, text=said.text,
        receipt=said.message_id, detail=room.room_id,
    )  # fmt: skip
    state.show(room, bubble)


def _events(state: QqState, bot: QqBot, room: Room, said: Said) -> list[Event]:
    addressed = bot.app_id in said.mentions
    match room.scene:
        case Scene.C2C:
            return [events.c2c(bot, said)]
        case Scene.DM:
            return [events.guild(events.DIRECT, bot, room, said)]
        case Scene.CHANNEL:
            kinds = [events.GUILD_ALL] if not bot.public else [events.GUILD_AT] if addressed else []
            return [events.guild(kind, bot, room, said) for kind in kinds]
        case Scene.GROUP:
            everyone = list(state.register.bots.values())
            token = state.knobs.mention_token
            return [
                events.group(kind, bot, room, said, everyone, token)
                for kind in _group_kinds(state, bot, room, addressed)
            ]


def _group_kinds(state: QqState, bot: QqBot, room: Room, addressed: bool) -> list[str]:
    """Source: hermes-agent #63761: where a group sends everything, mentions come by the other event too."""
    if room.seats[bot.app_id].receive == "mention":
        return [events.GROUP_AT] if addressed else []
    both = addressed and state.knobs.group_event == "both"
    return [events.GROUP_ALL, events.GROUP_AT] if both else [events.GROUP_ALL]


# Membership and switches.


def change(state: QqState, bot: QqBot, room: Room, user: User, what: Change, now_ms: int) -> str:
    """Somebody changes how the bot sits in the room; gives the id of the event, empty where there is none."""
    if room.scene not in (Scene.C2C, Scene.GROUP):
        raise SimError(f"nobody can change this in {room.name!r}: it is neither a chat nor a group")
    seat = state.register.sit(room, bot.app_id) if what == "add" else room.seats[bot.app_id]
    match what:
        case "add" | "remove":
            seat.present = what == "add"
        case "allow" | "forbid":
            seat.proactive = what == "allow"
        case "receive all" | "receive mentions":
            seat.receive = "all" if what == "receive all" else "mention"
        case "mute" | "unmute":
            seat.muted_until_ms = 1 << 62 if what == "mute" else 0
    state.note(
        now_ms, "qq.change", bot.app_id, effect=Effect.PHONE, user_id=user.user_id, detail=f"{what} {room.room_id}"
    )  # fmt: skip
    state.shared.changed()
    return _announce(state, bot, room, user, what, now_ms)


_ANNOUNCED = {
    Scene.C2C: {"add": "FRIEND_ADD", "remove": "FRIEND_DEL", "allow": "C2C_MSG_RECEIVE", "forbid": "C2C_MSG_REJECT"},
    Scene.GROUP: {
        "add": "GROUP_ADD_ROBOT", "remove": "GROUP_DEL_ROBOT", "allow": "GROUP_MSG_RECEIVE",
        "forbid": "GROUP_MSG_REJECT",
    },
}  # fmt: skip


def _announce(state: QqState, bot: QqBot, room: Room, user: User, what: str, now_ms: int) -> str:
    kind = _ANNOUNCED[room.scene].get(what)
    if kind is None:
        return ""
    body: Json = {"timestamp": now_ms // 1000}
    if room.scene is Scene.C2C:
        body["openid"] = user_openid(bot.app_id, user.user_id)
        body |= {"scene": 1000, "scene_param": "", "author": {"union_openid": ""}} if what == "add" else {}
    else:
        body["group_openid"] = room.seats[bot.app_id].openid
        body["op_member_openid"] = member_openid(bot.app_id, room.room_id, user.user_id)
    return _answerable(state, bot, room, kind, events.make(kind, body), now_ms)


def _answerable(state: QqState, bot: QqBot, room: Room, kind: str, event: Event, now_ms: int) -> str:
    event_id = dispatch(state, bot, event, now_ms)
    if kind in ANSWERABLE.get(room.scene, ()):
        state.remember(bot.app_id, event_id, Inbound(room.room_id, now_ms, is_event=True))
    return event_id


def press(state: QqState, bot: QqBot, room: Room, user: User, button: str, payload: str, now_ms: int) -> str:
    """A button below a message; gives the interaction's id, which the bot should acknowledge within seconds."""
    interaction_id = state.uuid()
    said = Said(
        interaction_id, user.user_id, user.name, "", stamp(now_ms), 0, about=(user.user_id, user.name)
    )  # fmt: skip
    event = events.interaction(bot, room, said, interaction_id, button, payload)
    state.note(
        now_ms, "qq.press", bot.app_id, effect=Effect.PHONE, user_id=user.user_id, receipt=interaction_id,
        detail=f"{button} {payload}",
    )  # fmt: skip
    state.press(interaction_id, now_ms)
    _answerable(state, bot, room, "INTERACTION_CREATE", event, now_ms)
    return interaction_id
