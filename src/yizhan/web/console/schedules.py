"""Schedules as HTML: what is said at set times, when next, and what each run became."""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.core.text import shorten
from yizhan.model import RunState, Schedule, TurnState
from yizhan.ports import RunView
from yizhan.web.console import controls, links, timeline
from yizhan.web.console.markup import Html, moment, tag
from yizhan.web.console.words import Words

PAGE_ROWS = 50
BEGINNING = 80


def schedule_table(words: Words, schedules: Sequence[Schedule]) -> Html:
    if not schedules:
        return controls.empty(words("schedules.none"), words("schedules.none.how"))
    heads = [words(f"schedules.{name}") for name in ("what", "when", "next", "last")] + [words("acts")]
    return controls.table(words("schedules"), heads, [_row(words, each) for each in schedules], "schedules")


def _row(words: Words, schedule: Schedule) -> Html:
    last = moment(schedule.last_due_ms, "clock") if schedule.last_due_ms else words("never")
    return tag(
        "tr",
        tag(
            "th",
            tag("a", tag("bdi", named(schedule), dir="auto"), href=links.schedule(schedule.id)),
            tag("span", whom(words, schedule), class_="quiet id"),
            scope="row",
        ),
        tag(
            "td",
            tag("code", schedule.when),
            tag("span", schedule.zone, class_="quiet id"),
            data_label=words("schedules.when"),
        ),
        tag("td", next_due(words, schedule), data_label=words("schedules.next")),
        tag("td", last, data_label=words("schedules.last")),
        tag("td", controls.buttons(*acts_on(words, schedule))),
        data_schedule=schedule.id,
    )


def named(schedule: Schedule) -> str:
    """Its name, else the beginning of what it says."""
    return schedule.name or shorten(" ".join(schedule.text.split()), BEGINNING)


def whom(words: Words, schedule: Schedule) -> str:
    first = str(schedule.targets[0].chat) if schedule.targets else "–"
    told = words("schedules.whom", chat=first)
    return (
        told + words("schedules.others", n=len(schedule.targets) - 1) if len(schedule.targets) > 1 else told
    )


def next_due(words: Words, schedule: Schedule) -> Html:
    if schedule.paused:
        return tag("span", words("schedules.paused"), class_="tag wait")
    if schedule.reason is not None:
        return tag("span", words("schedules.failing", why=schedule.reason.text), class_="tag wait")
    if schedule.next_due_ms is None:
        return tag("span", words("schedules.over"), class_="quiet")
    return moment(schedule.next_due_ms, "until")


def acts_on(words: Words, schedule: Schedule) -> list[Html]:
    over = schedule.next_due_ms is None
    switch = "resume" if schedule.paused else "again" if over else "pause"
    sure = words("schedules.remove.sure", name=named(schedule))
    return [
        controls.button("run", words("schedules.run"), "small", data_about=schedule.id),
        controls.button(switch, words(f"schedules.{switch}"), "small", data_about=schedule.id),
        controls.button(
            "remove", words("schedules.remove"), "small danger", data_about=schedule.id, data_confirm=sure
        ),
    ]


def run_table(words: Words, runs: Sequence[RunView]) -> Html:
    """When it ran, and what became of every message that a run said."""
    if not runs:
        return tag("p", words("schedules.runs.none"), class_="quiet")
    heads = [words("schedules.run.when"), words("schedules.run.what"), words("schedules.run.fate")]
    return controls.table(words("schedules.runs"), heads, [_run(words, view) for view in runs], "runs")


def _run(words: Words, view: RunView) -> Html:
    run = view.run
    what = words(f"schedules.run.{run.cause}" if run.state is RunState.FIRED else "schedules.run.skipped")
    missed = (
        tag("span", words("schedules.run.missed", n=run.missed), class_="quiet id") if run.missed else None
    )
    return tag(
        "tr",
        tag("th", moment(run.due_ms), scope="row"),
        tag("td", what, missed),
        tag("td", *_fates(words, view), class_="fates"),
        data_run=run.id,
    )


def _fates(words: Words, view: RunView) -> list[Html]:
    told = [
        tag(
            "p",
            timeline.mark(words, message.state),
            tag("a", tag("bdi", message.chat), href=links.chat(message.target)),
            tag("span", words(f"for.{message.waiting_for}")) if message.waiting_for else None,
            tag("span", words.reason(message.reason), class_="quiet") if message.reason else None,
            data_state=message.state.value,
        )
        for message in view.messages
    ]
    told += [
        tag("p", words(f"turn.{turn.state}", agent=turn.agent, n=turn.outputs), class_="quiet")
        for turn in view.turns
        if turn.state is not TurnState.DONE or not view.messages
    ]
    told += [
        tag("p", tag("bdi", target.chat), " ", words.reason(reason), class_="tone-bad")
        for target, reason in view.run.refused
    ]
    return told or [tag("span", "–")]
