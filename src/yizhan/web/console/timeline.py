"""A chat's timeline as HTML, one row each: what came in, what was generated, and the fate of every part.

"Delivered" stands only where the platform gave its receipt. What is queued, waiting or unconfirmed says so,
with the reason and the next attempt beside the very part it concerns.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import assert_never

from yizhan.model import (
    Access,
    Attempt,
    Entry,
    Inbound,
    Item,
    Message,
    MessageState,
    Reason,
    Suppressed,
    Turn,
    TurnState,
    WaitingFor,
)
from yizhan.ports import TimelineRow
from yizhan.web.console import controls, turns
from yizhan.web.console.markup import Child, Html, icon, join, moment, tag
from yizhan.web.console.sentences import SENTENCES
from yizhan.web.console.words import Words

TEXT_SHOWN = 1200
LINES_SHOWN = 30
"""Longer texts are folded, so that a page of a hundred rows stays small."""
ATTEMPTS_SHOWN = 20

TONES = {
    MessageState.QUEUED: "calm",
    MessageState.SENDING: "calm",
    MessageState.WAITING: "wait",
    MessageState.DELIVERED: "good",
    MessageState.UNCONFIRMED: "unsure",
    MessageState.FAILED: "bad",
    MessageState.EXPIRED: "bad",
    MessageState.CANCELLED: "calm",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How rows are shown: in which language, and what a person has unfolded (`key_of` names it)."""

    words: Words
    opened: Container[str] = frozenset()


def row_id(row: TimelineRow) -> str:
    """A name of the row that stays while its content changes."""
    match row:
        case Inbound() | Turn() | Message():
            return row.id
        case Suppressed():
            return f"s-{row.original_id}-{row.at_ms}-{row.platform_message_id or ''}"
    assert_never(row)


def timeline_row(look: Look, row: TimelineRow) -> Html:
    match row:
        case Inbound():
            return _inbound(look, row)
        case Turn():
            return _turn(look, row)
        case Message():
            return _outbound(look, row)
        case Suppressed():
            return _suppressed(look, row)
    assert_never(row)


def legend(words: Words) -> Html:
    """Every mark with its meaning; all of them, so that nobody has to guess."""
    marks = [
        tag("li", mark(words, state), tag("span", words(f"{state}.means"), class_="quiet"))
        for state in MessageState
    ]
    marks.append(tag("li", doubled(words), tag("span", words("doubled.means"), class_="quiet")))
    return tag("details", tag("summary", words("legend")), tag("ul", *marks), class_="legend")


def nothing_yet(words: Words, search: str = "") -> Html:
    return tag("p", words("search.none" if search else "timeline.none"), class_="empty")


# what came in


def _inbound(look: Look, row: Inbound) -> Html:
    return tag(
        "article",
        tag(
            "header",
            tag("bdi", row.sender_name or row.sender_id, class_="who", title=row.sender_id),
            moment(row.received_at_ms),
        ),
        tag("blockquote", row.quoted_text, dir="auto") if row.quoted_text else None,
        _text(look, row.id, row.text) if row.text else None,
        _items(look.words, row.items),
        _refused_at_the_door(look.words, row),
        class_="inbound bubble",
    )


def _items(words: Words, items: tuple[Item, ...]) -> Html | None:
    named = [item for item in items if item.kind != "text"]
    if not named:
        return None
    return tag("ul", *(_item(words, item) for item in named), class_="items", aria_label=words("items"))


def _item(words: Words, item: Item) -> Html:
    kind = words.known(f"item.{item.kind}", item.kind)
    size = None if item.size is None else tag("span", _size(item.size), class_="quiet")
    name = tag("bdi", item.name) if item.name else None
    return tag("li", icon("clip"), tag("span", kind), name, size)


def _size(size: int) -> str:
    shown, unit = float(size), "B"
    for larger in ("KB", "MB", "GB"):
        if shown >= 1000:
            shown, unit = shown / 1000, larger
    return f"{shown:.3g} {unit}"


def _refused_at_the_door(words: Words, row: Inbound) -> Html | None:
    """That it was not answered, and by which rule."""
    if row.access is Access.ALLOWED:
        return None
    why = tag("span", words.known(f"rule.{row.rule}", row.rule), class_="quiet") if row.rule else None
    return tag("p", icon("lock"), words(f"access.{row.access}"), why, class_="status wait")


def _suppressed(look: Look, row: Suppressed) -> Html:
    return tag(
        "p",
        icon("repeat"),
        tag("span", look.words("suppressed")),
        moment(row.at_ms),
        class_="aside suppressed",
    )


# what was generated


def _turn(look: Look, row: Turn) -> Html:
    """How a turn goes, or went. What is answered is left alone here; the list of turns offers to ask again."""
    words = look.words
    tone = "bad" if row.state is TurnState.FAILED else "calm"
    when = moment(row.ended_at_ms) if row.ended_at_ms is not None else turns.since(row)
    return tag(
        "div",
        icon("agent"),
        tag("span", turns.sentence(words, row)),
        when,
        tag("span", words.reason(row.reason), class_="because") if row.reason else None,
        controls.buttons(*turns.acts_on(words, row)) if row.state is not TurnState.DONE else None,
        class_=f"aside turn {tone}",
        data_turn=row.state.value,
    )


# what goes out


def _outbound(look: Look, row: Message) -> Html:
    return tag(
        "article",
        tag(
            "header",
            tag("span", look.words(f"class.{row.klass.name.lower()}"), class_="who"),
            tag("span", look.words.known(f"source.{row.source}", row.source), class_="quiet"),
            moment(row.created_at_ms),
        ),
        _progress(look.words, row),
        tag("ol", *(_part(look, row, entry) for entry in row.entries), class_="parts"),
        controls.buttons(*acts_on(look.words, row)) if row.state is not MessageState.DELIVERED else None,
        class_="outbound bubble",
        data_message=row.id,
        data_state=row.state.value,
    )


def acts_on(words: Words, row: Message) -> list[Html]:
    """What a person may do about a message that is not delivered. What may be shown twice is asked first."""
    if row.state is MessageState.DELIVERED:
        return []
    if not row.state.live:
        unsure = MessageState.UNCONFIRMED in {entry.state for entry in row.entries}
        confirm = words("retry.sure") if unsure else None
        again = words("retry.again")
        return [controls.button("retry", again, "small", data_about=row.id, data_confirm=confirm)]
    return [
        controls.button("retry", words("retry.hurry"), "small", data_about=row.id),
        controls.button("cancel", words("cancel"), "small", data_about=row.id),
    ]


def _progress(words: Words, row: Message) -> Html | None:
    """Of a message in several parts: how much of it has arrived."""
    if len(row.entries) < 2:
        return None
    done = sum(entry.state is MessageState.DELIVERED for entry in row.entries)
    return tag("p", words("parts.delivered", done=done, of=len(row.entries)), class_="progress quiet")


def _part(look: Look, row: Message, entry: Entry) -> Html:
    numbered = None
    if len(row.entries) > 1:
        numbered = tag("span", look.words("part", no=entry.no, of=len(row.entries)), class_="part-no quiet")
    return tag(
        "li",
        numbered,
        _text(look, f"{row.id}/{entry.no}", entry.text),
        _status(look, row, entry),
        _attempts(look, row, entry),
        data_part=entry.no,
        data_state=entry.state.value,
    )


def _status(look: Look, row: Message, entry: Entry) -> Html:
    words, state = look.words, entry.state
    return tag(
        "div",
        mark(words, state, _title(words, entry)),
        *_waiting(words, row, entry),
        because(words, entry.reason, entry.waiting_for)
        if entry.reason and state is not MessageState.DELIVERED
        else None,
        doubled(words) if entry.possibly_doubled else None,
        _dressed(words, entry.form),
        _attempts_opener(look, row, entry),
        class_=f"status {TONES[state]}",
    )


def mark(words: Words, state: MessageState, title: str | None = None) -> Html:
    return tag(
        "span",
        icon(state.value),
        tag("span", words(state.value)),
        class_=f"mark {TONES[state]}",
        title=title or words(f"{state}.means"),
    )


def doubled(words: Words) -> Html:
    return tag(
        "span",
        icon("doubled"),
        tag("span", words("doubled")),
        class_="mark unsure",
        title=words("doubled.means"),
    )


def _dressed(words: Words, form: str) -> Html | None:
    """Said where people see other words than those above."""
    if f"form.{form}" not in SENTENCES:
        return None
    return tag("span", words(f"form.{form}"), class_="quiet", title=words(f"form.{form}.means"))


def _title(words: Words, entry: Entry) -> str:
    means = words(f"{entry.state}.means")
    return f"{means}\n{words('receipt', receipt=entry.receipt)}" if entry.receipt else means


def _waiting(words: Words, row: Message, entry: Entry) -> list[Html]:
    """For what a live part waits, when it is tried next, and until when at all.

    What the gateway knows of gates and accounts is told of the message; it concerns its first live part,
    and those behind wait for that one.
    """
    if not entry.state.live or entry.state is MessageState.SENDING:
        return []
    first = next(part for part in row.entries if part.state.live)
    waiting_for, next_ms = entry.waiting_for, entry.next_attempt_at_ms
    if entry is first and waiting_for is None:
        waiting_for, next_ms = row.waiting_for, row.next_attempt_at_ms
    told = []
    if waiting_for is not None:
        told.append(tag("span", words(f"for.{waiting_for}")))
    elif entry is not first:
        told.append(tag("span", words("for.turn")))
    if next_ms is not None:
        told.append(tag("span", words("next"), " ", moment(next_ms, "until"), class_="nowrap"))
    if entry is first and entry.state is MessageState.WAITING:
        told.append(tag("span", words("expires"), " ", moment(row.expires_at_ms), class_="quiet nowrap"))
    return told


def because(words: Words, reason: Reason, waiting_for: WaitingFor | None) -> Html | None:
    """The reason, unless it only repeats what is waited for."""
    why = words.reason(reason)
    if waiting_for is not None and why.casefold() == words(f"for.{waiting_for}").casefold():
        return None
    return tag("span", why, class_="because quiet")


def _attempts_key(row: Message, entry: Entry) -> str:
    return f"attempts/{row.id}/{entry.no}"


def _attempts_opener(look: Look, row: Message, entry: Entry) -> Html | None:
    if not entry.attempts:
        return None
    key = _attempts_key(row, entry)
    return _opener(key, look.words("attempts", n=len(entry.attempts)), key in look.opened)


def _attempts(look: Look, row: Message, entry: Entry) -> Html | None:
    """Each try, the newest ones last; only when somebody asks for it."""
    if _attempts_key(row, entry) not in look.opened:
        return None
    last = entry.attempts[-ATTEMPTS_SHOWN:]
    return tag("ol", *(_attempt(look.words, attempt) for attempt in last), class_="attempts")


def _attempt(words: Words, attempt: Attempt) -> Html:
    with_token = "attempt.with_token" if attempt.with_token else "attempt.without_token"
    answer: Child = words("attempt.open")
    if attempt.verdict is not None:
        answer = tag("b", words.known(f"verdict.{attempt.verdict}", attempt.verdict))
    said = " ".join(filter(None, (attempt.code, attempt.text)))
    return tag(
        "li",
        tag("span", f"{attempt.n}.", class_="n"),
        moment(attempt.at_ms),
        tag("span", words(with_token), class_="quiet"),
        answer,
        tag("span", said, class_="said") if said else None,
        value=attempt.n,
    )


def _text(look: Look, key: str, text: str) -> Html:
    """The text as it is, folded when it is long."""
    beginning = _beginning(text)
    if beginning == text:
        return tag("p", text, class_="text", dir="auto")
    key, words = f"text/{key}", look.words
    if key in look.opened:
        return join(tag("p", text, class_="text", dir="auto"), _opener(key, words("text.less"), True))
    folded = tag("p", beginning + "…", class_="text", dir="auto")
    return join(folded, _opener(key, words("text.all", n=len(text)), False))


def _beginning(text: str) -> str:
    """As much of a text as is shown unasked."""
    return "\n".join(text[:TEXT_SHOWN].split("\n", LINES_SHOWN)[:LINES_SHOWN])


def _opener(key: str, text: str, is_open: bool) -> Html:
    """A button that unfolds something; the page listens for clicks on `data-open`."""
    return tag(
        "button",
        text,
        type="button",
        class_="opener",
        data_open=key,
        aria_expanded="true" if is_open else "false",
    )
