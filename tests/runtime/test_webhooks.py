"""Events posted to programs: signed, in order, each until it is taken, over crashes, outages and second thoughts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulation.virtual import SeededChance, VirtualClock, in_virtual_time
from yizhan.core.signing import key_of, signature
from yizhan.errors import CursorGone, InvalidRequest, StoreUnavailable, UnknownWebhook
from yizhan.model import Access, AccountId, ChatId, Credentials, Dispatch, InboundId, Webhook
from yizhan.ports import Absence, AbsenceKind, Answer, Arrival, Heard, InboundCommit, Reply, Request
from yizhan.runtime.repeats import Asked
from yizhan.runtime.supervisor import Supervisor
from yizhan.runtime.views import WebhookWish
from yizhan.runtime.webhooks import WAIT_CAP_MS, Webhooks
from yizhan.store import SqlStore, open_store

A, B = AccountId("weixin:a@im.bot"), AccountId("weixin:b@im.bot")
URL = "https://example.com/hook"
TAKEN = Answer(204, {}, b"")
AWAY = Absence(AbsenceKind.NOT_SENT, "example.com: the connection failed")


class Program:
    """Who is posted to. `says` decides what each request is answered."""

    def __init__(self) -> None:
        self.got: list[Request] = []
        self.at_ms: list[int] = []
        self.says: Callable[[Request], Reply] = lambda request: TAKEN
        self.takes_s = 0.01
        self.clock: VirtualClock

    async def call(self, request: Request) -> Reply:
        self.got.append(request)
        self.at_ms.append(self.clock.now_ms())
        await asyncio.sleep(self.takes_s)
        return self.says(request)

    async def close(self) -> None:
        pass

    def events(self) -> list[int]:
        return [int(json.loads(request.body)["id"]) for request in self.got]


class House:
    """A store and what posts its events; can be crashed and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = Program()
        self.store: SqlStore
        self.hooks: Webhooks

    async def start(self, private_allowed: bool = False) -> None:
        clock, chance = VirtualClock(), SeededChance(1)
        self.program.clock = clock
        self.clock = clock
        self.store = await open_store(None, self.home, clock=clock, chance=chance, inline=True)
        self._supervisor = Supervisor(clock, chance)
        self.hooks = Webhooks(self.store, clock, chance, self.program, self._supervisor, private_allowed)
        self.store.subscribe(self.hooks.note)
        await self.hooks.open()
        self.hooks.start()

    async def crash(self) -> None:
        await self._supervisor.stop()
        await self.store.close()

    async def happens(self, times: int = 1, account: AccountId = A) -> None:
        """One event each."""
        for _ in range(times):
            await self.store.put_account(account, Credentials("s", "http://x"), self.clock.now_ms())

    async def heard(self, text: str) -> None:
        heard = Heard(ChatId("c"), "c2c", None, "s", "Ann", text, "", (), 0)
        arrival = Arrival(InboundId(f"in_{text}"), heard, 5, Access.ALLOWED, Dispatch.DONE)
        await self.store.commit_inbound(InboundCommit(A, (arrival,), None, 5))


@pytest.fixture
def house(home: Path) -> House:
    return House(home)


async def _added(house: House, **wish: Any) -> Webhook:
    return await house.hooks.add(URL, WebhookWish(**wish))


@in_virtual_time
async def test_each_event_is_posted_once_in_order_and_signed(house: House) -> None:
    """As Standard Webhooks have it: whoever has the secret can check id, time and body."""
    await house.start()
    await house.happens()
    hook = await _added(house)
    await house.happens(5)
    await asyncio.sleep(1)
    assert [2, 3, 4, 5, 6] == house.program.events(), "what was before it is not posted"
    for request in house.program.got:
        name, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        expected = signature(key_of(hook.secret), name, stamp, request.body)
        assert (expected, f"evt_{json.loads(request.body)['id']}") == (
            request.headers["webhook-signature"],
            name,
        )
        assert abs(int(stamp) * 1000 - house.clock.now_ms()) < 5_000
    assert (6, 0) == (house.hooks.one(hook.id).cursor, house.hooks.one(hook.id).failures)
    posts = (await house.hooks.posts(hook.id)).rows
    assert [(204, None, 1)] * 5 == [(post.status, post.reason, post.tries) for post in posts]
    await house.crash()


@in_virtual_time
async def test_one_whose_adding_was_not_heard_out_keeps_the_secret_that_is_on_disk(house: House) -> None:
    """The repeat was told another secret than the next start would sign with."""
    await house.start()
    asked, real = Asked("webhook", "k", "sha"), house.store.add_webhook

    async def lost(hook: Webhook) -> Webhook:
        await real(hook)
        raise StoreUnavailable("The answer was lost.", "Try again.")

    house.store.add_webhook = lost  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await house.hooks.add_once(URL, WebhookWish(), asked)
    house.store.add_webhook = real  # type: ignore[method-assign]
    hook, _ = await house.hooks.add_once(URL, WebhookWish(), asked)
    assert [(hook.id, hook.secret)] == [(kept.id, kept.secret) for kept in await house.store.webhooks()]
    await house.crash()


@in_virtual_time
async def test_what_is_not_taken_is_posted_again_and_nothing_overtakes_it(house: House) -> None:
    """An hour's outage: a handful of tries, ever rarer, then everything in order."""
    await house.start()
    hook = await _added(house)
    house.program.says = lambda request: AWAY
    await house.happens(3)
    await asyncio.sleep(3_600)
    tries = len(house.program.got)
    assert {1} == set(house.program.events())
    assert 8 <= tries <= 25
    gaps = [late - early for early, late in zip(house.program.at_ms, house.program.at_ms[1:], strict=False)]
    assert max(gaps) <= WAIT_CAP_MS + 1_000
    shown = house.hooks.one(hook.id)
    assert (tries, "no-answer") == (shown.failures, shown.reason and shown.reason.code)
    assert shown.next_attempt_at_ms is not None
    house.program.says = lambda request: TAKEN
    await asyncio.sleep(WAIT_CAP_MS / 1000)
    assert [1, 2, 3] == house.program.events()[-3:]
    assert (0, None, None) == (
        house.hooks.one(hook.id).failures,
        house.hooks.one(hook.id).failing_since_ms,
        house.hooks.one(hook.id).reason,
    )
    await house.crash()


@in_virtual_time
async def test_a_program_that_was_away_is_tried_at_once_when_the_host_has_slept(house: House) -> None:
    """The night's events came a quarter of an hour after the laptop was opened; its network was there in seconds."""
    await house.start()
    await _added(house)
    house.program.says = lambda request: AWAY
    await house.happens()
    await asyncio.sleep(4 * 3_600)
    tried = len(house.program.got)
    while len(house.program.got) == tried:
        await asyncio.sleep(10)
    house.clock.host.sleep(8 * 3_600_000)
    house.clock.resync()
    house.hooks.look()
    await asyncio.sleep(8)
    tries = len(house.program.got) - tried
    assert 3 <= tries <= 8, "quickly again, and no hammering"
    house.program.says = lambda request: TAKEN
    await asyncio.sleep(20)
    (hook,) = house.hooks.all()
    assert (0, None) == (hook.failures, hook.next_attempt_at_ms)


@in_virtual_time
async def test_after_a_crash_it_goes_on_where_it_was(house: House) -> None:
    """What was taken is not posted again; what was not comes first."""
    await house.start()
    hook = await _added(house)
    await house.happens(3)
    await asyncio.sleep(1)
    house.program.says = lambda request: Answer(500, {}, b"what?")
    await house.happens(2)
    await asyncio.sleep(1)
    await house.crash()
    house.program.got.clear()
    house.program.says = lambda request: TAKEN
    await house.start()
    assert (1, "http-500") <= (house.hooks.one(hook.id).failures, house.hooks.one(hook.id).reason.code)
    await asyncio.sleep(1)
    assert [4, 5] == house.program.events()
    assert hook.secret == house.hooks.one(hook.id).secret
    await house.crash()


@in_virtual_time
async def test_what_was_not_taken_is_shown_also_after_a_restart(house: House) -> None:
    """An operator who comes in the morning sees what the night has cost, and after how many posts it went."""
    await house.start()
    hook = await _added(house)
    await house.happens(2)
    await asyncio.sleep(1)
    house.program.says = lambda request: Answer(500, {}, b"")
    await house.happens()
    await asyncio.sleep(10)
    tries = len(house.program.got) - 2
    await house.crash()
    house.program.got.clear()
    house.program.says = lambda request: AWAY
    await house.start()
    (failed,) = (await house.hooks.posts(hook.id, failed_only=True)).rows
    assert (3, 500, "http-500", tries) == (failed.event, failed.status, failed.reason.code, failed.tries)
    assert [3, 2, 1] == [post.event for post in (await house.hooks.posts(hook.id)).rows]
    house.program.says = lambda request: TAKEN
    await asyncio.sleep(WAIT_CAP_MS / 1000)
    assert () == (await house.hooks.posts(hook.id, failed_only=True)).rows
    page = await house.hooks.posts(hook.id, limit=2)
    (last,) = (await house.hooks.posts(hook.id, after=page.next)).rows
    assert ([3, 2], 1) == ([post.event for post in page.rows], last.event)
    assert tries < page.rows[0].tries
    await house.hooks.remove(hook.id)
    assert () == (await house.store.webhook_posts(hook.id, False, None, 10)).rows
    await house.crash()


@in_virtual_time
async def test_a_crash_while_a_post_is_on_its_way_posts_it_again(house: House) -> None:
    """Under the same id: the program may have taken it, and knows it then."""
    await house.start()
    hook = await _added(house)
    house.program.takes_s = 5
    await house.happens()
    await asyncio.sleep(1)
    await house.crash()
    house.program.takes_s = 0.01
    await house.start()
    await asyncio.sleep(1)
    assert [1, 1] == house.program.events()
    assert 1 == len({request.headers["webhook-id"] for request in house.program.got})
    assert 1 == house.hooks.one(hook.id).cursor
    await house.crash()


@in_virtual_time
async def test_text_goes_only_where_it_may(house: House) -> None:
    """And filters leave out the rest, without holding anything up."""
    await house.start()
    plain = await _added(house)
    private = await _added(house, private=True, types=frozenset({"message.received"}))
    other = await _added(house, account=B)
    await house.happens()
    await house.heard("secret words")
    await house.happens(account=B)
    await asyncio.sleep(1)
    by_hook = {
        hook.id: [post.type for post in reversed((await house.hooks.posts(hook.id)).rows)]
        for hook in (plain, private, other)
    }
    assert {
        plain.id: ["account.state", "account.state"],
        private.id: ["message.received"],
        other.id: ["account.state"],
    } == by_hook
    assert 1 == sum(b"secret words" in request.body for request in house.program.got)
    assert {3} == {hook.cursor for hook in house.hooks.all()}
    await house.crash()


@in_virtual_time
async def test_replay_pause_resume_and_remove(house: House) -> None:
    """A person who has mended his program wants the night once more."""
    await house.start()
    hook = await _added(house)
    await house.happens(3)
    await asyncio.sleep(1)
    await house.hooks.replay(hook.id, 1)
    await asyncio.sleep(1)
    assert [1, 2, 3, 2, 3] == house.program.events()
    with pytest.raises(CursorGone):
        await house.hooks.replay(hook.id, 99)
    await house.hooks.change(hook.id, WebhookWish(paused=True))
    await house.happens()
    await asyncio.sleep(120)
    assert 5 == len(house.program.got)
    await house.hooks.change(hook.id, WebhookWish(paused=False, url="https://example.com/other"))
    await asyncio.sleep(1)
    assert (4, "https://example.com/other") == (house.program.events()[-1], house.program.got[-1].url)
    await house.hooks.remove(hook.id)
    await house.happens()
    await asyncio.sleep(120)
    assert 6 == len(house.program.got)
    with pytest.raises(UnknownWebhook):
        house.hooks.one(hook.id)
    await house.crash()


@in_virtual_time
async def test_a_test_is_posted_once_and_moves_nothing(house: House) -> None:
    """Whoever has added an address wants to see it answer before something happens, also while it is paused."""
    await house.start()
    hook = await _added(house, paused=True)
    house.program.says = lambda request: Answer(500, {}, b"")
    refused = await house.hooks.test(hook.id)
    house.program.says = lambda request: TAKEN
    taken = await house.hooks.test(hook.id)
    assert [(0, 500), (0, 204)] == [(post.event, post.status) for post in (refused, taken)]
    assert taken.reason is None
    await asyncio.sleep(60)
    first, second = house.program.got
    assert {"id": "0", "type": "webhook.test", "webhook": hook.id}.items() <= json.loads(second.body).items()
    name, stamp = second.headers["webhook-id"], second.headers["webhook-timestamp"]
    assert name.startswith("test_")
    assert first.headers["webhook-id"] != name
    assert signature(key_of(hook.secret), name, stamp, second.body) == second.headers["webhook-signature"]
    assert (hook, (taken,)) == (house.hooks.one(hook.id), (await house.hooks.posts(hook.id)).rows)
    with pytest.raises(UnknownWebhook):
        await house.hooks.test("wh_none")
    await house.crash()


def loses_its_answer(house: House, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """The store carries the next one out, and nobody hears of it."""
    write = getattr(house.store, verb)

    async def once(*given: Any) -> None:
        monkeypatch.setattr(house.store, verb, write)
        await write(*given)
        raise StoreUnavailable("The answer was lost.", "")

    monkeypatch.setattr(house.store, verb, once)


@in_virtual_time
async def test_asked_again_after_a_lost_answer_it_signs_with_the_secret_that_it_shows(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second answer showed a new secret; what was posted after a restart was signed with the first."""
    await house.start()
    loses_its_answer(house, monkeypatch, "add_webhook")
    asked = Asked("webhook", "key 1", "same")
    with pytest.raises(StoreUnavailable):
        await house.hooks.add_once(URL, WebhookWish(), asked)
    hook, _ = await house.hooks.add_once(URL, WebhookWish(), asked)
    assert (hook.secret,) == tuple(stored.secret for stored in await house.store.webhooks())
    await house.happens()
    await asyncio.sleep(1)
    assert 1 == len(house.program.got)
    await house.crash()


@in_virtual_time
async def test_what_the_store_did_without_an_answer_is_so_without_a_restart(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook that nobody saw began to post with the next start, and a removed one went on until then."""
    await house.start()
    loses_its_answer(house, monkeypatch, "add_webhook")
    with pytest.raises(StoreUnavailable):
        await house.hooks.add(URL, WebhookWish())
    await asyncio.sleep(1)
    (hook,) = house.hooks.all()
    await house.happens()
    await asyncio.sleep(1)
    assert 1 == len(house.program.got)
    loses_its_answer(house, monkeypatch, "remove_webhook")
    with pytest.raises(StoreUnavailable):
        await house.hooks.remove(hook.id)
    await asyncio.sleep(1)
    assert () == house.hooks.all()
    await house.happens()
    await asyncio.sleep(1)
    assert 1 == len(house.program.got)
    await house.crash()


@in_virtual_time
async def test_two_operators_who_change_different_things_at_once_both_have_their_way(house: House) -> None:
    """Neither's choice is undone by the other's, in memory or on disk."""
    await house.start()
    hook = await _added(house)
    wishes = (WebhookWish(paused=True), WebhookWish(types=frozenset({"alert"})), WebhookWish(private=True))
    await asyncio.gather(*(house.hooks.change(hook.id, wish) for wish in wishes))
    for _ in range(2):
        found = house.hooks.one(hook.id)
        assert (True, {"alert"}, True) == (found.paused, found.types, found.private)
        await house.crash()
        await house.start()
    await house.crash()


@in_virtual_time
async def test_a_program_that_is_gone_is_left_alone(house: House) -> None:
    """410 is the word for it; also after a restart."""
    await house.start()
    hook = await _added(house)
    house.program.says = lambda request: Answer(410, {}, b"")
    await house.happens()
    await asyncio.sleep(3_600)
    assert (1, True) == (len(house.program.got), house.hooks.one(hook.id).paused)
    await house.crash()
    await house.start()
    await asyncio.sleep(60)
    assert 1 == len(house.program.got)
    await house.crash()


@in_virtual_time
async def test_events_that_are_not_kept_any_more_are_counted(house: House) -> None:
    """Down for longer than events are kept: it is said, and the rest comes."""
    await house.start()
    hook = await _added(house)
    house.program.says = lambda request: AWAY
    await house.happens(4)
    await asyncio.sleep(1)
    await house.crash()
    await house.start()
    await house.crash()
    house.program.says = lambda request: TAKEN
    house.program.got.clear()
    store = await open_store(None, house.home, clock=house.clock, chance=SeededChance(2), inline=True)
    await store.prune(house.clock.now_ms() + 10, 0, house.clock.now_ms() + 10, 3)
    await store.close()
    await house.start()
    await asyncio.sleep(1)
    assert [4] == house.program.events()
    assert 3 == house.hooks.one(hook.id).missed
    await house.crash()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://[::1]/",
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://2130706433/",
    ],
)
def test_private_addresses_are_refused_unless_they_are_allowed(house: House, url: str) -> None:
    """Whoever may add a webhook may not look around in the operator's network."""

    @in_virtual_time
    async def story() -> None:
        await house.start()
        with pytest.raises(InvalidRequest, match="Nothing is posted"):
            await house.hooks.add(url, WebhookWish())
        await house.crash()
        await house.start(private_allowed=True)
        assert url == (await house.hooks.add(url, WebhookWish())).url
        await house.crash()

    story()


@pytest.mark.parametrize(
    "url", ["http://user:secret@10.0.0.1/", "http://secret@10.0.0.1/", "http://[::1/", "http://10.0.0.1:0/"]
)
def test_an_address_with_a_password_in_it_is_refused_also_where_private_ones_are_allowed(
    house: House, url: str
) -> None:
    """It would be shown in lists, events of the console and backups; and what is no address at all is told at once."""

    @in_virtual_time
    async def story() -> None:
        await house.start(private_allowed=True)
        with pytest.raises(InvalidRequest, match="Nothing is posted") as refused:
            await house.hooks.add(url, WebhookWish())
        assert "secret@" not in str(refused.value)
        hook = await house.hooks.add("http://10.0.0.1/", WebhookWish())
        with pytest.raises(InvalidRequest, match="Nothing is posted"):
            await house.hooks.change(hook.id, WebhookWish(url=url))
        await house.crash()

    story()
