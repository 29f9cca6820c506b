"""Who is there in the simulated QQ, and how each is called: bots, groups, channels, chats, the ids of people."""

from __future__ import annotations

from random import Random
from typing import Literal

from yizhan_simulator.people import SimError, User
from yizhan_simulator.qq.people import (
    ALL_INTENTS,
    QqBot,
    Receive,
    Room,
    Scene,
    guild_user_id,
    member_openid,
    openid_of,
    user_openid,
)
from yizhan_simulator.qq.state import QqState
from yizhan_simulator.state import State


class Residents:
    def __init__(self, shared: State, seed: int) -> None:
        self.state = QqState(shared, Random(f"qq {seed}"), seed)

    def add_bot(
        self,
        name: str = "",
        app_id: str = "",
        secret: str = "",
        *,
        intents: int = ALL_INTENTS,
        public: bool = True,
        webhook_url: str = "",
    ) -> QqBot:
        """Raises: SimError when the app id or the name is taken."""
        bots = self.state.register.bots
        made_id = app_id or str(102_000_000 + len(bots))
        made_name = name or f"QQ bot {len(bots) + 1}"
        if not made_id.isdecimal() or made_id in bots or any(bot.name == made_name for bot in bots.values()):
            raise SimError(f"app id {made_id!r} or name {made_name!r} is taken, or the id is not a number")
        made_secret = secret or openid_of("secret", str(self.state.seed), made_id)[:28]
        user_id = str(6_000_000_000_000_000_000 + int(openid_of("bot number", made_id)[:14], 16))
        bots[made_id] = QqBot(made_id, made_secret, made_name, user_id, intents, public, webhook_url)
        self.state.shared.changed()
        return bots[made_id]

    def bot(self, id_or_name: str) -> QqBot:
        return self.state.register.bot(id_or_name)

    def add_group(
        self, name: str, members: tuple[str, ...], bots: tuple[str, ...], receive: Receive = "mention"
    ) -> Room:
        """The first member owns it. Raises: SimError."""
        return self._add_room(Scene.GROUP, f"group:{name}", name, members, bots, receive)

    def add_channel(self, name: str, members: tuple[str, ...], bots: tuple[str, ...]) -> Room:
        """A channel in a guild of its own. Raises: SimError."""
        channel_id = str(int(openid_of("channel", name)[:10], 16))
        room = self._add_room(Scene.CHANNEL, f"channel:{channel_id}", name, members, bots, "mention")
        room.guild_id = str(int(openid_of("guild", name)[:12], 16))
        return room

    def _add_room(
        self, scene: Scene, room_id: str, name: str, members: tuple[str, ...], bots: tuple[str, ...],
        receive: Receive,
    ) -> Room:  # fmt: skip
        register = self.state.register
        if room_id in register.rooms or not name:
            raise SimError(f"there is already a room named {name!r}, or it has no name")
        people = [self.state.shared.people.user(each).user_id for each in members]
        listed = [self.bot(each) for each in bots]
        roles = {user_id: "owner" if place == 0 else "member" for place, user_id in enumerate(people)}
        room = register.rooms[room_id] = Room(room_id, scene, name, roles)
        for bot in listed:
            register.sit(room, bot.app_id, receive)
        self.state.shared.changed()
        return room

    def room(self, to: str, user: str = "", scene: Literal["", "c2c", "dm"] = "") -> Room:
        """By id or name; a bot's id or name means its chat with the user (`scene` "dm": its direct messages)."""
        bots = self.state.register.bots
        named = next((bot for bot in bots.values() if to in (bot.app_id, bot.name)), None)
        if named is None or not user:
            return self.state.register.room(to)
        person = self.state.shared.people.user(user)
        return self.state.register.private(Scene.DM if scene == "dm" else Scene.C2C, named, person.user_id)

    def openid(self, bot: str, user: str) -> str:
        """How the bot addresses this person in C2C."""
        return user_openid(self.bot(bot).app_id, self._user(user).user_id)

    def group_openid(self, bot: str, group: str) -> str:
        return self.state.register.room(group).seats[self.bot(bot).app_id].openid

    def member_openid(self, bot: str, group: str, user: str) -> str:
        room = self.state.register.room(group)
        return member_openid(self.bot(bot).app_id, room.room_id, self._user(user).user_id)

    def guild_user_id(self, user: str) -> str:
        return guild_user_id(self._user(user).user_id)

    def _user(self, user: str) -> User:
        return self.state.shared.people.user(user)
