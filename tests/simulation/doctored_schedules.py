"""Histories of schedules that are not as they should be: what was done to honest ones, and what must be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulation.books import Books
from simulation.books_schedules import Kept
from simulation.plan_schedules import MINUTE_MS, Timed, When
from yizhan.model import AccountId, ChatId, Message, Run, RunCause, RunId, RunState, ScheduleId, Target
from yizhan.ports import RunView

Doctor = Callable[[Books], None]
BEAT = Timed("beat", When("every", 1), ((0, 0),), at_s=0, ends_s=3_600, by_hand=((1.0, "k"),))
SCHEDULE = ScheduleId("sch_beat")


def run(minute: int, late_ms: int = 0, missed: int = 0, **change: object) -> Run:
    due_ms = minute * MINUTE_MS
    usual = Run(
        RunId(f"r{minute}"),
        SCHEDULE,
        f"due:{due_ms}",
        RunCause.DUE,
        RunState.FIRED,
        due_ms,
        due_ms + late_ms,
        missed,
    )
    return replace(usual, **change)  # type: ignore[arg-type]


BEATS = tuple(map(run, range(1, 5)))


def skipped(minute: int, missed: int) -> Run:
    return run(minute, 90_000, missed, state=RunState.SKIPPED)


def by_hand(name: str) -> Run:
    return run(0, id=RunId(name), cause=RunCause.MANUAL, key="run:k")


def keeping(*runs: Run, minutes: int = 4, change: Callable[[Kept], None] = lambda kept: None) -> Doctor:
    """The schedule had these runs when so many minutes and a little had passed; each said its one message."""

    def doctor(books: Books) -> None:
        target = Target(AccountId("weixin:ab@im.bot"), ChatId("ann@im.wechat"))
        kept = Kept(BEAT, SCHEDULE, (target,), until_ms=minutes * MINUTE_MS + 30_000)
        for each in runs:
            says = _said(books, each) if each.state is RunState.FIRED else ()
            kept.runs.append(RunView(each, says))
        books.messages += [message for view in kept.runs for message in view.messages]
        books.run_events = [view.run.id for view in kept.runs]
        change(kept)
        books.schedules = [kept]

    return doctor


def _said(books: Books, of: Run) -> tuple[Message, ...]:
    like = books.messages[0]
    return (replace(like, id=f"said by {of.id}", source="schedule", idempotency_key=None, entries=()),)  # type: ignore[arg-type]


def pausing(from_minute: int, to_minute: int) -> Callable[[Kept], None]:
    return lambda kept: kept.paused.append((from_minute * MINUTE_MS, to_minute * MINUTE_MS))


def keeping_to(rule: str, *runs: Run, minutes: int) -> Doctor:
    def change(kept: Kept) -> None:
        kept.timed = replace(BEAT, missed=rule, missed_most=2)

    return keeping(*runs, minutes=minutes, change=change)


def pressing(*told: str) -> Callable[[Kept], None]:
    return lambda kept: kept.by_hand.update(k=set(told))


def _tell_twice(books: Books) -> None:
    keeping(*BEATS)(books)
    books.run_events.append("r1")


def _say_it_twice(books: Books) -> None:
    keeping(*BEATS)(books)
    (kept,) = books.schedules or ()
    kept.runs[0] = replace(kept.runs[0], messages=kept.runs[0].messages * 2)


def _say_it_for_nobody(books: Books) -> None:
    keeping(*BEATS)(books)
    (kept,) = books.schedules or ()
    kept.runs[0] = replace(kept.runs[0], messages=())


FOUND: list[tuple[str, Doctor, str]] = [
    ("one due time, two runs", keeping(run(1, id=RunId("r1b")), *BEATS), "beat ran 2 times for"),
    ("a run at no due time", keeping(run(1, due_ms=MINUTE_MS + 1), run(2), run(3), run(4)), "when it was not due"),
    ("a run before its time", keeping(run(1, -500), run(2), run(3), run(4)), "beat ran 500 ms before it was due"),
    ("a due time in silence", keeping(run(1), run(3), run(4)), "tells of 0 missed before 180000, 1 were"),
    ("the last one in silence", keeping(run(1), run(2), run(3)), "was due 1 times since 180000, and nothing tells"),
    ("more missed than were", keeping(run(1), run(2, missed=1), run(3), run(4)), "tells of 1 missed before 120000, 0"),
    ("a skipped one that forgets itself", keeping(skipped(4, 3)), "tells of 3 missed before 240000, 4 were"),
    ("silence before a pause", keeping(run(3), run(4), change=pausing(3, 4)), "tells of 0 missed before 180000, 2"),
    ("made up for all the same", keeping_to("skip", run(4, 90_000, 3), minutes=4), "ran 1 times too late"),
    (
        "made up for too often",
        keeping_to("all", *(run(n, (9 - n) * MINUTE_MS) for n in (1, 2, 3)), run(4), minutes=4),
        "ran 3 times too late at 540000, where all is said",
    ),
    ("one run, two messages", _say_it_twice, "a run of beat has said 2 things to 1 chats"),
    ("a message without a run", _say_it_for_nobody, "said by r1 belongs to 0 runs"),
    (
        "one press, two runs",
        keeping(by_hand("a"), by_hand("b"), *BEATS, change=pressing("a", "b")),
        "'k' of beat was answered with 2 runs",
    ),
    ("a press that is lost", keeping(*BEATS, change=pressing("a")), "1 runs of beat were told"),
    ("a run told twice", _tell_twice, "run r1 was announced 2 times"),
]  # fmt: skip

HONEST: list[tuple[str, Doctor]] = [
    ("beat for beat", keeping(*BEATS)),
    ("one for all that was missed", keeping(run(1), run(4, 90_000, 2))),
    ("nothing for what was missed", keeping_to("skip", run(1), skipped(4, 3), minutes=4)),
    ("each of what was missed", keeping_to("all", run(3, 300_000, 2), run(4, 240_000), minutes=4)),
    ("a pause", keeping(run(1), run(4), change=pausing(2, 3))),
    ("by hand, as often as somebody pressed", keeping(by_hand("a"), *BEATS, change=pressing("a"))),
]  # fmt: skip
"""What looks odd, and is as it should be."""
