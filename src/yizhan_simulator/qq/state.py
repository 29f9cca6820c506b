"""All that the simulated QQ knows. What it shares with WeChat's side (ledger, weather, agenda, phones) is `shared`."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar
from uuid import UUID

from yizhan_simulator.ledger import Draft
from yizhan_simulator.limits import Limit, Limits
from yizhan_simulator.people import Bubble
from yizhan_simulator.qq.knobs import QqKnobs, Quota
from yizhan_simulator.qq.people import QqBot, Register, Room, Scene
from yizhan_simulator.qq.posting import Posting
from yizhan_simulator.qq.socket import Socket
from yizhan_simulator.state import Exchange, Json, State
from yizhan_simulator.weather import Fault

T = TypeVar("T")
KEPT = 4096
"""How many ids of one kind are remembered: what may be answered (per bot), recalled, sent, acknowledged."""
DANGLING_KEPT = 8
"""Sessions without a connection that a bot may have; older ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Event:
    """`about`: the names that a fault's `user` may name. `guild_id`: decides the shard; empty for chats and groups."""

    type: str
    intent: int
    body: Json = field(repr=False)
    about: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    user_id: str = ""
    guild_id: str = ""


@dataclass(slots=True)
class Session:
    """What RESUME comes back to. `seq`: the last number given out. `buffer`: (seq, frame), oldest first. `forgotten`:
    it ends with its connection."""

    session_id: str
    app_id: str
    intents: int
    shard: tuple[int, int]
    buffer: deque[tuple[int, Json]]
    socket: Socket | None = None
    seq: int = 0
    lost_at_ms: int | None = None
    forgotten: bool = False


@dataclass(slots=True)
class Inbound:
    """Something a bot may answer: a message's id or an event's. `seqs`: msg_seq → receipt and the hash
    of the words."""

    room_id: str
    at_ms: int
    is_event: bool = False
    expired: bool = False
    replies: int = 0
    seqs: dict[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(slots=True)
class Visit:
    """A request under way, for the QQ endpoints. `parts`: what the path's blanks hold."""

    ex: Exchange
    parts: tuple[str, ...]
    bot: QqBot | None = None


@dataclass(slots=True)
class QqState:
    shared: State
    rng: Random
    seed: int
    register: Register = field(default_factory=Register)
    sockets: dict[int, Socket] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    inbound: dict[str, OrderedDict[str, Inbound]] = field(default_factory=dict)
    own: OrderedDict[str, Room] = field(default_factory=OrderedDict)
    """Message id → the room a bot said it in."""
    uploads: OrderedDict[str, tuple[str, str]] = field(default_factory=OrderedDict)
    """file_info → (scene, openid) it was uploaded for."""
    pressed: OrderedDict[str, tuple[int, int]] = field(default_factory=OrderedDict)
    """Interaction → when its button was pressed, and how often it was acknowledged."""
    postings: dict[int, Posting] = field(default_factory=dict)
    last_number: int = 0
    _quotas: tuple[tuple[Quota, ...], dict[Scene, Limits]] | None = None

    @property
    def knobs(self) -> QqKnobs:
        return self.shared.knobs.qq

    def number(self) -> int:
        self.last_number += 1
        return self.last_number

    def uuid(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def message_id(self) -> str:
        return f"ROBOT1.0_{self.rng.getrandbits(240):060x}!!"

    def note(self, at_ms: int, call: str, bot_id: str, **what: object) -> None:
        """One line in the ledger for something that is not an HTTP request."""
        wire = str(what.pop("wire", ""))
        draft = Draft(bot_id=bot_id)
        for name, value in what.items():
            setattr(draft, name, value)
        self.shared.ledger.note(at_ms, call, draft, wire=wire)

    def strike(self, call: str, app_id: str, about: tuple[str, ...], now_ms: int) -> tuple[str, Fault] | None:
        """The fault that hits this frame, if one does."""
        weather = self.shared.weather
        return weather.pick(call, app_id, about, now_ms) if weather.faults else None

    def remember(self, app_id: str, token: str, inbound: Inbound) -> None:
        """From now on a reply may carry this id."""
        keep(self.answerable(app_id), token, inbound)

    def press(self, interaction_id: str, now_ms: int) -> None:
        keep(self.pressed, interaction_id, (now_ms, 0))

    def answerable(self, app_id: str) -> OrderedDict[str, Inbound]:
        """Message or event id → what may be said to it, oldest first."""
        return self.inbound.setdefault(app_id, OrderedDict())

    def online(self, app_id: str) -> bool:
        """Is one connection of the bot ready, as far as the server can tell?"""
        return any(
            session.app_id == app_id and session.socket is not None for session in self.sessions.values()
        )

    def show(self, room: Room, bubble: Bubble) -> None:
        room.bubbles.append(bubble)
        if bubble.from_bot and bubble.client_id:
            self.shared.ledger.note_shown(bubble.client_id)
        self.shared.changed()

    def quotas(self, scene: Scene) -> Limits:
        """The counters of proactive sends; made anew when the knob is turned."""
        wanted = self.knobs.proactive
        if self._quotas is None or self._quotas[0] is not wanted:
            self._quotas = (wanted, {each: _limits(wanted, each) for each in Scene})
        return self._quotas[1][scene]


def keep(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    while len(kept) > KEPT:
        kept.popitem(last=False)


def _limits(quotas: tuple[Quota, ...], scene: Scene) -> Limits:
    limits = Limits()
    for number, quota in enumerate(quotas):
        if quota.scene == scene.value:
            rule = Limit(
                "log", quota.count, quota.per_s, scope=quota.scope, code=quota.code, name=f"quota-{number}"
            )
            limits.add(rule, 0)
    return limits
