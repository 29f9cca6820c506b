"""The last day's deliveries as a picture: one bar per hour, by when messages were accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yizhan.model import MessageState
from yizhan.ports import Tally
from yizhan.web.console.markup import Html, moment, tag
from yizhan.web.console.words import Words

HOUR_MS = 3_600_000
HOURS = 24
HIGH = 100
"""Height of the tallest bar, in the picture's own units."""
LEAST = 3
"""What is there at all can be seen."""

KINDS: Mapping[str, frozenset[MessageState]] = {
    "delivered": frozenset({MessageState.DELIVERED}),
    "waiting": frozenset({MessageState.QUEUED, MessageState.SENDING, MessageState.WAITING}),
    "unconfirmed": frozenset({MessageState.UNCONFIRMED}),
    "failed": frozenset({MessageState.FAILED, MessageState.EXPIRED}),
}
"""What the picture tells apart, from the ground up. Cancelled messages were not wanted any more: they are left out."""

TONES = {"delivered": "good", "waiting": "wait", "unconfirmed": "unsure", "failed": "bad"}


@dataclass(frozen=True, slots=True)
class Day:
    """`hours[i]`: kind → how many, of the hour that began at `since_ms + i * HOUR_MS`."""

    since_ms: int
    hours: tuple[Mapping[str, int], ...]

    def total(self, kind: str) -> int:
        return sum(hour[kind] for hour in self.hours)


def day_since_ms(now_ms: int) -> int:
    """The hour with which the picture begins: this one is its last."""
    return (now_ms // HOUR_MS - HOURS + 1) * HOUR_MS


def day_of(tallies: Sequence[Tally], since_ms: int) -> Day:
    by_hour = {(tally.since_ms - since_ms) // HOUR_MS: tally.by_state for tally in tallies}
    return Day(since_ms, tuple(_kinds(by_hour.get(hour, {})) for hour in range(HOURS)))


def _kinds(by_state: Mapping[MessageState, int]) -> dict[str, int]:
    return {kind: sum(by_state.get(state, 0) for state in states) for kind, states in KINDS.items()}


def picture(words: Words, day: Day) -> Html:
    """Bars, with the same in words beside them for whoever does not see bars."""
    counts = [
        tag(
            "li",
            tag("span", class_=f"swatch {TONES[kind]}", aria_hidden="true"),
            tag("span", words(f"day.{kind}")),
            tag("strong", str(day.total(kind))),
            data_kind=kind,
        )
        for kind in KINDS
    ]
    return tag(
        "section",
        tag("h2", words("day")),
        tag("ul", *counts, class_="day-counts"),
        _bars(words, day)
        if any(day.total(kind) for kind in KINDS)
        else tag("p", words("day.none"), class_="quiet"),
        class_="day panel",
    )


def _bars(words: Words, day: Day) -> Html:
    highest = max(sum(hour.values()) for hour in day.hours)
    columns = [_column(hour, place, highest) for place, hour in enumerate(day.hours)]
    told = ", ".join(f"{words(f'day.{kind}')} {day.total(kind)}" for kind in KINDS)
    drawing = tag(
        "svg",
        *columns,
        viewBox=f"0 0 {HOURS * 10} {HIGH}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{words('day')}: {told}",
        class_="bars",
    )
    ends = tag(
        "p",
        moment(day.since_ms, "hour"),
        tag("span", words("now_here")),
        class_="ends quiet",
        aria_hidden="true",
    )
    return tag("div", drawing, ends)


def _column(hour: Mapping[str, int], place: int, highest: int) -> Html:
    """The bar of an hour, as a group of rectangles that stand upon each other."""
    floor, pieces = float(HIGH), []
    for kind in KINDS:
        if count := hour[kind]:
            height = max(LEAST, count * HIGH / highest)
            floor = max(0.0, floor - height)
            pieces.append(
                tag(
                    "rect",
                    x=place * 10 + 1,
                    y=f"{floor:.1f}",
                    width=8,
                    height=f"{height:.1f}",
                    class_=TONES[kind],
                )
            )
    return tag("g", *pieces)
