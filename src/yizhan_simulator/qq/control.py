"""QQ's part of the control API, below `/_sim/qq/`, and QQ's part of what a phone shows."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from yizhan_simulator.ask import Ask, Routes
from yizhan_simulator.clock import Clock
from yizhan_simulator.items import Item, attachment
from yizhan_simulator.people import Bubble, User
from yizhan_simulator.qq.people import QqBot, Room, Scene, Seat
from yizhan_simulator.qq.phone import Change
from yizhan_simulator.qq.script import BotChange, NewQqBot, NewRoom, add_bot, alter, strike
from yizhan_simulator.qq.side import QqSide
from yizhan_simulator.qq.socket import Json
from yizhan_simulator.reading import read

SHOWN = 300


class QqWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`at`: true mentions every bot of the room, or names say which."""

    text: str = ""
    to: str = ""
    scene: Literal["", "c2c", "dm"] = ""
    at: bool | list[str] = False
    items: list[Item] = []
    quote_id: str = ""


class QqChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bot: str
    what: Change
    to: str = ""


class QqPress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bot: str
    button: str = "button"
    payload: str = ""
    to: str = ""


class QqStrike(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: int = 0
    count: int = 1


class QqEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    t: str
    d: dict[str, Any]


class QqControl:
    def __init__(self, side: QqSide, clock: Clock) -> None:
        self._side, self._clock = side, clock

    def table(self) -> Routes:
        return {
            ("GET", ("qq", "bots")): self._bots,
            ("POST", ("qq", "bots")): self._add_bot,
            ("PATCH", ("qq", "bots", "*")): self._alter,
            ("POST", ("qq", "bots", "*", "events")): self._emit,
            ("POST", ("qq", "bots", "*", "*")): self._strike,
            ("GET", ("qq", "rooms")): self._rooms,
            ("POST", ("qq", "groups")): self._add_group,
            ("POST", ("qq", "channels")): self._add_channel,
            ("GET", ("qq", "rooms", "*", "bubbles")): self._bubbles,
            ("POST", ("qq", "users", "*", "say")): self._say,
            ("POST", ("qq", "users", "*", "change")): self._change,
            ("POST", ("qq", "users", "*", "press")): self._press,
        }

    def _now(self) -> int:
        return self._clock.now_ms()

    # Bots and rooms.

    def _bots(self, ask: Ask) -> Json:
        return {"bots": [self._bot(bot) for bot in self._side.state.register.bots.values()]}

    def _bot(self, bot: QqBot) -> Json:
        users = self._side.state.shared.people.users.values()
        return {
            "app_id": bot.app_id, "secret": bot.secret, "name": bot.name, "user_id": bot.user_id,
            "intents": bot.intents, "public": bot.public, "webhook_url": bot.webhook_url, "offline": bot.offline,
            "banned": bot.banned, "online": self._side.online(bot.app_id),
            "openids": {user.name: self._side.openid(bot.app_id, user.user_id) for user in users},
        }  # fmt: skip

    def _add_bot(self, ask: Ask) -> Json:
        return self._bot(add_bot(self._side, read(ask.body, NewQqBot)))

    def _alter(self, ask: Ask) -> Json:
        bot = self._side.bot(ask.parts[2])
        alter(bot, read(ask.body, BotChange))
        self._side.state.shared.changed()
        return self._bot(bot)

    def _strike(self, ask: Ask) -> Json:
        given = read(ask.body, QqStrike)
        app_id = self._side.bot(ask.parts[2]).app_id
        return {"struck": strike(self._side, ask.parts[3], app_id, self._now(), given.code, given.count)}

    def _emit(self, ask: Ask) -> Json:
        given = read(ask.body, QqEvent)
        return {"event_id": self._side.emit(ask.parts[2], given.t, given.d, self._now())}

    def _rooms(self, ask: Ask) -> Json:
        return {"rooms": [self._room(room) for room in self._side.state.register.rooms.values()]}

    def _room(self, room: Room) -> Json:
        people = self._side.state.shared.people
        members = {people.user(user_id).name: role for user_id, role in room.members.items()}
        return {
            "room_id": room.room_id, "scene": room.scene.value, "name": room.name, "members": members,
            "seats": {app_id: _seat(seat) for app_id, seat in room.seats.items()},
        }  # fmt: skip

    def _add_group(self, ask: Ask) -> Json:
        new = read(ask.body, NewRoom)
        return self._room(self._side.add_group(new.name, tuple(new.members), tuple(new.bots), new.receive))

    def _add_channel(self, ask: Ask) -> Json:
        new = read(ask.body, NewRoom)
        return self._room(self._side.add_channel(new.name, tuple(new.members), tuple(new.bots)))

    def _bubbles(self, ask: Ask) -> Json:
        """The room is named by its id or name; or, with `?user=`, by the bot of the user's chat."""
        room = self._side.room(ask.parts[2], ask.query.get("user", ""))
        since = int(ask.query.get("since", "0"))
        return {"bubbles": [msgspec.to_builtins(row) for row in room.bubbles if row.number > since]}

    # People.

    def _say(self, ask: Ask) -> Json:
        words = read(ask.body, QqWords)
        at = tuple(words.at) if isinstance(words.at, list) else words.at
        said = self._side.say(
            ask.parts[2], words.text, self._now(), self._opened(words.to), scene=words.scene, at=at,
            items=tuple(attachment(item) for item in words.items), quote_id=words.quote_id,
        )  # fmt: skip
        return {"message_id": said}

    def _opened(self, to: str) -> str:
        """The page names a chat by the id it will have; it is made when somebody first writes."""
        scene, _, rest = to.partition(":")
        app_id = rest.partition(":")[0]
        unmade = scene == "c2c" and to not in self._side.state.register.rooms
        return app_id if unmade else to

    def _change(self, ask: Ask) -> Json:
        wish = read(ask.body, QqChange)
        return {"event_id": self._side.change(ask.parts[2], wish.bot, wish.what, self._now(), wish.to)}

    def _press(self, ask: Ask) -> Json:
        wish = read(ask.body, QqPress)
        pressed = self._side.press(ask.parts[2], wish.bot, wish.button, wish.payload, self._now(), wish.to)
        return {"interaction_id": pressed}

    # What a phone shows.

    def contacts(self, user: User) -> list[Json]:
        """One row for each bot and for each room the user is in, with the fields of WeChat's rows."""
        register = self._side.state.register
        rows = [self._chat_row(bot, user) for bot in register.bots.values()]
        shared = [
            room
            for room in register.rooms.values()
            if user.user_id in room.members and room.scene is not Scene.C2C
        ]
        return rows + [self._row(room) for room in shared]

    def _chat_row(self, bot: QqBot, user: User) -> Json:
        room_id = f"{Scene.C2C.value}:{bot.app_id}:{user.user_id}"
        room = self._side.state.register.rooms.get(room_id)
        return self._row(room) if room else self._fields(room_id, bot.name, "c2c", [bot], [], None)

    def _row(self, room: Room) -> Json:
        bots = [self._side.state.register.bots[app_id] for app_id in room.seats]
        seats = list(room.seats.values())
        return self._fields(
            room.room_id, room.name, room.scene.value, bots, seats, room.bubbles[-1] if room.bubbles else None
        )

    def _fields(
        self, room_id: str, name: str, scene: str, bots: list[QqBot], seats: list[Seat], last: Bubble | None
    ) -> Json:
        return {
            "platform": "qq", "bot_id": room_id, "label": name, "scene": scene, "live": True, "mine": False,
            "online": any(self._side.online(bot.app_id) for bot in bots),
            "bots": [{"app_id": bot.app_id, "name": bot.name} for bot in bots],
            "seats": [_seat(seat) for seat in seats], "last": msgspec.to_builtins(last) if last else None,
        }  # fmt: skip

    def bubbles(self, room_id: str) -> list[Json]:
        room = self._side.state.register.rooms.get(room_id)
        return [msgspec.to_builtins(row) for row in room.bubbles[-SHOWN:]] if room else []

    def typing_ms(self, room_id: str) -> int:
        room = self._side.state.register.rooms.get(room_id)
        until = [seat.typing_until_ms for seat in room.seats.values()] if room else []
        return max(0, max(until, default=0) - self._now())


def _seat(seat: Seat) -> Json:
    return {
        "openid": seat.openid, "proactive": seat.proactive, "receive": seat.receive, "present": seat.present,
        "muted": seat.muted_until_ms > 0,
    }  # fmt: skip
