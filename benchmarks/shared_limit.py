"""Ten chats that share an account, through the real `Lanes` and `react`: the platform never says whose limit it was.

Virtual time, several requests in flight, one per chat; a send passes if both the chat's server and the account's
have room. The all-knowing sender has as many requests in flight and sees both.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field, replace

from benchmarks.senders import ROUND_TRIP_MS
from benchmarks.worlds import Server, World, bucket, window
from yizhan.core.breaker import BreakerNumbers
from yizhan.core.choice import Load, Loaded, LookAgain, Send
from yizhan.core.hosts import Hosts
from yizhan.core.lanes import Lanes
from yizhan.core.limiter import OPEN
from yizhan.core.reaction import Circumstances, Gates, Numbers, react
from yizhan.core.states import derive
from yizhan.core.verdict import Delivered, Throttled, Verdict
from yizhan.core.window import place_of
from yizhan.model import AccountId, ChatId, Entry, Message, MessageClass, MessageId, MessageState, Target

IN_FLIGHT = 4
SEEDS = range(4)
FREE = World("free", window(1_000_000, 1).rules)
ACCOUNT = AccountId("weixin:bench")
DAY_MS = 86_400_000
GIVEN_UP_MS = 7 * DAY_MS


@dataclass(frozen=True)
class Crowd:
    """Messages per chat, and the rules of each chat and of the account."""

    name: str
    chat: World
    account: World
    backlog: tuple[int, ...] = (30,) * 10


CROWDS = (
    Crowd("chat 5/15 s + account 20/15 s", window(5, 15), window(20, 15)),
    Crowd("chat 5/15 s only", window(5, 15), FREE),
    Crowd("account 20/20 s only", FREE, window(20, 20)),
    Crowd("chat bucket 0.2/s + account bucket 1/s", bucket(0.2, 3), bucket(1, 5)),
    Crowd(
        "one hot chat (120), nine small, chat 5/15 + account 20/15",
        window(5, 15),
        window(20, 15),
        (120, *(20,) * 9),
    ),
)


@dataclass(frozen=True)
class CrowdScore:
    name: str
    ratio: float
    refusals: float
    lost: int


@dataclass
class Platform:
    """Both servers of one world."""

    crowd: Crowd
    seed: int
    chats: dict[str, Server] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        self.account = Server(self.crowd.account, chance.random(), chance)
        for number in range(len(self.crowd.backlog)):
            self.chats[f"c{number}"] = Server(self.crowd.chat, chance.random(), chance)

    def free_at(self, chat: str, now_ms: int) -> int:
        return max(self.chats[chat].free_at(now_ms), self.account.free_at(now_ms))

    def ask(self, chat: str, now_ms: int) -> bool:
        """A refusal by one of the two leaves the count of the other alone."""
        if self.free_at(chat, now_ms) > now_ms:
            return False
        return self.chats[chat].ask(now_ms)[0] and self.account.ask(now_ms)[0]


def all_knowing(crowd: Crowd, seed: int) -> int:
    """Greedy, the longest backlog first among those that have room first."""
    platform = Platform(crowd, seed)
    left = {f"c{number}": count for number, count in enumerate(crowd.backlog)}
    slots, busy_ms, now_ms = [0] * IN_FLIGHT, dict.fromkeys(left, 0), 0
    while any(left.values()):
        begin_ms = heapq.heappop(slots)
        half = ROUND_TRIP_MS // 2
        choices = [
            (platform.free_at(chat, max(begin_ms, busy_ms[chat], now_ms - half) + half), -count, chat)
            for chat, count in left.items()
            if count
        ]
        now_ms, _, chat = min(choices)
        assert platform.ask(chat, now_ms)
        left[chat] -= 1
        busy_ms[chat] = now_ms + half
        heapq.heappush(slots, now_ms + half)
    return now_ms + ROUND_TRIP_MS // 2


class Road:
    """The dispatcher's part, in virtual time: lanes, wire and table, as runtime/outbound.py does it."""

    def __init__(self, crowd: Crowd, seed: int) -> None:
        self.platform = Platform(crowd, seed)
        self.lanes = Lanes(Hosts(BreakerNumbers()))
        self.chance = random.Random(seed)
        self.numbers = Numbers()
        self.now_ms = 0
        self.refused = 0
        self.tables: dict[Target, list[Message]] = {}
        self.wire: list[tuple[int, int, Send, bool]] = []
        self.events = 0
        self.lanes.account(ACCOUNT, "host", IN_FLIGHT, Gates())
        self.lanes.open_account(ACCOUNT, None)
        for number, count in enumerate(crowd.backlog):
            target = Target(ACCOUNT, ChatId(f"c{number}"))
            self.tables[target] = [_message(target, each) for each in range(count)]
            self.lanes.knows(target)

    def run(self) -> tuple[int, int, int]:
        """Time, refusals, and messages left when it was given up."""
        while self.now_ms < GIVEN_UP_MS:
            at_ms = self._dispatch()
            if self.wire and (at_ms is None or self.wire[0][0] <= at_ms):
                self._land()
            elif at_ms is not None:
                self.now_ms = max(self.now_ms, at_ms)
            else:
                break
        return self.now_ms, self.refused, sum(len(rows) for rows in self.tables.values())

    def _dispatch(self) -> int | None:
        while True:
            choice = self.lanes.choose(self.now_ms)
            match choice:
                case Load(target):
                    self.lanes.loaded(self._view(target))
                case Send():
                    passed = self.platform.ask(choice.message.chat, self.now_ms + ROUND_TRIP_MS // 2)
                    self.events += 1
                    heapq.heappush(self.wire, (self.now_ms + ROUND_TRIP_MS, self.events, choice, passed))
                case LookAgain(at_ms):
                    return at_ms

    def _view(self, target: Target) -> Loaded:
        rows = sorted(self.tables[target], key=lambda each: place_of(each, self.now_ms))
        return Loaded(target, tuple(rows[:16]), len(rows) > 16, None, True, False, OPEN)

    def _land(self) -> None:
        self.now_ms, _, send, passed = heapq.heappop(self.wire)
        target = send.message.target
        verdict: Verdict = Delivered("r") if passed else Throttled("-2", "rate limited")
        self.refused += not passed
        entry = replace(send.entry, state=MessageState.SENDING, attempts_made=send.entry.attempts_made + 1)
        seen = Circumstances(
            target=target,
            message=send.message.id,
            entry=entry,
            token=None,
            with_token=False,
            has_written=True,
            gates=self.lanes.gates_of(target),
            traffic=self.lanes.traffic(target),
        )
        decision = react(verdict, seen, self.numbers, self.now_ms, self.chance.random())
        self.lanes.learned(target, decision.gates, decision.token, decision.trial)
        if decision.pardoned is not None:
            self.lanes.pardoned(decision.pardoned)
        after = derive(send.message, self.now_ms, (decision.entry,))
        rows = [each for each in self.tables[target] if each.id != after.id]
        self.tables[target] = [after, *rows] if after.state.live else rows
        self.lanes.ended(after)


def score(crowd: Crowd) -> CrowdScore:
    ratios, refused, lost = [], 0, 0
    for seed in SEEDS:
        took_ms, refusals, left = Road(crowd, seed).run()
        ratios.append(took_ms / all_knowing(crowd, seed))
        refused, lost = refused + refusals, lost + left
    return CrowdScore(
        crowd.name, sum(ratios) / len(ratios), 100 * refused / (sum(crowd.backlog) * len(ratios)), lost
    )


def _message(target: Target, number: int) -> Message:
    return Message(
        id=MessageId(f"{target.chat}.{number}"),
        account=target.account,
        chat=target.chat,
        seq=number,
        klass=MessageClass.REPLY,
        source="bench",
        text="text",
        created_at_ms=0,
        expires_at_ms=30 * DAY_MS,
        entries=(Entry(1, "text", f"{target.chat}.{number}:1"),),
        not_before_ms=None,
    )
