"""A fault script: the weather of one simulation, as plain data (YAML, JSON or a dict).

Times ending in `_s` are seconds from the start of the script. Unknown keys and wrong types are refused by name,
with the nearest key there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from yizhan_simulator.knobs import Knobs
from yizhan_simulator.limits import Limit
from yizhan_simulator.people import SimError
from yizhan_simulator.qq.script import QqScript
from yizhan_simulator.reading import ScriptError, check_knobs, read
from yizhan_simulator.weather import Fault, Outage
from yizhan_simulator.world import World


class ScriptUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    user_id: str | None = None


class ScriptBot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bot bound to `user` without a login. Give `token` (`<bot id>:<hex>`) to know it beforehand."""

    user: str
    token: str | None = None
    bot_id: str | None = None
    label: str = ""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happens at a time: turn knobs, say a text, expire reply tokens, revoke a bot, give a bot its
    last `count` messages again, clear."""

    at_s: float
    do: Literal["knobs", "say", "expire_tokens", "revoke", "replay", "clear"]
    knobs: dict[str, Any] = {}
    user: str = ""
    text: str = ""
    bot: str = ""
    count: int = 1


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seed: int = 0
    knobs: dict[str, Any] = {}
    users: list[ScriptUser] = []
    bots: list[ScriptBot] = []
    limits: list[Limit] = []
    faults: list[Fault] = []
    outages: list[Outage] = []
    timeline: list[Step] = []
    qq: QqScript = QqScript()

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Script:
        """Raises: ScriptError."""
        script = read(dict(table), cls)
        for change in (script.knobs, *(step.knobs for step in script.timeline)):
            check_knobs(Knobs(), change)
        return script

    @classmethod
    def from_file(cls, path: Path | str) -> Script:
        """YAML or JSON. Raises: ScriptError, also for a file that is missing or unreadable."""
        try:
            table = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ScriptError(f"script {path}: {error}") from error
        if not isinstance(table, dict):
            raise ScriptError(f"script {path}: must be a table (key: value), not {type(table).__name__}")
        return cls.from_dict(table)

    def world(self, now_ms: int, ledger_limit: int = 1_000_000) -> World:
        """A new world with this script running since `now_ms`."""
        world = World(self.seed, ledger_limit=ledger_limit)
        self.start(world, now_ms)
        return world

    def start(self, world: World, now_ms: int) -> None:
        """Puts the script on top of a world: users and bots are added, weather is added. Raises: ScriptError."""
        try:
            world.turn(**self.knobs)
            for user in self.users:
                world.add_user(user.name, user.user_id)
            for bot in self.bots:
                world.add_bot(bot.user, bot.token, bot.bot_id, now_ms, bot.label)
            self.qq.start(world.qq, now_ms)
        except SimError as error:
            raise ScriptError(str(error)) from error
        for limit in self.limits:
            world.add_limit(limit, now_ms)
        for fault in self.faults:
            world.add_fault(fault, now_ms)
        for outage in self.outages:
            world.add_outage(outage, now_ms)
        for step in self.timeline:
            _plan(world, step, now_ms)


def _plan(world: World, step: Step, now_ms: int) -> None:
    world.state.later(now_ms + round(step.at_s * 1000), lambda at_ms: _do(world, step, at_ms))


def _do(world: World, step: Step, at_ms: int) -> None:
    match step.do:
        case "knobs":
            world.turn(**step.knobs)
        case "say":
            world.say(step.user, step.text, at_ms, step.bot or None)
        case "expire_tokens":
            world.expire_tokens(step.user or None)
        case "revoke":
            world.revoke(step.bot, at_ms)
        case "replay":
            world.replay(step.bot, step.count, at_ms)
        case "clear":
            world.clear_weather()
