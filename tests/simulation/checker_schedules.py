"""Schedules in the books: a due time happens once or is told as missed, whatever befell the process and its clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from simulation.books import Books
from simulation.books_schedules import Kept
from yizhan.model import Run, RunCause, RunState
from yizhan.ports import RunView

IN_TIME_MS = 60_000
"""What begins later was missed (docs/schedules.md)."""
COUNTED_MAX = 1_000
"""Missed due times that a run counts; it stands for more."""
SLACK_MS = 15_000
"""What was due so shortly before the end of the world may still be on its way to the disk."""
SET_BACK_MS = 600_000
"""No plan sets a clock back by more."""


def once(books: Books) -> Iterator[str]:
    """A schedule and a due time have one run at most, at a time at which it was due, and never before it. On a clock
    that was set back it may be due at times before it was written."""
    for kept in books.schedules or ():
        due = set(_due(kept, kept.ends_ms))
        if books.set_back and kept.timed.when.form == "cron":
            due |= set(kept.timed.when.due(kept.written_ms - SET_BACK_MS, kept.written_ms))
        times = Counter(view.run.due_ms for view in _by_time(kept))
        yield from (f"{kept.timed.name} ran {n} times for {at_ms}" for at_ms, n in times.items() if n > 1)
        for view in _by_time(kept):
            run = view.run
            if run.due_ms not in due:
                yield f"{kept.timed.name} ran for {run.due_ms}, when it was not due"
            if run.at_ms < run.due_ms:
                yield f"{kept.timed.name} ran {run.due_ms - run.at_ms} ms before it was due"


def accounted(books: Books) -> Iterator[str]:
    """No due time passes in silence: it has a run, or the next one counts it as missed. What a pause covers is not made
    up for, and a clock that was set back lets due times pass twice."""
    for kept in books.schedules or ():
        due = _due(kept, kept.until_ms - int(kept.timed.jitter_s * 1_000) - SLACK_MS)
        excused = _excused(kept)
        before_ms = kept.written_ms
        for view in _by_time(kept):
            run = view.run
            passed = [at_ms for at_ms in due if before_ms < at_ms < run.due_ms + _skipped(run)]
            owed = sum(at_ms not in excused for at_ms in passed)
            if run.missed < min(owed, COUNTED_MAX):
                yield f"{kept.timed.name} tells of {run.missed} missed before {run.due_ms}, {owed} were"
            if run.missed > len(passed) and not books.set_back:
                yield f"{kept.timed.name} tells of {run.missed} missed before {run.due_ms}, {len(passed)} were"
            before_ms = run.due_ms
        silent = [at_ms for at_ms in due if at_ms > before_ms and at_ms not in excused]
        if silent:
            yield f"{kept.timed.name} was due {len(silent)} times since {before_ms}, and nothing tells of it"


def made_up(books: Books) -> Iterator[str]:
    """What was missed is made up for as the schedule says: not at all, once, or so many times."""
    for kept in books.schedules or ():
        most = {"skip": 0, "once": 1, "all": kept.timed.missed_most}[kept.timed.missed]
        in_time_ms = IN_TIME_MS + int(kept.timed.jitter_s * 1_000)
        late = Counter(
            view.run.at_ms
            for view in _by_time(kept)
            if view.run.state is RunState.FIRED and view.run.at_ms > view.run.due_ms + in_time_ms
        )
        for at_ms, times in late.items():
            if times > most:
                yield f"{kept.timed.name} ran {times} times too late at {at_ms}, where {kept.timed.missed} is said"


def spoken(books: Books) -> Iterator[str]:
    """A run that fired has handed over one message to each of its targets, and no message of a schedule is without its
    run; each of them is checked as every other message."""
    if books.schedules is None:
        return
    runs = [(kept, view) for kept in books.schedules or () for view in kept.runs]
    for kept, view in runs:
        expected = len(kept.targets) if view.run.state is RunState.FIRED else 0
        told = len(view.messages) + len(view.run.refused)
        if told != expected:
            yield f"a run of {kept.timed.name} has said {told} things to {expected} chats"
    owned = Counter(message.id for _, view in runs for message in view.messages)
    for message in books.messages:
        if message.source == "schedule" and owned[message.id] != 1:
            yield f"{message.id} belongs to {owned[message.id]} runs"


def pressed(books: Books) -> Iterator[str]:
    """The same key is the same run, however often somebody pressed."""
    for kept in books.schedules or ():
        by_hand = {view.run.id for view in kept.runs if view.run.cause is RunCause.MANUAL}
        for key, runs in kept.by_hand.items():
            if len(runs) > 1:
                yield f"{key!r} of {kept.timed.name} was answered with {len(runs)} runs"
        told = {run for runs in kept.by_hand.values() for run in runs}
        if lost := told - by_hand:
            yield f"{len(lost)} runs of {kept.timed.name} were told, and are in no history"
        if len(by_hand) > len({key for _, key in kept.timed.by_hand}):
            yield f"{kept.timed.name} ran {len(by_hand)} times by hand"


def heralded(books: Books) -> Iterator[str]:
    """Each run is one event of the stream."""
    if books.schedules is None:
        return
    told = Counter(books.run_events)
    stored = {view.run.id for kept in books.schedules or () for view in kept.runs}
    for run in stored | told.keys():
        if told[run] != (run in stored):
            yield f"run {run} was announced {told[run]} times, and is in the store {int(run in stored)} times"


def _by_time(kept: Kept) -> list[RunView]:
    return [view for view in kept.runs if view.run.cause is RunCause.DUE]


def _due(kept: Kept, until_ms: int) -> list[int]:
    return kept.timed.when.due(kept.written_ms, min(until_ms, kept.ends_ms))


def _skipped(run: Run) -> int:
    """A run that was skipped counts its own due time as missed too."""
    return int(run.state is RunState.SKIPPED)


def _excused(kept: Kept) -> set[int]:
    """Due times that need not be told of: those of a pause, and what had not begun when it came."""
    excused: set[int] = set()
    for from_ms, to_ms in kept.paused:
        begun = [view.run.due_ms for view in _by_time(kept) if view.run.due_ms <= from_ms]
        since_ms = max(begun, default=kept.written_ms)
        excused |= {at_ms for at_ms in _due(kept, to_ms) if at_ms > since_ms}
    return excused


SCHEDULES: tuple[Callable[[Books], Iterable[str]], ...] = (
    once, accounted, made_up, spoken, pressed, heralded,
)  # fmt: skip
