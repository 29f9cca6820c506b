"""Schedules: the list, and one with its form, its next due times as one types, and its runs."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from yizhan.core.schedule import rest
from yizhan.core.timetable import Unreadable
from yizhan.errors import InvalidRequest, RequestError
from yizhan.model import Schedule, ScheduleId
from yizhan.runtime.views import ScheduleWish
from yizhan.web.console import controls, links, schedule_form, schedules
from yizhan.web.console.frame import Act, Fields, Frame, open_frame, watch_for
from yizhan.web.console.markup import Html, join, tag
from yizhan.web.console.nowhere import no_such

CALM_GAP_MS = 500
LOOK_AGAIN_MS = 5_000
PREVIEWED = 5


@ui.page("/schedules")
async def schedules_page(request: Request) -> None:
    await SchedulesPage(open_frame(request, "schedules", "schedules")).open()


@ui.page("/schedule")
async def schedule_page(request: Request, id: str = "") -> None:
    frame = open_frame(request, "schedules", "schedules")
    try:
        known = await frame.console.gateway.schedules.one(ScheduleId(id[:100])) if id else None
    except RequestError:
        no_such(frame, "schedules.unknown", "schedules.unknown.how", links.SCHEDULES, "schedules.all")
    else:
        await SchedulePage(frame, known).open()


class Deeds:
    """What may be done to a schedule, in the list and on its own page."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._watch = watch_for(frame)

    def _acts(self) -> dict[str, Act]:
        return {
            "run": self._run,
            "pause": self._pause,
            "resume": self._resume,
            "again": self._again,
            "remove": self._remove,
        }

    async def _run(self, schedule: str) -> None:
        await self._frame.console.gateway.schedules.run(ScheduleId(schedule), None)
        self._done("schedules.ran")

    async def _pause(self, schedule: str) -> None:
        await self._change(schedule, True, "schedules.paused.done")

    async def _resume(self, schedule: str) -> None:
        await self._change(schedule, False, "schedules.resumed.done")

    async def _change(self, schedule: str, paused: bool, told: str) -> None:
        wish = ScheduleWish(paused=paused)
        changed = await self._frame.console.gateway.schedules.change(ScheduleId(schedule), wish)
        over = not changed.paused and changed.next_due_ms is None
        self._done("schedules.resumed.over" if over else told)

    async def _again(self, schedule: str) -> None:
        """The same words once more: one that is over begins anew."""
        schedules_of = self._frame.console.gateway.schedules
        known = await schedules_of.one(ScheduleId(schedule))
        await schedules_of.change(known.id, ScheduleWish(when=known.when))
        self._done("schedules.again.done")

    async def _remove(self, schedule: str) -> None:
        await self._frame.console.gateway.schedules.remove(ScheduleId(schedule))
        self._done("schedules.removed")

    def _done(self, name: str) -> None:
        self._frame.tell(self._frame.words(name))
        self._watch.notice()


class SchedulesPage(Deeds):
    """The schedules, the newest first, a page at a time."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self._cursors: list[str | None] = [None]
        self._next: str | None = None

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        with frame.main:
            with ui.element("div").classes("title-line"):
                ui.html(join(words("schedules")), tag="h1")
                ui.html(tag("a", words("schedules.new"), href=links.SCHEDULE, class_="button primary"))
            self._table = ui.html("")
            self._pager = ui.html("")
        frame.on_click(self._acts() | {"older": self._older, "newer": self._newer})
        await frame.attempt(self._refresh)
        frame.keep_true(self._watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> int:
        words = self._frame.words
        page = await self._frame.console.gateway.schedules.page(self._cursors[-1], schedules.PAGE_ROWS)
        self._next = page.next
        self._table.set_content(schedules.schedule_table(words, page.rows))
        self._pager.set_content(controls.pager(words, len(self._cursors) > 1, page.next is not None))
        return LOOK_AGAIN_MS

    async def _older(self, _: str) -> None:
        if self._next is not None:
            self._cursors.append(self._next)
            self._next = None
            self._watch.notice()

    async def _newer(self, _: str) -> None:
        if len(self._cursors) > 1:
            self._cursors.pop()
            self._watch.notice()


class SchedulePage(Deeds):
    """One schedule, or one to be. What was typed stays until it is kept; `_shown` is what the form was filled from."""

    def __init__(self, frame: Frame, schedule: Schedule | None) -> None:
        super().__init__(frame)
        self._schedule = schedule
        self._shown = schedule
        self._once = frame.console.gateway.schedules.new_id()

    async def open(self) -> None:
        frame, words, schedule = self._frame, self._frame.words, self._schedule
        gateway = frame.console.gateway
        chats = (await gateway.store.chats(None, None, schedule_form.CHATS_OFFERED)).rows
        with frame.main:
            self._title = ui.html("")
            with ui.element("section").classes("panel"):
                ui.html(schedule_form.form(words, schedule, gateway.schedules.zone, chats, self._due_ms()))
            self._runs = ui.html("")
        frame.on_click(self._acts())
        frame.on_submit({"schedule": self._save})
        frame.on_type({"schedule": self._preview})
        await frame.attempt(self._refresh)
        if schedule is not None:
            frame.keep_true(self._watch, self._refresh, CALM_GAP_MS)

    def _due_ms(self) -> tuple[int, ...]:
        """The next due times of the schedule as it was kept; none where its words are not understood any more."""
        schedule = self._schedule
        if schedule is None or schedule.next_due_ms is None:
            return ()
        try:
            return rest(schedule, PREVIEWED, self._frame.now_ms())
        except Unreadable:
            return ()

    async def _refresh(self) -> int:
        words, schedules_of = self._frame.words, self._frame.console.gateway.schedules
        if self._schedule is None:
            self._title.set_content(tag("div", tag("h1", words("schedules.new")), class_="title-line"))
            return LOOK_AGAIN_MS
        try:
            self._schedule = await schedules_of.one(self._schedule.id)
        except RequestError:
            self._title.set_content(tag("p", words("schedules.unknown"), class_="banner wait"))
            return LOOK_AGAIN_MS
        runs = await schedules_of.runs(self._schedule.id, None, schedules.PAGE_ROWS)
        self._title.set_content(self._head(self._schedule))
        told = tag("h2", words("schedules.runs"))
        self._runs.set_content(tag("section", told, schedules.run_table(words, runs.rows), class_="panel"))
        return LOOK_AGAIN_MS

    def _head(self, schedule: Schedule) -> Html:
        words = self._frame.words
        return join(
            tag(
                "div",
                tag("h1", tag("bdi", schedules.named(schedule))),
                controls.buttons(*schedules.acts_on(words, schedule)),
                class_="title-line",
            ),
            tag("p", words("schedules.next"), " ", schedules.next_due(words, schedule), class_="about"),
        )

    async def _save(self, fields: Fields) -> None:
        """Adds it, or changes it; what it says goes through the same checks as a program's wish."""
        gateway, words = self._frame.console.gateway, self._frame.words
        wish = schedule_form.wish_of(fields, gateway.schedules.zone, self._shown)
        if self._schedule is None:
            self._schedule = await gateway.schedules.add(wish, self._once)
            self._frame.go(links.schedule(self._once))
            return
        self._schedule = self._shown = await gateway.schedules.change(self._schedule.id, wish)
        self._frame.tell(words("schedules.saved"))
        self._watch.notice()

    async def _preview(self, fields: Fields) -> None:
        """The next due times of what stands there now."""
        gateway, words = self._frame.console.gateway, self._frame.words
        when = "".join(fields.get("due", ())).strip()[:200]
        if not when:
            self._show_preview(Html(""))
            return
        zone = "".join(fields.get("zone", ())).strip()[:100] or gateway.schedules.zone
        try:
            due_ms = gateway.schedules.preview(when, zone, None, PREVIEWED)
            self._show_preview(schedule_form.preview(words, due_ms, zone))
        except InvalidRequest as error:
            complaint, _, lang = self._frame.complaint(error)
            self._show_preview(tag("p", complaint, class_="tone-bad", lang=lang))

    def _show_preview(self, shown: Html) -> None:
        """Into the form, which is not drawn anew while somebody types in it."""
        self._frame.fill("preview", shown)
