"""Webhooks: addresses of programs that events are posted to; the list, and one with its last posts."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from yizhan.errors import RequestError
from yizhan.model import AccountId, Webhook
from yizhan.runtime.views import WebhookWish
from yizhan.web.console import controls, links, webhooks
from yizhan.web.console.frame import Act, Fields, Frame, open_frame, watch_for
from yizhan.web.console.markup import join, tag
from yizhan.web.console.nowhere import no_such

CALM_GAP_MS = 500
LOOK_AGAIN_MS = 2_000
"""What becomes of a post is no event."""


@ui.page("/webhooks")
async def webhooks_page(request: Request) -> None:
    await WebhooksPage(open_frame(request, "webhooks", "settings")).open()


@ui.page("/webhook")
async def webhook_page(request: Request, id: str = "") -> None:
    frame = open_frame(request, "webhooks", "settings")
    try:
        hook = frame.console.gateway.webhooks.one(id[:100])
    except RequestError:
        no_such(frame, "webhooks.unknown", "webhooks.unknown.how", links.WEBHOOKS, "webhooks.every")
    else:
        await WebhookPage(frame, hook).open()


class Deeds:
    """What may be done to a webhook, in the list and on its own page."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._webhooks = frame.console.gateway.webhooks
        self._watch = watch_for(frame)

    def _acts(self) -> dict[str, Act]:
        return {"test": self._test, "pause": self._pause, "resume": self._resume, "remove": self._remove}

    async def _test(self, webhook: str) -> None:
        words = self._frame.words
        post = await self._webhooks.test(webhook)
        if post.reason is None:
            self._frame.tell(words("webhooks.tested", status=post.status, n=post.took_ms))
        else:
            self._frame.tell(words("webhooks.tested.not", why=webhooks.why(words, post.reason)), "bad")
        self._watch.notice()

    async def _pause(self, webhook: str) -> None:
        await self._webhooks.change(webhook, WebhookWish(paused=True))
        self._done("webhooks.paused.done")

    async def _resume(self, webhook: str) -> None:
        await self._webhooks.change(webhook, WebhookWish(paused=False))
        self._done("webhooks.resumed.done")

    async def _remove(self, webhook: str) -> None:
        await self._webhooks.remove(webhook)
        self._done("webhooks.removed")

    def _done(self, name: str) -> None:
        self._frame.tell(self._frame.words(name))
        self._watch.notice()


class WebhooksPage(Deeds):
    """All of them, there are few; and a form for one more."""

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        accounts = [account.id for account in await frame.console.gateway.store.accounts()]
        with frame.main:
            with ui.element("div").classes("title-line"):
                ui.html(join(words("webhooks")), tag="h1")
                ui.html(tag("a", words("settings"), href=links.SETTINGS))
            ui.html(tag("p", words("webhooks.how"), class_="about"))
            self._new = ui.html("").props("role=status")
            self._table = ui.html("")
            told = tag("summary", words("webhooks.make"))
            ui.html(tag("details", told, webhooks.webhook_form(words, accounts), class_="panel"))
        frame.on_click(self._acts())
        frame.on_submit({"webhook": self._add})
        await frame.attempt(self._refresh)
        frame.keep_true(self._watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> int:
        self._table.set_content(webhooks.webhook_table(self._frame.words, self._webhooks.all()))
        return LOOK_AGAIN_MS

    async def _add(self, fields: Fields) -> None:
        url, wish = webhooks.wish_of(fields)
        if wish.account:
            await self._frame.console.gateway.store.account(AccountId(wish.account))
        hook = await self._webhooks.add(url, wish)
        self._new.set_content(webhooks.new_secret(self._frame.words, hook.secret))
        self._frame.clear_form("webhook")
        self._done("webhooks.added")


class WebhookPage(Deeds):
    """One webhook: how far it has come, its last posts, and a way to post events once more."""

    def __init__(self, frame: Frame, hook: Webhook) -> None:
        super().__init__(frame)
        self._hook = hook

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        with frame.main:
            self._title = ui.html("")
            self._facts = ui.html("")
            with ui.element("section").classes("panel"):
                ui.html(tag("h2", words("webhooks.posts")))
                self._posts = ui.html("")
            told = tag("summary", words("webhooks.replay"))
            ui.html(tag("details", told, webhooks.replay_form(words), class_="panel"))
        frame.on_click(self._acts())
        frame.on_submit({"replay": self._replay})
        await frame.attempt(self._refresh)
        frame.keep_true(self._watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> int:
        words = self._frame.words
        try:
            self._hook = self._webhooks.one(self._hook.id)
        except RequestError:
            self._title.set_content(tag("p", words("webhooks.unknown"), class_="banner wait"))
            return LOOK_AGAIN_MS
        _, newest = await self._frame.console.gateway.store.event_range()
        name = tag("h1", tag("bdi", webhooks.shown_url(self._hook.url)))
        acts = controls.buttons(*webhooks.acts_on(words, self._hook))
        back = tag("p", tag("a", words("webhooks.every"), href=links.WEBHOOKS), class_="about")
        self._title.set_content(join(tag("div", name, acts, class_="title-line"), back))
        self._facts.set_content(webhooks.facts(words, self._hook, newest))
        posts = await self._webhooks.posts(self._hook.id, limit=webhooks.POSTS_SHOWN)
        self._posts.set_content(webhooks.post_table(words, posts.rows))
        return LOOK_AGAIN_MS

    async def _replay(self, fields: Fields) -> None:
        after = webhooks.after_of(fields) or await self._webhooks.before_the_oldest()
        await self._webhooks.replay(self._hook.id, after)
        self._frame.clear_form("replay")
        self._done("webhooks.replayed")
