"""Schedules in the books: what their author knows of them, and the history that the gateway shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from simulation.plan_schedules import Timed
from simulation.station import Station
from yizhan.model import ScheduleId, Target
from yizhan.ports import RunView

PAGE = 200


@dataclass(slots=True)
class Kept:
    """A schedule as its author knows it, and its history.

    asked_ms     when it was first asked for; `ends_ms`, from `Timed.ends_s`, counts from there
    paused       from before a pause was asked for until its end was answered
    by_hand      the runs that were told, by key
    written_ms   when it was written down; `until_ms`: the gateway's time at the end of the world
    runs         of the store, in the order of their due times
    """

    timed: Timed
    id: ScheduleId
    targets: tuple[Target, ...]
    asked_ms: int = 0
    paused: list[tuple[int, int]] = field(default_factory=list)
    by_hand: dict[str, set[str]] = field(default_factory=dict)
    written_ms: int = 0
    until_ms: int = 0
    runs: list[RunView] = field(default_factory=list)

    @property
    def ends_ms(self) -> int:
        return self.asked_ms + int(self.timed.ends_s * 1_000)


async def enter_history(station: Station, kept: Iterable[Kept]) -> list[Kept]:
    """The schedules with what the store tells of them."""
    told = list(kept)
    for each in told:
        each.written_ms = (await station.gateway.store.schedule(each.id)).created_at_ms
        each.until_ms = station.gateway.clock.now_ms()
        each.runs = await _runs(station, each.id)
    return told


async def _runs(station: Station, schedule: ScheduleId) -> list[RunView]:
    runs: list[RunView] = []
    after: str | None = None
    while True:
        page = await station.gateway.store.runs(schedule, after, PAGE)
        runs += page.rows
        after = page.next
        if after is None:
            return sorted(runs, key=lambda view: view.run.due_ms)
