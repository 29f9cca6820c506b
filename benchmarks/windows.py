"""The windows: a console page over a hundred thousand messages, and what one more reader of the events costs."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import aiohttp

from benchmarks.figure import FULL, Figure
from benchmarks.stage import Stage, stage

MESSAGES = 100_000
LOOKS = 5
READERS = 50
EVENTS_OF = 1_500 if FULL else 600
"""Messages that are sent while readers listen; each is some events."""


async def console_page() -> list[Figure]:
    """From the request to a page with its rows and its socket open: the overview, a chat and the outbox, each over
    100,000 messages. What a browser then needs to paint is its own."""
    async with stage(1, {"YIZHAN_CONSOLE__ENABLED": "true"}) as made:
        user = made.users[0]
        await made.send(user, "one of a hundred thousand")
        await made.shown(1)
        await asyncio.sleep(1)
        await made.gateway.stop()
        _multiply(made.gateway.home / "yizhan.db", MESSAGES)
        await made.gateway.start()
        chat = f"chat?chat={quote(f'{made.account}:{user}', safe='')}"
        async with made.gateway.console_tab():
            pass  # the pages are loaded with the first
        pages = {"overview": "", "chat": chat, "outbox": "outbox"}
        return [
            Figure(f"console over 100,000 messages: {name}", await _usual_ms(made, page), 1_000, "ms")
            for name, page in pages.items()
        ]


async def _usual_ms(made: Stage, page: str) -> float:
    """The middle one of some looks."""
    looks_s = []
    for _ in range(LOOKS):
        began = time.monotonic()
        async with made.gateway.console_tab(page):
            looks_s.append(time.monotonic() - began)
    return 1_000 * statistics.median(looks_s)


def _multiply(file: Path, count: int) -> None:
    """So many delivered messages beside the one that is there, all of the last hours."""
    with sqlite3.connect(file) as tables:
        for table, changed in (
            ("message", {"seq": "seq + i", "id": _ID, "created_at_ms": "created_at_ms - i * 500"}),
            ("entry", {"message_id": _ID.replace("id", "message_id", 1), "receipt": "NULL"}),
        ):
            names = [row[1] for row in tables.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(changed.get(name, name) for name in names)
            tables.execute(
                f"INSERT INTO {table} WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n "
                f"WHERE i < {count - 1}) SELECT {values} FROM {table}, n"
            )
        tables.execute("UPDATE chat SET next_seq = (SELECT max(seq) + 1 FROM message)")
    tables.close()


_ID = "id || printf('%07d', i)"


async def event_readers() -> list[Figure]:
    """CPU of the gateway for the same messages with one reader of all events and with fifty."""
    async with stage(20) as made:
        few_s, few = await _read_by(made, 1)
        many_s, many = await _read_by(made, READERS)
        per_us = 1e6 * (many_s / many - few_s / few) / (READERS - 1)
        return [Figure(f"an event for one more reader, {READERS} readers: CPU", per_us, 15, "µs")]


async def _read_by(made: Stage, readers: int) -> tuple[float, int]:
    """CPU seconds, and events of one reader, while so many read what the messages cause."""
    seen = len(made.arrivals)
    async with AsyncExitStack() as stack:
        counts = [0] * readers
        assert made.gateway.http is not None
        connector = aiohttp.TCPConnector(limit=0)
        headers = dict(made.gateway.http.headers)
        http = await stack.enter_async_context(
            aiohttp.ClientSession(made.gateway.url, headers=headers, connector=connector)
        )
        reading = [asyncio.create_task(_count(http, counts, place)) for place in range(readers)]
        await asyncio.sleep(1)
        before_s = made.gateway.cpu_s()
        await asyncio.gather(*(_push(made, range(place, EVENTS_OF, 8)) for place in range(8)))
        await made.shown(seen + EVENTS_OF)
        await asyncio.sleep(1)
        used_s = made.gateway.cpu_s() - before_s
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        return used_s, max(counts)


async def _push(made: Stage, numbers: Iterable[int]) -> None:
    for number in numbers:
        await made.send(made.users[number % 20], f"message {number}")


async def _count(http: aiohttp.ClientSession, counts: list[int], place: int) -> None:
    async with http.get("/v1/events") as stream:
        async for line in stream.content:
            counts[place] += line.startswith(b"id:")
