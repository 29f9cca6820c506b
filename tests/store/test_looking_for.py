"""What the windows look for: by words, by cause, by time; and nothing typed is taken for a pattern."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from yizhan.model import MessageState, Reason, WaitingFor
from yizhan.ports import MessageFilter, Page

Desk = Any


def words_of(page: Page[Any]) -> list[str]:
    return [row.text for row in page.rows]


async def test_a_timeline_is_searched_whatever_the_case(desk: Desk) -> None:
    await desk.receive(desk.arrival("Where is the REPORT?"), desk.arrival("100% of it_all"))
    await desk.accept("The report is ready.")
    await desk.accept("50 of all")
    found = await desk.store.timeline(desk.target(), None, 10, "report")
    assert ["The report is ready.", "Where is the REPORT?"] == words_of(found)
    first = await desk.store.timeline(desk.target(), None, 1, "report")
    rest = await desk.store.timeline(desk.target(), first.next, 1, "report")
    assert (found.rows, None) == (first.rows + rest.rows, rest.next)
    for typed in ("100%", "it_all"):
        assert ["100% of it_all"] == words_of(await desk.store.timeline(desk.target(), None, 10, typed))
    assert () == (await desk.store.timeline(desk.target(), None, 10, "_eport")).rows


async def test_chats_are_found_by_name_and_by_id(desk: Desk) -> None:
    for chat, name in (("o1@im.wechat", "Ming"), ("o2@im.wechat", "Lin"), ("o3%@im.wechat", "")):
        arrival = desk.arrival("hi")
        await desk.receive(replace(arrival, heard=replace(arrival.heard, chat=chat, sender_name=name)))
    for typed, expected in (("MIN", ["o1@im.wechat"]), ("o2@", ["o2@im.wechat"]), ("%", ["o3%@im.wechat"])):
        page = await desk.store.chats(None, None, 10, typed)
        assert expected == [chat.id for chat in page.rows]
    assert 3 == len((await desk.store.chats(None, None, 10)).rows)


async def test_messages_are_found_by_cause(desk: Desk) -> None:
    """What it waits for, or why it ended."""
    waits, fails, queued = [await desk.accept(text) for text in ("waits", "fails", "queued")]
    await desk.begin(waits)
    limited = desk.entry(waits, MessageState.WAITING, WaitingFor.LIMIT, reason=Reason("-2", "rate limited"))
    await desk.settle(waits, entry=limited)
    code = "rejected"
    await desk.begin(fails)
    await desk.settle(fails, entry=desk.entry(fails, MessageState.FAILED, reason=Reason(code, "no")))
    for where, expected in (
        (MessageFilter(cause="limit"), [waits.id]),
        (MessageFilter(cause="-2"), [waits.id]),
        (MessageFilter(cause=code), [fails.id]),
        (MessageFilter(cause=code, states=frozenset({MessageState.FAILED})), [fails.id]),
        (MessageFilter(states=frozenset({MessageState.QUEUED, MessageState.WAITING})), [queued.id, waits.id]),
        (MessageFilter(cause="allowance"), []),
    ):
        assert expected == [message.id for message in (await desk.store.messages(where, None, 10)).rows]


async def test_counts_tell_what_waits_for_what_and_which_is_the_oldest(desk: Desk) -> None:
    first, second = await desk.accept("first"), await desk.accept("second")
    await desk.begin(second)
    limited = desk.entry(second, MessageState.WAITING, WaitingFor.LIMIT)
    await desk.settle(second, entry=limited)
    counts = await desk.store.counts()
    assert {first.account: {WaitingFor.LIMIT: 1}} == counts.waits_for
    assert {first.account: first.id} == counts.oldest_live
    assert 2 == sum(counts.by_account_state.values())


async def test_the_day_is_told_by_steps(desk: Desk) -> None:
    """Deliveries as a picture: by when they were accepted, in the state in which they are now."""
    began_ms = desk.now_ms
    sent = await desk.accept("sent")
    await desk.deliver(sent)
    queued = await desk.accept("queued")
    step_ms = queued.created_at_ms - began_ms
    tallies = await desk.store.tallies(began_ms, step_ms)
    assert [
        (began_ms, {MessageState.DELIVERED: 1}),
        (queued.created_at_ms, {MessageState.QUEUED: 1}),
    ] == [(tally.since_ms, dict(tally.by_state)) for tally in tallies]
    assert () == await desk.store.tallies(queued.created_at_ms + 1, step_ms)
