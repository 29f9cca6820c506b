"""What people and programs do to schedules: every verb of the API is a method here."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from yizhan.core.contract import time_text
from yizhan.core.parts import split
from yizhan.core.schedule import planned, rest
from yizhan.core.timetable import Unreadable
from yizhan.errors import InvalidRequest, StoreBusy, TextEmpty, UnknownSchedule
from yizhan.model import Schedule, ScheduleId, Target
from yizhan.ports import Chance, Clock, Fired, Firing, Page, RunView, Store
from yizhan.runtime.cron import Cron
from yizhan.runtime.drafts import Drafts
from yizhan.runtime.patience import to_the_end
from yizhan.runtime.repeats import Asked, Repeats
from yizhan.runtime.views import Order, ScheduleWish

TARGETS_MAX = 100
TRIES = 5
"""A schedule may run while somebody changes it; then the change is made to what it is by then."""

Resolve = Callable[[str], Awaitable[Target]]


class Schedules:
    """Adds, changes, runs. `resolve` finds the chat that a TARGET names, or says why there is none."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Chance,
        cron: Cron,
        drafts: Drafts,
        resolve: Resolve,
        zone: str,
        answers: Callable[[Target, str], bool],
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._cron = cron
        self._drafts = drafts
        self._resolve = resolve
        self.zone = zone
        self._answers = answers
        self._repeats = Repeats(store, clock)

    def new_id(self) -> ScheduleId:
        return ScheduleId(self._chance.new_id("sch"))

    @to_the_end
    async def add_once(self, wish: ScheduleWish, asked: Asked | None) -> tuple[Schedule, bool]:
        """Answers also whether it is new. Raises as `add`, and IdempotencyConflict."""
        name = self.new_id()
        async with self._repeats.settled(asked, name) as settled:
            if settled != name:
                with contextlib.suppress(UnknownSchedule):
                    return await self._store.schedule(ScheduleId(settled)), False
            return await self.add(wish, ScheduleId(settled)), True

    @to_the_end
    async def add(self, wish: ScheduleWish, once: ScheduleId | None = None) -> Schedule:
        """`once`: an id of `new_id`; however many presses of a button add one schedule under it.

        Raises InvalidRequest, UnknownAccount, UnknownChat, TextEmpty, TextTooLong, StoreError.
        """
        now_ms = self._clock.now_ms()
        blank = Schedule(
            id=once or self.new_id(),
            name="",
            when="",
            zone=self.zone,
            text="",
            targets=(),
            created_at_ms=now_ms,
            written_ms=now_ms,
            planned_ms=now_ms,
        )
        schedule = await self._store.add_schedule(await self._made(blank, wish, now_ms))
        self._cron.poke()
        return schedule

    @to_the_end
    async def change(self, schedule_id: ScheduleId, wish: ScheduleWish) -> Schedule:
        """One that is over begins anew where `when` is given; resumed, it stays over: whoever resumes everything after
        a holiday has not asked for last month's reminders. So does one that comes to its end while it is changed.

        Raises as `add`, and UnknownSchedule.
        """
        before = await self._store.schedule(schedule_id)
        anew = before.next_due_ms is None and wish.when is not None
        for number in range(TRIES):
            before = await self._store.schedule(schedule_id) if number else before
            wanted = await self._made(before, wish, self._clock.now_ms(), anew)
            if (changed := await self._store.change_schedule(wanted)) is not None:
                self._cron.poke()
                return changed
        raise StoreBusy("The schedule is changing all the time.", "Try again.")

    @to_the_end
    async def remove(self, schedule_id: ScheduleId) -> None:
        """Raises UnknownSchedule. What its runs have accepted stays."""
        await self._store.remove_schedule(schedule_id)
        self._cron.poke()

    @to_the_end
    async def run(self, schedule_id: ScheduleId, key: str | None) -> tuple[RunView, bool]:
        """Runs it now, whether it is paused or over; the same key is the same run. Answers whether it is new."""
        for _ in range(TRIES):
            schedule = await self._store.schedule(schedule_id)
            run = self._cron.by_hand(schedule, key, self._clock.now_ms())
            if fired := await self._cron.fire([Firing(schedule, (run,))]):
                return await self._view(fired[0]), fired[0].created
        raise StoreBusy("The schedule is changing all the time.", "Try again.")

    async def _view(self, fired: Fired) -> RunView:
        if fired.created:
            return RunView(fired.run, tuple(accepted.message for accepted in fired.accepted))
        return await self._store.run(fired.run.schedule, fired.run.id)

    async def one(self, schedule_id: ScheduleId) -> Schedule:
        """Raises UnknownSchedule."""
        return await self._store.schedule(schedule_id)

    async def page(self, after: str | None, limit: int) -> Page[Schedule]:
        """Newest first."""
        return await self._store.schedules(after, limit)

    async def runs(self, schedule_id: ScheduleId, after: str | None, limit: int) -> Page[RunView]:
        """Newest first, with what became of their messages. Raises UnknownSchedule."""
        return await self._store.runs(schedule_id, after, limit)

    def preview(self, when: str, zone: str | None, ends_at_ms: int | None, count: int) -> tuple[int, ...]:
        """The next due times of something that is not written down yet. Raises InvalidRequest."""
        now_ms = self._clock.now_ms()
        what = Schedule(
            ScheduleId(""), "", when, zone or self.zone, "", (), now_ms, now_ms, now_ms, ends_at_ms=ends_at_ms
        )
        try:
            return rest(what, count, now_ms)
        except Unreadable as error:
            raise InvalidRequest(error.text, error.fix) from None

    # from a wish to a row

    async def _made(self, before: Schedule, wish: ScheduleWish, now_ms: int, anew: bool = False) -> Schedule:
        """The schedule as it is wanted, checked, with its next due time."""
        wanted = replace(before, **_given(wish))
        if wish.to is not None:
            wanted = replace(wanted, targets=await self._targets(wish.to))
        if wish.text is not None or wish.prompt is not None:
            wanted = replace(wanted, **self._words(wish, wanted.targets))
        if not wanted.text:
            raise InvalidRequest("It is not said what to say.", "Give `text`, or `prompt` for the agent.")
        if wish.ends_at_ms and wish.ends_at_ms <= now_ms:
            raise InvalidRequest(
                "ends_at is over.", "Choose a later time, or take it away: null, or --ends none."
            )
        try:
            return self._planned(before, wanted, wish, now_ms, anew)
        except Unreadable as error:
            raise InvalidRequest(error.text, error.fix) from None

    def _planned(
        self, before: Schedule, wanted: Schedule, wish: ScheduleWish, now_ms: int, anew: bool
    ) -> Schedule:
        """What changes nothing about the time leaves the next due time alone. Raises Unreadable, InvalidRequest."""
        if (before.when, before.zone) != (wanted.when, wanted.zone):
            wanted = replace(wanted, written_ms=now_ms)
        about_time = ("when", "zone", "jitter_ms", "ends_at_ms", "paused")
        given = [name for name in about_time if getattr(wish, name) is not None]
        if not given:
            return wanted
        following = planned(wanted, _due_behind(before, wanted, now_ms), now_ms)
        if following.next_due_ms is None and not wanted.paused and anew:
            following = planned(replace(wanted, written_ms=now_ms), now_ms, now_ms)
        if following.next_due_ms is None and not wanted.paused and given != ["paused"]:
            raise _never_due(wanted)
        return following

    async def _targets(self, to: tuple[str, ...]) -> tuple[Target, ...]:
        if not 1 <= len(to) <= TARGETS_MAX:
            raise InvalidRequest(
                "A schedule needs somebody to write to.", f"Give 1 to {TARGETS_MAX} targets in `to`."
            )
        return tuple(dict.fromkeys([await self._resolve(target) for target in to]))

    def _words(self, wish: ScheduleWish, targets: tuple[Target, ...]) -> dict[str, Any]:
        """Raises InvalidRequest, TextEmpty, TextTooLong."""
        if wish.text is not None and wish.prompt is not None:
            raise InvalidRequest("Both text and prompt are given.", "Give one of them.")
        if wish.text is not None:
            return {"text": self._text(wish.text, targets), "prompt": False}
        prompt = self._text(wish.prompt or "", targets)
        for target in targets:
            if not self._answers(target, prompt):
                raise InvalidRequest(f"Nobody answers in {target}.", "Set agent, or a route for this chat.")
        return {"text": prompt, "prompt": True}

    def _text(self, text: str, targets: tuple[Target, ...]) -> str:
        """Raises TextEmpty, TextTooLong."""
        checked = self._drafts.checked(Order("", text)).text
        if not all(split(checked, *self._drafts.room(target)) for target in targets):
            raise TextEmpty("The text is empty, or nothing of it can be shown.", "Send some text.")
        return checked


def _due_behind(before: Schedule, wanted: Schedule, now_ms: int) -> int:
    """Behind which moment the next due time lies. One that has come and has not begun yet stays due, unless it was
    about other times: whoever mends a text at nine o'clock does not take back what is due at nine."""
    due_ms = before.next_due_ms
    same = (before.when, before.zone) == (wanted.when, wanted.zone)
    return due_ms - 1 if same and due_ms is not None and due_ms <= now_ms else now_ms


def _never_due(schedule: Schedule) -> InvalidRequest:
    if schedule.ends_at_ms is None:
        return InvalidRequest(f"{schedule.when!r} is never due any more.", "Write another time: `when`.")
    return InvalidRequest(
        f"{schedule.when!r} is never due before {time_text(schedule.ends_at_ms)}, when it ends.",
        "Give a later `ends_at`, take it away with null, or change `when`.",
    )


def _given(wish: ScheduleWish) -> dict[str, Any]:
    """What is taken over as it stands; 0 takes an end or a lifetime away."""
    plain = ("name", "when", "zone", "missed", "missed_most", "jitter_ms", "paused")
    given = {name: getattr(wish, name) for name in plain if getattr(wish, name) is not None}
    for name in ("lifetime_ms", "ends_at_ms"):
        if getattr(wish, name) is not None:
            given[name] = getattr(wish, name) or None
    return given
