"""Real processes, real sockets, real disks: the gateway is killed with SIGKILL, again and again."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter, defaultdict

import pytest

from benchmarks.stage import Stage, stage
from live.careful import all_ended, check_pushes, feed
from yizhan_simulator.ledger import Effect

CHATS, MESSAGES, KILLS = 20, 300, 11
"""Promised: twenty kills and more over both engines; fewer would prove another promise."""
TALKERS, SAID = 8, 40
"""People who write meanwhile, in the first of the chats, and how many texts they write together."""


async def _talk(made: Stage, chance: random.Random) -> None:
    """People write, now one text and now two at once, whether anybody is there or not."""
    for number in range(SAID):
        made.world.say(made.users[number % TALKERS], f"question {number}", made.sim.clock.now_ms())
        await asyncio.sleep(chance.choice((0, 0.2, 0.4)))


async def _kill_and_restart(made: Stage, chance: random.Random, done: asyncio.Event) -> int:
    kills = 0
    while kills < KILLS or not done.is_set():
        await asyncio.sleep(0.1 + chance.random() * 0.5)
        if kills < KILLS:
            await made.gateway.stop(signal.SIGKILL)
            kills += 1
            await made.gateway.start()
    return kills


async def _all_answered(made: Stage) -> None:
    """Until every text has its answer on the phone, and nothing more is on its way."""
    wanted = {f"question {number}" for number in range(SAID)}
    async with asyncio.timeout(60):
        while not wanted <= {line for lines in _answers(made).values() for line in lines}:
            await asyncio.sleep(0.2)


def _answers(made: Stage) -> dict[str, list[str]]:
    """Chat → the lines of the echo's answers, as its phone shows them. An answer to several texts has a line each."""
    lines: dict[str, list[str]] = defaultdict(list)
    for record in made.world.ledger.select("sendmessage", effect=Effect.SHOWN):
        lines[record.user_id] += [line for line in record.text.splitlines() if line.startswith("question")]
    return lines


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_killed_at_random_moments_it_loses_nothing_and_marks_what_may_be_doubled(
    engine: str, request: pytest.FixtureRequest
) -> None:
    """Both roads, on a machine that dies every second, before a platform that shows every repeat: what a program was
    promised is sent, what a person wrote is answered."""
    chance = random.Random(engine)
    environ = {"YIZHAN_AGENT": "echo"}
    if engine == "postgresql":
        environ["YIZHAN_DATABASE__URL"] = request.getfixturevalue("postgres_database")
    async with stage(CHATS, environ, client_id_dedupe=False) as made:
        fed = asyncio.Event()
        killer = asyncio.create_task(_kill_and_restart(made, chance, fed))
        await asyncio.gather(feed(made, MESSAGES, CHATS, chance), _talk(made, chance))
        fed.set()
        kills = await killer
        await _all_answered(made)
        messages = await all_ended(made)
        pushes = [message for message in messages if message["priority"] == "push"]
        assert KILLS <= kills
        assert MESSAGES == len(pushes)
        assert {"delivered"} == {message["state"] for message in messages}
        check_pushes(made, pushes, MESSAGES, CHATS)
        _check_answers(made, [message for message in messages if message["priority"] == "reply"])


def _check_answers(made: Stage, replies: list[dict]) -> None:
    """Each text is answered in the order of the texts, by one reply however often its turn began; that reply is shown
    again only where it says itself that it may be doubled."""
    shown = _answers(made)
    for chat, user in enumerate(made.users[:TALKERS]):
        asked = [f"question {number}" for number in range(chat, SAID, TALKERS)]
        assert asked == list(dict.fromkeys(shown[user])), f"chat {chat} has lost or reordered an answer"
    copies = Counter(
        (record.client_id, record.text)
        for record in made.world.ledger.select("sendmessage", effect=Effect.SHOWN)
        if "question" in record.text
    )
    lines = (line for _, text in copies for line in text.splitlines())
    answered = Counter(line for line in lines if line.startswith("question"))
    assert {f"question {number}": 1 for number in range(SAID)} == answered
    by_id = {reply["id"]: reply for reply in replies}
    for (client_id, _), count in copies.items():
        reply = by_id[client_id.split(":")[1]]
        attempts = [attempt for part in reply["parts"] for attempt in part["attempts"]]
        assert count <= 1 + sum(attempt["verdict"] == "InDoubt" for attempt in attempts)
        assert count == 1 or reply["possibly_doubled"]
