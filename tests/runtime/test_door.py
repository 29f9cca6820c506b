"""The door in a running gateway: who is refused is listed with the rule, and can be let in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from simulation.station import Station, target
from simulation.virtual import in_virtual_time
from tests.runtime.answers import Gated, until, until_shown
from yizhan.errors import UnknownCode
from yizhan.model import Access, AccountId, ChatId, Dispatch, Inbound, Rule, SenderRule
from yizhan.ports import Batch, Heard

PAIRING = {"access": {"policy": "pairing", "show_code": True}, "language": "en"}


async def _heard(station: Station, account: AccountId, user: str) -> list[Inbound]:
    """What is stored of a chat, oldest first."""
    page = await station.gateway.store.timeline(target(account, user), None, 100)
    return [row for row in page.rows if isinstance(row, Inbound)][::-1]


async def _sender(station: Station, account: AccountId, user: str) -> SenderRule:
    rule = await station.gateway.store.sender(account, user)
    assert rule is not None
    return rule


@pytest.mark.field("F36")
@in_virtual_time
async def test_a_stranger_is_told_a_code_once_and_let_in_by_it(home: Path) -> None:
    """The operator need not compare ids; a crash between message and code costs neither."""
    async with Station(home, **PAIRING) as station:
        ann, eve = station.world.add_user("Ann"), station.world.add_user("Eve")
        account = await station.link(ann)
        station.say(eve, "let me in", account)
        await until(lambda: bool(station.shown(eve)))
        station.say(eve, "hello?", account)
        await until(lambda: _refused(station, account, eve, 2))
        waiting = await _sender(station, account, eve)
        assert [
            f"Hello, I do not know you yet. Tell the operator this code, and we can talk: {waiting.code}"
        ] == (station.shown(eve))
        assert ("let me in", "pairing") == (waiting.first_text, waiting.refused_by)
        with pytest.raises(UnknownCode):
            await station.gateway.approve("AAAA-AAAA")
        with pytest.raises(UnknownCode):
            await station.gateway.approve(" - ")
        allowed = await station.gateway.approve(waiting.code.lower().replace("-", ""))
        assert (Rule.ALLOW, "") == (allowed.rule, allowed.code)
        station.say(eve, "and now?", account)
        await until(lambda: station.shown(eve)[-1] == "and now?")
        with pytest.raises(UnknownCode):
            await station.gateway.approve(waiting.code)


@in_virtual_time
async def test_a_crash_before_the_code_was_told_does_not_cost_it(home: Path) -> None:
    """That it is to be told is written down with the message."""
    async with Station(home, **PAIRING) as station:
        ann, eve = station.world.add_user("Ann"), station.world.add_user("Eve")
        account = await station.link(ann)
        station.gate.at, station.gate.after = len(station.gate.seen) + 2, False
        station.say(eve, "let me in", account)
        await until(station.gate.struck.is_set)
        await station.restart()
        await until(lambda: bool(station.shown(eve)))
        await station.until_quiet()
        assert 1 == len(station.shown(eve))
        assert (await _sender(station, account, eve)).code in station.shown(eve)[0]


@in_virtual_time
async def test_who_was_refused_before_pairing_was_switched_on_is_told_a_code_too(home: Path) -> None:
    """A friend has tried already; the operator then lets codes be shown, and asks him to try again."""
    async with Station(home, access={"policy": "allowlist"}, language="en") as station:
        ann, eve = station.world.add_user("Ann"), station.world.add_user("Eve")
        account = await station.link(ann)
        station.say(eve, "let me in", account)
        await until(lambda: _refused(station, account, eve, 1))
        await station.stop()
        access = station.settings.access.model_copy(update=PAIRING["access"])
        station.settings = station.settings.model_copy(update={"access": access})
        await station.start()
        for text in ("and now?", "hello?"):
            station.say(eve, text, account)
        await until(lambda: bool(station.shown(eve)))
        await until(lambda: _refused(station, account, eve, 3))
        await station.until_quiet()
        (told,) = station.shown(eve)
        assert Rule.ALLOW is (await station.gateway.approve(told.rsplit(" ", 1)[1])).rule


def _wide(code: str) -> str:
    """As a Chinese keyboard writes it."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in code)


@in_virtual_time
async def test_a_repeat_from_before_the_restart_does_not_use_up_the_code(home: Path) -> None:
    """Eve was let in by an open door. It is shut, the platform says her last message again, and what she writes next
    was refused without a word: her code had gone to the repeat."""
    settings: dict[str, Any] = {"agent": "none", "access": {"policy": "open"}, "language": "en"}
    async with Station(home, **settings) as station:
        ann, eve = station.world.add_user("Ann"), station.world.add_user("Eve")
        account = await station.link(ann)
        station.say(eve, "hello", account)
        await until(lambda: _stored(station, account, eve, 1))
        (hello,) = await _heard(station, account, eve)
        await station.stop()
        access = station.settings.access.model_copy(update=PAIRING["access"])
        station.settings = station.settings.model_copy(update={"access": access})
        await station.start()
        again = Heard(
            hello.chat, "direct", hello.platform_message_id, eve, "", "hello", "", (), hello.sent_at_ms
        )
        known = await station.gateway.store.account(account)
        await station.gateway._inbound.commit(known, Batch((again,)))
        assert [] == station.shown(eve)
        station.say(eve, "and now?", account)
        await until(lambda: bool(station.shown(eve)))
        (told,) = station.shown(eve)
        assert (await _sender(station, account, eve)).code == told.rsplit(" ", 1)[1]


@in_virtual_time
async def test_an_admin_lets_somebody_in_from_his_chat_and_nobody_else_can(home: Path) -> None:
    """The owner is one; a friend who may talk is none."""
    settings = PAIRING | {"access": PAIRING["access"] | {"allow": ["bob@im.wechat"]}}
    async with Station(home, **settings) as station:
        ann, eve = station.world.add_user("Ann"), station.world.add_user("Eve")
        bob = station.world.add_user("Bob", user_id="bob@im.wechat")
        account = await station.link(ann)
        station.say(eve, "let me in", account)
        await until(lambda: bool(station.shown(eve)))
        code = (await _sender(station, account, eve)).code
        station.say(bob, f"/approve {code}", account)
        await until_shown(station, bob, "Only an admin may use this command.")
        assert Rule.PENDING is (await _sender(station, account, eve)).rule
        station.say(ann, "/approve WRONG")
        await until_shown(station, ann, "Nobody who waits for a decision was told this code.")
        station.say(ann, f"／approve {_wide(code)}")
        await until(lambda: station.shown(ann)[-1].startswith("Allowed: "))
        assert Rule.ALLOW is (await _sender(station, account, eve)).rule


@in_virtual_time
async def test_who_asks_too_often_is_refused_visibly_also_after_a_restart(home: Path) -> None:
    """The limit of a day must not begin anew with every deployment; /stop passes always."""
    agent = Gated()
    settings: dict[str, Any] = {
        "access": {"policy": "open", "per_day": 2},
        "turns": {"debounce_s": 0},
        "language": "en",
    }
    async with Station(home, answers=agent, **settings) as station:
        ann, eve = station.world.add_user("Ann"), station.world.add_user("Eve")
        account = await station.link(ann)
        agent.release(99)
        for number in range(2):
            station.say(eve, f"question {number}", account)
            await until(lambda number=number: len(station.shown(eve)) == number + 1)
        await station.restart()
        station.say(eve, "question 2", account)
        station.say(eve, "/stop", account)
        await until(lambda: station.shown(eve)[-1] == "No answer is being written.")
        rulings = [(each.access, each.rule) for each in await _heard(station, account, eve)]
        assert [(Access.ALLOWED, "open")] * 2 + [
            (Access.DENIED, "per-day"),
            (Access.ALLOWED, "open"),
        ] == rulings
        listed = await _sender(station, account, eve)
        assert (1, "per-day") == (listed.refused, listed.refused_by)
        for number in range(4):
            station.say(ann, f"owner {number}")
            await until(lambda number=number: len(station.shown(ann)) == number + 1)


@pytest.mark.parametrize("name", ["same", "new"])
@in_virtual_time
async def test_what_the_platform_says_twice_is_not_asked_twice(home: Path, name: str) -> None:
    """Platforms repeat messages after every lost line; a limit is for people."""
    settings: dict[str, Any] = {"access": {"policy": "open", "per_day": 3}, "turns": {"debounce_s": 0}}
    async with Station(home, **settings) as station:
        ann, eve = station.world.add_user("Ann"), station.world.add_user("Eve")
        account = await station.link(ann)
        station.world.turn(dup_inbound={"after_ms": 3_000, "id": name})
        for number in range(3):
            station.say(eve, f"question {number}", account)
            await asyncio.sleep(10)
        rulings = [(each.access, each.rule) for each in await _heard(station, account, eve)]
        assert [(Access.ALLOWED, "open")] * 3 == rulings
        page = await station.gateway.store.timeline(target(account, eve), None, 100)
        assert 3 == sum(row.__class__.__name__ == "Suppressed" for row in page.rows)


@in_virtual_time
async def test_what_is_said_in_a_group_is_refused_by_the_groups_rule(home: Path) -> None:
    """And the event says so: programs that watch need not guess."""
    settings = {"access": {"policy": "open", "group_allow": ["group/G1"], "mention": False}}
    async with Station(home, answers=Gated(), **settings) as station:
        ann = station.world.add_user("Ann")
        account = await station.link(ann)
        for chat, addressed in (("group/G1", True), ("group/G1", False), ("group/G2", True)):
            await _hear_in_group(station, account, chat, addressed)
        events = await station.gateway.store.events_after(0, 100)
        told = [json.loads(row.data) for row in events if row.type == "message.received"]
        assert [("allowed", "open")] * 2 + [("denied", "group-not-allowed")] == [
            (each["access"], each["rule"]) for each in told
        ]
        first, others = await _heard(station, account, "group/G1")
        (refused,) = await _heard(station, account, "group/G2")
        assert [Dispatch.TURN, Dispatch.TURN, Dispatch.DONE] == [
            first.dispatch,
            others.dispatch,
            refused.dispatch,
        ]


async def _hear_in_group(station: Station, account: AccountId, chat: str, addressed: bool) -> None:
    known = await station.gateway.store.account(account)
    heard = Heard(ChatId(chat), "group", None, "o1", "", "hello", "", (), 0, addressed=addressed)
    await station.gateway._inbound.commit(known, Batch((heard,)))


async def _stored(station: Station, account: AccountId, user: str, number: int) -> bool:
    return number == len(await _heard(station, account, user))


async def _refused(station: Station, account: AccountId, user: str, number: int) -> bool:
    known = await station.gateway.store.sender(account, user)
    return known is not None and known.refused == number
