"""Who is on QQ: bots, and the rooms they sit in (a chat with one person, a group, a guild channel, a guild DM).

Persons are those of the phone page (`yizhan_simulator.people`). The platform shows each bot other ids for the same
person, and for the same person in a chat and in a group; so does this module.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from yizhan_simulator.people import Bubble, SimError

Receive = Literal["mention", "all"]


class Scene(StrEnum):
    C2C = "c2c"
    GROUP = "group"
    CHANNEL = "channel"
    DM = "dm"


INTENTS = {
    "guilds": 1, "guild_members": 2, "guild_messages": 1 << 9, "guild_message_reactions": 1 << 10,
    "direct_message": 1 << 12, "open_forums": 1 << 18, "audio_or_live": 1 << 19, "enter_aio": 1 << 23,
    "group_members": 1 << 24, "group_and_c2c": 1 << 25, "interaction": 1 << 26, "message_audit": 1 << 27,
    "forums": 1 << 28, "audio_action": 1 << 29, "public_guild_messages": 1 << 30,
}  # fmt: skip
ALL_INTENTS = sum(INTENTS.values())


@dataclass(frozen=True, slots=True)
class Token:
    value: str = field(repr=False)
    expires_at_ms: int


@dataclass(slots=True)
class QqBot:
    """`user_id`: its number in guilds. `intents`: what the console has granted. `offline`, `banned`: 4914, 4915.

    `tokens`: newest last. `identified_ms`: times of its IDENTIFYs within the last day.
    """

    app_id: str
    secret: str = field(repr=False)
    name: str
    user_id: str
    intents: int = ALL_INTENTS
    public: bool = True
    """false: a private-domain bot, which hears every guild message."""
    webhook_url: str = ""
    offline: bool = False
    banned: bool = False
    tokens: list[Token] = field(default_factory=list)
    identified_ms: list[int] = field(default_factory=list)

    @property
    def openid(self) -> str:
        """The bot's own id where it is mentioned in a group."""
        return openid_of("bot", self.app_id)


@dataclass(slots=True)
class Seat:
    """How one bot sits in one room. `openid`: by which it addresses the room. `proactive`: the switch with which
    people allow or forbid unasked messages. `woken`: the wake-up periods used since the person last wrote."""

    openid: str
    proactive: bool = True
    receive: Receive = "mention"
    present: bool = True
    muted_until_ms: int = 0
    typing_until_ms: int = 0
    last_inbound_ms: int | None = None
    woken: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Room:
    """`members`: user id → role. `seats`: app id → seat. What is said in it is on every member's screen."""

    room_id: str
    scene: Scene
    name: str
    members: dict[str, str]
    seats: dict[str, Seat] = field(default_factory=dict)
    bubbles: list[Bubble] = field(default_factory=list)
    guild_id: str = ""
    said: int = 0


def openid_of(*what: str) -> str:
    """32 upper-case hexadecimal digits, the same for the same things."""
    return hashlib.md5("/".join(what).encode(), usedforsecurity=False).hexdigest().upper()


def user_openid(app_id: str, user_id: str) -> str:
    return openid_of("user", app_id, user_id)


def member_openid(app_id: str, room_id: str, user_id: str) -> str:
    """Another string than `user_openid` for the same person. Source: "event-emit": scoped to bot and group."""
    return openid_of("member", app_id, room_id, user_id)


def guild_user_id(user_id: str) -> str:
    return str(int(openid_of("guild", user_id)[:14], 16))


@dataclass(slots=True)
class Register:
    """The rooms and bots there are. `index`: (app id, scene, openid) → room."""

    bots: dict[str, QqBot] = field(default_factory=dict)
    rooms: dict[str, Room] = field(default_factory=dict)
    index: dict[tuple[str, Scene, str], Room] = field(default_factory=dict)

    def bot(self, id_or_name: str) -> QqBot:
        found = self.bots.get(id_or_name)
        found = found or next((bot for bot in self.bots.values() if bot.name == id_or_name), None)
        if found is None:
            known = ", ".join(f"{bot.app_id} ({bot.name})" for bot in self.bots.values())
            raise SimError(f"no QQ bot {id_or_name!r}; known: {known or 'none'}")
        return found

    def room(self, id_or_name: str) -> Room:
        found = self.rooms.get(id_or_name)
        found = found or next((room for room in self.rooms.values() if room.name == id_or_name), None)
        if found is None:
            raise SimError(f"no QQ room {id_or_name!r}; known: {', '.join(self.rooms) or 'none'}")
        return found

    def sit(self, room: Room, app_id: str, receive: Receive = "mention") -> Seat:
        """The bot's seat in the room; made on first use, and present again if it had left."""
        if (seat := room.seats.get(app_id)) is None:
            seat = room.seats[app_id] = Seat(_address(room, app_id), receive=receive)
            self.index[app_id, room.scene, seat.openid] = room
        seat.present = True
        return seat

    def private(self, scene: Literal[Scene.C2C, Scene.DM], bot: QqBot, user_id: str) -> Room:
        """The room of one bot and one person; made on first use."""
        room_id = f"{scene.value}:{bot.app_id}:{user_id}"
        if (found := self.rooms.get(room_id)) is None:
            found = self.rooms[room_id] = Room(room_id, scene, bot.name, {user_id: "member"})
            if scene is Scene.DM:
                found.guild_id = _number(room_id)
            self.sit(found, bot.app_id)
        return found

    def found(self, app_id: str, scene: Scene, openid: str) -> Room | None:
        """The room a bot means; None also where it no longer sits."""
        room = self.index.get((app_id, scene, openid))
        return room if room is not None and room.seats[app_id].present else None


def _address(room: Room, app_id: str) -> str:
    match room.scene:
        case Scene.C2C:
            return user_openid(app_id, next(iter(room.members)))
        case Scene.GROUP:
            return openid_of("group", app_id, room.room_id)
        case Scene.CHANNEL:
            return room.room_id.partition(":")[2]
        case Scene.DM:
            return room.guild_id


def _number(text: str) -> str:
    return str(int(openid_of(text)[:12], 16))
