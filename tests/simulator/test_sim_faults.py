"""Faults, outages and scripts: does it take effect, and what does the client see?"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from yizhan_simulator import (
    Effect,
    Fault,
    Hint,
    Outage,
    Refusal,
    Script,
    ScriptError,
    SimReply,
    WireKind,
    World,
)
from yizhan_simulator.weather import KINDS

T = 1_790_000_000_000


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_fault_takes_effect_or_not_as_its_table_says(
    world: World, ann: str, caller: Any, kind: Any
) -> None:
    """The ledger tells what a client cannot know; the next request is fine again."""
    world.add_fault(Fault(kind=kind, times=1), caller.now_ms)
    caller.ask("sendmessage", caller.message(ann, "one", "struck"))
    assert int(KINDS[kind]) == world.ledger.copies("struck")
    expected = Effect.SHOWN if KINDS[kind] else Effect.REFUSED if kind in ("refuse", "auth") else Effect.LOST
    (record,) = world.ledger.sends()
    assert (expected, "fault-1", "one") == (record.effect, record.wire, record.text)
    assert "message_id" in caller.send(ann, "two")


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        ("reset_before", WireKind.RESET),
        ("reset_after", WireKind.RESET),
        ("hang", WireKind.HANG),
        ("lost_answer", WireKind.HANG),
        ("cut", WireKind.CUT),
        ("drip", WireKind.DRIP),
        ("huge", WireKind.WRONG_LENGTH),
        ("wrong_length", WireKind.WRONG_LENGTH),
        ("slow", WireKind.NORMAL),
        ("status", WireKind.NORMAL),
    ],
)
def test_the_line_does_what_the_fault_says(
    world: World, ann: str, caller: Any, kind: Any, wire: WireKind
) -> None:
    """The driver only obeys."""
    world.add_fault(Fault(kind=kind, delay_s=7, status=524), caller.now_ms)
    reply = caller.reply("sendmessage", caller.message(ann, "one"))
    assert wire is reply.wire.kind
    assert (7000 if kind == "slow" else 0) == reply.wire.delay_ms
    assert (524 if kind == "status" else 200) == reply.status
    if kind == "huge":
        assert 1 << 30 == reply.wire.announced


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("null", b"null"),
        ("list", b"[]"),
        ("number", b"42"),
        ("text", b'"ok"'),
        ("empty", b""),
        ("ret0", b'{"ret":0}'),
    ],
)
def test_odd_bodies_are_served(world: World, ann: str, caller: Any, kind: Any, body: bytes) -> None:
    """What proxies and half-broken servers have answered."""
    world.add_fault(Fault(kind=kind), caller.now_ms)
    assert body == caller.reply("sendmessage", caller.message(ann, "one")).body


def test_truncated_and_nested_bodies_do_not_parse(world: World, ann: str, caller: Any) -> None:
    """One is half of a receipt, the other a hundred thousand brackets."""
    for kind in ("truncated", "nested"):
        world.add_fault(Fault(kind=kind, name="odd"), caller.now_ms)  # type: ignore[arg-type]
        with pytest.raises((ValueError, RecursionError)):
            json.loads(caller.reply("sendmessage", caller.message(ann, kind)).body)


def test_a_gzip_bomb_is_small_and_grows(world: World, ann: str, caller: Any) -> None:
    """128 MiB behind a few hundred kilobytes."""
    world.add_fault(Fault(kind="gzip_bomb"), caller.now_ms)
    reply = caller.reply("sendmessage", caller.message(ann, "one"))
    assert "gzip" == reply.headers["Content-Encoding"]
    assert len(reply.body) < 1 << 20
    assert len(gzip.decompress(reply.body)) > 128 << 20


def test_a_refusal_can_have_any_words_and_a_hint(world: World, ann: str, caller: Any) -> None:
    """The fault script can say every sentence the platform ever said."""
    words = Refusal(ret=-2, errmsg="freq limit", shape="both")
    world.add_fault(Fault(kind="refuse", refusal=words, hint=Hint(), delay_s=9), caller.now_ms)
    expected = {"ret": -2, "errcode": -2, "errmsg": "freq limit", "retry_after": 9}
    assert expected == caller.send(ann, "one")


@pytest.mark.parametrize("call", ["getupdates", "getconfig", "msg/notifystart", "getuploadurl", "sendtyping"])
def test_a_session_timeout_can_strike_anywhere(world: World, caller: Any, call: str) -> None:
    """-14 while the token is fine."""
    world.add_fault(Fault(kind="auth", call=call, times=1), caller.now_ms)
    assert {"errcode": -14, "errmsg": "session timeout"} == caller.json(call)


def test_rules_choose_their_requests(world: World, ann: str, caller: Any) -> None:
    """By number, by time, by user."""
    bob = world.add_user("Bob")
    world.say(bob, "hi", T)
    world.add_fault(Fault(kind="ret0", skip=1, times=1, name="second"), T)
    world.add_fault(Fault(kind="empty_object", user="Bob", name="bob"), T)
    world.add_fault(Fault(kind="number", between_s=(10, 20), name="later"), T)
    answers = [caller.send(ann, "a"), caller.send(ann, "b"), caller.send(bob, "c"), caller.send(ann, "d")]
    caller.now_ms = T + 10_000
    answers.append(caller.send(ann, "e"))
    shapes = [
        answer if not isinstance(answer, dict) or "message_id" not in answer else "fine" for answer in answers
    ]
    assert ["fine", {"ret": 0}, {}, "fine", 42] == shapes


def test_probability_is_seeded(new_caller: Any) -> None:
    """The same seed strikes the same requests, about as often as asked."""

    def struck(seed: int) -> list[bool]:
        world = World(seed)
        world.turn(quota_per_inbound=0)
        user = world.add_user("Ann")
        client = new_caller(world, world.add_bot(user).token)
        world.say(user, "hi", T)
        world.add_fault(Fault(kind="number", probability=0.3), T)
        return [client.send(user, "x") == 42 for _ in range(300)]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 50 < sum(struck(1)) < 130


def test_a_lost_answer_of_a_poll_is_given_again_only_by_a_replaying_platform(
    world: World, caller: Any
) -> None:
    """Consumed on the way out, or not."""
    for inbound, again in (("replay", 1), ("consume", 0)):
        world.turn(inbound=inbound)
        world.add_fault(Fault(kind="reset_after", call="getupdates", times=1, name="cut"), caller.now_ms)
        caller.ask("getupdates", {"get_updates_buf": ""})
        answer = caller.ask("getupdates", {"get_updates_buf": ""})
        assert again == (len(json.loads(answer.body)["msgs"]) if isinstance(answer, SimReply) else 0)


@pytest.mark.parametrize(
    ("kind", "wire"), [("refuse", WireKind.REFUSED), ("reset", WireKind.RESET), ("hang", WireKind.HANG)]
)
def test_an_outage_swallows_everything_and_ends(
    world: World, ann: str, caller: Any, kind: Any, wire: WireKind
) -> None:
    """Also the poll that was held when it began."""
    cursor = caller.poll()["get_updates_buf"]
    hold = caller.held(cursor)
    heard: list[str] = []
    world.listen(heard.append)
    world.add_outage(Outage(from_s=1, to_s=4, kind=kind), T)
    assert "message_id" in caller.send(ann, "before")
    assert T + 1000 == world.next_event_at()
    world.advance(T + 1000)
    assert "*" in heard
    cut = world.resume(hold, T + 1000)
    assert isinstance(cut, SimReply)
    assert wire is cut.wire.kind
    caller.now_ms = T + 3999
    assert wire is caller.reply("sendmessage", caller.message(ann, "during", "lost")).wire.kind
    assert 0 == world.ledger.copies("lost")
    assert f"outage:{kind}" == world.ledger.sends()[-1].wire
    caller.now_ms = T + 4000
    assert "message_id" in caller.send(ann, "after")


def test_a_script_arranges_everything(tmp_path: Path, new_caller: Any) -> None:
    """People, knobs, weather and a timeline, from a YAML file."""
    path = tmp_path / "weather.yaml"
    path.write_text(
        """
        seed: 3
        knobs: {quota_per_inbound: 0, qr: {verify_code: "42"}}
        users: [{name: Ann, user_id: "o9cq80ann@im.wechat"}]
        bots: [{user: Ann, token: "aaaaaaaaaaaa@im.bot:060000ff"}]
        limits: [{kind: log, count: 1, per_s: 5}]
        outages: [{from_s: 60, to_s: 61}]
        timeline:
          - {at_s: 1, do: say, user: Ann, text: good morning}
          - {at_s: 2, do: clear}
          - {at_s: 3, do: knobs, knobs: {silent_drop: [Ann]}}
          - {at_s: 4, do: expire_tokens}
          - {at_s: 5, do: revoke, bot: "aaaaaaaaaaaa@im.bot"}
        """
    )
    world = Script.from_file(path).world(T)
    ann = "o9cq80ann@im.wechat"
    client = new_caller(world, "aaaaaaaaaaaa@im.bot:060000ff")
    assert "42" == world.knobs.qr.verify_code
    client.now_ms = T + 1000
    token = client.poll()["msgs"][0]["context_token"]
    assert "message_id" in client.send(ann, "one")
    assert "rate limited" == client.send(ann, "two")["errmsg"]
    client.now_ms = T + 2000
    assert "message_id" in client.send(ann, "two")
    client.now_ms = T + 3000
    assert {"ret": 0} == client.send(ann, "three")
    client.now_ms = T + 4000
    assert "unknown error" == client.send(ann, "four", token=token)["errmsg"]
    client.now_ms = T + 5000
    assert -14 == client.send(ann, "five")["errcode"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"limit": []}, "did you mean `limits`"),
        ({"limits": [{"knd": "log"}]}, r"`knd` - at `\$\.limits\[0\]`; did you mean `kind`"),
        ({"limits": [{"kind": "leaky"}]}, "leaky"),
        ({"limits": [{"count": "five"}]}, "Expected `int`"),
        ({"limits": [{"count": 0}]}, "count >= 1"),
        ({"faults": [{"call": "sendmessage"}]}, "missing required field `kind`"),
        ({"knobs": {"quota": 3}}, "did you mean `quota_per_inbound`|known keys"),
        ({"knobs": {"hold_ms": "long"}}, "hold_ms"),
        ({"knobs": {"qr": {"verifycode": "1"}}}, "did you mean `verify_code`"),
        ({"timeline": [{"at_s": 1, "do": "knobs", "knobs": {"hold": 1}}]}, "did you mean `hold_ms`"),
        ({"timeline": [{"at_s": 1, "do": "dance"}]}, "dance"),
    ],
)
def test_a_wrong_script_says_what_is_wrong(table: dict[str, Any], words: str) -> None:
    """A misspelt fault that never strikes would make every test pass."""
    with pytest.raises(ScriptError, match=words):
        Script.from_dict(table)


def test_a_script_file_that_is_no_table_or_not_there_is_refused(tmp_path: Path) -> None:
    """With the file's name."""
    (tmp_path / "list.yaml").write_text("- 1")
    (tmp_path / "odd.yaml").write_text("a: [")
    for name in ("list.yaml", "odd.yaml", "none.yaml"):
        with pytest.raises(ScriptError, match=name):
            Script.from_file(tmp_path / name)


def test_a_script_cannot_bind_a_bot_to_nobody() -> None:
    """Users come before bots."""
    with pytest.raises(ScriptError, match="no user 'Zoe'"):
        Script.from_dict({"bots": [{"user": "Zoe"}]}).world(T)
