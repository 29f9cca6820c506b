"""Plans with a bot on QQ: alone, or beside accounts of WeChat in the same gateway.

All that befalls WeChat befalls it too (disk, host, crashes, outages, limits), and what only QQ has: connections that
are closed, recycled or dead on one side, sessions that are resumed with a replay or refused, events that come twice,
access tokens that are not given, addresses that nobody tells, windows that close early, allowances that are spent,
switches that people move.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from simulation.plan import SHAPES, STATUSES, WORDINGS, Act, Drawing, Line, Plan, Push, Qq, Scene, Switch
from yizhan_simulator import Fault
from yizhan_simulator.knobs import Refusal
from yizhan_simulator.weather import FrameKind, HttpKind

QQ_HEALTHY: dict[str, Any] = {
    "token_ttl_s": 7200,
    "heartbeat_interval_ms": 41_250,
    "recycle": "op7",
    "recycle_s": 1800,
    "identify_spacing": "lenient",
    "c2c_window_s": 3600,
    "c2c_replies": 4,
    "group_window_s": 300,
    "group_replies": 5,
    "while_offline": "show",
    "audit": "off",
}
CLOSES = (4009, 4009, 4009, 1000, 1005, 1006, 4004, 4006, 4007, 4008, 4900, 4902, 4903, 4913)
"""Those that heal by themselves; what bars a bot is told in stories."""
HTTP_FAULTS: tuple[HttpKind, ...] = (
    "reset_before", "reset_after", "hang", "lost_answer", "slow", "status", "html", "truncated", "cut", "null",
    "list", "wrong_types", "empty", "empty_object", "auth",
)  # fmt: skip
SEND_FAULTS: tuple[HttpKind, ...] = (*HTTP_FAULTS, "refuse", "ghost")
CODES = (22009, 40034005, 40034024, 40034100, 40034105, 40034128, 304023, 50006, 11244, 99999)
"""With which sends are refused: limits, windows, switches, audits, for good, tokens, and one that nobody knows."""
FRAME_FAULTS: tuple[tuple[str, tuple[FrameKind, ...]], ...] = (
    ("qq.hello", ("silence", "slow", "mute", "close", "not_json", "absurd_interval")),
    ("qq.identify", ("silence", "slow", "mute", "close", "invalid_session", "accept_close", "accept_mute")),
    ("qq.resume", (
        "silence", "slow", "mute", "close", "invalid_session", "accept_close", "accept_mute", "replay_older",
        "lose_gap",
    )),
    ("qq.heartbeat", ("silence", "slow", "mute", "close", "invalid_session", "unknown_op")),
    ("qq.dispatch", (
        "double", "double", "double_new_s", "mute", "close", "accept_close", "extra", "unknown_event", "null_d",
        "not_json", "silence", "late",
    )),
)  # fmt: skip
LEAKS = {("qq.resume", "lose_gap"), ("qq.dispatch", "silence"), ("qq.dispatch", "late")}


class QqDrawing(Drawing):
    def plan(self) -> Plan:
        made = super().plan()
        faults = self._qq_faults()
        last = len(self.chats) - 1
        scenes: tuple[Scene, ...] = tuple(
            self.rng.choice(("c2c", "c2c", "group")) for _ in range(self.chats[last])
        )
        scenes, more = self._guilds(made.seed, scenes)
        leaks = any((fault.call, fault.kind) in LEAKS for fault in faults)
        return replace(
            made,
            knobs=made.knobs | {"qq": self._qq_knobs() | more},
            faults=(*made.faults, *faults),
            acts=tuple(_by_its_text(act, last) for act in made.acts),
            qq=Qq(scenes, everything=self.rng.random() < 0.5, leaks=leaks),
        )

    def _guilds(self, seed: int, scenes: tuple[Scene, ...]) -> tuple[tuple[Scene, ...], dict[str, Any]]:
        """Some chats are a guild's channel or a direct session, the bot is several shards, and sends are
        audited. Drawn apart from everything else, so that the rest of a plan is what it was."""
        rng = Random(f"guilds {seed}")
        if rng.random() < 0.4:
            return scenes, {}
        moved: dict[Scene, tuple[Scene, ...]] = {"c2c": ("c2c", "c2c", "dm"), "group": ("group", "channel")}
        shards = rng.choice([1, 1, 2, 3])
        audit = rng.choice(["off", "off", "off", "pass", "reject"])
        more = {"shards": shards, "shards_needed": shards, "audit": audit, "audit_s": rng.choice([2, 30])}
        return tuple(rng.choice(moved[scene]) for scene in scenes), more

    def _chats(self) -> tuple[int, ...]:
        beside = super()._chats() if self.rng.random() < 0.3 else ()
        return (*beside, self.rng.randint(1, 5))

    def _trouble(self) -> None:
        super()._trouble()
        rng, bot = self.rng, len(self.chats) - 1
        self._maybe(0.5, self._storm)
        for often, line in (
            (0.5, Line("mute")),
            (0.3, Line("reconnect")),
            (0.15, Line("invalidate", rng.choice([0, 4006, 4903]))),
            (0.15, Line("forget")),
            (0.25, Line("expire access")),
            (0.2, Line("spend")),
        ):
            self._maybe(often, lambda line=line: self._at(self._when(), line))
        places = [place for place in self.places if place[0] == bot]
        self._maybe(
            0.3,
            lambda: self._pair(Switch(rng.choice(places), False), 60, lambda off: Switch(off.where, True)),
        )

    def _storm(self) -> None:
        """Closes in quick succession, or one."""
        at_s = self._when()
        for _ in range(self.rng.choice([1, 1, 3, 10, 20])):
            self._at(at_s, Line("close", self.rng.choice(CLOSES)))
            at_s += self.rng.uniform(0.1, 8)

    def _qq_knobs(self) -> dict[str, Any]:
        rng = self.rng
        return {
            "token_ttl_s": rng.choice([7200, 7200, 120, 70]),
            "expires_in": rng.choice(["text", "number"]),
            "heartbeat_interval_ms": rng.choice([5_000, 20_000, 41_250]),
            "recycle": rng.choice(["op7", "4009", "op7 only", "1000", "1005", "1006", "never"]),
            "recycle_s": rng.choice([10, 30, 60, 1800]),
            "identify_spacing": rng.choice(["lenient", "lenient", "strict"]),
            "resume_refusal": rng.choice(["op9", "close", "silent"]),
            "resume_refusal_code": rng.choice([4006, 4902, 4903]),
            "group_event": rng.choice(["documented", "both"]),
            "mention_token": rng.random() < 0.5,
            "c2c_window_s": rng.choice([3600, 3600, 60, 15]),
            "c2c_replies": rng.choice([4, 4, 4, 2, 1]),
            "group_window_s": rng.choice([300, 300, 20]),
            "group_replies": rng.choice([5, 5, 2]),
            "while_offline": rng.choice(["show", "vanish", "refuse"]),
            "reply_shape": rng.choice(["2026", "2026", "2023"]),
        }

    def _qq_faults(self) -> tuple[Fault, ...]:
        return (
            *self._some(0.5, 3, self._qq_send_fault),
            *self._some(0.4, 2, self._connecting_fault),
            *self._some(0.6, 3, self._frame_fault),
        )

    def _qq_send_fault(self) -> Fault:
        return self._qq_fault(self.rng.choice(SEND_FAULTS), "qq.send.*")

    def _connecting_fault(self) -> Fault:
        call = self.rng.choice(["qq.token", "qq.gateway_bot", "qq.gateway_bot", "qq.socket"])
        return self._qq_fault(self.rng.choice(HTTP_FAULTS), call)

    def _frame_fault(self) -> Fault:
        call, kinds = self.rng.choice(FRAME_FAULTS)
        return self._qq_fault(self.rng.choice(kinds), call)

    def _qq_fault(self, kind: HttpKind | FrameKind, call: str) -> Fault:
        rng = self.rng
        usual = self._fault("slow", "qq.token")
        code = rng.choice(CODES) if kind == "refuse" else rng.choice(CLOSES)
        return Fault(
            kind=kind,
            call=call,
            times=usual.times,
            skip=usual.skip,
            between_s=usual.between_s,
            probability=usual.probability,
            status=rng.choice(STATUSES),
            delay_s=rng.choice([0.5, 3, 9.99, 10.5, 30]),
            refusal=Refusal(-2, rng.choice(WORDINGS), rng.choice(SHAPES)),
            code=code,
            value=rng.choice([-1, 0, 1, 10**9, None, "soon"]),
        )


def _by_its_text(act: Act, account: int) -> Act:
    """QQ has no client ids: what the platform saw is known by its words."""
    if isinstance(act.deed, Push) and act.deed.where[0] == account:
        return replace(act, deed=replace(act.deed, numbered=True))
    return act
