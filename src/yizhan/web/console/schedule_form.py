"""The form of a schedule: what stands in it, what it asks for, and the next due times of what is typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from yizhan.core.timetable import Unreadable, zone_of
from yizhan.errors import InvalidRequest
from yizhan.model import Chat, Missed, Schedule
from yizhan.runtime.views import ScheduleWish
from yizhan.web.console import controls, links
from yizhan.web.console.markup import Html, join, tag
from yizhan.web.console.words import Words

CHATS_OFFERED = 50
MINUTE_MS = 60_000
JITTER_MOST_S = 3_600
LIFETIME_LEAST_MIN, LIFETIME_MOST_MIN = 0.01, 5_256_000
WHOLE, DECIMAL = re.compile(r"[0-9]{1,11}"), re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")

Fields = Mapping[str, Sequence[str]]


def form(
    words: Words, schedule: Schedule | None, zone: str, chats: Sequence[Chat], due_ms: Sequence[int] = ()
) -> Html:
    """To add one, or to change one. `zone`: what is meant where none is named; `due_ms`: the next due times."""
    shown = (
        texts_of(schedule)
        if schedule
        else {"zone": zone, "missed": Missed.ONCE.value, "most": "10", "jitter": "0"}
    )
    kinds = [("text", words("schedules.kind.text")), ("prompt", words("schedules.kind.prompt"))]
    rules = [(rule.value, words(f"schedules.missed.{rule}")) for rule in Missed]
    return controls.form(
        "schedule",
        controls.field("called", words("schedules.name"), value=shown.get("called", ""), maxlength=200),
        controls.field(
            "due",
            words("schedules.when"),
            value=shown.get("due", ""),
            required=True,
            maxlength=200,
            placeholder="0 9 * * 1-5",
            aria_describedby="when-how",
        ),
        tag("p", words("schedules.when.how"), class_="quiet id", id="when-how"),
        controls.field("zone", words("schedules.zone"), value=shown["zone"], maxlength=100),
        tag(
            "div",
            preview(words, due_ms, schedule.zone) if schedule and due_ms else None,
            id="preview",
            class_="preview",
            role="status",
            aria_live="polite",
        ),
        controls.choice("kind", words("schedules.kind"), kinds, shown.get("kind", "text")),
        _lines("said", words("schedules.said"), shown.get("said", ""), 3),
        _lines("to", words("schedules.to"), shown.get("to", ""), 2),
        _known_chats(words, chats) if chats else None,
        tag("details", tag("summary", words("schedules.more")), *_more(words, shown, rules)),
        controls.buttons(
            controls.submit(words("schedules.save" if schedule else "schedules.add")),
            tag("a", words("schedules.all"), href=links.SCHEDULES),
        ),
        data_types=True,
    )


def _more(words: Words, shown: Mapping[str, str], rules: list[tuple[str, str]]) -> list[Html]:
    return [
        controls.choice("missed", words("schedules.missed"), rules, shown["missed"]),
        _number("most", words("schedules.most"), shown["most"], 1, 100),
        _number("jitter", words("schedules.jitter"), shown["jitter"], 0, JITTER_MOST_S, step="any"),
        _number(
            "expires", words("schedules.expires"), shown.get("expires", ""), 0, LIFETIME_MOST_MIN, step="any"
        ),
        controls.field(
            "ends", words("schedules.ends"), type="datetime-local", step=1, value=shown.get("ends", "")
        ),
    ]


def _number(name: str, label: str, value: str, least: int, most: int, **more: str) -> Html:
    return controls.field(name, label, type="number", value=value, min=least, max=most, **more)


def texts_of(schedule: Schedule) -> dict[str, str]:
    """What stands in each field of the form when it shows this schedule."""
    lifetime_ms = schedule.lifetime_ms
    return {
        "called": schedule.name,
        "due": schedule.when,
        "zone": schedule.zone,
        "kind": "prompt" if schedule.prompt else "text",
        "said": schedule.text,
        "to": "\n".join(map(str, schedule.targets)),
        "missed": schedule.missed.value,
        "most": str(schedule.missed_most),
        "jitter": _decimal(schedule.jitter_ms / 1000),
        "expires": _decimal(lifetime_ms / MINUTE_MS) if lifetime_ms else "",
        "ends": _ends_text(schedule),
    }


def _decimal(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


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
    """The end as the clock of the schedule's zone shows it, as short as browsers write it."""
    if schedule.ends_at_ms is None:
        return ""
    ends = datetime.fromtimestamp(schedule.ends_at_ms // 1000, zone_of(schedule.zone))
    return f"{ends:%Y-%m-%dT%H:%M:%S}".removesuffix(":00")


def preview(words: Words, due_ms: Sequence[int], zone: str) -> Html:
    """The next due times, on the clock of the zone that is meant; the reader's own clock may be another."""
    if not due_ms:
        return tag("p", words("schedules.preview.none"), class_="tone-wait")
    place, days = zone_of(zone), words("schedules.days").split()
    moments = [datetime.fromtimestamp(at_ms / 1000, place) for at_ms in due_ms]
    items = [tag("li", f"{moment:%Y-%m-%d %H:%M} {days[moment.weekday()]}") for moment in moments]
    return join(tag("p", words("schedules.preview", zone=zone)), tag("ol", *items))


def wish_of(fields: Fields, default_zone: str, shown: Schedule | None = None) -> ScheduleWish:
    """What the form asks for. Of a schedule that was `shown` in it, only what was touched: the form writes some values
    shorter than they are, and somebody else may have changed the others meanwhile. Raises InvalidRequest."""
    typed = {name: "\n".join(values).replace("\r\n", "\n").strip() for name, values in fields.items()}
    touched = _touched(typed, texts_of(shown)) if shown else typed
    zone = (typed.get("zone") or default_zone)[:100]
    said = typed.get("said", "") if {"said", "kind"} & touched.keys() else None
    prompt = typed.get("kind") == "prompt"
    return ScheduleWish(
        name=None if (name := touched.get("called")) is None else " ".join(name.split())[:200],
        when=None if (when := touched.get("due")) is None else when[:200],
        zone=zone if "zone" in touched or shown is None else None,
        to=None if (to := touched.get("to")) is None else tuple(to.split()),
        text=None if prompt else said,
        prompt=said if prompt else None,
        missed=Missed(touched["missed"]) if touched.get("missed") in set(Missed) else None,
        missed_most=int(_number_of(touched.get("most", ""), 1, 100, WHOLE)) or None,
        jitter_ms=_span_ms(touched.get("jitter"), 1000, 0, JITTER_MOST_S),
        lifetime_ms=_span_ms(touched.get("expires"), MINUTE_MS, LIFETIME_LEAST_MIN, LIFETIME_MOST_MIN),
        ends_at_ms=None if (ends := touched.get("ends")) is None else _end_ms(ends, zone),
    )


def _touched(typed: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """The fields in which something else stands now. An end is read on the zone's clock: it moves with the zone."""
    touched = {name: text for name, text in typed.items() if text != before.get(name, "").strip()}
    if "zone" in touched and typed.get("ends"):
        touched["ends"] = typed["ends"]
    return touched


def _span_ms(text: str | None, unit_ms: int, least: float, most: int) -> int | None:
    """A length of time in ms, 0 where the field was emptied, None where it was not touched. Raises InvalidRequest."""
    return None if text is None else round(_number_of(text, least, most, DECIMAL) * unit_ms)


def _number_of(text: str, least: float, most: int, shape: re.Pattern[str]) -> float:
    """0 where nothing was typed. Raises InvalidRequest."""
    if text and not (shape.fullmatch(text) and least <= float(text) <= most):
        raise InvalidRequest(f"A number from {least} to {most} is needed.", "Correct it and try again.")
    return float(text or 0)


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
