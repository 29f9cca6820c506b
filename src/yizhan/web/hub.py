"""The ring of events and its readers: gap-free, in order, encoded once for all.

    store ──commit──► EventHub.ring  [… 412 413 414]  ◄── each reader has its own place
      └── pages ──► a reader that asks for more than the ring holds, until it meets the ring

An event becomes bytes when it is committed, once, however many read it. The ring holds the last
RING_FRAMES frames. A reader that resumes with an older id is served from the store in pages and enters the
ring when what it has read touches it; ids decide, so that nothing is left out or said twice, whatever is
committed meanwhile. A reader never makes anything wait: its place is a number. One whose client lets more
than BEHIND_MAX frames pass is cut, and the client resumes with the id it has.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Send

from yizhan.errors import CursorGone, StoreError
from yizhan.model import AccountId, ChatId, Event
from yizhan.ports import Store

RING_FRAMES = 2000
BEHIND_MAX = 1000
PAGE_EVENTS = 500
COMMENT_EVERY_S = 15.0
STUCK_BEATS = 4
"""A reader that takes nothing for so many comments' time is gone."""

OPENING = b": open\n\n"
COMMENT = b": \n\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """An event as it goes over the wire, with what filters ask for."""

    id: int
    type: str
    account: AccountId | None
    chat: ChatId | None
    wire: bytes


def frame_of(event: Event) -> Frame:
    """The stored object, its id as first member, in the lines of a server-sent event."""
    number = b"%d" % event.id
    wire = b'id: %b\nevent: %b\ndata: {"id":"%b",%b\n\n' % (
        number,
        event.type.encode(),
        number,
        event.data[1:],
    )
    return Frame(event.id, event.type, event.account, event.chat, wire)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader wants to hear of; empty means everything."""

    account: AccountId | None = None
    chat: ChatId | None = None
    types: frozenset[str] = frozenset()

    def wire(self, frames: Sequence[Frame]) -> bytes:
        """The bytes of those frames that are wanted."""
        if self.account is None and not self.types:
            return b"".join([frame.wire for frame in frames])
        return b"".join([frame.wire for frame in frames if self._takes(frame)])

    def _takes(self, frame: Frame) -> bool:
        return (
            (self.account is None or frame.account == self.account)
            and (self.chat is None or frame.chat == self.chat)
            and (not self.types or frame.type in self.types)
        )


EVERYTHING = Wanted()


class EventHub:
    """The ring and its readers.

    `stopping` ends every stream at once. The hub listens to the store from its making on.
    """

    def __init__(self, store: Store, stopping: asyncio.Event) -> None:
        self._store = store
        self.stopping = stopping
        self._ring: list[Frame] = []
        self._passed = 0
        self._lost_id = 0
        self._readers: set[Reader] = set()
        self._watch: asyncio.Task[None] | None = None
        store.subscribe(self._publish)

    @property
    def readers(self) -> int:
        """Streams that are open."""
        return len(self._readers)

    @property
    def end(self) -> int:
        """Place behind the newest frame; places count frames since the hub was made."""
        return self._passed + len(self._ring)

    def _publish(self, events: Sequence[Event]) -> None:
        self._ring.extend(map(frame_of, events))
        self._trim()
        for reader in tuple(self._readers):
            reader.notice(self.end)

    def _trim(self) -> None:
        """Forgets old frames, many at a time."""
        surplus = len(self._ring) - RING_FRAMES
        if surplus > RING_FRAMES // 4:
            self._lost_id = self._ring[surplus - 1].id
            del self._ring[:surplus]
            self._passed += surplus

    def holds(self, place: int) -> bool:
        """Whether everything from this place on is still in the ring."""
        return place >= self._passed

    def frames_from(self, place: int) -> Sequence[Frame]:
        """Frames at and behind a place that the ring holds."""
        return self._ring[place - self._passed :]

    def place_after(self, event_id: int) -> int | None:
        """Where a reader that knows all up to `event_id` goes on; None if the ring alone cannot tell."""
        if not self._ring or event_id < max(self._lost_id, self._ring[0].id):
            return None
        return self._after(event_id)

    def place_after_newest(self, event_id: int) -> int | None:
        """The same for a reader that has just read the store to its end; None if the ring has moved on."""
        return None if event_id < self._lost_id else self._after(event_id)

    def _after(self, event_id: int) -> int:
        return self._passed + bisect_right(self._ring, event_id, key=lambda frame: frame.id)

    async def open(self, after_id: int | None, wanted: Wanted = EVERYTHING) -> Reader:
        """A reader that knows everything up to `after_id`; None: that begins now.

        Raises:  CursorGone  events after that id are no longer kept, or it is none of this stream.
        """
        if after_id is None:
            newest_id = self._ring[-1].id if self._ring else (await self._store.event_range())[1]
            return Reader(self, wanted, newest_id, self.end)
        if after_id:
            await self._check_kept(after_id)
        return Reader(self, wanted, after_id, None)

    async def _check_kept(self, after_id: int) -> None:
        oldest, newest = await self._store.event_range()
        if not oldest - 1 <= after_id <= newest:
            raise CursorGone(
                f"Events after id {after_id} are not kept: the stream goes from {oldest} to {newest}.",
                "Read the present state from /v1/messages and /v1/accounts, then connect without Last-Event-ID.",
            )

    async def page_after(self, event_id: int) -> tuple[list[Frame], bool]:
        """The next frames from the store, and whether these were the last."""
        events = await self._store.events_after(event_id, PAGE_EVENTS)
        return [frame_of(event) for event in events], len(events) < PAGE_EVENTS

    def join(self, reader: Reader) -> None:
        """Counts a stream in; the first one starts the watch over all."""
        self._readers.add(reader)
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_over(), name="events-watch")

    def leave(self, reader: Reader) -> None:
        self._readers.discard(reader)
        if not self._readers and self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def _watch_over(self) -> None:
        """One clock for all readers: a beat now and then, and the end when the process stops."""
        while not await self._stopping_within(COMMENT_EVERY_S):
            for reader in tuple(self._readers):
                reader.beat()
        for reader in tuple(self._readers):
            reader.cut()

    async def _stopping_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self.stopping.wait()
        except TimeoutError:
            return False


class Reader:
    """One stream's place among the events. `run` sends until the reader is cut.

    It has read everything up to `last_id`; `place` is where the ring goes on, None while the store must be read.
    """

    def __init__(self, hub: EventHub, wanted: Wanted, last_id: int, place: int | None) -> None:
        self._hub = hub
        self._wanted = wanted
        self._last_id = last_id
        self._place = place
        self._news = asyncio.Event()
        self._life = asyncio.timeout(None)
        self._sending = False
        self._beats_stuck = 0
        self._comment_due = False
        self._over = False

    def notice(self, end: int) -> None:
        """There are new frames. A reader whose client let too many pass is cut."""
        self._news.set()
        if self._sending and self._place is not None and end - self._place > BEHIND_MAX:
            self.cut()

    def beat(self) -> None:
        """Time for a comment. A reader that still sends what it sent some beats ago is cut."""
        self._beats_stuck = self._beats_stuck + 1 if self._sending else 0
        if self._beats_stuck >= STUCK_BEATS:
            self.cut()
        self._comment_due = True
        self._news.set()

    def cut(self) -> None:
        """Ends the stream, also in the middle of a send that does not get through."""
        self._over = True
        self._news.set()
        with contextlib.suppress(RuntimeError, AssertionError):  # has not begun yet, or has ended already
            self._life.reschedule(asyncio.get_running_loop().time())

    async def run(self, send: Send) -> None:
        """Sends frames and comments until cut, or until the store cannot be read; the client resumes."""
        with contextlib.suppress(TimeoutError, StoreError):
            async with self._life:
                await self._send(send, OPENING)
                while not self._over:
                    await self._send(send, await self._next())

    async def _send(self, send: Send, wire: bytes) -> None:
        if not wire:
            return
        self._sending = True
        await send({"type": "http.response.body", "body": wire, "more_body": True})
        self._sending = False
        self._beats_stuck = 0

    async def _next(self) -> bytes:
        """The next bytes to send; empty if there is nothing to say yet."""
        if self._place is None or not self._hub.holds(self._place):
            return await self._from_store()
        return self._from_ring(self._place) or await self._pause()

    async def _from_store(self) -> bytes:
        """One page, unless the ring goes on where we are; at the store's end it always does."""
        self._place = self._hub.place_after(self._last_id)
        if self._place is not None:
            return b""
        frames, was_last = await self._hub.page_after(self._last_id)
        if frames:
            self._last_id = frames[-1].id
        if was_last:
            self._place = self._hub.place_after_newest(self._last_id)
        return self._wanted.wire(frames)

    def _from_ring(self, place: int) -> bytes:
        """What the ring holds from our place on; the place moves behind it."""
        self._news.clear()
        frames = [frame for frame in self._hub.frames_from(place) if frame.id > self._last_id]
        self._place = self._hub.end
        if frames:
            self._last_id = frames[-1].id
        return self._wanted.wire(frames)

    async def _pause(self) -> bytes:
        """Waits for news. A comment now and then shows both sides that the line lives."""
        await self._news.wait()
        if self._comment_due:
            self._comment_due = False
            return COMMENT
        return b""
