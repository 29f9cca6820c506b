"""PostgreSQL goes away and comes back: nothing accepted is lost, and two gateways never write."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from yizhan.errors import StoreError, StoreInUse
from yizhan.ports import MessageFilter
from yizhan.store import postgres

Desk = Any


@pytest.fixture
async def pg_place(postgres_database: str, make_place: Any) -> Any:
    return make_place("postgres", postgres_database)


@pytest.fixture
async def pg_desk(pg_place: Any, sit_down: Any) -> Desk:
    from yizhan.model import Credentials

    store = await pg_place.open()
    await store.put_account("weixin:ab12@im.bot", Credentials("s", "https://x"), 1)
    return sit_down(store, pg_place)


async def accept_until(desk: Desk, draft: Any) -> None:
    """Submits the same draft until the store takes it, as the roads do."""
    async with asyncio.timeout(60):
        while True:
            try:
                await desk.store.accept(draft)
            except StoreError:
                await asyncio.sleep(0.05)
            else:
                return


async def texts(desk: Desk) -> set[str]:
    return {message.text for message in (await desk.store.messages(MessageFilter(), None, 1000)).rows}


async def test_a_restart_of_the_server_under_load_loses_nothing(pg_desk: Desk, postgres_server: Any) -> None:
    """Whoever is refused submits again; what was answered is there, once."""
    drafts = [pg_desk.draft(str(number)) for number in range(300)]

    async def submit(mine: list[Any]) -> None:
        for draft in mine:
            await accept_until(pg_desk, draft)

    roads = [asyncio.ensure_future(submit(drafts[start::10])) for start in range(10)]
    await asyncio.sleep(0.05)
    await asyncio.to_thread(postgres_server.stop)
    await asyncio.to_thread(postgres_server.start)
    await asyncio.gather(*roads)
    assert {draft.text for draft in drafts} == await texts(pg_desk)
    assert None is pg_desk.store.writable()
    ids = [event.id for event in await pg_desk.events()]
    assert list(range(1, len(ids) + 1)) == ids


async def test_a_lost_connection_is_replaced_with_its_lock(pg_desk: Desk, pg_place: Any) -> None:
    """Reconnecting without the lock would let a second gateway in."""
    await asyncio.to_thread(_kill_sessions, pg_place.url)
    await accept_until(pg_desk, pg_desk.draft("after"))
    assert {"after"} == await texts(pg_desk)
    with pytest.raises(StoreInUse):
        await pg_place.open()


async def test_a_gateway_started_while_the_server_still_holds_the_lock_of_the_last_one_gets_it(
    pg_desk: Desk, pg_place: Any, make_place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server notices an end a moment later; a restart by the init system must not be told "in use" then."""
    monkeypatch.setattr(postgres, "LOCK_WAIT_S", 60)
    next_one = asyncio.ensure_future(make_place("postgres", pg_place.url).open())
    with psycopg.connect(_address(pg_place.url), autocommit=True) as server:
        while not server.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:  # type: ignore[index]
            await asyncio.sleep(0.01)
    await pg_desk.store.close()
    assert 1 == len(await (await next_one).accounts())


async def test_who_comes_back_too_late_stays_out(pg_desk: Desk, pg_place: Any, make_place: Any) -> None:
    """While we were cut off another gateway has taken over: what we remember is old, so we never write again."""
    await asyncio.to_thread(_kill_sessions, pg_place.url)
    other = await make_place("postgres", pg_place.url).open()
    with pytest.raises(StoreError):
        await pg_desk.accept("from the old one")
    with pytest.raises(StoreInUse):
        await pg_desk.accept("from the old one")
    await other.close()
    with pytest.raises(StoreInUse):
        await pg_desk.accept("from the old one, later")
    reason = pg_desk.store.writable()
    assert ("store-in-use", set()) == (reason and reason.code, await texts(pg_desk))


async def test_who_was_cut_off_notices_that_somebody_was_there(
    pg_desk: Desk, pg_place: Any, make_place: Any
) -> None:
    """Also if the other one is gone again and the lock is free: the queue may have been sent already."""
    await asyncio.to_thread(_kill_sessions, pg_place.url)
    await (await make_place("postgres", pg_place.url).open()).close()
    with pytest.raises(StoreError):
        await pg_desk.accept("one")
    with pytest.raises(StoreInUse):
        await pg_desk.accept("two")
    assert set() == await texts(pg_desk)


async def test_a_text_that_postgres_cannot_hold_is_refused_alone(pg_desk: Desk) -> None:
    """NUL is legal in Python and SQLite, not here."""
    answers = await asyncio.gather(
        pg_desk.accept("one"), pg_desk.accept("a\x00b"), pg_desk.accept("two"), return_exceptions=True
    )
    assert "invalid-request" == answers[1].name
    assert {"one", "two"} == await texts(pg_desk)


def _kill_sessions(url: str) -> None:
    """Ends every session of this store, as a server's administrator would."""
    with psycopg.connect(_address(url), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks"
            " WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
        )


def _address(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
