"""The ledger answers the questions a checker asks."""

from __future__ import annotations

import hashlib
from typing import Any

from yizhan_simulator import Effect, Fault, World


def test_a_send_is_written_down_in_full(world: World, ann: str, caller: Any) -> None:
    """Who, to whom, what, with which token, what became of it."""
    token = caller.poll()["msgs"][0]["context_token"]
    answer = caller.send(ann, "hi", "c", token)
    (record,) = world.ledger.sends()
    assert (ann, "c", "hi", token, "fresh") == (
        record.user_id, record.client_id, record.text, record.token, record.token_state,
    )  # fmt: skip
    assert hashlib.sha256(b"hi").hexdigest() == record.text_sha256
    assert (Effect.SHOWN, str(answer["message_id"]), "") == (record.effect, record.receipt, record.wire)
    assert caller.token.startswith(record.bot_id)


def test_everything_that_happens_has_a_number(world: World, ann: str, caller: Any) -> None:
    """Calls and acts of people, in one order."""
    caller.poll()
    caller.send(ann, "hi")
    world.add_fault(Fault(kind="hang", call="getconfig"), caller.now_ms)
    caller.ask("getconfig", {"ilink_user_id": ann})
    calls = [(record.number, record.call, record.effect) for record in world.ledger]
    assert [
        (1, "say", Effect.PHONE),
        (2, "getupdates", Effect.ANSWERED),
        (3, "sendmessage", Effect.SHOWN),
        (4, "getconfig", Effect.LOST),
    ] == calls
    assert [1] == [record.count for record in world.ledger.polls()]
    assert [3, 4] == [record.number for record in world.ledger.since(2)]


def test_the_busiest_second_is_found(world: World, ann: str, caller: Any) -> None:
    """A retry storm has a height."""
    start = caller.now_ms
    for offset in (0, 400, 999, 1000, 3000):
        caller.now_ms = start + offset
        caller.send(ann, f"at {offset}")
    assert 3 == world.ledger.busiest_second()


def test_a_bounded_ledger_says_what_it_dropped(new_caller: Any) -> None:
    """A checker must notice that it does not see everything."""
    world = World(ledger_limit=3)
    ann = world.add_user("Ann")
    client = new_caller(world, world.add_bot(ann).token)
    world.say(ann, "hi", client.now_ms)
    for number in range(4):
        client.send(ann, f"n{number}")
    assert (3, 2) == (len(world.ledger), world.ledger.dropped)
    assert 4 == world.ledger.counts["sendmessage/shown"]
    assert [4, 5] == [record.number for record in world.ledger.since(3)]
    assert [3, 4, 5] == [record.number for record in world.ledger.since(0)]
