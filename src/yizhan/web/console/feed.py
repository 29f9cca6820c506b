"""From the store's events to pages that are out of date.

One listener at the store serves every open page. An event only marks the pages it concerns; each page reads
again what it shows, at its own pace, so that a storm of events costs a page a few reads per second and the
store's writer nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from yizhan.model import Event, Target
from yizhan.ports import Clock, Store

GAP_MS = 200
"""Changes within this time are shown together."""
SHARE = 9
"""A page that is slow to read rests this many times as long as it took: one page never takes over a tenth."""

WhenGone = Callable[[Callable[[], None]], None]


class Watch:
    """One page's wish to hear of changes: of one chat, or of everything (`target` None)."""

    def __init__(self, feed: Feed, target: Target | None) -> None:
        self._feed = feed
        self.target = target
        self._news = asyncio.Event()

    def notice(self) -> None:
        self._news.set()

    async def changed(self, within_ms: int | None) -> None:
        """Until something has changed since the last call, or for `within_ms`."""
        try:
            async with asyncio.timeout(None if within_ms is None else within_ms / 1000):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    def close(self) -> None:
        self._feed.drop(self)


class Feed:
    """The listener. Lives in the event loop's thread."""

    def __init__(self, store: Store) -> None:
        self._watches: set[Watch] = set()
        store.subscribe(self._publish)

    @property
    def watches(self) -> int:
        """Pages that are open."""
        return len(self._watches)

    def watch(self, target: Target | None = None, on_gone: WhenGone = lambda close: None) -> Watch:
        """`on_gone` is given what to do when the page is gone, also a page that never comes to follow anything."""
        watch = Watch(self, target)
        self._watches.add(watch)
        on_gone(watch.close)
        return watch

    def drop(self, watch: Watch) -> None:
        self._watches.discard(watch)

    def _publish(self, events: Sequence[Event]) -> None:
        if not self._watches:
            return
        touched = {(event.account, event.chat) for event in events}
        accounts = {event.account for event in events if event.chat is None}
        for watch in self._watches:
            where = watch.target
            if where is None or (where.account, where.chat) in touched or where.account in accounts:
                watch.notice()


async def follow(
    watch: Watch, clock: Clock, refresh: Callable[[], Awaitable[int | None]], gap_ms: int = GAP_MS
) -> None:
    """Refreshes whenever something has changed, until cancelled.

    Args:  refresh  shows what is true now; answers after how many ms it wants to look again even if nothing
                    is reported (what gates make a message wait for is no event), None: only when told
    """
    try:
        within_ms: int | None = gap_ms
        while True:
            await watch.changed(within_ms)
            began_ms = clock.now_ms()
            within_ms = await refresh()
            await clock.sleep_ms(max(gap_ms, SHARE * (clock.now_ms() - began_ms)))
    finally:
        watch.close()
