"""The checker itself: over honest books it finds nothing, and each doctored ledger is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from simulation import doctored_hooks, doctored_schedules, doctored_turns
from simulation.books import Asked, Books, Promise, Received, Sample, Speech, Told, TurnTold
from simulation.checker import CHECKS, MEASURES, audit
from simulation.checker_hooks import HOOKS
from simulation.checker_schedules import SCHEDULES
from simulation.checker_turns import TURNS
from yizhan.model import (
    AccountId,
    Attempt,
    ChatId,
    Entry,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Reason,
    Turn,
    TurnId,
    TurnState,
    WaitingFor,
)
from yizhan_simulator.ledger import Effect, Record

BOT, USER = "ab@im.bot", "ann@im.wechat"
LANE = (BOT, USER)
WHY = Reason("expired", "its time was over")


def entry(no: int = 1, of: str = "m1", at_ms: int = 1_000, **change: Any) -> Entry:
    tried = (Attempt(1, at_ms, True, at_ms + 50, "Delivered"),)
    usual = Entry(no, "text", f"c:{of}:{no}", MessageState.DELIVERED, attempts=tried)
    return replace(usual, **change)


def message(name: str = "m1", seq: int = 1, *entries: Entry, **change: Any) -> Message:
    parts = entries or (entry(of=name, at_ms=1_000 * seq),)
    usual = Message(
        id=MessageId(name),
        account=AccountId(f"weixin:{BOT}"),
        chat=ChatId(USER),
        seq=seq,
        klass=MessageClass.PUSH,
        source="api",
        text="text",
        created_at_ms=1_000 * seq,
        expires_at_ms=10**9,
        entries=parts,
        state=MessageState.DELIVERED,
    )
    return replace(usual, **change)


def record(number: int, of: str = "m1", no: int = 1, effect: Effect = Effect.SHOWN, **change: Any) -> Record:
    usual = Record(number, 1_000 * number, "sendmessage", effect, BOT, USER, f"c:{of}:{no}", "text", "sha")
    return replace(usual, **change)


def told(*states: str, of: str = "m1", parts: int = 1) -> list[Told]:
    return [Told(number, of, state, (state,) * parts) for number, state in enumerate(states, 1)]


def honest() -> Books:
    """Two messages, a user's line and its turn; all is as promised."""
    turn = Turn(
        TurnId("t1"), AccountId(f"weixin:{BOT}"), ChatId(USER), "echo", TurnState.DONE, (), 0, outputs=0
    )
    return Books(
        promises=[Promise("m1", "k1"), Promise("m1", "k1"), Promise("m2")],
        asked=[Asked("t1", ("hi",))],
        speeches=[Speech("t1", 1, "", True)],
        heard=["hi"],
        messages=[message("m1", 1, idempotency_key="k1"), message("m2", 2)],
        events=told("queued", "sending", "delivered") + told("queued", "sending", "delivered", of="m2"),
        received=[Received(LANE, "hi", "t1")],
        turns=[turn],
        turn_events=[TurnTold(1, "t1", "running"), TurnTold(2, "t1", "done")],
        records=[
            Record(0, 500, "say", Effect.PHONE, BOT, USER, text="hi"),
            record(1, token="T"),
            record(2, "m2", token="T"),
        ],
        copies={"c:m1:1": 1, "c:m2:1": 1},
        samples=[Sample(1_000, 20, 2), Sample(3_000, 20, 0)],
        stops_ms=[900],
    )


Doctor = Callable[[Books], None]


def with_message(at: int, **change: Any) -> Doctor:
    def doctor(books: Books) -> None:
        books.messages[at] = replace(books.messages[at], **change)

    return doctor


def with_entry(at: int, **change: Any) -> Doctor:
    def doctor(books: Books) -> None:
        kept = books.messages[at]
        books.messages[at] = replace(kept, entries=(replace(kept.entries[0], **change),))

    return doctor


def having(**change: Any) -> Doctor:
    def doctor(books: Books) -> None:
        for name, value in change.items():
            setattr(books, name, value)

    return doctor


def both(*doctors: Doctor) -> Doctor:
    def doctor(books: Books) -> None:
        for each in doctors:
            each(books)

    return doctor


def lose_m2(books: Books) -> None:
    del books.messages[1]


def forget_the_store(books: Books) -> None:
    del books.messages[1]
    books.promises.pop()


def swap(books: Books) -> None:
    books.records[1:] = [record(1, "m2"), record(2)]


def late_copy(books: Books) -> None:
    books.dedupes = False
    books.copies = {"c:m1:1": 2, "c:m2:1": 1}
    doubted = Attempt(1, 900, True, 950, "InDoubt")
    with_entry(0, possibly_doubled=True, attempts=(doubted, Attempt(2, 1_000, True, 1_050, "Delivered")))(
        books
    )
    books.records.append(record(3))


def interrupt(books: Books) -> None:
    books.messages[0] = message("m1", 1, entry(1), entry(2), idempotency_key="k1")
    books.messages[1] = replace(books.messages[1], klass=MessageClass.REPLY)
    books.events = told("queued", "delivered", parts=2)[:1] + told("sending", "delivered", parts=2)
    books.events += told("queued", "sending", "delivered", of="m2")
    books.copies = {"c:m1:1": 1, "c:m1:2": 1, "c:m2:1": 1}
    books.records[1:] = [record(1), record(2, "m2"), record(3, no=2)]


def expire(**change: Any) -> Doctor:
    def doctor(books: Books) -> None:
        with_message(1, state=MessageState.EXPIRED)(books)
        with_entry(1, **{"state": MessageState.EXPIRED, "reason": WHY, **change})(books)
        books.events = books.events[:3] + told("queued", "waiting", "expired", of="m2")

    return doctor


def carry_on_with_a_dead_token(books: Books) -> None:
    refused = Attempt(1, 1_000, True, 1_050, "Throttled")
    books.messages[0] = message(
        "m1", 1, entry(attempts=(refused, Attempt(2, 2_000, False, 2_050, "Delivered"))), idempotency_key="k1"
    )
    again = (Attempt(1, 9_000, True, 9_050, "Delivered"),)
    books.messages[1] = message("m2", 2, entry(of="m2", attempts=again))
    books.records[1:] = [
        record(1, token="T", effect=Effect.REFUSED),
        record(2),
        record(9, "m2", token="T", at_ms=9_010),
    ]


def refuse(times: int, every_ms: int) -> Doctor:
    def doctor(books: Books) -> None:
        books.records += [
            record(10 + n, "m2", effect=Effect.REFUSED, at_ms=5_000 + n * every_ms) for n in range(times)
        ]

    return doctor


def poll(times: int) -> Doctor:
    def doctor(books: Books) -> None:
        books.records += [Record(n, 5_000 + n, "getupdates", Effect.ANSWERED, BOT) for n in range(times)]

    return doctor


def ask_qq(call: str, times: int, every_ms: int) -> Doctor:
    def doctor(books: Books) -> None:
        books.records += [
            Record(n, 5_000 + n * every_ms, call, Effect.ANSWERED, BOT) for n in range(10, 10 + times)
        ]

    return doctor


def answer_what_is_spent(books: Books) -> None:
    books.repeats_from_ms = {BOT: 0}
    books.records += [
        record(10 + n, "m2", token="T", rule="window", effect=Effect.REFUSED, at_ms=5_000 * n)
        for n in range(1, 7)
    ]


DOCTORED: list[tuple[str, Doctor, str]] = [
    ("a promise is not kept", lose_m2, "m2 was accepted and is not in the store"),
    (
        "a message never ends",
        with_message(1, state=MessageState.WAITING, waiting_for=WaitingFor.LIMIT),
        "m2 is still waiting",
    ),
    ("a row is deleted that nobody was promised", forget_the_store, "m2 was announced as delivered and is gone"),
    ("a state changes in silence", with_message(1, state=MessageState.FAILED), "was announced as delivered"),
    (
        "a part leaves a final state",
        having(events=told("queued", "delivered") + told("queued", "sending", "delivered", of="m2")),
        "went from queued to delivered",
    ),
    ("a part fails without a word", expire(reason=None), "m2/1 is expired without a reason"),
    ("delivered, says only the store", having(records=[]), "the platform never acknowledged it"),
    ("expired, and on the phone", expire(), "m2/1 is called expired, and it is on the phone"),
    ("a copy too many", having(copies={"c:m1:1": 2}), "m1/1 is on the phone 2 times"),
    (
        "a copy without the mark",
        both(having(copies={"c:m1:1": 2}, dedupes=False), with_entry(0, attempts=(Attempt(1, 1, True, 2, "InDoubt"),))),
        "is doubled on the phone and not marked",
    ),
    (
        "a copy although the platform recognises repeats",
        both(
            having(copies={"c:m1:1": 2}),
            with_entry(0, possibly_doubled=True, attempts=(Attempt(1, 1, True, 2, "InDoubt"),)),
        ),
        "m1/1 is on the phone 2 times",
    ),
    (
        "a doubt without the mark",
        with_entry(0, attempts=(Attempt(1, 1, True, 2, "InDoubt"), Attempt(2, 3, True, 4, "Delivered"))),
        "m1/1 was in doubt and is not marked",
    ),
    (
        "given up after a few tries",
        both(having(copies={}), with_entry(1, state=MessageState.FAILED, reason=WHY)),
        "m2/1 is called failed, and was never refused for good",
    ),
    (
        "a client id for two texts",
        lambda books: books.records.append(record(3, text_sha256="other", effect=Effect.REPEAT_DIFFERS)),
        "was used for two texts",
    ),
    (
        "one key, two promises",
        having(promises=[Promise("m1", "k1"), Promise("m2", "k1")]),
        "was answered with m1 and m2",
    ),
    ("one key, two rows", with_message(1, idempotency_key="k1"), "names 2 messages"),
    ("the newer one first", swap, "m1/1 appeared behind a newer one"),
    ("a copy of the older one last", late_copy, "m1/1 appeared behind a newer one"),
    ("one message amid another", interrupt, "the parts of m1 were interrupted"),
    ("an inbound message is lost", having(received=[], asked=[]), "was never stored"),
    (
        "a read message is lost where the platform forgets",
        having(received=[], asked=[], consumes=True),
        "was never stored",
    ),
    ("an inbound message is kept twice", lambda books: books.received.append(books.received[0]), "is stored 2 times"),
    ("a message nobody turns to", having(pending=1), "1 inbound messages were never turned to"),
    (
        "a turn without an end",
        lambda books: books.turns.__setitem__(0, replace(books.turns[0], state=TurnState.RUNNING)),
        "turn t1 is still running",
    ),
    (
        "an answer that vanished",
        lambda books: books.turns.__setitem__(0, replace(books.turns[0], outputs=1)),
        "speaks of 1 outputs, and has 0",
    ),
    ("a line nobody was asked about", having(asked=[]), "was asked about in 0 turns"),
    (
        "a line asked about twice",
        having(asked=[Asked("t1", ("hi",)), Asked("t2", ("hi",))]),
        "was asked about in 2 turns",
    ),
    ("a stale token in use", carry_on_with_a_dead_token, "carried a token that had been found stale"),
    ("a fault in the log", having(complaints=["loop.failed"]), "the gateway complained: loop.failed"),
    ("a silent dispatcher", having(samples=[Sample(1, 1, 1, False)]), "the dispatcher did not run"),
    ("probing without end", refuse(60, 100), "was refused 60 times"),
    ("a storm of sends", refuse(30, 10), "failing sends within a second"),
    ("a hot poll", poll(9), "9 polls within a second"),
    ("a task for each message", having(samples=[Sample(1, 5_000)]), "5000 tasks at once"),
    ("the backlog in memory", having(samples=[Sample(1, 5, 100_000)]), "100000 messages in memory"),
    (
        "a push before a reply",
        both(
            with_message(1, klass=MessageClass.REPLY, created_at_ms=0),
            with_entry(0, attempts=(Attempt(1, 1_990, True),)),
        ),
        "m1 (PUSH) went before m2 (REPLY)",
    ),
    ("a message answered again and again after its time", answer_what_is_spent, "tried to answer T 6 times"),
    ("a hot loop of connecting", ask_qq("qq.gateway_bot", 12, 50), "12 times qq.gateway_bot within 1 s"),
    ("a day's new sessions in an hour", ask_qq("qq.identify", 40, 1_400), "40 times qq.identify within 60 s"),
    ("a stop that takes its time", having(stops_ms=[60_000]), "a stop took 60000 ms"),
    *doctored_turns.FOUND,
    *doctored_schedules.FOUND,
    *doctored_hooks.FOUND,
]  # fmt: skip


def test_honest_books_are_passed() -> None:
    """A checker that cries without cause is turned off."""
    assert [] == audit(honest())


ODD = [*doctored_turns.HONEST, *doctored_schedules.HONEST, *doctored_hooks.HONEST]


@pytest.mark.parametrize("doctor", [row[1] for row in ODD], ids=[row[0] for row in ODD])
def test_what_only_looks_odd_is_passed(doctor: Doctor) -> None:
    """A check that knows one way only to be right would hold others back."""
    books = honest()
    doctor(books)
    assert [] == [finding for check in (*TURNS, *SCHEDULES, *HOOKS) for finding in check(books)]


@pytest.mark.parametrize(
    ("doctor", "finding"), [row[1:] for row in DOCTORED], ids=[row[0] for row in DOCTORED]
)
def test_a_doctored_ledger_is_found_out(doctor: Doctor, finding: str) -> None:
    """A check that cannot fail proves nothing."""
    books = honest()
    doctor(books)
    assert [finding] == [each for each in (finding,) if any(each in found for found in audit(books))], audit(
        books
    )


def test_no_check_is_left_unproved() -> None:
    """Each one has at least one doctored ledger that only it finds."""
    proved = set()
    for _, doctor, finding in DOCTORED:
        books = honest()
        doctor(books)
        proved |= {check for check in CHECKS if any(finding in found for found in check(books))}
        proved |= {check for check in MEASURES if finding in " ".join(audit_one(check, books))}
    assert [] == [check.__name__ for check in (*CHECKS, *MEASURES) if check not in proved]


def audit_one(measure: Any, books: Books) -> list[str]:
    from simulation.checker import Bounds

    return list(measure(books, Bounds()))


def test_a_bot_of_qq_is_owed_what_was_said_in_its_last_session_and_what_it_has_read() -> None:
    """The platform repeats that until it is kept, and the rest may have gone with a session."""
    books = honest()
    having(received=[], asked=[], heard=[], repeats_from_ms={BOT: 501})(books)
    assert [] == audit(books)
    books.repeats_from_ms = {BOT: 500}
    assert ["'hi' of ann@im.wechat was never stored, 1 of 1 times"] == audit(books)
    having(heard=["hi"], repeats_from_ms={BOT: 501})(books)
    assert ["'hi' of ann@im.wechat was never stored, 1 of 1 times"] == audit(books)


def test_what_qq_recognises_is_never_there_twice() -> None:
    """A repeat under the same number is refused, and one without a number is not made."""
    books = honest()
    late_copy(books)
    books.repeats_from_ms = {BOT: 0}
    assert "m1/1 is on the phone 2 times, with 1 doubts" in audit(books)


def test_a_copy_on_the_wire_at_a_kill_is_excused_where_the_platform_forgets() -> None:
    """It handed the message over and will not do so again; nobody could have kept it."""
    books = honest()
    having(received=[], asked=[], consumes=True, on_the_wire=["hi"])(books)
    assert [] == audit(books)
