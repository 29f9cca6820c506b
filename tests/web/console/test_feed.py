"""Pages learn of changes, at their own pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from yizhan.model import AccountId, ChatId, Event, Target
from yizhan.runtime.clock import SystemClock
from yizhan.web.console.feed import Feed, follow

ACCOUNT = AccountId("weixin:ab12@im.bot")
HERE = Target(ACCOUNT, ChatId("here"))
THERE = Target(ACCOUNT, ChatId("there"))


class Spring:
    """The one verb of a store that a feed needs."""

    def subscribe(self, listener: Callable[[Sequence[Event]], None]) -> None:
        self.tell = listener

    def happens(self, target: Target | None) -> None:
        account, chat = (target.account, target.chat) if target else (ACCOUNT, None)
        self.tell([Event(1, 1, "message.state", account, chat, b"{}")])


def feed_and_spring() -> tuple[Feed, Spring]:
    spring: Any = Spring()
    return Feed(spring), spring


async def test_a_storm_of_events_is_shown_in_few_refreshes() -> None:
    """Ten thousand settled messages must not mean ten thousand reads per open page."""
    feed, spring = feed_and_spring()
    seen: list[int] = []

    async def refresh() -> None:
        seen.append(1)

    loop = asyncio.get_running_loop()
    began_s = loop.time()
    page = asyncio.create_task(follow(feed.watch(HERE), SystemClock(), refresh, 50))
    for _ in range(40):
        for _ in range(250):
            spring.happens(HERE)
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.15)
    page.cancel()
    assert 2 <= len(seen) <= 2 + (loop.time() - began_s) / 0.05, "one for each gap, however long it all took"


async def test_the_last_change_is_always_shown() -> None:
    """What happens while a page is being read must be read again."""
    feed, spring = feed_and_spring()
    truth, last_shown = [0], asyncio.Event()

    async def refresh() -> None:
        read = truth[0]
        await asyncio.sleep(0.01)
        if read == 19:
            last_shown.set()

    page = asyncio.create_task(follow(feed.watch(), SystemClock(), refresh, 5))
    for number in range(20):
        truth[0] = number
        spring.happens(THERE)
        await asyncio.sleep(0.003)
    async with asyncio.timeout(5):
        await last_shown.wait()
    page.cancel()


async def test_a_chat_hears_of_itself_and_its_account_only() -> None:
    """A busy chat must not redraw everybody else's page."""
    feed, spring = feed_and_spring()
    watch = feed.watch(HERE)
    spring.happens(THERE)
    assert not await _told(watch)
    spring.happens(HERE)
    assert await _told(watch)
    spring.happens(None)
    assert await _told(watch)


async def test_a_closed_page_is_forgotten() -> None:
    feed, _ = feed_and_spring()
    page = asyncio.create_task(follow(feed.watch(), SystemClock(), _nothing, 1))
    await asyncio.sleep(0.01)
    assert 1 == feed.watches
    page.cancel()
    with suppress(asyncio.CancelledError):
        await page
    assert 0 == feed.watches


async def test_a_page_that_followed_nothing_is_forgotten_as_well() -> None:
    """As the form of a new schedule, or one that could not be drawn: each visit would leave something behind."""
    feed, _ = feed_and_spring()
    closed: list[Callable[[], None]] = []
    feed.watch(None, closed.append)
    assert 1 == feed.watches
    for close in closed * 2:
        close()
    assert 0 == feed.watches


async def _nothing() -> None:
    pass


async def _told(watch: Any) -> bool:
    try:
        async with asyncio.timeout(0.02):
            await watch.changed(None)
    except TimeoutError:
        return False
    return True
