"""The simulated QQ as one value, `world.qq`: requests and sockets come in, people act, time passes in the world.

    reply = world.handle(SimRequest.of("POST", url, headers, body), now_ms)      HTTP, as for WeChat
    line = world.qq.connect(SimRequest.of("GET", "ws://sim.test/websocket", {}), now_ms)
    line.deliver('{"op":2,"d":{…}}', now_ms)        a frame from the client
    line.take()                                     [Text(text), HangUp(code, reason) …] for the client, in order
    line.hang_up(now_ms)                            the client is gone

`world.listen` hears `line.key` whenever something waits to be taken. No socket, clock or chance of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal

from yizhan_simulator.answering import reply
from yizhan_simulator.ledger import Record
from yizhan_simulator.people import Bubble, SimError, User
from yizhan_simulator.phone import Attachment
from yizhan_simulator.qq import desk, dispatch, ends, events, phone, routes, session, webhook
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
from yizhan_simulator.qq.phone import Change
from yizhan_simulator.qq.posting import Posting
from yizhan_simulator.qq.socket import Json, Outgoing, Socket
from yizhan_simulator.qq.state import QqState
from yizhan_simulator.state import State
from yizhan_simulator.wire import SimReply, SimRequest


class SocketLine:
    """One WebSocket, without a network. `muted`: half-open. `ended`: nothing will come out after what waits."""

    def __init__(self, state: QqState, socket: Socket) -> None:
        self._state = state
        self.socket = socket
        self.key = socket.key

    @property
    def muted(self) -> bool:
        return self.socket.muted

    @property
    def ended(self) -> bool:
        return self.socket.ended

    def deliver(self, text: str, now_ms: int) -> None:
        """A frame from the client. Never raises for what is in it."""
        self._state.shared.advance(now_ms)
        session.received(self._state, self.socket, text, now_ms)

    def take(self) -> list[Outgoing]:
        """What waits for the client, in order; taken out."""
        return self.socket.take()

    def hang_up(self, now_ms: int) -> None:
        """The client is gone, with or without a close frame."""
        self._state.shared.advance(now_ms)
        ends.left(self._state, self.socket, now_ms)


class QqSide:
    def __init__(self, shared: State, seed: int) -> None:
        self.state = QqState(shared, Random(f"qq {seed}"), seed)

    # What the line brings.

    def knows(self, request: SimRequest) -> bool:
        return routes.found(request.method, request.path) is not None

    def handle(self, request: SimRequest, now_ms: int) -> SimReply:
        """Answers one request. Raises nothing for what a client sends; `knows` it must be."""
        visit, body = desk.visit_of(request, now_ms)
        if (early := desk.early(self.state, visit)) is not None:
            return early
        return reply(self.state.shared, visit.ex, desk.told(self.state, visit, body is None))

    def connect(self, request: SimRequest, now_ms: int) -> SocketLine | SimReply:
        """A WebSocket is asked for; a reply instead of a line means that there is none."""
        self.state.shared.advance(now_ms)
        visit, _ = desk.visit_of(request, now_ms)
        if (early := desk.early(self.state, visit)) is not None:
            return early
        self.state.shared.ledger.note(now_ms, routes.SOCKET, visit.ex.draft)
        return SocketLine(self.state, session.opened(self.state, now_ms))

    def weather_moved(self, now_ms: int) -> None:
        """An outage begins or ends: what is open breaks, or goes quiet for ever."""
        outage = self.state.shared.weather.outage_at(now_ms)
        for socket in list(self.state.sockets.values()) if outage else []:
            if outage is not None and outage.kind == "hang":
                ends.mute(self.state, socket, now_ms)
            else:
                ends.drop(self.state, socket, 1006, now_ms)

    # Who is there.

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

    # What people do.

    def say(
        self,
        user: str,
        text: str,
        now_ms: int,
        to: str = "",
        *,
        scene: Literal["", "c2c", "dm"] = "",
        at: bool | tuple[str, ...] = False,
        items: tuple[Attachment, ...] = (),
        quote_id: str = "",
    ) -> str:
        """The user writes to a bot, a group or a channel (`to`: id or name; empty: the only bot there is).

        at   True mentions every bot in the room, or names say which
        Gives the message's id. Raises: SimError.
        """
        self.state.shared.advance(now_ms)
        room = self.room(to or self._only_bot(), user, scene)
        wanted = list(room.seats) if at is True else [self.bot(each).app_id for each in at or ()]
        return phone.say(self.state, room, self._user(user), text, tuple(wanted), items, quote_id, now_ms)

    def _only_bot(self) -> str:
        bots = list(self.state.register.bots)
        if len(bots) != 1:
            raise SimError(f"say to whom: {', '.join(bots) or 'there is no QQ bot'}")
        return bots[0]

    def change(self, user: str, bot: str, what: Change, now_ms: int, to: str = "") -> str:
        """The user changes how the bot sits in a group (`to`), or in their chat: add, remove, allow or forbid
        unasked messages, receive all or receive mentions, mute, unmute. Gives the id of the event, if there is one.
        """
        self.state.shared.advance(now_ms)
        found, room = self.bot(bot), self.room(to or bot, user)
        if what != "add" and found.app_id not in room.seats:
            raise SimError(f"{found.name!r} was never in {room.name!r}")
        return phone.change(self.state, found, room, self._user(user), what, now_ms)

    def press(self, user: str, bot: str, button: str, payload: str, now_ms: int, to: str = "") -> str:
        """A button below a message; gives the interaction's id."""
        self.state.shared.advance(now_ms)
        return phone.press(
            self.state, self.bot(bot), self.room(to or bot, user), self._user(user), button, payload, now_ms
        )

    def emit(self, bot: str, kind: str, body: Json, now_ms: int) -> str:
        """Any event, as it is given: for those that no act of a person makes here (recalls, reactions, members).
        Gives the event's id."""
        self.state.shared.advance(now_ms)
        return dispatch.dispatch(self.state, self.bot(bot), events.make(kind, body), now_ms)

    # What tests and operators arrange.

    def lines(self, bot: str = "") -> list[Socket]:
        """Connections that the server believes in, oldest first; of one bot, those that have identified."""
        app_id = self.bot(bot).app_id if bot else ""
        return [socket for socket in self.state.sockets.values() if socket.app_id == app_id or not bot]

    def online(self, bot: str) -> bool:
        """Has the bot a connection that is ready and alive, for each of its shards?"""
        shards = [shard for socket in self.lines(bot) if socket.live and (shard := self._shard(socket))]
        return bool(shards) and {number for number, _ in shards} >= set(range(max(of for _, of in shards)))

    def _shard(self, socket: Socket) -> tuple[int, int] | None:
        session = self.state.sessions.get(socket.session_id)
        return session.shard if session is not None else None

    def close(self, bot: str, code: int, now_ms: int, reason: str = "", shard: int | None = None) -> int:
        """The server closes the bot's connections, or those of one shard; says how many."""

        def drop(socket: Socket) -> None:
            ends.drop(self.state, socket, code, now_ms, reason)

        return self._each(bot, now_ms, drop, shard)

    def mute(self, bot: str, now_ms: int, shard: int | None = None) -> int:
        """The bot's connections, or those of one shard, become half-open, for ever; says how many."""
        return self._each(bot, now_ms, lambda socket: ends.mute(self.state, socket, now_ms), shard)

    def ask_reconnect(self, bot: str, now_ms: int) -> int:
        """Op 7."""
        return self._each(bot, now_ms, lambda socket: ends.reconnect(self.state, socket))

    def invalidate(self, bot: str, now_ms: int, code: int = 0) -> int:
        """Op 9, and with a code the close after it."""
        return self._each(bot, now_ms, lambda socket: ends.invalidate(self.state, socket, code, now_ms))

    def _each(self, bot: str, now_ms: int, act: Callable[[Socket], None], shard: int | None = None) -> int:
        self.state.shared.advance(now_ms)
        found = [socket for socket in self.lines(bot) if socket.live]
        if shard is not None:
            found = [socket for socket in found if (self._shard(socket) or (None,))[0] == shard]
        for socket in found:
            act(socket)
        return len(found)

    def forget_sessions(self, bot: str) -> int:
        """No session of the bot can be resumed from now on; those that are connected live on until they end."""
        app_id = self.bot(bot).app_id
        doomed = [each for each in self.state.sessions.values() if each.app_id == app_id]
        for each in doomed:
            each.forgotten = True
            if each.socket is None:
                del self.state.sessions[each.session_id]
        return len(doomed)

    def replay(self, bot: str, count: int, now_ms: int) -> int:
        """The last `count` events once more, with new numbers and the same ids; says how many went out."""
        self.state.shared.advance(now_ms)
        return dispatch.again(self.state, self.bot(bot), count, now_ms)

    def expire_tokens(self, bot: str) -> int:
        """Access tokens die before their time; says how many."""
        found = self.bot(bot)
        count, found.tokens = len(found.tokens), []
        return count

    def expire_windows(self, bot: str) -> int:
        """No message so far can be answered any more; says how many could."""
        found = self.state.answerable(self.bot(bot).app_id).values()
        open_ones = [each for each in found if not each.expired]
        for each in open_ones:
            each.expired = True
        return len(open_ones)

    def spend_allowances(self, bot: str) -> int:
        """Every message so far has been answered as often as it may be; says how many."""
        found = self.state.answerable(self.bot(bot).app_id).values()
        for each in found:
            each.replies = 1 << 30
        return len(found)

    def shown(self, to: str, user: str = "") -> list[Bubble]:
        """What bots have said in a room, in order; `to` as for `say`."""
        return [bubble for bubble in self.room(to, user).bubbles if bubble.from_bot]

    def sends(self, bot: str = "", openid: str = "") -> list[Record]:
        """The ledger's records of sends."""
        app_id = self.bot(bot).app_id if bot else ""
        return [
            record
            for record in self.state.shared.ledger
            if record.call in routes.SENDS
            and app_id in ("", record.bot_id)
            and openid in ("", record.user_id)
        ]

    # Webhook.

    def validate_webhook(self, bot: str, now_ms: int) -> int:
        """The console checks the address (op 13)."""
        self.state.shared.advance(now_ms)
        return webhook.validate(self.state, self.bot(bot), now_ms)

    def postings(self) -> list[Posting]:
        """Requests for the driver to make, taken out; `world.listen` hears `postings` when there are some."""
        taken = list(self.state.postings.values())
        self.state.postings.clear()
        return taken

    def posted(self, posting: Posting, status: int | None, body: bytes, now_ms: int) -> None:
        """What came back for one; `status` None: no answer."""
        self.state.shared.advance(now_ms)
        webhook.answered(self.state, posting, status, body, now_ms)
