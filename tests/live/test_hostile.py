"""A real gateway in front of a platform that answers nonsense: what it sends, what it costs, what its log says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from benchmarks.stage import Stage, stage
from yizhan_simulator import Fault
from yizhan_simulator.ledger import Effect

NONSENSE = (
    "null", "list", "number", "text", "bytes", "wrong_types", "nested", "html", "truncated", "cut", "gzip_bomb",
    "huge", "reset_after", "reset_before", "status", "empty", "empty_object",
)  # fmt: skip
TO_POLLS = ("gzip_bomb", "nested")
QUICK = {
    "YIZHAN_DELIVERY__BREAKER__IN_DOUBT_BASE_S": "0.1",
    "YIZHAN_DELIVERY__BREAKER__IN_DOUBT_CAP_S": "0.3",
}
ROOM_MIB = 48


async def test_platform_that_answers_nonsense_costs_no_message_and_no_memory_and_the_log_says_what_it_was() -> (
    None
):
    """One chat for each kind of nonsense, and polls that get it too: everything arrives, marked where it was in
    doubt, and an operator can read what came back without reading anybody's message or token."""
    async with stage(len(NONSENSE), QUICK, client_id_dedupe=True) as made:
        await made.send(made.users[0], "before")  # from now on the account is given receipts
        await made.shown(1)
        before_mib = made.gateway.memory_mib()
        for kind, user in zip(NONSENSE, made.users, strict=True):
            made.world.add_fault(Fault(kind, user=user, times=1), made.sim.clock.now_ms())
        for kind in TO_POLLS:
            made.world.add_fault(Fault(kind, "getupdates", times=1), made.sim.clock.now_ms())
        for number, user in enumerate(made.users):
            await made.send(user, f"words for {number}")
        messages = await _all_delivered(made, 1 + len(NONSENSE))
        assert made.gateway.memory_mib() - before_mib < ROOM_MIB
        assert len(NONSENSE) == sum(message["possibly_doubled"] for message in messages)
        shown = [record.text for record in made.world.ledger.select("sendmessage", effect=Effect.SHOWN)]
        expected = {f"words for {number}": 1 for number in range(len(made.users))}
        assert expected == {text: shown.count(text) for text in shown[1:]}
        await _hears_again(made)
        _check_log(made)


async def _all_delivered(made: Stage, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while True:
            found = (await made.gateway.get("/v1/messages?state=delivered&limit=100"))["items"]
            if len(found) == count:
                return found
            await asyncio.sleep(0.1)


async def _hears_again(made: Stage) -> None:
    """What a person wrote among the nonsense is here."""
    made.world.say(made.users[0], "still there?", made.sim.clock.now_ms())
    async with asyncio.timeout(60):
        while True:
            rows = (await made.gateway.get(f"/v1/timeline?chat={made.account}:{made.users[0]}"))["items"]
            if any(row["kind"] == "inbound" and row["message"]["text"] == "still there?" for row in rows):
                return
            await asyncio.sleep(0.1)


def _check_log(made: Stage) -> None:
    """The first parts in doubt with their cause in words, the rest counted; nothing that is nobody's business."""
    text = (made.gateway.home / "gateway.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    doubts = {line["chat"]: line for line in lines if line["event"] == "part.in_doubt"}
    assert set(doubts) <= set(made.users)
    assert 5 == len(doubts)
    assert all(line["code"] and " " in line["detail"] for line in doubts.values())
    assert len(lines) < 4 * len(NONSENSE)
    tokens = [bot.token for bot in made.world.state.people.bots.values()]
    for unwanted in (
        *tokens,
        *(f"words for {number}" for number in range(len(made.users))),
        "still there",
        "Traceback",
    ):
        assert unwanted not in text
