"""The `qq` table of a fault script: who is there on QQ, and what happens when. Faults, limits, outages and knobs are
those of the whole script."""

from __future__ import annotations

from typing import Literal

import msgspec

from yizhan_simulator.people import SimError
from yizhan_simulator.qq.people import ALL_INTENTS, INTENTS, QqBot, Receive
from yizhan_simulator.qq.phone import Change
from yizhan_simulator.qq.side import QqSide


class NewQqBot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`intents`: names of what the console has granted, see `qq/people.py`; null: all of them."""

    name: str = ""
    app_id: str = ""
    secret: str = ""
    intents: list[str] | None = None
    public: bool = True
    webhook_url: str = ""


class NewRoom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group or a channel. The first member owns it."""

    name: str
    members: list[str]
    bots: list[str]
    receive: Receive = "mention"


class BotChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody does to a bot in the console; null leaves it as it is."""

    offline: bool | None = None
    banned: bool | None = None
    intents: list[str] | None = None
    webhook_url: str | None = None
    secret: str | None = None


class QqStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happens at a time: a person acts (say, change, press), or the platform does."""

    at_s: float
    do: Literal[
        "say", "change", "press", "close", "mute", "reconnect", "invalidate", "forget_sessions", "replay",
        "expire_tokens", "expire_windows", "spend_allowances", "bot", "validate_webhook",
    ]  # fmt: skip
    user: str = ""
    bot: str = ""
    to: str = ""
    text: str = ""
    at: bool = False
    scene: Literal["", "c2c", "dm"] = ""
    what: Change = "add"
    code: int = 0
    count: int = 1
    change: BotChange = BotChange()


class QqScript(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bots: list[NewQqBot] = []
    groups: list[NewRoom] = []
    channels: list[NewRoom] = []
    timeline: list[QqStep] = []

    def start(self, side: QqSide, now_ms: int) -> None:
        """Raises: SimError for names that nobody has."""
        for bot in self.bots:
            add_bot(side, bot)
        for room in self.groups:
            side.add_group(room.name, tuple(room.members), tuple(room.bots), room.receive)
        for room in self.channels:
            side.add_channel(room.name, tuple(room.members), tuple(room.bots))
        for step in self.timeline:
            _plan(side, step, now_ms)


def add_bot(side: QqSide, new: NewQqBot) -> QqBot:
    return side.add_bot(
        new.name, new.app_id, new.secret, intents=intents_of(new.intents), public=new.public,
        webhook_url=new.webhook_url,
    )  # fmt: skip


def intents_of(names: list[str] | None) -> int:
    """Raises: SimError naming the known ones."""
    if names is None:
        return ALL_INTENTS
    if unknown := [name for name in names if name not in INTENTS]:
        raise SimError(f"no intent {unknown[0]!r}; known: {', '.join(INTENTS)}")
    return sum(INTENTS[name] for name in set(names))


def alter(bot: QqBot, change: BotChange) -> None:
    """Withdrawn intents stop their events without a word; the next IDENTIFY for them is refused."""
    bot.offline = bot.offline if change.offline is None else change.offline
    bot.banned = bot.banned if change.banned is None else change.banned
    bot.intents = bot.intents if change.intents is None else intents_of(change.intents)
    bot.webhook_url = bot.webhook_url if change.webhook_url is None else change.webhook_url
    bot.secret = change.secret or bot.secret


def _plan(side: QqSide, step: QqStep, now_ms: int) -> None:
    """Names are looked up now, so that a wrong one is told at once and not in the middle of the night."""
    if step.bot or step.do not in ("say", "press", "change"):
        side.bot(step.bot)
    if step.to:
        side.room(step.to, step.user, step.scene)
    if step.do in ("say", "press", "change"):
        side.openid(step.bot or next(iter(side.state.register.bots), ""), step.user)
    side.state.shared.later(now_ms + round(step.at_s * 1000), lambda at_ms: act(side, step, at_ms))


def act(side: QqSide, step: QqStep, now_ms: int) -> None:
    """Carries out one step."""
    match step.do:
        case "say":
            side.say(step.user, step.text, now_ms, step.to or step.bot, scene=step.scene, at=step.at)
        case "change":
            side.change(step.user, step.bot, step.what, now_ms, step.to)
        case "press":
            side.press(step.user, step.bot, "button", step.text, now_ms, step.to)
        case "bot":
            alter(side.bot(step.bot), step.change)
        case _:
            strike(side, step.do, step.bot, now_ms, step.code, step.count)


def strike(side: QqSide, what: str, bot: str, now_ms: int, code: int = 0, count: int = 1) -> int:
    """What the platform does to a bot; says how many connections, sessions, events or tokens it met.

    Raises: SimError when there is no such act.
    """
    match what:
        case "close":
            return side.close(bot, code or 4009, now_ms)
        case "mute":
            return side.mute(bot, now_ms)
        case "reconnect":
            return side.ask_reconnect(bot, now_ms)
        case "invalidate":
            return side.invalidate(bot, now_ms, code)
        case "forget_sessions":
            return side.forget_sessions(bot)
        case "replay":
            return side.replay(bot, count, now_ms)
        case "expire_tokens":
            return side.expire_tokens(bot)
        case "expire_windows":
            return side.expire_windows(bot)
        case "spend_allowances":
            return side.spend_allowances(bot)
        case "validate_webhook":
            side.validate_webhook(bot, now_ms)
            return 1
    raise SimError(f"nothing is called {what!r}")
