"""Events for programs that do not keep a connection: posted to an address, signed, in their order, until each is taken.

Each webhook has a cursor on disk and a loop of its own. The loop posts one event at a time: what is not taken is
posted again, under the same id, after a wait that grows to a quarter of an hour, without end; so one post at a time
is also the probe of an address that is down, and a slow one holds up nobody else. The cursor moves behind the answer.
A crash between the two posts the event once more, under the id by which the program knows it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from yizhan.core.addresses import judge_form, judge_url
from yizhan.core.backoff import backoff
from yizhan.core.contract import time_text
from yizhan.core.signing import key_of, secret_of, signature
from yizhan.errors import CursorGone, InvalidRequest, StoreError, UnknownWebhook
from yizhan.model import Event, Post, Reason, Webhook
from yizhan.ports import Absence, Answer, Chance, Clock, Http, Page, Reply, Request, Store
from yizhan.runtime.naps import Naps
from yizhan.runtime.patience import STORE_PAUSE_MS, persist, to_the_end
from yizhan.runtime.repeats import Asked, Repeats
from yizhan.runtime.supervisor import Supervisor
from yizhan.runtime.views import WebhookWish

log = structlog.get_logger("webhooks")

PAGE = 100
LOOK_MS = 60_000
POST_TIMEOUT_MS = 10_000
ANSWER_MAX_BYTES = 65_536
WAIT_BASE_MS, WAIT_CAP_MS = 1_000, 900_000
SECRET_BYTES = 24
HOOKS_MAX = 100
TEST = "webhook.test"
"""The type of what is posted as a test. It is no event: no cursor is before or behind it."""
GONE = 410
"""The program wants nothing any more."""


@dataclass(slots=True, eq=False)
class _Desk:
    """`choosing` is held from reading what is chosen to writing it down, so that nobody undoes another's choice.
    `forgiven`: failures before the host has slept, which make nobody wait any more."""

    hook: Webhook
    forgiven: int = 0
    choosing: asyncio.Lock = field(default_factory=asyncio.Lock)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Webhooks:
    """`http` None: nothing is posted, only looked after. `private_allowed`: addresses that only we can reach, too."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Chance,
        http: Http | None,
        supervisor: Supervisor,
        private_allowed: bool,
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._http = http
        self._supervisor = supervisor
        self._private_allowed = private_allowed
        self._desks: dict[str, _Desk] = {}
        self._running = False
        self._repeats = Repeats(store, clock)
        self._naps = Naps(clock)

    # life

    async def open(self) -> None:
        """Reads what there is."""
        self._desks = {hook.id: _Desk(hook) for hook in await self._store.webhooks()}

    def start(self) -> None:
        self._running = True
        for desk in self._desks.values():
            self._begin(desk)

    def note(self, events: Sequence[Event]) -> None:
        """Something was committed; a listener of the store."""
        for desk in self._desks.values():
            desk.news.set()

    def look(self) -> None:
        """The host has slept: what waits to be posted again is posted now."""
        self._naps.wake()

    # what people do

    def all(self) -> tuple[Webhook, ...]:
        return tuple(desk.hook for desk in self._desks.values())

    def one(self, webhook: str) -> Webhook:
        """Raises UnknownWebhook."""
        return self._desk(webhook).hook

    async def posts(
        self, webhook: str, failed_only: bool = False, after: str | None = None, limit: int = PAGE
    ) -> Page[Post]:
        """What became of each event, the latest first. Raises UnknownWebhook, InvalidRequest, StoreError."""
        return await self._store.webhook_posts(self._desk(webhook).hook.id, failed_only, after, limit)

    @to_the_end
    async def add_once(self, url: str, wish: WebhookWish, asked: Asked | None) -> tuple[Webhook, bool]:
        """Answers also whether it is new. Raises as `add`, and IdempotencyConflict."""
        name = self._new_id()
        async with self._repeats.settled(asked, name) as settled:
            if (known := self._desks.get(settled)) is not None:
                return known.hook, False
            return await self.add(url, wish, settled), True

    @to_the_end
    async def add(self, url: str, wish: WebhookWish, name: str | None = None) -> Webhook:
        """From now on. Its secret is shown this once. Raises InvalidRequest, StoreError."""
        if len(self._desks) >= HOOKS_MAX:
            raise InvalidRequest(f"There are {HOOKS_MAX} webhooks already.", "Remove one that is not needed.")
        _, newest = await self._store.event_range()
        hook = Webhook(
            id=name or self._new_id(),
            url=self._judged(url),
            secret=secret_of(bytes.fromhex(self._chance.token_hex(SECRET_BYTES))),
            created_at_ms=self._clock.now_ms(),
            cursor=newest,
        )
        async with self._answered(hook.id):
            hook = await self._store.add_webhook(_wished(hook, wish))
        self._take(hook)
        return hook

    @to_the_end
    async def change(self, webhook: str, wish: WebhookWish) -> Webhook:
        """What waits for its next try is tried at once. Raises UnknownWebhook, InvalidRequest, StoreError."""
        desk = self._desk(webhook)
        async with desk.choosing:
            url = desk.hook.url if wish.url is None else self._judged(wish.url)
            return await self._written(desk, replace(_wished(desk.hook, wish), url=url), rewound=False)

    def _new_id(self) -> str:
        return self._chance.new_id("wh")

    async def before_the_oldest(self) -> int:
        """Behind this, everything that is kept comes."""
        oldest, _ = await self._store.event_range()
        return max(0, oldest - 1)

    @to_the_end
    async def replay(self, webhook: str, after: int) -> Webhook:
        """Goes on behind this event. Raises UnknownWebhook, CursorGone, StoreError."""
        desk = self._desk(webhook)
        oldest, newest = await self._store.event_range()
        if not max(0, oldest - 1) <= after <= newest:
            raise CursorGone(
                f"Events after {after} are not kept.",
                f"The oldest that can be posted comes after {max(0, oldest - 1)}, the newest is {newest}.",
            )
        async with desk.choosing:
            hook = replace(desk.hook, cursor=after, generation=desk.hook.generation + 1)
            return await self._written(desk, hook, rewound=True)

    async def test(self, webhook: str) -> Post:
        """Posts a signed test once, beside the events; paused or not, nothing about the webhook changes.

        Raises UnknownWebhook, InvalidRequest."""
        desk = self._desk(webhook)
        if self._http is None or not self._running:
            raise InvalidRequest("Nothing is posted while no gateway runs.", "Start it: yizhan run")
        post = await self._post(desk.hook, self._http, _test_of(desk.hook, self._clock.now_ms()))
        await self._store.webhook_progress(desk.hook, post)
        return post

    @to_the_end
    async def remove(self, webhook: str) -> None:
        """Raises UnknownWebhook, StoreError."""
        desk = self._desk(webhook)
        async with self._answered(webhook):
            await self._store.remove_webhook(desk.hook.id)
        self._drop(webhook)

    @asynccontextmanager
    async def _answered(self, webhook: str) -> AsyncIterator[None]:
        """For a write that adds or removes one: if its answer gets lost, what the store holds is true all the same."""
        question = f"webhook {webhook} as stored"
        try:
            yield
        except StoreError:
            if self._running:
                self._supervisor.keep(question, partial(self._as_stored, webhook))
            raise
        self._supervisor.drop(question)

    async def _as_stored(self, webhook: str) -> None:
        def tell(error: StoreError) -> None:
            log.warning("webhook.waits_for_store", webhook=webhook, error=error.detail)

        stored = {hook.id: hook for hook in await persist(self._clock, self._store.webhooks, tell)}
        if webhook not in stored:
            self._drop(webhook)
        elif webhook not in self._desks:
            self._take(stored[webhook])

    def _take(self, hook: Webhook) -> None:
        self._desks[hook.id] = _Desk(hook)
        self._begin(self._desks[hook.id])

    def _drop(self, webhook: str) -> None:
        self._supervisor.drop(_loop_of(webhook))
        self._desks.pop(webhook, None)

    async def _written(self, desk: _Desk, hook: Webhook, rewound: bool) -> Webhook:
        await self._store.change_webhook(hook, rewound)
        progress = hook if rewound else replace(hook, cursor=desk.hook.cursor)
        desk.hook = replace(progress, next_attempt_at_ms=None)
        self._begin(desk)
        return desk.hook

    def _desk(self, webhook: str) -> _Desk:
        if webhook not in self._desks:
            raise UnknownWebhook(f"There is no webhook {webhook}.", "See GET /v1/webhooks.")
        return self._desks[webhook]

    def _judged(self, url: str) -> str:
        """What can be said before the name is resolved; where the post goes is judged again (guarded.py)."""
        if (wrong := judge_form(url)) is not None:
            raise InvalidRequest(
                f"Nothing is posted to this url: {wrong.why}.",
                "Write https://HOST/PATH. The program knows us by the signature, or by a secret in the path.",
            )
        if not self._private_allowed and (forbidden := judge_url(url)) is not None:
            raise InvalidRequest(
                f"Nothing is posted to this url: {forbidden.why}.",
                "Give an address that the internet can reach, or set webhooks.allow_private.",
            )
        return url

    # the loop of each

    def _begin(self, desk: _Desk) -> None:
        """Starts its loop anew."""
        self._supervisor.drop(_loop_of(desk.hook.id))
        if self._running and self._http is not None and not desk.hook.paused:
            self._supervisor.keep(_loop_of(desk.hook.id), partial(self._run, desk, self._http))

    async def _run(self, desk: _Desk, http: Http) -> None:
        """Until it is cancelled, or the program wants nothing any more."""
        while not desk.hook.paused:
            desk.news.clear()
            try:
                if not await self._post_page(desk, http):
                    await self._quiet(desk)
            except StoreError:
                await self._clock.sleep_ms(STORE_PAUSE_MS)

    async def _quiet(self, desk: _Desk) -> None:
        try:
            async with asyncio.timeout(LOOK_MS / 1000):
                await desk.news.wait()
        except TimeoutError:
            pass

    async def _post_page(self, desk: _Desk, http: Http) -> bool:
        """Posts some events; answers whether there were any."""
        await self._pass_over_what_is_gone(desk)
        events = await self._store.events_after(desk.hook.cursor, PAGE)
        for event in events:
            if _wanted(desk.hook, event):
                await self._until_taken(desk, http, event)
                if desk.hook.paused:
                    return True
            desk.hook = replace(desk.hook, cursor=event.id)
        if events and not _wanted(desk.hook, events[-1]):
            await self._store.webhook_progress(desk.hook)
        return bool(events)

    async def _pass_over_what_is_gone(self, desk: _Desk) -> None:
        oldest, _ = await self._store.event_range()
        lost = oldest - 1 - desk.hook.cursor
        if lost > 0:
            log.warning("webhook.events_gone", webhook=desk.hook.id, events=lost)
            desk.hook = replace(desk.hook, cursor=oldest - 1, missed=desk.hook.missed + lost)
            await self._store.webhook_progress(desk.hook)

    async def _until_taken(self, desk: _Desk, http: Http, event: Event) -> None:
        while True:
            post = await self._post(desk.hook, http, event)
            if post.reason is None:
                await self._taken(desk, post)
                return
            await self._not_taken(desk, post, post.reason)
            if desk.hook.paused:
                return
            if await self._naps.rest((desk.hook.next_attempt_at_ms or 0) - self._clock.now_ms()):
                desk.forgiven = desk.hook.failures

    async def _post(self, hook: Webhook, http: Http, event: Event) -> Post:
        began_ms = self._clock.now_ms()
        name = f"evt_{event.id}" if event.id else self._chance.new_id("test")
        reply = await http.call(_request(hook, event, name, began_ms))
        took_ms = self._clock.now_ms() - began_ms
        status = reply.status if isinstance(reply, Answer) else None
        tries = hook.failures + 1 if event.id else 1
        return Post(hook.id, event.id, event.type, began_ms, took_ms, status, _why_not(reply), tries)

    async def _taken(self, desk: _Desk, post: Post) -> None:
        if desk.hook.failures:
            log.info("webhook.taken_again", webhook=desk.hook.id, failures=desk.hook.failures)
        desk.forgiven = 0
        desk.hook = replace(
            desk.hook,
            cursor=post.event,
            failures=0,
            failing_since_ms=None,
            next_attempt_at_ms=None,
            last_success_at_ms=self._clock.now_ms(),
            reason=None,
        )
        await self._store.webhook_progress(desk.hook, post)

    async def _not_taken(self, desk: _Desk, post: Post, reason: Reason) -> None:
        now_ms = self._clock.now_ms()
        failures = desk.hook.failures + 1
        wait_ms = backoff(failures - desk.forgiven, WAIT_BASE_MS, WAIT_CAP_MS, self._chance.jitter())
        if failures == 1:
            log.warning("webhook.not_taken", webhook=desk.hook.id, code=reason.code, detail=reason.text)
        desk.hook = replace(
            desk.hook,
            failures=failures,
            failing_since_ms=desk.hook.failing_since_ms or post.at_ms,
            next_attempt_at_ms=now_ms + wait_ms,
            reason=reason,
        )
        if post.status == GONE:
            async with desk.choosing:
                desk.hook = replace(desk.hook, paused=True, next_attempt_at_ms=None)
                await self._store.change_webhook(desk.hook, rewound=False)
        await self._store.webhook_progress(desk.hook, post)


def _loop_of(webhook: str) -> str:
    return f"webhook {webhook}"


def _wished(hook: Webhook, wish: WebhookWish) -> Webhook:
    return replace(
        hook,
        types=hook.types if wish.types is None else wish.types,
        private=hook.private if wish.private is None else wish.private,
        paused=hook.paused if wish.paused is None else wish.paused,
        account=hook.account if wish.account is None else (wish.account or None),
    )


def _wanted(hook: Webhook, event: Event) -> bool:
    """Text is posted to nobody who was not meant to have it."""
    if event.type == "message.received" and not hook.private:
        return False
    ours = hook.account is None or event.account is None or event.account == hook.account
    return ours and (not hook.types or event.type in hook.types)


def _test_of(hook: Webhook, now_ms: int) -> Event:
    told = {"type": TEST, "at": time_text(now_ms), "webhook": hook.id}
    return Event(0, now_ms, TEST, None, None, json.dumps(told).encode())


def _request(hook: Webhook, event: Event, name: str, now_ms: int) -> Request:
    """Signed with the time of the post. `name`: the event's, however often it is posted."""
    body = b'{"id":"%d",' % event.id + event.data[1:]
    stamp = str(now_ms // 1000)
    headers: Mapping[str, str] = {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": signature(key_of(hook.secret), name, stamp, body),
    }
    return Request("webhook", "POST", hook.url, headers, body, POST_TIMEOUT_MS, ANSWER_MAX_BYTES)


def _why_not(reply: Reply) -> Reason | None:
    """None: taken. What an address answers is not repeated."""
    match reply:
        case Absence():
            return Reason("no-answer", reply.text)
        case Answer() if 200 <= reply.status < 300:
            return None
        case Answer():
            return Reason(f"http-{reply.status}", f"it answered with status {reply.status}")
