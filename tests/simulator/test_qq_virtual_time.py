"""A QQ client lives through a bad day in virtual time: no socket is open, and hours pass in milliseconds."""

from __future__ import annotations

import json
from random import Random

from simulator.qq_caller import NOW, QqCaller
from yizhan_simulator import Effect, Fault, Outage, WireKind, World

DAY_S = 86_400
BEAT_S = 41
FAULTS = [
    Fault(kind="mute", call="qq.heartbeat", probability=0.01),
    Fault(kind="silence", call="qq.heartbeat", probability=0.05),
    Fault(kind="close", call="qq.dispatch", code=4009, probability=0.05),
    Fault(kind="double", call="qq.dispatch", probability=0.1),
    Fault(kind="double_new_s", call="qq.dispatch", probability=0.1),
    Fault(kind="unknown_event", call="qq.dispatch", probability=0.05),
    Fault(kind="replay_older", call="qq.resume", probability=0.5),
    Fault(kind="accept_close", call="qq.resume", code=4009, probability=0.2),
    Fault(kind="not_json", call="qq.resume", probability=0.2),
    Fault(kind="status", call="qq.gateway", status=500, probability=0.1),
]


class Careful:
    """Two unanswered heartbeats: hang up and resume; a message is known by its id."""

    def __init__(self, caller: QqCaller) -> None:
        self.caller, self.unanswered = caller, 0
        self.heard: dict[str, str] = {}

    def step(self) -> None:
        caller = self.caller
        self.unanswered += 1
        frames = caller.beat()
        if any(frame.get("op") == 11 for frame in frames):
            self.unanswered = 0
        self._answer(frames)
        assert caller.line is not None
        if caller.line.ended or self.unanswered >= 2:
            caller.line.hang_up(caller.now_ms)
            self._come_back()

    def _come_back(self) -> None:
        reply = self.caller.reply("GET", "/gateway")
        if reply.status == 401:
            self.caller.get_token()
        elif (
            reply.status == 200
            and not reply.wire.delay_ms
            and not self.caller.world.outage_kind(self.caller.now_ms)
        ):
            self._answer(self.caller.resume(url=json.loads(reply.body)["url"]))
            self.unanswered = 0

    def _answer(self, frames: list[dict[str, object]]) -> None:
        for frame in frames:
            body = frame.get("d")
            if (
                frame.get("t") == "C2C_MESSAGE_CREATE"
                and isinstance(body, dict)
                and body["id"] not in self.heard
            ):
                self.heard[body["id"]] = body["content"]


def test_nothing_is_lost_or_doubled_for_a_careful_client(world: World, ann: str) -> None:
    """A day of recycling, half-open sockets, closes, replays and doubled events; each word is heard once."""
    caller = QqCaller(world, world.qq.add_bot("Echo"))
    caller.identify()
    client, chance, said = Careful(caller), Random(5), 0
    for fault in FAULTS:
        world.add_fault(fault, NOW)
    world.add_outage(Outage(from_s=7200, to_s=7200 + 4 * 3600, kind="hang"), NOW)
    for second in range(0, DAY_S, BEAT_S):
        caller.now_ms = NOW + second * 1000
        if chance.random() < 0.1:
            said += 1
            world.qq.say(ann, f"word {said}", caller.now_ms)
        client.step()
    world.clear_weather()
    for _ in range(4):
        caller.later(BEAT_S)
        client.step()
    assert [f"word {number}" for number in range(1, said + 1)] == list(client.heard.values())
    assert said > 150
    closes = world.ledger.select("qq.close")
    assert 40 < len(closes)
    assert 40 < len(world.ledger.select("qq.resume", effect=Effect.ANSWERED))
    assert 1 == len(world.ledger.select("qq.identify"))
    assert world.ledger.select("qq.replay")


def test_a_lost_answer_is_asked_for_again_without_a_second_bubble(qq: QqCaller) -> None:
    """The same id and number until something definite comes back: on the screen once, in any weather."""
    world = qq.world
    world.add_fault(Fault(kind="lost_answer", call="qq.send.*", probability=0.3), NOW)
    world.add_fault(Fault(kind="reset_before", call="qq.send.*", probability=0.3), NOW)
    world.turn(qq={"c2c_replies": 0})
    (told,) = [bubble.message_id for bubble in world.qq.room("Echo", "Ann").bubbles]
    path = f"/v2/users/{world.qq.openid('Echo', 'Ann')}/messages"
    for number in range(1, 40):
        body = {"msg_type": 0, "content": f"{number}", "msg_id": told, "msg_seq": number}
        while (reply := qq.reply("POST", path, body)).wire.kind is not WireKind.NORMAL:
            pass
        assert json.loads(reply.body).get("code", 0) in (0, 40054005)
    assert [f"{number}" for number in range(1, 40)] == [each.text for each in world.qq.shown("Echo", "Ann")]
    assert {} == world.ledger.copied()
    assert {Effect.SHOWN, Effect.LOST, Effect.REPEAT} == {row.effect for row in world.qq.sends()}
