"""The committer under pressure: shared commits, full queues, full disks, crashes at a commit."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from yizhan.errors import StoreBusy, StoreUnavailable, UnknownMessage, YizhanError
from yizhan.model import MessageId, MessageState
from yizhan.ports import MessageFilter
from yizhan.store.committer import PROBE_INTERVAL_S, QUEUE_MAX
from yizhan.store.open import _engine
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet

Desk = Any


class Crash(BaseException):
    """The process is gone."""


class Gate:
    """Holds commits back, counts them, or crashes at one."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.crash_before: str | None = None
        self.crash_after: str | None = None

    def before_commit(self, label: str) -> None:
        self.open.wait(30)
        self.labels.append(label)
        if label == self.crash_before:
            raise Crash

    def after_commit(self, label: str) -> None:
        if label == self.crash_after:
            raise Crash


class Spoiler:
    """An operation of nobody: the database refuses its row."""

    label = "spoiler"
    alone = False

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> None:
        rows.changes += 1
        rows.connection.execute(text("INSERT INTO meta (name, value) VALUES ('spoiled', 'x')"))
        rows.connection.execute(text("INSERT INTO meta (name, value) VALUES ('spoiled', 'y')"))


class Broken:
    """An operation of nobody with a defect of ours: it breaks after it has changed something."""

    label = "broken"
    alone = False

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> None:
        rows.changes += 1
        raise KeyError("my diagnosis")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def gated(place: Any, sit_down: Any, gate: Gate) -> Desk:
    """A desk whose store has a gate at its commits."""
    return await _desk(place, sit_down, gate=gate)


async def _desk(place: Any, sit_down: Any, **options: Any) -> Desk:
    from yizhan.model import Credentials

    store = await place.open(**options)
    await store.put_account("weixin:ab12@im.bot", Credentials("s", "https://x"), 1)
    return sit_down(store, place)


async def texts(desk: Desk) -> set[str]:
    return {message.text for message in (await desk.store.messages(MessageFilter(), None, 1000)).rows}


def give_room(desk: Desk) -> None:
    """The disk has room again, and nobody tells the store."""
    driver = desk.store._engine._connection.connection.driver_connection
    driver.execute("PRAGMA max_page_count=4294967294")


async def test_what_waits_while_the_disk_works_shares_the_next_commit(gated: Desk, gate: Gate) -> None:
    """A hundred messages must not cost a hundred waits for the disk."""
    gate.open.clear()
    accepting = [asyncio.ensure_future(gated.accept(str(number))) for number in range(100)]
    await asyncio.sleep(0.05)
    gate.open.set()
    await asyncio.gather(*accepting)
    assert 100 == len(await texts(gated))
    assert len(gate.labels) <= 5


async def test_a_released_savepoint_is_rolled_back_with_its_transaction(place: Any) -> None:
    """With the driver's own transactions SQLite would keep these rows."""
    await (await place.open()).close()
    engine = _engine(place.url, place.home, place.chance, True)
    engine.lock()
    connection = engine.connect()
    try:
        with pytest.raises(Crash):
            _crash_behind_a_savepoint(connection)
        with connection.begin():
            assert 0 == connection.scalar(text("SELECT count(*) FROM meta WHERE name = 'a'"))
    finally:
        engine.close()


def _crash_behind_a_savepoint(connection: Any) -> None:
    with connection.begin():
        with connection.begin_nested():
            connection.execute(text("INSERT INTO meta (name, value) VALUES ('a', 'b')"))
        raise Crash


@pytest.mark.parametrize("bad", [Spoiler, Broken])
async def test_an_operation_that_the_database_refuses_or_that_breaks_sinks_alone(
    gated: Desk, gate: Gate, bad: Callable[[], Any]
) -> None:
    """Its neighbours in the commit are written, in order, as if it had not been there."""
    gate.open.clear()
    blocker = asyncio.ensure_future(gated.accept("first"))
    await asyncio.sleep(0.05)
    first, spoiled, second = (
        asyncio.ensure_future(gated.accept("before")),
        asyncio.ensure_future(gated.store._committer.submit(bad())),
        asyncio.ensure_future(gated.accept("after")),
    )
    await asyncio.sleep(0.05)
    gate.open.set()
    answers = await asyncio.gather(blocker, first, spoiled, second, return_exceptions=True)
    assert isinstance(answers[2], YizhanError)
    assert "defect" in str(answers[2])
    assert "diagnosis" not in str(answers[2])
    assert {"first", "before", "after"} == await texts(gated)
    assert answers[1].seq < answers[3].seq
    ids = [event.id for event in await gated.events()]
    assert list(range(1, len(ids) + 1)) == ids
    assert ids[1:] == [event.id for event in gated.heard_events]
    assert None is gated.store.writable()


async def test_a_full_queue_refuses_at_once_and_takes_on_when_it_has_room(
    sqlite_place: Any, sit_down: Any, gate: Gate
) -> None:
    """Back-pressure: the caller hears "busy" instead of the process growing until it dies."""
    desk = await _desk(sqlite_place, sit_down, gate=gate)
    gate.open.clear()
    waiting = [asyncio.ensure_future(desk.store.dispatch_done([])) for _ in range(QUEUE_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(StoreBusy):
        await desk.accept("one too many")
    gate.open.set()
    await asyncio.gather(*waiting)
    await desk.accept("now")
    assert {"now"} == await texts(desk)


async def test_a_full_disk_refuses_everything_and_heals_by_itself(sqlite_desk: Desk) -> None:
    """Nothing is half written, what was accepted stays, and nobody has to restart anything."""
    desk = sqlite_desk
    await desk.accept("kept")
    await desk.store.limit_pages(0)
    refused = await asyncio.gather(
        *(desk.accept(f"refused {number}" + "x" * 9000) for number in range(5)), return_exceptions=True
    )
    assert {StoreUnavailable} == {type(error) for error in refused}
    assert "disk is full" in str(refused[0])
    assert "refused" not in str(refused[0])
    reason = desk.store.writable()
    assert reason is not None
    assert "disk is full" in reason.text
    assert {"kept"} == await texts(desk)

    give_room(desk)
    async with asyncio.timeout(10):
        while desk.store.writable() is not None:
            await asyncio.sleep(0.05)
    await desk.accept("after")
    assert {"kept", "after"} == await texts(desk)


async def test_a_disk_that_stays_full_is_not_said_to_be_well_every_other_second(
    sqlite_desk: Desk, sqlite_place: Any
) -> None:
    """Small writes still fit: a trouble that seems over whenever somebody looks is one that nobody is told of."""
    desk = sqlite_desk
    await desk.accept("kept")
    log_bytes = (sqlite_place.home / "yizhan.db-wal").stat().st_size
    with _no_file_larger_than(log_bytes + 48 * 1024):
        with pytest.raises(StoreUnavailable):
            await desk.accept("refused" * 10_000)
        for number in range(25):
            assert desk.store.writable() is not None
            await asyncio.sleep(PROBE_INTERVAL_S / 10)
            if number == 5:
                await desk.store.set_chat_paused(desk.target("a"), True, desk.tick())
    async with asyncio.timeout(10):
        while desk.store.writable() is not None:
            await asyncio.sleep(0.05)
    assert {"kept"} == await texts(desk)


@contextlib.contextmanager
def _no_file_larger_than(most_bytes: int) -> Iterator[None]:
    """For this process: what would make a file larger fails, as it does on a full disk."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


async def test_a_caller_that_gives_up_waiting_does_not_take_its_write_back(gated: Desk, gate: Gate) -> None:
    """A client that hangs up after its request was taken finds its message when it asks again."""
    gate.open.clear()
    accepting = asyncio.ensure_future(gated.accept("taken"))
    await asyncio.sleep(0.05)
    accepting.cancel()
    gate.open.set()
    await gated.accept("next")
    assert {"taken", "next"} == await texts(gated)


async def test_closing_commits_what_was_submitted_and_refuses_what_comes_later(
    gated: Desk, gate: Gate
) -> None:
    """A stop loses nothing that somebody waits for."""
    gate.open.clear()
    accepting = [asyncio.ensure_future(gated.accept(str(number))) for number in range(50)]
    await asyncio.sleep(0.05)
    closing = asyncio.ensure_future(gated.store.close())
    await asyncio.sleep(0)
    gate.open.set()
    assert 50 == len(await asyncio.gather(*accepting))
    await closing
    with pytest.raises(StoreUnavailable):
        await gated.accept("too late")
    with pytest.raises(StoreUnavailable):
        await gated.store.accounts()
    await gated.store.close()


async def test_reads_see_what_was_committed_before_they_began(desk: Desk) -> None:
    """Read your own writes, whatever connection reads."""
    for number in range(50):
        message = await desk.accept(str(number))
        assert message == await desk.store.message(message.id)


# Without threads, for stories in virtual time.


async def test_a_crash_before_a_commit_leaves_nothing(place: Any, sit_down: Any, gate: Gate) -> None:
    """Every commit of a story can be the last thing that did not happen."""
    desk = await _desk(place, sit_down, inline=True, gate=gate)
    gate.crash_before = "accept"
    draft = desk.draft("lost")
    with pytest.raises(Crash):
        await desk.store.accept(draft)
    await desk.store.close()
    store = await place.open(inline=True)
    with pytest.raises(UnknownMessage):
        await store.message(draft.id)
    assert 1 == (await store.event_range())[1]


async def test_a_crash_after_a_commit_leaves_everything(place: Any, sit_down: Any, gate: Gate) -> None:
    """… or the last thing that did."""
    desk = await _desk(place, sit_down, inline=True, gate=gate)
    message = await desk.accept()
    gate.crash_after = "begin_attempt"
    with pytest.raises(Crash):
        await desk.begin(message)
    await desk.store.close()
    store = await place.open(inline=True)
    assert MessageState.SENDING is (await store.message(message.id)).state
    assert 1 == await store.recover(desk.tick())
    assert ["put_account", "accept", "begin_attempt"] == gate.labels


async def test_the_inline_store_refuses_and_heals_as_the_other_does(sqlite_place: Any, sit_down: Any) -> None:
    """Stories about full disks need no threads either."""
    desk = await _desk(sqlite_place, sit_down, inline=True)
    await desk.store.limit_pages(0)
    with pytest.raises(StoreUnavailable):
        await desk.accept("x" * 90_000)
    assert None is not desk.store.writable()
    give_room(desk)
    assert None is desk.store.writable()
    message = await desk.accept("y")
    with pytest.raises(UnknownMessage):
        await desk.store.cancel(MessageId("m_nothing"), 1)
    assert message == await desk.store.message(message.id)
