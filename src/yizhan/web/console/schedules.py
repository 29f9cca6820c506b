"""Schedules as HTML: what is said at set times, when next, what each run became; and the form that makes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from yizhan.core.text import shorten
from yizhan.core.timetable import Unreadable, zone_of
from yizhan.errors import InvalidRequest
from yizhan.model import Chat, Missed, RunState, Schedule, TurnState
from yizhan.ports import RunView
from yizhan.runtime.views import ScheduleWish
from yizhan.web.console import controls, links, timeline
from yizhan.web.console.markup import Html, join, moment, tag
from yizhan.web.console.words import Words

PAGE_ROWS = 50
BEGINNING = 80
CHATS_OFFERED = 50

Fields = Mapping[str, Sequence[str]]


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
    switch = "resume" if schedule.paused else "pause"
    sure = words("schedules.remove.sure", name=named(schedule))
    return [
        controls.button("run", words("schedules.run"), "small", data_about=schedule.id),
        controls.button(switch, words(f"schedules.{switch}"), "small", data_about=schedule.id),
        controls.button(
            "remove", words("schedules.remove"), "small danger", data_about=schedule.id, data_confirm=sure
        ),
    ]


# runs


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


# the form


def form(
    words: Words, schedule: Schedule | None, zone: str, chats: Sequence[Chat], due_ms: Sequence[int] = ()
) -> Html:
    """To add one, or to change one. `zone`: what is meant where none is named; `due_ms`: the next due times."""
    kinds = [("text", words("schedules.kind.text")), ("prompt", words("schedules.kind.prompt"))]
    rules = [(rule.value, words(f"schedules.missed.{rule}")) for rule in Missed]
    said = schedule.text if schedule else ""
    return controls.form(
        "schedule",
        controls.field(
            "called", words("schedules.name"), value=schedule.name if schedule else "", maxlength=200
        ),
        controls.field(
            "due",
            words("schedules.when"),
            value=schedule.when if schedule else "",
            required=True,
            maxlength=200,
            placeholder="0 9 * * 1-5",
            aria_describedby="when-how",
        ),
        tag("p", words("schedules.when.how"), class_="quiet id", id="when-how"),
        controls.field(
            "zone", words("schedules.zone"), value=schedule.zone if schedule else zone, maxlength=100
        ),
        tag(
            "div",
            preview(words, due_ms, schedule.zone) if schedule and due_ms else None,
            id="preview",
            class_="preview",
            role="status",
            aria_live="polite",
        ),
        controls.choice(
            "kind", words("schedules.kind"), kinds, "prompt" if schedule and schedule.prompt else "text"
        ),
        _lines("said", words("schedules.said"), said, 3),
        _lines("to", words("schedules.to"), "\n".join(map(str, schedule.targets)) if schedule else "", 2),
        _known_chats(words, chats) if chats else None,
        tag("details", tag("summary", words("schedules.more")), *_more(words, schedule, rules)),
        controls.buttons(
            controls.submit(words("schedules.save" if schedule else "schedules.add")),
            tag("a", words("schedules.all"), href=links.SCHEDULES),
        ),
        data_types=True,
    )


def _more(words: Words, schedule: Schedule | None, rules: list[tuple[str, str]]) -> list[Html]:
    missed = schedule.missed.value if schedule else Missed.ONCE.value
    ends = _ends_text(schedule) if schedule else ""
    lifetime_ms = schedule.lifetime_ms if schedule else None
    return [
        controls.choice("missed", words("schedules.missed"), rules, missed),
        _number("most", words("schedules.most"), schedule.missed_most if schedule else 10, 1, 100),
        _number("jitter", words("schedules.jitter"), schedule.jitter_ms // 1000 if schedule else 0, 0, 3600),
        _number(
            "expires", words("schedules.expires"), lifetime_ms // 60_000 if lifetime_ms else "", 1, 5_256_000
        ),
        controls.field("ends", words("schedules.ends"), type="datetime-local", value=ends),
    ]


def _number(name: str, label: str, value: int | str, least: int, most: int) -> Html:
    return controls.field(name, label, type="number", value=value, min=least, max=most)


def _lines(name: str, label: str, text: str, rows: int) -> Html:
    box = tag(
        "textarea", text, name=name, id=f"in-{name}", rows=rows, class_="box", required=True, dir="auto"
    )
    return tag("p", tag("label", label, for_=f"in-{name}"), box, class_="field")


def _known_chats(words: Words, chats: Sequence[Chat]) -> Html:
    """A chat that is chosen is added to those written to."""
    offered = [tag("option", words("schedules.chat.add"), value="")]
    offered += [
        tag("option", f"{chat.title or chat.id} · {chat.account}", value=str(chat.target)) for chat in chats
    ]
    return tag("select", *offered, class_="box", data_append="in-to", aria_label=words("schedules.chat.add"))


def _ends_text(schedule: Schedule) -> str:
    """The end as the clock of the schedule's zone shows it."""
    if schedule.ends_at_ms is None:
        return ""
    return f"{datetime.fromtimestamp(schedule.ends_at_ms / 1000, zone_of(schedule.zone)):%Y-%m-%dT%H:%M}"


def preview(words: Words, due_ms: Sequence[int], zone: str) -> Html:
    """The next due times, on the clock of the zone that is meant; the reader's own clock may be another."""
    if not due_ms:
        return tag("p", words("schedules.preview.none"), class_="tone-wait")
    place = zone_of(zone)
    items = [
        tag("li", f"{datetime.fromtimestamp(at_ms / 1000, place):%Y-%m-%d %H:%M %a}") for at_ms in due_ms
    ]
    return join(tag("p", words("schedules.preview", zone=zone)), tag("ol", *items))


def wish_of(fields: Fields, default_zone: str) -> ScheduleWish:
    """What the form asks for. Raises InvalidRequest."""
    typed = {name: "\n".join(values).replace("\r\n", "\n").strip() for name, values in fields.items()}
    zone = typed.get("zone") or default_zone
    said = typed.get("said", "")
    prompt = typed.get("kind") == "prompt"
    return ScheduleWish(
        name=" ".join(typed.get("called", "").split())[:200],
        when=typed.get("due", "")[:200],
        zone=zone[:100],
        to=tuple(typed.get("to", "").split()),
        text=None if prompt else said,
        prompt=said if prompt else None,
        missed=Missed(typed["missed"]) if typed.get("missed") in set(Missed) else None,
        missed_most=_whole(typed.get("most", ""), 1, 100) or None,
        jitter_ms=_whole(typed.get("jitter", ""), 0, 3600) * 1000,
        lifetime_ms=_whole(typed.get("expires", ""), 1, 5_256_000) * 60_000,
        ends_at_ms=_end_ms(typed.get("ends", ""), zone),
    )


def _whole(text: str, least: int, most: int) -> int:
    """0 where nothing was typed. Raises InvalidRequest."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        raise InvalidRequest(f"A number from {least} to {most} is needed.", "Correct it and try again.")
    return int(text)


def _end_ms(text: str, zone: str) -> int:
    """The end, typed on the clock of the zone; 0: none. Raises InvalidRequest."""
    if not text:
        return 0
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=zone_of(zone)).timestamp() * 1000)
    except Unreadable as error:
        raise InvalidRequest(error.text, error.fix) from None
    except (ValueError, OverflowError):
        raise InvalidRequest("The end is not a time.", "Write it as 2026-12-31T18:00.") from None
