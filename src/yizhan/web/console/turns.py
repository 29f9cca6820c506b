"""Turns as a table: what was asked, who answers it, how that goes, and what may be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yizhan.core.text import shorten
from yizhan.model import AccountId, Inbound, InboundId, Target, Turn, TurnState
from yizhan.ports import TurnFilter
from yizhan.web.console import controls, links
from yizhan.web.console.markup import Html, icon, join, moment, tag
from yizhan.web.console.words import Words

PAGE_ROWS = 50
BEGINNING = 90
"""Characters of a question that its row shows."""

OPEN = frozenset({TurnState.QUEUED, TurnState.RUNNING, TurnState.WAITING})
GROUPS: Mapping[str, frozenset[TurnState]] = {"": frozenset(), "open": OPEN} | {
    state.value: frozenset({state}) for state in TurnState
}
"""What the filter offers: name → states; empty: all."""

TONES = {
    TurnState.QUEUED: "calm",
    TurnState.RUNNING: "calm",
    TurnState.WAITING: "wait",
    TurnState.DONE: "good",
    TurnState.FAILED: "bad",
    TurnState.STOPPED: "calm",
}

Asked = Mapping[InboundId, Inbound]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, as it stands in the page's address. `chat` is None where what was typed names none."""

    state: str = ""
    account: str = ""
    chat: Target | None = None
    chat_typed: str = ""

    @property
    def filter(self) -> TurnFilter:
        account = self.chat.account if self.chat else AccountId(self.account) if self.account else None
        return TurnFilter(account, self.chat.chat if self.chat else None, GROUPS.get(self.state, frozenset()))

    @property
    def wrong(self) -> bool:
        return bool(self.chat_typed) and self.chat is None


def filter_form(words: Words, wish: Wish, accounts: Sequence[AccountId]) -> Html:
    """An ordinary form: what is asked for stands in the address, to be kept and passed on."""
    states = [("", words("filter.state.all")), ("open", words("turns.open"))]
    states += [(state.value, words(f"turns.{state}")) for state in TurnState]
    known = [("", words("filter.account.all")), *((account, account) for account in accounts)]
    return tag(
        "form",
        controls.choice("state", words("filter.state"), states, wish.state, goes=True),
        controls.choice("account", words("filter.account"), known, wish.account, goes=True),
        controls.field(
            "chat", words("filter.chat"), value=wish.chat_typed, placeholder=words("filter.chat.how")
        ),
        controls.submit(words("filter.show"), ""),
        action=links.TURNS,
        method="get",
        class_="filter panel",
    )


def turn_table(words: Words, turns: Sequence[Turn], asked: Asked) -> Html:
    """`asked`: what the turns answer, as far as it is still kept; the first message of each is enough."""
    if not turns:
        return controls.empty(words("turns.none"))
    heads = [words("turns.asked"), words("chat"), words("turns.fate"), words("acts")]
    rows = [_row(words, turn, asked.get(turn.inbound_ids[0]) if turn.inbound_ids else None) for turn in turns]
    return controls.table(words("turns"), heads, rows, "turns")


def _row(words: Words, turn: Turn, first: Inbound | None) -> Html:
    return tag(
        "tr",
        tag("th", *_question(words, turn, first), scope="row", class_="what"),
        tag(
            "td",
            tag("a", tag("bdi", turn.chat), href=links.chat(turn.target)),
            tag("bdi", turn.account, class_="quiet id"),
            data_label=words("chat"),
            class_="where",
        ),
        tag("td", tag("div", *_fate(words, turn)), class_="fate"),
        tag("td", controls.buttons(*acts_on(words, turn)), class_="acts"),
        data_turn=turn.id,
        data_state=turn.state.value,
    )


def _question(words: Words, turn: Turn, first: Inbound | None) -> list[Html]:
    """Its beginning, who asked, and how much more was asked with it."""
    if first is None:
        return [tag("span", words("turns.unknown"), class_="quiet")]
    beginning = shorten(" ".join(first.text.split()), BEGINNING)
    told = [tag("bdi", beginning, dir="auto") if beginning else tag("span", words("items"), class_="quiet")]
    others = len(turn.inbound_ids) - 1
    more = [words("turns.others", n=others)] if others else []
    if first.sender_name or first.sender_id != turn.chat:
        more.insert(0, tag("bdi", first.sender_name or first.sender_id))
    return [*told, *(tag("span", each, class_="quiet id") for each in more)]


def _fate(words: Words, turn: Turn) -> list[Html]:
    told = [mark(words, turn)]
    if turn.ended_at_ms is None:
        told.append(tag("span", words("since"), " ", since(turn), class_="quiet nowrap"))
    else:
        told.append(tag("span", moment(turn.ended_at_ms), class_="quiet nowrap"))
    if turn.reason is not None:
        told.append(tag("span", words.reason(turn.reason), class_="because quiet"))
    return told


def since(turn: Turn) -> Html:
    """When it began to be what it is, for one that has not ended."""
    began_ms = turn.created_at_ms if turn.state is TurnState.QUEUED else turn.started_at_ms
    return moment(began_ms or turn.created_at_ms, "ago")


def mark(words: Words, turn: Turn) -> Html:
    """What became of it, in one sentence that names who answers."""
    return tag(
        "span",
        icon("agent"),
        tag("span", sentence(words, turn)),
        class_=f"mark {TONES[turn.state]}",
        title=words(f"turns.{turn.state}.means"),
    )


def sentence(words: Words, turn: Turn) -> str:
    name = f"turn.{turn.state}"
    if turn.state is TurnState.DONE and turn.outputs == 0:
        name = "turn.done.none"
    return words(name, agent=turn.agent, n=turn.outputs)


def acts_on(words: Words, turn: Turn) -> list[Html]:
    """What a person may do about a turn. What has been answered already is asked about first."""
    if turn.ended_at_ms is None:
        sure = words("turns.stop.sure")
        return [
            controls.button("stop_turn", words("turns.stop"), "small", data_about=turn.id, data_confirm=sure)
        ]
    if not turn.inbound_ids:
        return []
    again = words("turns.rerun.sure") if turn.state is TurnState.DONE else None
    return [controls.button("rerun", words("turns.rerun"), "small", data_about=turn.id, data_confirm=again)]


def summary(words: Words, opened: int, failed: int, most: int) -> Html:
    """On the overview: how many are at work and how many failed of late, each a way to them; nothing where none is.

    `most`: where counting ended; that many or more are told as such."""
    told = [
        tag("a", words(name, n=f"{most}+" if number > most else number), href=links.turns(state))
        for name, state, number in (("turns.now", "open", opened), ("turns.lately", "failed", failed))
        if number
    ]
    return join(tag("p", *told, class_="summary")) if told else Html("")
