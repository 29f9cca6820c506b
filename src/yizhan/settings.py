"""File and environment → one frozen Settings, checked once at the door.

Precedence: command line > environment (`YIZHAN_…`, `__` between levels) > `config.yaml` in the home >
defaults. Nobody else reads the environment. docs/configuration.md names every key; a test compares.
"""

from __future__ import annotations

import base64
import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from yizhan.errors import SettingsError

PREFIX = "YIZHAN_"
NOT_KEYS = frozenset({"YIZHAN_HOME", "YIZHAN_API_KEY", "YIZHAN_SECRET_KEY", "YIZHAN_TEST_REQUIRE"})
"""Variables with our prefix that are no configuration keys."""
TOLD_TO_COMMANDS = frozenset({"YIZHAN_CHAT", "YIZHAN_SENDER", "YIZHAN_SESSION", "YIZHAN_TURN"})
"""What a command agent is told. It may call `yizhan` in turn, which must not take these for keys."""

Seconds = Annotated[float, Field(ge=0)]
Lifetime = Annotated[float, Field(gt=0, le=315_360_000)]
Patience = Annotated[float, Field(gt=0, le=86_400)]
Days = Annotated[float, Field(gt=0, le=3650)]


def _visible(name: str) -> str:
    """An id that holds what nobody sees would fit nobody, and the rule it stands in would be passed over."""
    if not name.isprintable():
        raise ValueError(f"{name!a} holds a character that nobody sees; copy the id again")
    if name != name.strip():
        raise ValueError(f"{name!r} begins or ends with a blank; copy the id again")
    return name


Id = Annotated[str, AfterValidator(_visible)]
"""Of a sender, a chat or an account, as the platform writes it."""


def _one_line(text: str) -> str:
    if any(letter < " " or letter == "\x7f" for letter in text.strip()):
        raise ValueError(
            "holds a line break or another control character, which no HTTP header takes; copy it again"
        )
    return text.strip()


HeaderText = Annotated[str, AfterValidator(_one_line)]
"""What is sent in a header of HTTP."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_under_it(cls, given: Any) -> Any:
        """`server:` with every line below it commented out reads as null and means that nothing is set."""
        if not isinstance(given, Mapping):
            return given
        empty = {name for name in cls._sections() if given.get(name, "") is None}
        return {name: value for name, value in given.items() if name not in empty}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """No wait is longer than what it may grow to: one of the two would be passed over in silence."""
        for shorter, longer in self._rising():
            short_s, long_s = getattr(self, shorter), getattr(self, longer)
            if short_s > long_s:
                raise ValueError(
                    f"{shorter} ({self._said(shorter)}) is more than {longer} ({self._said(longer)}); "
                    f"raise {longer}, or set {shorter} to {long_s:g} or less"
                )
        return self

    @classmethod
    def _rising(cls) -> tuple[tuple[str, str], ...]:
        """Pairs of keys of which the second bounds the first."""
        return ()

    def _said(self, name: str) -> str:
        given = f"{getattr(self, name):g}"
        return given if name in self.model_fields_set else f"{given} unless set"

    @classmethod
    def _sections(cls) -> set[str]:
        """The fields that hold keys of their own."""
        return {name for name, field in cls.model_fields.items() if _is_section(field.annotation)}


def _is_section(kind: Any) -> TypeGuard[type[_Section]]:
    return isinstance(kind, type) and issubclass(kind, _Section)


class Server(_Section):
    """Where the API and the console listen."""

    host: str = Field(
        "127.0.0.1", min_length=1, description="address to listen on; beyond loopback use TLS or a proxy"
    )
    port: int = Field(8787, ge=0, le=65535, description="TCP port; 0 takes any free one")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="further Host names accepted, for example behind a proxy; loopback names always are"
    )
    key_requests_per_minute: int = Field(
        60_000, ge=0, le=10_000_000, description="requests with one key; 0: as many as it likes"
    )
    wrong_keys_per_minute: int = Field(
        300,
        ge=0,
        le=1_000_000,
        description="requests with wrong keys from one address; 0: as many as it likes",
    )


class Console(_Section):
    """The pages in the browser."""

    enabled: bool = Field(True, description="serve the console")


MEANWHILE_LINES = 20
"""So many lines of history are looked through for what an agent that remembers by itself cannot know."""


class OpenAiAgent(_Section):
    """Any OpenAI-compatible chat-completions endpoint."""

    kind: Literal["openai"]
    base_url: str = Field(pattern=r"^https?://", description="for example http://127.0.0.1:11434/v1")
    api_key: HeaderText = Field("", repr=False, description="sent as bearer token; empty sends none")
    model: str = Field(description="name of the model, as the endpoint calls it")
    preset: Literal["plain", "hermes", "openclaw", "nanobot", "cowagent", "openwebui"] = Field(
        "plain", description="who is behind the endpoint, and how it is told which conversation is meant"
    )
    system_prompt: str = Field("", description="said to the model before the history")
    history_messages: int = Field(
        30, ge=0, le=1000, description="lines of history sent along, where the endpoint keeps none"
    )
    history_tokens: int | None = Field(
        None, ge=0, description="and no more than about so many tokens of them; unset: no bound"
    )
    temperature: float | None = Field(None, ge=0, le=2, description="left to the endpoint when unset")
    connect_timeout_s: Patience = Field(10, description="to find the host and connect")
    idle_timeout_s: Patience = Field(
        120, description="longest silence, before the first byte and between bytes"
    )
    timeout_s: Patience = Field(600, description="the whole answer")
    max_answer_chars: int = Field(100_000, ge=100, description="a longer answer is cut there, visibly")

    @property
    def lines_needed(self) -> int:
        """Lines of history that a question to it is asked with."""
        return max(self.history_messages, MEANWHILE_LINES)


class CommandAgent(_Section):
    """A program: text on stdin, answer on stdout. Never a shell string."""

    kind: Literal["command"]
    argv: tuple[str, ...] = Field(min_length=1, description="program and arguments, one by one")
    dialect: Literal["text", "claude", "codex"] = Field(
        "text", description="how its output is read: as text, or as the JSON lines of Claude Code or Codex"
    )
    cwd: str | None = Field(None, description="working directory; unset: the gateway's home")
    env: Mapping[str, str] = Field({}, repr=False, description="variables added to the program's environment")
    timeout_s: Patience = Field(600, description="then its process group is ended")
    memory_mib: int | None = Field(
        None,
        ge=16,
        description="address space of the program and of each of its children, in MiB; unset: no bound",
    )
    max_answer_chars: int = Field(100_000, ge=100, description="a longer answer is cut there, visibly")

    @property
    def lines_needed(self) -> int:
        return 0 if self.dialect == "text" else MEANWHILE_LINES


class Route(_Section):
    """Who answers what fits: everything that is given must."""

    agent: str = Field(min_length=1, description="who answers: none, echo, or a name under agents")
    platform: str | None = Field(None, min_length=1, description="messages of this platform")
    account: Id | None = Field(None, min_length=1, description="messages of this account")
    chat: Id | None = Field(None, min_length=1, description="messages of this chat, as chat id or TARGET")
    prefix: str | None = Field(
        None, min_length=1, description="messages that begin with this word, which is taken off"
    )


class WebhookAgent(_Section):
    """A program that is posted each question, signed, and answers at once or later."""

    kind: Literal["webhook"]
    url: str = Field(
        pattern=r"^https?://", description="where questions are posted; may be a private address"
    )
    secret: str = Field(
        min_length=16,
        repr=False,
        description="signs each question, as Standard Webhooks do; may begin with whsec_",
    )
    headers: Mapping[HeaderText, HeaderText] = Field(
        {}, repr=False, description="sent along, for example Authorization"
    )
    history_messages: int = Field(0, ge=0, le=1000, description="lines of history sent along")
    connect_timeout_s: Patience = Field(10, description="to find the host and connect")
    timeout_s: Patience = Field(60, description="to answer, or to say that the answer will come later")
    max_answer_chars: int = Field(100_000, ge=100, description="a longer answer is cut there, visibly")

    @field_validator("secret")
    @classmethod
    def _signs(cls, secret: str) -> str:
        if secret.startswith("whsec_"):
            bare = secret.removeprefix("whsec_").rstrip("=")
            try:
                signs = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
            except ValueError:
                raise ValueError("what follows whsec_ must be base64") from None
            if not signs:
                raise ValueError("nothing follows whsec_")
        return secret

    @property
    def lines_needed(self) -> int:
        return self.history_messages


AGENT_KINDS: Mapping[str, type[_Section]] = {
    "openai": OpenAiAgent,
    "command": CommandAgent,
    "webhook": WebhookAgent,
}
AgentSettings = Annotated[OpenAiAgent | CommandAgent | WebhookAgent, Field(discriminator="kind")]


class Access(_Section):
    """Who may talk to the agent. Deny by default."""

    policy: Literal["open", "pairing", "allowlist"] = Field(
        "pairing",
        description="open: everybody; pairing: unknown senders are listed, not answered; allowlist: refused",
    )
    allow: tuple[Id, ...] = Field((), description="sender ids that are always allowed")
    admins: tuple[Id, ...] = Field(
        (), description="sender ids that are allowed, and may give commands that act on the gateway"
    )
    per_minute: int = Field(
        0, ge=0, le=10_000, description="messages of one person that are heard in a minute; 0: all"
    )
    per_day: int = Field(
        0, ge=0, le=100_000, description="messages of one person that are heard in 24 hours; 0: all"
    )
    show_code: bool = Field(
        False, description="pairing: an unknown sender is told a code, once, by which he can be approved"
    )
    groups: Literal["senders", "open", "off"] = Field(
        "senders",
        description="in groups: senders: as in a chat of their own; open: everybody in an allowed group; off: nobody",
    )
    group_allow: tuple[Id, ...] = Field(
        (), description="groups in which the agent speaks, as chat id or TARGET; empty: all"
    )
    group_people: Mapping[Id, tuple[Id, ...]] = Field(
        {}, description="group, as chat id or TARGET, to the sender ids that may talk to the agent there"
    )
    mention: bool = Field(True, description="in groups only what is addressed to the agent is answered")


class Database(_Section):
    """Where everything is kept."""

    url: str | None = Field(
        None, repr=False, description="unset: SQLite in the home; or postgresql+psycopg://user:pw@host/db"
    )

    @field_validator("url")
    @classmethod
    def _is_ours(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith("postgresql+psycopg://"):
            raise ValueError("must begin with postgresql+psycopg://; leave it unset for SQLite in the home")
        return url


class Limiter(_Section):
    """Pace of a scope (chat, account) after the platform has refused."""

    first_quiet_s: float = Field(
        8, gt=0, le=600, description="back-off base: wait after a first refusal while nothing is known"
    )
    growth: float = Field(3, ge=1, le=8, description="each further such wait is this much longer …")
    soft_cap_s: float = Field(
        62, gt=0, le=3600, description="… up to this; refused after it, a long penalty is assumed"
    )
    max_quiet_s: float = Field(
        3600,
        gt=0,
        le=86_400,
        description="back-off cap: longest wait at all, the cool-down in a long penalty",
    )
    reject_budget: int = Field(
        12,
        ge=1,
        le=1000,
        description="refusals that may be spent on learning; every ten acceptances earn one",
    )

    @classmethod
    def _rising(cls) -> tuple[tuple[str, str], ...]:
        return ("first_quiet_s", "soft_cap_s"), ("soft_cap_s", "max_quiet_s")


class Breaker(_Section):
    """When nothing can connect, and when replies stay lost."""

    probe_s: float = Field(1.5, gt=0, le=60, description="between probes of a host that cannot be reached")
    slow_after_s: Seconds = Field(120, ge=0, description="after this long the probes become rarer")
    slow_probe_s: float = Field(15, gt=0, le=600, description="between probes from then on")
    threshold: int = Field(
        3, ge=1, le=100, description="lost answers of so many different messages shut an account"
    )
    in_doubt_base_s: float = Field(1, gt=0, le=60, description="first wait after a lost answer; doubles")
    in_doubt_cap_s: float = Field(
        60,
        gt=0,
        le=3600,
        description="longest wait after a lost answer, and between probes of a shut account",
    )

    @classmethod
    def _rising(cls) -> tuple[tuple[str, str], ...]:
        return ("probe_s", "slow_probe_s"), ("in_doubt_base_s", "in_doubt_cap_s")


class Allowance(_Section):
    """How many sends a platform permits after each message of the other side."""

    sends: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="per inbound message; unset: as the platform is known; 0: not counted",
    )
    window_s: float | None = Field(
        None,
        ge=0,
        le=2_592_000,
        description="how long they may be used; unset: as the platform is known; 0: for ever",
    )
    progress_reserve: int | None = Field(
        None, ge=0, le=100, description="progress lines are sent only while more sends than this are left"
    )
    probe_s: Seconds = Field(
        3600,
        le=604_800,
        description="first wait before one extra send tries whether more is permitted; doubles; 0: never",
    )
    notice: str | None = Field(
        None,
        max_length=500,
        description="said with the last send, {parts} being what remains; unset: a sentence in `language`; "
        "empty: nothing",
    )


class Retention(_Section):
    """How long messages live, and how long finished ones are kept."""

    reply_s: Lifetime = Field(86_400, description="an answer not delivered by then expires")
    push_s: Lifetime = Field(604_800, description="a push not delivered by then expires")
    progress_s: Lifetime = Field(120, description="a progress line not delivered by then expires")
    messages_days: Days = Field(90, description="finished messages and inbound text are kept this long")
    events_days: Days = Field(14, description="attempts, events and cleared alerts are kept this long")


class Ghosts(_Section):
    """Sends that the platform accepts without the receipt it owes: perhaps nobody sees them."""

    alarm_after: int = Field(
        3, ge=0, le=1000, description="so many in a row, in a chat or an account, raise an alert; 0: never"
    )
    push_pause_s: Seconds = Field(
        60, le=86_400, description="from then on, pause between pushes to such a chat; doubles"
    )
    push_pause_max_s: Seconds = Field(900, le=86_400, description="longest such pause")

    @classmethod
    def _rising(cls) -> tuple[tuple[str, str], ...]:
        return (("push_pause_s", "push_pause_max_s"),)


class Delivery(_Section):
    """The road out."""

    in_doubt: Literal["resend", "hold", "drop_visibly"] = Field(
        "resend", description="what becomes of a part whose answer was lost"
    )
    text_max_chars: int = Field(
        100_000, ge=1, le=1_000_000, description="longest text the API accepts for one message"
    )
    max_requests_per_s: float = Field(
        1000, ge=0, le=100_000, description="sends per second over all accounts, at most; 0: no bound"
    )
    part_max_chars: int | None = Field(
        None, ge=100, le=16_000, description="longest part of a message; unset: as the platform shows it well"
    )
    render: bool = Field(
        True,
        description="write texts so that the platform's client swallows nothing; false: exactly as given",
    )
    number_parts: bool = Field(True, description="number the parts of a message that needs several: (2/5)")
    chunk_gap_s: Seconds = Field(0, le=60, description="least time between the sends to a chat")
    allowance: Allowance = Allowance()
    limiter: Limiter = Limiter()
    breaker: Breaker = Breaker()
    ghosts: Ghosts = Ghosts()


class Alerts(_Section):
    """What a person must be told of. 0 switches a rule off."""

    account_down_s: Seconds = Field(
        300, le=604_800, description="a platform that has not answered an account for so long"
    )
    waiting_s: Seconds = Field(900, le=604_800, description="a message that has waited so long")
    limited_s: Seconds = Field(
        3600, le=604_800, description="an account that has been limited for so long without a break"
    )
    queue_above: int = Field(
        10_000, ge=0, le=100_000_000, description="messages that wait for an account, more than this"
    )
    dead_letter_s: Seconds = Field(
        86_400, le=31_536_000, description="messages that failed or expired within this time"
    )
    tell: str | None = Field(
        None, description="a TARGET in which alerts are told; best on another platform; unset: nobody is told"
    )
    tell_every_s: Seconds = Field(
        300, le=86_400, description="least time between two such messages; what happens meanwhile is gathered"
    )
    disk_free_mib: int = Field(500, ge=0, le=1_048_576, description="less room than this in the home, in MiB")


class Turns(_Section):
    """From inbound messages to a question for the agent."""

    debounce_s: Seconds = Field(0.6, le=60, description="quiet time after a message before it is answered")
    debounce_long_s: Seconds = Field(
        3, le=60, description="the same after a text of debounce_long_chars or more"
    )
    debounce_long_chars: int = Field(2000, ge=1, description="where the platform splits long texts")
    workers: int = Field(16, ge=1, le=1000, description="turns that may run at the same time, over all chats")
    timeout_s: Lifetime = Field(
        1800, description="longest work of an agent for one turn; then the turn fails"
    )
    later_s: Lifetime = Field(
        3600, description="longest time until an answer that was announced comes through the API"
    )
    while_busy: Literal["queue", "interrupt", "steer"] = Field(
        "queue", description="what a message does that comes while the agent works on one before"
    )
    first_sentence: Literal["off", "free", "always"] = Field(
        "off",
        description="the first sentence goes ahead of the rest; free: where sends are not counted",
    )
    progress: Literal["off", "free", "always"] = Field(
        "free", description="what an agent does meanwhile is told; free: where sends are not counted"
    )
    progress_every_s: Seconds = Field(
        20,
        le=3600,
        description="least time between two progress messages of a turn; what lies between is merged",
    )
    progress_max: int = Field(6, ge=0, le=100, description="progress messages of one turn, at most")
    ack_before_s: Seconds = Field(
        45,
        le=3600,
        description="so long before a platform takes no answer any more, the chat hears that one is coming; 0: never",
    )
    failure_notice: str | None = Field(
        None,
        description="said to the chat when a turn fails; unset: a sentence in `language`; empty: nothing",
    )


class Schedules(_Section):
    """What is said at set times."""

    zone: str | None = Field(
        None, description="time zone of schedules that name none, as Asia/Shanghai; unset: the machine's"
    )

    @field_validator("zone")
    @classmethod
    def _exists(cls, zone: str | None) -> str | None:
        if zone is None:
            return None
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"there is no time zone {zone!r}; for example Asia/Shanghai") from None
        return zone


class Sessions(_Section):
    """What an agent is to remember of a chat, and when that begins anew by itself."""

    groups: Literal["person", "chat"] = Field(
        "person", description="in groups each person has a session of his own, or all have one"
    )
    idle_s: Seconds = Field(
        0, le=31_536_000, description="a new session after so long without a turn; 0: never"
    )
    daily_hour: int | None = Field(
        None, ge=0, le=23, description="a new session for the first message after this hour; unset: never"
    )
    zone: str | None = Field(
        None, description="time zone of daily_hour, such as Asia/Shanghai; unset: the machine's"
    )

    @field_validator("zone")
    @classmethod
    def _exists(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in available_timezones():
            raise ValueError("is no time zone; write it as in Asia/Shanghai")
        return zone


class Webhooks(_Section):
    """Events that are posted to programs."""

    allow_private: bool = Field(
        False, description="also to addresses that only this machine or its network can reach"
    )


class Weixin(_Section):
    """WeChat by iLink."""

    login_url: str = Field("https://ilinkai.weixin.qq.com", description="where QR logins begin")
    typing: bool = Field(True, description="show “typing…” while the agent works")


class Qq(_Section):
    """QQ's bot platform."""

    typing: bool = Field(
        False,
        description="show “typing…” in single chats once for an answer that takes more than two seconds; it uses up "
        "one of the four answers that a message permits, and is left out where they may be needed",
    )


class Logging(_Section):
    """What is written to stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe line written"
    )
    format: Literal["auto", "text", "json"] = Field(
        "auto", description="auto: text on a terminal, else JSON lines"
    )


class _Sources(dict[str, str]):
    """Where values come from. Settings are the same wherever they come from, so these never differ."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sources)

    __hash__ = None


class Settings(_Section):
    """Everything an operator can set. `home` comes from --home or YIZHAN_HOME."""

    home: Path = Field(exclude=True)
    server: Server = Server()
    console: Console = Console()
    language: Literal["zh", "en"] = Field(
        "zh", description="language of texts the gateway itself sends to chats"
    )
    agent: str = Field("none", description="who answers: none, echo, or a name under agents")
    agents: Mapping[str, AgentSettings] = Field({}, description="those who can answer, by name")
    routes: tuple[Route, ...] = Field((), description="who answers instead of `agent`; the first that fits")
    agent_choices: tuple[str, ...] = Field(
        (),
        description="agents that everybody may choose for a chat by /use, and the default to go back; "
        "admins may choose any",
    )
    access: Access = Access()
    database: Database = Database()
    delivery: Delivery = Delivery()
    retention: Retention = Retention()
    alerts: Alerts = Alerts()
    turns: Turns = Turns()
    sessions: Sessions = Sessions()
    schedules: Schedules = Schedules()
    webhooks: Webhooks = Webhooks()
    weixin: Weixin = Weixin()
    qq: Qq = Qq()
    logging: Logging = Logging()

    _sources: _Sources = PrivateAttr(default_factory=lambda: _Sources())

    @property
    def sources(self) -> Mapping[str, str]:
        """Where each key has its value from, by its dotted name: default, file, environment, command line."""
        return self._sources

    @classmethod
    def _sections(cls) -> set[str]:
        return super()._sections() | {"agents"}

    @field_validator("agents")
    @classmethod
    def _free_names(cls, agents: Mapping[str, AgentSettings]) -> Mapping[str, AgentSettings]:
        taken = {"none", "echo"} & set(agents)
        if taken:
            raise ValueError(f"{sorted(taken)[0]!r} is a built-in agent; choose another name")
        return agents

    @model_validator(mode="after")
    def _agent_exists(self) -> Settings:
        known = ["none", "echo", *self.agents]
        asked = [("agent", self.agent)]
        asked += [(f"routes.{place}.agent", route.agent) for place, route in enumerate(self.routes)]
        asked += [("agent_choices", name) for name in self.agent_choices]
        for key, name in asked:
            if name not in known:
                raise ValueError(f"{key}: {name!r} is not known{_nearest(name, known)}; known: {known}")
        return self


def load(home: Path, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """Reads the home's config.yaml and the environment.

    Args:    overrides  nested keys from the command line, winning over everything.
    Raises:  SettingsError, naming the key, where it stands, and what to change it to.
    """
    file = home / "config.yaml"
    layers = [_from_file(file), _from_environment(environ), dict(overrides or {})]
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer)
    if "home" in merged:
        raise SettingsError("home cannot be set among the keys.", "Use --home or YIZHAN_HOME.")
    try:
        settings = Settings.model_validate({**merged, "home": home})
    except ValidationError as error:
        raise _explain(error, file, layers) from None
    settings._sources.update(_sources_of(layers))
    return settings


def _sources_of(layers: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Which layer has decided each key, by its dotted name."""
    sources = {name: "default" for name, _, _ in keys()}
    for layer, source in zip(layers, ("file", "environment", "command line"), strict=True):
        sources |= dict.fromkeys(_leaves(layer), source)
    return sources


@lru_cache(maxsize=1)
def _section_names() -> frozenset[str]:
    """Every section, with those around it."""
    around = [name.split(".")[:-1] for name, _, _ in keys()]
    return frozenset(".".join(path[:end]) for path in around for end in range(1, len(path) + 1)) | {"agents"}


def _leaves(layer: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of all values. A section in which nothing is set has none."""
    for name, value in layer.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        elif value is not None or f"{prefix}{name}" not in _section_names():
            yield f"{prefix}{name}"


def default_home(environ: Mapping[str, str] = os.environ) -> Path:
    """`YIZHAN_HOME`, else ~/.yizhan."""
    return Path(environ.get("YIZHAN_HOME") or Path.home() / ".yizhan").expanduser()


def inherited_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a program that we start may see of our environment: all but our own variables (keys, secrets)."""
    return {name: value for name, value in environ.items() if not name.startswith(PREFIX)}


def keys(section: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Every key as (dotted name, default, description), for the documentation and its test."""
    for name, field in section.model_fields.items():
        if name == "home":
            continue
        if _is_section(field.annotation):
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.get_default(), field.description or ""


class _GivenTwice(yaml.YAMLError):
    pass


class _Loader(yaml.SafeLoader):
    """YAML where a key stands once: else the last one wins, and the one above it is believed in."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.value in seen:
                raise _GivenTwice(
                    f"the key {key.value!r} stands twice, in lines {seen[key.value]} and {line}"
                )
            seen[key.value] = line
        return super().construct_mapping(node, deep)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        raise SettingsError(
            f"{file.parent} is not a directory.", "Choose another home: --home DIR or YIZHAN_HOME."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}.", "Make it a readable UTF-8 file.") from None
    try:
        content = yaml.load(text, _Loader)  # a SafeLoader
    except _GivenTwice as error:
        raise SettingsError(f"{file}: {error}.", "Keep one of them.") from None
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" in line {place.line + 1}" if place else ""
        raise SettingsError(f"{file} is not valid YAML{where}.", "Check indentation and quotes.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{file} must hold keys and values.", "For example: agent: echo")
    return content


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    for name, value in environ.items():
        if name.startswith(PREFIX) and name not in NOT_KEYS | TOLD_TO_COMMANDS:
            path = name.removeprefix(PREFIX).lower().split("__")
            layer = _merge(layer, _nested(path, _value(name, value)))
    return layer


def _value(name: str, text: str) -> Any:
    """Lists and maps are written as in YAML; everything else is left to the key's type."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except _GivenTwice as error:
        raise SettingsError(f"{name}: {error}.", "Keep one of them.") from None
    except yaml.YAMLError:
        raise SettingsError(
            f"{name} is not a valid list or map.", 'Write it as in YAML: ["a", "b"]'
        ) from None


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = (
            _merge(under, value) if isinstance(under, dict) and isinstance(value, Mapping) else value
        )
    return merged


def _explain(error: ValidationError, file: Path, layers: Sequence[Mapping[str, Any]]) -> SettingsError:
    lines = [_explain_one(dict(problem), file, layers) for problem in error.errors()]
    return SettingsError(
        "The configuration is not usable:\n  " + "\n  ".join(lines) + "\n",
        "docs/configuration.md names every key.",
    )


def _explain_one(problem: dict[str, Any], file: Path, layers: Sequence[Mapping[str, Any]]) -> str:
    """One line: the key, what is wrong with it, and where it was set."""
    path = [str(step) for step in problem["loc"]]
    if path[:1] == ["agents"] and len(path) > 2:
        del path[2]  # the discriminator's tag, which is no level of the file
    said = _say(problem, path)
    return f"{'.'.join(path)}: {said}{_origin(path, file, layers)}" if path else said


def _say(problem: dict[str, Any], path: list[str]) -> str:
    """What is wrong, in the operator's words. Never the value: it may be a secret."""
    kinds = ", ".join(AGENT_KINDS)
    match problem["type"]:
        case "extra_forbidden":
            return f"no such key{_nearest('.'.join(path), _names_around(path))}"
        case "missing":
            return "is required"
        case "union_tag_not_found":
            return f"needs a kind; known: {kinds}"
        case "union_tag_invalid":
            return f"is of an unknown kind; known: {kinds}"
        case "model_type" | "model_attributes_type" | "mapping_type" | "dict_type":
            return "holds keys of its own, not a value"
        case "tuple_type":
            return 'must be a list, for example ["a", "b"]'
        case _:
            return str(problem["msg"]).removeprefix("Value error, ")


def _origin(path: list[str], file: Path, layers: Sequence[Mapping[str, Any]]) -> str:
    """Where the key was set: the uppermost layer that has it. A key that is missing was set nowhere."""
    variable = PREFIX + "__".join(path).upper()
    for layer, name in zip(reversed(layers), ("the command line", variable, str(file)), strict=True):
        if _has(layer, path):
            return f" ({name})"
    return ""


def _has(layer: Any, path: list[str]) -> bool:
    for step in path:
        if not isinstance(layer, Mapping):
            return isinstance(layer, list | tuple)  # an element of a list
        if step not in layer:
            return False
        layer = layer[step]
    return True


def _names_around(path: list[str]) -> list[str]:
    """The keys that could have been meant."""
    if path[0] == "agents":
        names = sorted({name for kind in AGENT_KINDS.values() for name in kind.model_fields})
        return [".".join([*path[:-1], name]) for name in names]
    everything = [name for name, _, _ in keys()]
    sections = {name.rsplit(".", 1)[0] for name in everything if "." in name}
    return everything + sorted(sections)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not near:
        tail = name.rsplit(".", 1)[-1]
        near = [other for other in known if other.rsplit(".", 1)[-1] == tail][:1]
    return f"; did you mean {near[0]}?" if near else ""
