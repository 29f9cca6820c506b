"""The outbox as a table: what was asked for, each message with its fate, and what may be done about many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yizhan.core.text import shorten
from yizhan.model import AccountId, Message, MessageState, Target, WaitingFor
from yizhan.ports import MessageFilter
from yizhan.web.console import controls, links, timeline
from yizhan.web.console.markup import Html, moment, tag
from yizhan.web.console.words import Words

PAGE_ROWS = 50
BEGINNING = 90
"""Characters of a message that its row shows."""

LIVE = frozenset(state for state in MessageState if state.live)
DEAD = frozenset({MessageState.FAILED, MessageState.EXPIRED})
GROUPS: Mapping[str, frozenset[MessageState]] = {"": frozenset(), "live": LIVE, "dead": DEAD} | {
    state.value: frozenset({state}) for state in MessageState
}
"""What the filter offers: name → states; empty: all."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, as it stands in the page's address. `chat` is None where what was typed names none."""

    state: str = ""
    account: str = ""
    chat: Target | None = None
    chat_typed: str = ""
    cause: str = ""

    @property
    def filter(self) -> MessageFilter:
        account = self.chat.account if self.chat else AccountId(self.account) if self.account else None
        return MessageFilter(
            account,
            self.chat.chat if self.chat else None,
            GROUPS.get(self.state, frozenset()),
            cause=self.cause,
        )

    @property
    def wrong(self) -> bool:
        return bool(self.chat_typed) and self.chat is None


def filter_form(words: Words, wish: Wish, accounts: Sequence[AccountId]) -> Html:
    """An ordinary form: what is asked for stands in the address, to be kept and passed on."""
    states = [("", words("filter.state.all")), ("live", words("filter.state.live"))]
    states += [("dead", words("filter.state.dead"))]
    states += [(state.value, words(state.value)) for state in MessageState]
    known = [("", words("filter.account.all")), *((account, account) for account in accounts)]
    causes = [tag("option", words(f"for.{waits}"), value=waits.value) for waits in WaitingFor]
    return tag(
        "form",
        controls.choice("state", words("filter.state"), states, wish.state, goes=True),
        controls.choice("account", words("filter.account"), known, wish.account, goes=True),
        controls.field(
            "chat", words("filter.chat"), value=wish.chat_typed, placeholder=words("filter.chat.how")
        ),
        controls.field(
            "cause",
            words("filter.cause"),
            value=wish.cause,
            list="causes",
            placeholder=words("filter.cause.all"),
            title=words("filter.cause.code"),
        ),
        tag("datalist", *causes, id="causes"),
        controls.submit(words("filter.show"), ""),
        action=links.OUTBOX,
        method="get",
        class_="filter panel",
    )


def bulk_bar(words: Words, wish: Wish) -> Html:
    """What may be done with those chosen, and with all that fit."""
    return controls.buttons(
        tag("span", words("chosen", n=0), class_="quiet", data_chosen_count=True, aria_live="polite"),
        _bulk(words, "retry", chosen=True),
        _bulk(words, "cancel", chosen=True),
        _bulk(words, "retry_all"),
        _bulk(words, "cancel_all"),
        tag("a", words("outbox.export"), href=_export(wish), download=True, class_="button small")
        if not wish.wrong
        else None,
    )


def _export(wish: Wish) -> str:
    """The same wish as the API takes it."""
    states = ",".join(sorted(GROUPS.get(wish.state, ())))
    chat = str(wish.chat) if wish.chat else ""
    return links.asking(links.EXPORT, state=states, account=wish.account, chat=chat, cause=wish.cause)


def _bulk(words: Words, act: str, chosen: bool = False) -> Html:
    return controls.button(
        f"{act}",
        words(f"outbox.{act}"),
        "small",
        data_confirm=words(f"outbox.{act}.sure"),
        data_chosen=chosen,
        disabled=chosen,
    )


def message_table(words: Words, messages: Sequence[Message]) -> Html:
    """Each message by its beginning, where it goes, and what became of it."""
    if not messages:
        return controls.empty(words("outbox.none"))
    every = tag("input", type="checkbox", data_choose_all=True, aria_label=words("outbox.choose_all"))
    heads = [every, words("outbox.message"), words("chat"), words("outbox.fate"), words("outbox.when")]
    return controls.table(words("outbox"), heads, [_row(words, message) for message in messages], "outbox")


def _row(words: Words, message: Message) -> Html:
    beginning = shorten(" ".join(message.text.split()), BEGINNING)
    box = tag(
        "input",
        type="checkbox",
        value=message.id,
        data_choose=True,
        aria_label=words("outbox.choose"),
        aria_describedby=f"what-{message.id}",
    )
    return tag(
        "tr",
        tag("td", box, class_="choose"),
        tag(
            "th",
            tag("bdi", beginning, dir="auto", id=f"what-{message.id}"),
            _kind(words, message),
            scope="row",
            class_="what",
        ),
        tag(
            "td",
            tag("a", tag("bdi", message.chat), href=links.chat(message.target)),
            tag("bdi", message.account, class_="quiet id"),
            data_label=words("chat"),
            class_="where",
        ),
        tag("td", tag("div", *_fate(words, message)), class_="fate"),
        tag("td", moment(message.created_at_ms), data_label=words("outbox.when")),
        data_message=message.id,
        data_state=message.state.value,
    )


def _kind(words: Words, message: Message) -> Html:
    told = words(f"class.{message.klass.name.lower()}")
    if len(message.entries) > 1:
        done = sum(entry.state is MessageState.DELIVERED for entry in message.entries)
        told += " · " + words("parts.delivered", done=done, of=len(message.entries))
    return tag("span", told, class_="quiet id")


def _fate(words: Words, message: Message) -> list[Html | None]:
    told: list[Html | None] = [timeline.mark(words, message.state)]
    if message.possibly_doubled:
        told.append(timeline.doubled(words))
    if message.state.live and message.waiting_for is not None:
        told.append(tag("span", words(f"for.{message.waiting_for}")))
    if message.state.live and message.next_attempt_at_ms is not None:
        told.append(
            tag("span", words("next"), " ", moment(message.next_attempt_at_ms, "until"), class_="nowrap")
        )
    if message.reason is not None and message.state is not MessageState.DELIVERED:
        told.append(timeline.because(words, message.reason, message.waiting_for))
    told.append(controls.buttons(*timeline.acts_on(words, message)))
    return told


def done_words(words: Words, act: str, done: int, left: int, more: bool) -> str:
    told = words(f"outbox.{act}", n=done)
    if left:
        told += words("outbox.left", n=left)
    return told + words("outbox.more") if more else told
