"""The simulated WeChat, and with `world.qq` QQ beside it, as one value: `reply = world.handle(request, now_ms)`.

No sockets, no clock, no chance of its own: time is an argument and everything random comes from the seed, so the
same requests at the same times give the same answers. A driver carries requests in and answers out; when it gets
a `Hold`, it comes back with `resume` once `key` is signalled (`listen`) or `until_ms` has come, and it calls
`advance` at `next_event_at()` so that what happens by itself happens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from random import Random
from typing import Any

from yizhan_simulator import login, phone, polling, presence, sending
from yizhan_simulator.answering import parsed, reply, swallowed
from yizhan_simulator.knobs import Knobs, merged
from yizhan_simulator.ledger import Draft, Effect, Ledger
from yizhan_simulator.limits import Limit, Limits
from yizhan_simulator.people import Bot, Bubble, Conversation, People, SimError, User
from yizhan_simulator.phone import Attachment, Quote
from yizhan_simulator.qq.side import QqSide
from yizhan_simulator.replies import INVALID, auth_failed, refuse
from yizhan_simulator.state import Exchange, Json, Login, Outcome, State, Told, Waiting
from yizhan_simulator.weather import Fault, Outage, Weather
from yizhan_simulator.wire import Hold, SimReply, SimRequest

Endpoint = Callable[[State, Exchange], Outcome]

ENDPOINTS: Mapping[str, tuple[Endpoint, bool]] = {
    "get_bot_qrcode": (login.get_bot_qrcode, False),
    "get_qrcode_status": (login.get_qrcode_status, False),
    "getupdates": (polling.getupdates, True),
    "sendmessage": (sending.sendmessage, True),
    "getconfig": (presence.getconfig, True),
    "sendtyping": (presence.sendtyping, True),
    "getuploadurl": (presence.getuploadurl, True),
    "msg/notifystart": (presence.notifystart, True),
    "msg/notifystop": (presence.notifystop, True),
    "c2c/upload": (presence.cdn_upload, False),
    "c2c/download": (presence.cdn_download, False),
}
"""Call → endpoint, and whether it needs a bot token."""

_PATH = re.compile(r"(?:^|/)(?:ilink/bot/|(?=c2c/))(.+?)/?$")


@lru_cache(maxsize=256)
def call_of(path: str) -> str:
    """`sendmessage`, `msg/notifystart`, `c2c/upload` …; tolerates double slashes and a base path before it."""
    found = _PATH.search(re.sub(r"/{2,}", "/", path))
    return found.group(1) if found else ""


class World:
    """`seed` decides everything random. `ledger_limit`: how many records are kept."""

    def __init__(self, seed: int = 0, knobs: Knobs | None = None, ledger_limit: int = 1_000_000) -> None:
        rng = Random(seed)
        self.state = State(rng, People(rng), Limits(), Weather(rng), knobs or Knobs(), Ledger(ledger_limit))
        self.qq = QqSide(self.state, seed)
        self._held: dict[int, Exchange] = {}
        self._ticket = 0

    # What the line brings.

    def handle(self, request: SimRequest, now_ms: int) -> SimReply | Hold:
        """Answers one request, or holds it. Never raises for what a client sends."""
        self.advance(now_ms)
        if self.qq.knows(request):
            return self.qq.handle(request, now_ms)
        call = call_of(request.path)
        draft = Draft()
        body = parsed(request.body) if not call.startswith("c2c/") else {}
        bot = self._authorised(request)
        draft.bot_id = bot.bot_id if bot else ""
        exchange = Exchange(call, request, body if body is not None else {}, bot, now_ms, None, draft)
        if (lost := self._outage(exchange)) is not None:
            return lost
        if self.state.weather.faults:
            users = self._user_names(exchange.body)
            exchange.fault = self.state.weather.pick(call, draft.bot_id, users, now_ms)
        if exchange.fault is not None and not exchange.fault[1].takes_effect:
            return reply(self.state, exchange, self._without_effect(exchange))
        return self._settle(exchange, self._outcome(exchange, body is None))

    def resume(self, hold: Hold, now_ms: int) -> SimReply | Hold:
        """Asks a held request again. Raises: KeyError when it is no longer held."""
        exchange = self._held.pop(hold.ticket)
        self.advance(now_ms)
        exchange.now_ms = now_ms
        return self._outage(exchange) or self._settle(
            exchange, ENDPOINTS[exchange.call][0](self.state, exchange)
        )

    def abandon(self, hold: Hold) -> None:
        """The client is gone; nothing was consumed for it."""
        self._held.pop(hold.ticket, None)

    def advance(self, now_ms: int) -> None:
        """Lets everything happen that was due until now."""
        self.state.advance(now_ms)

    def next_event_at(self) -> int | None:
        """When something will happen by itself, ms; None: nothing is planned."""
        return self.state.agenda.next_at()

    def listen(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """`listener` hears the key of every hold that may have an answer now: `bot:…`, `qr:…`; `*` means all;
        `page` when a phone looks different; `agenda` when `next_event_at` may have become earlier.
        Gives back the function that ends it.
        """
        self.state.listeners.append(listener)
        return lambda: self.state.listeners.remove(listener)

    def _outcome(self, exchange: Exchange, unreadable: bool) -> Outcome:
        found = ENDPOINTS.get(exchange.call)
        if found is None:
            exchange.draft.effect, exchange.draft.detail = Effect.REFUSED, exchange.request.path[:200]
            return Told(b"404 page not found", 404, {"Content-Type": "text/plain"})
        endpoint, needs_bot = found
        if needs_bot and exchange.bot is None:
            return auth_failed(self.state, exchange, "auth")
        if unreadable:
            return refuse(self.state, exchange, "unreadable body", INVALID)
        return endpoint(self.state, exchange)

    def _settle(self, exchange: Exchange, outcome: Outcome) -> SimReply | Hold:
        if isinstance(outcome, Told):
            return reply(self.state, exchange, outcome)
        assert isinstance(outcome, Waiting)
        self._ticket += 1
        self._held[self._ticket] = exchange
        return Hold(outcome.until_ms, outcome.key, self._ticket)

    def _without_effect(self, exchange: Exchange) -> Told:
        assert exchange.fault is not None
        name, fault = exchange.fault
        if exchange.call == "sendmessage":
            sending.describe(exchange)
        if fault.kind == "auth":
            return auth_failed(self.state, exchange, name)
        if fault.kind == "refuse":
            return refuse(self.state, exchange, name, fault.refusal, fault.hint, round(fault.delay_s * 1000))
        exchange.draft.effect, exchange.draft.rule = Effect.LOST, name
        return Told({})

    def _outage(self, exchange: Exchange) -> SimReply | None:
        if self.state.weather.outages and exchange.call == "sendmessage":
            sending.describe(exchange)
        return swallowed(self.state, exchange)

    def _authorised(self, request: SimRequest) -> Bot | None:
        """Source: a request without AuthorizationType is answered -14 at once (ilink-hub)."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or "authorizationtype" not in request.headers:
            return None
        return self.state.people.by_token(token.strip())

    def _user_names(self, body: Json) -> tuple[str, ...]:
        msg = body.get("msg")
        source = msg if isinstance(msg, dict) else body
        user_id = source.get("to_user_id") or source.get("ilink_user_id")
        user = self.state.people.users.get(user_id) if isinstance(user_id, str) else None
        return user.names if user else ()

    # What people do, and what tests and operators arrange.

    @property
    def ledger(self) -> Ledger:
        return self.state.ledger

    @property
    def knobs(self) -> Knobs:
        return self.state.knobs

    def turn(self, **change: Any) -> Knobs:
        """Turns knobs: `world.turn(quota_per_inbound=0, qr={"verify_code": "123456"})`."""
        self.state.knobs = merged(self.state.knobs, change)
        return self.state.knobs

    def add_user(self, name: str, user_id: str | None = None) -> str:
        """A person with a phone; gives the user id. Raises: SimError when name or id are taken."""
        made = self.state.people.add_user(name, user_id)
        self.state.changed()
        return made.user_id

    def add_bot(
        self, user: str, token: str | None = None, bot_id: str | None = None, now_ms: int = 0, label: str = ""
    ) -> Bot:
        """A bot bound to this user (id or name), as after a login. A bot bound before loses its token."""
        bot, old = self.state.people.bind(self.user(user), now_ms, token, bot_id, label)
        if old is not None:
            self.state.signal(f"bot:{old.bot_id}")
        self.state.changed()
        return bot

    def user(self, id_or_name: str) -> User:
        return self.state.people.user(id_or_name)

    def say(
        self,
        user: str,
        text: str,
        now_ms: int,
        bot_id: str | None = None,
        *,
        items: tuple[Attachment, ...] = (),
        quote: Quote | None = None,
    ) -> tuple[str, ...]:
        """The user (id or name) writes to a bot (default: the one linked to them, or the only one).

        Gives the message ids. Raises: SimError.
        """
        self.advance(now_ms)
        person = self.user(user)
        bot = self.state.people.bot_for(person, bot_id)
        return phone.say(self.state, bot, person.user_id, text, items, quote, now_ms)

    def shown(self, user: str, bot_id: str | None = None) -> tuple[Bubble, ...]:
        """What bots have put on this user's screen, in order of appearance."""
        return tuple(bubble for bubble in self.bubbles(user, bot_id) if bubble.from_bot)

    def bubbles(self, user: str, bot_id: str | None = None) -> list[Bubble]:
        """Both sides of the user's chats (or of one), in order of appearance."""
        user_id = self.user(user).user_id
        chats = [
            chat for chat in self.conversations() if chat.user_id == user_id and bot_id in (None, chat.bot_id)
        ]
        return sorted((bubble for chat in chats for bubble in chat.bubbles), key=lambda bubble: bubble.number)

    def conversations(self) -> list[Conversation]:
        return list(self.state.people.conversations.values())

    def typing(self, user: str, bot_id: str, now_ms: int) -> bool:
        chat = self.state.people.conversations.get((bot_id, self.user(user).user_id))
        return chat is not None and now_ms < chat.typing_until_ms

    def revoke(self, bot_id: str, now_ms: int) -> None:
        """The bot's token dies (as when the user unlinks it); its poll ends with -14."""
        self.state.people.revoke(self.state.people.bot(bot_id), now_ms)
        self.state.signal(f"bot:{bot_id}")
        self.state.changed()

    def expire_tokens(self, user: str | None = None) -> int:
        """All reply tokens issued so far (to this user's chats, or to all) go stale; says how many."""
        wanted = self.user(user).user_id if user else None
        chats = [chat for chat in self.conversations() if wanted in (None, chat.user_id)]
        return sum(chat.expire_tokens() for chat in chats)

    def replay(self, bot_id: str, count: int, now_ms: int) -> int:
        """The platform forgets how far this bot has read: it gives the last `count` messages again, as new ones.
        Says how many. Raises: SimError."""
        self.advance(now_ms)
        return phone.replay(self.state, self.state.people.bot(bot_id), count)

    def add_limit(self, limit: Limit, now_ms: int) -> str:
        return self.state.limits.add(limit, now_ms)

    def add_fault(self, fault: Fault, now_ms: int) -> str:
        return self.state.weather.add_fault(fault, now_ms)

    def add_outage(self, outage: Outage, now_ms: int) -> str:
        """`from_s` and `to_s` count from now. Polls under way are cut when it starts."""
        name = self.state.weather.add_outage(outage, now_ms)
        for at_s in (outage.from_s, outage.to_s):
            self.state.later(now_ms + round(at_s * 1000), self._weather_moved)
        return name

    def _weather_moved(self, now_ms: int) -> None:
        self.qq.weather_moved(now_ms)
        self.state.signal("*")

    def remove(self, name: str) -> bool:
        """Takes a limit, fault or outage away."""
        gone = self.state.limits.remove(name) or self.state.weather.remove(name)
        self.state.signal("*")
        return gone

    def clear_weather(self) -> None:
        """Fine weather: no limit, no fault, no outage."""
        for name in [*self.state.limits.rules, *self.state.weather.faults, *self.state.weather.outages]:
            self.remove(name)

    def outage_kind(self, now_ms: int) -> str | None:
        outage = self.state.weather.outage_at(now_ms)
        return outage.kind if outage else None

    def logins(self) -> list[Login]:
        """QR codes a phone could scan or is busy with."""
        return login.pending(self.state)

    def login(self, handle: str) -> Login:
        if handle not in self.state.logins:
            raise SimError(f"no login {handle!r}")
        return self.state.logins[handle]

    def scan(self, handle: str, user: str, now_ms: int) -> None:
        self.advance(now_ms)
        login.scan(self.state, self.login(handle), self.user(user), now_ms)

    def confirm(self, handle: str, now_ms: int) -> None:
        self.advance(now_ms)
        login.confirm(self.state, self.login(handle), now_ms)

    def cancel(self, handle: str, now_ms: int) -> None:
        self.advance(now_ms)
        login.cancel(self.state, self.login(handle), now_ms)
