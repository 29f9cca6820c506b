"""/v1/events: in order, without gaps, whatever readers do."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.web.conftest import ACCOUNT, CHAT, EventStore, Stream, bare_app_on
from yizhan.model import AccountId, Event
from yizhan.web import hub
from yizhan.web.hub import BEHIND_MAX, RING_FRAMES, frame_of


def test_a_frame_carries_its_id_in_the_line_and_in_the_object() -> None:
    """Clients that keep only the object must be able to resume too."""
    frame = frame_of(Event(184467, 1, "message.state", ACCOUNT, CHAT, b'{"type":"message.state","at":"x"}'))
    expected = b'id: 184467\nevent: message.state\ndata: {"id":"184467","type":"message.state","at":"x"}\n\n'
    assert expected == frame.wire


async def test_without_an_id_a_reader_hears_what_happens_from_now_on(
    bare_app: FastAPI, event_store: EventStore
) -> None:
    """A fresh reader does not want last week again."""
    event_store.commit(3)
    async with Stream(bare_app) as stream:
        event_store.commit(2)
        first = await stream.next()
        assert (4, "message.state", "4") == (first.id, first.event, first.data["id"])
        assert 5 == (await stream.next()).id


async def test_zero_reads_from_the_oldest_kept(bare_app: FastAPI, event_store: EventStore) -> None:
    """Zero is how a new program gets everything there still is."""
    event_store.commit(5)
    event_store.forget_until(2)
    async with Stream(bare_app, last_event_id="0") as stream:
        assert [3, 4, 5] == await stream.ids(3)


async def test_resuming_leaves_nothing_out_while_events_are_committed_in_between(
    event_store: EventStore, tmp_path: Path
) -> None:
    """The hand-over from the store's pages to the ring is where a gap would open."""
    event_store.commit(1300)
    app = bare_app_on(event_store, tmp_path)
    pages = iter([7, 0, 7, 7])

    def meanwhile() -> None:
        event_store.commit(next(pages, 0))

    event_store.while_reading = meanwhile
    async with Stream(app, last_event_id="10") as stream:
        assert list(range(11, 1300)) == await stream.ids(1289)
        event_store.commit(3)
        newest = event_store.kept[-1].id
        assert newest > 1310
        assert list(range(1300, newest + 1)) == await stream.ids(newest - 1299)


async def test_resuming_while_more_passes_than_the_ring_holds(
    event_store: EventStore, tmp_path: Path
) -> None:
    """A flood during the catch-up pushes events out of the ring before the reader gets there."""
    event_store.commit(1200)
    app = bare_app_on(event_store, tmp_path)
    floods = iter([RING_FRAMES * 2, 0, 0, RING_FRAMES * 2, 900])

    def flood() -> None:
        event_store.commit(next(floods, 0))

    event_store.while_reading = flood
    total = 1200 + RING_FRAMES * 4 + 900
    async with Stream(app, last_event_id="1") as stream:
        assert list(range(2, total + 1)) == await stream.ids(total - 1)


async def test_a_flood_during_the_last_page_leaves_no_gap(event_store: EventStore, tmp_path: Path) -> None:
    """The store was read to its end, and while that page travelled the ring has moved on beyond it."""
    event_store.commit(30)
    app = bare_app_on(event_store, tmp_path)
    floods = iter([RING_FRAMES * 2])

    def flood() -> None:
        event_store.commit(next(floods, 0))

    event_store.while_reading = flood
    async with Stream(app, last_event_id="1") as stream:
        total = 30 + RING_FRAMES * 2
        assert list(range(2, total + 1)) == await stream.ids(total - 1)


async def test_an_event_that_is_read_and_published_is_said_once(
    event_store: EventStore, tmp_path: Path
) -> None:
    """A commit becomes readable a moment before it is announced."""
    event_store.commit(3)
    bare_app = bare_app_on(event_store, tmp_path)
    listeners, event_store._listeners = event_store._listeners, []
    event_store.commit(2)
    async with Stream(bare_app, last_event_id="3") as stream:
        assert [4, 5] == await stream.ids(2)
        for listener in listeners:
            listener(event_store.kept[-2:])
        event_store._listeners = listeners
        event_store.commit(1)
        assert 6 == (await stream.next()).id


async def test_a_burst_larger_than_the_ring_reaches_a_reader_that_keeps_up(
    bare_app: FastAPI, event_store: EventStore
) -> None:
    """One transaction may cancel thousands of messages; that is no fault of the reader."""
    async with Stream(bare_app) as stream:
        event_store.commit(RING_FRAMES * 2)
        assert list(range(1, RING_FRAMES * 2 + 1)) == await stream.ids(RING_FRAMES * 2)


async def test_a_reader_too_far_behind_is_disconnected_and_resumes_without_a_gap(
    bare_app: FastAPI, event_store: EventStore
) -> None:
    """A stuck client must cost nothing, and lose nothing."""
    async with Stream(bare_app) as stuck:
        stuck.flowing.clear()
        for _ in range(12):
            event_store.commit(100)
            await asyncio.sleep(0.001)
        await asyncio.wait_for(stuck.task, 5)
        stuck.flowing.set()
        heard = await stuck.rest()
    assert len(heard) < BEHIND_MAX
    last = heard[-1] if heard else 0
    async with Stream(bare_app, last_event_id=str(last)) as again:
        assert list(range(last + 1, 1201)) == await again.ids(1200 - last)


async def test_one_encoding_serves_all_readers(
    bare_app: FastAPI, event_store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoding per reader is what makes other servers eight times dearer."""
    encoded: list[int] = []

    def counting(event: Event) -> hub.Frame:
        encoded.append(event.id)
        return frame_of(event)

    monkeypatch.setattr(hub, "frame_of", counting)
    async with Stream(bare_app) as one, Stream(bare_app) as two, Stream(bare_app) as three:
        event_store.commit(10)
        for stream in (one, two, three):
            assert list(range(1, 11)) == await stream.ids(10)
    assert list(range(1, 11)) == encoded


@pytest.mark.parametrize("last_event_id", ["4", "9", "99999"])
async def test_an_id_that_is_not_kept_is_answered_with_gone(
    bare_app: FastAPI, event_store: EventStore, last_event_id: str
) -> None:
    """Silence would be a gap that nobody sees; an id beyond the newest comes from another store."""
    event_store.commit(20)
    event_store.forget_until(10)
    async with Stream(bare_app, last_event_id=last_event_id) as stream:
        problem = json.loads(await stream.body())
        assert (410, "urn:yizhan:problem:cursor-gone") == (stream.status, problem["type"])


async def test_the_last_forgotten_id_can_still_resume(bare_app: FastAPI, event_store: EventStore) -> None:
    """Whoever has read up to the event before the oldest kept has missed nothing."""
    event_store.commit(20)
    event_store.forget_until(10)
    async with Stream(bare_app, last_event_id="10") as stream:
        assert [11, 12] == await stream.ids(2)


@pytest.mark.parametrize("last_event_id", ["x", "-1", "1.5", "9" * 19, "9" * 400, "٣"])
async def test_an_id_that_is_none_is_refused(bare_app: FastAPI, last_event_id: str) -> None:
    """A client that sends rubbish should hear so, not start somewhere."""
    async with Stream(bare_app, last_event_id=last_event_id) as stream:
        assert 422 == stream.status


async def test_the_id_may_stand_in_the_query_and_the_header_wins(
    bare_app: FastAPI, event_store: EventStore
) -> None:
    """A browser keeps the address it began with and repeats the newest id in the header."""
    event_store.commit(9)
    async with Stream(bare_app, "last_event_id=5") as stream:
        assert 6 == (await stream.next()).id
    async with Stream(bare_app, "last_event_id=5", last_event_id="8") as stream:
        assert 9 == (await stream.next()).id


async def test_filters_leave_out_other_accounts_and_types(bare_app: FastAPI, event_store: EventStore) -> None:
    """A program for one account need not read the others' traffic."""
    other = AccountId("weixin:zz99@im.bot")
    async with Stream(bare_app, f"account={other}&types=message.state,turn.state") as stream:
        event_store.commit(2)
        event_store.commit(1, other, "message.received")
        event_store.commit(1, other, "turn.state")
        assert (4, "turn.state") == ((heard := await stream.next()).id, heard.event)
    async with Stream(bare_app, "types=mesage.state") as stream:
        assert 422 == stream.status


async def test_a_quiet_stream_carries_comments(
    bare_app: FastAPI, event_store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies cut lines that say nothing, and a client wants to know that its line lives."""
    monkeypatch.setattr(hub, "COMMENT_EVERY_S", 0.02)
    async with Stream(bare_app) as stream:
        await stream._until(lambda: stream._buffer.count(b"\n\n") > 1)
        event_store.commit(1)
        assert 1 == (await stream.next()).id
        assert stream.comments > 1


async def test_a_client_that_takes_nothing_is_let_go_though_nothing_happens(
    bare_app: FastAPI, event_store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that hangs half open would stay for ever on a quiet night."""
    monkeypatch.setattr(hub, "COMMENT_EVERY_S", 0.02)
    async with Stream(bare_app) as stuck, Stream(bare_app) as healthy:
        stuck.flowing.clear()
        event_store.commit(1)
        await asyncio.wait_for(asyncio.shield(stuck.task), 5)
        assert 1 == (await healthy.next()).id
        assert 1 == bare_app.state.hub.readers


async def test_stopping_ends_every_stream_at_once(bare_app: FastAPI) -> None:
    """A reader, even a stuck one, must not hold the process up when it is told to stop."""
    store_of = bare_app.state.gateway.store
    async with (
        Stream(bare_app) as idle,
        Stream(bare_app) as stuck,
        Stream(bare_app, last_event_id="0") as old,
    ):
        stuck.flowing.clear()
        store_of.commit(3)
        assert [1, 2, 3] == await idle.ids(3)
        began = time.monotonic()
        bare_app.state.gateway.stopping.set()
        await asyncio.gather(idle.end(), old.end())
        async with asyncio.timeout(2):
            await asyncio.shield(stuck.task)
        assert time.monotonic() - began < 2
    assert 0 == bare_app.state.hub.readers


async def test_a_client_that_goes_away_is_forgotten(bare_app: FastAPI) -> None:
    """Readers come and go for months; none may stay behind."""
    async with Stream(bare_app) as stream:
        assert 1 == bare_app.state.hub.readers
        stream.hang_up()
        await stream.end()
    assert 0 == bare_app.state.hub.readers


async def test_a_store_that_fails_during_the_catch_up_ends_the_stream(
    event_store: EventStore, tmp_path: Path
) -> None:
    """The client resumes with what it has, instead of missing what could not be read."""
    event_store.commit(1200)

    def break_down() -> None:
        event_store.broken = True

    app = bare_app_on(event_store, tmp_path)
    event_store.while_reading = break_down
    async with Stream(app, last_event_id="1") as stream:
        assert list(range(2, 502)) == await stream.ids(500)
        with pytest.raises(EOFError):
            await stream.next()
