"""A plan: everything that will happen in one simulated world, drawn from one seed before anything runs.

Who is there, what they write and push, what the platform is like and how it lies, when the disk, the host, the
operator and the process misbehave. A plan is data: it can be printed, compared, and made smaller by hand.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

import msgspec

from simulation.places import Place as Place
from simulation.plan_hooks import Hooks, draw_hooks
from simulation.plan_schedules import Schedules, draw_schedules
from simulation.plan_streams import Streams, draw_streams
from yizhan.model import MessageClass
from yizhan_simulator import Fault, Hint, Limit, Outage
from yizhan_simulator.knobs import Refusal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Say:
    """A user writes."""

    where: Place
    text: str


@dataclass(frozen=True, slots=True)
class Push:
    """A program hands over a message. With a key it repeats the same order until it is answered, and `again` times
    after that; without one it asks once. `starts_s` and `lives_s` count from the order. `filler` words follow the
    text, which names the push; `numbered` where each part must be known by its text."""

    where: Place
    text: str
    filler: int = 0
    klass: MessageClass = MessageClass.PUSH
    keyed: bool = True
    again: int = 0
    starts_s: float | None = None
    lives_s: float | None = None
    numbered: bool = False

    @property
    def whole(self) -> str:
        if self.numbered:
            return " ".join([self.text, *(f"{self.text[-2:]}-{number}" for number in range(self.filler))])
        return " ".join([self.text, *["long"] * self.filler])


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody cancels the push with this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Retry:
    """An operator retries the push with this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Pause:
    """An operator pauses or resumes a chat; with `whole`, its account."""

    where: Place
    on: bool
    whole: bool = False


@dataclass(frozen=True, slots=True)
class ExpireTokens:
    """The platform no longer honours the reply tokens of a chat, or of all."""

    where: Place | None


@dataclass(frozen=True, slots=True)
class Replay:
    """The platform gives an account its last messages again."""

    account: int
    count: int


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk is full, or loses the answers to some commits, or is well."""

    full: bool = False
    forgets: float = 0


@dataclass(frozen=True, slots=True)
class Host:
    """The host sleeps, stops our process, or gets another time; each in seconds."""

    sleeps_s: float = 0
    freezes_s: float = 0
    clock_s: float = 0


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL so many commits or loop steps later, and perhaps again so many commits into the recovery."""

    commits: int = 0
    after: bool = False
    steps: int = 0
    down_s: float = 1
    then_commits: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """SIGTERM, and a start a while later."""

    down_s: float


LineAct = Literal["close", "mute", "reconnect", "invalidate", "forget", "expire access", "spend"]


@dataclass(frozen=True, slots=True)
class Line:
    """QQ does something to the bot's connection, its sessions, its access tokens or its allowances."""

    act: LineAct
    code: int = 0


@dataclass(frozen=True, slots=True)
class Switch:
    """Somebody forbids, or allows again, that the bot speaks unasked in a chat of QQ."""

    where: Place
    on: bool


Deed = Say | Push | Cancel | Retry | Pause | ExpireTokens | Replay | Disk | Host | Kill | Stop | Line | Switch


@dataclass(frozen=True, slots=True)
class Act:
    at_s: float
    deed: Deed


@dataclass(frozen=True, slots=True)
class Agent:
    """Who answers: at most `outputs` outputs, after at most `slow_s`; it fails with a probability. Asked the same
    again, it does not say the same again."""

    outputs: int = 1
    slow_s: float = 0
    fails: float = 0


Scene = Literal["c2c", "group", "channel", "dm"]


@dataclass(frozen=True, slots=True)
class Qq:
    """The last account is a bot on QQ, and its chats are of these scenes. `leaks`: events get lost between the
    platform and a living connection, and are not repeated."""

    scenes: tuple[Scene, ...]
    everything: bool = False
    """Groups give the bot every message, not only those that mention it."""
    leaks: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    chaos_s: float
    chats: tuple[int, ...]
    agent: Agent = Agent()
    in_doubt: str = "resend"
    commit_ms: tuple[float, float] = (0.1, 5)
    knobs: dict[str, Any] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    faults: tuple[Fault, ...] = ()
    outages: tuple[Outage, ...] = ()
    acts: tuple[Act, ...] = ()
    qq: Qq | None = None
    streams: Streams | None = None
    schedules: Schedules | None = None
    hooks: Hooks | None = None

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"seed {self.seed}: chats {self.chats}, chaos for {self.chaos_s:.0f} s, commits {self.commit_ms} ms"
        yield f"  in doubt: {self.in_doubt}; {self.agent}; knobs {self.knobs}"
        for more in (self.qq, self.streams, self.schedules, self.hooks):
            if more is not None:
                yield f"  {more}"
        for weather in (*self.limits, *self.faults, *self.outages):
            yield f"  {type(weather).__name__} {_said(weather)}"
        for act in self.acts:
            yield f"  {act.at_s:8.2f} {_brief(act.deed)}"

    @property
    def places(self) -> list[Place]:
        return [(account, chat) for account, chats in enumerate(self.chats) for chat in range(chats)]


def _brief(deed: Deed) -> str:
    told = {each.name: getattr(deed, each.name) for each in fields(deed)}
    usual = {each.name: each.default for each in fields(deed)}
    return (
        f"{type(deed).__name__} { ({name: value for name, value in told.items() if value != usual[name]}) }"
    )


def _said(weather: Limit | Fault | Outage) -> str:
    """Only what is not as usual."""
    call = {"call": weather.call} if isinstance(weather, Fault) else {}
    usual = msgspec.to_builtins(type(weather)(kind=weather.kind, **call)) | dict.fromkeys(call)
    told = msgspec.to_builtins(weather)
    return str({name: value for name, value in told.items() if name == "kind" or value != usual[name]})


QQ_SEEDS = 1_000_000
"""From this seed on there is a bot on QQ, alone or beside accounts of WeChat."""


def draw(seed: int) -> Plan:
    """The world of a seed. The same seed gives the same plan, on every machine."""
    plan = _drawing(seed).plan()
    schedules = draw_schedules(seed, plan.places, plan.qq and len(plan.chats) - 1, plan.chaos_s)
    jumps = (
        [Act(at_s, Host(sleeps_s, 0, set_s)) for at_s, sleeps_s, set_s in schedules.jumps]
        if schedules
        else []
    )
    return replace(
        plan,
        acts=tuple(sorted([*plan.acts, *jumps], key=lambda act: act.at_s)),
        streams=draw_streams(seed, plan.places),
        schedules=schedules,
        hooks=draw_hooks(seed, len(plan.chats), plan.chaos_s),
    )


def _drawing(seed: int) -> Drawing:
    if seed >= QQ_SEEDS:
        from simulation.plan_qq import QqDrawing

        return QqDrawing(seed)
    return Drawing(seed)


HEALTHY: dict[str, Any] = {
    "quota_per_inbound": 0,
    "window_s": 0,
    "token_check": "off",
    "tokenless": "auto",
    "dup_inbound": None,
    "late_inbound": None,
    "silent_drop": [],
    "drop_with_id": [],
    "delay_batch": {},
}
"""The knobs of a platform on a good day; who gives receipts, repeats or acknowledges how is not a matter of health."""

WORDINGS = (
    "prepare failed",
    "rate limited",
    "freq limit",
    "unknown error",
    "invalid arguments",
    "parameter error",
    "",
    None,
)
SHAPES = ("ret", "ret+errcode0", "errcode", "both")
SEND_FAULTS = (
    "reset_before", "reset_after", "hang", "lost_answer", "slow", "status", "html", "truncated", "cut", "null",
    "list", "number", "text", "bytes", "wrong_types", "wrong_length", "drip", "empty", "empty_object", "ret0",
    "refuse", "auth",
)  # fmt: skip
POLL_FAULTS = (
    "reset_before", "reset_after", "hang", "lost_answer", "slow", "status", "html", "truncated", "cut", "null",
    "list", "bytes", "wrong_types", "empty", "ret0", "auth",
)  # fmt: skip
STATUSES = (400, 401, 403, 404, 408, 429, 500, 502, 503, 504, 524)
CLASSES = (MessageClass.PUSH, MessageClass.PUSH, MessageClass.PUSH, MessageClass.REPLY, MessageClass.PROGRESS)


class Drawing:
    """Draws a plan of WeChat; `plan_qq.py` adds a bot on QQ."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(f"plan {seed}")
        self.chaos_s = round(self.rng.choice([20, 40, 60, 120, 300]) * self.rng.uniform(0.7, 1.3), 1)
        self.chats = self._chats()
        self.places = [(account, chat) for account, chats in enumerate(self.chats) for chat in range(chats)]
        self.acts: list[Act] = []

    def plan(self) -> Plan:
        rng = self.rng
        self._talk()
        self._trouble()
        return Plan(
            seed=self.seed,
            chaos_s=self.chaos_s,
            chats=self.chats,
            agent=self._agent(),
            in_doubt=rng.choice(["resend", "resend", "resend", "hold", "drop_visibly"]),
            commit_ms=rng.choice([(0.1, 1), (0.5, 10), (5, 80), (100, 500)]),
            knobs=self._knobs(),
            limits=self._some(0.6, 2, self._limit),
            faults=(*self._some(0.6, 3, self._send_fault), *self._some(0.3, 2, self._poll_fault)),
            outages=self._some(0.3, 2, self._outage),
            acts=tuple(sorted(self.acts, key=lambda act: act.at_s)),
        )

    # who and what

    def _chats(self) -> tuple[int, ...]:
        accounts = self.rng.choice([1, 1, 1, 2, 3])
        return tuple(self.rng.randint(1, 8 if accounts == 1 else 3) for _ in range(accounts))

    def _agent(self) -> Agent:
        rng = self.rng
        return Agent(rng.choice([1, 1, 2, 4]), rng.choice([0.0, 0.5, 5.0, 30.0]), rng.choice([0.0, 0.0, 0.2]))

    def _talk(self) -> None:
        rng = self.rng
        for place in self.places:
            if rng.random() < 0.9:  # a few never write before the end
                self._at(rng.uniform(0, 2), Say(place, f"hello {place[0]}/{place[1]}"))
        for number in range(rng.randint(0, 10)):
            self._at(self._when(), Say(rng.choice(self.places), f"line {number}"))
        burst_s = self._when()
        for number in range(rng.choice([3, 8, 15, 30])):
            at_s = burst_s + rng.uniform(0, 2) if rng.random() < 0.5 else self._when()
            self._push(at_s, number)

    def _push(self, at_s: float, number: int) -> None:
        rng = self.rng
        klass = rng.choice(CLASSES)
        text = f"{klass.name.lower()} {number}"
        self._at(
            at_s,
            Push(
                rng.choice(self.places),
                text,
                900 if rng.random() < 0.06 else 0,
                klass,
                keyed=rng.random() < 0.8,
                again=rng.choice([0, 0, 0, 1, 2]),
                starts_s=round(rng.uniform(1, 20), 1) if rng.random() < 0.06 else None,
                lives_s=round(rng.uniform(22, 90), 1) if rng.random() < 0.08 else None,
            ),
        )
        if rng.random() < 0.05:
            self._at(at_s + rng.uniform(0, 5), Cancel(text))
        if rng.random() < 0.05:
            self._at(at_s + rng.uniform(5, 30), Retry(text))

    def _trouble(self) -> None:
        rng = self.rng
        self._maybe(
            0.25, lambda: self._pair(Pause(self._place(), True), 30, lambda on: Pause(on.where, False))
        )
        self._maybe(
            0.15,
            lambda: self._pair(Pause(self._place(), True, True), 30, lambda on: Pause(on.where, False, True)),
        )
        self._maybe(0.35, lambda: self._at(self._when(), ExpireTokens(rng.choice([None, *self.places]))))
        self._maybe(
            0.2, lambda: self._at(self._when(), Replay(rng.randrange(len(self.chats)), rng.randint(1, 5)))
        )
        self._maybe(0.2, lambda: self._pair(Disk(full=True), 20, lambda _: Disk()))
        self._maybe(0.15, lambda: self._pair(Disk(forgets=rng.choice([0.1, 0.5])), 20, lambda _: Disk()))
        self._maybe(0.2, lambda: self._at(self._when(), Host(sleeps_s=rng.choice([5, 60, 3_600, 28_800]))))
        self._maybe(0.2, lambda: self._at(self._when(), Host(freezes_s=rng.choice([0.5, 5, 60, 300]))))
        self._maybe(0.1, lambda: self._at(self._when(), Host(clock_s=rng.choice([-60, -5, 5, 60]))))
        self._maybe(0.25, lambda: self._at(self._when(), Stop(rng.uniform(0.1, 10))))
        for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
            self._at(self._when(), self._kill())

    def _kill(self) -> Kill:
        rng = self.rng
        down_s, then = rng.choice([0.1, 1.0, 15.0]), rng.choice([0, 0, 1, 2, 3, 5])
        if rng.random() < 0.5:
            return Kill(
                commits=rng.randint(1, 12), after=rng.random() < 0.5, down_s=down_s, then_commits=then
            )
        return Kill(steps=rng.randint(1, 400), down_s=down_s, then_commits=then)

    # the platform

    def _knobs(self) -> dict[str, Any]:
        rng = self.rng
        knobs: dict[str, Any] = {
            "client_id_dedupe": rng.random() < 0.5,
            "inbound": rng.choice(["replay", "replay", "consume"]),
            "success_shape": rng.choice(["modern"] * 12 + ["documented", "legacy", "ancient"]),
            "quota_per_inbound": rng.choice([0, 0, 0, 3, 5, 10]),
            "refusal": self._refusal(),
            "stale_refusal": self._refusal(rng.choice([-2, -2, -3, -14])),
            "auth_shape": rng.choice(["errcode", "both"]),
            "hold_ms": rng.choice([2_000, 10_000, 35_000]),
            "poll_ret": rng.random() < 0.3,
            "id_style": rng.choice(["number", "string"]),
        }
        if rng.random() < 0.2:
            knobs |= {"token_check": "strict", "token_ttl_s": rng.choice([0, 20, 90])}
        if rng.random() < 0.15:
            knobs["tokenless"] = rng.choice(["accept", "refuse"])
        if rng.random() < 0.25:
            knobs["dup_inbound"] = {
                "after_ms": rng.choice([300, 3_000, 11_000]),
                "id": rng.choice(["same", "new", "none"]),
                "token": rng.choice(["same", "new"]),
                "probability": rng.choice([0.3, 1.0]),
            }
        if rng.random() < 0.2:
            knobs["late_inbound"] = {"after_ms": rng.choice([200, 3_000]), "probability": 0.4}
        if rng.random() < 0.1:
            knobs[rng.choice(["silent_drop", "drop_with_id"])] = ["user 0/0"]
        if rng.random() < 0.08:
            knobs["delay_batch"] = {"user 0/0": rng.choice([2.0, 20.0])}
        return knobs

    def _refusal(self, ret: int = -2) -> dict[str, Any]:
        return {"ret": ret, "errmsg": self.rng.choice(WORDINGS), "shape": self.rng.choice(SHAPES)}

    def _limit(self) -> Limit:
        rng = self.rng
        kind = rng.choice(["window", "window_first", "log", "bucket"])
        per_s = rng.choice([3, 10, 15, 20, 30, 60]) * rng.uniform(0.8, 1.2)
        return Limit(
            kind=kind,
            count=rng.choice([1, 2, 3, 5, 10, 20]),
            per_s=round(per_s / 4 if kind == "bucket" else per_s, 1),
            scope=rng.choice(["chat", "account", "both"]),
            extend_s=rng.choice([0, 0, 0, 0, 3, 15]),
            cooldown_s=rng.choice([0, 0, 0, 0, 0, 20]),
            between_s=self._between(0.4),
            hint=self._hint(),
            refusal=Refusal(-2, rng.choice(WORDINGS), rng.choice(SHAPES)),
        )

    def _hint(self) -> Hint:
        rng = self.rng
        kind = rng.choice(["none"] * 4 + ["honest", "short", "long", "random", "garbage"])
        return Hint(kind=kind, place=rng.choice(["retry_after", "retry_after_ms", "retryAfter", "header"]))

    def _send_fault(self) -> Fault:
        return self._fault(self.rng.choice(SEND_FAULTS), "sendmessage")

    def _poll_fault(self) -> Fault:
        call = self.rng.choice(["getupdates", "getupdates", "*", "getconfig"])
        return self._fault(self.rng.choice(POLL_FAULTS), call)

    def _fault(self, kind: str, call: str) -> Fault:
        rng = self.rng
        return Fault(
            kind=kind,
            call=call,
            times=rng.choice([None, None, 1, 3, 10]),
            skip=rng.choice([0, 0, 0, 2, 7]),
            between_s=self._between(0.7),
            probability=rng.choice([0.05, 0.2, 0.5, 1.0]),
            status=rng.choice(STATUSES),
            delay_s=rng.choice([0.5, 3, 9.99, 10.5, 30]),
            refusal=Refusal(
                rng.choice([-2, -2, -2, -3, -14, -4, 40001, 7]), rng.choice(WORDINGS), rng.choice(SHAPES)
            ),
            hint=self._hint(),
        )

    def _outage(self) -> Outage:
        start_s = self._when()
        lasts_s = self.rng.choice([1, 5, 20, 150])
        return Outage(
            from_s=start_s, to_s=start_s + lasts_s, kind=self.rng.choice(["refuse", "reset", "hang"])
        )

    # drawing

    def _at(self, at_s: float, deed: Deed) -> None:
        self.acts.append(Act(round(min(at_s, self.chaos_s), 3), deed))

    def _when(self) -> float:
        return round(self.rng.uniform(0, self.chaos_s), 3)

    def _place(self) -> Place:
        return self.rng.choice(self.places)

    def _between(self, often: float) -> tuple[float, float] | None:
        if self.rng.random() >= often:
            return None
        start_s = self._when()
        return start_s, start_s + round(self.rng.uniform(1, self.chaos_s), 1)

    def _maybe(self, often: float, arrange: Callable[[], None]) -> None:
        if self.rng.random() < often:
            arrange()

    def _pair(self, on: T, most_s: float, off: Callable[[T], Deed]) -> None:
        start_s = self._when()
        self._at(start_s, on)  # type: ignore[arg-type]
        self._at(start_s + self.rng.uniform(0.5, most_s), off(on))

    def _some(self, often: float, most: int, make: Callable[[], T]) -> tuple[T, ...]:
        if self.rng.random() >= often:
            return ()
        return tuple(make() for _ in range(self.rng.randint(1, most)))
