"""The control API: what people and tests do to the simulated world, as routes below `/_sim/`.

A route takes a decoded JSON value and gives one back; what cannot be done raises. The routes are one table at the
end of the class. `{user}` is a user's id or name. `windows.py` carries them over HTTP.
"""

from __future__ import annotations

from typing import Any

import msgspec

from yizhan_simulator.ask import Ask, Route, Routes
from yizhan_simulator.clock import Clock, ManualClock
from yizhan_simulator.items import Item, attachment
from yizhan_simulator.ledger import Effect
from yizhan_simulator.limits import Limit
from yizhan_simulator.people import Bot, SimError
from yizhan_simulator.phone import Quote
from yizhan_simulator.qq import routes
from yizhan_simulator.qq.control import QqControl
from yizhan_simulator.reading import check_knobs, read
from yizhan_simulator.script import Script
from yizhan_simulator.state import Login
from yizhan_simulator.weather import Fault, Outage
from yizhan_simulator.world import World

Json = dict[str, Any]


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user says. `items`: attachments with `kind`, `name`, `size` or base64 `content`."""

    text: str = ""
    bot: str | None = None
    items: list[Item] = []
    quote_text: str = ""
    quote_id: str = ""


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    user_id: str | None = None


class NewBot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str
    token: str | None = None
    bot_id: str | None = None
    label: str = ""


class Who(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str = ""


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    set_ms: int | None = None
    advance_ms: int | None = None


class Control:
    def __init__(self, world: World, clock: Clock) -> None:
        self.world = world
        self.clock = clock
        self.platform_url = ""
        self.control_url = ""
        self._qq = QqControl(world.qq, clock)
        self._routes = {**self._table(), **self._qq.table()}

    def find(self, method: str, parts: tuple[str, ...]) -> Route | None:
        """The route for a path below `/_sim/`, None if there is none."""
        for (verb, pattern), route in self._routes.items():
            fits = verb == method and len(pattern) == len(parts)
            if fits and all(want in ("*", part) for want, part in zip(pattern, parts, strict=True)):
                return route
        return None

    def _now(self) -> int:
        return self.clock.now_ms()

    def _users(self, ask: Ask) -> Json:
        return {"users": [self._user(user.user_id) for user in self.world.state.people.users.values()]}

    def _user(self, user_id: str) -> Json:
        user = self.world.user(user_id)
        bound = self.world.state.people.bound_bot(user_id)
        return {"user_id": user_id, "name": user.name, "bot_id": bound.bot_id if bound else None}

    def _add_user(self, ask: Ask) -> Json:
        new = read(ask.body, NewUser)
        return self._user(self.world.add_user(new.name, new.user_id))

    def _bots(self, ask: Ask) -> Json:
        return {"bots": [self._bot(bot) for bot in self.world.state.people.bots.values()]}

    def _bot(self, bot: Bot) -> Json:
        polled = bot.last_poll_ms
        waiting = len(self.world.state.inbox(bot.bot_id).queue)
        return {
            "bot_id": bot.bot_id, "token": bot.token, "user_id": bot.user_id, "label": bot.label,
            "online": bot.online, "live": bot.revoked_at_ms is None, "last_poll_ms": polled, "waiting": waiting,
        }  # fmt: skip

    def _add_bot(self, ask: Ask) -> Json:
        new = read(ask.body, NewBot)
        return self._bot(self.world.add_bot(new.user, new.token, new.bot_id, self._now(), new.label))

    def _revoke(self, ask: Ask) -> Json:
        self.world.revoke(ask.parts[1], self._now())
        return self._bot(self.world.state.people.bot(ask.parts[1]))

    def _say(self, ask: Ask) -> Json:
        words = read(ask.body, Words)
        quote = Quote(words.quote_text, words.quote_id) if words.quote_text or words.quote_id else None
        items = tuple(attachment(item) for item in words.items)
        ids = self.world.say(ask.parts[1], words.text, self._now(), words.bot, items=items, quote=quote)
        return {"message_ids": list(ids)}

    def _bubbles(self, ask: Ask) -> Json:
        since = int(ask.query.get("since", "0"))
        rows = self.world.bubbles(ask.parts[1], ask.query.get("bot"))
        return {"bubbles": [_bubble(row) for row in rows if row.number > since]}

    def _view(self, ask: Ask) -> Json:
        """All that a phone shows at once: contacts, one chat, codes to scan, weather."""
        user = self.world.user(ask.query.get("user", ""))
        bot_id = ask.query.get("bot", "")
        contacts = [self._contact(user.user_id, bot) for bot in self.world.state.people.bots.values()]
        shown = [row for row in contacts if row["live"] or row["last"]] + self._qq.contacts(user)
        chat = self.world.state.people.conversations.get((bot_id, user.user_id))
        rows = chat.bubbles[-300:] if chat else []
        return {
            "revision": self.world.state.revision, "now_ms": self._now(), "user": self._user(user.user_id),
            "contacts": shown, "bubbles": [_bubble(row) for row in rows] + self._qq.bubbles(bot_id),
            "typing_ms": self._typing_ms(user.user_id, bot_id) or self._qq.typing_ms(bot_id),
            "logins": [_login(login) for login in self.world.logins()], "weather": self._weather(ask),
            "tally": self._tally(),
        }  # fmt: skip

    def _contact(self, user_id: str, bot: Bot) -> Json:
        chat = self.world.state.people.conversations.get((bot.bot_id, user_id))
        last = chat.bubbles[-1] if chat and chat.bubbles else None
        return {
            **self._bot(bot),
            "platform": "weixin",
            "token": "",
            "mine": bot.user_id == user_id,
            "last": _bubble(last) if last else None,
        }

    def _typing_ms(self, user_id: str, bot_id: str) -> int:
        chat = self.world.state.people.conversations.get((bot_id, user_id))
        return max(0, chat.typing_until_ms - self._now()) if chat else 0

    def _tally(self) -> Json:
        counts = self.world.ledger.counts
        calls = ("sendmessage", *routes.SENDS)
        sends = {effect.value: sum(counts[f"{call}/{effect.value}"] for call in calls) for effect in Effect}
        return {name: count for name, count in sends.items() if count}

    def _logins(self, ask: Ask) -> Json:
        return {"logins": [_login(login) for login in self.world.logins()]}

    def _scan(self, ask: Ask) -> Json:
        self.world.scan(ask.parts[1], read(ask.body, Who).user, self._now())
        return _login(self.world.login(ask.parts[1]))

    def _confirm(self, ask: Ask) -> Json:
        self.world.confirm(ask.parts[1], self._now())
        return _login(self.world.login(ask.parts[1]))

    def _cancel(self, ask: Ask) -> Json:
        self.world.cancel(ask.parts[1], self._now())
        return _login(self.world.login(ask.parts[1]))

    def _knobs(self, ask: Ask) -> Json:
        found: Json = msgspec.to_builtins(self.world.knobs)
        return found

    def _turn(self, ask: Ask) -> Json:
        self.world.state.knobs = check_knobs(self.world.knobs, read(ask.body, dict))
        return self._knobs(ask)

    def _weather(self, ask: Ask) -> Json:
        state, now = self.world.state, self._now()
        limits = [
            {**msgspec.to_builtins(rule), "name": name} for name, (rule, _) in state.limits.rules.items()
        ]
        faults = [
            {**msgspec.to_builtins(armed.fault), "name": name, "struck": armed.struck}
            for name, armed in state.weather.faults.items()
        ]
        outages = [
            {"name": name, "kind": outage.kind, "from_ms": start, "to_ms": end, "on": start <= now < end}
            for name, (outage, start, end) in state.weather.outages.items()
            if end > now
        ]
        return {"limits": limits, "faults": faults, "outages": outages}

    def _add_limit(self, ask: Ask) -> Json:
        return self._named(self.world.add_limit(read(ask.body, Limit), self._now()))

    def _add_fault(self, ask: Ask) -> Json:
        return self._named(self.world.add_fault(read(ask.body, Fault), self._now()))

    def _add_outage(self, ask: Ask) -> Json:
        return self._named(self.world.add_outage(read(ask.body, Outage), self._now()))

    def _named(self, name: str) -> Json:
        self.world.state.changed()
        return {"name": name}

    def _remove(self, ask: Ask) -> Json:
        gone = self.world.remove(ask.parts[1])
        self.world.state.changed()
        return {"removed": gone}

    def _clear(self, ask: Ask) -> Json:
        self.world.clear_weather()
        self.world.state.changed()
        return {}

    def _expire(self, ask: Ask) -> Json:
        return {"expired": self.world.expire_tokens(read(ask.body, Who).user or None)}

    def _script(self, ask: Ask) -> Json:
        Script.from_dict(read(ask.body, dict)).start(self.world, self._now())
        return self._weather(ask)

    def _clock(self, ask: Ask) -> Json:
        return {"now_ms": self._now(), "manual": isinstance(self.clock, ManualClock)}

    def _move_clock(self, ask: Ask) -> Json:
        move = read(ask.body, Move)
        if not isinstance(self.clock, ManualClock):
            raise SimError("this simulator runs on the real clock; start it with --clock manual")
        self.clock.set(move.set_ms if move.set_ms is not None else self._now() + (move.advance_ms or 0))
        self.world.advance(self._now())
        return self._clock(ask)

    def _ledger(self, ask: Ask) -> Json:
        query, ledger = ask.query, self.world.ledger
        rows = ledger.since(int(query.get("since", "0")), min(10_000, int(query.get("most", "1000"))))
        call = query.get("call", "")
        chosen = [msgspec.to_builtins(row) for row in rows if not call or row.call == call]
        return {"records": chosen, "last": rows[-1].number if rows else int(query.get("since", "0"))}

    def _stats(self, ask: Ask) -> Json:
        ledger = self.world.ledger
        return {
            "counts": dict(ledger.counts),
            "records": len(ledger),
            "dropped": ledger.dropped,
            "urls": self._urls(),
        }

    def _urls(self) -> Json:
        return {"platform": self.platform_url, "control": self.control_url}

    def _table(self) -> Routes:
        return {
            ("GET", ("users",)): self._users,
            ("POST", ("users",)): self._add_user,
            ("POST", ("users", "*", "say")): self._say,
            ("GET", ("users", "*", "bubbles")): self._bubbles,
            ("GET", ("view",)): self._view,
            ("GET", ("bots",)): self._bots,
            ("POST", ("bots",)): self._add_bot,
            ("POST", ("bots", "*", "revoke")): self._revoke,
            ("GET", ("logins",)): self._logins,
            ("POST", ("logins", "*", "scan")): self._scan,
            ("POST", ("logins", "*", "confirm")): self._confirm,
            ("POST", ("logins", "*", "cancel")): self._cancel,
            ("GET", ("knobs",)): self._knobs,
            ("PATCH", ("knobs",)): self._turn,
            ("GET", ("weather",)): self._weather,
            ("POST", ("limits",)): self._add_limit,
            ("POST", ("faults",)): self._add_fault,
            ("POST", ("outages",)): self._add_outage,
            ("DELETE", ("weather", "*")): self._remove,
            ("POST", ("weather", "clear")): self._clear,
            ("POST", ("tokens", "expire")): self._expire,
            ("POST", ("script",)): self._script,
            ("GET", ("clock",)): self._clock,
            ("POST", ("clock",)): self._move_clock,
            ("GET", ("ledger",)): self._ledger,
            ("GET", ("stats",)): self._stats,
        }


def _bubble(bubble: Any) -> Json:
    row: Json = msgspec.to_builtins(bubble)
    row["media"] = bool(row["media"])
    return row


def _login(login: Login) -> Json:
    """Without the tokens the client listed; the verify code is what the phone displays."""
    return {
        "handle": login.handle, "status": login.status, "user_id": login.user_id, "made_at_ms": login.made_at_ms,
        "expires_at_ms": login.expires_at_ms, "verify_code": login.verify_code, "tries": login.tries,
        "bot_id": login.confirmed_bot,
    }  # fmt: skip
