"""Ledgers of turns that are not as they should be: what was done to honest books, and what must be found in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from simulation.books import Asked, Books, Received, Speech, TurnTold
from yizhan.core.phrases import say
from yizhan.model import (
    AccountId,
    ChatId,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Reason,
    Turn,
    TurnId,
    TurnState,
)

Doctor = Callable[[Books], None]
BOT, USER = "ab@im.bot", "ann@im.wechat"
WHY = Reason("agent-broke", "in the middle of its words")
FIRST, REST = "a1.0.0.0 so.", "a1.0.1.0 so."


def turn(state: TurnState = TurnState.DONE, **change: Any) -> Turn:
    usual = Turn(TurnId("t1"), AccountId(f"weixin:{BOT}"), ChatId(USER), "scripted", state, (), 0)
    return replace(usual, **change)


def _said(seq: int, text: str, ordinal: int | None, klass: MessageClass = MessageClass.REPLY) -> Message:
    """A message of the turn, as far as turns are concerned; it was cancelled before it was sent."""
    return Message(
        id=MessageId(f"said{seq}"),
        account=AccountId(f"weixin:{BOT}"),
        chat=ChatId(USER),
        seq=seq,
        klass=klass,
        source="turn",
        text=text,
        created_at_ms=0,
        expires_at_ms=1,
        entries=(),
        state=MessageState.CANCELLED,
        turn_id=TurnId("t1"),
        ordinal=ordinal,
    )


def answering(*outputs: str, said: tuple[Speech, ...], state: TurnState = TurnState.DONE) -> Doctor:
    """The turn has these outputs, and this was said to it."""

    def doctor(books: Books) -> None:
        messages = [_said(10 + ordinal, text, ordinal) for ordinal, text in enumerate(outputs)]
        books.messages += messages
        reason = WHY if state is TurnState.FAILED else None
        books.turns[0] = turn(state, outputs=len(outputs), reason=reason)
        books.speeches = list(said)
        books.turn_events = [TurnTold(1, "t1", "running"), TurnTold(2, "t1", state.value)]

    return doctor


def told(*texts: str, state: TurnState) -> Doctor:
    """The turn ended like this, and the chat was told so."""

    def doctor(books: Books) -> None:
        answering(said=(Speech("t1"),), state=state)(books)
        books.messages += [_said(20 + n, text, None, MessageClass.NOTICE) for n, text in enumerate(texts)]

    return doctor


def whole(words: str) -> Speech:
    return Speech("t1", 1, words, True)


def broken(words: str) -> Speech:
    return Speech("t1", 1, words)


def _ask_after_the_end(books: Books) -> None:
    books.speeches = [whole(""), Speech("t1", 2, "", True)]


def _leave_an_end(books: Books) -> None:
    books.turn_events.append(TurnTold(3, "t1", "running"))


def _forget_the_turn(books: Books) -> None:
    books.received[0] = Received((BOT, USER), "hi", None)


def _say_nothing_of_the_end(books: Books) -> None:
    books.turn_events.pop()


def _give_no_reason(books: Books) -> None:
    told(NOTICE, state=TurnState.FAILED)(books)
    books.turns[0] = replace(books.turns[0], reason=None)


def _ask_nobody_though_it_failed(books: Books) -> None:
    told(NOTICE, state=TurnState.FAILED)(books)
    books.asked = [Asked("t2", ("other",))]


def _begin_with_the_second(books: Books) -> None:
    answering(FIRST, said=(whole(FIRST),))(books)
    books.messages[-1] = replace(books.messages[-1], ordinal=1)


NOTICE = say("zh", "turn_failed")
NOT_SAID = "does not say what the agent has said"

FOUND: list[tuple[str, Doctor, str]] = [
    ("a turn that ended is asked again", _ask_after_the_end, "t1 had ended, and the agent was asked again"),
    ("a turn that ended goes on", _leave_an_end, "turn t1 went from done to running"),
    ("a message without a turn", _forget_the_turn, "'hi' belongs to no turn"),
    ("an end in silence", _say_nothing_of_the_end, "turn t1 is done, and was announced as running"),
    ("a failure without a reason", _give_no_reason, "turn t1 failed without a reason"),
    ("a failed turn that asked nobody", _ask_nobody_though_it_failed, "'hi' was asked about in 0 turns"),
    ("half of an answer", answering(FIRST, said=(whole(f"{FIRST} {REST}"),)), NOT_SAID),
    ("an answer twice", answering(FIRST, FIRST, said=(whole(FIRST),)), NOT_SAID),
    ("an answer in the wrong order", answering(REST, FIRST, said=(whole(f"{FIRST} {REST}"),)), NOT_SAID),
    ("what broke is called answered", answering(FIRST, said=(broken(FIRST),)), NOT_SAID),
    (
        "the first sentence again",
        answering(FIRST, FIRST, REST, said=(broken(FIRST), whole(f"{FIRST} {REST}"))),
        NOT_SAID,
    ),
    (
        "a broken answer is shown",
        answering(FIRST, REST, said=(broken(f"{FIRST} {REST}"),), state=TurnState.FAILED),
        NOT_SAID,
    ),
    (
        "a number is left out",
        _begin_with_the_second,
        "the outputs of turn t1 are numbered [1]",
    ),
    ("a failure told twice", told(NOTICE, NOTICE, state=TurnState.FAILED), "told 2 times that turn t1 failed"),
    ("a failure told to nobody", told(state=TurnState.FAILED), "t1 failed, and nobody in ann@im.wechat has heard"),
    ("an answer called a failure", told(NOTICE, state=TurnState.DONE), "t1 is done, and the chat was told that"),
]  # fmt: skip


HONEST: list[tuple[str, Doctor]] = [
    ("the answer as it was said", answering(f"{FIRST}\n\n{REST}", said=(whole(f"{FIRST} {REST}"),))),
    ("the first sentence ahead", answering(FIRST, REST, said=(whole(f"{FIRST} {REST}"),))),
    ("then asked again", answering(FIRST, "a2.0 so.", said=(broken(f"{FIRST} a1.0"), whole("a2.0 so.")))),
    ("it says the same again", answering(FIRST, REST, said=(broken(FIRST), whole(f"{FIRST} {REST}")))),
    ("an answer of nothing", answering(said=(whole(""),))),
    ("a failure, and one notice", told(NOTICE, state=TurnState.FAILED)),
]  # fmt: skip
"""What looks odd, and is as it should be."""
